//! The logit of two events together, the second of which only happens after the first.

use crate::cpu::{Lanes, Real};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::onnx::Attribute;
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// t with σ(t) = σ(a) σ(b): the logit of a click and a conversion, of the click's and of the conversion's after a click (Ma et
/// al. 2018, "Entire Space Multi-Task Model", equation 1). As the product is 1 / (1 + e⁻ᵃ + e⁻ᵇ + e⁻ᵃ⁻ᵇ),
///
/// ```text
/// t = −log(e⁻ᵃ + e⁻ᵇ + e⁻ᵃ⁻ᵇ),
/// ```
///
/// and no probability near 0 or 1 is ever formed.
///
/// Inputs: a [B, 1], b [B, 1]. Output: t [B, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct JointLogit;

/// The gradients of [`JointLogit`]'s inputs.
///
/// Inputs: dt [B, 1], a, b. Outputs: da, db.
#[derive(Clone, Debug, PartialEq)]
pub struct JointLogitGrad;

/// e⁻ᵃ, e⁻ᵇ and e⁻ᵃ⁻ᵇ over the largest of them, and the logarithm of that one.
#[inline(always)]
fn terms<T: Real>(a: T, b: T) -> ([T; 3], T) {
    let exponents = [-a, -b, -a - b];
    let largest = exponents[0].max(exponents[1]).max(exponents[2]);
    (exponents.map(|x| (x - largest).exp()), largest)
}

/// A kernel with the constants that both operations share.
fn kernel(shader: &'static str, [a, b]: [TensorId; 2], target: &Target) -> Kernel {
    let (a, b) = (target.location(a), target.location(b));
    target
        .kernel(shader, target.capacity)
        .by_pieces()
        .with("A", a.first)
        .with("A_STRIDE", a.stride)
        .with("B", b.first)
        .with("B_STRIDE", b.stride)
}

impl Operation for JointLogit {
    fn name(&self) -> &'static str {
        "joint_logit"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs.len() == 2 && inputs.iter().all(|input| input.cols == 1), "joint_logit: two logits");
        vec![Shape::batch(1)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dt) = grads[0] else { return vec![None; 2] };
        let made = graph.add(&node.name, JointLogitGrad, &[dt, node.inputs[0], node.inputs[1]]);
        made.into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        // Exponentials and the logarithm counted as one operation each.
        Cost::of(node, graph, batch, 12 * batch)
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let t = target.location(node.outputs[0]);
        let kernel = kernel("joint_logit", [node.inputs[0], node.inputs[1]], target);
        vec![kernel.with("T", t.first).with("T_STRIDE", t.stride)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [a, b] = [0, 1].map(|input| export.value(node.inputs[input]));
        let onnx = &mut export.onnx;
        let both = onnx.add(&a, &b);
        let exponents = onnx.concat(&[a, b, both], 1);
        let exponents = onnx.node("Neg", &[&exponents], &[]);
        // Opset 17 does not say that ReduceLogSumExp keeps clear of overflow.
        let axes = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
        let largest = onnx.node("ReduceMax", &[&exponents], &axes);
        let apart = onnx.node("Sub", &[&exponents, &largest], &[]);
        let powers = onnx.node("Exp", &[&apart], &[]);
        let sum = onnx.sum(&powers, 1, true);
        let logarithm = onnx.node("Log", &[&sum], &[]);
        let negative = onnx.add(&largest, &logarithm);
        let value = onnx.node("Neg", &[&negative], &[]);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for JointLogit {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let (a, b) = (block.columns(0)[0], block.columns(1)[0]);
        let mut out = Lanes::zero();
        for lane in 0..block.count() {
            let (powers, largest) = terms(a.0[lane], b.0[lane]);
            out.0[lane] = -(largest + (powers[0] + powers[1] + powers[2]).ln());
        }
        block.output(0)[0] = out;
    }
}

impl Operation for JointLogitGrad {
    fn name(&self) -> &'static str {
        "joint_logit_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 14 * batch)
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let dt = target.location(node.inputs[0]);
        let (da, db) = (target.location(node.outputs[0]), target.location(node.outputs[1]));
        let kernel = kernel("joint_logit_grad", [node.inputs[1], node.inputs[2]], target);
        vec![kernel.with("DT", dt.first).with("DT_STRIDE", dt.stride).with("DA", da.first).with("DB", db.first)]
    }
}

impl PerSample for JointLogitGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let [dt, a, b] = [0, 1, 2].map(|input| block.columns(input)[0]);
        let (mut da, mut db) = (Lanes::zero(), Lanes::zero());
        for lane in 0..block.count() {
            // dt / da = (e⁻ᵃ + e⁻ᵃ⁻ᵇ) / (e⁻ᵃ + e⁻ᵇ + e⁻ᵃ⁻ᵇ).
            let ([of_a, of_b, of_both], _) = terms(a.0[lane], b.0[lane]);
            let slope = dt.0[lane] / (of_a + of_b + of_both);
            da.0[lane] = slope * (of_a + of_both);
            db.0[lane] = slope * (of_b + of_both);
        }
        let [to_a, to_b] = block.two_outputs();
        to_a[0] = da;
        to_b[0] = db;
    }
}
