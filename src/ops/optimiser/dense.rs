//! Optimisers of the dense parameters, all of them in one dispatch.

use crate::cpu::{Real, for_chunks, vectorized};
use crate::graph::{Graph, Node, Optimizer, Shape};
use crate::ops::optimiser::rule::{StepFactors, clipped};
use crate::ops::{
    Arg, Cost, DenseState, Kernel, ModelState, Op, Operation, OptimizerOptions, StepView, Target, Update,
};

/// Moves dense parameters against their gradients, to which L2 · w is added.
///
/// Inputs: the gradients of the trained parameters, in the graph's order, and where gradients are clipped what
/// [`ClipFactor`](super::ClipFactor) makes. No outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseUpdate {
    /// How.
    pub optimizer: Optimizer,
    /// Constants.
    pub options: OptimizerOptions,
    /// Numbers of these parameters, in the same order.
    pub parameters: Vec<usize>,
}

/// Values one task updates.
const VALUES_PER_TASK: usize = 16 * 1024;

impl Operation for DenseUpdate {
    fn name(&self) -> &'static str {
        match self.optimizer {
            Optimizer::Adam => "dense_adam",
            Optimizer::Adagrad => "dense_adagrad",
            Optimizer::Sgd => "dense_sgd",
            Optimizer::RowwiseAdagrad => unreachable!("Graph::set_optimizers refuses it"),
        }
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let values: usize = node.inputs[..self.parameters.len()].iter().map(|&t| graph.shape(t).len(batch)).sum();
        let kept: usize = self.optimizer.kept(1).iter().sum();
        // The gradient is read; the value and what is kept of it are read and written.
        Cost { flops: 12 * values as u64, bytes: (1 + 2 * (1 + kept as u64)) * 4 * values as u64 }
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let quads = target.trained / 4;
        let factor = node.inputs.get(self.parameters.len());
        let kernel = match factor {
            None => Kernel::new(self.name(), quads).with("PARTS", target.parts),
            // The norm was taken of their sum, which is in the first copy since.
            Some(_) => target.kernel(self.name(), quads).with("PARTS", 1_usize),
        };
        let kernel = kernel.with("LENGTH", quads).with("COPY", target.parameters / 4);
        let kernel = self.options.constants(self.optimizer, clipped(kernel, factor, target), target);
        let kept: &[Arg] = match self.optimizer {
            Optimizer::Adam => &[Arg::FirstMoments, Arg::SecondMoments],
            Optimizer::Adagrad | Optimizer::RowwiseAdagrad => &[Arg::SecondMoments],
            Optimizer::Sgd => &[],
        };
        vec![kernel.bind([Arg::Gradients, Arg::Parameters]).bind(kept.iter().copied())]
    }
}

/// The chunks of what may be kept of values; empty ones without end where nothing is.
fn chunks<T>(values: &mut [T]) -> impl Iterator<Item = &mut [T]> {
    values.chunks_mut(VALUES_PER_TASK).chain(std::iter::repeat_with(Default::default))
}

impl Update for DenseUpdate {
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
        let factors = StepFactors::of_parameters(step, gradients.get(self.parameters.len()).copied());
        let DenseState { weights, first, second } = &mut state.dense;
        let parameters = weights.iter_mut().zip(first).zip(second).enumerate();
        let trained = parameters.filter(|(number, _)| self.parameters.binary_search(number).is_ok());
        let tasks = trained.zip(gradients).flat_map(|((_, ((weights, first), second)), gradient)| {
            let weights = weights.chunks_mut(VALUES_PER_TASK);
            weights.zip(gradient.chunks(VALUES_PER_TASK)).zip(chunks(first).zip(chunks(second)))
        });
        let mut tasks: Vec<_> = tasks.collect();
        for_chunks(&mut tasks, 1, |_, task| {
            let ((weights, gradient), (first, second)) = &mut task[0];
            vectorized::<T, _>(
                #[inline(always)]
                || self.options.update(self.optimizer, factors, gradient, weights, [first, second]),
            );
        });
    }
}
