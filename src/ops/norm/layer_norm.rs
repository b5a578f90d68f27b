//! Normalisation of every row by its own moments (Ba et al. 2016).

use crate::cpu::{Lanes, Real, dot, vectorized};
use crate::graph::{Graph, Node, RowExtent, Shape, TensorId};
use crate::onnx::Attribute;
use crate::ops::norm::normalize::EPSILON;
use crate::ops::{
    Arg, Block, Cost, GradItem, GradPair, Kernel, OnnxExport, Op, Operation, PerSample, Target, View, WeightGrads,
};

/// y = x̂ ⊙ scale + shift, x̂ = (x − mean) / √(variance + ε) by the row's own mean and variance (over W).
///
/// Inputs: x [B, W] or [T, W], scale and shift [1, W]. Output: as x.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm;

/// The gradient of [`LayerNorm`]'s x; and dy ⊙ x̂, whose sum is that of the scale.
///
/// Inputs: dy, x, scale. Outputs: dx, dy ⊙ x̂.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormGrad;

/// The mean of a row and 1 / √(variance + ε), lane by lane.
#[inline(always)]
fn moments<T: Real>(x: &[Lanes<T>]) -> (Lanes<T>, Lanes<T>) {
    let share = T::of(1.0 / x.len() as f64);
    let mean = x.iter().copied().fold(Lanes::zero(), Lanes::plus).map(|sum| share * sum);
    let mut variance = Lanes::zero();
    for &x in x {
        let off = x.plus(mean.map(|mean| -mean));
        variance.add_product(off, off);
    }
    (mean, variance.map(|sum| T::one() / (share * sum + T::of(EPSILON)).sqrt()))
}

/// The sums of rows as gradients of parameters [1, W].
fn column_sums(graph: &mut Graph, name: &str, sums: [TensorId; 2], width: usize) -> Vec<TensorId> {
    let item = |output: usize| {
        let pairs = vec![GradPair { dz: View::of(output), x: None, scenario: None }];
        GradItem { output, row: 0, col: 0, rows: 1, cols: width, pairs }
    };
    let op = WeightGrads { items: vec![item(0), item(1)], shapes: vec![Shape::fixed(1, width); 2] };
    graph.add(name, op, &sums)
}

/// A kernel with the constants that both operations share: one invocation per row.
fn kernel(shader: &'static str, [x, scale, y]: [TensorId; 3], graph: &Graph, target: &Target) -> Kernel {
    let tokens = matches!(graph.shape(x).rows, RowExtent::Tokens(_));
    let kernel = target.kernel(shader, target.rows(tokens));
    let kernel = if tokens { kernel } else { kernel.by_pieces() };
    kernel
        .with("TOKENS", tokens)
        .with("X", target.location(x).first)
        .with("STRIDE", target.location(x).stride)
        .with("WIDTH", graph.width(x))
        .with("SCALE", target.location(scale).first)
        .with("Y", target.location(y).first)
        .with("EPSILON", EPSILON)
        .bind([Arg::Parameters])
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[1..].iter().all(|row| *row == Shape::fixed(1, inputs[0].cols)), "layer_norm: columns");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 3] };
        let made = graph.add(&node.name, LayerNormGrad, &[dy, node.inputs[0], node.inputs[1]]);
        let sums = column_sums(graph, &node.name, [made[1], dy], graph.width(dy));
        vec![Some(made[0]), Some(sums[0]), Some(sums[1])]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 8 * graph.shape(node.inputs[0]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let kernel = kernel("layer_norm", [node.inputs[0], node.inputs[1], node.outputs[0]], graph, target);
        vec![kernel.with("SHIFT", target.location(node.inputs[2]).first)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let x = export.value(node.inputs[0]);
        let [scale, shift] = [1, 2].map(|input| {
            let values = export.parameter(node.inputs[input]).to_vec();
            export.onnx.floats("norm", &[values.len()], &values)
        });
        let epsilon = ("epsilon", Attribute::Float(EPSILON as f32));
        let value =
            export.onnx.node("LayerNormalization", &[&x, &scale, &shift], &[("axis", Attribute::Int(-1)), epsilon]);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for LayerNorm {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (x, scale, shift) = (block.columns(0), block.matrix(1), block.matrix(2));
                let (mean, inverse) = moments(x);
                for (((out, x), &scale), &shift) in block.output(0).iter_mut().zip(x).zip(scale).zip(shift) {
                    let normal = x.plus(mean.map(|mean| -mean)).times(inverse);
                    *out = normal.map(|normal| scale * normal + shift);
                }
            },
        );
    }
}

impl Operation for LayerNormGrad {
    fn name(&self) -> &'static str {
        "layer_norm_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1]; 2]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 14 * graph.shape(node.inputs[0]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, x, scale] = node.inputs[..] else { unreachable!("three inputs") };
        let place = |output: usize| target.location(node.outputs[output]).first;
        let kernel = kernel("layer_norm_grad", [x, scale, dy], graph, target);
        vec![kernel.with("DX", place(0)).with("BY_X", place(1))]
    }
}

impl PerSample for LayerNormGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (dy, x, scale) = (block.columns(0), block.columns(1), block.matrix(2));
                let (mean, inverse) = moments(x);
                let share = T::of(1.0 / x.len() as f64);
                let [dx, by_x] = block.two_outputs();
                // d = dy ⊙ scale lies in dx until the sums are known; x̂ in the other.
                for (c, x) in x.iter().enumerate() {
                    dx[c] = dy[c].map(|dy| dy * scale[c]);
                    by_x[c] = x.plus(mean.map(|mean| -mean)).times(inverse);
                }
                let plain = dx.iter().copied().fold(Lanes::zero(), Lanes::plus).map(|sum| -share * sum);
                let along = dot(dx, by_x).map(|sum| -share * sum);
                for (c, &dy) in dy.iter().enumerate() {
                    let mut centred = dx[c].plus(plain);
                    centred.add_product(along, by_x[c]);
                    dx[c] = centred.times(inverse);
                    by_x[c] = by_x[c].times(dy);
                }
            },
        );
    }
}
