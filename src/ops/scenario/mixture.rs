//! Mixtures of experts: a softmax over gates' scores, and the sum of the experts' results with these weights.

use crate::cpu::{Lanes, Real, dot, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// y\[g\] = Σ_k softmax_k(t\[g\]) v\[g, k\], for each of several groups of experts.
///
/// Inputs: scores t [B, groups·experts], v [B, groups·experts·W], or [B, experts·W] where all groups mix the same. Output:
/// [B, groups·W].
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Experts of a group.
    pub experts: usize,
    /// Whether all groups mix the same experts.
    pub shared: bool,
}

/// The gradients of [`Mixture`]'s inputs.
///
/// Inputs: dy [B, groups·W], t, v. Outputs: dt, dv.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureGrad {
    /// That of the operation.
    pub mixture: Mixture,
}

impl Mixture {
    /// Columns of an expert.
    fn width(&self, t: usize, v: usize) -> usize {
        let experts = if self.shared { self.experts } else { t };
        assert!(v.is_multiple_of(experts), "mixture: one score for each expert");
        v / experts
    }

    /// Columns from one group's values to the next.
    fn step(&self, width: usize) -> usize {
        if self.shared { 0 } else { self.experts * width }
    }

    /// A kernel with the constants that both operations share.
    fn kernel(
        &self,
        shader: &'static str,
        threads: usize,
        [t, v]: [TensorId; 2],
        graph: &Graph,
        target: &Target,
    ) -> Kernel {
        let (at_t, at_v) = (target.location(t), target.location(v));
        let width = self.width(graph.width(t), graph.width(v));
        target
            .kernel(shader, threads)
            .by_pieces()
            .with("T", at_t.first)
            .with("T_STRIDE", at_t.stride)
            .with("V", at_v.first)
            .with("V_STRIDE", at_v.stride)
            .with("GROUPS", graph.width(t) / self.experts)
            .with("EXPERTS", self.experts)
            .with("WIDTH", width)
            .with("STEP", self.step(width))
    }
}

/// The largest of a group's scores: exponentials of what is left after it cannot overflow.
#[inline(always)]
fn largest<T: Real>(scores: &[Lanes<T>]) -> Lanes<T> {
    let mut max = scores[0];
    for scores in &scores[1..] {
        for (max, &score) in max.0.iter_mut().zip(&scores.0) {
            *max = max.max(score);
        }
    }
    max
}

#[inline(always)]
fn exponential<T: Real>(score: Lanes<T>, max: Lanes<T>) -> Lanes<T> {
    let mut out = score;
    for (out, &max) in out.0.iter_mut().zip(&max.0) {
        *out = (*out - max).exp_of_negative();
    }
    out
}

