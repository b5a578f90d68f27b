//! The dense layer: y = act(x Wᵀ + b).

use super::{Arg, Combine, Cost, Cpu, Epilogue, Kernel, LinearGradInput, LinearGradWeights, Op, Operation, Target};
use crate::cpu::{Matrix, Real, for_row_blocks, product};
use crate::graph::{Graph, Node, Shape, TensorId};

/// y = act(x Wᵀ + b), for each of `groups` equal column ranges of x with the same weights.
///
/// Inputs: x [B, groups·K], W [N, K], b [1, N] if `bias`. Output: y [B, groups·N].
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Whether there is a bias.
    pub bias: bool,
    /// Column ranges of x that share the weights.
    pub groups: usize,
    /// Activation and dropout.
    pub epilogue: Epilogue,
}

impl Operation for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let (x, w) = (inputs[0], inputs[1]);
        assert_eq!(inputs.len(), 2 + usize::from(self.bias));
        assert_eq!(x.cols, self.groups * w.cols, "linear: input width");
        vec![Shape { rows: x.rows, cols: self.groups * w.fixed_rows() }]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; node.inputs.len()] };
        let (x, w) = (node.inputs[0], node.inputs[1]);
        let dz = Combine::through(graph, &node.name, dy, node.outputs[0], self.epilogue);
        let dx = graph.add_one(&node.name, LinearGradInput { groups: self.groups }, &[dz, w]);
        let weights = LinearGradWeights { groups: self.groups, bias: self.bias };
        let dw = graph.add(&node.name, weights, &[dz, x]);
        std::iter::once(dx).chain(dw).map(Some).collect()
    }

    fn inference(&self) -> Op {
        Self { epilogue: self.epilogue.inference(), ..self.clone() }.into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 2 * batch * self.groups * graph.shape(node.inputs[1]).len(batch))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let (x, w) = (cpu.inputs[0], cpu.inputs[1]);
        let rows = cpu.rows() * self.groups;
        let (size, width) = (cpu.shapes[1].fixed_rows(), cpu.shapes[1].cols);
        let bias = self.bias.then(|| cpu.inputs[2]);
        for_row_blocks(&mut outputs[0][..rows * size], size, |first, block| {
            let count = block.len() / size;
            let x = Matrix::new(&x[first * width..], count, width);
            product(x, Matrix::new(w, size, width).transposed(), block);
            for (row, out) in block.chunks_exact_mut(size).enumerate() {
                for (col, y) in out.iter_mut().enumerate() {
                    let z = bias.map_or(*y, |bias| *y + bias[col]);
                    *y = self.epilogue.apply(z, (first + row) * size + col, cpu.clock);
                }
            }
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let w = graph.shape(node.inputs[1]);
        let (inner, outer) = (w.cols, w.fixed_rows());
        let rows = target.capacity * self.groups;
        let kernel = Kernel::new("linear", rows.div_ceil(4) * outer.div_ceil(4))
            .with("INNER", inner)
            .with("OUTER", outer)
            .with("GROUPS", self.groups)
            .with("BIAS", self.bias)
            // Without a bias its binding still wants a buffer; the shader does not read it.
            .bind([Arg::Input(0), Arg::Input(1), Arg::Input(if self.bias { 2 } else { 1 }), Arg::Output(0)]);
        vec![self.epilogue.constants(kernel)]
    }
}
