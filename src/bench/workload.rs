//! The papers' workload with made-up data: 16 fields of which the first four tell scenarios apart, ids after Zipf's law.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::Device;
use crate::data::Sequence;
use crate::graph::{BatchLayout, Cross, Graph, Precision};
use crate::layers::Field;
use crate::models::{self, Inputs, SequenceInput};
use crate::ops::StepUniforms;
use crate::plan::{BatchPacker, Profile, RowSource, Step, StepChunk, Tuning};
use crate::train::Error;

/// Fields of a sample.
pub const FIELDS: usize = 16;
/// Those of them that tell scenarios apart.
pub const AWARE: usize = 4;
/// Scenarios, of which the first is the most frequent.
pub const SCENARIOS: usize = 4;
/// What models that need a sequence read.
const SEQUENCE: SequenceInput = SequenceInput { field: FIELDS - 1, longest: 15 };
/// Different chunks of steps, so that not all find the same rows in the caches.
pub const CHUNKS: usize = 8;
/// Samples of all chunks together, at most: what a run of the benchmark holds in memory.
const MAX_SAMPLES: usize = 1 << 19;

/// A model of a size.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The model, with its default options.
    pub model: &'static str,
    /// Samples of a step.
    pub batch_size: usize,
    /// Rows of the embedding table, all fields together.
    pub rows: usize,
    /// Whether rows that a batch did not read are updated too.
    pub dense_embedding_adam: bool,
    /// How the values of the table are stored.
    pub embedding_precision: Precision,
    /// Whether activations and their gradients are stored as halves where they may be.
    pub mixed_precision: bool,
}

impl Workload {
    /// With lazy Adam, in single precision.
    pub const fn new(model: &'static str, batch_size: usize, rows: usize) -> Self {
        let embedding_precision = Precision::F32;
        Self { model, batch_size, rows, dense_embedding_adam: false, embedding_precision, mixed_precision: false }
    }

    /// The model's graph.
    ///
    /// # Errors
    /// When there is no such model, or the table has more rows than ids can name.
    pub fn graph(&self) -> Result<Graph, Error> {
        let fault = |reason: String| Error::from(models::Error(reason));
        let entry = models::find(self.model).ok_or_else(|| fault(format!("there is no model {}", self.model)))?;
        let model = entry.with_options(serde_json::json!({})).map_err(|error| fault(error.to_string()))?;
        let rows = (self.rows / FIELDS).max(1);
        let field =
            |source| Field { name: format!("f{source}"), source, rows, cross: Cross::None, value: None, tags: None };
        let mut graph = model.build(&Inputs {
            fields: (0..FIELDS).map(field).collect(),
            aware: AWARE,
            scenarios: SCENARIOS,
            has_scenarios: true,
            scenario: Some(0),
            sequences: if entry.needs_sequences { vec![SEQUENCE] } else { Vec::new() },
        })?;
        graph.set_embedding_precision(self.embedding_precision);
        Ok(graph)
    }
}

/// A model on a device, and steps to run.
pub struct Subject {
    /// The model on its device.
    pub executor: Box<dyn Profile>,
    /// The kernels it got there; none on the CPU.
    pub tuning: Option<Tuning>,
    workload: Workload,
    graph: Graph,
    chunks: Vec<StepChunk>,
    next: usize,
}

