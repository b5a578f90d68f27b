//! Embedding tables stored as half floats: that kernels round as the CPU does, to the bit, and how far whole models then are
//! from PyTorch's values, which are of tables in f64.

use crate::common::interpreted::Interpreted;
use crate::common::{CASES, Golden, difference};
use half::f16;
use polyscene::check::data::{Data, training};
use polyscene::check::graphs::{embedding, finish};
use polyscene::gpu::{DeviceClass, OpenOptions, testing};
use polyscene::graph::{Graph, Precision};
use polyscene::ops::{ModelState, OptimizerOptions, TableValues};
use polyscene::plan::{
    CpuExecutor, DispatchLimits, Executor, GpuExecutor, GpuOptions, Plan, StepChunk, TrainingOptions, Tuning,
    check_graph, initial_state,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const WIDTH: usize = 5;

/// Numbers of every exponent with every seven leading bits, both signs, infinities and NaN among them; halves, and their
/// neighbours in f32. But none whose half f32 can only write as a subnormal number, which a GPU may take for 0.
fn numbers() -> Vec<f32> {
    let mut random = Pcg64::seed_from_u64(7);
    let mut numbers: Vec<f32> =
        (0..1_u32 << 16).map(|high| f32::from_bits(high << 16 | random.random_range(0..1 << 16))).collect();
    for half in (0..=u16::MAX).step_by(37).chain([1, 2, 0x3ff, 0x400, 0x401, 0x7bff]).map(f16::from_bits) {
        let bits = half.to_f32().to_bits();
        numbers.extend([bits, bits.wrapping_sub(1), bits.wrapping_add(1)].map(f32::from_bits));
    }
    numbers.retain(|number| *number == 0.0 || number.is_nan() || number.abs() >= 2.0 * f32::MIN_POSITIVE);
    numbers
}

/// A table of zeros, and moments with which the sweep of dense Adam puts −x in the place of 2x: with β₁ = ½, ε = 1, a rate of
/// 1 and no second moment the step is half the first moment, in any arithmetic. So every number goes through the rounding.
fn rounding() -> (Graph, TrainingOptions, ModelState<f32>) {
    let numbers = numbers();
    let mut graph = Graph::new();
    let rows = numbers.len().div_ceil(WIDTH);
    let x = embedding(&mut graph, "embedding", &[rows], WIDTH, false);
    finish(&mut graph, x);
    graph.set_embedding_precision(Precision::F16);
    let embeddings = OptimizerOptions { beta1: 0.5, beta2: 0.9, epsilon: 1.0, l2: 0.0 };
    let options = TrainingOptions { embeddings, dense_embedding_adam: true, ..training(1) };
    let mut state = initial_state(&graph, 1);
    state.tables[0].weights = TableValues::zeros(rows * WIDTH, Precision::F16);
    state.tables[0].first[..numbers.len()].copy_from_slice(&numbers);
    (graph, options, state)
}

fn step(graph: &Graph, options: &TrainingOptions, step: u32) -> StepChunk {
    // Rows are updated at half the rate.
    Data::random(graph, 3, 3).chunk(&Plan::training(graph, options), step, &[1], 2.0, false)
}

/// The table's halves, all NaN as one, without the row that the batch read.
fn halves(state: &ModelState<f32>, chunk: &StepChunk) -> Vec<u16> {
    let TableValues::Half(halves) = &state.tables[0].weights else { panic!("a table of halves") };
    let bits = |half: &f16| if half.is_nan() { f16::NAN.to_bits() } else { half.to_bits() };
    let mut bits: Vec<u16> = halves.iter().map(bits).collect();
    bits[chunk.ids[0] as usize * WIDTH..][..WIDTH].fill(0);
    bits
}

#[test]
fn kernels_round_as_the_cpu_does() {
    let (graph, options, state) = rounding();
    let plans = || (Plan::training(&graph, &options), Plan::inference(&graph, 1));
    let (train, predict) = plans();
    let mut cpu = CpuExecutor::<f32>::new(train, predict, state.clone());
    let (train, predict) = plans();
    // A device's kernels, of a table in several shards.
    let mut host = Interpreted::new(train, predict, &state, Some(64 << 10), Tuning::of_class(DeviceClass::Hardware));
    let gpu = testing::software_with(OpenOptions::default());
    let mut gpu = gpu.map(|gpu| {
        let (train, predict) = plans();
        GpuExecutor::new(gpu, train, predict, &state, GpuOptions::default()).unwrap()
    });
    let mut ends = Vec::new();
    for number in [0, 1] {
        let chunk = step(&graph, &options, number);
        cpu.set_state(&state).unwrap();
        cpu.train(&chunk).unwrap();
        let expected = halves(&cpu.state().unwrap(), &chunk);
        host.set_state(&state);
        host.train(&chunk);
        assert!(host.races.is_empty(), "{}", host.races.join("\n"));
        // The lists are long: not for printing.
        assert!(halves(&host.state(), &chunk) == expected, "kernels for GPUs, step {number}");
        if let Some(gpu) = &mut gpu {
            gpu.set_state(&state).unwrap();
            gpu.train(&chunk).unwrap();
            assert!(halves(&gpu.state().unwrap(), &chunk) == expected, "shaders, step {number}");
        }
        ends.push(expected);
    }
    // What was rounded is a half beside −x, and by each step's own bits: numbers between halves, most of those whose
    // exponents halves have (30 of 254), go the other way in about a third of the cases.
    let numbers = numbers();
    for (number, &bits) in numbers.iter().zip(&ends[0]).filter(|(number, bits)| number.is_finite() && **bits != 0) {
        let exact = (-number / 2.0).clamp(-65_504.0, 65_504.0);
        let half = f16::from_bits(bits);
        let [below, above] = [bits.wrapping_sub(1), bits.wrapping_add(1)].map(|bits| f16::from_bits(bits).to_f32());
        let reach = (above - half.to_f32()).abs().max((below - half.to_f32()).abs());
        assert!((half.to_f32() - exact).abs() <= reach, "{exact:e} became {half:?}");
    }
    let apart = ends[0].iter().zip(&ends[1]).filter(|(a, b)| a != b).count() as f64 / numbers.len() as f64;
    assert!((0.02..0.08).contains(&apart), "{apart}");
}

/// A value that is rounded to the nearest half is off by at most 2⁻¹¹ of itself, and what each step rounds by less than
/// 2⁻¹⁰: so a table by no more than `TEN_STEPS` after ten. No model makes more than twice as much of it, in its logits or in
/// the losses of ten steps.
const FIRST: f64 = 1.0 / 2048.0;
const TEN_STEPS: f64 = FIRST + 10.0 / 1024.0;

#[test]
fn models_with_tables_of_halves_stay_near_pytorchs_values() {
    for name in CASES {
        let golden = Golden::open(name);
        let [mut graph, mut prediction] = golden.graphs();
        for graph in [&mut graph, &mut prediction] {
            graph.set_embedding_precision(Precision::F16);
        }
        let train = Plan::training(&graph, &golden.training());
        let predict = Plan::inference(&prediction, golden.batch());
        let steps = golden.steps(&graph, &train.batch_layout);
        let (state, expected) = golden.prediction(&graph);
        let mut executor = CpuExecutor::<f64>::new(train, predict, state);
        let logits: Vec<f64> = golden.predict(&mut executor).into_iter().map(f64::from).collect();
        let check = |what: &str, off: f64, bound: f64| assert!(off < bound, "{name}: {what} off by {off:e}");
        check("logits", difference(&logits, &expected), 2.0 * FIRST);
        *executor.model_mut() = golden.state(&graph, "param");
        executor.train(&steps).unwrap();
        let losses: Vec<f64> = executor.losses(true).unwrap().iter().map(|losses| losses.total).collect();
        check("ten losses", difference(&losses, &golden.values("adam.losses")), 2.0 * TEN_STEPS);
        let [graph, _] = golden.graphs();
        let expected = golden.state(&graph, "adam.param");
        for (found, expected) in executor.model().tables.iter().zip(&expected.tables) {
            let (found, expected) = (found.weights.to_vec(), expected.weights.to_vec());
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
            let off = norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
            check("a table after ten steps", off / norm(&mut expected.iter().copied()), TEN_STEPS);
        }
    }
}

#[test]
fn a_table_of_halves_takes_half_the_bytes_and_its_moments_what_they_took() {
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[1000, 24], WIDTH, false);
    finish(&mut graph, x);
    let limits = DispatchLimits::new(1 << 27, DeviceClass::Hardware);
    let memory = |graph: &Graph| {
        let plans = [Plan::training(graph, &training(3)), Plan::inference(graph, 3)];
        plans.map(|plan| plan.listing(&limits).memory.tables)
    };
    // On a device rows are padded to eight values.
    assert_eq!(memory(&graph), [8 * 1024 * 12, 8 * 1024 * 4]);
    let least = |graph: &Graph| (0..1 << 20).find(|&bytes| check_graph(graph, bytes).is_ok()).unwrap();
    let of_wide = least(&graph);
    graph.set_embedding_precision(Precision::F16);
    assert_eq!(memory(&graph), [8 * 1024 * 10, 8 * 1024 * 2]);
    assert_eq!(of_wide - least(&graph), 2 * 1024 * WIDTH as u64);

    let Some(gpu) = testing::software_with(OpenOptions::default()) else { return };
    let bytes = |graph: &Graph| {
        let (train, predict) = (Plan::training(graph, &training(3)), Plan::inference(graph, 3));
        let options = GpuOptions::default();
        GpuExecutor::new(gpu.clone(), train, predict, &initial_state(graph, 1), options).unwrap().device_bytes()
    };
    let of_halves = bytes(&graph).unwrap();
    graph.set_embedding_precision(Precision::F32);
    assert_eq!(bytes(&graph).unwrap() - of_halves, 2 * 8 * 1024);
}
