//! The rows of a chunk that cannot be used, and why.

/// What is wrong with one row of a chunk.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The row's index in the chunk.
    pub(crate) row: usize,
    pub(crate) column: Option<String>,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// How many bad rows are reported in full; the others are only counted.
pub(crate) const MAX_MESSAGES: usize = 8;

/// The faulty rows of a chunk, in order; the first few with their reasons.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) rows: Vec<u32>,
    pub(crate) told: Vec<Fault>,
}

impl Faults {
    /// Notes a row, which must not come before one noted earlier.
    pub(crate) fn add(&mut self, row: usize, fault: impl FnOnce() -> Fault) {
        if self.rows.last() == Some(&(row as u32)) {
            return;
        }
        self.rows.push(row as u32);
        if self.told.len() < MAX_MESSAGES {
            self.told.push(fault());
        }
    }

    /// The union of several columns' faults; of a row's several reasons the first column's is told.
    pub(crate) fn merged<'a>(all: impl IntoIterator<Item = &'a Faults>) -> Faults {
        let mut merged = Faults::default();
        for faults in all {
            merged.rows.extend(&faults.rows);
            merged.told.extend_from_slice(&faults.told);
        }
        merged.rows.sort_unstable();
        merged.rows.dedup();
        merged.told.sort_by_key(|fault| fault.row);
        merged.told.dedup_by_key(|fault| fault.row);
        merged.told.truncate(MAX_MESSAGES);
        merged
    }
}
