//! Any model as a pair of towers: what they say is what two models of their own say, and the losses are those of its product.

use polyscene::check::data::{Data, random_state, training};
use polyscene::graph::{Cross, Graph};
use polyscene::layers::Field;
use polyscene::models::{CLICK_HEAD, CONVERSION_HEAD, DeepFm, Dnn, Inputs, Model, Saml, Star, entire_space};
use polyscene::ops::{ModelState, Op};
use polyscene::plan::{BatchPacker, CpuExecutor, Executor, Plan, RowSource, Step};

const ROWS: usize = 13;

fn inputs() -> Inputs {
    let field = |(source, rows): (usize, usize)| Field {
        name: format!("field{source}"),
        source,
        rows,
        cross: Cross::None,
        value: None,
        tags: None,
    };
    Inputs {
        fields: [3, 5, 7].into_iter().enumerate().map(field).collect(),
        aware: 1,
        scenarios: 3,
        has_scenarios: true,
        scenario: Some(0),
        sequences: Vec::new(),
    }
}

/// What comes of a pair.
struct Found {
    /// Its logits, three of a row.
    logits: Vec<[f64; 3]>,
    /// Those of the towers as models of their own.
    towers: [Vec<f64>; 2],
    /// The terms of the loss of one step.
    losses: Vec<(String, f64)>,
}

fn found(tower: &Graph) -> Found {
    let pair = entire_space(tower);
    let state = random_state::<f64>(&pair, 4);
    let data = Data::random(&pair, ROWS, 3);
    let plan = Plan::training(&pair, &training(ROWS));
    let mut executor = CpuExecutor::new(plan.clone(), Plan::inference(&pair, ROWS), state.clone());
    let all = executor.predict(&data.source()).unwrap();
    // Each row once, unlike the rows of `Data::chunk`.
    let mut chunk = data.chunk(&plan, 0, &[ROWS], 0.0, false);
    chunk.uniforms[0].logit_offset = 0.0;
    let order: Vec<u32> = (0..ROWS as u32).collect();
    let uniforms = chunk.uniforms[0];
    let step = Step { rows: &order, shuffle: &order, uniforms };
    BatchPacker::new(&plan.graph, &plan.batch_layout, false).fill(&data.source(), &[step], &mut chunk);
    executor.train(&chunk).unwrap();
    let terms = executor.losses(true).unwrap()[0].terms.clone();
    let losses = pair.losses.iter().map(|term| term.name.clone()).zip(terms).collect();
    let towers = [CLICK_HEAD, CONVERSION_HEAD].map(|name| alone(tower, &pair, &state, name, &data.source()));
    let logits = all.chunks_exact(3).map(|row| [row[0], row[1], row[2]].map(f64::from)).collect();
    Found { logits, towers, losses }
}

/// What the model says by itself, with the parameters of one of the towers.
fn alone(tower: &Graph, pair: &Graph, state: &ModelState<f64>, name: &str, source: &RowSource<'_>) -> Vec<f64> {
    let mut own = random_state::<f64>(tower, 0);
    for (parameter, values) in tower.parameters.iter().zip(&mut own.dense.weights) {
        let named = format!("{name}.{}", parameter.name);
        let number = pair.parameters.iter().position(|parameter| parameter.name == named).unwrap();
        values.clone_from(&state.dense.weights[number]);
    }
    for (table, values) in tower.tables.iter().zip(&mut own.tables) {
        let named = if table.width > 1 { table.name.clone() } else { format!("{name}.{}", table.name) };
        let number = pair.tables.iter().position(|table| table.name == named).unwrap();
        values.weights = state.tables[number].weights.clone();
    }
    let plans = (Plan::training(tower, &training(ROWS)), Plan::inference(tower, ROWS));
    let logits = CpuExecutor::new(plans.0, plans.1, own).predict(source).unwrap();
    logits.into_iter().map(f64::from).collect()
}

#[test]
fn a_pair_is_two_models_and_the_product_of_their_probabilities() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let towers = [
        Dnn { width: 4, hidden: vec![6, 3], dropout: 0.0 }.build(&inputs()).unwrap(),
        DeepFm { width: 4, hidden: vec![6], ..DeepFm::default() }.build(&inputs()).unwrap(),
        Saml { width: 4, hidden: vec![6], heads: 2, ..Saml::default() }.build(&inputs()).unwrap(),
        Star { width: 4, hidden: vec![6], auxiliary_hidden: 3, ..Star::default() }.build(&inputs()).unwrap(),
    ];
    for tower in &towers {
        let Found { logits, towers: [ctr, cvr], losses } = found(tower);
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-6 * (1.0 + expected.abs());
        for (row, [joint, click, conversion]) in logits.iter().enumerate() {
            assert!(near(*click, ctr[row]) && near(*conversion, cvr[row]), "{click}, {conversion} of row {row}");
            assert!(near(sigmoid(*joint), sigmoid(ctr[row]) * sigmoid(cvr[row])), "{joint} of row {row}");
        }
        let names: Vec<&str> = losses.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"bce") && names.contains(&"ctr.bce"), "{names:?}");
        assert!(losses.iter().all(|(_, loss)| loss.is_finite() && *loss > 0.0), "{losses:?}");
        assert_eq!(names.contains(&"ctr.auxiliary"), names.contains(&"auxiliary"));
    }
    // The losses of a plain pair, from its probabilities and the labels.
    let Found { logits, losses, .. } = found(&towers[0]);
    let pair = entire_space(&towers[0]);
    let data = Data::random(&pair, ROWS, 3);
    let source = data.source();
    let entropy = |p: f64, label: f32| if label > 0.5 { -p.ln() } else { -(-p).ln_1p() };
    let mean = |of: &dyn Fn(usize) -> f64| {
        (0..ROWS).map(|row| f64::from(source.weights[row]) * of(row)).sum::<f64>() / ROWS as f64
    };
    let clicks = mean(&|row| entropy(sigmoid(logits[row][1]), source.clicks[row]));
    let both = mean(&|row| entropy(sigmoid(logits[row][1]) * sigmoid(logits[row][2]), source.labels[row]));
    for (name, expected) in [("ctr.bce", clicks), ("bce", both)] {
        let found = losses.iter().find(|(known, _)| known == name).unwrap().1;
        assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
    }
}

#[test]
fn embeddings_are_shared_and_linear_weights_are_not() {
    let tower = DeepFm { width: 4, hidden: vec![6], ..DeepFm::default() }.build(&inputs()).unwrap();
    let pair = entire_space(&tower);
    let names: Vec<(&str, usize)> = pair.tables.iter().map(|table| (table.name.as_str(), table.width)).collect();
    let shared = names.iter().filter(|(_, width)| *width > 1).count();
    assert_eq!((names.len(), shared), (2 * tower.tables.len() - shared, 1), "{names:?}");
    let lookups: Vec<usize> = pair.tables.iter().flat_map(|t| t.fields.iter().map(|field| field.column)).collect();
    assert_eq!(lookups, (0..lookups.len()).collect::<Vec<_>>());
    let reads = pair.nodes.iter().filter(|node| matches!(node.op, Op::Embed(_))).count();
    assert_eq!(reads, pair.tables.len(), "a shared table is read once");
}
