//! Values that a model cannot know: how many there are of each column, and which are the commonest.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::data::fit::vocabulary::Vocabulary;

/// How many values of one column are missing, or unknown to the model.
///
/// Unknown is a category without an embedding row of its own. Where categories are hashed, each text has a row; then it is
/// a value that is not of the column's type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownValues {
    /// The column's name.
    pub column: String,
    /// How many cells there are; of a sequence, how many items.
    pub values: u64,
    /// How many are missing.
    pub missing: u64,
    /// How many are unknown.
    pub unknown: u64,
    /// The commonest unknown values and how often each is there, the commonest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commonest: Vec<(String, u64)>,
}

impl UnknownValues {
    /// The share of all values that are unknown, from 0 to 1.
    pub fn share(&self) -> f64 {
        share(self.unknown, self.values)
    }

    /// The share of all values that are missing, from 0 to 1.
    pub fn missing_share(&self) -> f64 {
        share(self.missing, self.values)
    }

    /// Whether a share of unknown values is well above that of `other`, by more than chance; of nothing known to compare
    /// with, above none.
    pub fn is_less_known_than(&self, other: Option<&UnknownValues>) -> bool {
        is_well_above(self.unknown, self.values, other.map(|other| (other.unknown, other.values)))
    }

    /// The same of the share of missing values. Without anything to compare with, missing values are no surprise.
    pub fn is_more_missing_than(&self, other: Option<&UnknownValues>) -> bool {
        other.is_some_and(|other| is_well_above(self.missing, self.values, Some((other.missing, other.values))))
    }
}

/// Whether a share is above another by half and by a hundredth of all values, and by more than four deviations of what
/// chance would do.
fn is_well_above(part: u64, all: u64, other: Option<(u64, u64)>) -> bool {
    let (other_part, other_all) = other.unwrap_or((0, 0));
    let before = share(other_part, other_all);
    let now = share(part, all);
    // One more of each kind: few rows without an unknown value do not say that there are none.
    let likely = (other_part + 1) as f64 / (other_all + 2) as f64;
    let likely = if other_all == 0 { 0.0 } else { likely };
    let n = all as f64;
    let bound = n * likely + 4.0 * (n * likely * (1.0 - likely)).sqrt();
    now > before * 1.5 && now > before + 0.01 && part as f64 > bound
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

/// So many different unknown values are counted; what comes later is counted without its text.
const DIFFERENT: usize = 4096;
/// So many of the commonest are named.
const COMMONEST: usize = 5;
/// So many bytes of an unknown value are kept.
const LENGTH: usize = 256;

/// Counts the values of one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    values: u64,
    missing: u64,
    unknown: u64,
    seen: HashMap<Vec<u8>, u64>,
}

impl Tally {
    /// Counts a cell that has a row.
    #[inline]
    pub(crate) fn known(&mut self) {
        self.values += 1;
    }

    #[inline]
    pub(crate) fn missing(&mut self) {
        self.values += 1;
        self.missing += 1;
    }

    /// Counts a cell that has no row, without its text.
    #[inline]
    pub(crate) fn unnamed(&mut self) {
        self.values += 1;
        self.unknown += 1;
    }

