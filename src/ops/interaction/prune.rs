//! AdaSparse's pruner: factors of a layer's inputs, 0 for those that a sample does without (Yang et al. 2022).

use crate::cpu::{Lanes, Real, sigmoid, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{
    Arg, Block, Cost, Kernel, ModelState, OnnxExport, Op, Operation, PerSample, Renumbered, StepView, Target, Update,
};

/// π = β σ(α v), and 0 where that is at most ε.
///
/// Inputs: v [B, W], α [1, 1]. Output: [B, W].
#[derive(Clone, Debug, PartialEq)]
pub struct Prune {
    /// β, the largest factor.
    pub max: f64,
    /// ε.
    pub threshold: f64,
}

/// The gradient of [`Prune`]'s v, for what is kept: dπ α π (1 − π / β).
///
/// Inputs: dπ [B, W], π, α. Output: [B, W].
#[derive(Clone, Debug, PartialEq)]
pub struct PruneGrad {
    /// β.
    pub max: f64,
}

/// Multiplies a parameter [1, 1] at the end of every training step, up to a limit.
///
/// No inputs, no outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Anneal {
    /// Number of the parameter.
    pub parameter: usize,
    /// What it is multiplied by.
    pub factor: f64,
    /// What it does not exceed.
    pub max: f64,
}

/// A kernel over the four-columns of `y`, with α's place.
fn kernel(shader: &'static str, alpha: TensorId, y: TensorId, target: &Target) -> Kernel {
    let stride = target.location(y).stride;
    let kernel = target.kernel(shader, target.capacity * stride as usize / 4).by_pieces();
    kernel.with("STRIDE", stride).with("ALPHA", target.location(alpha).first).bind([Arg::Parameters])
}

impl Operation for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[1], Shape::fixed(1, 1), "prune: one α");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let op = PruneGrad { max: self.max };
        let dv = grads[0].map(|d| graph.add_one(&node.name, op, &[d, node.outputs[0], node.inputs[1]]));
        vec![dv, None]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 8 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let kernel = kernel("prune", node.inputs[1], node.outputs[0], target)
            .with("V", target.location(node.inputs[0]).first)
            .with("Y", target.location(node.outputs[0]).first);
        vec![kernel.with("MOST", self.max).with("LEAST", self.threshold)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let (v, alpha) = (export.value(node.inputs[0]), export.parameter(node.inputs[1])[0]);
        let onnx = &mut export.onnx;
        let v = onnx.scaled(&v, f64::from(alpha));
        let factors = onnx.sigmoid(&v);
        let factors = onnx.scaled(&factors, self.max);
        let [threshold, zero] = [self.threshold as f32, 0.0].map(|x| onnx.float(x));
        let is_kept = onnx.node("Greater", &[&factors, &threshold], &[]);
        let value = onnx.select(&is_kept, &factors, &zero);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Prune {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (v, alpha) = (block.columns(0), block.matrix(1)[0]);
                let (max, threshold) = (T::of(self.max), T::of(self.threshold));
                for (out, v) in block.output(0).iter_mut().zip(v) {
                    *out = v.map(|v| {
                        let factor = max * sigmoid(alpha * v);
                        if factor > threshold { factor } else { T::zero() }
                    });
                }
            },
        );
    }
}

impl Operation for PruneGrad {
    fn name(&self) -> &'static str {
        "prune_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 4 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let [d, factors, alpha] = node.inputs[..] else { unreachable!("three inputs") };
        let kernel = kernel("prune_grad", alpha, node.outputs[0], target)
            .with("D", target.location(d).first)
            .with("FACTORS", target.location(factors).first)
            .with("Y", target.location(node.outputs[0]).first);
        vec![kernel.with("MOST", self.max)]
    }
}

impl PerSample for PruneGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (d, factors, alpha) = (block.columns(0), block.columns(1), block.matrix(2)[0]);
                let inverse = T::of(1.0 / self.max);
                for ((out, &d), factor) in block.output(0).iter_mut().zip(d).zip(factors) {
                    *out = Lanes::times(d, factor.map(|factor| alpha * factor * (T::one() - factor * inverse)));
                }
            },
        );
    }
}

impl Operation for Anneal {
    fn name(&self) -> &'static str {
        "anneal"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.parameter = numbers.parameters[self.parameter];
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, _: &Node, _: &Graph, _: usize) -> Cost {
        Cost { flops: 2, bytes: 8 }
    }

    fn kernels(&self, _: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let place = target.location(graph.parameters[self.parameter].tensor).first;
        let kernel = Kernel::new("anneal", 1).with("PLACE", place).with("FACTOR", self.factor).with("MOST", self.max);
        vec![kernel.bind([Arg::Parameters])]
    }
}

impl Update for Anneal {
    fn update<T: Real>(&self, _: &StepView<'_>, _: &[&[T]], state: &mut ModelState<T>) {
        for value in &mut state.dense.weights[self.parameter] {
            *value = (*value * T::of(self.factor)).min(T::of(self.max));
        }
    }
}
