//! AdaSparse's regulariser of how much is pruned (Yang et al. 2022): loss and gradient in one.

use crate::cpu::{Lanes, Real};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::loss::loss_kernel;
use crate::ops::{Arg, Block, Cost, Kernel, Op, Operation, PerSample, Renumbered, Target};

/// (r − (low + high) / 2)² where r = 1 − mean of a sample's factors lies outside low..high, else 0; its mean over the
/// batch, logged, and its gradient.
///
/// Input: π [B, W]. Output: d total / d π.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparsity {
    /// The smallest r that costs nothing.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Weight in the total loss.
    pub weight: f64,
    /// Column of the loss log.
    pub first_column: usize,
}

impl Operation for Sparsity {
    fn name(&self) -> &'static str {
        "sparsity"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, _: &[Option<TensorId>], _: &mut Graph) -> Vec<Option<TensorId>> {
        vec![Some(node.outputs[0])]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, batch * graph.width(node.inputs[0]))
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.first_column += numbers.loss_columns;
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let factors = target.location(node.inputs[0]);
        let kernel = loss_kernel("sparsity", self.first_column, graph, target)
            .with("FACTORS", factors.first)
            .with("STRIDE", factors.stride)
            .with("WIDTH", graph.width(node.inputs[0]))
            .with("GRADIENT", target.location(node.outputs[0]).first)
            .with("LOW", self.low)
            .with("HIGH", self.high)
            .with("WEIGHT", self.weight);
        vec![kernel.bind([Arg::Losses])]
    }
}

impl PerSample for Sparsity {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let factors = block.columns(0);
        let width = T::of(factors.len() as f64);
        let sum = factors.iter().copied().fold(Lanes::zero(), Lanes::plus);
        let (low, high) = (T::of(self.low), T::of(self.high));
        let middle = T::of(0.5) * (low + high);
        let scale = T::of(-2.0 * self.weight) / (width * block.step.mean_rows::<T>());
        let (mut loss, mut slope) = (Lanes::zero(), Lanes::zero());
        for lane in 0..block.count() {
            let ratio = T::one() - sum.0[lane] / width;
            if ratio < low || ratio > high {
                let off = ratio - middle;
                loss.0[lane] = off * off;
                slope.0[lane] = scale * off;
            }
        }
        block.output(0).fill(slope);
        *block.log(self.first_column) = loss;
    }
}
