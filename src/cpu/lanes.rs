//! Vectors of samples: kernels that treat [`LANES`] samples side by side, compiled for the widest instructions the
//! machine has.

use super::Real;

/// Samples computed side by side: two of the widest vectors. So every weight that is read serves two multiply-adds there,
/// and more of them are under way at once than wait for each other.
pub const LANES: usize = 32;

/// One value of [`LANES`] samples. Plain arrays: the compiler turns their loops into vector instructions.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Lanes<T>(pub [T; LANES]);

impl<T: Real> Lanes<T> {
    /// The same value in every lane.
    #[inline(always)]
    pub fn splat(value: T) -> Self {
        Self([value; LANES])
    }

    /// Zero in every lane.
    #[inline(always)]
    pub fn zero() -> Self {
        Self::splat(T::zero())
    }

    /// `self * other`, lane by lane.
    #[inline(always)]
    pub fn times(self, other: Self) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = self.0[lane] * other.0[lane];
        }
        out
    }

    /// `self + other`, lane by lane.
    #[inline(always)]
    pub fn plus(self, other: Self) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = self.0[lane] + other.0[lane];
        }
        out
    }

    /// `change` of every lane.
    #[inline(always)]
    pub fn map(self, change: impl Fn(T) -> T) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = change(self.0[lane]);
        }
        out
    }

    /// `self += a * b`, lane by lane.
    #[inline(always)]
    pub fn add_product(&mut self, a: Self, b: Self) {
        for lane in 0..LANES {
            self.0[lane] = a.0[lane].mul_add(b.0[lane], self.0[lane]);
        }
    }

    /// `self += a * b` with one `a` for all lanes.
    #[inline(always)]
    pub fn add_scaled(&mut self, a: T, b: Self) {
        for lane in 0..LANES {
            self.0[lane] = a.mul_add(b.0[lane], self.0[lane]);
        }
    }

    /// The sum of the lanes, in a fixed order.
    #[inline(always)]
    pub fn total(self) -> T {
        let mut half = self.0;
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                half[lane] += half[lane + width];
            }
            width /= 2;
        }
        half[0]
    }
}

/// Σ a\[i\] b\[i\], lane by lane.
#[inline(always)]
pub fn dot<T: Real>(a: &[Lanes<T>], b: &[Lanes<T>]) -> Lanes<T> {
    let mut sum = Lanes::zero();
    for (&a, &b) in a.iter().zip(b) {
        sum.add_product(a, b);
    }
    sum
}

/// Work on vectors, as [`Real::dispatch`] runs it.
pub(crate) use pulp::{Simd, WithSimd};

/// How many values of type T a vector of the machine holds. Sums over samples are taken vector by vector, so their last bits
/// depend on it.
pub(crate) fn vector_length<T: Real>() -> usize {
    struct Length<T>(std::marker::PhantomData<T>);
    impl<T: Real> WithSimd for Length<T> {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            size_of::<T::Vector<S>>() / size_of::<T>()
        }
    }
    T::dispatch(Length::<T>(std::marker::PhantomData))
}

/// Vectors of S that hold a value of all [`LANES`] samples: two, or a multiple of two.
pub(crate) const fn vectors<T: Real, S: Simd>() -> usize {
    size_of::<[T; LANES]>() / size_of::<T::Vector<S>>()
}

/// Whether S is AVX-512, with its thirty-two registers of 64 bytes.
pub(crate) const fn has_large_registers<T: Real, S: Simd>() -> bool {
    size_of::<T::Vector<S>>() == 64
}

/// Runs `work` on values of type T compiled for the machine's vector instructions. Only code inlined into it profits.
#[inline(always)]
pub fn vectorized<T: Real, R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Work<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    T::dispatch(Work(work))
}
