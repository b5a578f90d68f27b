//! Which row belongs to which split.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::data::error::{Error, Result};
use crate::data::fit::spool::Block;
use crate::data::schema::{Schema, Split, SplitName};

/// The split of the row at `index` of all input files: 0, 1, 2 for train, valid and test.
///
/// A hash of the index alone decides, so that the split depends on nothing but the seed and the rows' order.
pub(crate) fn by_seed(seed: u64, valid: f64, test: f64, index: u64) -> u8 {
    let bits = xxh3_64_with_seed(&index.to_le_bytes(), seed) >> 11;
    let u = bits as f64 / (1u64 << 53) as f64;
    if u < test {
        2
    } else if u < test + valid {
        1
    } else {
        0
    }
}

/// How blocks' rows are assigned to splits.
pub(crate) enum Assignment {
    /// Each block says.
    Given,
    /// By time: rows from these times on are valid and test.
    Cuts { valid: f64, test: f64, times: Times },
}

/// What a split by time can do at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Times {
    /// How many different times there are.
    different: usize,
    /// The shares of rows from the last of them on, from the last two on, and so on.
    shares: Vec<f64>,
}

impl Times {
    /// Shares that messages name.
    const SHOWN: usize = 3;

    fn new(sorted: &[f64]) -> Self {
        let mut times = Self { different: sorted.chunk_by(|a, b| a == b).count(), shares: Vec::new() };
        let mut end = sorted.len();
        while end > 0 && times.shares.len() < Self::SHOWN && times.shares.len() + 1 < times.different {
            end = sorted.partition_point(|time| *time < sorted[end - 1]);
            times.shares.push((sorted.len() - end) as f64 / sorted.len() as f64);
        }
        times
    }

    /// What there is, and what can be done.
    fn advice(&self) -> String {
        if self.different < 2 {
            return "has the same time in all rows, so time cannot split them; set data.split.by = \"seed\"".to_owned();
        }
        let shares: Vec<String> = self.shares.iter().map(|share| format!("{share:.3}")).collect();
        format!(
            "has {} different times, and rows of one time stay together: shares that can be cut off the end are {}{}; set \
             data.split.test to one of them and data.split.valid to the difference of two (or one of them to 0), or \
             data.split.by = \"seed\"",
            self.different,
            shares.join(", "),
            if self.different > self.shares.len() + 1 { ", …" } else { "" }
        )
    }
}

impl Assignment {
    /// `times` has every row's time where the schema splits by time; it is sorted.
    pub(crate) fn new(schema: &Schema, times: &mut [f64]) -> Assignment {
        let Split::Time { valid, test, .. } = &schema.split else { return Assignment::Given };
        times.sort_unstable_by(f64::total_cmp);
        let summary = Times::new(times);
        let (before_test, test) = cut(times, *test * times.len() as f64);
        let (_, valid) = cut(&times[..before_test], *valid * times.len() as f64);
        Assignment::Cuts { valid: valid.min(test), test, times: summary }
    }

    /// What the rows' times allow, where they decide.
    pub(crate) fn times(&self) -> Times {
        match self {
            Assignment::Given => Times::default(),
            Assignment::Cuts { times, .. } => times.clone(),
        }
    }

    /// The split of each of a block's rows.
    pub(crate) fn splits<'a>(&self, block: &'a Block) -> Cow<'a, [u8]> {
        match self {
            Assignment::Given => Cow::Borrowed(&block.splits),
            Assignment::Cuts { valid, test, .. } => {
                let split = |t: &f64| u8::from(t >= valid) + u8::from(t >= test);
                Cow::Owned(block.times.iter().map(split).collect())
            }
        }
    }
}

/// Cuts about `wanted` rows off the end of sorted times, between two different times: how many rows stay before the
/// cut, and the first time after it.
fn cut(times: &[f64], wanted: f64) -> (usize, f64) {
    let whole = (times.len(), f64::INFINITY);
    let wanted = wanted.round() as usize;
    if wanted == 0 || times.is_empty() {
        return whole;
    }
    let stamp = times[times.len().saturating_sub(wanted)];
    let start = times.partition_point(|t| *t < stamp);
    let end = times.partition_point(|t| *t <= stamp);
    // All rows of one time go together, to the side that comes nearest to what was wanted, but some must be cut off.
    let (more, fewer) = (times.len() - start, times.len() - end);
    if fewer == 0 || more - wanted <= wanted.saturating_sub(fewer) { (start, stamp) } else { (end, times[end]) }
}

