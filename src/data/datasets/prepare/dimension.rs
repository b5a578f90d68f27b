//! A table that rows are joined with, held compactly: one text for all its cells.

use std::path::Path;

use crate::data::datasets::prepare::Job;
use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::error::Result;
use crate::data::fit::vocabulary::Interner;

/// What stands between the cells of a row; no published file has it within a cell.
const BETWEEN: char = '\u{1f}';

/// Rows of a few cells by key. Some 40 bytes beside the texts of key and cells per row, and no allocation for any.
#[derive(Debug, Default)]
pub(crate) struct Dimension {
    keys: Interner,
    text: String,
    ends: Vec<usize>,
}

/// Which columns of a file make a table.
pub(crate) struct Shape<'c> {
    pub(crate) layout: Layout,
    /// The column of keys.
    pub(crate) key: &'c str,
    /// Those of cells.
    pub(crate) columns: &'c [&'c str],
    /// Words that stand for a missing value.
    pub(crate) missing: &'c [&'c str],
}

impl Dimension {
    /// Reads a file whose first line names its columns; a missing value is an empty cell. `check` looks at each row, in which
    /// the key is cell 0.
    pub(crate) fn read(
        job: &mut Job,
        path: &Path,
        shape: &Shape,
        check: impl Fn(&Table) -> Result<()>,
    ) -> Result<Self> {
        let wanted: Vec<&str> = [shape.key].into_iter().chain(shape.columns.iter().copied()).collect();
        let mut table = Table::with_header(path, shape.layout, &wanted, &job.meter)?;
        let (mut found, mut repeated) = (Self::default(), 0);
        while table.next()? {
            check(&table)?;
            let cells = (1..wanted.len()).map(|column| table.present(column, shape.missing).unwrap_or_default());
            repeated += u64::from(!found.insert(table.required(0)?, cells));
        }
        job.note_read(path, table.rows());
        job.note_repeated(path, repeated);
        Ok(found)
    }

    /// Adds a row; false, and nothing is added, if the key is there already.
    pub(crate) fn insert<'c>(&mut self, key: &str, cells: impl IntoIterator<Item = &'c str>) -> bool {
        if self.keys.find(key.as_bytes()).is_some() {
            return false;
        }
        self.keys.intern(key.as_bytes());
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.text.push(BETWEEN);
            }
            self.text.extend(cell.chars().filter(|&character| character != BETWEEN));
        }
        self.ends.push(self.text.len());
        true
    }

    /// The cells of a key's row.
    pub(crate) fn get(&self, key: &str) -> Option<Cells<'_>> {
        let row = self.keys.find(key.as_bytes())? as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        Some(self.text[start..self.ends[row]].split(BETWEEN))
    }
}

/// A row's cells in order.
pub(crate) type Cells<'d> = std::str::Split<'d, char>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_key_and_the_first_of_a_key_stays() {
        let mut table = Dimension::default();
        assert!(table.insert("a", ["1", "", "x"]));
        assert!(table.insert("", ["2", "y", "\u{1f}z"]));
        assert!(!table.insert("a", ["9"]));
        let cells = |key| table.get(key).map(Iterator::collect::<Vec<_>>);
        assert_eq!(cells("a"), Some(vec!["1", "", "x"]));
        assert_eq!(cells(""), Some(vec!["2", "y", "z"]));
        assert_eq!(cells("b"), None);
    }
}