impl Subject {
    /// Puts a model on a device. Chunks have one step at first.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub fn new(device: &Device, workload: Workload) -> Result<Self, Error> {
        let graph = workload.graph()?;
        let (executor, tuning) = device.executor(&graph, &workload)?;
        let mut subject = Self { executor, tuning, workload, graph, chunks: Vec::new(), next: 0 };
        subject.prepare(1);
        Ok(subject)
    }

    /// Makes chunks of so many steps, or as many as the device takes.
    pub fn prepare(&mut self, steps: usize) {
        let Workload { batch_size, rows, .. } = self.workload;
        let steps = steps.clamp(1, self.executor.steps_per_chunk());
        let count = steps * batch_size;
        let mut random = Pcg64::seed_from_u64(1);
        let batch_layout = BatchLayout::training(&self.graph, batch_size);
        let mut packer = BatchPacker::new(&self.graph, &batch_layout, false);
        let shuffle: Vec<u32> = (0..batch_size as u32).rev().collect();
        let uniforms = StepUniforms { learning_rate: 1e-3, embedding_rate: 1e-3, ..StepUniforms::default() };
        let rows_of_field = (rows / FIELDS).max(1);
        self.next = 0;
        self.chunks = (0..(MAX_SAMPLES / count).clamp(1, CHUNKS))
            .map(|_| {
                let ids: Vec<u32> = (0..count * FIELDS).map(|_| zipf(&mut random, rows_of_field)).collect();
                let labels: Vec<f32> = (0..count).map(|_| f32::from(u8::from(random.random_bool(0.1)))).collect();
                let scenarios: Vec<u32> = (0..count).map(|_| zipf(&mut random, SCENARIOS)).collect();
                let sequences = sequences(&self.graph, &mut random, count, rows_of_field);
                let source = RowSource {
                    rows: count,
                    ids: &ids,
                    fields: FIELDS,
                    values: &[],
                    value_count: 0,
                    labels: &labels,
                    clicks: &[],
                    weights: &[],
                    scenarios: &scenarios,
                    sequences: &sequences,
                    first_in_sequences: 0,
                };
                let mut order: Vec<u32> = (0..count as u32).collect();
                order.chunks_mut(batch_size).for_each(|rows| source.group_by_scenario(rows));
                let steps: Vec<Step<'_>> =
                    order.chunks(batch_size).map(|rows| Step { rows, shuffle: &shuffle, uniforms }).collect();
                let mut chunk = StepChunk::default();
                packer.fill(&source, &steps, &mut chunk);
                chunk
            })
            .collect();
    }

    /// Samples of a step.
    pub fn batch_size(&self) -> usize {
        self.workload.batch_size
    }

    /// The first chunk.
    pub fn chunk(&self) -> &StepChunk {
        &self.chunks[0]
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Trains on the next `chunks` chunks as a run does, one after the other while the device computes, until the last
    /// loss is there. Seconds of one step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step_seconds(&mut self, chunks: usize) -> Result<f64, Error> {
        let started = Instant::now();
        let mut steps = 0;
        for _ in 0..chunks {
            let chunk = &self.chunks[self.next % self.chunks.len()];
            self.next += 1;
            steps += chunk.uniforms.len();
            self.executor.train(chunk)?;
            self.executor.losses(false)?;
        }
        self.executor.losses(true)?;
        Ok(started.elapsed().as_secs_f64() / steps as f64)
    }

    /// As [`profile`](Profile::profile), of the first chunk.
    ///
    /// # Errors
    /// When the device fails.
    pub fn profile(&mut self, repeats: usize) -> Result<Vec<Vec<Duration>>, Error> {
        Ok(self.executor.profile(&self.chunks[0], repeats)?)
    }

    /// As [`repeat`](Profile::repeat), of the first chunk.
    ///
    /// # Errors
    /// When the device fails.
    pub fn repeat(&mut self, part: usize, times: usize) -> Result<Duration, Error> {
        Ok(self.executor.repeat(&self.chunks[0], part, times)?)
    }
}

/// Sequences of all lengths, as many as a graph reads.
fn sequences(graph: &Graph, random: &mut Pcg64, rows: usize, ids: usize) -> Vec<Sequence> {
    if graph.longest == 0 {
        return Vec::new();
    }
    let mut offsets = vec![0];
    for row in 0..rows {
        offsets.push(offsets[row] + random.random_range(0..=SEQUENCE.longest as u64));
    }
    let items: Vec<u32> = (0..offsets[rows]).map(|_| zipf(random, ids)).collect();
    vec![Sequence::new(offsets, items)]
}

/// An id drawn with probability about 1 / rank, spread over the rows so that neighbours in rank are not neighbours in
/// memory.
fn zipf(random: &mut Pcg64, rows: usize) -> u32 {
    let rank = (rows as f64).powf(random.random::<f64>()) as u64;
    (rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows as u64) as u32
}
