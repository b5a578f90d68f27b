//! Learned positions in a sequence (BST, Chen et al. 2019).

use crate::cpu::Real;
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::sequence::tokens::{clear, longest, place, with_tokens};
use crate::ops::{Arg, Batch, Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Phase, Reduce, Target};

/// y = x + a row of P for how far a token is from its sample's last: that one has row 0.
///
/// Inputs: x [T, W], P [longest, W]. Output: [T, W].
#[derive(Clone, Debug, PartialEq)]
pub struct AddPositions;

/// The gradient of [`AddPositions`]'s P: for each row the sum of dy over the tokens that it was added to.
///
/// Inputs: dy [T, W]. Output: [longest, W].
#[derive(Clone, Debug, PartialEq)]
pub struct AddPositionsGrad;

impl Operation for AddPositions {
    fn name(&self) -> &'static str {
        "add_positions"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[1], Shape::fixed(longest(inputs[0]), inputs[0].cols), "add_positions: a row for each");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        vec![Some(dy), Some(graph.add_one(&node.name, AddPositionsGrad, &[dy]))]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, graph.shape(node.inputs[0]).len(batch))
    }

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let (x, y) = (target.location(node.inputs[0]), target.location(node.outputs[0]));
        let kernel = target
            .kernel("add_positions", target.capacity * x.stride as usize / 4)
            .with("X", x.first)
            .with("STRIDE", x.stride)
            .with("Y", y.first)
            .with("POSITIONS", target.location(node.inputs[1]).first);
        vec![with_tokens(kernel, target).bind([Arg::Parameters])]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let (x, distance) = (export.value(node.inputs[0]), export.tokens().distance);
        let positions = export.matrix(node.inputs[1]);
        let rows = export.onnx.gather(&positions, &distance);
        let value = export.onnx.add(&x, &rows);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for AddPositions {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let (x, positions) = (block.token_tensor(0), block.matrix(1));
        let width = x.width();
        clear(block, 0..1);
        for lane in 0..block.count() {
            let tokens = block.tokens(lane);
            for token in tokens.clone() {
                let (number, at) = place(token);
                let row = &positions[(tokens.end - 1 - token) * width..];
                let columns = block.token_output(0, number).iter_mut().zip(x.block(number));
                for ((out, x), &position) in columns.zip(row) {
                    out.0[at] = x.0[at] + position;
                }
            }
        }
    }
}

impl Operation for AddPositionsGrad {
    fn name(&self) -> &'static str {
        "add_positions_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![Shape::fixed(longest(inputs[0]), inputs[0].cols)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, graph.shape(node.inputs[0]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let (dy, rows) = (target.location(node.inputs[0]), graph.shape(node.outputs[0]).fixed_rows());
        let kernel = target
            .kernel("add_positions_grad", rows * dy.stride as usize / 4)
            .with("DY", dy.first)
            .with("STRIDE", dy.stride)
            .with("WIDTH", graph.width(node.inputs[0]))
            .with("ROWS", rows)
            .with("OUT", target.location(node.outputs[0]).first);
        vec![with_tokens(kernel, target).bind([Arg::Gradients])]
    }
}

impl Reduce for AddPositionsGrad {
    fn phase(&self) -> Phase {
        Phase::Sums
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let dy = batch.tensor(0);
        let width = dy.width();
        outputs[0].fill(T::zero());
        for sample in 0..batch.step.rows() {
            let tokens = batch.step.tokens(sample);
            for token in tokens.clone() {
                let (number, at) = place(token);
                let row = &mut outputs[0][(tokens.end - 1 - token) * width..][..width];
                for (sum, dy) in row.iter_mut().zip(dy.block(number)) {
                    *sum += dy.0[at];
                }
            }
        }
    }
}
