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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sequence;
    use crate::graph::{Cross, Graph};
    use crate::layers::{EmbeddingSet, Field};
    use crate::ops::StepUniforms;
    use crate::plan::{BatchPacker, Step, StepChunk};

    fn field(name: &str, source: usize, rows: usize, tags: Option<Tags>) -> Field {
        Field { name: name.to_owned(), source, rows, cross: Cross::None, value: None, tags }
    }

    /// A plain field of 10 rows, then one pooled by each of these, with rows of its own.
    fn graph(pooled: &[Pooling], longest: usize) -> Graph {
        let mut graph = Graph::new();
        let mut fields = vec![field("plain", 0, 10, None)];
        for (list, &pooling) in pooled.iter().enumerate() {
            let tags = Tags { rows_of: 1 + list, list, longest, pooling };
            fields.push(field("tags", 1 + list, 5, Some(tags)));
        }
        EmbeddingSet::new(&mut graph, "e", &fields, 3, 1.0);
        graph
    }

    fn packed(graph: &Graph, lists: &[Sequence], training: bool) -> (BatchLayout, StepChunk) {
        let capacity = 4;
        let layout =
            if training { BatchLayout::training(graph, capacity) } else { BatchLayout::inference(graph, capacity) };
        let fields = graph.tables[0].fields.len();
        let source = RowSource {
            rows: 3,
            ids: &vec![1; 3 * fields],
            fields,
            values: &[],
            value_count: 0,
            labels: &[0.0, 1.0, 1.0],
            clicks: &[],
            weights: &[],
            scenarios: &[0, 0, 0],
            sequences: lists,
            first_in_sequences: 0,
        };
        let mut chunk = StepChunk::default();
        let step = Step { rows: &[2, 0, 1], shuffle: &[], uniforms: StepUniforms::default() };
        BatchPacker::new(graph, &layout, false).fill(&source, &[step, step], &mut chunk);
        (layout, chunk)
    }

    #[test]
    fn values_have_their_share_of_a_mean() {
        let graph = graph(&[Pooling::Mean, Pooling::Mean, Pooling::Sum], 2);
        let lists = Sequence::new(vec![0, 2, 2, 5], vec![1, 2, 3, 4, 3]);
        let weighted = Sequence::new(vec![0, 2, 2, 4], vec![1, 2, 3, 4]).weighted(vec![1.0, 3.0, 0.0, 0.0]);
        let (layout, chunk) = packed(&graph, &[lists, weighted.clone(), weighted], true);
        let tags = &layout.tags[0];
        let starts = |k: usize| chunk.words[tags.starts[k]..][..4].to_vec();
        // Of sample 0, row 2, the first two of three values count.
        assert_eq!([starts(0), starts(1), starts(2)], [[0, 2, 4, 4], [4, 6, 8, 8], [8, 10, 12, 12]]);
        let floats = |first: usize| chunk.words[first..][..12].iter().map(|&w| f32::from_bits(w)).collect::<Vec<_>>();
        assert_eq!(chunk.words[tags.rows..][..4], [10 + 3, 10 + 4, 10 + 1, 10 + 2]);
        assert_eq!(floats(tags.factors), [0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.25, 0.75, 0.0, 0.0, 1.0, 3.0]);
        assert_eq!(chunk.words[tags.owners..][..12], [1, 1, 5, 5, 2, 2, 6, 6, 3, 3, 7, 7]);
        // A plain lookup for each sample, and one for each value; none for what the data has of fields of tags as ids.
        let keys = layout.keys[0];
        let count = chunk.words[keys.count] as usize;
        assert_eq!(chunk.words[keys.starts + count], 3 + 12);
        assert_eq!(chunk.ids[..4], [1, NO_ROW, NO_ROW, NO_ROW]);
    }

    const NO_ROW: u32 = u32::MAX;

    #[test]
    fn only_words_in_use_are_sent() {
        let longest = 20_000;
        let graph = graph(&[Pooling::Mean], longest);
        let lists = [Sequence::new(vec![0, 2, 2, 5], vec![1, 2, 3, 4, 3])];
        for training in [true, false] {
            let (layout, chunk) = packed(&graph, &lists, training);
            assert!(layout.stride > 4 * 2 * longest);
            let sent: usize = chunk.used.iter().map(Range::len).sum();
            assert!(sent < 2 * NEAR, "{sent} of {}", chunk.words.len());
            assert!(chunk.used.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", chunk.used);
            // All that is not 0 is in use.
            let unused = |at: &usize| !chunk.used.iter().any(|range| range.contains(at));
            assert!((0..chunk.words.len()).filter(unused).all(|at| chunk.words[at] == 0));
        }
        let without = graph_without_tags();
        let (_, chunk) = packed(&without, &[], true);
        assert!(chunk.used.len() == 1 && chunk.used[0].len() == chunk.words.len());
    }

    fn graph_without_tags() -> Graph {
        graph(&[], 1)
    }
}
