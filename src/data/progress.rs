//! How far opening a dataset is.

/// What [`open`](super::open) is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpeningPhase {
    /// Hashing the input files, to look for a cache.
    Hashing,
    /// Reading and checking the input files.
    Reading,
    /// Counting values over the train rows.
    Counting,
    /// Writing the encoded rows.
    Encoding,
}

/// How far [`open`](super::open) has come in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: OpeningPhase,
    /// Bytes (hashing, reading) or rows (counting, encoding) done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// Rows done in this phase.
    pub rows: u64,
}
