//! Minibatches as executors take them: several steps at a time, with the integers each needs.

use std::ops::Range;

use super::tag_words::{UsedWords, add_tag_lookups, set_tags};
use crate::data::Sequence;
use crate::graph::{BatchLayout, BatchMut, EmbeddingTable, Graph};
use crate::ops::StepUniforms;

/// Rows of encoded data.
#[derive(Clone, Copy, Debug)]
pub struct RowSource<'a> {
    /// How many rows.
    pub rows: usize,
    /// Ids of the fields, row-major: rows × `fields`.
    pub ids: &'a [u32],
    /// Fields of a row.
    pub fields: usize,
    /// Values of numeric fields, row-major: rows × `value_count`.
    pub values: &'a [f32],
    /// Numeric fields of a row.
    pub value_count: usize,
    /// Labels, 0 or 1, one per row; empty where only predictions are wanted.
    pub labels: &'a [f32],
    /// Whether each row was clicked, 0 or 1; read by graphs with [`clicks`](Graph::clicks).
    pub clicks: &'a [f32],
    /// What each row's loss is multiplied by, at least 0; empty where it is 1.
    pub weights: &'a [f32],
    /// Scenarios, one per row; read by models with parts for each scenario.
    pub scenarios: &'a [u32],
    /// Sequences of items, read by models with attention, then the values of fields of tags; the first row here is row
    /// `first_in_sequences` there.
    pub sequences: &'a [Sequence],
    /// See `sequences`.
    pub first_in_sequences: usize,
}

impl<'a> RowSource<'a> {
    fn items(&self, sequence: usize, row: u32) -> &'a [u32] {
        self.sequences[sequence].row(self.first_in_sequences + row as usize)
    }

    /// What `items` has of a row in one of the sequences, and the weights that these have, if any.
    pub(super) fn weighted_items(&self, list: usize, row: u32) -> (&'a [u32], Option<&'a [f32]>) {
        let weights = self.sequences[list].weights(self.first_in_sequences + row as usize);
        (self.items(list, row), weights)
    }

    /// The scenario of a row; 0 where models do not ask.
    pub(super) fn scenario(&self, row: u32) -> u32 {
        self.scenarios.get(row as usize).copied().unwrap_or(0)
    }

    /// The labels and the weight of a row as steps read them: for each of the first `labels` the weight, negative where the
    /// label is 0. No row has any where only predictions are wanted.
    pub(super) fn signed_weights(&self, row: usize, labels: usize) -> impl Iterator<Item = f32> {
        let weight = self.weights.get(row).copied().unwrap_or(1.0);
        let values = [self.labels, self.clicks].into_iter().take(labels).filter_map(move |values| values.get(row));
        values.map(move |&label| if label > 0.5 { weight } else { -weight })
    }

    /// Sorts `rows` so that those of a scenario stand together: neighbours then read the same weights. In what order
    /// samples of a batch stand makes no difference to a model.
    pub fn group_by_scenario(&self, rows: &mut [u32]) {
        rows.sort_by_key(|&row| self.scenarios[row as usize]);
    }

    /// The rows from `first` on, `count` at most.
    pub(super) fn rows_from(&self, first: usize, count: usize) -> RowSource<'a> {
        let end = self.rows.min(first + count);
        RowSource {
            rows: end - first,
            ids: &self.ids[first * self.fields..end * self.fields],
            values: &self.values[first * self.value_count..end * self.value_count],
            labels: if self.labels.is_empty() { &[] } else { &self.labels[first..end] },
            clicks: if self.clicks.is_empty() { &[] } else { &self.clicks[first..end] },
            weights: if self.weights.is_empty() { &[] } else { &self.weights[first..end] },
            scenarios: if self.scenarios.is_empty() { &[] } else { &self.scenarios[first..end] },
            first_in_sequences: self.first_in_sequences + first,
            ..*self
        }
    }
}

/// One step to be fed: which rows, how they are shuffled, and the step's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The data rows of its samples.
    pub rows: &'a [u32],
    /// The permutation π of its samples; empty where there is none.
    pub shuffle: &'a [u32],
    /// Seed, step, learning rate and place of the results; `rows`, `batch_index` and `batch_offset` are filled in.
    pub uniforms: StepUniforms,
}

/// A chunk of consecutive steps, packed for an executor.
#[derive(Clone, Debug, Default)]
pub struct StepChunk {
    /// The step uniforms of each.
    pub uniforms: Vec<StepUniforms>,
    /// Their packed batches, one after another.
    pub words: Vec<u32>,
    /// Which of these words steps read, in order: batches have room for more tags than they hold.
    pub used: Vec<Range<usize>>,
    /// Table rows of the samples, one line per sample; empty when the data lies on the device.
    pub ids: Vec<u32>,
    /// Values, likewise.
    pub values: Vec<f32>,
    /// Labels, likewise, as many of a sample as the graph has: the sample's weight, negative where the label is 0.
    pub labels: Vec<f32>,
}

