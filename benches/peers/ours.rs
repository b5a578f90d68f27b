//! The polyscene that is measured, through its public API, in a process of its own.

use std::io::{BufRead, Write};
use std::time::Instant;

use polyscene::gpu::{DeviceChoice, Gpu, OpenOptions, Selection, select};
use polyscene::graph::Cross;
use polyscene::layers::Field;
use polyscene::models::{self, Inputs, MiDpg, Model, ModelEntry, OptMsm};
use polyscene::ops::{OptimizerOptions, StepUniforms};
use polyscene::plan::{
    BatchPacker, CpuExecutor, DispatchLimits, Executor, GpuExecutor, GpuOptions, Plan, RowSource, Step, StepChunk,
    TrainingOptions, initial_state,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::report::resident;
use crate::workload::Task;

/// Requests, as all programs get them.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Prepare(Box<Task>),
    Run { blocks: usize, steps: usize },
    Memory(()),
}

/// Answers requests until the input ends.
pub(crate) fn serve() -> anyhow::Result<()> {
    let baseline = resident("VmRSS");
    let mut subject = None;
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        let reply =
            answer(&mut subject, request, baseline).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{reply}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(subject: &mut Option<Subject>, request: Request, baseline: u64) -> anyhow::Result<Value> {
    let prepared = || anyhow::anyhow!("prepare comes first");
    Ok(match request {
        Request::Prepare(task) => {
            let model = task.model.clone();
            let entry = models::find(&model).ok_or_else(|| anyhow::anyhow!("no model {model}"))?;
            let built = Subject::new(&entry, *task)?;
            let reply = json!({
                "ready": built.executor.device(),
                "steps": built.executor.steps_per_chunk(),
                "planned": built.planned,
            });
            *subject = Some(built);
            reply
        }
        Request::Run { blocks, steps } => {
            let subject = subject.as_mut().ok_or_else(prepared)?;
            let (mut ms, mut losses) = (Vec::new(), Vec::new());
            for _ in 0..blocks {
                let (seconds, loss) = subject.block(steps)?;
                ms.push(1e3 * seconds / steps as f64);
                losses.push(loss);
            }
            json!({ "ms": ms, "losses": losses })
        }
        Request::Memory(()) => {
            let bytes = resident("VmHWM").saturating_sub(baseline);
            json!({ "bytes": bytes, "what": "growth of resident memory" })
        }
    })
}

/// A model on a device, with its data.
struct Subject {
    task: Task,
    executor: Box<dyn Executor>,
    packer: BatchPacker,
    ids: Vec<u32>,
    labels: Vec<f32>,
    scenarios: Vec<u32>,
    /// Whether the model has parts for each scenario.
    routed: bool,
    order: Vec<u32>,
    chunk: StepChunk,
    random: Pcg64,
    steps: usize,
    planned: u64,
}

/// The paper's options, which the peers have too. Sizes are the defaults', which is what the task holds.
fn papers(entry: &ModelEntry) -> Value {
    match entry.name {
        MiDpg::NAME => json!({ "weight_scale": 1.0, "mir_input": "aware", "mir_warmup": 0 }),
        OptMsm::NAME => json!({ "orth": "signed", "lambda": 0.1 }),
        _ => json!({}),
    }
}

impl Subject {
    fn new(entry: &ModelEntry, task: Task) -> anyhow::Result<Self> {
        let rows = task.rows_per_field();
        let field =
            |source| Field { name: format!("f{source}"), source, rows, cross: Cross::None, value: None, tags: None };
        let inputs = Inputs {
            fields: (0..task.fields).map(field).collect(),
            aware: task.aware,
            scenarios: task.scenarios,
            has_scenarios: true,
            scenario: Some(0),
            sequences: Vec::new(),
        };
        let graph = entry.with_options(papers(entry))?.build(&inputs)?;
        let adam = OptimizerOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
        let options = TrainingOptions {
            capacity: task.batch,
            dense: adam,
            embeddings: adam,
            max_gradient_norm: None,
            dense_embedding_adam: false,
            mixed_precision: false,
        };
        let train = Plan::training(&graph, &options);
        let planned = train.listing(&DispatchLimits::portable()).memory.total;
        let predict = Plan::inference(&graph, task.batch);
        let batch_layout = train.batch_layout.clone();
        let state = initial_state(&graph, 1);
        let mut executor: Box<dyn Executor> = match select(&task.device.parse::<DeviceChoice>()?)? {
            Selection::Cpu => Box::new(CpuExecutor::<f32>::new(train, predict, state)),
            Selection::Adapter(adapter, summary) => {
                let gpu = Gpu::open(&adapter, *summary, OpenOptions::default())?;
                Box::new(GpuExecutor::new(gpu, train, predict, &state, GpuOptions::default())?)
            }
        };
        let (ids, labels) = read(&task)?;
        let scenarios: Vec<u32> = ids.chunks_exact(task.fields).map(|ids| scenario(&task, ids[0])).collect();
        let resident = executor.load(&source(&task, &ids, &labels, &scenarios))?;
        let packer = BatchPacker::new(&graph, &batch_layout, resident);
        let order = (0..task.samples as u32).collect();
        let random = Pcg64::seed_from_u64(2);
        let (routed, chunk) = (graph.scenarios > 0, StepChunk::default());
        Ok(Subject { task, executor, packer, ids, labels, scenarios, routed, order, chunk, random, steps: 0, planned })
    }
}

/// Ids of each field, from the file's rows of the table; and the labels.
fn read(task: &Task) -> anyhow::Result<(Vec<u32>, Vec<f32>)> {
    let bytes = std::fs::read(&task.data)?;
    let (ids, labels) = bytes.split_at(4 * task.samples * task.fields);
    let word = |bytes: &[u8]| bytes.try_into().expect("four bytes");
    let per_field = task.rows_per_field();
    let field = |at: usize| (at % task.fields * per_field) as u32;
    let ids = ids.chunks_exact(4).enumerate().map(|(at, bytes)| u32::from_le_bytes(word(bytes)) - field(at));
    Ok((ids.collect(), labels.chunks_exact(4).map(|bytes| f32::from_le_bytes(word(bytes))).collect()))
}

/// The scenario of a sample, from its first field.
fn scenario(task: &Task, id: u32) -> u32 {
    // The first field's rows are the table's first.
    id % task.scenarios as u32
}

fn source<'a>(task: &Task, ids: &'a [u32], labels: &'a [f32], scenarios: &'a [u32]) -> RowSource<'a> {
    RowSource {
        rows: task.samples,
        ids,
        fields: task.fields,
        values: &[],
        value_count: 0,
        labels,
        clicks: &[],
        weights: &[],
        scenarios,
        sequences: &[],
        first_in_sequences: 0,
    }
}

