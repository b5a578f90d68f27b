//! From f32 to half floats (IEEE 754 binary16): to the nearest, and at random to one of the two around.

use half::f16;

/// The half nearest to `x`, ties to even. What is beyond the largest half, 65504, becomes that; only an infinity is one.
pub fn nearest_half(x: f32) -> f16 {
    let half = f16::from_f32(x);
    if half.is_infinite() && x.is_finite() { f16::MAX.copysign(half) } else { half }
}

/// One of the two halves around `x`: the one farther from 0 with the probability of x's distance from the other, in units
/// of the distance between the two. So the mean over `random`, whose bits are uniform, is x. A half stays what it is. What
/// is beyond the largest half, 65504, becomes that; infinities and NaN stay, so that a run that diverges is noticed.
///
/// The same in `shaders/common/half_rows.wgsl`, to the bit, as it is all integers: the random bits are added to those of
/// the significand that a half has no room for, and what they carry stays.
#[inline(always)]
pub fn stochastic_half(x: f32, random: u32) -> f16 {
    const INFINITY: u32 = 0x7f80_0000;
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let exponent = magnitude >> 23;
    // A half keeps 10 of 23 bits; below 2⁻¹⁴ (exponent 113) its numbers are multiples of 2⁻²⁴, and each power of two
    // takes a bit more. Below 2⁻³² there are more to drop than random bits to compare with: those beyond are cut off,
    // which moves the probability by less than 2⁻³¹.
    let dropped = 126 - exponent.min(113);
    let shift = dropped.min(31);
    let significand = (magnitude & 0x007f_ffff | 0x0080_0000) >> (dropped - shift).min(31);
    let rounded = (significand + (random & ((1 << shift) - 1))) >> shift;
    // The leading bit of a significand adds one to the exponent.
    let finite = (rounded + ((exponent.max(113) - 113) << 10)).min(0x7bff);
    let special = if magnitude > INFINITY { 0x7e00 } else { 0x7c00 };
    let half = if magnitude < INFINITY { finite } else { special };
    f16::from_bits((half | ((bits >> 16) & 0x8000)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Real;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn all_halves() -> impl Iterator<Item = f16> {
        (0..=u16::MAX).map(f16::from_bits)
    }

    /// The finite half next to one, away from 0.
    fn beyond(half: f16) -> f16 {
        f16::from_bits(half.to_bits() + 1)
    }

    #[test]
    fn a_half_stays_what_it_is() {
        for half in all_halves() {
            for random in [0, 1, 0x0000_1fff, 0x0fff_ffff, 0x7fff_ffff, 0xffff_f000, u32::MAX] {
                let found = stochastic_half(half.to_f32(), random);
                if half.is_nan() {
                    assert!(found.is_nan() && found.is_sign_negative() == half.is_sign_negative(), "{half:?}");
                } else {
                    assert_eq!(found.to_bits(), half.to_bits(), "{half:?} with {random:x}");
                }
            }
            if !half.is_nan() {
                assert_eq!(nearest_half(half.to_f32()).to_bits(), half.to_bits());
            }
        }
    }

    #[test]
    fn between_two_halves_only_these_two_appear_and_by_distance() {
        // All pairs of neighbours, each sign, at an eighth, a half and seven eighths of the way: exact in f32.
        for low in all_halves().filter(|half| half.is_finite() && half.to_bits() & 0x7fff < 0x7bff) {
            let high = beyond(low);
            let (a, b) = (f64::from(low.to_f32()), f64::from(high.to_f32()));
            for eighths in [1_u32, 4, 7] {
                let x = (a + (b - a) * f64::from(eighths) / 8.0) as f32;
                // The random bits that are added count from the significand's end; the highest three of them decide here.
                let dropped = 126 - (x.to_bits() << 1 >> 24).min(113);
                for part in 0..8_u32 {
                    let found = stochastic_half(x, part << (dropped - 3));
                    let expected = if part + eighths >= 8 { high } else { low };
                    assert_eq!(found.to_bits(), expected.to_bits(), "{x:e} between {low:?} and {high:?}, {part}");
                }
                assert!([low, high].map(f16::to_bits).contains(&nearest_half(x).to_bits()));
            }
        }
    }

    #[test]
    fn the_mean_is_the_value() {
        const DRAWS: u32 = 1 << 16;
        // Normal and subnormal halves, powers of two, what lies below the least half, and below what random bits resolve.
        let values = [0.3_f32, 1.0 + 1e-5, 65_503.0, 6.2e-5, 6.0e-5, 1e-6, 3.3e-8, 1e-9, 2e-10, 1e-4, 0.999_9];
        let mut random = Pcg64::seed_from_u64(1);
        for x in values.into_iter().flat_map(|x| [x, -x]) {
            let draw = |_| f64::from(stochastic_half(x, random.random()).to_f32());
            let mean = (0..DRAWS).map(draw).sum::<f64>() / f64::from(DRAWS);
            // The distance between the two halves around x; a draw's deviation is at most half of it, and that of the
            // mean of n draws √n times less. Five of these.
            let low = stochastic_half(x, 0);
            let gap = f64::from(beyond(low).to_f32() - low.to_f32()).abs();
            let bound = 5.0 * 0.5 * gap / f64::from(DRAWS).sqrt();
            assert!((mean - f64::from(x)).abs() < bound, "{x:e}: the mean is {mean:e}");
        }
    }

    #[test]
    fn what_is_too_large_is_the_largest_half_and_what_is_no_number_stays() {
        for random in [0, u32::MAX] {
            for x in [65_504.1_f32, 65_519.0, 65_520.0, 1e6, f32::MAX] {
                assert_eq!(stochastic_half(x, random), f16::MAX);
                assert_eq!(stochastic_half(-x, random), f16::MIN);
                assert_eq!([nearest_half(x), nearest_half(-x)], [f16::MAX, f16::MIN]);
            }
            for infinity in [f32::INFINITY, f32::NEG_INFINITY] {
                assert_eq!(stochastic_half(infinity, random).to_f32(), infinity);
                assert_eq!(nearest_half(infinity).to_f32(), infinity);
            }
            for nan in [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xff80_0001)] {
                assert!(stochastic_half(nan, random).is_nan() && nearest_half(nan).is_nan());
            }
        }
        // What f32 itself can only write as a subnormal number is nothing to a half.
        assert_eq!(stochastic_half(f32::from_bits(0x8000_0001), u32::MAX).to_bits(), 0x8000);
    }

    #[test]
    fn halves_are_read_exactly() {
        let halves: Vec<f16> = all_halves().collect();
        let (mut narrow, mut wide) = (vec![0.0_f32; halves.len()], vec![0.0_f64; halves.len()]);
        Real::of_halves(&halves, &mut narrow);
        Real::of_halves(&halves, &mut wide);
        for ((half, narrow), wide) in halves.iter().zip(narrow).zip(wide).filter(|((half, _), _)| !half.is_nan()) {
            assert_eq!([narrow.to_bits(), (wide as f32).to_bits()], [half.to_f32().to_bits(); 2]);
        }
    }
}
