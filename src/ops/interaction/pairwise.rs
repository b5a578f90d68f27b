//! Factorisation machines: the products of every two of a sample's embeddings (Rendle 2010).

use crate::cpu::{Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// Σ over pairs of vectors i < j of eⁱ · eʲ, as ½ Σ_d [(Σ_i e\[i, d\])² − Σ_i e\[i, d\]²].
///
/// Input: e [B, vectors·width]. Output: [B, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Pairwise {
    /// Length of a vector.
    pub width: usize,
}

/// The gradient of [`Pairwise`]'s input: dy (Σ_i eⁱ − e).
///
/// Inputs: dy [B, 1], e. Output: de.
#[derive(Clone, Debug, PartialEq)]
pub struct PairwiseGrad {
    /// That of the operation.
    pub width: usize,
}

/// A kernel with the constants that both operations share.
fn kernel(
    shader: &'static str,
    threads: usize,
    [e, y]: [TensorId; 2],
    width: usize,
    graph: &Graph,
    target: &Target,
) -> Kernel {
    let (at_e, at_y) = (target.location(e), target.location(y));
    target
        .kernel(shader, threads)
        .by_pieces()
        .with("E", at_e.first)
        .with("E_STRIDE", at_e.stride)
        .with("Y", at_y.first)
        .with("VECTORS", graph.width(e) / width)
        .with("WIDTH", width)
}

/// Column `d` of the vectors in `e`, and the sum over them.
#[inline(always)]
fn column<T: Real>(e: &[Lanes<T>], width: usize, d: usize) -> (impl Iterator<Item = Lanes<T>>, Lanes<T>) {
    let values = e.iter().skip(d).step_by(width).copied();
    let sum = values.clone().fold(Lanes::zero(), Lanes::plus);
    (values, sum)
}

impl Operation for Pairwise {
    fn name(&self) -> &'static str {
        "pairwise"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[0].cols.is_multiple_of(self.width), "pairwise: vectors of one length");
        vec![Shape::batch(1)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let op = PairwiseGrad { width: self.width };
        vec![grads[0].map(|dy| graph.add_one(&node.name, op, &[dy, node.inputs[0]]))]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 3 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        vec![kernel("pairwise", target.capacity, [node.inputs[0], node.outputs[0]], self.width, graph, target)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let (e, vectors) = (export.value(node.inputs[0]), export.width(node.inputs[0]) / self.width);
        let onnx = &mut export.onnx;
        let e = onnx.reshape(&e, &[0, vectors as i64, self.width as i64]);
        let sums = onnx.sum(&e, 1, false);
        let of_sums = onnx.mul(&sums, &sums);
        let squares = onnx.mul(&e, &e);
        let squares = onnx.sum(&squares, 1, false);
        let twice = onnx.node("Sub", &[&of_sums, &squares], &[]);
        let twice = onnx.sum(&twice, 1, true);
        let value = onnx.scaled(&twice, 0.5);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Pairwise {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let e = block.columns(0);
                let mut total = Lanes::zero();
                for d in 0..self.width {
                    let (values, sum) = column(e, self.width, d);
                    total.add_product(sum, sum);
                    for value in values {
                        total.add_product(value.map(|x| -x), value);
                    }
                }
                block.output(0)[0] = total.map(|x| T::of(0.5) * x);
            },
        );
    }
}

impl Operation for PairwiseGrad {
    fn name(&self) -> &'static str {
        "pairwise_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 3 * batch * graph.width(node.inputs[1]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let (dy, e, de) = (node.inputs[0], node.inputs[1], target.location(node.outputs[0]));
        let threads = target.capacity * de.stride as usize / 4;
        vec![kernel("pairwise_grad", threads, [e, dy], self.width, graph, target).with("DE", de.first)]
    }
}

impl PerSample for PairwiseGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (dy, e) = (block.columns(0)[0], block.columns(1));
                let out = block.output(0);
                for d in 0..self.width {
                    let (values, sum) = column(e, self.width, d);
                    for (out, value) in out.iter_mut().skip(d).step_by(self.width).zip(values) {
                        *out = dy.times(sum.plus(value.map(|x| -x)));
                    }
                }
            },
        );
    }
}