impl Subject {
    /// Seconds of that many steps, and the last one's cross entropy. Batches are packed here, on the thread that
    /// trains: what a run does beside the device's work is part of the time.
    fn block(&mut self, steps: usize) -> anyhow::Result<(f64, f64)> {
        let started = Instant::now();
        let max = self.executor.steps_per_chunk();
        let mut left = steps;
        while left > 0 {
            let count = left.min(max);
            self.fill(count);
            self.executor.train(&self.chunk)?;
            left -= count;
        }
        let losses = self.executor.losses(true)?;
        let seconds = started.elapsed().as_secs_f64();
        let last = losses.last().and_then(|losses| losses.terms.first().copied());
        Ok((seconds, last.unwrap_or(f64::NAN)))
    }

    fn fill(&mut self, count: usize) {
        let Self { task, packer, ids, labels, scenarios, routed, order, chunk, random, steps, .. } = self;
        let batches = task.samples / task.batch;
        let source = source(task, ids, labels, scenarios);
        let samples: Vec<(Vec<u32>, Vec<u32>)> = (0..count)
            .map(|step| {
                let first = (*steps + step) % batches * task.batch;
                let mut rows = order[first..first + task.batch].to_vec();
                if *routed {
                    source.group_by_scenario(&mut rows);
                }
                let mut shuffle: Vec<u32> = (0..task.batch as u32).collect();
                shuffle.shuffle(random);
                (rows, shuffle)
            })
            .collect();
        let list: Vec<Step<'_>> = samples
            .iter()
            .map(|(rows, shuffle)| {
                let uniforms = StepUniforms {
                    step: *steps as u32,
                    learning_rate: rate(task, *steps),
                    embedding_rate: rate(task, *steps),
                    ..StepUniforms::default()
                };
                *steps += 1;
                Step { rows, shuffle, uniforms }
            })
            .collect();
        packer.fill(&source, &list, chunk);
    }
}

/// The learning rate with Adam's bias corrections, as a run sets it.
fn rate(task: &Task, step: usize) -> f32 {
    let t = step as i32 + 1;
    (task.learning_rate * (1.0 - 0.999_f64.powi(t)).sqrt() / (1.0 - 0.9_f64.powi(t))) as f32
}
