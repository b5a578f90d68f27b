//! What a batch holds of fields of tags, and which of its words are in use.

use std::ops::Range;

use super::chunk::RowSource;
use crate::graph::{BatchLayout, BatchMut, EmbeddingTable, KeyLayout, Pooling, TagLayout, Tags};
use crate::ops::argmax_column;

/// Writes what the samples' values in a table's fields of tags are; returns how many there are.
pub(super) fn set_tags(
    view: &mut BatchMut<'_>,
    layout: &BatchLayout,
    number: usize,
    table: &EmbeddingTable,
    source: &RowSource<'_>,
    samples: &[u32],
) -> usize {
    let TagLayout { starts, owners, .. } = &layout.tags[number];
    let mut next = 0;
    for (k, (field, tags)) in table.tags().enumerate() {
        let rows_of = &table.fields[tags.rows_of];
        let column = argmax_column(table, field) as u32;
        next = view.set_tags(
            number,
            k,
            next,
            samples.iter().map(|&row| {
                let (items, weights) = source.weighted_items(tags.list, row);
                let items = &items[..items.len().min(tags.longest)];
                let scenario = source.scenario(row);
                let factor = factors(tags, items.len(), weights, column);
                items.iter().enumerate().map(move |(i, &item)| (rows_of.row(item, scenario), factor(i)))
            }),
        );
        if layout.keys.is_empty() {
            continue;
        }
        let of_max = if tags.pooling == Pooling::Max { TagLayout::OF_MAX } else { 0 };
        for sample in 0..samples.len() {
            let ends = [0, 1].map(|next| view.words_from(starts[k] + sample)[next] as usize);
            let owner = (sample * table.fields.len() + field) as u32 | of_max;
            view.words_from(owners + ends[0])[..ends[1] - ends[0]].fill(owner);
        }
    }
    next
}

/// What the batch says of each of so many values of a sample, as [`TagLayout::factors`] has it.
fn factors<'a>(tags: Tags, count: usize, weights: Option<&'a [f32]>, column: u32) -> impl Fn(usize) -> u32 + use<'a> {
    let total = match (tags.pooling, weights) {
        (Pooling::Mean, Some(weights)) => weights[..count].iter().map(|&weight| f64::from(weight)).sum(),
        (Pooling::Mean, None) => count as f64,
        _ => 1.0,
    };
    move |number| {
        let weight = weights.map_or(1.0, |weights| f64::from(weights[number]));
        match tags.pooling {
            Pooling::Max => column << TagLayout::NUMBER_BITS | number as u32,
            // Of weights that are all 0 the mean is that of no values.
            _ if total == 0.0 => 0.0_f32.to_bits(),
            _ => ((weight / total) as f32).to_bits(),
        }
    }
}

/// Adds the rows and positions of a table's tags that have gradients; their positions begin at `first`.
pub(super) fn add_tag_lookups(
    view: &mut BatchMut<'_>,
    layout: &BatchLayout,
    number: usize,
    table: &EmbeddingTable,
    first: usize,
    samples: usize,
    lookups: &mut Vec<(u32, usize)>,
) {
    let TagLayout { starts, rows, .. } = &layout.tags[number];
    for ((_, tags), &starts) in table.tags().zip(starts) {
        // As for other fields: what is frozen has no key.
        if table.fields[tags.rows_of].frozen {
            continue;
        }
        let [begin, end] = [0, samples].map(|sample| view.words_from(starts)[sample] as usize);
        let own = &view.words_from(rows + begin)[..end - begin];
        lookups.extend(own.iter().copied().zip(first + begin..));
    }
}

/// Words that lie so near each other are sent together with those between them.
const NEAR: usize = 4096;

/// Which words of packed batches are in use.
pub(super) struct UsedWords {
    ranges: Vec<Range<usize>>,
}

impl UsedWords {
    /// None so far; `memory` is used again.
    pub(super) fn new(mut memory: Vec<Range<usize>>) -> Self {
        memory.clear();
        Self { ranges: memory }
    }

    /// Adds a batch that begins at word `at`; it holds so many tags of each table.
    pub(super) fn add(&mut self, layout: &BatchLayout, at: usize, words: &[u32], places: &[usize]) {
        let mut unused: Vec<Range<usize>> = Vec::new();
        for (tags, &used) in layout.tags.iter().zip(places).filter(|(tags, _)| tags.places > 0) {
            let arrays = [tags.rows, tags.factors, tags.owners];
            let arrays = &arrays[..if layout.keys.is_empty() { 2 } else { 3 }];
            unused.extend(arrays.iter().map(|first| first + used..first + tags.places));
        }
        for (keys, _) in layout.keys.iter().zip(&layout.tags).filter(|(_, tags)| tags.places > 0) {
            let KeyLayout { count, unique, starts, positions, lookups, .. } = *keys;
            let rows = words[count] as usize;
            let used = words[starts + rows] as usize;
            unused.extend([
                unique + rows..unique + lookups,
                starts + rows + 1..starts + lookups + 1,
                positions + used..positions + lookups,
            ]);
        }
        unused.sort_by_key(|range| range.start);
        let mut next = at;
        for range in unused.into_iter().filter(|range| range.len() >= NEAR) {
            self.push(next..at + range.start);
            next = at + range.end;
        }
        self.push(next..at + layout.stride);
    }

    fn push(&mut self, range: Range<usize>) {
        match self.ranges.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }

    /// All of them, in order.
    pub(super) fn finish(self) -> Vec<Range<usize>> {
        self.ranges
    }
}
