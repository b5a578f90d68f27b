//! Adam on the dense parameters, all of them in one dispatch.

use crate::cpu::{Real, for_chunks, vectorized};
use crate::graph::{Graph, Node, Shape};
use crate::ops::{AdamOptions, Arg, Cost, DenseState, Kernel, ModelState, Op, Operation, StepView, Target, Update};

/// m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; w ← w − α m / (√v + ε), with g the gradient plus L2 · w and α the
/// step's bias-corrected learning rate.
///
/// Inputs: the gradients of the trained parameters, in the graph's order. No outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseAdam {
    /// Constants.
    pub options: AdamOptions,
    /// Numbers of these parameters, in the same order.
    pub parameters: Vec<usize>,
}

/// What is the same for all values in a step of Adam.
#[derive(Clone, Copy)]
pub(crate) struct AdamStep<T> {
    rate: T,
    unscale: T,
}

impl<T: Real> AdamStep<T> {
    pub(crate) fn of_parameters(step: &StepView<'_>) -> Self {
        Self { rate: T::of(f64::from(step.uniforms.learning_rate)), unscale: step.unscale() }
    }

    pub(crate) fn of_rows(step: &StepView<'_>) -> Self {
        Self { rate: T::of(f64::from(step.uniforms.embedding_rate)), unscale: step.unscale() }
    }
}

impl AdamOptions {
    /// Adds the constants of `shaders/common/adam.wgsl`.
    pub(crate) fn constants(&self, kernel: Kernel, target: &Target) -> Kernel {
        let kernel = kernel.with("SCALED", target.mixed_precision);
        kernel.with("BETA1", self.beta1).with("BETA2", self.beta2).with("EPSILON", self.epsilon).with("L2", self.l2)
    }

    /// Updates one value and its moments. The gradient is still multiplied by `step.unscale`.
    #[inline(always)]
    pub(crate) fn update<T: Real>(&self, gradient: T, step: AdamStep<T>, w: &mut T, m: &mut T, v: &mut T) {
        let AdamStep { rate, unscale } = step;
        let (beta1, beta2) = (T::of(self.beta1), T::of(self.beta2));
        let one = T::one();
        let g = unscale * gradient + T::of(self.l2) * *w;
        *m = beta1 * *m + (one - beta1) * g;
        *v = beta2 * *v + (one - beta2) * g * g;
        *w = *w - rate * *m / (v.sqrt() + T::of(self.epsilon));
    }

    /// Updates values and their moments.
    #[inline(always)]
    pub(crate) fn update_all<T: Real>(&self, step: AdamStep<T>, gradient: &[T], w: &mut [T], m: &mut [T], v: &mut [T]) {
        for (((&g, w), m), v) in gradient.iter().zip(w).zip(m).zip(v) {
            self.update(g, step, w, m, v);
        }
    }
}

/// Values one task updates.
const VALUES_PER_TASK: usize = 16 * 1024;

impl Operation for DenseAdam {
    fn name(&self) -> &'static str {
        "dense_adam"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let values: usize = node.inputs.iter().map(|&t| graph.shape(t).len(batch)).sum();
        Cost { flops: 12 * values as u64, bytes: 7 * 4 * values as u64 }
    }

    fn kernels(&self, _: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let quads = target.trained / 4;
        let kernel = Kernel::new("dense_adam", quads)
            .with("LENGTH", quads)
            .with("COPY", target.parameters / 4)
            .with("PARTS", target.parts);
        vec![self.options.constants(kernel, target).bind([
            Arg::Gradients,
            Arg::Parameters,
            Arg::FirstMoments,
            Arg::SecondMoments,
        ])]
    }
}

impl Update for DenseAdam {
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
        let adam = AdamStep::of_parameters(step);
        let DenseState { weights, first, second } = &mut state.dense;
        let parameters = weights.iter_mut().zip(first).zip(second).enumerate();
        let trained = parameters.filter(|(number, _)| self.parameters.binary_search(number).is_ok());
        let chunks = trained.zip(gradients).flat_map(|((_, ((weights, first), second)), gradient)| {
            let moments = first.chunks_mut(VALUES_PER_TASK).zip(second.chunks_mut(VALUES_PER_TASK));
            weights.chunks_mut(VALUES_PER_TASK).zip(moments).zip(gradient.chunks(VALUES_PER_TASK))
        });
        let mut tasks: Vec<_> = chunks.collect();
        for_chunks(&mut tasks, 1, |_, task| {
            let ((weights, (first, second)), gradient) = &mut task[0];
            vectorized::<T, _>(
                #[inline(always)]
                || self.options.update_all(adam, gradient, weights, first, second),
            );
        });
    }
}
