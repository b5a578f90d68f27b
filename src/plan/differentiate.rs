//! Reverse-mode differentiation of a graph, and the subgraph that predictions need.

use std::collections::HashMap;

use super::TrainingOptions;
use crate::graph::{Graph, Node, Optimizer, ParameterRole, Shape, TensorId};
use crate::ops::{
    Affine, ClipFactor, DenseRowAdam, DenseUpdate, EmbedGrad, GradItem, Op, Operation, RowUpdate, View, WeightGrads,
};

/// The graph with its backward pass and optimiser appended, and each parameter's gradient.
pub(super) fn with_training(forward: &Graph, options: &TrainingOptions) -> (Graph, Vec<Option<TensorId>>) {
    let mut graph = forward.clone();
    let mut contributions: HashMap<TensorId, Vec<TensorId>> = HashMap::new();
    for node in forward.nodes.iter().rev() {
        let grads: Vec<Option<TensorId>> =
            node.outputs.iter().map(|output| total(&mut graph, &node.name, contributions.get(output))).collect();
        if !node.op.is_loss() && grads.iter().all(Option::is_none) {
            continue;
        }
        let inputs = node.op.gradient(node, &grads, &mut graph);
        for (&input, gradient) in node.inputs.iter().zip(inputs) {
            if node.stopped.contains(&input) {
                continue;
            }
            contributions.entry(input).or_default().extend(gradient);
        }
    }
    let parts: Vec<&[TensorId]> = forward
        .parameters
        .iter()
        .map(|parameter| match contributions.get(&parameter.tensor).map(Vec::as_slice) {
            _ if parameter.role == ParameterRole::State => [].as_slice(),
            None | Some([]) => panic!("parameter {} has no influence on the loss", parameter.name),
            Some(parts) => parts,
        })
        .collect();
    gather_sums(&mut graph, &parts);
    let gradients: Vec<Option<TensorId>> = parts.iter().map(|parts| parts.first().copied()).collect();
    append_optimiser(&mut graph, &gradients, options);
    (graph, gradients)
}

fn total(graph: &mut Graph, name: &str, parts: Option<&Vec<TensorId>>) -> Option<TensorId> {
    match parts?.as_slice() {
        [] => None,
        [one] => Some(*one),
        several => Some(Affine::total(graph, name, several)),
    }
}

/// Makes one node of all nodes that sum weight gradients over the samples, so that they are one dispatch. A parameter
/// that occurs several times has several `parts`: all their pairs are summed in the first.
fn gather_sums(graph: &mut Graph, parts: &[&[TensorId]]) {
    let mut first_of: HashMap<TensorId, TensorId> = HashMap::new();
    for parts in parts {
        first_of.extend(parts.iter().map(|&part| (part, parts[0])));
    }
    let mut sums = Gathered::default();
    let mut joint: Vec<Node> = Vec::new();
    for node in std::mem::take(&mut graph.nodes) {
        match node.op {
            Op::WeightGrads(op) => sums.take(&op, &node.inputs, &node.outputs, &first_of),
            Op::EmbedGrad(ref op) => match rows_of(&mut graph.nodes, op.table) {
                Some(known) => join_rows(known, node),
                None => graph.nodes.push(node),
            },
            _ if node.op.joint_name().is_some() => join(&mut joint, node, &first_of),
            _ => graph.nodes.push(node),
        }
    }
    for index in 0..graph.nodes.len() {
        if let Op::EmbedGrad(op) = &graph.nodes[index].op {
            assert!(op.fields > 0, "a table's sequences share a field's rows");
            let (output, shape) = (graph.nodes[index].outputs[0], Shape::batch(op.rows() * op.width));
            graph.tensors[output.0].shape = shape;
        }
    }
    graph.nodes.extend(joint);
    if !sums.items.is_empty() {
        let shapes = sums.outputs.iter().map(|&tensor| graph.shape(tensor)).collect();
        let op = WeightGrads { items: sums.items, shapes };
        graph.nodes.push(Node::new(op, "gradients", sums.inputs, sums.outputs));
    }
}

/// Makes one node of those with the same [`Operation::joint_name`].
fn join(joint: &mut Vec<Node>, node: Node, first_of: &HashMap<TensorId, TensorId>) {
    assert!(node.outputs.iter().all(|t| first_of[t] == *t), "a weight of {} occurs once", node.op.name());
    let name = node.op.joint_name();
    match joint.iter_mut().find(|known| known.op.joint_name() == name) {
        Some(known) => {
            known.op = known.op.join(&node.op).expect("operations with one joint name can be joined");
            known.inputs.extend(node.inputs);
            known.outputs.extend(node.outputs);
        }
        None => joint.push(Node { name: name.unwrap_or_default().to_owned(), ..node }),
    }
}

/// The node that sums the gradients of a table's rows.
fn rows_of(nodes: &mut [Node], table: usize) -> Option<&mut Node> {
    nodes.iter_mut().find(|node| matches!(&node.op, Op::EmbedGrad(op) if op.table == table))
}

