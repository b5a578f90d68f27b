//! Keeps a batch's predictions.

use crate::cpu::Real;
use crate::graph::{Graph, Node, Shape};
use crate::ops::{Arg, Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// Copies logits [B, K], K of a sample, to the results, at the row the step uniforms name.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreLogits;

impl Operation for StoreLogits {
    fn name(&self) -> &'static str {
        "store_logits"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 0).plus_bytes(4 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let logits = target.location(node.inputs[0]);
        let kernel = target.kernel("store_logits", target.capacity).by_pieces().bind([Arg::Results]);
        vec![
            kernel
                .with("LOGITS", logits.first)
                .with("STRIDE", logits.stride)
                .with("WIDTH", graph.width(node.inputs[0])),
        ]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        // Its input is the result.
        let _ = (node, export);
    }
}

impl PerSample for StoreLogits {
    // On the CPU the executor itself reads the logits.
    fn run<T: Real>(&self, _: &mut Block<'_, T>) {}
}
