//! The order in which a plan's nodes run, and which of them run together.

use crate::graph::{Graph, Node, TensorId};
use crate::ops::{Affine, Op, Phase};

/// Orders the nodes: those that make weights, those that compute samples as early as they can, then sums over samples,
/// what is made of these, then updates. Affine
/// nodes that could run at the same time become one node: one dispatch.
pub(super) fn order(mut graph: Graph) -> Graph {
    let mut made: Vec<bool> = graph.tensors.iter().map(|tensor| tensor.parameter.is_some()).collect();
    let (mut waiting, rest): (Vec<Node>, Vec<Node>) =
        std::mem::take(&mut graph.nodes).into_iter().partition(|node| node.op.phase() == Phase::Samples);
    while !waiting.is_empty() {
        let ready = |node: &Node| node.inputs.iter().all(|input| made[input.0]);
        let (now, later): (Vec<Node>, Vec<Node>) = waiting.into_iter().partition(ready);
        assert!(!now.is_empty(), "a graph's nodes wait for each other");
        // Others first: what they make may let more affine nodes join.
        let (mut affine, others): (Vec<Node>, Vec<Node>) =
            now.into_iter().partition(|node| matches!(node.op, Op::Affine(_)));
        waiting = later;
        let run = if others.is_empty() {
            // One node has rows of one kind.
            let rows = |node: &Node| graph.shape(node.outputs[0]).rows;
            let kind = rows(&affine[0]);
            let (same, other): (Vec<Node>, Vec<Node>) = affine.drain(..).partition(|node| rows(node) == kind);
            waiting.extend(other);
            vec![together(same)]
        } else {
            waiting = affine.into_iter().chain(waiting).collect();
            others
        };
        for output in run.iter().flat_map(|node| &node.outputs) {
            made[output.0] = true;
        }
        graph.nodes.extend(run);
    }
    graph.nodes.extend(rest);
    // Stable: within a phase they stay as they are.
    graph.nodes.sort_by_key(|node| node.op.phase());
    graph
}

/// One node of several that do not depend on each other.
fn together(nodes: Vec<Node>) -> Node {
    let name = match nodes.as_slice() {
        [one] => one.name.clone(),
        several => format!("{} and {} more", several[0].name, several.len() - 1),
    };
    let (mut items, mut inputs, mut outputs): (Vec<_>, Vec<TensorId>, Vec<TensorId>) = Default::default();
    for node in nodes {
        let Op::Affine(op) = node.op else { unreachable!("affine nodes only") };
        let first_output = outputs.len();
        for mut item in op.items {
            item.output += first_output;
            item.for_inputs(|input| {
                let tensor = node.inputs[*input];
                *input = inputs.iter().position(|&known| known == tensor).unwrap_or_else(|| {
                    inputs.push(tensor);
                    inputs.len() - 1
                });
            });
            items.push(item);
        }
        outputs.extend(node.outputs);
    }
    Node::new(Affine { items }, name, inputs, outputs)
}
