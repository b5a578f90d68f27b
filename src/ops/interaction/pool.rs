//! Sums over neighbouring columns, and its inverse.

use crate::cpu::{Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// y\[g\] = scale · Σ_d x\[g·group + d\], or the other way round y\[g·group + d\] = scale · x\[g\].
///
/// Input: x [B, groups·group] or, spread, [B, groups]. Output: the other of the two.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Neighbours that are summed, or that receive the same value.
    pub group: usize,
    /// Factor: 1 / group makes the mean.
    pub scale: f64,
    /// Whether values are repeated rather than summed.
    pub spread: bool,
}

impl Pool {
    /// The mean of every `group` neighbours.
    pub fn mean(group: usize) -> Self {
        Self { group, scale: 1.0 / group as f64, spread: false }
    }
}

impl Operation for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let width = inputs[0].cols;
        assert!(self.spread || width.is_multiple_of(self.group), "pool: whole groups");
        vec![Shape::batch(if self.spread { width * self.group } else { width / self.group })]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let op = Self { spread: !self.spread, ..*self };
        vec![grads[0].map(|dy| graph.add_one(&node.name, op, &[dy]))]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let wide = graph.width(if self.spread { node.outputs[0] } else { node.inputs[0] });
        Cost::of(node, graph, batch, batch * wide)
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let (x, y) = (target.location(node.inputs[0]), target.location(node.outputs[0]));
        let kernel = target
            .kernel("pool", target.capacity * y.stride as usize / 4)
            .by_pieces()
            .with("X", x.first)
            .with("X_STRIDE", x.stride)
            .with("Y", y.first)
            .with("Y_STRIDE", y.stride)
            .with("GROUP", self.group)
            .with("SCALE", self.scale)
            .with("SPREAD", self.spread);
        vec![kernel]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let (x, width) = (export.value(node.inputs[0]), export.width(node.inputs[0]));
        let onnx = &mut export.onnx;
        let value = if self.spread {
            let x = onnx.reshape(&x, &[0, width as i64, 1]);
            let factors = onnx.floats("scale", &[self.group], &vec![self.scale as f32; self.group]);
            let spread = onnx.mul(&x, &factors);
            onnx.reshape(&spread, &[0, (width * self.group) as i64])
        } else {
            let x = onnx.reshape(&x, &[0, (width / self.group) as i64, self.group as i64]);
            let sums = onnx.sum(&x, 2, false);
            onnx.scaled(&sums, self.scale)
        };
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Pool {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let x = block.columns(0);
                let scale = T::of(self.scale);
                let out = block.output(0);
                if self.spread {
                    for (out, x) in out.chunks_exact_mut(self.group).zip(x) {
                        out.fill(x.map(|x| scale * x));
                    }
                } else {
                    for (out, x) in out.iter_mut().zip(x.chunks_exact(self.group)) {
                        let sum = x.iter().fold(Lanes::zero(), |sum, &x| sum.plus(x));
                        *out = sum.map(|x| scale * x);
                    }
                }
            },
        );
    }
}
