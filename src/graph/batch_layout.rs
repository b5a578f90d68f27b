//! The batch layout: where the integers of a step lie, that is the data rows it trains on, their scenarios, the shuffle π
//! and the sorted embedding keys.
//!
//! The host packs each step's batch into 32-bit words; shaders and CPU code read them at the same offsets.

use super::Graph;
use crate::cpu::LANES;

/// Word offsets, within a batch, of the sorted keys of one embedding table.
///
/// The batch's lookups are sorted by table row. `unique[u]` is the u-th distinct row; the lookups that read it are
/// `positions[starts[u]..starts[u + 1]]`, a position being `sample * fields + field`, or
/// for a sequence's item `capacity * fields + token * sequences + sequence`; those of tags follow, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLayout {
    /// One word: how many distinct rows.
    pub count: usize,
    /// `lookups` words.
    pub unique: usize,
    /// `lookups + 1` words.
    pub starts: usize,
    /// `lookups` words.
    pub positions: usize,
    /// One word: how many hot rows, those with more than [`KeyLayout::MOST`] lookups.
    pub hot_count: usize,
    /// [`KeyLayout::hot_capacity`] words: which of the distinct rows these are.
    pub hot: usize,
    /// Capacity: samples × fields, tokens × sequences, and places of tags.
    pub lookups: usize,
}

impl KeyLayout {
    /// Lookups of a row that are not too many for one invocation to add up, one after another.
    pub const MOST: usize = 32;

    /// The most hot rows that so many lookups can have.
    pub fn hot_capacity(lookups: usize) -> usize {
        lookups / (Self::MOST + 1)
    }
}

/// Word offsets, within a batch, of the samples' sequences.
///
/// The items of all sequences are tokens, one sample's after another's, each with a row of tensors [T, ·]. The first
/// token of every block of [`LANES`] samples has a number that is a multiple of as many: so a block of samples has blocks of
/// tokens of its own. Tokens left over at a block's end belong to no sample; their rows hold something, their gradients are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLayout {
    /// Tokens that a step can hold.
    pub capacity: usize,
    /// For each sample its first token.
    pub starts: usize,
    /// For each sample how many it has.
    pub lengths: usize,
    /// For each embedding table its row for each token and sequence.
    pub rows: Vec<usize>,
}

/// Tokens that `samples` samples with sequences of up to `longest` take at most.
pub fn token_places(samples: usize, longest: usize) -> usize {
    samples.next_multiple_of(LANES) * longest
}

/// Word offsets, within a batch, of the values of a table's fields of tags.
///
/// Their places are numbered one field's after another's, within a field one sample's after another's, without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagLayout {
    /// For each field of tags `capacity + 1` words: each sample's first place, and the one beyond the last's.
    pub starts: Vec<usize>,
    /// Places that a step can hold.
    pub places: usize,
    /// For each place the table's row.
    pub rows: usize,
    /// For each place what its embedding is multiplied by, a float; in a field that is pooled by maxima the number of the
    /// value within its list, and from bit [`TagLayout::NUMBER_BITS`] on the field's first column of what `embed` notes of the largest.
    pub factors: usize,
    /// Where a plan trains, for each place `sample * fields + field`, with the highest bit set where it is pooled by maxima.
    pub owners: usize,
}

impl TagLayout {
    /// Bits of a value's number within a list that is pooled by maxima.
    pub const NUMBER_BITS: u32 = 12;
    /// The most values of such a list: half floats tell their numbers apart.
    pub const MOST_OF_MAX: usize = 1 << 11;
    /// Marks what is pooled by maxima.
    pub const OF_MAX: u32 = 1 << 31;
}

/// Layout of one step's batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLayout {
    /// Samples a step can hold.
    pub capacity: usize,
    /// `capacity` words: for each sample its row in the data on the device.
    pub order: usize,
    /// `capacity` words: the permutation π of mutual-information regularisation.
    pub shuffle: usize,
    /// `capacity` words: the inverse of π.
    pub unshuffle: usize,
    /// `capacity` words: for each sample its scenario, where the graph has parts for each scenario.
    pub scenarios: Option<usize>,
    /// Where the sequences lie, where the graph reads any.
    pub tokens: Option<TokenLayout>,
    /// The tags of every embedding table.
    pub tags: Vec<TagLayout>,
    /// The keys of every embedding table; empty where nothing is trained.
    pub keys: Vec<KeyLayout>,
    /// Words from one batch to the next.
    pub stride: usize,
}

