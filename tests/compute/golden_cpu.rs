//! Models against PyTorch's values (`tests/golden/`), on the CPU executor in f64: logits, losses, every named
//! gradient, ten Adam steps.

use crate::common::{CASES, Golden, difference, only_step, plans};
use polyscene::graph::{Node, ParameterRole};
use polyscene::ops::Op;
use polyscene::plan::{CpuExecutor, Executor};

/// Clocks hold the learning rate in f32, so that steps agree to its precision only.
const STEP_TOLERANCE: f64 = 1e-6;
/// What f64 leaves over in one pass.
const TOLERANCE: f64 = 1e-10;

#[test]
fn one_step_gives_pytorchs_losses_and_gradients() {
    for name in CASES {
        let golden = Golden::open(name);
        let (graph, train, predict) = plans(&golden);
        let (batch_layout, gradient_rows) = (train.batch_layout.clone(), train.clone());
        let mut executor = CpuExecutor::<f64>::new(train, predict, golden.state(&graph, "param"));
        let chunk = only_step(&golden.steps(&graph, &batch_layout), 0);
        executor.train(&chunk).unwrap();
        let losses = executor.losses(true).unwrap();
        let check = |what: &str, found: &[f64], expected: &[f64]| {
            let off = difference(found, expected);
            assert!(off < TOLERANCE, "{name}: {what} differs by {off:e} of its largest value");
        };
        check("loss", &[losses[0].total], &golden.values("output.loss"));
        for (term, &value) in graph.losses.iter().zip(&losses[0].terms) {
            check(&term.name, &[value], &golden.values(&format!("output.{}", term.name)));
        }
        let trained = graph
            .parameters
            .iter()
            .zip(executor.gradients())
            .filter(|(parameter, _)| parameter.role == ParameterRole::Trained);
        let mut known = 0;
        for (parameter, gradient) in trained {
            check(&parameter.name, gradient, &golden.values(&format!("grad.{}", parameter.name)));
            known += 1;
        }
        // Embedding gradients: the summed rows, put back where they belong.
        for (number, (table, keys)) in graph.tables.iter().zip(&batch_layout.keys).enumerate() {
            let sums = |node: &&Node| matches!(&node.op, Op::EmbedGrad(op) if op.table == number);
            let node = gradient_rows.graph.nodes.iter().find(sums).expect("tables have gradients");
            let rows = executor.tensor(node.outputs[0]).expect("gradients of rows are kept");
            let mut dense = vec![0.0; table.len()];
            for u in 0..chunk.words[keys.count] as usize {
                let row = chunk.words[keys.unique + u] as usize;
                dense[row * table.width..][..table.width].copy_from_slice(&rows[u * table.width..][..table.width]);
            }
            for field in &table.fields {
                let found = &dense[field.offset * table.width..][..field.rows * table.width];
                check(&field.name, found, &golden.values(&format!("grad.{}.{}", table.name, field.name)));
                known += 1;
            }
        }
        // The embeddings and dense parameters in the file are all there are.
        let unused = |file: &String| file.starts_with("grad.discriminator") && *name == "mi-dpg-c-last";
        let in_file = golden.names().iter().filter(|file| file.starts_with("grad.") && !unused(file)).count();
        let last = graph.parameters.iter().filter(|p| p.name.starts_with("discriminator") && *name == "mi-dpg-c-last");
        assert_eq!(in_file, known - last.count(), "{name}: parameters");
    }
}

#[test]
fn predictions_are_pytorchs() {
    for name in CASES {
        let golden = Golden::open(name);
        let (graph, train, predict) = plans(&golden);
        let (state, expected) = golden.prediction(&graph);
        let mut executor = CpuExecutor::<f64>::new(train, predict, state);
        let logits: Vec<f64> = golden.predict(&mut executor).into_iter().map(f64::from).collect();
        let off = difference(&logits, &expected);
        assert!(off < 1e-6, "{name}: logits differ by {off:e}");
        if golden.has("output.gated_logits") {
            // d_r = d_k = 1 and d_c = d_n: the weighting is a gate on the layer's inputs (AdaSparse, PEPNet).
            let off = difference(&logits, &golden.values("output.gated_logits"));
            assert!(off < 1e-6, "{name}: gated logits differ by {off:e}");
        }
    }
}

#[test]
fn ten_adam_steps_are_pytorchs() {
    for name in CASES {
        let golden = Golden::open(name);
        let (graph, train, predict) = plans(&golden);
        let batch_layout = train.batch_layout.clone();
        let mut executor = CpuExecutor::<f64>::new(train, predict, golden.state(&graph, "param"));
        executor.train(&golden.steps(&graph, &batch_layout)).unwrap();
        let losses: Vec<f64> = executor.losses(true).unwrap().iter().map(|losses| losses.total).collect();
        let off = difference(&losses, &golden.values("adam.losses"));
        assert!(off < STEP_TOLERANCE, "{name}: losses differ by {off:e}");
        let expected = golden.state(&graph, "adam.param");
        let found = executor.model();
        for (i, parameter) in
            graph.parameters.iter().enumerate().filter(|(_, parameter)| parameter.role != ParameterRole::Derived)
        {
            let off = difference(&found.dense.weights[i], &expected.dense.weights[i]);
            assert!(off < STEP_TOLERANCE, "{name}: {} differs by {off:e}", parameter.name);
        }
        for (table, (found, expected)) in graph.tables.iter().zip(found.tables.iter().zip(&expected.tables)) {
            let off = difference(&found.weights.to_vec(), &expected.weights.to_vec());
            assert!(off < STEP_TOLERANCE, "{name}: {} differs by {off:e}", table.name);
        }
    }
}
