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

/// Computes all of `count` outputs, up to MOST at a time, which is four to eight.
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
            // Not compiled where MOST is less.
            5 if const { MOST > 5 } => tile.compute::<S, 5>(simd, first),
            6 if const { MOST > 6 } => tile.compute::<S, 6>(simd, first),
            7 if const { MOST > 7 } => tile.compute::<S, 7>(simd, first),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::WithSimd;

    /// Outputs of three inputs each.
    struct Products<'a, T> {
        w: &'a [T],
        x: &'a [Lanes<T>],
        scale: Option<&'a Lanes<T>>,
        out: Vec<Lanes<T>>,
    }

    impl<T: Real> Tile for Products<'_, T> {
        fn compute<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
            let mut sums = [Lanes::splat(T::of(0.5)); R];
            let w = Weights { values: self.w, start: 3 * first, row_step: 3, inner_step: 1 };
            add_products(simd, &mut sums, Samples::all(self.x), self.scale, w);
            self.out.extend(sums);
        }
    }

    impl<T: Real> WithSimd for Products<'_, T> {
        type Output = Vec<Lanes<T>>;

        fn with_simd<S: Simd>(mut self, simd: S) -> Self::Output {
            in_tiles::<S, 6>(simd, 7, &mut self);
            self.out
        }
    }

    fn products_are_the_same_bits_with_all_vectors<T: Real>() {
        let value = |i: usize| T::of((i as f64 * 0.37).sin());
        let w: Vec<T> = (0..21).map(value).collect();
        let lanes = |k: usize| Lanes(std::array::from_fn(|lane| value(100 * k + lane)));
        let (x, scale) = ([1, 2, 3].map(lanes), lanes(4));
        for scale in [None, Some(&scale)] {
            let work = || Products { w: &w, x: &x, scale, out: Vec::new() };
            let found = T::dispatch(work());
            // What a machine without vectors of its own takes.
            let arrays = Simd::vectorize(pulp::Scalar256b, work());
            for (m, (found, arrays)) in found.iter().zip(&arrays).enumerate() {
                assert_eq!(found.0, arrays.0);
                for lane in [0, 17, 31] {
                    let mut expected = T::of(0.5);
                    for (k, x) in x.iter().enumerate() {
                        let x = x.0[lane] * scale.map_or(T::one(), |scale| scale.0[lane]);
                        expected = w[3 * m + k].mul_add(x, expected);
                    }
                    assert_eq!(found.0[lane], expected);
                }
            }
            assert_eq!(found.len(), 7);
        }
    }

    #[test]
    fn products_in_single_precision() {
        products_are_the_same_bits_with_all_vectors::<f32>();
    }

    #[test]
    fn products_in_double_precision() {
        products_are_the_same_bits_with_all_vectors::<f64>();
    }
}