/// A table that both fields and sequences read has one gradient: fields first, then sequences, then what is noted of fields.
fn join_rows(known: &mut Node, node: Node) {
    let (Op::EmbedGrad(op), Op::EmbedGrad(other)) = (&mut known.op, node.op) else { unreachable!("both sum rows") };
    assert!(op.fields * other.fields == 0 && op.sequences * other.sequences == 0, "a table is looked up once");
    let (fields, tokens) = if op.fields > 0 { (&known.inputs, &node.inputs) } else { (&node.inputs, &known.inputs) };
    let noted = &fields[1..];
    let inputs = [fields[0], tokens[0]].into_iter().chain(noted.iter().copied()).collect();
    *op = EmbedGrad {
        fields: op.fields + other.fields,
        sequences: op.sequences + other.sequences,
        longest: op.longest.max(other.longest),
        tags: op.tags + other.tags,
        argmax: op.argmax + other.argmax,
        ..op.clone()
    };
    known.inputs = inputs;
}

#[derive(Default)]
struct Gathered {
    items: Vec<GradItem>,
    inputs: Vec<TensorId>,
    outputs: Vec<TensorId>,
}

impl Gathered {
    fn take(
        &mut self,
        op: &WeightGrads,
        inputs: &[TensorId],
        outputs: &[TensorId],
        first_of: &HashMap<TensorId, TensorId>,
    ) {
        for item in &op.items {
            let output = position(&mut self.outputs, first_of[&outputs[item.output]]);
            let mut item = GradItem { output, ..item.clone() };
            item.for_views(|view| *view = View { input: position(&mut self.inputs, inputs[view.input]), ..*view });
            let region = |item: &GradItem| (item.output, item.row, item.col, item.rows, item.cols);
            match self.items.iter_mut().find(|known| region(known) == region(&item)) {
                Some(known) => known.pairs.extend(item.pairs),
                None => self.items.push(item),
            }
        }
    }
}

fn position(tensors: &mut Vec<TensorId>, tensor: TensorId) -> usize {
    tensors.iter().position(|&known| known == tensor).unwrap_or_else(|| {
        tensors.push(tensor);
        tensors.len() - 1
    })
}

fn append_optimiser(graph: &mut Graph, gradients: &[Option<TensorId>], options: &TrainingOptions) {
    let (parameters, mut inputs): (Vec<usize>, Vec<TensorId>) = (0..gradients.len())
        .filter(|&number| graph.parameters[number].is_trained())
        .filter_map(|number| Some((number, gradients[number]?)))
        .unzip();
    let rows: Vec<(usize, usize, TensorId)> = graph
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Op::EmbedGrad(op) => Some((op.table, op.width, node.outputs[0])),
            _ => None,
        })
        .collect();
    let factor = options.max_gradient_norm.map(|most| {
        let tables = rows.iter().map(|&(table, width, _)| (table, width)).collect();
        let all: Vec<TensorId> = inputs.iter().copied().chain(rows.iter().map(|&(.., gradient)| gradient)).collect();
        graph.add("clip", ClipFactor { most, parameters: parameters.len(), tables }, &all)[0]
    });
    if !parameters.is_empty() {
        inputs.extend(factor);
        let optimizer = graph.optimizer;
        graph.add("dense", DenseUpdate { optimizer, options: options.dense, parameters }, &inputs);
    }
    for (table, width, gradient) in rows {
        let (name, optimizer) = (graph.tables[table].name.clone(), graph.tables[table].optimizer);
        let inputs: Vec<TensorId> = [gradient].into_iter().chain(factor).collect();
        graph.add(&name, RowUpdate { optimizer, table, width, options: options.embeddings }, &inputs);
        if options.dense_embedding_adam {
            assert_eq!(optimizer, Optimizer::Adam, "only Adam moves rows that a batch did not read");
            graph.add(&name, DenseRowAdam { table, width, options: options.embeddings }, &[]);
        }
    }
}

/// The nodes that `wanted` tensors depend on, as they are when predicting.
pub(super) fn forward_only(graph: &Graph, wanted: &[TensorId]) -> Graph {
    let mut needed: Vec<bool> = vec![false; graph.tensors.len()];
    for tensor in wanted {
        needed[tensor.0] = true;
    }
    let mut nodes: Vec<Node> = Vec::new();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|output| needed[output.0]) {
            for input in &node.inputs {
                needed[input.0] = true;
            }
            let op = node.op.inference();
            let mut node = Node { op, ..node.clone() };
            // What only gradients ask for is not made.
            let shapes: Vec<Shape> = node.inputs.iter().map(|&input| graph.shape(input)).collect();
            node.outputs.truncate(node.op.outputs(&shapes).len());
            nodes.push(node);
        }
    }
    nodes.reverse();
    let mut graph = graph.clone();
    graph.nodes = nodes;
    graph
}
