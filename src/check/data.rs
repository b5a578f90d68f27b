//! Random data, states and steps for small graphs, and comparisons of what comes of them.

use std::borrow::Cow;

use crate::cpu::Real;
use crate::data::Sequence;
use crate::graph::{Cross, Graph, Pooling, Precision, TableField};
use crate::ops::{ModelState, OptimizerOptions, StepUniforms, TableValues};
use crate::plan::{BatchPacker, Plan, RowSource, Step, StepChunk, TrainingOptions};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Adam's constants. The first moment is the last gradient, so that a state shows it for tables as well; a large ε
/// keeps a step smooth where a gradient is near 0.
pub const ADAM: OptimizerOptions = OptimizerOptions { beta1: 0.0, beta2: 0.9, epsilon: 0.1, l2: 0.0 };

pub fn training(capacity: usize) -> TrainingOptions {
    TrainingOptions {
        capacity,
        dense: ADAM,
        embeddings: ADAM,
        max_gradient_norm: None,
        dense_embedding_adam: false,
        mixed_precision: false,
    }
}

/// Weights uniform in ±0.8, those of tables to the nearest that they store, moments zero.
pub fn random_state<T: Real>(graph: &Graph, seed: u64) -> ModelState<T> {
    let mut random = Pcg64::seed_from_u64(seed);
    // By way of f32: the same state on both devices.
    let mut draw =
        |count: usize| -> Vec<T> { (0..count).map(|_| T::of(f64::from(random.random_range(-0.8_f32..0.8)))).collect() };
    let weights: Vec<Vec<T>> = graph.parameters.iter().map(|p| draw(p.rows * p.cols)).collect();
    let tables = graph.tables.iter().map(|table| {
        let mut weights = TableValues::zeros(table.len(), table.precision);
        weights.set(0, &draw(table.len()));
        weights
    });
    let tables = tables.collect();
    ModelState::before_training(graph, weights, tables)
}

/// Encoded rows that fit a graph's tables.
pub struct Data {
    pub rows: usize,
    fields: usize,
    value_count: usize,
    ids: Vec<u32>,
    values: Vec<f32>,
    labels: Vec<f32>,
    clicks: Vec<f32>,
    weights: Vec<f32>,
    scenarios: Vec<u32>,
    sequences: Vec<Sequence>,
}

impl Data {
    pub fn random(graph: &Graph, rows: usize, seed: u64) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut fields: Vec<_> = graph.tables.iter().flat_map(|table| &table.fields).collect();
        fields.sort_by_key(|field| field.source);
        fields.dedup_by_key(|field| field.source);
        let value_count = fields.iter().filter(|field| field.value.is_some()).count();
        // What there is as an id of a field of tags has no meaning.
        let ids = (0..rows)
            .flat_map(|_| fields.iter())
            .map(|field| if field.tags.is_some() { u32::MAX } else { random.random_range(0..values(field)) });
        let ids = ids.collect();
        let mut random = Pcg64::seed_from_u64(seed + 1);
        let mut sequences = sequences(graph, rows, seed + 2);
        sequences.extend(tag_lists(graph, rows, seed + 3, sequences.len()));
        Self {
            sequences,
            rows,
            fields: fields.len(),
            value_count,
            ids,
            values: (0..rows * value_count).map(|_| random.random_range(-1.5..1.5)).collect(),
            weights: (0..rows).map(|row| [1.0, 0.25, 0.5, 0.0][row % 4]).collect(),
            labels: (0..rows).map(|_| f32::from(u8::from(random.random_bool(0.4)))).collect(),
            clicks: (0..rows).map(|row| f32::from(u8::from(row * 7 % 5 < 3))).collect(),
            scenarios: (0..rows).map(|_| random.random_range(0..graph.scenarios.max(1) as u32)).collect(),
        }
    }

    pub fn source(&self) -> RowSource<'_> {
        RowSource {
            rows: self.rows,
            ids: &self.ids,
            fields: self.fields,
            values: &self.values,
            value_count: self.value_count,
            labels: &self.labels,
            clicks: &self.clicks,
            weights: &self.weights,
            scenarios: &self.scenarios,
            sequences: &self.sequences,
            first_in_sequences: 0,
        }
    }

    /// One chunk of steps on random rows: step `first + i` has `sizes[i]` samples. Embedding rows are updated at half of `rate`, so
    /// that the two are told apart.
    pub fn chunk(&self, plan: &Plan, first: u32, sizes: &[usize], rate: f32, resident: bool) -> StepChunk {
        let steps: Vec<(Vec<u32>, Vec<u32>)> = (first..)
            .zip(sizes)
            .map(|(step, &size)| {
                let mut random = Pcg64::seed_from_u64(1000 + u64::from(step));
                let mut rows: Vec<u32> = (0..size).map(|_| random.random_range(0..self.rows as u32)).collect();
                // Models must not care whether a batch is grouped.
                if step % 2 == 0 {
                    self.source().group_by_scenario(&mut rows);
                }
                let mut shuffle: Vec<u32> = (0..size as u32).collect();
                shuffle.shuffle(&mut random);
                (rows, shuffle)
            })
            .collect();
        let steps: Vec<Step<'_>> = (first..)
            .zip(&steps)
            .map(|(step, (rows, shuffle))| Step {
                rows,
                shuffle,
                uniforms: StepUniforms {
                    step,
                    seed: 7,
                    learning_rate: rate,
                    embedding_rate: 0.5 * rate,
                    logit_offset: 0.25,
                    ..StepUniforms::default()
                },
            })
            .collect();
        let mut chunk = StepChunk::default();
        BatchPacker::new(&plan.graph, &plan.batch_layout, resident).fill(&self.source(), &steps, &mut chunk);
        chunk
    }
}

