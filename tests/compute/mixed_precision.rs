//! Training with activations stored as half floats: what is, that kernels round as the CPU does, and how far a step then is
//! from one in single precision.

use crate::common::interpreted::Interpreted;
use crate::operations_shader::{Subject, inputs, models};
use polyscene::bench::workload::Workload;
use polyscene::check::data::{Data, bits, named, random_state, training};
use polyscene::gpu::{DeviceClass, OpenOptions, testing};
use polyscene::graph::{Graph, Node, RowExtent};
use polyscene::models::{self as registry, Dnn, Model};
use polyscene::ops::{Arenas, ModelState, Operation};
use polyscene::plan::{
    CpuExecutor, DispatchLimits, Executor, GpuExecutor, GpuOptions, Place, Plan, StepChunk, StepLosses,
    TrainingOptions, Tuning,
};

/// Whole batches, a ragged one and a single sample.
const SIZES: [usize; 3] = [67, 17, 1];
/// A half has 11 bits: 2⁻¹¹ is the most that rounding one value adds to it, as a part of it. Two devices whose sums differ in
/// the last bit of f32 may round to different halves, one value in some thousand; the mean gradients that are compared have
/// many such values in them.
const HALF: f64 = 1.0 / 2048.0;

fn options(mixed_precision: bool) -> TrainingOptions {
    TrainingOptions { mixed_precision, ..training(67) }
}

fn chunk(graph: &Graph, plan: &Plan) -> StepChunk {
    Data::random(graph, 150, 3).chunk(plan, 0, &SIZES, 0.01, false)
}

fn on_cpu(graph: &Graph, mixed: bool, state: &ModelState<f32>) -> CpuExecutor<f32> {
    CpuExecutor::new(Plan::training(graph, &options(mixed)), Plan::inference(graph, 67), state.clone())
}

/// The state and losses after a chunk's steps.
fn run(executor: &mut dyn Executor, chunk: &StepChunk) -> (ModelState<f32>, Vec<StepLosses>) {
    executor.train(chunk).unwrap();
    let losses = executor.losses(true).unwrap();
    (executor.state().unwrap(), losses)
}

/// The largest difference, as a part of 1 + the expected value, and where it is.
fn largest(graph: &Graph, found: &ModelState<f32>, expected: &ModelState<f32>) -> (f64, String) {
    let mut worst = (0.0, String::new());
    for ((name, found), (_, expected)) in named(graph, found).into_iter().zip(named(graph, expected)) {
        for (i, (found, expected)) in found.iter().zip(expected.iter()).enumerate() {
            let error = f64::from(found - expected).abs() / (1.0 + f64::from(expected.abs()));
            if error > worst.0 || error.is_nan() {
                worst = (error, format!("{name}[{i}] is {found}, expected {expected}"));
            }
        }
    }
    worst
}

#[test]
fn kernels_agree_with_the_cpu_in_mixed_precision() {
    for (name, graph) in models() {
        let plan = Plan::training(&graph, &options(true));
        let state = random_state::<f32>(&graph, 5);
        let chunk = chunk(&graph, &plan);
        let (cpu, losses) = run(&mut on_cpu(&graph, true, &state), &chunk);
        let mut ends = Vec::new();
        for tuning in [
            Tuning::of_class(DeviceClass::Hardware),
            Tuning { segments: false, ..Tuning::of_class(DeviceClass::Hardware) },
        ] {
            let predict = Plan::inference(&graph, 67);
            let mut host = Interpreted::new(plan.clone(), predict, &state, None, tuning);
            let (end, found) = host.run_from(&state, &chunk);
            assert!(host.races.is_empty(), "{name}: {}", host.races.join("\n"));
            let (error, place) = largest(&graph, &end, &cpu);
            assert!(error < 4.0 * HALF, "{name}, {tuning}: {place}");
            for (found, expected) in found.iter().zip(&losses) {
                assert!((found.total - expected.total).abs() < HALF, "{name}: {} and {}", found.total, expected.total);
            }
            ends.push(bits(&end));
        }
        assert_eq!(ends[0], ends[1], "{name}: segments change no bit");
        // And it is another step than that in single precision, but not by much.
        let (single, _) = run(&mut on_cpu(&graph, false, &state), &chunk);
        let (error, place) = largest(&graph, &cpu, &single);
        assert!(error > 1e-6, "{name}: nothing was rounded");
        assert!(error < 64.0 * HALF, "{name}: {place}");
    }
}