    pub(crate) fn unknown(&mut self, text: &[u8]) {
        self.values += 1;
        self.unknown += 1;
        let text = &text[..text.len().min(LENGTH)];
        if let Some(count) = self.seen.get_mut(text) {
            *count += 1;
        } else if self.seen.len() < DIFFERENT {
            self.seen.insert(text.to_vec(), 1);
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.values += other.values;
        self.missing += other.missing;
        self.unknown += other.unknown;
        for (text, count) in other.seen {
            if let Some(here) = self.seen.get_mut(&text) {
                *here += count;
            } else if self.seen.len() < DIFFERENT {
                self.seen.insert(text, count);
            }
        }
    }

    /// What was counted.
    pub(crate) fn finish(&self, column: &str) -> UnknownValues {
        let mut commonest: Vec<(String, u64)> =
            self.seen.iter().map(|(text, count)| (String::from_utf8_lossy(text).into_owned(), *count)).collect();
        commonest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        commonest.truncate(COMMONEST);
        let Tally { values, missing, unknown, .. } = *self;
        UnknownValues { column: column.to_owned(), values, missing, unknown, commonest }
    }
}

/// Why a model may not know a text that looks like one that it knows; `None` where it does not look like one.
pub(crate) fn near_miss(text: &str, vocabulary: &Vocabulary) -> Option<&'static str> {
    let known = |text: &str| vocabulary.row(text.as_bytes()) > 0;
    let trimmed = text.trim();
    if trimmed != text && known(trimmed) {
        return Some("blanks around them");
    }
    let quoted = text.len() > 1 && text.starts_with(['"', '\'']) && text.ends_with(['"', '\'']);
    if quoted && known(&text[1..text.len() - 1]) {
        return Some("quotes around them");
    }
    if known(&text.to_lowercase()) || known(&text.to_uppercase()) {
        return Some("other capitals");
    }
    if text.strip_suffix(".0").is_some_and(known) {
        return Some("\".0\" behind them");
    }
    let number = text.trim_start_matches('0');
    let padded = (1..=12).any(|width| known(&format!("{number:0>width$}")));
    (text.bytes().all(|b| b.is_ascii_digit()) && padded).then_some("other zeros in front of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: u64, unknown: u64) -> UnknownValues {
        UnknownValues { values, unknown, missing: unknown, ..UnknownValues::default() }
    }

    #[test]
    fn a_share_is_told_where_chance_does_not_explain_it() {
        for (now, before, told) in [
            (of(500, 500), Some(of(1000, 0)), true),
            (of(500, 500), Some(of(0, 0)), true),
            (of(500, 500), None, true),
            (of(500, 1), Some(of(1000, 0)), false),
            (of(1_000_000, 3_000), Some(of(100_000, 100)), false),
            (of(1_000_000, 30_000), Some(of(100_000, 100)), true),
            (of(100, 40), Some(of(1000, 300)), false),
            (of(10_000, 6_000), Some(of(1000, 300)), true),
            (of(2, 1), Some(of(1000, 300)), false),
            (of(1, 1), Some(of(1000, 0)), true),
            (of(0, 0), Some(of(1000, 0)), false),
        ] {
            assert_eq!(now.is_less_known_than(before.as_ref()), told, "{now:?} after {before:?}");
            assert_eq!(now.is_more_missing_than(before.as_ref()), told && before.is_some(), "{now:?} after {before:?}");
        }
    }

    #[test]
    fn the_commonest_unknown_values_are_named_and_the_rest_is_counted() {
        let mut tally = Tally::default();
        let texts: Vec<String> = (0..3 * DIFFERENT).map(|k| k.to_string()).collect();
        texts.iter().chain([&texts[7], &texts[7], &texts[3]]).for_each(|text| tally.unknown(text.as_bytes()));
        tally.known();
        tally.missing();
        let mut all = Tally::default();
        all.unknown(b"x");
        all.merge(tally);
        let found = all.finish("c");
        let n = 3 * DIFFERENT as u64 + 4;
        assert_eq!((found.values, found.missing, found.unknown), (n + 2, 1, n));
        assert_eq!(found.commonest[..2], [("7".to_owned(), 3), ("3".to_owned(), 2)]);
        assert_eq!(found.commonest.len(), COMMONEST);
    }

    #[test]
    fn what_is_nearly_known_is_explained() {
        let mut vocabulary = Vocabulary::default();
        for value in ["Paris", "007", "a", "x y"] {
            vocabulary.push(value.as_bytes(), 1);
        }
        for (text, why) in [
            (" Paris", Some("blanks around them")),
            ("'Paris'", Some("quotes around them")),
            ("A", Some("other capitals")),
            ("7", Some("other zeros in front of them")),
            ("a.0", Some("\".0\" behind them")),
            ("London", None),
            ("", None),
        ] {
            assert_eq!(near_miss(text, &vocabulary), why, "{text:?}");
        }
    }
}
