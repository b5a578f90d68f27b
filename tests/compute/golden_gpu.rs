//! Models against PyTorch's values (`tests/golden/`), on the software renderer, with and without bounds checks:
//! logits, losses, every named gradient, ten Adam steps. And the two modes against each other, to the bit.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use crate::common::{CASES, Golden, covering, difference, every_case, on_each, only_step, plans};
use polyscene::check::data::bits;
use polyscene::gpu::{Gpu, OpenOptions, testing};
use polyscene::graph::ParameterRole;
use polyscene::ops::ModelState;
use polyscene::plan::{DispatchLimits, Executor, GpuExecutor, GpuOptions, convert};

const TOLERANCE: f64 = 2e-5;

fn executor(
    golden: &Golden,
    gpu: Gpu,
    submit_limit: Duration,
) -> (GpuExecutor, polyscene::graph::Graph, polyscene::graph::BatchLayout) {
    let (graph, train, predict) = plans(golden);
    let batch_layout = train.batch_layout.clone();
    let state: ModelState<f32> = convert(&golden.state(&graph, "param"));
    // All ten steps are sent together.
    let options = GpuOptions { steps_per_chunk: Some(10), submit_limit, ..GpuOptions::default() };
    let executor = GpuExecutor::new(gpu, train, predict, &state, options).unwrap();
    (executor, graph, batch_layout)
}

/// One for both tests: pipelines are compiled once.
fn software() -> Option<Gpu> {
    static GPU: LazyLock<Option<Gpu>> = LazyLock::new(testing::software);
    GPU.clone()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// One of each of two systems, or those that have every shader between them: what constants do is seen by each operation's own
/// tests, and by all cases on the CPU.
fn covering_cases(gpu: &Gpu) -> Vec<&'static str> {
    if !every_case() {
        // Each operation's own tests run every kernel on a renderer; here models are compared with another implementation.
        return vec!["mi-dpg-r", "saml"];
    }
    let limits = DispatchLimits::of(gpu);
    let shaders = |name: &&str| -> HashSet<String> {
        let (_, train, predict) = plans(&Golden::open(name));
        let dispatches = [train, predict].map(|plan| plan.dispatches(&limits));
        dispatches.iter().flatten().map(|dispatch| dispatch.shader.to_owned()).collect()
    };
    covering(CASES.to_vec(), shaders)
}

#[test]
fn shaders_give_pytorchs_numbers() {
    let open = |checked| testing::software_with(OpenOptions { checked, ..OpenOptions::default() });
    let [Some(first), Some(second), Some(checked)] = [software(), open(false), open(true)] else { return };
    let cases = covering_cases(&first);
    let plain = on_each(&[first, second], cases.clone(), |gpu, name| check_case(name, gpu));
    // Bounds checks are the same whatever the constants; each operation's own tests run with them.
    for (name, plain) in cases.iter().zip(&plain).take(if every_case() { usize::MAX } else { 1 }) {
        assert_eq!(plain, &check_case(name, &checked), "{name}: checked and unchecked shaders differ");
    }
}

/// Compares a case with PyTorch's values; the bits of the model's state after ten steps.
fn check_case(name: &str, gpu: &Gpu) -> Vec<u32> {
    let golden = Golden::open(name);
    let checked = gpu.checked;
    let (mut executor, graph, batch_layout) = executor(&golden, gpu.clone(), GpuOptions::default().submit_limit);
    let check = |what: &str, found: &[f64], expected: &[f64], tolerance: f64| {
        let off = difference(found, expected);
        assert!(off < tolerance, "{name}, checked {checked}: {what} differs by {off:e} of its largest value");
    };
    let (state, expected) = golden.prediction(&graph);
    executor.set_state(&convert(&state)).unwrap();
    check("logits", &wide(&golden.predict(&mut executor)), &expected, TOLERANCE);
    executor.set_state(&convert(&golden.state(&graph, "param"))).unwrap();

    let steps = golden.steps(&graph, &batch_layout);
    executor.train(&only_step(&steps, 0)).unwrap();
    let losses = executor.losses(true).unwrap();
    check("loss", &[losses[0].total], &golden.values("output.loss"), TOLERANCE);
    let gradients = graph.parameters.iter().zip(executor.gradients().unwrap());
    for (parameter, gradient) in gradients.filter(|(parameter, _)| parameter.role == ParameterRole::Trained) {
        let expected = golden.values(&format!("grad.{}", parameter.name));
        check(&parameter.name, &wide(&gradient), &expected, TOLERANCE);
    }

    executor.set_state(&convert(&golden.state(&graph, "param"))).unwrap();
    executor.train(&steps).unwrap();
    let losses: Vec<f64> = executor.losses(true).unwrap().iter().map(|losses| losses.total).collect();
    check("ten losses", &losses, &golden.values("adam.losses"), 1e-4);
    let expected = golden.state(&graph, "adam.param");
    let found = executor.state().unwrap();
    for (i, parameter) in
        graph.parameters.iter().enumerate().filter(|(_, parameter)| parameter.role != ParameterRole::Derived)
    {
        // Where a gradient is near 0, Adam's first steps turn its rounding into a step: compared by norm.
        let off = relative_norm(&found.dense.weights[i], &expected.dense.weights[i]);
        assert!(off < 1e-3, "{name}, checked {checked}: {} is off by {off:e} after ten steps", parameter.name);
    }
    for (table, (found, expected)) in graph.tables.iter().zip(found.tables.iter().zip(&expected.tables)) {
        let off = relative_norm(&found.weights.to_vec(), &expected.weights.to_vec());
        assert!(off < 1e-3, "{name}, checked {checked}: {} is off by {off:e} after ten steps", table.name);
    }
    bits(&found)
}

#[test]
fn where_steps_are_cut_into_submits_changes_no_bit() {
    let Some(gpu) = software() else { return };
    for name in if every_case() { &["mi-dpg-r", "saml"][..] } else { &["mi-dpg-r"] } {
        let golden = Golden::open(name);
        // Each dispatch alone; and all ten steps at once, as soon as it is known how long they take.
        let ends = [Duration::ZERO, Duration::from_secs(3600)].map(|limit| {
            let (mut executor, graph, batch_layout) = executor(&golden, gpu.clone(), limit);
            let steps = golden.steps(&graph, &batch_layout);
            let mut losses = Vec::new();
            for _ in 0..3 {
                executor.train(&steps).unwrap();
                losses.extend(executor.losses(true).unwrap());
            }
            let logits = golden.predict(&mut executor);
            (bits(&executor.state().unwrap()), losses, logits)
        });
        assert!(ends[0] == ends[1], "{name}");
    }
}

fn relative_norm(found: &[f32], expected: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let off = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
    off / norm(&mut expected.iter().copied()).max(1e-12)
}