impl BatchLayout {
    /// The layout for training steps of `graph` with up to `capacity` samples.
    pub fn training(graph: &Graph, capacity: usize) -> Self {
        let mut batch_layout = Self::inference(graph, capacity);
        batch_layout.shuffle = batch_layout.take(capacity);
        batch_layout.unshuffle = batch_layout.take(capacity);
        let tokens = batch_layout.token_capacity();
        for (number, table) in graph.tables.iter().enumerate() {
            let places = batch_layout.tags[number].places;
            batch_layout.tags[number].owners = batch_layout.take(places);
            let lookups = capacity * table.fields.len() + tokens * table.tokens.len() + places;
            let keys = KeyLayout {
                count: batch_layout.take(1),
                unique: batch_layout.take(lookups),
                starts: batch_layout.take(lookups + 1),
                positions: batch_layout.take(lookups),
                hot_count: batch_layout.take(1),
                hot: batch_layout.take(KeyLayout::hot_capacity(lookups)),
                lookups,
            };
            batch_layout.keys.push(keys);
        }
        batch_layout
    }

    /// The layout for steps that only predict.
    pub fn inference(graph: &Graph, capacity: usize) -> Self {
        let (shuffle, unshuffle, tokens, tags, keys) = (0, 0, None, Vec::new(), Vec::new());
        let mut batch_layout =
            Self { capacity, order: 0, shuffle, unshuffle, scenarios: None, tokens, tags, keys, stride: capacity };
        batch_layout.scenarios = (graph.scenarios > 0).then(|| batch_layout.take(capacity));
        if graph.longest > 0 {
            let places = token_places(capacity, graph.longest);
            batch_layout.tokens = Some(TokenLayout {
                capacity: places,
                starts: batch_layout.take(capacity),
                lengths: batch_layout.take(capacity),
                rows: graph.tables.iter().map(|table| batch_layout.take(places * table.tokens.len())).collect(),
            });
        }
        for table in &graph.tables {
            let places = capacity * table.longest_tags();
            let tags = TagLayout {
                starts: table.tags().map(|_| batch_layout.take(capacity + 1)).collect(),
                places,
                rows: batch_layout.take(places),
                factors: batch_layout.take(places),
                owners: 0,
            };
            batch_layout.tags.push(tags);
        }
        batch_layout
    }

    fn take(&mut self, words: usize) -> usize {
        self.stride += words;
        self.stride - words
    }

    /// Tokens that a step can hold.
    pub fn token_capacity(&self) -> usize {
        self.tokens.as_ref().map_or(0, |tokens| tokens.capacity)
    }

    /// A writable view of one batch's words.
    pub fn view_mut<'a>(&'a self, words: &'a mut [u32]) -> BatchMut<'a> {
        BatchMut { batch_layout: self, words }
    }
}

/// One batch while the host packs it.
pub struct BatchMut<'a> {
    batch_layout: &'a BatchLayout,
    words: &'a mut [u32],
}

