//! Mixtures of predictions: HMoE's label space (Li et al. 2020).

use crate::cpu::{LANES, Real, log1p_exp, sigmoid};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::onnx::Attribute;
use crate::ops::{Arg, Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// The logit of p = Σ_j softmax_j(t) σ(z_j): the mixture of all scenarios' predictions.
///
/// Inputs: scores t [B, scenarios], logits z [B, scenarios]. Output: [B, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMixture;

/// The gradients of [`LabelMixture`]'s inputs; that of the logits is 0 but for the sample's own scenario, for others'
/// predictions are taken as they are.
///
/// Inputs: dy [B, 1], t, z. Outputs: dt, dz.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMixtureGrad;

/// log Σ e^x, which cannot overflow.
fn log_sum_exp<T: Real>(values: impl Iterator<Item = T> + Clone) -> T {
    let max = values.clone().fold(T::of(f64::NEG_INFINITY), T::max);
    max + values.map(|value| (value - max).exp()).sum::<T>().ln()
}

/// One sample's mixture.
struct Mixed<T> {
    /// log of each scenario's weight, up to a constant.
    scores: Vec<T>,
    logits: Vec<T>,
    /// log p and log(1 − p), up to the same constant.
    yes: T,
    no: T,
}

impl<T: Real> Mixed<T> {
    fn new(scores: Vec<T>, logits: Vec<T>) -> Self {
        let mut mixed = Self { scores, logits, yes: T::zero(), no: T::zero() };
        mixed.yes = log_sum_exp((0..mixed.logits.len()).map(|j| mixed.scores[j] - log1p_exp(-mixed.logits[j])));
        mixed.no = log_sum_exp((0..mixed.logits.len()).map(|j| mixed.scores[j] - log1p_exp(mixed.logits[j])));
        mixed
    }

    /// How likely scenario `j` is to have made the prediction, were it yes, and were it no.
    fn shares(&self, j: usize) -> (T, T) {
        let (score, logit) = (self.scores[j], self.logits[j]);
        ((score - log1p_exp(-logit) - self.yes).exp(), (score - log1p_exp(logit) - self.no).exp())
    }
}

fn sample<T: Real>(block: &Block<'_, T>, first: usize, lane: usize) -> Mixed<T> {
    let [scores, logits] = [first, first + 1].map(|i| block.columns(i).iter().map(|c| c.0[lane]).collect());
    Mixed::new(scores, logits)
}

/// A kernel with the constants that both operations share.
fn kernel(shader: &'static str, [t, z, y]: [TensorId; 3], graph: &Graph, target: &Target) -> Kernel {
    let (at_t, at_z) = (target.location(t), target.location(z));
    target
        .kernel(shader, target.capacity)
        .by_pieces()
        .with("T", at_t.first)
        .with("Z", at_z.first)
        .with("STRIDE", at_t.stride)
        .with("Y", target.location(y).first)
        .with("COUNT", graph.width(t))
}

impl Operation for LabelMixture {
    fn name(&self) -> &'static str {
        "label_mixture"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0], inputs[1], "label_mixture: a score for each logit");
        vec![Shape::batch(1)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 2] };
        let inputs = [dy, node.inputs[0], node.inputs[1]];
        graph.add(&node.name, LabelMixtureGrad, &inputs).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 12 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        vec![kernel("label_mixture", [node.inputs[0], node.inputs[1], node.outputs[0]], graph, target)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [t, z] = [0, 1].map(|input| export.value(node.inputs[input]));
        let onnx = &mut export.onnx;
        // log p and log(1 − p), up to the same constant
        let opposite = onnx.node("Neg", &[&z], &[]);
        let [yes, no] = [opposite, z].map(|x| {
            let cost = onnx.node("Softplus", &[&x], &[]);
            let scores = onnx.node("Sub", &[&t, &cost], &[]);
            let attributes = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
            onnx.node("ReduceLogSumExp", &[&scores], &attributes)
        });
        let value = onnx.node("Sub", &[&yes, &no], &[]);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for LabelMixture {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        for lane in 0..LANES {
            let mixed = sample(block, 0, lane);
            block.output(0)[0].0[lane] = mixed.yes - mixed.no;
        }
    }
}

impl Operation for LabelMixtureGrad {
    fn name(&self) -> &'static str {
        "label_mixture_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1], inputs[2]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 24 * batch * graph.width(node.inputs[1]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, t, z] = node.inputs[..] else { unreachable!("three inputs") };
        let kernel = kernel("label_mixture_grad", [t, z, dy], graph, target)
            .with("DT", target.location(node.outputs[0]).first)
            .with("DZ", target.location(node.outputs[1]).first)
            .with("SCENARIOS", target.batch_layout.scenarios.unwrap_or(0));
        vec![kernel.bind([Arg::Batches])]
    }
}

impl PerSample for LabelMixtureGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let dy = block.columns(0)[0];
        let scenarios = block.scenarios();
        for lane in 0..LANES {
            let mixed = sample(block, 1, lane);
            let own = scenarios.get(lane).map(|&scenario| scenario as usize);
            let [dt, dz] = block.two_outputs();
            for j in 0..mixed.logits.len() {
                let (yes, no) = mixed.shares(j);
                dt[j].0[lane] = dy.0[lane] * (yes - no);
                let slope = yes * sigmoid(-mixed.logits[j]) + no * sigmoid(mixed.logits[j]);
                dz[j].0[lane] = if own == Some(j) { dy.0[lane] * slope } else { T::zero() };
            }
        }
    }
}
