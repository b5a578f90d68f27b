//! Weights of a scenario made of shared ones and its own (STAR, Sheng et al. 2021; OptMSM's `fcn`).

use crate::cpu::Real;
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Arg, Batch, Cost, Kernel, OnnxExport, Op, Operation, Phase, Reduce, Target};

/// For each scenario the shared matrix ⊙ its own, or the sum of the two.
///
/// Inputs: shared [R, C]; own, either [scenarios·R, C] or, of rows, [1, scenarios·C]. Output: as own.
#[derive(Clone, Debug, PartialEq)]
pub struct Star {
    /// How many scenarios there are.
    pub scenarios: usize,
    /// Whether they are added, rather than multiplied.
    pub sum: bool,
}

/// The gradients of [`Star`]'s inputs.
///
/// Inputs: the gradient of its output, shared, own. Outputs: those of shared and own.
#[derive(Clone, Debug, PartialEq)]
pub struct StarGrad {
    /// That of the operation.
    pub star: Star,
}

impl Star {
    fn kernel(&self, shader: &'static str, [shared, own]: [TensorId; 2], graph: &Graph, target: &Target) -> Kernel {
        let (at_shared, at_own) = (target.location(shared), target.location(own));
        let (rows, cols) = (graph.shape(shared).fixed_rows(), graph.width(shared));
        Kernel::new(shader, graph.shape(own).fixed_rows() * at_own.stride as usize / 4)
            .with("SHARED", at_shared.first)
            .with("SHARED_STRIDE", at_shared.stride)
            .with("ROWS", rows)
            .with("COLS", cols)
            .with("OWN", at_own.first)
            .with("OWN_STRIDE", at_own.stride)
            .with("OWN_ROWS", graph.shape(own).fixed_rows())
            .with("OWN_COLS", graph.width(own))
            .with("SUM", self.sum)
            .by_items()
    }
}

impl Operation for Star {
    fn name(&self) -> &'static str {
        "star"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let (rows, cols) = (inputs[0].fixed_rows(), inputs[0].cols);
        let beside = rows == 1 && inputs[1] == Shape::fixed(1, self.scenarios * cols);
        let below = inputs[1] == Shape::fixed(self.scenarios * rows, cols);
        assert!(beside || below, "star: one part for each scenario");
        vec![inputs[1]]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(d) = grads[0] else { return vec![None; 2] };
        let op = StarGrad { star: self.clone() };
        graph.add(&node.name, op, &[d, node.inputs[0], node.inputs[1]]).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, graph.shape(node.inputs[1]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let kernel = self.kernel("star", [node.inputs[0], node.inputs[1]], graph, target);
        vec![kernel.with("OUT", target.location(node.outputs[0]).first).bind([Arg::Parameters])]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let (shared, own) = (export.parameter(node.inputs[0]), export.parameter(node.inputs[1]));
        let combined = |(&shared, &own): (&f32, &f32)| if self.sum { shared + own } else { shared * own };
        let values = shared.iter().cycle().zip(own).map(combined).collect();
        export.set_parameter(node.outputs[0], values);
    }
}

impl Reduce for Star {
    fn phase(&self) -> Phase {
        Phase::Weights
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let (shared, own) = (batch.matrix(0), batch.matrix(1));
        for (out, own) in outputs[0].chunks_exact_mut(shared.len()).zip(own.chunks_exact(shared.len())) {
            for ((out, &shared), &own) in out.iter_mut().zip(shared).zip(own) {
                *out = if self.sum { shared + own } else { shared * own };
            }
        }
    }
}

impl Operation for StarGrad {
    fn name(&self) -> &'static str {
        "star_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 3 * graph.shape(node.inputs[2]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [d, shared, own] = node.inputs[..] else { unreachable!("three inputs") };
        let kernel = self.star.kernel("star_grad", [shared, own], graph, target);
        let place = |tensor| target.location(tensor).first;
        let kernel =
            kernel.with("D", place(d)).with("TO_SHARED", place(node.outputs[0])).with("TO_OWN", place(node.outputs[1]));
        let kernel = kernel.with("PARTS", target.parts).with("COPY", target.parameters);
        vec![kernel.bind([Arg::Parameters, Arg::Gradients])]
    }
}

impl Reduce for StarGrad {
    fn phase(&self) -> Phase {
        Phase::WeightGradients
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let (d, shared, own) = (batch.matrix(0), batch.matrix(1), batch.matrix(2));
        let [to_shared, to_own] = outputs else { unreachable!("two outputs") };
        to_shared.fill(T::zero());
        let size = shared.len();
        for (to_own, (d, own)) in to_own.chunks_exact_mut(size).zip(d.chunks_exact(size).zip(own.chunks_exact(size))) {
            for i in 0..size {
                let (to_this, to_that) = if self.star.sum { (d[i], d[i]) } else { (d[i] * own[i], d[i] * shared[i]) };
                to_shared[i] += to_this;
                to_own[i] = to_that;
            }
        }
    }
}
