//! Where a step's integers lie: which data rows it trains on, their scenarios, the shuffle, and the sorted embedding
//! keys.
//!
//! The host writes one slot of 32-bit words per step; shaders and CPU code read it at the same offsets.

use super::Graph;

/// Word offsets, within a slot, of the sorted keys of one embedding table.
///
/// The batch's lookups are sorted by table row. `unique[u]` is the u-th distinct row; the lookups that read it are
/// `positions[starts[u]..starts[u + 1]]`, a position being `sample * fields + field`.
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
    /// Capacity: samples × fields.
    pub lookups: usize,
}

/// Layout of one step's slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
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
    /// The keys of every embedding table; empty where nothing is trained.
    pub keys: Vec<KeyLayout>,
    /// Words from one slot to the next.
    pub stride: usize,
}

impl Schedule {
    /// The layout for training steps of `graph` with up to `capacity` samples.
    pub fn training(graph: &Graph, capacity: usize) -> Self {
        let scenarios = (graph.scenarios > 0).then_some(3 * capacity);
        let mut next = 3 * capacity + scenarios.map_or(0, |_| capacity);
        let mut take = |words: usize| {
            let at = next;
            next += words;
            at
        };
        let keys = graph
            .tables
            .iter()
            .map(|table| {
                let lookups = capacity * table.fields.len();
                KeyLayout {
                    count: take(1),
                    unique: take(lookups),
                    starts: take(lookups + 1),
                    positions: take(lookups),
                    lookups,
                }
            })
            .collect();
        Self { capacity, order: 0, shuffle: capacity, unshuffle: 2 * capacity, scenarios, keys, stride: next }
    }

    /// The layout for steps that only predict.
    pub fn inference(graph: &Graph, capacity: usize) -> Self {
        let scenarios = (graph.scenarios > 0).then_some(capacity);
        let stride = capacity + scenarios.map_or(0, |_| capacity);
        Self { capacity, order: 0, shuffle: 0, unshuffle: 0, scenarios, keys: Vec::new(), stride }
    }

    /// A writable view of one slot's words.
    pub fn slot<'a>(&'a self, words: &'a mut [u32]) -> SlotMut<'a> {
        SlotMut { schedule: self, words }
    }
}

/// One slot while the host fills it.
pub struct SlotMut<'a> {
    schedule: &'a Schedule,
    words: &'a mut [u32],
}

impl SlotMut<'_> {
    /// The data rows of the step's samples.
    pub fn order(&mut self) -> &mut [u32] {
        &mut self.words[self.schedule.order..][..self.schedule.capacity]
    }

    /// The scenarios of the step's samples; empty where the graph does not ask for them.
    pub fn scenarios(&mut self) -> &mut [u32] {
        match self.schedule.scenarios {
            Some(first) => &mut self.words[first..][..self.schedule.capacity],
            None => &mut [],
        }
    }

    /// Sets the shuffle and its inverse.
    pub fn set_shuffle(&mut self, shuffle: &[u32]) {
        for (sample, &other) in shuffle.iter().enumerate() {
            self.words[self.schedule.shuffle + sample] = other;
            self.words[self.schedule.unshuffle + other as usize] = sample as u32;
        }
    }

    /// Sorts the lookups of table number `table` by row and writes its keys. `rows` holds one table row per lookup,
    /// in order of position; `scratch` is reused between calls.
    pub fn set_keys(&mut self, table: usize, rows: &[u32], scratch: &mut Vec<u64>) {
        let layout = self.schedule.keys[table];
        scratch.clear();
        scratch.extend(rows.iter().enumerate().map(|(position, &row)| (u64::from(row) << 32) | position as u64));
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
        self.words[layout.starts + count] = rows.len() as u32;
        self.words[layout.count] = count as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_group_the_lookups_of_a_row_in_order_of_position() {
        let layout = KeyLayout { count: 6, unique: 7, starts: 11, positions: 16, lookups: 4 };
        let schedule = Schedule {
            capacity: 2,
            order: 0,
            shuffle: 2,
            unshuffle: 4,
            scenarios: None,
            keys: vec![layout],
            stride: 20,
        };
        let mut words = vec![0; schedule.stride];
        let mut slot = schedule.slot(&mut words);
        slot.set_keys(0, &[9, 3, 9, 5], &mut Vec::new());
        slot.set_shuffle(&[1, 0]);
        assert_eq!(words[6], 3);
        assert_eq!(words[7..10], [3, 5, 9]);
        assert_eq!(words[11..15], [0, 1, 2, 4]);
        assert_eq!(words[16..20], [1, 3, 0, 2]);
        assert_eq!(words[2..6], [1, 0, 1, 0]);
    }
}
