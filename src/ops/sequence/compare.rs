//! A sample's behaviours beside what is to be predicted: the inputs of DIN's target attention (Zhou et al. 2018).

use crate::cpu::{Lanes, Real};
use crate::graph::{Graph, Node, RowExtent, Shape, TensorId};
use crate::ops::sequence::tokens::{clear, place, with_tokens};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// [k, q, k − q, k ⊙ q] for every token k and its sample's q.
///
/// Inputs: k [T, W], q [B, W]. Output: [T, 4 W].
#[derive(Clone, Debug, PartialEq)]
pub struct Compare;

/// The gradients of [`Compare`]'s inputs.
///
/// Inputs: dy [T, 4 W], k, q. Outputs: dk, dq.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareGrad;

/// A kernel with the constants that both operations share: an invocation for every sample and four of `across` columns.
fn kernel(shader: &'static str, across: u32, [k, q, y]: [TensorId; 3], graph: &Graph, target: &Target) -> Kernel {
    let (at_k, at_q) = (target.location(k), target.location(q));
    let kernel = target
        .kernel(shader, target.capacity * across as usize / 4)
        .with("K", at_k.first)
        .with("Q", at_q.first)
        .with("STRIDE", at_k.stride)
        .with("WIDTH", graph.width(k))
        .with("Y", target.location(y).first);
    with_tokens(kernel, target)
}

impl Operation for Compare {
    fn name(&self) -> &'static str {
        "compare"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[0].cols == inputs[1].cols && inputs[1].rows == RowExtent::Batch, "compare: tokens and samples");
        vec![Shape { cols: 4 * inputs[0].cols, ..inputs[0] }]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        let inputs = [dy, node.inputs[0], node.inputs[1]];
        graph.add(&node.name, CompareGrad, &inputs).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, graph.shape(node.outputs[0]).len(batch) / 2)
    }

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let y = node.outputs[0];
        vec![kernel("compare", target.location(y).stride, [node.inputs[0], node.inputs[1], y], graph, target)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [k, q] = [0, 1].map(|input| export.value(node.inputs[input]));
        let onnx = &mut export.onnx;
        let q = onnx.unsqueeze(&q, 1);
        let difference = onnx.node("Sub", &[&k, &q], &[]);
        let product = onnx.mul(&k, &q);
        let shape = onnx.node("Shape", &[&k], &[]);
        let q = onnx.node("Expand", &[&q, &shape], &[]);
        let value = onnx.concat(&[k, q, difference, product], -1);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Compare {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let (tokens, q) = (block.token_tensor(0), block.columns(1));
        let width = q.len();
        clear(block, 0..1);
        for lane in 0..block.count() {
            for token in block.tokens(lane) {
                let (number, at) = place(token);
                let k = tokens.block(number);
                let out = block.token_output(0, number);
                for c in 0..width {
                    let (k, q) = (k[c].0[at], q[c].0[lane]);
                    for (part, value) in [k, q, k - q, k * q].into_iter().enumerate() {
                        out[part * width + c].0[at] = value;
                    }
                }
            }
        }
    }
}

impl Operation for CompareGrad {
    fn name(&self) -> &'static str {
        "compare_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * graph.shape(node.inputs[0]).len(batch))
    }

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, k, q] = node.inputs[..] else { unreachable!("three inputs") };
        let (dk, dq) = (target.location(node.outputs[0]), target.location(node.outputs[1]));
        let kernel = kernel("compare_grad", dk.stride, [k, q, dy], graph, target);
        vec![kernel.with("DK", dk.first).with("DQ", dq.first)]
    }
}

impl PerSample for CompareGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let (dy, tokens, q) = (block.token_tensor(0), block.token_tensor(1), block.columns(2));
        let width = q.len();
        clear(block, 0..1);
        block.output(1).fill(Lanes::zero());
        for lane in 0..block.count() {
            for token in block.tokens(lane) {
                let (number, at) = place(token);
                let (dy, k) = (dy.block(number), tokens.block(number));
                for c in 0..width {
                    let [as_k, as_q, less, times] = [0, 1, 2, 3].map(|part| dy[part * width + c].0[at]);
                    block.token_output(0, number)[c].0[at] = as_k + less + times * q[c].0[lane];
                    block.output(1)[c].0[lane] += as_q - less + times * k[c].0[at];
                }
            }
        }
    }
}
