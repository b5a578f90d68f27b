//! Means and variances of a batch's samples, scenario by scenario, and what is kept of them from step to step (STAR's
//! partitioned normalisation, Sheng et al. 2021).

use crate::cpu::{LANES, Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{
    Arg, Batch, Cost, Kernel, ModelState, Op, Operation, Phase, Reduce, Renumbered, Routes, StepView, Target, Update,
    first_lanes,
};

/// Each scenario's mean and variance over its samples of the batch, and how many these are; 0 where there are none.
///
/// Input: x [B, W]. Outputs: means and variances (of the samples, not an estimate: over n) [scenarios, W], counts
/// [scenarios, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// How many scenarios there are.
    pub scenarios: usize,
}

/// Moves running moments towards the batch's, those of scenarios with at least two samples in it: running ← (1 −
/// momentum) · running + momentum · batch's, where the variance is the estimate over n − 1.
///
/// Inputs: means, variances and counts of [`Moments`]. No outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningMoments {
    /// Share of the batch's.
    pub momentum: f64,
    /// Number of the parameter that holds running means [scenarios, W].
    pub means: usize,
    /// Number of the one that holds running variances.
    pub variances: usize,
}

impl Operation for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let all = Shape::fixed(self.scenarios, inputs[0].cols);
        vec![all, all, Shape::fixed(self.scenarios, 1)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 5 * batch * graph.width(node.inputs[0]))
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let x = target.location(node.inputs[0]);
        let [means, variances, counts] = [0, 1, 2].map(|output| target.location(node.outputs[output]));
        let kernel = target
            .kernel("moments", self.scenarios * x.stride as usize / 4)
            .with("X", x.first)
            .with("STRIDE", x.stride)
            .with("MEANS", means.first)
            .with("VARIANCES", variances.first)
            .with("COUNTS", counts.first);
        vec![in_scenarios(kernel, self.scenarios, target).bind([Arg::Batches])]
    }
}

impl Reduce for Moments {
    fn phase(&self) -> Phase {
        Phase::Samples
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let [means, variances, counts] = outputs else { unreachable!("three outputs") };
        let width = batch.tensor(0).width();
        counts.fill(T::zero());
        for &scenario in batch.step.scenarios() {
            counts[scenario as usize] += T::one();
        }
        let mean_of = |sums: &mut [T]| {
            for (sums, &count) in sums.chunks_exact_mut(width).zip(counts.iter()) {
                let inverse = if count > T::zero() { T::one() / count } else { T::zero() };
                sums.iter_mut().for_each(|sum| *sum *= inverse);
            }
        };
        let x = batch.tensor(0);
        means.fill(T::zero());
        for_scenarios(batch, |block, scenario, live| {
            for (mean, &x) in means[scenario * width..].iter_mut().zip(x.block(block)) {
                *mean += live.times(x).total();
            }
        });
        mean_of(means);
        variances.fill(T::zero());
        for_scenarios(batch, |block, scenario, live| {
            let of_scenario = scenario * width..(scenario + 1) * width;
            let columns = x.block(block).iter().zip(&means[of_scenario.clone()]);
            for (variance, (x, &mean)) in variances[of_scenario].iter_mut().zip(columns) {
                let off = x.map(|x| x - mean);
                *variance += live.times(off.times(off)).total();
            }
        });
        mean_of(variances);
    }
}

/// Calls `add` for every block of samples with each scenario in it, and 1 in the lanes of that one's samples.
pub(crate) fn for_scenarios<T: Real>(batch: &Batch<'_, T>, mut add: impl FnMut(usize, usize, Lanes<T>)) {
    vectorized::<T, _>(
        #[inline(always)]
        || {
            for (block, scenarios) in batch.step.scenarios().chunks(LANES).enumerate() {
                let all = first_lanes(scenarios.len());
                for &(scenario, mask) in Routes::of(scenarios).list() {
                    add(block, scenario, mask.unwrap_or(all));
                }
            }
        },
    );
}

/// The constants of shaders that read samples' scenarios.
pub(crate) fn in_scenarios(kernel: Kernel, count: usize, target: &Target) -> Kernel {
    let first = target.batch_layout.scenarios.expect("a graph with scenarios has them in its batch layout");
    kernel.with("COUNT", count).with("SCENARIOS", first)
}

impl Operation for RunningMoments {
    fn name(&self) -> &'static str {
        "running_moments"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.means = numbers.parameters[self.means];
        self.variances = numbers.parameters[self.variances];
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 6 * graph.shape(node.inputs[0]).len(batch))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let place = |parameter: usize| target.location(graph.parameters[parameter].tensor).first;
        let input = |input: usize| target.location(node.inputs[input]);
        let threads = graph.shape(node.inputs[0]).fixed_rows() * input(0).stride as usize / 4;
        let kernel = target
            .kernel("running_moments", threads)
            .with("STRIDE", input(0).stride)
            .with("WIDTH", graph.width(node.inputs[0]))
            .with("MEANS", input(0).first)
            .with("VARIANCES", input(1).first)
            .with("COUNTS", input(2).first)
            .with("COUNT", graph.shape(node.inputs[0]).fixed_rows())
            .with("RUNNING_MEANS", place(self.means))
            .with("RUNNING_VARIANCES", place(self.variances))
            .with("MOMENTUM", self.momentum);
        vec![kernel.bind([Arg::Parameters])]
    }
}

impl Update for RunningMoments {
    fn update<T: Real>(&self, _: &StepView<'_>, sums: &[&[T]], state: &mut ModelState<T>) {
        let [means, variances, counts] = sums else { unreachable!("three inputs") };
        let width = means.len() / counts.len();
        let share = T::of(self.momentum);
        let mut mix = |parameter: usize, batch: &[T], factor: &dyn Fn(T) -> T| {
            let running = state.dense.weights[parameter].chunks_exact_mut(width);
            for ((running, batch), &count) in running.zip(batch.chunks_exact(width)).zip(counts.iter()) {
                if count > T::of(1.5) {
                    for (running, &batch) in running.iter_mut().zip(batch) {
                        *running = *running + share * (factor(count) * batch - *running);
                    }
                }
            }
        };
        mix(self.means, means, &|_| T::one());
        mix(self.variances, variances, &|count| count / (count - T::one()));
    }
}

/// Numbers of the parameters that `tensors` stand for.
pub(crate) fn parameters_of<const N: usize>(graph: &Graph, tensors: [TensorId; N]) -> [usize; N] {
    tensors.map(|tensor| graph.tensors[tensor.0].parameter.expect("a parameter's tensor"))
}
