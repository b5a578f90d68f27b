//! What an operation costs, for plan listings and for judging kernels.

use crate::graph::{Graph, Node};

/// Arithmetic and memory traffic of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Bytes read and written when every tensor is touched once.
    pub bytes: u64,
}

impl Cost {
    /// The cost of a node that touches each of its tensors once and does `flops` operations.
    pub fn of(node: &Node, graph: &Graph, batch: usize, flops: usize) -> Self {
        let values: usize = node.inputs.iter().chain(&node.outputs).map(|&t| graph.shape(t).len(batch)).sum();
        Self { flops: flops as u64, bytes: 4 * values as u64 }
    }

    /// The same with `bytes` more of traffic.
    pub fn plus_bytes(self, bytes: usize) -> Self {
        Self { bytes: self.bytes + bytes as u64, ..self }
    }
}
