//! Interned byte strings, and the vocabulary that a field's categories become.

use std::ops::RangeInclusive;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

/// The row that hashing gives to a text: one of `rows` after row 0.
#[inline]
pub(crate) fn hashed(text: &[u8], rows: u32) -> u32 {
    1 + (xxh3_64(text) % u64::from(rows)) as u32
}

/// Distinct byte strings, numbered from 0 in the order in which they were first added.
///
/// All strings lie in one buffer behind a hash table of their numbers: some 15 bytes beside its own per string, and no
/// allocation per string, so that a hundred million user ids fit in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    ids: HashTable<u32>,
    strings: Strings,
}

/// Strings one after another, each with where it ends.
#[derive(Debug, Clone, Default)]
struct Strings {
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Strings {
    #[inline]
    fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start..self.ends[id]]
    }
}

impl Interner {
    pub(crate) fn len(&self) -> usize {
        self.strings.ends.len()
    }

    /// The string numbered `id`.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        self.strings.get(id)
    }

    /// The number of `value`, if it was added.
    #[inline]
    pub(crate) fn find(&self, value: &[u8]) -> Option<u32> {
        self.ids.find(xxh3_64(value), |&id| self.strings.get(id) == value).copied()
    }

    /// The number of `value`, which is added if it is new.
    #[inline]
    pub(crate) fn intern(&mut self, value: &[u8]) -> u32 {
        let Self { ids, strings } = self;
        let is_value = |&id: &u32| strings.get(id) == value;
        match ids.entry(xxh3_64(value), is_value, |&id| xxh3_64(strings.get(id))) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let id = strings.ends.len() as u32;
                place.insert(id);
                strings.bytes.extend_from_slice(value);
                strings.ends.push(strings.bytes.len());
                id
            }
        }
    }
}

/// The values of a field that have an embedding row of their own, and how often the train split has each.
///
/// Row 0 is for missing and unknown values. After it come the rows that other values are hashed to, if there are any, then
/// those of the values that are known, so that these can become more.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    values: Interner,
    counts: Vec<u64>,
    hashed: u32,
}

impl Vocabulary {
    /// One without values, that hashes to so many rows; 0 where other values are unknown.
    pub(crate) fn hashing_to(hashed: u32) -> Vocabulary {
        Vocabulary { hashed, ..Vocabulary::default() }
    }

    /// How many rows values are hashed to that are not known.
    pub fn hashed(&self) -> u32 {
        self.hashed
    }

    /// The rows of the known values.
    pub fn rows(&self) -> RangeInclusive<u32> {
        self.hashed + 1..=self.hashed + self.len() as u32
    }

    /// The embedding row of a value; where it is not known the one that it is hashed to, or 0.
    #[inline]
    pub(crate) fn row_or_hash(&self, value: &[u8]) -> u32 {
        match self.row(value) {
            0 if self.hashed > 0 => hashed(value, self.hashed),
            row => row,
        }
    }

    /// Adds a value that is not there yet; false when it is.
    pub(crate) fn push(&mut self, value: &[u8], count: u64) -> bool {
        let id = self.values.intern(value) as usize;
        if id < self.counts.len() {
            return false;
        }
        self.counts.push(count);
        true
    }

    /// Adds to the count of a value that is there; false when it is not.
    pub(crate) fn count_more(&mut self, value: &[u8], count: u64) -> bool {
        let known = self.values.find(value);
        known.is_some_and(|id| {
            self.counts[id as usize] += count;
            true
        })
    }

    /// How many values there are, row 0 not counted.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no value was kept.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The embedding row of a known value; 0 when it has none of its own.
    #[inline]
    pub fn row(&self, value: &[u8]) -> u32 {
        self.values.find(value).map_or(0, |id| id + 1 + self.hashed)
    }

    fn id(&self, row: u32) -> Option<u32> {
        row.checked_sub(1 + self.hashed).filter(|id| (*id as usize) < self.len())
    }

    /// The value of an embedding row; `None` for row 0, rows that values are hashed to and rows past the end.
    pub fn value(&self, row: u32) -> Option<&str> {
        let id = self.id(row)?;
        std::str::from_utf8(self.values.get(id)).ok()
    }

    /// How often the train split has the value of an embedding row; 0 where it is no value's own.
    pub fn count(&self, row: u32) -> u64 {
        self.id(row).map_or(0, |id| self.counts[id as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interned_values_keep_their_numbers_through_growth() {
        let mut interner = Interner::default();
        assert_eq!(interner.find(b"x"), None);
        for k in 0..10_000u32 {
            assert_eq!(interner.intern(k.to_string().as_bytes()), k);
        }
        assert_eq!(interner.intern(b""), 10_000);
        for k in (0..10_000u32).rev() {
            assert_eq!(interner.find(k.to_string().as_bytes()), Some(k));
            assert_eq!(interner.intern(k.to_string().as_bytes()), k);
            assert_eq!(interner.get(k), k.to_string().as_bytes());
        }
        assert_eq!(interner.find(b"10000"), None);
        assert_eq!((interner.find(b""), interner.len()), (Some(10_000), 10_001));
    }

    #[test]
    fn a_vocabulary_leaves_row_zero_to_the_unknown() {
        let mut vocabulary = Vocabulary::default();
        assert!(vocabulary.push(b"a", 3) && vocabulary.push("é".as_bytes(), 1));
        assert!(!vocabulary.push(b"a", 5));
        assert_eq!((vocabulary.row(b"a"), vocabulary.row("é".as_bytes()), vocabulary.row(b"b")), (1, 2, 0));
        assert_eq!((vocabulary.value(0), vocabulary.value(2), vocabulary.value(3)), (None, Some("é"), None));
        assert_eq!((vocabulary.count(0), vocabulary.count(1), vocabulary.count(9)), (0, 3, 0));
    }
}
