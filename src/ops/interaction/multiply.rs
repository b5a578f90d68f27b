//! Products of columns with columns: gates.

use crate::cpu::{Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// y\[n\] = scale · a\[n mod A\] · b\[n / group\], for n below `group` times the columns of b.
///
/// With group = 1 and as many columns in both it is a plain product. With more columns in b than A holds groups, a is
/// gated once for every A / group of them.
///
/// Inputs: a [B, A], b [B, N / group]. Output: [B, N], N a multiple of A and A one of `group`.
#[derive(Clone, Debug, PartialEq)]
pub struct Multiply {
    /// Neighbouring columns of a that share a value of b.
    pub group: usize,
    /// Factor.
    pub scale: f64,
}

/// The gradients of [`Multiply`]'s inputs.
///
/// Inputs: dy [B, N], a, b. Outputs: da, db.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiplyGrad {
    /// That of the operation.
    pub group: usize,
    /// That of the operation.
    pub scale: f64,
}

/// A kernel with the constants that both operations share.
fn kernel(shader: &'static str, threads: usize, [a, b, y]: [TensorId; 3], graph: &Graph, target: &Target) -> Kernel {
    let (at_a, at_b, at_y) = (target.location(a), target.location(b), target.location(y));
    target
        .kernel(shader, threads)
        .by_pieces()
        .with("A", at_a.first)
        .with("A_STRIDE", at_a.stride)
        .with("A_WIDTH", graph.width(a))
        .with("B", at_b.first)
        .with("B_STRIDE", at_b.stride)
        .with("Y", at_y.first)
        .with("Y_STRIDE", at_y.stride)
        .with("Y_WIDTH", graph.width(y))
}

impl Operation for Multiply {
    fn name(&self) -> &'static str {
        "multiply"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let width = inputs[1].cols * self.group;
        assert!(inputs[0].cols.is_multiple_of(self.group), "multiply: whole groups");
        assert!(width.is_multiple_of(inputs[0].cols), "multiply: whole copies of a");
        vec![Shape::batch(width)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        let op = MultiplyGrad { group: self.group, scale: self.scale };
        graph.add(&node.name, op, &[dy, node.inputs[0], node.inputs[1]]).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * batch * graph.width(node.outputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let y = node.outputs[0];
        let threads = target.capacity * target.location(y).stride as usize / 4;
        let kernel = kernel("multiply", threads, [node.inputs[0], node.inputs[1], y], graph, target);
        vec![kernel.with("GROUP", self.group).with("SCALE", self.scale)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [a, b] = [0, 1].map(|input| export.value(node.inputs[input]));
        let (width, out) = (export.width(node.inputs[0]), export.width(node.outputs[0]));
        let onnx = &mut export.onnx;
        let groups = (width / self.group) as i64;
        let a = onnx.reshape(&a, &[0, 1, groups, self.group as i64]);
        let b = onnx.reshape(&b, &[0, (out / width) as i64, groups, 1]);
        let product = onnx.mul(&a, &b);
        let product = onnx.reshape(&product, &[0, out as i64]);
        let value = onnx.scaled(&product, self.scale);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Multiply {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (a, b) = (block.columns(0), block.columns(1));
                let scale = T::of(self.scale);
                let groups = block.output(0).chunks_exact_mut(self.group).zip(b);
                for ((out, b), a) in groups.zip(a.chunks_exact(self.group).cycle()) {
                    let b = b.map(|b| scale * b);
                    for (out, &a) in out.iter_mut().zip(a) {
                        *out = a.times(b);
                    }
                }
            },
        );
    }
}

impl Operation for MultiplyGrad {
    fn name(&self) -> &'static str {
        "multiply_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].cols, inputs[2].cols * self.group, "multiply_grad: width");
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 4 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, a, b] = node.inputs[..] else { unreachable!("three inputs") };
        let (da, db) = (target.location(node.outputs[0]), target.location(node.outputs[1]));
        let across = (da.stride + db.stride) as usize / 4;
        let kernel = kernel("multiply_grad", target.capacity * across, [a, b, dy], graph, target);
        let kernel = kernel.with("DA", da.first).with("DB", db.first).with("B_WIDTH", graph.width(b));
        vec![kernel.with("GROUP", self.group).with("SCALE", self.scale)]
    }
}

impl PerSample for MultiplyGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (dy, a, b) = (block.columns(0), block.columns(1), block.columns(2));
                let scale = T::of(self.scale);
                let [da, db] = block.two_outputs();
                da.fill(Lanes::zero());
                let groups = a.len() / self.group;
                for (number, (dy, (b, db))) in dy.chunks_exact(self.group).zip(b.iter().zip(db)).enumerate() {
                    let first = number % groups * self.group;
                    let mut sum = Lanes::zero();
                    let b = b.map(|b| scale * b);
                    for ((&dy, &a), da) in dy.iter().zip(&a[first..]).zip(&mut da[first..]) {
                        sum.add_product(dy, a);
                        da.add_product(dy, b);
                    }
                    *db = sum.map(|sum| scale * sum);
                }
            },
        );
    }
}
