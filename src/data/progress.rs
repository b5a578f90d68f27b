//! How far opening a dataset is.

/// What [`open`](super::open) is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpeningPhase {
    /// Hashing the input files, to look for a cache.
    Hashing,
    /// Copying the first object of a store to this machine; the next ones come while it is read.
    Downloading,
    /// Reading and checking the input files.
    Reading,
    /// Counting values over the train rows.
    Counting,
    /// Writing the encoded rows.
    Encoding,
}

impl OpeningPhase {
    /// What is done, in two words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hashing => "hashing data",
            Self::Downloading => "downloading data",
            Self::Reading => "reading data",
            Self::Counting => "counting values",
            Self::Encoding => "encoding data",
        }
    }

    /// Whether bytes are counted, or rows.
    pub fn is_in_bytes(self) -> bool {
        matches!(self, Self::Hashing | Self::Downloading | Self::Reading)
    }
}

/// How far [`open`](super::open) has come in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: OpeningPhase,
    /// Bytes (hashing, downloading, reading) or rows (counting, encoding) done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// Rows done in this phase.
    pub rows: u64,
}
