//! Clicks and the conversions that follow them, learnt from all impressions: the Entire Space Multi-Task Model (Ma et al. 2018,
//! "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate"), with any model in the
//! place of its two multilayer perceptrons.
//!
//! A conversion is only seen after a click, so a model of conversions that learns from clicked rows alone never sees the rows
//! that it will be asked about. Here two copies of a model predict the click (CTR) and the conversion after it (CVR); what is
//! compared with labels, on all rows, are the click and the product of both, that of click and conversion (CTCVR).

use std::collections::HashMap;

use super::CROSS_ENTROPY;
use crate::graph::{EmbeddingTable, Graph, LossTerm, Node, Parameter, Probe, Tensor, TensorId};
use crate::layers::cross_entropy_with;
use crate::ops::{JointLogit, Label, Op, Operation, Renumbered};

/// What the logit of a click is called among the predictions.
pub const CLICK_HEAD: &str = "ctr";
/// What the logit of a conversion after a click is called.
pub const CONVERSION_HEAD: &str = "cvr";

/// The model as a pair of towers, `ctr` and `cvr`, over shared embedding tables: its logit is that of click and conversion, its
/// heads those of the towers.
///
/// Wherever the model compares a logit with the label, its tower of clicks is compared with the click, as term `ctr.NAME` of
/// the loss, and the product of both towers' with the label, as term `NAME` (equation 4). What else the model adds to its loss is
/// added by each tower. Tables of one column, which hold the weights of a linear part, are each tower's own.
///
/// # Panics
/// When the model has no logit.
pub fn entire_space(model: &Graph) -> Graph {
    let mut graph = model.empty_like();
    graph.clicks = true;
    let mut shared = Shared::default();
    let [clicks, conversions] =
        [CLICK_HEAD, CONVERSION_HEAD].map(|name| Tower::add(&mut graph, name, model, &mut shared));
    for (click, conversion) in clicks.compared.iter().zip(&conversions.compared) {
        cross_entropy_as(&mut graph, &format!("{CLICK_HEAD}.{}", click.term.name), click, click.logit, Label::Click);
        let name = &conversion.term.name;
        let joint = graph.add_one(&format!("{name}.joint"), JointLogit, &[click.logit, conversion.logit]);
        if name == CROSS_ENTROPY {
            graph.logits = Some(joint);
        }
        cross_entropy_as(&mut graph, name, conversion, joint, Label::Main);
    }
    let heads = [(CLICK_HEAD, clicks.logit), (CONVERSION_HEAD, conversions.logit)];
    graph.heads = heads.map(|(name, logit)| (name.to_owned(), logit)).to_vec();
    if graph.logits.is_none() {
        // A graph for predictions alone need not have losses.
        graph.logits = Some(graph.add_one("joint", JointLogit, &[clicks.logit, conversions.logit]));
    }
    graph
}

/// A cross entropy with the coefficient that it has in the model.
fn cross_entropy_as(graph: &mut Graph, name: &str, compared: &Compared, logit: TensorId, label: Label) {
    cross_entropy_with(graph, name, logit, label);
    let term = graph.losses.last_mut().expect("just added");
    (term.coefficient, term.warm_up) = (compared.term.coefficient, compared.term.warm_up);
}

/// What the towers have together: numbers and tensors of the model's, with those of the pair.
#[derive(Default)]
struct Shared {
    tables: HashMap<usize, usize>,
    tensors: HashMap<TensorId, TensorId>,
}

/// A logit that the model compares with the label.
struct Compared {
    logit: TensorId,
    /// The model's term.
    term: LossTerm,
}

/// One copy of the model.
struct Tower {
    logit: TensorId,
    compared: Vec<Compared>,
}

