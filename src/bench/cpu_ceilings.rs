//! The ceilings of the CPU: what all its threads together copy, and multiply and add in registers.

use std::convert::Infallible;
use std::hint::black_box;

use rayon::prelude::*;

use super::ceilings::{Ceilings, CopyRate, MultiplyAddRate};
use super::sample::{Effort, Sample, repeat, seconds};
use crate::cpu::{Real, Simd, WithSimd, for_chunks};

/// Bytes moved at least; small buffers are copied several times.
const COPIED: u64 = 64 << 20;

pub(super) fn measure_cpu(effort: &Effort, footprints: &[u64]) -> Ceilings {
    let copies = footprints.iter().map(|&footprint| copy_rate(effort, footprint)).collect();
    Ceilings::of(copies, vec![chain_rate(effort)], fork_seconds(effort))
}

fn sample(effort: &Effort, mut run: impl FnMut()) -> Sample {
    match repeat(effort, || Ok::<_, Infallible>(seconds(&mut run))) {
        Ok(sample) => sample,
    }
}

fn copy_rate(effort: &Effort, footprint: u64) -> CopyRate {
    let half = footprint as usize / 2 / size_of::<f32>();
    let rounds = COPIED.div_ceil(footprint);
    // Not zeros, for which systems keep one page.
    let values = vec![1.0_f32; half];
    let mut copies = vec![2.0_f32; half];
    let part = half.div_ceil(rayon::current_num_threads());
    let sample = sample(effort, || {
        copies.par_chunks_mut(part).zip(values.par_chunks(part)).for_each(|(copies, values)| {
            for _ in 0..rounds {
                black_box(&mut *copies).copy_from_slice(black_box(values));
            }
        });
    });
    CopyRate { footprint, bytes_per_second: (footprint * rounds) as f64 / sample.seconds, spread: sample.spread }
}

fn chain_rate(effort: &Effort) -> MultiplyAddRate {
    const ROUNDS: usize = 100_000;
    let threads = rayon::current_num_threads();
    let mut flops = 0;
    let sample = sample(effort, || {
        let counts: Vec<usize> =
            (0..threads).into_par_iter().with_max_len(1).map(|_| f32::dispatch(Chains { rounds: ROUNDS })).collect();
        flops = counts.iter().sum();
    });
    MultiplyAddRate {
        variant: format!("{CHAINS} chains of vectors"),
        flops_per_second: flops as f64 / sample.seconds,
        spread: sample.spread,
    }
}

/// Chains of multiply-adds that do not wait for each other: more than are under way at once, and few enough for
/// sixteen registers.
const CHAINS: usize = 12;

struct Chains {
    rounds: usize,
}

impl WithSimd for Chains {
    type Output = usize;

    /// Returns how many operations it did.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let factor = simd.splat_f32s(black_box(0.999));
        let term = simd.splat_f32s(black_box(0.001));
        let mut chains = [simd.splat_f32s(black_box(1.0)); CHAINS];
        for _ in 0..self.rounds {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, term);
            }
        }
        for chain in chains {
            black_box(simd.reduce_sum_f32s(chain));
        }
        2 * self.rounds * CHAINS * S::F32_LANES
    }
}

/// Seconds to hand a little work to all threads and get it back, as nearly every operation does.
fn fork_seconds(effort: &Effort) -> f64 {
    const TIMES: usize = 100;
    let mut values = vec![0_u32; 16 * rayon::current_num_threads()];
    let run = || {
        for _ in 0..TIMES {
            for_chunks(&mut values, 4, |_, chunk| chunk[0] = black_box(chunk[0] + 1));
        }
    };
    sample(effort, run).per(TIMES).seconds
}
