//! The columns of a sample's own scenario.

use crate::cpu::{Lanes, Real};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// y = x\[s·W..(s + 1)·W\], s being the sample's scenario.
///
/// Input: [B, scenarios·W]. Output: [B, W].
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// W.
    pub width: usize,
}

/// The gradient of [`Select`]'s input: dy in the columns of the sample's own scenario, 0 elsewhere.
///
/// Input: dy [B, W]. Output: [B, scenarios·W].
#[derive(Clone, Debug, PartialEq)]
pub struct SelectGrad {
    /// How many scenarios there are.
    pub scenarios: usize,
}

/// A kernel with the constants that both operations share.
fn kernel(shader: &'static str, node: &Node, width: usize, target: &Target) -> Kernel {
    let (x, y) = (target.location(node.inputs[0]), target.location(node.outputs[0]));
    target
        .kernel(shader, target.capacity * y.stride as usize / 4)
        .by_pieces()
        .with("X", x.first)
        .with("X_STRIDE", x.stride)
        .with("Y", y.first)
        .with("Y_STRIDE", y.stride)
        .with("WIDTH", width)
        .with("SCENARIOS", target.batch_layout.scenarios.unwrap_or(0))
        .bind([crate::ops::Arg::Batches])
}

impl Operation for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[0].cols.is_multiple_of(self.width), "select: the same columns for each scenario");
        vec![Shape::batch(self.width)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let scenarios = graph.width(node.inputs[0]) / self.width;
        vec![grads[0].map(|dy| graph.add_one(&node.name, SelectGrad { scenarios }, &[dy]))]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, _: &Node, _: &Graph, batch: usize) -> Cost {
        Cost { flops: 0, bytes: 4 * (batch * (2 * self.width + 1)) as u64 }
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        vec![kernel("select", node, self.width, target)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let x = export.value(node.inputs[0]);
        let (scenarios, count) = (export.scenarios(), export.width(node.inputs[0]) / self.width);
        let x = export.onnx.reshape(&x, &[0, count as i64, self.width as i64]);
        let value = export.onnx.choose(&x, &scenarios);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Select {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let x = block.columns(0);
        let scenarios = block.scenarios();
        let out = block.output(0);
        out.fill(Lanes::zero());
        for (lane, &scenario) in scenarios.iter().enumerate() {
            for (out, x) in out.iter_mut().zip(&x[scenario as usize * self.width..]) {
                out.0[lane] = x.0[lane];
            }
        }
    }
}

impl Operation for SelectGrad {
    fn name(&self) -> &'static str {
        "select_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![Shape::batch(inputs[0].cols * self.scenarios)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 0)
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        vec![kernel("select_grad", node, graph.width(node.inputs[0]), target)]
    }
}

impl PerSample for SelectGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let dy = block.columns(0);
        let scenarios = block.scenarios();
        let out = block.output(0);
        out.fill(Lanes::zero());
        for (lane, &scenario) in scenarios.iter().enumerate() {
            for (out, dy) in out[scenario as usize * dy.len()..].iter_mut().zip(dy) {
                out.0[lane] = dy.0[lane];
            }
        }
    }
}
