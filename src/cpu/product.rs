//! Products of a block's samples with a weight: vectors run over the samples, so weights are read as they lie.

use super::{Lanes, Real};

/// A weight matrix as a product reads it: element (r, k) lies at `start + r · row_step + k · inner_step`.
#[derive(Clone, Copy)]
pub struct Weights<'a, T> {
    /// The whole matrix.
    pub values: &'a [T],
    /// Its element (0, 0).
    pub start: usize,
    /// From one output to the next.
    pub row_step: usize,
    /// From one input to the next.
    pub inner_step: usize,
}

/// Outputs that a product keeps in registers: six times two vectors of eight leave room for the operands in sixteen.
pub const OUTPUTS: usize = 6;

/// Columns of a block as a product reads them: `count` of them, from `first` on, `step` apart.
#[derive(Clone, Copy)]
pub struct Samples<'a, T> {
    /// All columns of the tensor.
    pub columns: &'a [Lanes<T>],
    /// The first that is read.
    pub first: usize,
    /// From one to the next.
    pub step: usize,
    /// How many.
    pub count: usize,
}

impl<'a, T> Samples<'a, T> {
    /// Neighbouring columns.
    pub fn all(columns: &'a [Lanes<T>]) -> Self {
        Self { columns, first: 0, step: 1, count: columns.len() }
    }
}

/// sums\[r\] += Σ_k w(r, k) · x\[k\], with x\[k\] multiplied by `scale` if there is one.
///
/// # Panics
/// When an element lies outside the weights or the columns.
#[inline(always)]
pub fn add_products<T: Real, const R: usize>(
    sums: &mut [Lanes<T>; R],
    x: Samples<'_, T>,
    scale: Option<Lanes<T>>,
    w: Weights<'_, T>,
) {
    if x.count == 0 {
        return;
    }
    let last = x.count - 1;
    assert!(w.start + (R - 1) * w.row_step + last * w.inner_step < w.values.len(), "weights out of bounds");
    assert!(x.first + last * x.step < x.columns.len(), "columns out of bounds");
    let mut local = *sums;
    for k in 0..x.count {
        // SAFETY: at most the last column's number, which the assertion above keeps inside.
        let x = unsafe { x.columns.get_unchecked(x.first + k * x.step) };
        let x = match scale {
            Some(scale) => scale.times(*x),
            None => *x,
        };
        for (r, sum) in local.iter_mut().enumerate() {
            // SAFETY: at most the index of the last element, which the assertion above keeps inside.
            let w = unsafe { *w.values.get_unchecked(w.start + r * w.row_step + k * w.inner_step) };
            sum.add_scaled(w, x);
        }
    }
    *sums = local;
}
