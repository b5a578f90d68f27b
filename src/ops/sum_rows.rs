//! The sum of a batch's rows.

use super::linear_grad::column_sums;
use super::{Arg, Cost, Cpu, Kernel, Op, Operation, Target};
use crate::cpu::Real;
use crate::graph::{Graph, Node, Shape};

/// y[j] = Σ_b x[b, j]: what a parameter shared by all samples receives from each.
///
/// Input: x [B, rows·cols]. Output: [rows, cols].
#[derive(Clone, Debug, PartialEq)]
pub struct SumRows {
    /// Rows of the result.
    pub rows: usize,
}

impl Operation for SumRows {
    fn name(&self) -> &'static str {
        "sum_rows"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![Shape::fixed(self.rows, inputs[0].cols / self.rows)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, graph.shape(node.inputs[0]).len(batch))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        column_sums(cpu.inputs[0], &mut outputs[0][..cpu.shapes[0].cols]);
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let _ = target;
        let width = graph.width(node.inputs[0]);
        vec![Kernel::new("sum_rows", width).with("WIDTH", width).bind([Arg::Input(0), Arg::Output(0)])]
    }
}
