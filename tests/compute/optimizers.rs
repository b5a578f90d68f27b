//! Optimisers against the formulas of their papers, in f64 on the CPU, from gradients that are known to be right: those that
//! Adam's first moments show where β₁ is 0 (`operations_gradient.rs`).

use polyscene::check::data::{Data, fault, random_state, training};
use polyscene::check::graphs::{embedding, finish};
use polyscene::graph::{Graph, Optimizer};
use polyscene::layers::Linear;
use polyscene::ops::{Activation, ModelState, OptimizerOptions, TableValues};
use polyscene::plan::{CpuExecutor, Executor, Plan, StepChunk, TrainingOptions};

const WIDTH: usize = 3;
const SAMPLES: usize = 19;
const CONSTANTS: OptimizerOptions = OptimizerOptions { beta1: 0.8, beta2: 0.9, epsilon: 1e-3, l2: 0.02 };
/// The learning rate, which steps get in single precision; that of rows is half of it.
const RATE: f32 = 0.05;
/// A norm that some of the steps exceed.
const NORM: f64 = 0.16;

fn graph(dense: Optimizer, embeddings: Optimizer) -> Graph {
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[90, 5], WIDTH, false);
    let h = Linear::new(4, Activation::Sigmoid).add(&mut graph, "hidden", x);
    finish(&mut graph, h);
    graph.set_optimizers(dense, embeddings);
    graph
}

fn executor(graph: &Graph, options: &TrainingOptions, state: ModelState<f64>) -> CpuExecutor<f64> {
    CpuExecutor::new(Plan::training(graph, options), Plan::inference(graph, SAMPLES), state)
}

fn values(state: &ModelState<f64>) -> Vec<Vec<f64>> {
    let TableValues::Full(rows) = &state.tables[0].weights else { panic!("a table of f64") };
    state.dense.weights.iter().chain([rows]).cloned().collect()
}

/// The gradients at the weights of `state`: of each parameter, and last of the table.
fn gradients(state: &ModelState<f64>, chunk: &StepChunk) -> Vec<Vec<f64>> {
    let graph = graph(Optimizer::Adam, Optimizer::Adam);
    let tables = state.tables.iter().map(|table| table.weights.clone()).collect();
    let state = ModelState::before_training(&graph, state.dense.weights.clone(), tables);
    let mut executor = executor(&graph, &training(SAMPLES), state);
    executor.train(chunk).unwrap();
    let after = executor.model();
    after.dense.first.iter().chain([&after.tables[0].first]).cloned().collect()
}

/// One list's values, and what an optimiser has kept of them so far, by the papers.
struct Values {
    optimizer: Optimizer,
    /// In rows of as many.
    width: usize,
    w: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl Values {
    fn step(&mut self, row: usize, gradient: &[f64], rate: f64) {
        let OptimizerOptions { beta1, beta2, epsilon, l2 } = CONSTANTS;
        let range = row * self.width..(row + 1) * self.width;
        let whole: Vec<f64> =
            gradient[range.clone()].iter().zip(&self.w[range.clone()]).map(|(g, w)| g + l2 * w).collect();
        let mean_square = whole.iter().map(|g| g.powi(2)).sum::<f64>() / self.width as f64;
        for (i, g) in range.zip(whole) {
            let (w, m, v) = (&mut self.w[i], &mut self.m[i], &mut self.v[i]);
            match self.optimizer {
                Optimizer::Adam => {
                    (*m, *v) = (beta1 * *m + (1.0 - beta1) * g, beta2 * *v + (1.0 - beta2) * g.powi(2));
                    *w -= rate * *m / (v.sqrt() + epsilon);
                }
                Optimizer::Adagrad => {
                    *v += g.powi(2);
                    *w -= rate * g / (v.sqrt() + epsilon);
                }
                Optimizer::RowwiseAdagrad => {
                    *v += mean_square;
                    *w -= rate * g / (v.sqrt() + epsilon);
                }
                Optimizer::Sgd => *w -= rate * g,
            }
        }
    }
}

/// Ten steps; whether the norm was beyond the limit, for each.
fn ten_steps(dense: Optimizer, rows: Optimizer, max_gradient_norm: Option<f64>) -> Vec<bool> {
    let name = format!("{dense:?}, rows {rows:?}, norm {max_gradient_norm:?}");
    let graph = graph(dense, rows);
    let options = TrainingOptions { dense: CONSTANTS, embeddings: CONSTANTS, max_gradient_norm, ..training(SAMPLES) };
    let plan = Plan::training(&graph, &options);
    let data = Data::random(&graph, 40, 3);
    let mut executor = executor(&graph, &options, random_state(&graph, 3));
    let before = values(executor.model());
    let last = before.len() - 1;
    let mut expected: Vec<Values> = before
        .into_iter()
        .enumerate()
        .map(|(i, w)| {
            let (optimizer, width) = if i == last { (rows, WIDTH) } else { (dense, 1) };
            Values { optimizer, width, m: vec![0.0; w.len()], v: vec![0.0; w.len()], w }
        })
        .collect();
    let mut clipped = Vec::new();
    for step in 0..10 {
        let chunk = data.chunk(&plan, step, &[SAMPLES - step as usize], RATE, false);
        let mut gradients = gradients(executor.model(), &chunk);
        let norm = gradients.iter().flatten().map(|g| g.powi(2)).sum::<f64>().sqrt();
        if let Some(most) = max_gradient_norm.filter(|most| norm > *most) {
            gradients.iter_mut().flatten().for_each(|g| *g *= most / (norm + 1e-6));
        }
        clipped.push(max_gradient_norm.is_some_and(|most| norm > most));
        let keys = plan.batch_layout.keys[0];
        let read = &chunk.words[keys.unique..][..chunk.words[keys.count] as usize];
        for (i, (values, gradient)) in expected.iter_mut().zip(&gradients).enumerate() {
            if i == last {
                read.iter().for_each(|&row| values.step(row as usize, gradient, f64::from(0.5 * RATE)));
            } else {
                (0..gradient.len()).for_each(|at| values.step(at, gradient, f64::from(RATE)));
            }
        }
        executor.train(&chunk).unwrap();
        for (found, expected) in values(executor.model()).iter().zip(&expected) {
            assert_eq!(fault(found, &expected.w, 1e-12), None, "{name}, step {step}");
        }
    }
    clipped
}

#[test]
fn optimisers_step_as_their_papers_say() {
    use Optimizer::{Adagrad, Adam, RowwiseAdagrad, Sgd};
    for (dense, rows) in [(Adam, Adam), (Adagrad, Adagrad), (Sgd, Sgd), (Adam, RowwiseAdagrad)] {
        ten_steps(dense, rows, None);
        let clipped = ten_steps(dense, rows, Some(NORM));
        assert!(clipped.contains(&true) && clipped.contains(&false), "{clipped:?}");
    }
}

#[test]
fn what_an_optimiser_keeps_is_as_little_as_it_needs() {
    use Optimizer::{Adagrad, Adam, RowwiseAdagrad, Sgd};
    for (optimizer, first, second) in
        [(Adam, 95 * WIDTH, 95 * WIDTH), (Adagrad, 0, 95 * WIDTH), (RowwiseAdagrad, 0, 95), (Sgd, 0, 0)]
    {
        let graph = graph(Sgd, optimizer);
        let state = random_state::<f64>(&graph, 3);
        assert_eq!((state.tables[0].first.len(), state.tables[0].second.len()), (first, second), "{optimizer:?}");
        assert!(state.dense.first.iter().chain(&state.dense.second).all(Vec::is_empty));
    }
}
