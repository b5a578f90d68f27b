//! Values that a model cannot know: how many there are of each column, and which are the commonest.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::vocabulary::Vocabulary;

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
pub(super) struct Tally {
    values: u64,
    missing: u64,
    unknown: u64,
    seen: HashMap<Vec<u8>, u64>,
}

impl Tally {
    /// Counts a cell that has a row.
    #[inline]
    pub(super) fn known(&mut self) {
        self.values += 1;
    }

    #[inline]
    pub(super) fn missing(&mut self) {
        self.values += 1;
        self.missing += 1;
    }

    /// Counts a cell that has no row, without its text.
    #[inline]
    pub(super) fn unnamed(&mut self) {
        self.values += 1;
        self.unknown += 1;
    }

    pub(super) fn unknown(&mut self, text: &[u8]) {
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
    pub(super) fn merge(&mut self, other: Tally) {
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
    pub(super) fn finish(&self, column: &str) -> UnknownValues {
        let mut commonest: Vec<(String, u64)> =
            self.seen.iter().map(|(text, count)| (String::from_utf8_lossy(text).into_owned(), *count)).collect();
        commonest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        commonest.truncate(COMMONEST);
        let Tally { values, missing, unknown, .. } = *self;
        UnknownValues { column: column.to_owned(), values, missing, unknown, commonest }
    }
}

/// Why a model may not know a text that looks like one that it knows; `None` where it does not look like one.
pub(super) fn near_miss(text: &str, vocabulary: &Vocabulary) -> Option<&'static str> {
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
