//! Trials on a device: the model at hand with small tables and made-up rows.

use std::time::{Duration, Instant};

use super::TuningEffort;
use super::search::Trials;
use crate::check::data::{ADAM, Data};
use crate::check::{Largest, STEP_TOLERANCE, run};
use crate::gpu::{self, Gpu};
use crate::graph::{Cross, Graph, Precision};
use crate::ops::ModelState;
use crate::plan::{
    CpuExecutor, Executor, GpuExecutor, GpuOptions, Plan, StepChunk, StepLosses, TrainingOptions, Tuning, initial_state,
};
use crate::train::Error;

/// Rows that a field keeps, at most: the device must have room for two trials beside nothing else, and the host for their
/// states.
const ROWS: usize = 2048;
/// Steps that are sent to the device together.
const STEPS: usize = 8;
/// Samples of all steps of a chunk, at most: a multiple of any batch that trials are of use for.
const MAX_SAMPLES: usize = 1 << 16;

/// A model on a device, as one choice of kernels has it.
pub(super) struct Contender {
    executor: GpuExecutor,
    /// Chunks that a measurement runs.
    chunks: usize,
}

/// A model, steps to train it, and what should come of the first of them.
pub(super) struct GpuTrials<'a> {
    gpu: &'a Gpu,
    graph: Graph,
    options: TrainingOptions,
    state: ModelState<f32>,
    data: Data,
    /// The steps that are timed.
    chunk: StepChunk,
    /// A whole batch and a ragged one.
    steps: [Checked; 2],
    sample: Duration,
    began: Instant,
}

/// A step, and its outcome on the CPU.
struct Checked {
    chunk: StepChunk,
    expected: (ModelState<f32>, Vec<StepLosses>),
}

/// The graph with tables of few rows.
fn with_small_tables(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for table in &mut graph.tables {
        let mut next = 0;
        for field in &mut table.fields {
            field.offset = next;
            match &mut field.cross {
                Cross::None | Cross::Hashed { .. } => field.rows = field.rows.min(ROWS),
                Cross::Scenario { each } => {
                    let scenarios = field.rows / (*each).max(1);
                    *each = (*each).min(ROWS);
                    field.rows = scenarios * *each;
                }
            }
            next += field.rows;
        }
    }
    graph
}

impl<'a> GpuTrials<'a> {
    pub(super) fn new(
        gpu: &'a Gpu,
        graph: &Graph,
        options: &TrainingOptions,
        effort: &TuningEffort,
    ) -> Result<Self, Error> {
        let began = Instant::now();
        let graph = with_small_tables(graph);
        // With β₁ = 0 the first moments are the gradients, which the comparison then sees.
        let options = TrainingOptions { dense: ADAM, embeddings: ADAM, ..options.clone() };
        let plan = Plan::training(&graph, &options);
        let capacity = options.capacity;
        let state = initial_state(&graph, 5);
        let data = Data::random(&graph, (2 * capacity).min(MAX_SAMPLES).max(capacity), 3);
        let count = (MAX_SAMPLES / capacity).clamp(1, STEPS);
        let chunk = data.chunk(&plan, 0, &vec![capacity; count], 1e-3, true);
        let mut cpu =
            CpuExecutor::<f32>::new(Plan::training(&graph, &options), Plan::inference(&graph, capacity), state.clone());
        let mut step = |number: u32, size: usize| -> Result<Checked, Error> {
            cpu.set_state(&state)?;
            let chunk = |resident| data.chunk(&plan, number, &[size], 0.05, resident);
            Ok(Checked { chunk: chunk(true), expected: run(&mut cpu, &chunk(false))? })
        };
        let steps = [step(0, capacity)?, step(1, (2 * capacity / 3).max(1))?];
        Ok(Self { gpu, graph, options, state, data, chunk, steps, sample: effort.sample, began })
    }

    /// A choice on the device, with the first steps' largest difference from the CPU.
    fn try_prepare(&mut self, tuning: &Tuning) -> Result<Result<Contender, String>, Error> {
        let Self { gpu, graph, options, state, data, steps, .. } = self;
        let (train, predict) = (Plan::training(graph, options), Plan::inference(graph, options.capacity));
        let gpu_options = GpuOptions { steps_per_chunk: Some(STEPS), tuning: Some(*tuning), ..GpuOptions::default() };
        let mut executor = GpuExecutor::new((*gpu).clone(), train, predict, state, gpu_options)?;
        if !executor.load(&data.source())? {
            return Ok(Err("its rows do not fit the device".to_owned()));
        }
        let mut largest = Largest::default();
        for Checked { chunk, expected } in steps {
            executor.set_state(state)?;
            largest.note_step(graph, &run(&mut executor, chunk)?, expected);
        }
        if let Some(fault) = largest.fault(tolerance(graph, options)) {
            return Ok(Err(fault));
        }
        let mut contender = Contender { executor, chunks: 1 };
        let once = train_chunks(&mut contender, &self.chunk)?;
        contender.chunks = (self.sample.as_secs_f64() / once.max(1e-6)).clamp(1.0, 1000.0) as usize;
        Ok(Ok(contender))
    }
}

