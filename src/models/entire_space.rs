//! Clicks and the conversions that follow them, learnt from all impressions: the Entire Space Multi-Task Model (Ma et al. 2018,
//! "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate"), with any model in the
//! place of its two multilayer perceptrons.
//!
//! A conversion is only seen after a click, so a model of conversions that learns from clicked rows alone never sees the rows
//! that it will be asked about. Here two copies of a model predict the click (CTR) and the conversion after it (CVR); what is
//! compared with labels, on all rows, are the click and the product of both, that of click and conversion (CTCVR).

use std::collections::HashMap;

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
        if conversion.logit == conversions.logit {
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
