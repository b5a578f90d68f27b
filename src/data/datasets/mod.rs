//! Data sets that are made here: of public files, of interaction logs, of a planted truth.

pub(super) mod history;
pub(super) mod prepare;
pub mod synthetic;
