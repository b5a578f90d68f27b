//! What a product does to its result before storing it: activation and dropout.

use crate::cpu::{Lanes, Real, sigmoid};
use crate::graph::pcg;
use crate::ops::{ActivationGrad, StepUniforms};

/// Elementwise function at the end of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Identity.
    #[default]
    None,
    /// max(0, x).
    Relu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x above 0, 0.01 · x below.
    LeakyRelu,
}

/// Slope of the leaky ReLU below 0.
pub(crate) const LEAK: f64 = 0.01;

impl Activation {
    /// Its number in shaders (`shaders/common/epilogue.wgsl`).
    pub(crate) fn code(self) -> usize {
        match self {
            Self::None => 0,
            Self::Relu => 1,
            Self::Sigmoid => 2,
            Self::LeakyRelu => 3,
        }
    }
}

/// Activation followed by dropout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue {
    /// The activation.
    pub activation: Activation,
    /// Probability that a value is dropped; the kept ones are divided by 1 − p. Needs ReLU: its backward pass tells
    /// dropped values by their zero.
    pub dropout: f64,
    /// Makes this layer's masks differ from other layers'.
    pub salt: u32,
    /// How many networks, side by side in the tensor's columns, share one dropout mask; 1 if every column has its own.
    pub shared_mask: usize,
}

impl Default for Epilogue {
    fn default() -> Self {
        Self::new(Activation::None)
    }
}

impl Epilogue {
    /// An activation without dropout.
    pub fn new(activation: Activation) -> Self {
        Self { activation, dropout: 0.0, salt: 0, shared_mask: 1 }
    }

    /// Columns of the dropout mask, for a tensor of `width` columns.
    pub(crate) fn masked(self, width: usize) -> usize {
        assert!(width.is_multiple_of(self.shared_mask), "epilogue: networks of one width");
        width / self.shared_mask
    }

    /// The same without dropout.
    pub(crate) fn inference(self) -> Self {
        Self { dropout: 0.0, salt: 0, ..self }
    }

    /// The activation's gradient, computed from its stored output; `None` for the identity.
    pub fn gradient(self) -> Option<ActivationGrad> {
        match self.activation {
            Activation::None => None,
            Activation::Relu => Some(ActivationGrad::Relu { scale: 1.0 / (1.0 - self.dropout) }),
            Activation::Sigmoid => Some(ActivationGrad::Sigmoid),
            Activation::LeakyRelu => Some(ActivationGrad::LeakyRelu),
        }
    }

    /// Applies it to columns `column..` of the block of samples from `first_row` on, of a tensor `width` columns wide.
    #[inline(always)]
    pub(crate) fn apply<T: Real>(
        self,
        values: &mut [Lanes<T>],
        first_row: usize,
        width: usize,
        column: usize,
        uniforms: &StepUniforms,
    ) {
        for value in values.iter_mut() {
            *value = match self.activation {
                Activation::None => *value,
                Activation::Relu => value.map(|x| x.max(T::zero())),
                Activation::Sigmoid => value.map(sigmoid),
                Activation::LeakyRelu => value.map(|x| x.max(x * T::of(LEAK))),
            };
        }
        if self.dropout > 0.0 {
            self.drop(values, first_row, width, column, uniforms);
        }
    }

    fn drop<T: Real>(
        self,
        values: &mut [Lanes<T>],
        first_row: usize,
        width: usize,
        column: usize,
        uniforms: &StepUniforms,
    ) {
        let kept = T::of(1.0 / (1.0 - self.dropout));
        let width = self.masked(width);
        for (column, value) in (column..).zip(values) {
            for (lane, value) in value.0.iter_mut().enumerate() {
                let index = ((first_row + lane) * width + column % width) as u32;
                let dropped = uniform(uniforms.seed, uniforms.step, self.salt, index) < self.dropout as f32;
                *value = if dropped { T::zero() } else { *value * kept };
            }
        }
    }
}

/// A uniform number in [0, 1) that depends only on its arguments; the same in `shaders/common/random.wgsl`.
pub(crate) fn uniform(seed: u32, step: u32, salt: u32, index: u32) -> f32 {
    let bits = pcg(index ^ pcg(salt ^ pcg(step ^ pcg(seed))));
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}