impl BatchMut<'_> {
    /// The data rows of the step's samples.
    pub fn order(&mut self) -> &mut [u32] {
        &mut self.words[self.batch_layout.order..][..self.batch_layout.capacity]
    }

    /// The scenarios of the step's samples; empty where the graph does not ask for them.
    pub fn scenarios(&mut self) -> &mut [u32] {
        match self.batch_layout.scenarios {
            Some(first) => &mut self.words[first..][..self.batch_layout.capacity],
            None => &mut [],
        }
    }

    /// Sets the shuffle and its inverse.
    pub fn set_shuffle(&mut self, shuffle: &[u32]) {
        for (sample, &other) in shuffle.iter().enumerate() {
            self.words[self.batch_layout.shuffle + sample] = other;
            self.words[self.batch_layout.unshuffle + other as usize] = sample as u32;
        }
    }

    /// Places the samples' sequences, of these lengths; returns how many tokens the step has.
    pub fn set_lengths(&mut self, lengths: impl Iterator<Item = usize>) -> usize {
        let Some(TokenLayout { starts, lengths: places, .. }) = self.batch_layout.tokens else { return 0 };
        let mut next: usize = 0;
        for (sample, length) in lengths.enumerate() {
            if sample % LANES == 0 {
                next = next.next_multiple_of(LANES);
            }
            self.words[starts + sample] = next as u32;
            self.words[places + sample] = length as u32;
            next += length;
        }
        next.next_multiple_of(LANES)
    }

    /// A sample's tokens.
    pub fn tokens_of(&self, sample: usize) -> std::ops::Range<usize> {
        let Some(TokenLayout { starts, lengths, .. }) = self.batch_layout.tokens else { return 0..0 };
        let start = self.words[starts + sample] as usize;
        start..start + self.words[lengths + sample] as usize
    }

    /// The rows of table number `table` for each token and sequence.
    pub fn token_rows(&mut self, table: usize) -> &mut [u32] {
        match &self.batch_layout.tokens {
            Some(tokens) => &mut self.words[tokens.rows[table]..],
            None => &mut [],
        }
    }

    /// Writes the values of a table's field of tags number `number`, from place `next` on: for each sample in turn its values, as
    /// pairs of a row and a factor. Returns the place beyond the last.
    pub fn set_tags<I: Iterator<Item = (u32, u32)>>(
        &mut self,
        table: usize,
        number: usize,
        mut next: usize,
        samples: impl Iterator<Item = I>,
    ) -> usize {
        let TagLayout { starts, rows, factors, .. } = &self.batch_layout.tags[table];
        let mut at = starts[number];
        for values in samples {
            self.words[at] = next as u32;
            for (row, factor) in values {
                self.words[rows + next] = row;
                self.words[factors + next] = factor;
                next += 1;
            }
            at += 1;
        }
        self.words[at] = next as u32;
        next
    }

    /// The words of a batch from number `first` on.
    pub fn words_from(&mut self, first: usize) -> &mut [u32] {
        &mut self.words[first..]
    }

    /// Sorts the lookups of table number `table` by row and writes its keys. `lookups` are pairs of a table row and a
    /// position; `scratch` is reused between calls.
    pub fn set_keys(&mut self, table: usize, lookups: impl Iterator<Item = (u32, usize)>, scratch: &mut Vec<u64>) {
        let layout = self.batch_layout.keys[table];
        scratch.clear();
        scratch.extend(lookups.map(|(row, position)| (u64::from(row) << 32) | position as u64));
        // The position in the low half makes the order unique, hence the sums repeatable.
        scratch.sort_unstable();
        let mut count = 0;
        let mut last = None;
        for (at, &key) in scratch.iter().enumerate() {
            let row = (key >> 32) as u32;
            if last != Some(row) {
                self.words[layout.unique + count] = row;
                self.words[layout.starts + count] = at as u32;
                count += 1;
                last = Some(row);
            }
            self.words[layout.positions + at] = key as u32;
        }
        self.words[layout.starts + count] = scratch.len() as u32;
        self.words[layout.count] = count as u32;
        let mut hot = 0;
        for unique in 0..count {
            let [start, end] = [0, 1].map(|next| self.words[layout.starts + unique + next] as usize);
            if end - start > KeyLayout::MOST {
                self.words[layout.hot + hot] = unique as u32;
                hot += 1;
            }
        }
        self.words[layout.hot_count] = hot as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(keys: KeyLayout, stride: usize, rows: impl Iterator<Item = u32>) -> Vec<u32> {
        let batch_layout = BatchLayout {
            capacity: 2,
            order: 0,
            shuffle: 2,
            unshuffle: 4,
            scenarios: None,
            tokens: None,
            tags: Vec::new(),
            keys: vec![keys],
            stride,
        };
        let mut words = vec![0; stride];
        let mut batch = batch_layout.view_mut(&mut words);
        batch.set_keys(0, rows.zip(0..), &mut Vec::new());
        batch.set_shuffle(&[1, 0]);
        words
    }

    #[test]
    fn keys_group_the_lookups_of_a_row_in_order_of_position() {
        let layout = KeyLayout { count: 6, unique: 7, starts: 11, positions: 16, hot_count: 20, hot: 21, lookups: 4 };
        let words = packed(layout, 21, [9, 3, 9, 5].into_iter());
        assert_eq!(words[6], 3);
        assert_eq!(words[7..10], [3, 5, 9]);
        assert_eq!(words[11..15], [0, 1, 2, 4]);
        assert_eq!(words[16..20], [1, 3, 0, 2]);
        assert_eq!(words[2..6], [1, 0, 1, 0]);
        assert_eq!(words[20], 0);
    }

    #[test]
    fn hot_rows_are_those_with_more_lookups_than_one_invocation_adds() {
        let most = KeyLayout::MOST;
        let lookups = 3 * most + 3;
        let layout = KeyLayout {
            count: 6,
            unique: 7,
            starts: 7 + lookups,
            positions: 8 + 2 * lookups,
            hot_count: 8 + 3 * lookups,
            hot: 9 + 3 * lookups,
            lookups,
        };
        let times = [(4, most), (5, most + 1), (8, 1), (9, most + 1)];
        let rows = times.into_iter().flat_map(|(row, times)| std::iter::repeat_n(row, times));
        let words = packed(layout, layout.hot + KeyLayout::hot_capacity(lookups), rows);
        assert_eq!(words[layout.hot_count..][..3], [2, 1, 3]);
    }
}