/// Packs batches into chunks, on the host: another thread can pack the next chunk while a device computes this one.
#[derive(Clone, Debug)]
pub struct BatchPacker {
    batch_layout: BatchLayout,
    tables: Vec<EmbeddingTable>,
    resident: bool,
    with_target: bool,
    /// Labels of a sample.
    labels: usize,
    scratch: Vec<u64>,
    lookups: Vec<(u32, usize)>,
}

impl BatchPacker {
    /// A packer for plans of `graph` with batches of this layout. If `resident`, the device has the data: chunks say only
    /// which rows.
    pub fn new(graph: &Graph, batch_layout: &BatchLayout, resident: bool) -> Self {
        Self {
            batch_layout: batch_layout.clone(),
            tables: graph.tables.clone(),
            resident,
            with_target: graph.with_target,
            labels: graph.labels(),
            scratch: Vec::new(),
            lookups: Vec::new(),
        }
    }

    /// Lookups of one sample, over all tables.
    pub fn lookups(&self) -> usize {
        self.tables.iter().map(|table| table.fields.len()).sum()
    }

    /// Fills `chunk`, whose memory is reused, with `steps`.
    ///
    /// # Panics
    /// When a step has more rows than the plan's capacity.
    pub fn fill(&mut self, source: &RowSource<'_>, steps: &[Step<'_>], chunk: &mut StepChunk) {
        let BatchLayout { capacity, stride, .. } = self.batch_layout;
        let lookups = self.lookups();
        chunk.uniforms.clear();
        let mut used = UsedWords::new(std::mem::take(&mut chunk.used));
        chunk.words.resize(steps.len() * stride, 0);
        let packed = if self.resident { 0 } else { steps.len() * capacity };
        chunk.ids.resize(packed * lookups, 0);
        chunk.values.resize(packed * source.value_count, 0.0);
        chunk.labels.resize(packed * self.labels, 0.0);
        for (index, step) in steps.iter().enumerate() {
            assert!(step.rows.len() <= capacity, "a step of {} rows in a plan for {capacity}", step.rows.len());
            chunk.uniforms.push(StepUniforms {
                rows: step.rows.len() as u32,
                batch_offset: (index * stride) as u32,
                batch_index: index as u32,
                inverse_rows: 1.0 / step.rows.len() as f32,
                ..step.uniforms
            });
            let first = index * capacity;
            let words = &mut chunk.words[index * stride..][..stride];
            let mut view = self.batch_layout.view_mut(words);
            for (i, (order, &row)) in view.order().iter_mut().zip(step.rows).enumerate() {
                *order = if self.resident { row } else { (first + i) as u32 };
            }
            for (scenario, &row) in view.scenarios().iter_mut().zip(step.rows) {
                *scenario = source.scenarios[row as usize];
            }
            if !step.shuffle.is_empty() {
                view.set_shuffle(step.shuffle);
            }
            if !self.resident {
                for (i, &row) in step.rows.iter().enumerate() {
                    let row = row as usize;
                    let ids = &mut chunk.ids[(first + i) * lookups..][..lookups];
                    lookup_rows(&self.tables, source, row, ids);
                    let count = source.value_count;
                    chunk.values[(first + i) * count..][..count]
                        .copy_from_slice(&source.values[row * count..][..count]);
                    let labels = &mut chunk.labels[(first + i) * self.labels..][..self.labels];
                    labels.iter_mut().zip(source.signed_weights(row, self.labels)).for_each(|(to, from)| *to = from);
                }
            }
            if self.batch_layout.tokens.is_some() {
                let tokens = view.set_lengths(
                    step.rows.iter().map(|&row| source.items(0, row).len() + usize::from(self.with_target)),
                );
                chunk.uniforms[index].tokens = tokens as u32;
                for (number, table) in self.tables.iter().enumerate().filter(|(_, table)| !table.tokens.is_empty()) {
                    set_token_rows(&mut view, number, table, tokens, source, step.rows, self.with_target);
                }
            }
            let places: Vec<usize> = (0..self.tables.len())
                .map(|number| set_tags(&mut view, &self.batch_layout, number, &self.tables[number], source, step.rows))
                .collect();
            for number in 0..self.batch_layout.keys.len() {
                let table = &self.tables[number];
                self.lookups.clear();
                for (sample, &row) in step.rows.iter().enumerate() {
                    let ids = &source.ids[row as usize * source.fields..][..source.fields];
                    let scenario = source.scenario(row);
                    // What has no key gets no gradient and is not moved.
                    let keyed = (sample * table.fields.len()..).zip(&table.fields);
                    let keyed = keyed.filter(|(_, field)| !field.frozen && field.tags.is_none());
                    self.lookups
                        .extend(keyed.map(|(position, field)| (field.row(ids[field.source], scenario), position)));
                }
                let (width, first) = (table.tokens.len(), capacity * table.fields.len());
                if width > 0 {
                    for sample in 0..step.rows.len() {
                        let tokens = view.tokens_of(sample);
                        let places = tokens.start * width..tokens.end * width;
                        let rows = &view.token_rows(number)[places.clone()];
                        let fields = table.tokens.iter().map(|token| &table.fields[token.field]).cycle();
                        let keyed = rows.iter().copied().zip(first + places.start..).zip(fields);
                        self.lookups.extend(keyed.filter(|(_, field)| !field.frozen).map(|(lookup, _)| lookup));
                    }
                }
                let first = first + self.batch_layout.token_capacity() * width;
                let samples = step.rows.len();
                add_tag_lookups(&mut view, &self.batch_layout, number, table, first, samples, &mut self.lookups);
                view.set_keys(number, self.lookups.iter().copied(), &mut self.scratch);
            }
            used.add(&self.batch_layout, index * stride, words, &places);
        }
        chunk.used = used.finish();
    }

    /// Table rows of data rows `first..first + count`, as a device that holds the data wants them.
    pub fn lookups_of(&self, source: &RowSource<'_>, first: usize, count: usize) -> Vec<u32> {
        let lookups = self.lookups();
        let mut ids = vec![0; count * lookups];
        for (i, ids) in ids.chunks_exact_mut(lookups).enumerate() {
            lookup_rows(&self.tables, source, first + i, ids);
        }
        ids
    }
}

