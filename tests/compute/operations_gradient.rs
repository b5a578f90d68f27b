//! Every gradient rule against finite differences of the loss, in f64 on the CPU, with the operation in the midst of a
//! graph.

use polyscene::check::data::{Data, fault, named, random_state, training};
use polyscene::check::graphs::{SmallGraph, small_graphs};
use polyscene::graph::ParameterRole;
use polyscene::ops::ModelState;
use polyscene::plan::{CpuExecutor, Executor, Plan, StepChunk};

/// Half the distance between the two losses of a difference.
const STEP: f64 = 1e-5;
/// A central difference errs by STEP² times the third derivative and by 1e-16 / STEP; gradients are of the order of 0.01 to 1.
const TOLERANCE: f64 = 1e-9;

/// Samples of the step; the plan has room for more.
const ROWS: usize = 7;

fn loss(executor: &mut CpuExecutor<f64>, chunk: &StepChunk) -> f64 {
    executor.train(chunk).unwrap();
    executor.losses(true).unwrap()[0].total
}

/// The first value that is off from the differences, in words. Where the loss bends much, as behind a norm of columns that hardly
/// vary, that is seen in differences over half the step, from which Richardson's extrapolation takes the error by STEP².
fn off_differences(
    found: &[f64],
    executor: &mut CpuExecutor<f64>,
    chunk: &StepChunk,
    pick: impl Fn(&mut ModelState<f64>) -> &mut Vec<f64>,
) -> Option<String> {
    let whole = differences(executor, chunk, STEP, &pick);
    fault(found, &whole, TOLERANCE)?;
    let half = differences(executor, chunk, STEP / 2.0, &pick);
    let better: Vec<f64> = whole.iter().zip(&half).map(|(whole, half)| (4.0 * half - whole) / 3.0).collect();
    fault(found, &better, TOLERANCE)
}

/// Central differences of the loss by every value of the list that `pick` names.
fn differences(
    executor: &mut CpuExecutor<f64>,
    chunk: &StepChunk,
    step: f64,
    pick: impl Fn(&mut ModelState<f64>) -> &mut Vec<f64>,
) -> Vec<f64> {
    (0..pick(executor.model_mut()).len())
        .map(|i| {
            let value = pick(executor.model_mut())[i];
            let mut at = |x: f64| {
                pick(executor.model_mut())[i] = x;
                loss(executor, chunk)
            };
            let difference = (at(value + step) - at(value - step)) / (2.0 * step);
            pick(executor.model_mut())[i] = value;
            difference
        })
        .collect()
}

/// Whether every parameter has a gradient to speak of: differences prove nothing where nothing changes the loss.
fn is_live(small: &SmallGraph, state: &ModelState<f64>) -> bool {
    let moves = |name: &str| {
        let derived = small
            .graph
            .parameters
            .iter()
            .any(|p| p.role != ParameterRole::Trained && name == format!("{}'s first moments", p.name));
        name.ends_with("first moments") && !derived && !small.constant.as_ref().is_some_and(|t| name.starts_with(t))
    };
    named(&small.graph, state)
        .iter()
        .all(|(name, values)| !moves(name) || values.iter().any(|gradient| gradient.abs() > 1e4 * TOLERANCE))
}

fn faults(small: &SmallGraph) -> Vec<String> {
    let graph = &small.graph;
    let (train, predict) = (Plan::training(graph, &training(ROWS + 3)), Plan::inference(graph, ROWS));
    let data = Data::random(graph, 11, 3);
    // With a learning rate of 0 the state stays as it is.
    let chunk = data.chunk(&train, 0, &[ROWS], 0.0, false);
    // In some states a narrow ReLU lets nothing through.
    let (state, mut executor) = (0..20)
        .find_map(|seed| {
            let state = random_state::<f64>(graph, seed);
            let mut executor = CpuExecutor::new(train.clone(), predict.clone(), state.clone());
            loss(&mut executor, &chunk);
            is_live(small, executor.model()).then_some((state, executor))
        })
        .expect("a state in which every parameter matters");
    // The first moments are the gradients (β₁ = 0), of embedding rows as well.
    let after = executor.model().clone();
    let trained: Vec<_> =
        graph.parameters.iter().enumerate().filter(|(_, parameter)| parameter.role == ParameterRole::Trained).collect();
    for &(i, _) in &trained {
        assert_eq!(after.dense.weights[i], state.dense.weights[i]);
        assert_eq!(executor.gradients()[i], after.dense.first[i]);
    }
    let mut faults = Vec::new();
    for (i, parameter) in trained {
        let off = off_differences(&after.dense.first[i], &mut executor, &chunk, |state| &mut state.dense.weights[i]);
        faults.extend(off.map(|fault| format!("{}{fault}", parameter.name)));
    }
    for (i, table) in graph.tables.iter().enumerate().filter(|(_, t)| small.constant.as_ref() != Some(&t.name)) {
        let off = off_differences(&after.tables[i].first, &mut executor, &chunk, |state| {
            state.tables[i].weights.full_mut().unwrap()
        });
        faults.extend(off.map(|fault| format!("{}{fault}", table.name)));
    }
    faults
}

#[test]
fn gradients_are_the_losses_differences() {
    let mut all = Vec::new();
    for small in small_graphs() {
        all.extend(faults(&small).into_iter().map(|fault| format!("{}: {fault}", small.name)));
    }
    assert!(all.is_empty(), "{} gradients are wrong:\n{}", all.len(), all.join("\n"));
}
