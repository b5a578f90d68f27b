//! The two scalars the executor knows, their vectors, and functions written so that they cannot overflow.

use half::f16;
use half::slice::HalfFloatSliceExt;
use num_traits::Float;
use pulp::{Simd, WithSimd};

use super::LANES;

/// f32 or f64.
pub trait Real:
    Float + Default + Send + Sync + std::fmt::Debug + std::ops::AddAssign + std::ops::MulAssign + std::iter::Sum + 'static
{
    /// As many values as an instruction of S takes.
    type Vector<S: Simd>: Copy;

    /// Runs `work` with the vectors that the machine has for such values, for f32 the widest.
    fn dispatch<W: WithSimd>(work: W) -> W::Output;

    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// As f64.
    fn wide(self) -> f64;
    /// Writes the values of `halves`, which are exact, to `out`.
    ///
    /// # Panics
    /// When the lengths differ.
    fn of_halves(halves: &[f16], out: &mut [Self]);
    /// Rounds each value to the nearest half, ties to even; to infinity beyond the largest.
    fn round_to_halves(values: &mut [Self]);
    /// eˣ for x ≤ 0. In f32 to about one unit in the last place, in arithmetic that the compiler can put in vectors.
    fn exp_of_negative(self) -> Self;

    /// Lanes as vectors.
    fn vectors<S: Simd>(lanes: &[Self; LANES]) -> &[Self::Vector<S>];
    /// Lanes as vectors, to write.
    fn vectors_mut<S: Simd>(lanes: &mut [Self; LANES]) -> &mut [Self::Vector<S>];
    /// `value` everywhere.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// a · b.
    fn product<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// a · b + c.
    fn add_product<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// a + b.
    fn sum<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// The sum of a vector's values.
    fn total<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
}

macro_rules! vectors {
    ($vector:ident, $as:ident, $as_mut:ident, $splat:ident, $mul:ident, $mul_add:ident, $add:ident, $reduce:ident) => {
        type Vector<S: Simd> = S::$vector;

        #[inline(always)]
        fn vectors<S: Simd>(lanes: &[Self; LANES]) -> &[S::$vector] {
            S::$as(lanes).0
        }
        #[inline(always)]
        fn vectors_mut<S: Simd>(lanes: &mut [Self; LANES]) -> &mut [S::$vector] {
            S::$as_mut(lanes).0
        }
        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
            simd.$splat(value)
        }
        #[inline(always)]
        fn product<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$mul(a, b)
        }
        #[inline(always)]
        fn add_product<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
            simd.$mul_add(a, b, c)
        }
        #[inline(always)]
        fn sum<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$add(a, b)
        }
        #[inline(always)]
        fn total<S: Simd>(simd: S, a: S::$vector) -> Self {
            simd.$reduce(a)
        }
    };
}

/// With AVX2, or else with arrays of which the compiler makes what vectors the machine has: kernels written out for single
/// numbers, as pulp's own last resort has them, are slower and take it minutes to compile.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn without_avx512<W: WithSimd>(work: W) -> W::Output {
    match pulp::x86::V3::try_new() {
        Some(simd) => Simd::vectorize(simd, work),
        None => Simd::vectorize(pulp::Scalar256b, work),
    }
}

impl Real for f32 {
    vectors!(f32s, as_simd_f32s, as_mut_simd_f32s, splat_f32s, mul_f32s, mul_add_f32s, add_f32s, reduce_sum_f32s);

    #[inline(always)]
    fn dispatch<W: WithSimd>(work: W) -> W::Output {
        #[cfg(target_arch = "x86_64")]
        match pulp::x86::V4::try_new() {
            Some(simd) => Simd::vectorize(simd, work),
            None => without_avx512(work),
        }
        #[cfg(not(target_arch = "x86_64"))]
        pulp::Arch::new().dispatch(work)
    }
    fn of(x: f64) -> Self {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn of_halves(halves: &[f16], out: &mut [Self]) {
        halves.convert_to_f32_slice(out);
    }
    fn round_to_halves(values: &mut [Self]) {
        let mut halves = [f16::ZERO; 64];
        for values in values.chunks_mut(halves.len()) {
            let halves = &mut halves[..values.len()];
            halves.convert_from_f32_slice(values);
            halves.convert_to_f32_slice(values);
        }
    }
    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        // x = n ln 2 + r with |r| ≤ ln 2 / 2; e^r by its Taylor polynomial, 2ⁿ by its bits.
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        // Not `max`, which would turn what is not a number into one.
        let x = if self < -87.0 { -87.0 } else { self };
        let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
        let mut e = 1.0 / 5040.0;
        for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            e = r.mul_add(e, c);
        }
        e * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
    }
}

impl Real for f64 {
    vectors!(f64s, as_simd_f64s, as_mut_simd_f64s, splat_f64s, mul_f64s, mul_add_f64s, add_f64s, reduce_sum_f64s);

    /// Double precision is there to check single precision with: not worth a third copy of every kernel, for AVX-512.
    #[inline(always)]
    fn dispatch<W: WithSimd>(work: W) -> W::Output {
        #[cfg(target_arch = "x86_64")]
        return without_avx512(work);
        #[cfg(not(target_arch = "x86_64"))]
        pulp::Arch::new().dispatch(work)
    }
    fn of(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
    fn of_halves(halves: &[f16], out: &mut [Self]) {
        halves.convert_to_f64_slice(out);
    }
    fn round_to_halves(values: &mut [Self]) {
        values.iter_mut().for_each(|value| *value = f16::from_f64(*value).to_f64());
    }
    fn exp_of_negative(self) -> Self {
        self.exp()
    }
}

/// The logistic function, by the exponential of a non-positive number only.
#[inline(always)]
pub fn sigmoid<T: Real>(x: T) -> T {
    let e = (-x.abs()).exp_of_negative();
    let one = T::one();
    let above = if x >= T::zero() { one } else { e };
    above / (one + e)
}

/// Softplus, log(1 + eˣ), without overflow.
pub fn log1p_exp<T: Real>(x: T) -> T {
    x.max(T::zero()) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_exponential_is_good_to_the_last_place() {
        let mut worst = 0.0_f64;
        for i in 0..200_000 {
            let x = -87.0 * (i as f32) / 200_000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(x.exp_of_negative()) - exact).abs() / exact);
        }
        assert!(worst < 2e-7, "relative error {worst:e}");
        assert_eq!(0.0_f32.exp_of_negative(), 1.0);
        assert!((-1e30_f32).exp_of_negative() < 1e-37);
    }

    #[test]
    fn sigmoid_and_softplus_hold_at_the_ends() {
        assert_eq!(sigmoid(200.0_f32), 1.0);
        assert!(sigmoid(-200.0_f32) < 1e-37);
        assert!(sigmoid(f32::NAN).is_nan());
        assert_eq!(log1p_exp(200.0_f64), 200.0);
        assert!(log1p_exp(-200.0_f64) > 0.0);
    }
}