/// Writes the rows of a table that the samples' sequences read; row 0 in the places that belong to no sample.
fn set_token_rows(
    view: &mut BatchMut<'_>,
    number: usize,
    table: &EmbeddingTable,
    tokens: usize,
    source: &RowSource<'_>,
    samples: &[u32],
    with_target: bool,
) {
    let width = table.tokens.len();
    view.token_rows(number)[..tokens * width].fill(0);
    for (sample, &row) in samples.iter().enumerate() {
        let places = view.tokens_of(sample);
        let scenario = source.scenario(row);
        let rows = &mut view.token_rows(number)[places.start * width..places.end * width];
        for (k, token) in table.tokens.iter().enumerate() {
            let field = &table.fields[token.field];
            let places = rows.iter_mut().skip(k).step_by(width);
            let own = with_target.then(|| source.ids[row as usize * source.fields + field.source]);
            for (place, item) in places.zip(source.items(token.sequence, row).iter().copied().chain(own)) {
                *place = field.row(item, scenario);
            }
        }
    }
}

/// A field of tags has no row of its own: shaders find this one in no shard, and leave it out.
const NO_ROW: u32 = u32::MAX;

fn lookup_rows(tables: &[EmbeddingTable], source: &RowSource<'_>, row: usize, out: &mut [u32]) {
    let ids = &source.ids[row * source.fields..][..source.fields];
    let scenario = source.scenario(row as u32);
    for (out, field) in out.iter_mut().zip(tables.iter().flat_map(|table| &table.fields)) {
        *out = if field.tags.is_some() { NO_ROW } else { field.row(ids[field.source], scenario) };
    }
}

/// Predicts `rows` of `source` to `run`, `steps` batches of `capacity` rows at a time. Returns them in the order in which they
/// were fed: within a batch they may be grouped by scenario.
pub(super) fn predict_in_chunks<E>(
    packer: &mut BatchPacker,
    source: &RowSource<'_>,
    mut rows: Vec<u32>,
    capacity: usize,
    steps: usize,
    mut run: impl FnMut(&StepChunk) -> Result<(), E>,
) -> Result<Vec<u32>, E> {
    let mut chunk = StepChunk::default();
    if packer.batch_layout.scenarios.is_some() {
        rows.chunks_mut(capacity).for_each(|rows| source.group_by_scenario(rows));
    }
    for (number, rows) in rows.chunks(capacity * steps).enumerate() {
        let first = number * capacity * steps;
        let steps: Vec<Step<'_>> = rows
            .chunks(capacity)
            .enumerate()
            .map(|(step, rows)| {
                let uniforms =
                    StepUniforms { first_result: (first + step * capacity) as u32, ..StepUniforms::default() };
                Step { rows, shuffle: &[], uniforms }
            })
            .collect();
        packer.fill(source, &steps, &mut chunk);
        run(&chunk)?;
    }
    Ok(rows)
}

/// `values`, as many for each of the rows `order`, in the order of the rows.
pub(super) fn in_row_order(order: &[u32], values: &[f32]) -> Vec<f32> {
    let width = values.len() / order.len().max(1);
    let mut sorted = vec![0.0; values.len()];
    for (&row, values) in order.iter().zip(values.chunks_exact(width.max(1))) {
        sorted[row as usize * width..][..width].copy_from_slice(values);
    }
    sorted
}
