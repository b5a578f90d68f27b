//! How each optimiser moves values.

use crate::cpu::Real;
use crate::graph::{Optimizer, TensorId};
use crate::ops::{Kernel, OptimizerOptions, StepView, Target};

/// What is the same for all values in a step.
#[derive(Clone, Copy)]
pub(super) struct StepFactors<T> {
    /// The learning rate, with Adam's bias correction.
    rate: T,
    /// What a gradient is multiplied by before all else.
    scale: T,
}

impl<T: Real> StepFactors<T> {
    /// Those of dense parameters; `clip` is what [`ClipFactor`](super::ClipFactor) made, where gradients are clipped.
    pub(super) fn of_parameters(step: &StepView<'_>, clip: Option<&[T]>) -> Self {
        Self::new(step.uniforms.learning_rate, step, clip)
    }

    /// Those of embedding rows.
    pub(super) fn of_rows(step: &StepView<'_>, clip: Option<&[T]>) -> Self {
        Self::new(step.uniforms.embedding_rate, step, clip)
    }

    fn new(rate: f32, step: &StepView<'_>, clip: Option<&[T]>) -> Self {
        let unscale = step.unscale();
        Self { rate: T::of(f64::from(rate)), scale: clip.map_or(unscale, |clip| clip[0] * unscale) }
    }
}

impl OptimizerOptions {
    /// Adds the constants of `shaders/common/adam.wgsl`, or of what stands in its place.
    pub(super) fn constants(&self, optimizer: Optimizer, kernel: Kernel, target: &Target) -> Kernel {
        let kernel = kernel.with("SCALED", target.mixed_precision).with("L2", self.l2);
        let kernel = match optimizer {
            Optimizer::Adam => kernel.with("BETA1", self.beta1).with("BETA2", self.beta2),
            Optimizer::Adagrad | Optimizer::RowwiseAdagrad | Optimizer::Sgd => kernel,
        };
        if optimizer == Optimizer::Sgd { kernel } else { kernel.with("EPSILON", self.epsilon) }
    }

    /// Updates values, and what is kept of them: of one row, where that goes by rows.
    #[inline(always)]
    pub(super) fn update<T: Real>(
        &self,
        optimizer: Optimizer,
        step: StepFactors<T>,
        gradient: &[T],
        w: &mut [T],
        [first, second]: [&mut [T]; 2],
    ) {
        let StepFactors { rate, scale } = step;
        let (l2, epsilon) = (T::of(self.l2), T::of(self.epsilon));
        match optimizer {
            Optimizer::Adam => {
                for (((&g, w), m), v) in gradient.iter().zip(w).zip(first).zip(second) {
                    self.adam(g, step, w, m, v);
                }
            }
            Optimizer::Adagrad => {
                for ((&g, w), sum) in gradient.iter().zip(w).zip(second) {
                    let g = scale * g + l2 * *w;
                    *sum += g * g;
                    *w = *w - rate * g / (sum.sqrt() + epsilon);
                }
            }
            Optimizer::RowwiseAdagrad => {
                let mut squares = T::zero();
                for (&g, &mut w) in gradient.iter().zip(&mut *w) {
                    let g = scale * g + l2 * w;
                    squares += g * g;
                }
                second[0] += squares / T::of(w.len() as f64);
                let rate = rate / (second[0].sqrt() + epsilon);
                for (&g, w) in gradient.iter().zip(w) {
                    *w = *w - rate * (scale * g + l2 * *w);
                }
            }
            Optimizer::Sgd => {
                for (&g, w) in gradient.iter().zip(w) {
                    *w = *w - rate * (scale * g + l2 * *w);
                }
            }
        }
    }

    /// m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; w ← w − α m / (√v + ε), with g the gradient plus L2 · w and α the
    /// step's bias-corrected learning rate.
    #[inline(always)]
    pub(super) fn adam<T: Real>(&self, gradient: T, step: StepFactors<T>, w: &mut T, m: &mut T, v: &mut T) {
        let StepFactors { rate, scale } = step;
        let (beta1, beta2) = (T::of(self.beta1), T::of(self.beta2));
        let one = T::one();
        let g = scale * gradient + T::of(self.l2) * *w;
        *m = beta1 * *m + (one - beta1) * g;
        *v = beta2 * *v + (one - beta2) * g * g;
        *w = *w - rate * *m / (v.sqrt() + T::of(self.epsilon));
    }
}

/// A kernel's variant for gradients that are clipped by a factor, if they are; it imports `clip.wgsl`.
pub(super) fn clipped(kernel: Kernel, factor: Option<&TensorId>, target: &Target) -> Kernel {
    match factor {
        None => kernel,
        Some(&factor) => kernel.import("unclipped", "clipped").with("CLIP_FACTOR", target.location(factor).first),
    }
}
