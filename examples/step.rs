//! Does a step's time grow with the vocabulary? Training steps with 100 thousand and with 10 million embedding rows,
//! run alternately in one process; medians and their ratio.
//!
//! `cargo bench --bench embedding_rows [-- DEVICE…]`, devices as `--device` names them (default: cpu and software).

use std::time::Instant;

use polyscene::gpu::{DeviceChoice, Gpu, OpenOptions, Selection, select};
use polyscene::layers::Field;
use polyscene::models::{self, Inputs, Model, Visitor};
use polyscene::ops::{AdamOptions, Clock};
use polyscene::plan::{
    Chunk, CpuExecutor, Executor, Feeder, GpuExecutor, GpuOptions, Plan, Source, Step, TrainingOptions, initial_state,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const BATCH: usize = 512;
/// The papers' workload: 4 aware and 12 agnostic fields.
const FIELDS: usize = 16;
const AWARE: usize = 4;
/// Different chunks, so that steps do not all find the same rows in the caches.
const CHUNKS: usize = 8;
const ROUNDS: usize = 40;

/// One model with a table of a certain size on a device, and steps to run.
struct Subject {
    rows: usize,
    executor: Box<dyn Executor>,
    chunks: Vec<Chunk>,
}

struct Build {
    rows: usize,
    device: DeviceChoice,
}

impl Visitor for Build {
    type Output = Subject;

    fn visit<M: Model>(self) -> Subject {
        let per_field = self.rows / FIELDS;
        let fields = (0..FIELDS)
            .map(|source| Field { name: format!("f{source}"), source, rows: per_field, value: None })
            .collect();
        let graph = M::default().build(&Inputs { fields, aware: AWARE }).expect("default options fit");
        let adam = AdamOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
        let options = TrainingOptions { capacity: BATCH, dense: adam, embeddings: adam, sweep_embeddings: false };
        let train = Plan::training(&graph, &options);
        let predict = Plan::inference(&graph, BATCH);
        let schedule = train.schedule.clone();
        let state = initial_state(&graph, 0);
        let executor: Box<dyn Executor> = match select(&self.device).expect("the device is there") {
            Selection::Cpu => Box::new(CpuExecutor::<f32>::new(train, predict, state)),
            Selection::Adapter(adapter, summary) => {
                let gpu = Gpu::open(&adapter, *summary, OpenOptions::default()).expect("the device opens");
                Box::new(GpuExecutor::new(gpu, train, predict, &state, GpuOptions::default()).expect("the model fits"))
            }
        };
        let mut random = Pcg64::seed_from_u64(1);
        let steps = executor.steps_per_chunk();
        let count = steps * BATCH;
        let mut feeder = Feeder::new(&graph, &schedule, false);
        let chunks = (0..CHUNKS)
            .map(|_| {
                let ids: Vec<u32> = (0..count * FIELDS).map(|_| zipf(&mut random, per_field)).collect();
                let labels: Vec<f32> = (0..count).map(|_| f32::from(u8::from(random.random_bool(0.1)))).collect();
                let source =
                    Source { rows: count, ids: &ids, fields: FIELDS, values: &[], value_count: 0, labels: &labels };
                let rows: Vec<u32> = (0..count as u32).collect();
                let shuffle: Vec<u32> = (0..BATCH as u32).rev().collect();
                let clock = Clock { learning_rate: 1e-3, ..Clock::default() };
                let list: Vec<Step<'_>> =
                    rows.chunks(BATCH).map(|rows| Step { rows, shuffle: &shuffle, clock }).collect();
                let mut chunk = Chunk::default();
                feeder.fill(&source, &list, &mut chunk);
                chunk
            })
            .collect();
        Subject { rows: self.rows, executor, chunks }
    }
}

/// An id drawn with probability about 1 / rank, spread over the rows so that neighbours in rank are not neighbours in
/// memory.
fn zipf(random: &mut Pcg64, rows: usize) -> u32 {
    let rank = (rows as f64).powf(random.random::<f64>()) as u64;
    (rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows as u64) as u32
}

impl Subject {
    /// Seconds of one step, from a chunk run to its end.
    fn step_seconds(&mut self, round: usize) -> f64 {
        let chunk = &self.chunks[round % CHUNKS];
        let started = Instant::now();
        self.executor.train(chunk).expect("the step runs");
        let losses = self.executor.losses(true).expect("the step ends");
        assert!(losses.iter().all(|losses| losses.total.is_finite()));
        started.elapsed().as_secs_f64() / chunk.clocks.len() as f64
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds: usize = args[2].parse().unwrap();
    let rows: usize = args.get(3).map_or(100_000, |r| r.parse().unwrap());
    let device: DeviceChoice = args.get(4).map_or("cpu", |s| s.as_str()).parse().unwrap();
    let mut subject = models::visit(&args[1], Build { rows, device }).unwrap();
    let mut times = Vec::new();
    for round in 0..rounds {
        let t = subject.step_seconds(round);
        if round >= 3 {
            times.push(t);
        }
    }
    let _ = subject.rows;
    println!("{}: {:.3} ms", args[1], 1e3 * median(times));
}