/// How many values a field has in the data.
fn values(field: &TableField) -> u32 {
    match field.cross {
        Cross::None => field.rows as u32,
        Cross::Scenario { each } | Cross::Hashed { each } => each as u32,
    }
}

/// Sequences of every length from none to the longest, as many as a graph's tables read.
fn sequences(graph: &Graph, rows: usize, seed: u64) -> Vec<Sequence> {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut offsets = vec![0];
    for row in 0..rows {
        offsets.push(offsets[row] + random.random_range(0..=(graph.longest - usize::from(graph.with_target)) as u64));
    }
    let tokens: Vec<_> =
        graph.tables.iter().flat_map(|table| table.tokens.iter().map(move |token| (table, token))).collect();
    let count = tokens.iter().map(|(_, token)| token.sequence + 1).max().unwrap_or(0);
    (0..count)
        .map(|sequence| {
            let (table, token) = tokens.iter().find(|(_, token)| token.sequence == sequence).unwrap();
            let items = values(&table.fields[token.field]);
            let ids: Vec<u32> = (0..offsets[rows]).map(|_| random.random_range(0..items)).collect();
            Sequence::new(offsets.clone(), ids)
        })
        .collect()
}

/// The values of a graph's fields of tags, of which a row has none, one or up to some more than count: those of every other
/// list have weights. They come after so many `sequences` that the graph reads.
fn tag_lists(graph: &Graph, rows: usize, seed: u64, sequences: usize) -> Vec<Sequence> {
    let mut random = Pcg64::seed_from_u64(seed);
    let tags = graph.tables.iter().flat_map(|table| table.tags().map(move |(_, tags)| (table, tags)));
    let mut tags: Vec<_> = tags.collect();
    tags.sort_by_key(|(_, tags)| tags.list);
    tags.dedup_by_key(|(_, tags)| tags.list);
    let count = tags.last().map_or(sequences, |(_, tags)| tags.list + 1);
    let lists = (sequences..count).enumerate().map(|(number, list)| {
        // What no field reads, as a sequence of the data that the graph leaves out, has nothing.
        let Some(&(table, tags)) = tags.iter().find(|(_, tags)| tags.list == list) else {
            return Sequence::new(vec![0; rows + 1], Vec::new());
        };
        let mut offsets = vec![0];
        for row in 0..rows {
            let most = [0, 1, tags.longest + 2][row % 3];
            offsets.push(offsets[row] + random.random_range(0..=most as u64));
        }
        let count = values(&table.fields[tags.rows_of]);
        let ids: Vec<u32> = (0..offsets[rows]).map(|_| random.random_range(0..count)).collect();
        let weights: Vec<f32> = ids.iter().map(|_| random.random_range(0.0..2.0)).collect();
        let list = Sequence::new(offsets, ids);
        if number % 2 == 1 && tags.pooling != Pooling::Max { list.weighted(weights) } else { list }
    });
    lists.collect()
}

/// Names and values of everything in a state.
pub fn named<'a, T: Real>(graph: &Graph, state: &'a ModelState<T>) -> Vec<(String, Cow<'a, [T]>)> {
    let dense = graph.parameters.iter().enumerate().flat_map(|(i, parameter)| {
        let dense = &state.dense;
        [("", &dense.weights), ("'s first moments", &dense.first), ("'s second moments", &dense.second)]
            .map(|(what, lists)| (format!("{}{what}", parameter.name), Cow::Borrowed(lists[i].as_slice())))
    });
    let tables = graph.tables.iter().zip(&state.tables).flat_map(|(table, state)| {
        let weights = match &state.weights {
            TableValues::Full(values) => Cow::Borrowed(values.as_slice()),
            halves => Cow::Owned(halves.to_vec()),
        };
        let (first, second) = (Cow::Borrowed(state.first.as_slice()), Cow::Borrowed(state.second.as_slice()));
        [("", weights), ("'s first moments", first), ("'s second moments", second)]
            .map(|(what, values)| (format!("{}{what}", table.name), values))
    });
    dense.chain(tables).collect()
}

/// Whether the values that [`named`] calls so are stored as halves.
pub fn is_of_halves(graph: &Graph, name: &str) -> bool {
    graph.tables.iter().any(|table| table.precision == Precision::F16 && table.name == name)
}

/// From a half to the next one away from 0: 2⁻¹⁰ of the power of two below it, and at least 2⁻²⁴.
pub fn half_spacing(half: f32) -> f32 {
    let power_of_two = f32::from_bits(half.to_bits() & 0x7f80_0000);
    (power_of_two / 1024.0).max(1.0 / 16_777_216.0)
}

/// All bits of a state.
pub fn bits(state: &ModelState<f32>) -> Vec<u32> {
    let tables = state.tables.iter().flat_map(|table| table.weights.iter().chain(table.moments()));
    let dense = &state.dense;
    let lists = dense.weights.iter().chain(&dense.first).chain(&dense.second).flatten().copied();
    lists.chain(tables).map(f32::to_bits).collect()
}

/// The first value that is off by more than `tolerance` · (1 + |expected|), in words.
pub fn fault<T: Real>(found: &[T], expected: &[T], tolerance: f64) -> Option<String> {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).enumerate().find_map(|(i, (&found, &expected))| {
        let off = (found - expected).wide().abs();
        // Written so that NaN is a fault.
        let good = off <= tolerance * (1.0 + expected.wide().abs());
        (!good).then(|| format!("[{i}] is {found:?}, expected {expected:?}"))
    })
}
