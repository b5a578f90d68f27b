//! Combines of combines become one: a sum of slices of a concatenation is a single dispatch.

use crate::graph::{Graph, Node, TensorId};
use crate::ops::Op;

/// Inlines every [`Combine`](crate::ops::Combine) whose only reader is another one. `kept` tensors stay.
pub(super) fn fuse(mut graph: Graph, kept: &[TensorId]) -> Graph {
    loop {
        let mut readers = vec![0usize; graph.tensors.len()];
        let mut maker = vec![None; graph.tensors.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[input.0] += 1;
            }
            for output in &node.outputs {
                maker[output.0] = Some(index);
            }
        }
        let found = graph.nodes.iter().enumerate().find_map(|(outer, node)| {
            node.inputs.iter().enumerate().find_map(|(index, &input)| {
                let inner = maker[input.0]?;
                let alone = readers[input.0] == 1 && !kept.contains(&input) && graph.logits != Some(input);
                let merged = alone.then(|| merge(node, index, &graph.nodes[inner])).flatten()?;
                Some((outer, inner, merged))
            })
        });
        let Some((outer, inner, merged)) = found else { return graph };
        graph.nodes[outer] = merged;
        graph.nodes.remove(inner);
    }
}

fn merge(outer: &Node, index: usize, inner: &Node) -> Option<Node> {
    let (Op::Combine(op), Op::Combine(inner_op)) = (&outer.op, &inner.op) else { return None };
    let (op, inputs) = op.inline(&outer.inputs, index, inner_op, &inner.inputs)?;
    Some(Node { op: op.into(), inputs, ..outer.clone() })
}
