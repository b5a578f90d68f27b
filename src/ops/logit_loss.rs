//! Binary cross entropy on logits, loss and gradient in one.

use super::{Arg, Block, Cost, Kernel, Op, Operation, Target};
use crate::cpu::{Lanes, Real, log1p_exp, sigmoid};
use crate::graph::{Graph, Node, Shape, TensorId};

/// What a column of logits should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossTarget {
    /// The sample's label.
    Label,
    /// 1: softplus(−t).
    One,
    /// 0: softplus(t).
    Zero,
}

/// One column of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossColumn {
    /// The target.
    pub target: LossTarget,
    /// Weight in the total loss.
    pub weight: f64,
}

/// Partial sums a column's loss is logged in: lane i sums the samples i, i + 32, i + 64, …
pub const LOSS_LANES: usize = 32;
/// Invocations of a workgroup that computes the samples of one lane.
pub(super) const SAMPLES_PER_GROUP: usize = 32;

/// Mean binary cross entropy of each column of logits, logged, and its gradient.
///
/// Input: t [B, C]. Output: d total / d t [B, C]. Logs for each column C the sums of the loss over [`LOSS_LANES`]
/// groups of samples (not yet divided by B), at column `first_column` of the loss log on.
#[derive(Clone, Debug, PartialEq)]
pub struct LogitLoss {
    /// What each column is compared with; at most two columns.
    pub columns: Vec<LossColumn>,
    /// Where the log's columns begin.
    pub first_column: usize,
}

impl Operation for LogitLoss {
    fn name(&self) -> &'static str {
        "logit_loss"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].cols, self.columns.len(), "logit_loss: one target per column");
        assert!((1..=2).contains(&self.columns.len()), "logit_loss: one or two columns");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, _: &[Option<TensorId>], _: &mut Graph) -> Vec<Option<TensorId>> {
        // The loss is where gradients begin: the node computed its own.
        vec![Some(node.outputs[0])]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        // Exponential, logarithm and division counted as one operation each.
        Cost::of(node, graph, batch, 8 * batch * self.columns.len())
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let logits = block.columns(0);
        let inverse_rows = T::one() / T::of(block.step.rows() as f64);
        for (col, column) in self.columns.iter().enumerate() {
            let (mut losses, mut gradients) = (Lanes::zero(), Lanes::zero());
            for lane in 0..block.count() {
                let t = logits[col].0[lane];
                let target = match column.target {
                    LossTarget::Label => block.label(lane),
                    LossTarget::One => T::one(),
                    LossTarget::Zero => T::zero(),
                };
                losses.0[lane] = log1p_exp(t) - t * target;
                gradients.0[lane] = T::of(column.weight) * inverse_rows * (sigmoid(t) - target);
            }
            *block.log(self.first_column + col) = losses;
            block.output(0)[col] = gradients;
        }
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let t = target.location(node.inputs[0]);
        let mut kernel = target
            .kernel("logit_loss", LOSS_LANES * SAMPLES_PER_GROUP)
            .in_groups_of(SAMPLES_PER_GROUP as u32)
            .with("T", t.first)
            .with("T_STRIDE", t.stride)
            .with("GRADIENT", target.location(node.outputs[0]).first)
            .with("COLUMNS", self.columns.len())
            .with("LANES", LOSS_LANES)
            .with("LOG_WIDTH", graph.loss_columns)
            .with("FIRST_COLUMN", self.first_column)
            .with("ORDER", target.schedule.order);
        for (column, [goal, weight]) in self.columns.iter().zip([["TARGET_0", "WEIGHT_0"], ["TARGET_1", "WEIGHT_1"]]) {
            let code = match column.target {
                LossTarget::Zero => 0usize,
                LossTarget::One => 1,
                LossTarget::Label => 2,
            };
            kernel = kernel.with(goal, code).with(weight, column.weight);
        }
        vec![kernel.bind([Arg::Labels, Arg::Schedule, Arg::Losses])]
    }
}