/// A renderer's kernels; and a GPU's where the halves need two buffers.
#[test]
fn a_renderer_agrees_with_the_cpu_in_mixed_precision() {
    let graph = Dnn { width: 16, hidden: vec![24, 8], dropout: 0.2 }.build(&inputs()).unwrap();
    let (plan, predict) = (|| Plan::training(&graph, &options(true)), || Plan::inference(&graph, 67));
    let state = random_state::<f32>(&graph, 5);
    let chunk = chunk(&graph, &plan());
    let (cpu, _) = run(&mut on_cpu(&graph, true, &state), &chunk);
    let near = |what: &str, end: &ModelState<f32>| {
        let (error, place) = largest(&graph, end, &cpu);
        assert!(error < 4.0 * HALF, "{what}: {place}");
    };
    let tuning = Tuning::of_class(DeviceClass::Hardware);
    let small = DispatchLimits { binding_bytes: 24 << 10, tuning };
    assert_eq!(plan().memory(&small).layout, Arenas::Mixed(2));
    let mut host = Interpreted::new(plan(), predict(), &state, Some(small.binding_bytes), tuning);
    near("two arenas of halves", &host.run_from(&state, &chunk).0);
    let Some(gpu) = testing::software_with(OpenOptions { checked: true, ..OpenOptions::default() }) else { return };
    let options = GpuOptions { steps_per_chunk: Some(SIZES.len()), ..GpuOptions::default() };
    assert_eq!(plan().memory(&options.limits(&gpu)).layout, Arenas::Mixed(1));
    let mut executor = GpuExecutor::new(gpu, plan(), predict(), &state, options).unwrap();
    let (end, _) = run(&mut executor, &chunk);
    near("a renderer", &end);
    executor.set_state(&state).unwrap();
    assert_eq!(bits(&run(&mut executor, &chunk).0), bits(&end), "a second run");
}

#[test]
fn activations_take_half_the_memory_and_sums_stay_single() {
    for model in registry::SYSTEMS {
        let graph = Workload::new(model, 512, 1000).graph().unwrap();
        let plan = |mixed_precision| Plan::training(&graph, &TrainingOptions { mixed_precision, ..training(512) });
        let [single, mixed] = [plan(false), plan(true)];
        let limits = DispatchLimits::portable();
        let [before, after] = [&single, &mixed].map(|plan| plan.memory(&limits).bytes().sum::<u64>());
        // Sums of embedding gradients are a good part of a small network's memory.
        let most = if *model == "dnn" { 0.8 } else { 0.65 };
        assert!((after as f64) < most * before as f64, "{model}: {before} to {after} bytes");
        let memory = mixed.memory(&limits);
        for node in &mixed.graph.nodes {
            for &output in &node.outputs {
                let Place::Activation { arena, .. } = memory.places[output.0] else { continue };
                let half = memory.layout.is_of_halves(arena);
                assert_eq!(half, mixed.is_half(output), "{model}: {}", node.name);
                let summed =
                    node.op.name() == "embed_grad" || matches!(mixed.graph.shape(output).rows, RowExtent::Fixed(_));
                assert!(!(half && summed), "{model}: {} of {}", node.op.name(), node.name);
            }
        }
        let logit = |node: &&Node| node.op.name() == "logit_loss";
        assert!(mixed.graph.nodes.iter().filter(logit).all(|node| !mixed.is_half(node.inputs[0])), "{model}");
    }
}