/// Checks that no split that the schema asks for lacks rows.
pub(crate) fn check_rows(schema: &Schema, times: &Times, rows: [u64; 3]) -> Result<()> {
    let total: u64 = rows.iter().sum();
    for (k, split) in SplitName::ALL.into_iter().enumerate() {
        let (wanted, why) = match &schema.split {
            Split::Column { column, train, valid, test } => {
                let value = [train, valid, test][k];
                let [a, b, c] = rows;
                let found = format!("train has {a}, valid {b}, test {c}");
                let fix = if k == 0 { "" } else { ", or to \"\" for none" };
                let why = format!(
                    "column \"{column}\" is never \"{value}\" ({found} rows); set data.split.{split} to its value{fix}"
                );
                (!value.is_empty(), why)
            }
            Split::Time { column, valid, test } => {
                let share = [1.0, *valid, *test][k];
                let why = format!("column \"{column}\" {}", times.advice());
                (share > 0.0, why)
            }
            Split::Seed { valid, test, .. } => {
                let share = [1.0 - valid - test, *valid, *test][k];
                let why = format!("{total} rows are too few for a share of {share}; change data.split's shares");
                (share > 0.0, why)
            }
        };
        if wanted && rows[k] == 0 {
            return Err(Error::EmptySplit { split, why });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_splits_by_shares_and_not_by_neighbours() {
        let n = 100_000;
        let splits: Vec<u8> = (0..n).map(|i| by_seed(7, 0.2, 0.1, i)).collect();
        let count = |s| splits.iter().filter(|x| **x == s).count() as f64 / n as f64;
        assert!((count(2) - 0.1).abs() < 0.005 && (count(1) - 0.2).abs() < 0.005);
        let pairs = splits.windows(2).filter(|w| w[0] == 2 && w[1] == 2).count() as f64 / n as f64;
        assert!((pairs - 0.01).abs() < 0.002);
        assert_ne!(splits, (0..n).map(|i| by_seed(8, 0.2, 0.1, i)).collect::<Vec<_>>());
        assert!((0..n).all(|i| by_seed(7, 0.0, 0.0, i) == 0));
    }

    fn by_time(times: &[f64], valid: f64, test: f64) -> Vec<u8> {
        let split = Split::Time { column: "t".to_owned(), valid, test };
        let schema = Schema { split, ..Schema::default() };
        let assignment = Assignment::new(&schema, &mut times.to_vec());
        assignment.splits(&Block { times: times.to_vec(), ..Block::default() }).into_owned()
    }

    #[test]
    fn time_gives_the_latest_rows_to_test_and_those_before_to_valid() {
        let times: Vec<f64> = (0..10).map(|k| f64::from((k * 7) % 10)).collect();
        for (t, s) in times.iter().zip(by_time(&times, 0.2, 0.1)) {
            assert_eq!(s, if *t >= 9.0 { 2 } else { u8::from(*t >= 7.0) }, "time {t}");
        }
    }

    #[test]
    fn equal_times_stay_together_on_the_nearer_side() {
        let times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 8.0, 8.0, 9.0];
        // One row wanted: the row at 9. Two wanted: one (9) is nearer than four (8 and 9). Three: four is nearer.
        assert_eq!(by_time(&times, 0.0, 0.1), [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(by_time(&times, 0.0, 0.2), [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(by_time(&times, 0.0, 0.3), [0, 0, 0, 0, 0, 0, 2, 2, 2, 2]);
        // The last time's rows are all or none, and some must be cut off.
        assert_eq!(by_time(&[1.0, 2.0, 2.0, 2.0], 0.0, 0.25), [0, 2, 2, 2]);
        assert_eq!(by_time(&[1.0, 2.0, 3.0, 4.0], 0.25, 0.25), [0, 0, 1, 2]);
        assert_eq!(by_time(&[1.0, 2.0], 0.0, 0.0), [0, 0]);
    }

    #[test]
    fn too_few_times_say_which_shares_there_are() {
        let message = |times: &[f64], rows| {
            let split = Split::Time { column: "t".to_owned(), valid: 0.1, test: 0.1 };
            let schema = Schema { split, ..Schema::default() };
            let times = Assignment::new(&schema, &mut times.to_vec()).times();
            check_rows(&schema, &times, rows).unwrap_err().to_string()
        };
        let one = message(&[7.0; 20], [20, 0, 0]);
        assert!(one.contains("column \"t\" has the same time in all rows"), "{one}");
        let two = message(&[1.0, 1.0, 1.0, 2.0], [3, 0, 1]);
        assert!(two.contains("has 2 different times") && two.contains("the end are 0.250;"), "{two}");
        let many: Vec<f64> = (0..10).map(f64::from).collect();
        let many = message(&many, [10, 0, 0]);
        assert!(many.contains("has 10 different times") && many.contains("are 0.100, 0.200, 0.300, …;"), "{many}");
    }

    #[test]
    fn a_split_without_rows_is_an_error_that_names_it() {
        let split = Split::Column {
            column: "s".to_owned(),
            train: "train".to_owned(),
            valid: "valid".to_owned(),
            test: "holdout".to_owned(),
        };
        let mut schema = Schema { split, ..Schema::default() };
        let message = check_rows(&schema, &Times::default(), [5, 5, 0]).unwrap_err().to_string();
        assert!(message.starts_with("the test split has no rows: column \"s\" is never \"holdout\""), "{message}");
        if let Split::Column { test, .. } = &mut schema.split {
            test.clear();
        }
        assert!(check_rows(&schema, &Times::default(), [5, 5, 0]).is_ok());
        schema.split = Split::Seed { seed: 0, valid: 0.1, test: 0.0 };
        assert!(check_rows(&schema, &Times::default(), [5, 1, 0]).is_ok());
        assert!(check_rows(&schema, &Times::default(), [5, 0, 0]).is_err());
    }
}
