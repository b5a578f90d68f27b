//! Sums over a sample's tokens.

use crate::cpu::{Lanes, Real};
use crate::graph::{Graph, Node, RowExtent, Shape, TensorId};
use crate::ops::sequence::tokens::{clear, place, with_tokens};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// Σ over a sample's tokens of w · v, or their mean; 0 where there are none.
///
/// Inputs: v [T, W] and, for the weighted sum, w [T, 1]. Output: [B, W].
#[derive(Clone, Debug, PartialEq)]
pub struct TokenPool;

/// The gradients of [`TokenPool`]'s inputs.
///
/// Inputs: dy [B, W], v and, of the weighted sum, w. Outputs: dv and dw.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenPoolGrad;

/// A kernel with the constants that both operations share: an invocation for every sample and four columns, and `more`.
fn kernel(
    shader: &'static str,
    more: usize,
    [v, y]: [TensorId; 2],
    weights: Option<&TensorId>,
    graph: &Graph,
    target: &Target,
) -> Kernel {
    let at = target.location(v);
    let kernel = target
        .kernel(shader, target.capacity * (at.stride as usize / 4 + more))
        .with("V", at.first)
        .with("STRIDE", at.stride)
        .with("WIDTH", graph.width(v))
        .with("Y", target.location(y).first)
        .with("WEIGHTED", weights.is_some())
        .with("WEIGHTS", weights.map_or(0, |&weights| target.location(weights).first));
    with_tokens(kernel, target)
}

/// What token number `token` of `count` counts.
fn weight<T: Real>(weights: Option<&[Lanes<T>]>, at: usize, count: usize) -> T {
    weights.map_or_else(|| T::one() / T::of(count as f64), |weights| weights[0].0[at])
}

impl Operation for TokenPool {
    fn name(&self) -> &'static str {
        "token_pool"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(matches!(inputs[0].rows, RowExtent::Tokens(_)), "token_pool: of tokens");
        assert!(inputs[1..].iter().all(|w| *w == Shape { cols: 1, ..inputs[0] }), "token_pool: a weight for each");
        vec![Shape::batch(inputs[0].cols)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; node.inputs.len()] };
        let inputs: Vec<TensorId> = [dy].into_iter().chain(node.inputs.iter().copied()).collect();
        graph.add(&node.name, TokenPoolGrad, &inputs).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * graph.shape(node.inputs[0]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        vec![kernel("token_pool", 0, [node.inputs[0], node.outputs[0]], node.inputs.get(1), graph, target)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let (v, tokens) = (export.value(node.inputs[0]), export.tokens());
        let weights = node.inputs.get(1).map(|&weights| export.value(weights));
        let onnx = &mut export.onnx;
        let mask = onnx.unsqueeze(&tokens.mask, 2);
        let factors = weights.as_ref().map_or_else(|| mask.clone(), |weights| onnx.mul(weights, &mask));
        let weighted = onnx.mul(&v, &factors);
        let sums = onnx.sum(&weighted, 1, false);
        let value = if weights.is_some() { sums } else { onnx.mean_of(&sums, &tokens.counts) };
        export.set(node.outputs[0], value);
    }
}

impl PerSample for TokenPool {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let v = block.token_tensor(0);
        let weights = (block.input_count() > 1).then(|| block.token_tensor(1));
        block.output(0).fill(Lanes::zero());
        for lane in 0..block.count() {
            let tokens = block.tokens(lane);
            for token in tokens.clone() {
                let (number, at) = place(token);
                let weight = weight(weights.map(|w| w.block(number)), at, tokens.len());
                for (out, v) in block.output(0).iter_mut().zip(v.block(number)) {
                    out.0[lane] = weight.mul_add(v.0[at], out.0[lane]);
                }
            }
        }
    }
}

impl Operation for TokenPoolGrad {
    fn name(&self) -> &'static str {
        "token_pool_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        inputs[1..].to_vec()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 3 * graph.shape(node.inputs[1]).len(batch))
    }

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let (dy, v, weights) = (node.inputs[0], node.inputs[1], node.inputs.get(2));
        let of_weights = node.outputs.get(1).map_or(0, |&dw| target.location(dw).first);
        let kernel = kernel("token_pool_grad", usize::from(weights.is_some()), [v, dy], weights, graph, target);
        vec![kernel.with("DV", target.location(node.outputs[0]).first).with("DW", of_weights)]
    }
}

impl PerSample for TokenPoolGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let (dy, v) = (block.columns(0), block.token_tensor(1));
        let weights = (block.input_count() > 2).then(|| block.token_tensor(2));
        clear(block, 0..block.input_count() - 1);
        for lane in 0..block.count() {
            let tokens = block.tokens(lane);
            for token in tokens.clone() {
                let (number, at) = place(token);
                let weight = weight(weights.map(|w| w.block(number)), at, tokens.len());
                for (out, dy) in block.token_output(0, number).iter_mut().zip(dy) {
                    out.0[at] = weight * dy.0[lane];
                }
                if weights.is_some() {
                    let pairs = dy.iter().zip(v.block(number));
                    let product = pairs.fold(T::zero(), |sum, (dy, v)| dy.0[lane].mul_add(v.0[at], sum));
                    block.token_output(1, number)[0].0[at] = product;
                }
            }
        }
    }
}
