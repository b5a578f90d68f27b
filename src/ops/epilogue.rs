//! What a product does to its result before storing it: activation and dropout.

use super::{Clock, Kernel};
use crate::cpu::{Real, sigmoid};

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
}

impl Activation {
    /// The number shaders know it by.
    pub(super) fn code(self) -> usize {
        match self {
            Self::None => 0,
            Self::Relu => 1,
            Self::Sigmoid => 2,
        }
    }
}

/// Activation followed by dropout.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epilogue {
    /// The activation.
    pub activation: Activation,
    /// Probability that a value is dropped; the kept ones are divided by 1 − p. Needs ReLU: its backward pass tells
    /// dropped values by their zero.
    pub dropout: f64,
    /// Makes this layer's masks differ from other layers'.
    pub salt: u32,
}

impl Epilogue {
    /// An activation without dropout.
    pub fn new(activation: Activation) -> Self {
        Self { activation, dropout: 0.0, salt: 0 }
    }

    /// The same without dropout.
    pub(super) fn inference(self) -> Self {
        Self { dropout: 0.0, salt: 0, ..self }
    }

    /// Adds the constants of `shaders/common/epilogue.wgsl`.
    pub(super) fn constants(self, kernel: Kernel) -> Kernel {
        kernel
            .with("ACTIVATION", self.activation.code())
            .with("DROPOUT", self.dropout)
            .with("DROPOUT_SALT", self.salt as usize)
    }

    /// The stored value of `x`, `index` being its place in the tensor.
    #[inline(always)]
    pub(super) fn apply<T: Real>(self, x: T, index: usize, clock: &Clock) -> T {
        let y = match self.activation {
            Activation::None => x,
            Activation::Relu => x.max(T::zero()),
            Activation::Sigmoid => sigmoid(x),
        };
        if self.dropout == 0.0 {
            y
        } else if uniform(clock.seed, clock.step, self.salt, index as u32) < self.dropout as f32 {
            T::zero()
        } else {
            y * T::of(1.0 / (1.0 - self.dropout))
        }
    }
}

/// A uniform number in [0, 1) that depends only on its arguments; the same in `shaders/common/random.wgsl`.
/// The mixing steps are PCG-RXS-M-XS (O'Neill 2014; Jarzynski and Olano 2020).
pub(super) fn uniform(seed: u32, step: u32, salt: u32, index: u32) -> f32 {
    let bits = pcg(index ^ pcg(salt ^ pcg(step ^ pcg(seed))));
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

fn pcg(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}
