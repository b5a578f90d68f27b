//! Splits by time, of rows that say their day or lie in order.

use crate::data::schema::SplitName;

/// By days, as numbers that grow with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByDay {
    /// The first day of the valid rows.
    pub(crate) valid: i64,
    /// The first day of the test rows.
    pub(crate) test: i64,
}

impl ByDay {
    /// The split of a day's rows.
    pub(crate) fn split(self, day: i64) -> SplitName {
        match day {
            day if day >= self.test => SplitName::Test,
            day if day >= self.valid => SplitName::Valid,
            _ => SplitName::Train,
        }
    }
}

/// By place, of so many rows in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByPlace {
    valid: u64,
    test: u64,
}

impl ByPlace {
    /// One part of `parts`, rounded, is test, and the one before it valid.
    pub(crate) fn last(parts: u64, rows: u64) -> Self {
        let part = (rows + parts / 2) / parts;
        Self { valid: rows.saturating_sub(2 * part), test: rows - part }
    }

    /// The split of the row at a place, from 0.
    pub(crate) fn split(self, place: u64) -> SplitName {
        match place {
            place if place >= self.test => SplitName::Test,
            place if place >= self.valid => SplitName::Valid,
            _ => SplitName::Train,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rows_are_test_and_those_before_them_valid() {
        let names = |split: &dyn Fn(u64) -> SplitName, rows| (0..rows).map(|row| split(row).name()).collect::<Vec<_>>();
        let by_place = ByPlace::last(14, 30);
        let [train, valid, test] = ["train", "valid", "test"].map(|name| [name].repeat(2));
        assert_eq!(names(&|row| by_place.split(row), 30)[24..], [train, valid, test].concat());
        let by_day = ByDay { valid: 3, test: 4 };
        assert_eq!(names(&|day| by_day.split(day as i64), 6), ["train", "train", "train", "valid", "test", "test"]);
    }
}
