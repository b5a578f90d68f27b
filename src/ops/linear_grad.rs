//! Gradients of the dense layer.

use super::{Arg, Cost, Cpu, Kernel, Op, Operation, Target};
use crate::cpu::{Matrix, Real, for_chunks, for_row_blocks, product};
use crate::graph::{Graph, Node, Shape};

/// dx = dz W, for each of `groups` column ranges.
///
/// Inputs: dz [B, groups·N], W [N, K]. Output: dx [B, groups·K].
#[derive(Clone, Debug, PartialEq)]
pub struct LinearGradInput {
    /// Column ranges that share the weights.
    pub groups: usize,
}

impl Operation for LinearGradInput {
    fn name(&self) -> &'static str {
        "linear_grad_input"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![Shape { rows: inputs[0].rows, cols: self.groups * inputs[1].cols }]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * batch * self.groups * graph.shape(node.inputs[1]).len(batch))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let (size, width) = (cpu.shapes[1].fixed_rows(), cpu.shapes[1].cols);
        let rows = cpu.rows() * self.groups;
        let (dz, w) = (cpu.inputs[0], cpu.inputs[1]);
        for_row_blocks(&mut outputs[0][..rows * width], width, |first, block| {
            let dz = Matrix::new(&dz[first * size..], block.len() / width, size);
            product(dz, Matrix::new(w, size, width), block);
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let w = graph.shape(node.inputs[1]);
        let rows = target.capacity * self.groups;
        vec![
            Kernel::new("linear_grad_input", rows.div_ceil(4) * w.cols.div_ceil(4))
                .with("INNER", w.cols)
                .with("OUTER", w.fixed_rows())
                .with("GROUPS", self.groups)
                .bind([Arg::Input(0), Arg::Input(1), Arg::Output(0)]),
        ]
    }
}

/// dW = dzᵀ x and db = Σ dz, over all samples and groups.
///
/// Inputs: dz [B, groups·N], x [B, groups·K]. Outputs: dW [N, K], db [1, N] if `bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearGradWeights {
    /// Column ranges that share the weights.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

/// Rows of dW one task computes.
const OUTPUTS_PER_TASK: usize = 32;

impl Operation for LinearGradWeights {
    fn name(&self) -> &'static str {
        "linear_grad_weights"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let (size, width) = (inputs[0].cols / self.groups, inputs[1].cols / self.groups);
        let mut outputs = vec![Shape::fixed(size, width)];
        if self.bias {
            outputs.push(Shape::fixed(1, size));
        }
        outputs
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * batch * self.groups * graph.shape(node.outputs[0]).len(batch))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let (size, width) = (cpu.shapes[0].cols / self.groups, cpu.shapes[1].cols / self.groups);
        let rows = cpu.rows() * self.groups;
        let dz = Matrix::new(cpu.inputs[0], rows, size);
        let x = Matrix::new(cpu.inputs[1], rows, width);
        for_chunks(&mut outputs[0][..size * width], OUTPUTS_PER_TASK * width, |chunk, block| {
            product(dz.columns(chunk * OUTPUTS_PER_TASK, block.len() / width).transposed(), x, block);
        });
        if self.bias {
            column_sums(&cpu.inputs[0][..rows * size], &mut outputs[1][..size]);
        }
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let dw = graph.shape(node.outputs[0]);
        let _ = target;
        vec![
            Kernel::new("linear_grad_weights", dw.fixed_rows().div_ceil(4) * dw.cols.div_ceil(4))
                .with("INNER", dw.cols)
                .with("OUTER", dw.fixed_rows())
                .with("GROUPS", self.groups)
                .with("BIAS", self.bias)
                .bind([Arg::Input(0), Arg::Input(1), Arg::Output(0), Arg::Output(usize::from(self.bias))]),
        ]
    }
}

/// Sums each column of a row-major matrix, rows in order.
pub(super) fn column_sums<T: Real>(matrix: &[T], sums: &mut [T]) {
    sums.fill(T::zero());
    for row in matrix.chunks_exact(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
