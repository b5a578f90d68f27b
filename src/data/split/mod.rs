//! Train, valid and test: which row belongs where, and the splits' rows.

pub(super) mod choice;
pub(super) mod gather;
