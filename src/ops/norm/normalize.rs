//! Normalisation by the moments of the sample's scenario (STAR's partitioned normalisation, Sheng et al. 2021).

use crate::cpu::{Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::norm::moments::{for_scenarios, in_scenarios};
use crate::ops::{
    Arg, Batch, Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Phase, Reduce, Target, first_lanes,
};

/// Added to a variance, so that its root is not 0.
pub(crate) const EPSILON: f64 = 1e-5;

/// y = x̂ ⊙ scale_s + shift_s, x̂ = (x − mean_s) / √(variance_s + ε), s being the sample's scenario.
///
/// A column that does not vary within a scenario, such as the scenario's own embedding, is 0 there (a variance below 1e-8).
///
/// Inputs: x [B, W]; means, variances, scales and shifts [scenarios, W]; while training also the counts [scenarios, 1] of
/// [`Moments`](crate::ops::Moments), whose other outputs means and variances are then: gradient flows through these. Output:
/// [B, W].
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize;

/// Σ over a scenario's samples of dy ⊙ x̂ and of dy: the gradients of scales and shifts, from which that of x is made.
///
/// Inputs: dy [B, W], x, means, variances. Outputs: [scenarios, W] each.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizeSums;

/// The gradient of [`Normalize`]'s x: scale / √(variance + ε) ⊙ (dy − Σ dy / n − x̂ ⊙ Σ (dy ⊙ x̂) / n).
///
/// Inputs: dy [B, W], x, means, variances, scales, counts, and both sums of [`NormalizeSums`]. Output: [B, W].
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizeGrad;

/// A column of less variance is taken to be still. In training its x̂ is 0 but for rounding; in predictions it would be
/// what the running mean lags behind, times 1 / √ε.
const STILL: f64 = 1e-8;

/// 1 / √(variance + ε), 0 for a column that is still.
fn inverse<T: Real>(variance: T) -> T {
    if variance < T::of(STILL) { T::zero() } else { T::one() / (variance + T::of(EPSILON)).sqrt() }
}

/// A kernel with the constants that the operations share. Moments are the batch's or, where they are parameters, those
/// that training left.
fn kernel(
    shader: &'static str,
    threads: usize,
    [x, means, variances]: [TensorId; 3],
    graph: &Graph,
    target: &Target,
) -> Kernel {
    let running = graph.tensors[means.0].parameter.is_some();
    let kernel = target
        .kernel(shader, threads)
        .with("X", target.location(x).first)
        .with("STRIDE", target.location(x).stride)
        .with("MEANS", target.location(means).first)
        .with("VARIANCES", target.location(variances).first)
        .with("RUNNING", running)
        .with("EPSILON", EPSILON)
        .with("STILL", STILL);
    in_scenarios(kernel, graph.shape(means).fixed_rows(), target).bind([Arg::Batches, Arg::Parameters])
}

impl Operation for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[1..5].iter().all(|&input| input == inputs[1]), "normalize: a row for each scenario");
        assert_eq!(inputs[0].cols, inputs[1].cols, "normalize: columns");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let none = vec![None; node.inputs.len()];
        let Some(dy) = grads[0] else { return none };
        let [x, means, variances, scales, _, counts] = node.inputs[..] else {
            panic!("{}: running moments have no gradient", node.name)
        };
        let sums = graph.add(&node.name, NormalizeSums, &[dy, x, means, variances]);
        let inputs = [dy, x, means, variances, scales, counts, sums[0], sums[1]];
        let dx = graph.add_one(&node.name, NormalizeGrad, &inputs);
        vec![Some(dx), None, None, Some(sums[0]), Some(sums[1]), None]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 4 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let place = |tensor: TensorId| target.location(tensor);
        let y = place(node.outputs[0]);
        let threads = target.capacity * y.stride as usize / 4;
        let kernel = kernel("normalize", threads, [node.inputs[0], node.inputs[1], node.inputs[2]], graph, target);
        let kernel = kernel.with("SCALES", place(node.inputs[3]).first).with("SHIFTS", place(node.inputs[4]).first);
        vec![kernel.with("Y", y.first).by_pieces()]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let shape = [export.shape(node.inputs[1]).fixed_rows(), export.width(node.inputs[1])];
        let (variances, scales) = (export.parameter(node.inputs[2]), export.parameter(node.inputs[3]));
        let factors: Vec<f32> =
            variances.iter().zip(scales).map(|(&variance, scale)| inverse(variance) * scale).collect();
        let factors = export.onnx.floats("factor", &shape, &factors);
        let [means, shifts] = [1, 4].map(|input| export.matrix(node.inputs[input]));
        let scenarios = export.scenarios();
        let [means, factors, shifts] = [means, factors, shifts].map(|rows| export.onnx.gather(&rows, &scenarios));
        let x = export.value(node.inputs[0]);
        let x = export.onnx.node("Sub", &[&x, &means], &[]);
        let x = export.onnx.mul(&x, &factors);
        let value = export.onnx.add(&x, &shifts);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Normalize {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let x = block.columns(0);
                let [means, variances, scales, shifts] = [1, 2, 3, 4].map(|input| block.matrix(input));
                let (routes, width) = (block.routes(), x.len());
                let out = block.output(0);
                out.fill(Lanes::zero());
                for &(scenario, mask) in routes.list() {
                    for (c, (out, x)) in out.iter_mut().zip(x).enumerate() {
                        let at = scenario * width + c;
                        let factor = inverse(variances[at]) * scales[at];
                        let y = x.map(|x| (x - means[at]) * factor + shifts[at]);
                        *out = out.plus(mask.map_or(y, |mask| mask.times(y)));
                    }
                }
            },
        );
    }
}

