//! Reverse-mode differentiation of a graph, and the subgraph that predictions need.

use std::collections::HashMap;

use super::TrainingOptions;
use crate::graph::{Graph, Node, TensorId};
use crate::ops::{Combine, DenseAdam, Op, Operation, RowAdam, RowSweep};

/// The graph with its backward pass and optimiser appended, and each parameter's gradient.
pub(super) fn with_training(forward: &Graph, options: &TrainingOptions) -> (Graph, Vec<TensorId>) {
    let mut graph = forward.clone();
    let mut contributions: HashMap<TensorId, Vec<TensorId>> = HashMap::new();
    for node in forward.nodes.iter().rev() {
        let grads: Vec<Option<TensorId>> =
            node.outputs.iter().map(|output| total(&mut graph, &node.name, contributions.get(output))).collect();
        let begins = matches!(node.op, Op::LogitLoss(_));
        if !begins && grads.iter().all(Option::is_none) {
            continue;
        }
        let inputs = node.op.gradient(node, &grads, &mut graph);
        for (&input, gradient) in node.inputs.iter().zip(inputs) {
            contributions.entry(input).or_default().extend(gradient);
        }
    }
    let gradients: Vec<TensorId> = forward
        .parameters
        .iter()
        .map(|parameter| {
            total(&mut graph, &parameter.name, contributions.get(&parameter.tensor))
                .unwrap_or_else(|| panic!("parameter {} has no influence on the loss", parameter.name))
        })
        .collect();
    append_optimiser(&mut graph, &gradients, options);
    (graph, gradients)
}

fn total(graph: &mut Graph, name: &str, parts: Option<&Vec<TensorId>>) -> Option<TensorId> {
    match parts?.as_slice() {
        [] => None,
        [one] => Some(*one),
        several => Some(Combine::total(graph, name, several)),
    }
}

fn append_optimiser(graph: &mut Graph, gradients: &[TensorId], options: &TrainingOptions) {
    let parameters = (0..gradients.len()).collect();
    if !gradients.is_empty() {
        graph.add("dense", DenseAdam { parameters, options: options.dense }, gradients);
    }
    let rows: Vec<(usize, usize, TensorId)> = graph
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Op::EmbedGrad(op) => Some((op.table, op.width, node.outputs[0])),
            _ => None,
        })
        .collect();
    for (table, width, gradient) in rows {
        let name = graph.tables[table].name.clone();
        graph.add(&name, RowAdam { table, width, options: options.embeddings }, &[gradient]);
        if options.sweep_embeddings {
            graph.add(&name, RowSweep { table, width, options: options.embeddings }, &[]);
        }
    }
}

/// The nodes that the logits depend on, as they are when predicting.
pub(super) fn forward_only(graph: &Graph) -> Graph {
    let mut needed: Vec<bool> = vec![false; graph.tensors.len()];
    if let Some(logits) = graph.logits {
        needed[logits.0] = true;
    }
    let mut nodes: Vec<Node> = Vec::new();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|output| needed[output.0]) {
            for input in &node.inputs {
                needed[input.0] = true;
            }
            nodes.push(Node { op: node.op.inference(), ..node.clone() });
        }
    }
    nodes.reverse();
    let mut graph = graph.clone();
    graph.nodes = nodes;
    graph
}
