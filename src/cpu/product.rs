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

/// sums\[r\] += Σ_k w(r, k) · x_k.
///
/// # Panics
/// When an element lies outside the matrix.
#[inline(always)]
pub fn add_products<T: Real, const R: usize>(
    sums: &mut [Lanes<T>; R],
    x: impl ExactSizeIterator<Item = Lanes<T>>,
    w: Weights<'_, T>,
) {
    if x.len() == 0 {
        return;
    }
    let count = x.len();
    assert!(w.start + (R - 1) * w.row_step + (count - 1) * w.inner_step < w.values.len(), "weights out of bounds");
    let mut local = *sums;
    for (k, x) in x.enumerate().take(count) {
        for (r, sum) in local.iter_mut().enumerate() {
            // SAFETY: at most the index of the last element, which the assertion above keeps inside.
            let w = unsafe { *w.values.get_unchecked(w.start + r * w.row_step + k * w.inner_step) };
            sum.add_scaled(w, x);
        }
    }
    *sums = local;
}