impl Operation for NormalizeSums {
    fn name(&self) -> &'static str {
        "normalize_sums"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[2]; 2]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 5 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, x, means, variances] = node.inputs[..] else { unreachable!("four inputs") };
        let place = |tensor: TensorId| target.location(tensor);
        let threads = graph.shape(means).fixed_rows() * place(x).stride as usize / 4;
        let kernel = kernel("normalize_sums", threads, [x, means, variances], graph, target)
            .with("DY", place(dy).first)
            .with("BY_X", place(node.outputs[0]).first)
            .with("PLAIN", place(node.outputs[1]).first);
        vec![kernel.bind([Arg::Gradients])]
    }
}

impl Reduce for NormalizeSums {
    fn phase(&self) -> Phase {
        Phase::Samples
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let [by_x, plain] = outputs else { unreachable!("two outputs") };
        let (x, means, variances) = (batch.tensor(1), batch.matrix(2), batch.matrix(3));
        let width = x.width();
        by_x.fill(T::zero());
        plain.fill(T::zero());
        for_scenarios(batch, |block, scenario, live| {
            for (c, (x, &dy)) in x.block(block).iter().zip(batch.tensor(0).block(block)).enumerate() {
                let (at, dy) = (scenario * width + c, live.times(dy));
                plain[at] += dy.total();
                by_x[at] += dy.times(x.map(|x| x - means[at])).total();
            }
        });
        by_x.iter_mut().zip(variances).for_each(|(sum, &variance)| *sum *= inverse(variance));
    }
}

impl Operation for NormalizeGrad {
    fn name(&self) -> &'static str {
        "normalize_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[1]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 8 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dy, x, means, variances, scales, counts, by_x, plain] = node.inputs[..] else {
            unreachable!("eight inputs")
        };
        let place = |tensor: TensorId| target.location(tensor).first;
        let threads = target.capacity * target.location(x).stride as usize / 4;
        let kernel = kernel("normalize_grad", threads, [x, means, variances], graph, target)
            .with("DY", place(dy))
            .with("SCALES", place(scales))
            .with("COUNTS", place(counts))
            .with("BY_X", place(by_x))
            .with("PLAIN", place(plain))
            .with("DX", place(node.outputs[0]));
        vec![kernel.bind([Arg::Gradients]).by_pieces()]
    }
}

impl PerSample for NormalizeGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (dy, x) = (block.columns(0), block.columns(1));
                let [means, variances, scales, counts, by_x, plain] =
                    [2, 3, 4, 5, 6, 7].map(|input| block.matrix(input));
                let routes = block.routes();
                // Lanes without a sample would get the sums' share although their dy is 0.
                let live = first_lanes(block.count());
                let out = block.output(0);
                out.fill(Lanes::zero());
                for &(scenario, mask) in routes.list() {
                    let share = T::one() / counts[scenario];
                    for (c, out) in out.iter_mut().enumerate() {
                        let at = scenario * x.len() + c;
                        let inverse = inverse(variances[at]);
                        // dy − share · (plain + x̂ · by_x), in which x̂ = (x − mean) · inverse.
                        let along = -share * inverse * by_x[at];
                        let mut centred = dy[c].map(|dy| dy - share * plain[at]);
                        centred.add_scaled(along, x[c].map(|x| x - means[at]));
                        let dx = centred.map(|centred| scales[at] * inverse * centred);
                        *out = out.plus(mask.unwrap_or(live).times(dx));
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_still_are_zero() {
        assert_eq!((inverse(0.0_f32), inverse(1e-18_f64)), (0.0, 0.0));
        assert!((inverse(0.25_f64) - 2.0).abs() < 1e-4 && inverse(1e-7_f32) > 300.0);
    }
}
