//! Mixtures of experts: a softmax over gates' scores, and the sum of the experts' results with these weights.

use super::{Block, Cost, Kernel, Op, Operation, Target};
use crate::cpu::{Lanes, Real, dot, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};

/// y\[g\] = Σ_k softmax_k(t\[g\]) v\[g, k\], for each of several groups of experts.
///
/// Inputs: scores t [B, groups·experts], v [B, groups·experts·W]. Output: [B, groups·W].
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Experts of a group.
    pub experts: usize,
}

/// The gradients of [`Mixture`]'s inputs.
///
/// Inputs: dy [B, groups·W], t, v. Outputs: dt, dv.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureGrad {
    /// Experts of a group.
    pub experts: usize,
}

fn width(t: Shape, v: Shape) -> usize {
    assert!(v.cols.is_multiple_of(t.cols), "mixture: one score for each expert");
    v.cols / t.cols
}

/// The largest of a group's scores: exponentials of what is left after it cannot overflow.
#[inline(always)]
fn largest<T: Real>(scores: &[Lanes<T>]) -> Lanes<T> {
    let mut most = scores[0];
    for scores in &scores[1..] {
        for (most, &score) in most.0.iter_mut().zip(&scores.0) {
            *most = most.max(score);
        }
    }
    most
}

#[inline(always)]
fn exponential<T: Real>(score: Lanes<T>, most: Lanes<T>) -> Lanes<T> {
    let mut out = score;
    for (out, &most) in out.0.iter_mut().zip(&most.0) {
        *out = (*out - most).exp_of_negative();
    }
    out
}

impl Operation for Mixture {
    fn name(&self) -> &'static str {
        "mixture"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[0].cols.is_multiple_of(self.experts), "mixture: whole groups");
        vec![Shape::batch(inputs[0].cols / self.experts * width(inputs[0], inputs[1]))]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        let op = MixtureGrad { experts: self.experts };
        graph.add(&node.name, op, &[dy, node.inputs[0], node.inputs[1]]).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let (scores, values) = (graph.width(node.inputs[0]), graph.width(node.inputs[1]));
        Cost::of(node, graph, batch, batch * (2 * values + 3 * scores))
    }

    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized(
            #[inline(always)]
            || {
                let (t, v) = (block.columns(0), block.columns(1));
                let width = v.len() / t.len();
                let groups = t.chunks_exact(self.experts).zip(v.chunks_exact(self.experts * width));
                for (out, (t, v)) in block.output(0).chunks_exact_mut(width).zip(groups) {
                    let most = largest(t);
                    let mut total = Lanes::zero();
                    out.fill(Lanes::zero());
                    for (&t, v) in t.iter().zip(v.chunks_exact(width)) {
                        let weight = exponential(t, most);
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

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let y = target.location(node.outputs[0]);
        let threads = target.capacity * y.stride as usize / 4;
        let kernel = kernel("mixture", threads, [node.inputs[0], node.inputs[1]], self.experts, graph, target);
        vec![kernel.with("Y", y.first).with("Y_STRIDE", y.stride)]
    }
}

/// A kernel with the constants that both operations share.
fn kernel(
    shader: &'static str,
    threads: usize,
    [t, v]: [TensorId; 2],
    experts: usize,
    graph: &Graph,
    target: &Target,
) -> Kernel {
    let (at_t, at_v) = (target.location(t), target.location(v));
    target
        .kernel(shader, threads)
        .with("T", at_t.first)
        .with("T_STRIDE", at_t.stride)
        .with("V", at_v.first)
        .with("V_STRIDE", at_v.stride)
        .with("GROUPS", graph.width(t) / experts)
        .with("EXPERTS", experts)
        .with("WIDTH", width(graph.shape(t), graph.shape(v)))
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

    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized(
            #[inline(always)]
            || {
                let (dy, t, v) = (block.columns(0), block.columns(1), block.columns(2));
                let width = v.len() / t.len();
                let [dt, dv] = block.two_outputs();
                let size = self.experts * width;
                let inputs = dy.chunks_exact(width).zip(t.chunks_exact(self.experts)).zip(v.chunks_exact(size));
                let outputs = dt.chunks_exact_mut(self.experts).zip(dv.chunks_exact_mut(size));
                for (((dy, t), v), (dt, dv)) in inputs.zip(outputs) {
                    let most = largest(t);
                    let mut total = Lanes::zero();
                    for (&t, dt) in t.iter().zip(dt.iter_mut()) {
                        *dt = exponential(t, most);
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
                            *dv = dt.times(dy);
                        }
                        let mut above = dot(dy, v);
                        above.add_scaled(-T::one(), mean);
                        *dt = dt.times(above);
                    }
                }
            },
        );
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, t, v] = node.inputs[..] else { unreachable!("three inputs") };
        let (dt, dv, at_dy) = (target.location(node.outputs[0]), target.location(node.outputs[1]), target.location(dy));
        let across = (dt.stride + dv.stride) as usize / 4;
        let kernel = kernel("mixture_grad", target.capacity * across, [t, v], self.experts, graph, target);
        vec![kernel.with("DY", at_dy.first).with("DY_STRIDE", at_dy.stride).with("DT", dt.first).with("DV", dv.first)]
    }
}