impl Tower {
    fn add(graph: &mut Graph, name: &str, model: &Graph, shared: &mut Shared) -> Self {
        let named = |own: &str| format!("{name}.{own}");
        let mut numbers = Renumbered { loss_columns: graph.loss_columns, ..Renumbered::default() };
        for (number, table) in model.tables.iter().enumerate() {
            numbers.tables.push(match shared.tables.get(&number) {
                Some(known) => *known,
                None if table.width > 1 => {
                    let added = add_table(graph, table, table.name.clone());
                    shared.tables.insert(number, added);
                    added
                }
                None => add_table(graph, table, named(&table.name)),
            });
        }
        // What reads nothing but shared tables is the same in both.
        let mut tensors = shared.tensors.clone();
        let place = |graph: &mut Graph, tensor: TensorId, tensors: &mut HashMap<TensorId, TensorId>| {
            let Tensor { name, shape, .. } = &model.tensors[tensor.0];
            graph.tensors.push(Tensor { name: named(name), shape: *shape, parameter: None });
            let placed = TensorId(graph.tensors.len() - 1);
            tensors.insert(tensor, placed);
            placed
        };
        for parameter in &model.parameters {
            let tensor = place(graph, parameter.tensor, &mut tensors);
            let number = graph.parameters.len();
            graph.tensors[tensor.0].parameter = Some(number);
            graph.parameters.push(Parameter { name: named(&parameter.name), tensor, ..parameter.clone() });
            numbers.parameters.push(number);
        }
        let mut compared = Vec::new();
        for node in &model.nodes {
            if let Op::LogitLoss(loss) = &node.op {
                let is_of = |term: &&LossTerm| term.columns.iter().any(|&(column, _)| column == loss.column);
                let term = model.losses.iter().find(is_of).expect("a logged loss is a term").clone();
                compared.push(Compared { logit: tensors[&node.inputs[0]], term });
                continue;
            }
            if !node.outputs.is_empty() && node.outputs.iter().all(|output| shared.tensors.contains_key(output)) {
                continue;
            }
            let mut op = node.op.clone();
            op.renumber(&numbers);
            let of_shared_tables = match &op {
                Op::Embed(embed) => shared.tables.values().any(|table| *table == embed.table),
                _ => !node.inputs.is_empty(),
            };
            let is_shared = of_shared_tables
                && !node.op.is_loss()
                && node.inputs.iter().all(|input| shared.tensors.contains_key(input));
            for &output in &node.outputs {
                // A parameter that others are made into has its place.
                if !tensors.contains_key(&output) {
                    let placed = place(graph, output, &mut tensors);
                    if is_shared {
                        graph.tensors[placed.0].name = model.tensors[output.0].name.clone();
                        shared.tensors.insert(output, placed);
                    }
                }
            }
            let own = |of: &[TensorId]| of.iter().map(|tensor| tensors[tensor]).collect::<Vec<_>>();
            graph.nodes.push(Node {
                op,
                name: if is_shared { node.name.clone() } else { named(&node.name) },
                inputs: own(&node.inputs),
                outputs: own(&node.outputs),
                stopped: own(&node.stopped),
            });
        }
        graph.loss_columns += model.loss_columns;
        let is_compared = |term: &LossTerm| compared.iter().any(|known: &Compared| known.term.name == term.name);
        graph.losses.extend(model.losses.iter().filter(|term| !is_compared(term)).map(|term| LossTerm {
            name: named(&term.name),
            columns: term.columns.iter().map(|&(column, weight)| (numbers.loss_columns + column, weight)).collect(),
            ..term.clone()
        }));
        graph.probes.extend(model.probes.iter().map(|probe| Probe {
            name: named(&probe.name),
            tensor: tensors[&probe.tensor],
            what: probe.what,
        }));
        Self { logit: tensors[&model.logits.expect("a model sets its logits")], compared }
    }
}

/// A copy of a table, called `name`; its fields' lookups come after those of the graph's tables.
fn add_table(graph: &mut Graph, table: &EmbeddingTable, name: String) -> usize {
    let first_column: usize = graph.tables.iter().map(|table| table.fields.len()).sum();
    let mut table = EmbeddingTable { name, ..table.clone() };
    for (column, field) in (first_column..).zip(&mut table.fields) {
        field.column = column;
    }
    graph.table(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::data::{Data, random_state, training};
    use crate::models::{DeepFm, Dnn, Inputs, Model, Saml, Star};
    use crate::ops::ModelState;
    use crate::plan::{CpuExecutor, Executor, Plan, RowSource};

    const ROWS: usize = 13;

    fn inputs() -> Inputs {
        let field = |(source, rows): (usize, usize)| crate::layers::Field {
            name: format!("field{source}"),
            source,
            rows,
            cross: crate::graph::Cross::None,
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

    /// The pair's logits, three of a row, those of the towers as models of their own, and the losses of one step.
    fn found(tower: &Graph) -> (Vec<[f64; 3]>, [Vec<f64>; 2], Vec<(String, f64)>) {
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
        let step = crate::plan::Step { rows: &order, shuffle: &order, uniforms };
        crate::plan::BatchPacker::new(&plan.graph, &plan.batch_layout, false).fill(&data.source(), &[step], &mut chunk);
        executor.train(&chunk).unwrap();
        let terms = executor.losses(true).unwrap()[0].terms.clone();
        let losses = pair.losses.iter().map(|term| term.name.clone()).zip(terms).collect();
        let towers = [CLICK_HEAD, CONVERSION_HEAD].map(|name| alone(tower, &pair, &state, name, &data.source()));
        (all.chunks_exact(3).map(|row| [row[0], row[1], row[2]].map(f64::from)).collect(), towers, losses)
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
            let (all, [ctr, cvr], losses) = found(tower);
            let near = |found: f64, expected: f64| (found - expected).abs() < 1e-6 * (1.0 + expected.abs());
            for (row, [joint, click, conversion]) in all.iter().enumerate() {
                assert!(near(*click, ctr[row]) && near(*conversion, cvr[row]), "{click}, {conversion} of row {row}");
                assert!(near(sigmoid(*joint), sigmoid(ctr[row]) * sigmoid(cvr[row])), "{joint} of row {row}");
            }
            let names: Vec<&str> = losses.iter().map(|(name, _)| name.as_str()).collect();
            assert!(names.contains(&"bce") && names.contains(&"ctr.bce"), "{names:?}");
            assert!(losses.iter().all(|(_, loss)| loss.is_finite() && *loss > 0.0), "{losses:?}");
            assert_eq!(names.contains(&"ctr.auxiliary"), names.contains(&"auxiliary"));
        }
        // The losses of a plain pair, from its probabilities and the labels.
        let (all, _, losses) = found(&towers[0]);
        let pair = entire_space(&towers[0]);
        let data = Data::random(&pair, ROWS, 3);
        let source = data.source();
        let entropy = |p: f64, label: f32| if label > 0.5 { -p.ln() } else { -(-p).ln_1p() };
        let mean = |of: &dyn Fn(usize) -> f64| {
            (0..ROWS).map(|row| f64::from(source.weights[row]) * of(row)).sum::<f64>() / ROWS as f64
        };
        let clicks = mean(&|row| entropy(sigmoid(all[row][1]), source.clicks[row]));
        let both = mean(&|row| entropy(sigmoid(all[row][1]) * sigmoid(all[row][2]), source.labels[row]));
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
}