/// What a step may differ from the CPU's, as a part of 1 + the expected value. Sums that differ in the last bit of f32 may be
/// rounded to different halves, which are 2⁻¹⁰ of themselves apart; a table's new value is that of one of them.
fn tolerance(graph: &Graph, options: &TrainingOptions) -> f64 {
    let halves = options.mixed_precision || graph.tables.iter().any(|table| table.precision == Precision::F16);
    if halves { 1.0 / 512.0 } else { STEP_TOLERANCE }
}

/// Seconds that a contender's chunks take.
fn train_chunks(contender: &mut Contender, chunk: &StepChunk) -> Result<f64, Error> {
    let started = Instant::now();
    for _ in 0..contender.chunks {
        contender.executor.train(chunk)?;
        contender.executor.losses(false)?;
    }
    contender.executor.losses(true)?;
    Ok(started.elapsed().as_secs_f64())
}

/// What only this choice of kernels is to blame for.
fn refusal(error: &Error) -> Option<String> {
    use gpu::Error::{OutOfMemory, Pipeline, Subgroups, TooLarge};
    match error {
        Error::Plan(crate::plan::Error::TooLarge { .. }) => Some(error.to_string()),
        Error::Plan(crate::plan::Error::Gpu(fault)) | Error::Device(fault) => {
            matches!(fault, OutOfMemory { .. } | Pipeline { .. } | Subgroups { .. } | TooLarge { .. })
                .then(|| error.to_string())
        }
        _ => None,
    }
}

impl Trials for GpuTrials<'_> {
    type Contender = Contender;

    fn prepare(&mut self, tuning: &Tuning) -> Result<Result<Contender, String>, Error> {
        self.try_prepare(tuning).or_else(|error| refusal(&error).map(Err).ok_or(error))
    }

    fn seconds(&mut self, contender: &mut Contender) -> Result<f64, Error> {
        let steps = contender.chunks * self.chunk.uniforms.len();
        Ok(train_chunks(contender, &self.chunk)? / steps as f64)
    }

    fn subgroup(&self) -> Option<u32> {
        self.gpu.least_subgroup()
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;

    #[test]
    fn small_tables_keep_their_crosses() {
        let field = |name: &str, rows: usize, cross: Cross| crate::graph::TableField {
            name: name.to_owned(),
            source: 0,
            column: 0,
            offset: 0,
            rows,
            cross,
            value: None,
            frozen: false,
            tags: None,
        };
        let mut graph = Workload::new("dnn", 8, 16).graph().unwrap();
        graph.tables[0].fields = vec![
            field("a", 1_000_000, Cross::None),
            field("b", 3 * 50_000, Cross::Scenario { each: 50_000 }),
            field("c", 10_000, Cross::Hashed { each: 1_000_000 }),
            field("d", 7, Cross::None),
        ];
        let fields = &with_small_tables(&graph).tables[0].fields;
        let places: Vec<[usize; 2]> = fields.iter().map(|field| [field.offset, field.rows]).collect();
        assert_eq!(places, [[0, 2048], [2048, 3 * 2048], [4 * 2048, 2048], [5 * 2048, 7]]);
        assert_eq!(fields[1].cross, Cross::Scenario { each: 2048 });
        assert_eq!(fields[2].cross, Cross::Hashed { each: 1_000_000 });
    }

    #[test]
    fn kernels_are_timed_on_a_renderer_and_left_out_where_they_are_wrong() {
        let Some(gpu) = crate::gpu::testing::software() else { return };
        let graph = Workload::new("dnn", 8, 160).graph().unwrap();
        let options = crate::check::data::training(8);
        let mut trials = GpuTrials::new(&gpu, &graph, &options, &TuningEffort::quick()).unwrap();
        let tuning = Tuning::guess(gpu.summary.vendor);
        let mut contender = trials.prepare(&tuning).unwrap().expect("the built-in kernels are right");
        assert!(trials.seconds(&mut contender).unwrap() > 0.0);
        trials.steps[1].expected.0.dense.weights[1][0] += 0.1;
        let fault = trials.prepare(&tuning).unwrap().err().expect("another number than the CPU's");
        assert!(fault.contains(&graph.parameters[1].name) && fault.contains("the CPU has"), "{fault}");
    }

    #[test]
    fn only_what_a_choice_is_to_blame_for_leaves_it_out() {
        let shader = || gpu::Error::Pipeline {
            shader: "affine".to_owned(),
            adapter: "a card".to_owned(),
            reason: "too many registers".to_owned(),
        };
        assert!(refusal(&Error::Device(shader())).unwrap().contains("too many registers"));
        assert!(refusal(&Error::Plan(shader().into())).is_some());
        let lost = gpu::Error::DeviceLost { adapter: "a card".to_owned(), reason: "unplugged".to_owned() };
        assert_eq!(refusal(&Error::Device(lost)), None);
    }
}
