//! Binary cross entropy on logits, loss and gradient in one.

use crate::cpu::{Lanes, Real, log1p_exp, sigmoid};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::loss::loss_kernel;
use crate::ops::{Arg, Block, Cost, Kernel, Op, Operation, PerSample, Renumbered, Target};

/// Partial sums a loss is logged in: lane i sums the samples i, i + 32, i + 64, …
pub const LOSS_LANES: usize = 32;

/// A label of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// What the model predicts.
    Main,
    /// Whether it was clicked, in graphs with [`clicks`](Graph::clicks).
    Click,
}

impl Label {
    /// Its number among a sample's labels.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Main => 0,
            Self::Click => 1,
        }
    }
}

/// Mean binary cross entropy of a logit with a label, logged, and its gradient: of t plus the step's `logit_offset`, times
/// the sample's weight.
///
/// Input: t [B, 1]. Output: d loss / d t [B, 1]. Logs the sums of the loss over [`LOSS_LANES`] groups of samples (not yet
/// divided by B) in a column of the loss log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogitLoss {
    /// Which label of the sample.
    pub label: Label,
    /// The log's column.
    pub column: usize,
}

impl Operation for LogitLoss {
    fn name(&self) -> &'static str {
        "logit_loss"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].cols, 1, "logit_loss: one logit");
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
        Cost::of(node, graph, batch, 8 * batch)
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.column += numbers.loss_columns;
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let t = target.location(node.inputs[0]);
        let kernel = loss_kernel("logit_loss", self.column, graph, target)
            .with("T", t.first)
            .with("T_STRIDE", t.stride)
            .with("GRADIENT", target.location(node.outputs[0]).first)
            .with("ORDER", target.batch_layout.order)
            .with("LABELS", graph.labels())
            .with("LABEL", self.label.number());
        vec![kernel.bind([Arg::Labels, Arg::Batches, Arg::Losses])]
    }
}

impl PerSample for LogitLoss {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let logits = block.columns(0);
        let inverse_rows = T::one() / block.step.mean_rows::<T>();
        let offset = T::of(f64::from(block.step.uniforms.logit_offset));
        let (mut losses, mut gradients) = (Lanes::zero(), Lanes::zero());
        for lane in 0..block.count() {
            let (label, weight) = block.label_and_weight(self.label, lane);
            let t = logits[0].0[lane] + offset;
            losses.0[lane] = weight * (log1p_exp(t) - t * label);
            gradients.0[lane] = weight * inverse_rows * (sigmoid(t) - label);
        }
        *block.log(self.column) = losses;
        block.output(0)[0] = gradients;
    }
}