impl Operation for Mixture {
    fn name(&self) -> &'static str {
        "mixture"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[0].cols.is_multiple_of(self.experts), "mixture: whole groups");
        vec![Shape::batch(inputs[0].cols / self.experts * self.width(inputs[0].cols, inputs[1].cols))]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        let op = MixtureGrad { mixture: self.clone() };
        graph.add(&node.name, op, &[dy, node.inputs[0], node.inputs[1]]).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let (scores, values) = (graph.width(node.inputs[0]), graph.width(node.inputs[1]));
        Cost::of(node, graph, batch, batch * (2 * values + 3 * scores))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let y = target.location(node.outputs[0]);
        let threads = target.capacity * y.stride as usize / 4;
        let kernel = self.kernel("mixture", threads, [node.inputs[0], node.inputs[1]], graph, target);
        vec![kernel.with("Y", y.first).with("Y_STRIDE", y.stride)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [t, v] = [0, 1].map(|input| export.value(node.inputs[input]));
        let (scores, values) = (export.width(node.inputs[0]), export.width(node.inputs[1]));
        let (experts, width) = (self.experts as i64, self.width(scores, values) as i64);
        let groups = scores as i64 / experts;
        let onnx = &mut export.onnx;
        let t = onnx.reshape(&t, &[0, groups, experts]);
        let shares = onnx.softmax(&t);
        let mixed = if self.shared {
            let v = onnx.reshape(&v, &[0, experts, width]);
            onnx.matmul(&shares, &v)
        } else {
            let v = onnx.reshape(&v, &[0, groups, experts, width]);
            let shares = onnx.unsqueeze(&shares, 2);
            onnx.matmul(&shares, &v)
        };
        let value = onnx.reshape(&mixed, &[0, groups * width]);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Mixture {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (t, v) = (block.columns(0), block.columns(1));
                let width = self.width(t.len(), v.len());
                let groups = t.chunks_exact(self.experts).enumerate();
                for (out, (group, t)) in block.output(0).chunks_exact_mut(width).zip(groups) {
                    let v = &v[group * self.step(width)..][..self.experts * width];
                    let max = largest(t);
                    let mut total = Lanes::zero();
                    out.fill(Lanes::zero());
                    for (&t, v) in t.iter().zip(v.chunks_exact(width)) {
                        let weight = exponential(t, max);
                        total = total.plus(weight);
                        for (out, &v) in out.iter_mut().zip(v) {
                            out.add_product(weight, v);
                        }
                    }
                    let inverse = total.map(|total| T::one() / total);
                    for out in out {
                        *out = out.times(inverse);
                    }
                }
            },
        );
    }
}

impl Operation for MixtureGrad {
    fn name(&self) -> &'static str {
        "mixture_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let (scores, values) = (graph.width(node.inputs[1]), graph.width(node.inputs[2]));
        Cost::of(node, graph, batch, batch * (5 * values + 8 * scores))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, t, v] = node.inputs[..] else { unreachable!("three inputs") };
        let (dt, dv, at_dy) = (target.location(node.outputs[0]), target.location(node.outputs[1]), target.location(dy));
        let across = (dt.stride + dv.stride) as usize / 4;
        let kernel = self.mixture.kernel("mixture_grad", target.capacity * across, [t, v], graph, target);
        vec![kernel.with("DY", at_dy.first).with("DY_STRIDE", at_dy.stride).with("DT", dt.first).with("DV", dv.first)]
    }
}

impl PerSample for MixtureGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (dy, t, v) = (block.columns(0), block.columns(1), block.columns(2));
                let Mixture { experts, .. } = self.mixture;
                let width = self.mixture.width(t.len(), v.len());
                let [dt, dv] = block.two_outputs();
                dv.fill(Lanes::zero());
                let inputs = dy.chunks_exact(width).zip(t.chunks_exact(experts));
                for (group, ((dy, t), dt)) in inputs.zip(dt.chunks_exact_mut(experts)).enumerate() {
                    let first = group * self.mixture.step(width);
                    let (v, dv) = (&v[first..][..experts * width], &mut dv[first..][..experts * width]);
                    let max = largest(t);
                    let mut total = Lanes::zero();
                    for (&t, dt) in t.iter().zip(dt.iter_mut()) {
                        *dt = exponential(t, max);
                        total = total.plus(*dt);
                    }
                    let inverse = total.map(|total| T::one() / total);
                    // Σ_k p_k (dy · v_k)
                    let mut mean = Lanes::zero();
                    for (dt, v) in dt.iter_mut().zip(v.chunks_exact(width)) {
                        *dt = dt.times(inverse);
                        mean.add_product(*dt, dot(dy, v));
                    }
                    for ((dt, v), dv) in dt.iter_mut().zip(v.chunks_exact(width)).zip(dv.chunks_exact_mut(width)) {
                        for (dv, &dy) in dv.iter_mut().zip(dy) {
                            dv.add_product(*dt, dy);
                        }
                        let mut above = dot(dy, v);
                        above.add_scaled(-T::one(), mean);
                        *dt = dt.times(above);
                    }
                }
            },
        );
    }
}
