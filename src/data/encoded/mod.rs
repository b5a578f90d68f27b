//! Rows as numbers: the encoder that makes them, their columns in memory and on disk, and what an encoder does not know.

pub(super) mod cache;
pub(super) mod cells;
pub(super) mod encoder;
pub(super) mod encoder_files;
pub(super) mod info;
pub(super) mod rows;
pub(super) mod scan;
pub(super) mod tensors;
pub(super) mod unknown;
