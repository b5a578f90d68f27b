//! Products with a matrix of the sample's own (APG).

use crate::cpu::{Lanes, Real, dot, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// y = x + M x, M a matrix of each sample.
///
/// Inputs: x [B, n], M [B, n·n], row by row. Output: [B, n].
#[derive(Clone, Debug, PartialEq)]
pub struct SampleMatrix;

/// The gradients of [`SampleMatrix`]'s inputs: dx = dy + Mᵀ dy, dM = dy xᵀ.
///
/// Inputs: dy [B, n], x, M. Outputs: dx, dM.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleMatrixGrad;

/// A kernel with the constants that both operations share.
fn kernel(shader: &'static str, across: u32, [x, m, y]: [TensorId; 3], graph: &Graph, target: &Target) -> Kernel {
    let (at_x, at_m) = (target.location(x), target.location(m));
    target
        .kernel(shader, target.capacity * across as usize / 4)
        .by_pieces()
        .with("X", at_x.first)
        .with("X_STRIDE", at_x.stride)
        .with("M", at_m.first)
        .with("M_STRIDE", at_m.stride)
        .with("Y", target.location(y).first)
        .with("SIZE", graph.width(x))
}

impl Operation for SampleMatrix {
    fn name(&self) -> &'static str {
        "sample_matrix"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[1].cols, inputs[0].cols * inputs[0].cols, "sample_matrix: a square matrix");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        let inputs = [dy, node.inputs[0], node.inputs[1]];
        graph.add(&node.name, SampleMatrixGrad, &inputs).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * batch * graph.width(node.inputs[1]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let (x, y) = (node.inputs[0], node.outputs[0]);
        vec![kernel("sample_matrix", target.location(y).stride, [x, node.inputs[1], y], graph, target)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [x, m] = [0, 1].map(|input| export.value(node.inputs[input]));
        let size = export.width(node.inputs[0]) as i64;
        let onnx = &mut export.onnx;
        let m = onnx.reshape(&m, &[0, size, size]);
        let column = onnx.unsqueeze(&x, 2);
        let product = onnx.matmul(&m, &column);
        let product = onnx.squeeze(&product, 2);
        let value = onnx.add(&x, &product);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for SampleMatrix {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (x, m) = (block.columns(0), block.columns(1));
                for ((y, &own), row) in block.output(0).iter_mut().zip(x).zip(m.chunks_exact(x.len())) {
                    *y = own.plus(dot(row, x));
                }
            },
        );
    }
}

impl Operation for SampleMatrixGrad {
    fn name(&self) -> &'static str {
        "sample_matrix_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 3 * batch * graph.width(node.inputs[2]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, x, m] = node.inputs[..] else { unreachable!("three inputs") };
        let (dx, dm) = (target.location(node.outputs[0]), target.location(node.outputs[1]));
        let kernel = kernel("sample_matrix_grad", dx.stride + dm.stride, [x, m, dy], graph, target);
        vec![kernel.with("DX", dx.first).with("DM", dm.first)]
    }
}

impl PerSample for SampleMatrixGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (dy, x, m) = (block.columns(0), block.columns(1), block.columns(2));
                let [dx, dm] = block.two_outputs();
                dx.copy_from_slice(dy);
                let rows = m.chunks_exact(x.len()).zip(dm.chunks_exact_mut(x.len()));
                for (&dy, (m, dm)) in dy.iter().zip(rows) {
                    for (((dx, &m), dm), &x) in dx.iter_mut().zip(m).zip(dm).zip(x) {
                        dx.add_product(dy, m);
                        *dm = Lanes::times(dy, x);
                    }
                }
            },
        );
    }
}
