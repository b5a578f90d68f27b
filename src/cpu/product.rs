//! Products of a block's samples with a weight: vectors run over the samples, so weights are read as they lie.

use super::{Lanes, Real, Simd, vectors};

/// A weight matrix as a product reads it: element (r, k) lies at `start + r · row_step + k · inner_step`.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a, T> {
    /// The whole matrix.
    pub(crate) values: &'a [T],
    /// Its element (0, 0).
    pub(crate) start: usize,
    /// From one output to the next.
    pub(crate) row_step: usize,
    /// From one input to the next.
    pub(crate) inner_step: usize,
}

/// Vectors of the lanes that share what is loaded of the weights.
pub(crate) const TOGETHER: usize = 2;

/// Computes outputs of a product.
pub(crate) trait Tile {
    /// Computes the outputs `first..first + R`.
    fn compute<S: Simd, const R: usize>(&mut self, simd: S, first: usize);
}

/// Computes all of `count` outputs, up to MOST at a time, which is eight or less.
#[inline(always)]
pub(crate) fn in_tiles<S: Simd, const MOST: usize>(simd: S, count: usize, tile: &mut impl Tile) {
    let mut first = 0;
    while first < count {
        // Two tiles of four rather than one of six and one of two, which would wait for its sums.
        let size = match count - first {
            rest if rest > MOST && rest <= MOST + 2 => rest.div_ceil(2),
            rest => rest.min(MOST),
        };
        match size {
            1 => tile.compute::<S, 1>(simd, first),
            2 => tile.compute::<S, 2>(simd, first),
            3 => tile.compute::<S, 3>(simd, first),
            4 => tile.compute::<S, 4>(simd, first),
            5 => tile.compute::<S, 5>(simd, first),
            6 => tile.compute::<S, 6>(simd, first),
            7 => tile.compute::<S, 7>(simd, first),
            _ => tile.compute::<S, MOST>(simd, first),
        }
        first += size;
    }
}

/// Columns of a block as a product reads them: `count` of them, from `first` on, `step` apart.
#[derive(Clone, Copy)]
pub(crate) struct Samples<'a, T> {
    /// All columns of the tensor.
    pub(crate) columns: &'a [Lanes<T>],
    /// The first that is read.
    pub(crate) first: usize,
    /// From one to the next.
    pub(crate) step: usize,
    /// How many.
    pub(crate) count: usize,
}

impl<'a, T> Samples<'a, T> {
    /// Neighbouring columns.
    pub(crate) fn all(columns: &'a [Lanes<T>]) -> Self {
        Self { columns, first: 0, step: 1, count: columns.len() }
    }
}

/// sums\[r\] += Σ_k w(r, k) · x\[k\], with x\[k\] multiplied by `scale` if there is one.
///
/// # Panics
/// When an element lies outside the weights or the columns.
#[inline(always)]
pub(crate) fn add_products<T: Real, S: Simd, const R: usize>(
    simd: S,
    sums: &mut [Lanes<T>; R],
    x: Samples<'_, T>,
    scale: Option<&Lanes<T>>,
    w: Weights<'_, T>,
) {
    for v in (0..const { vectors::<T, S>() }).step_by(TOGETHER) {
        // Loops rather than closures, which may be compiled apart and without the machine's instructions.
        let mut local = [[T::splat(simd, T::zero()); TOGETHER]; R];
        for (local, sum) in local.iter_mut().zip(&*sums) {
            local.copy_from_slice(&T::vectors::<S>(&sum.0)[v..v + TOGETHER]);
        }
        #[expect(clippy::manual_map, reason = "no closure, as above")]
        let scale = match scale {
            Some(scale) => Some([T::vectors::<S>(&scale.0)[v], T::vectors::<S>(&scale.0)[v + 1]]),
            None => None,
        };
        add_products_of(simd, v, &mut local, x, scale, w);
        for (sum, local) in sums.iter_mut().zip(local) {
            T::vectors_mut::<S>(&mut sum.0)[v..v + TOGETHER].copy_from_slice(&local);
        }
    }
}

/// [`add_products`] of the vectors from number `v` on.
///
/// # Panics
/// As [`add_products`].
#[inline(always)]
pub(crate) fn add_products_of<T: Real, S: Simd, const R: usize>(
    simd: S,
    v: usize,
    sums: &mut [[T::Vector<S>; TOGETHER]; R],
    x: Samples<'_, T>,
    scale: Option<[T::Vector<S>; TOGETHER]>,
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
        let x = T::vectors::<S>(unsafe { &x.columns.get_unchecked(x.first + k * x.step).0 });
        let mut x = [x[v], x[v + 1]];
        if let Some(scale) = scale {
            for (x, scale) in x.iter_mut().zip(scale) {
                *x = T::product(simd, scale, *x);
            }
        }
        for (r, sums) in local.iter_mut().enumerate() {
            // SAFETY: at most the index of the last element, which the assertion above keeps inside.
            let w = unsafe { *w.values.get_unchecked(w.start + r * w.row_step + k * w.inner_step) };
            let w = T::splat(simd, w);
            for (sum, &x) in sums.iter_mut().zip(&x) {
                *sum = T::add_product(simd, w, x, *sum);
            }
        }
    }
    *sums = local;
}
