//! The ceilings of the CPU: what all its threads together copy, and multiply with the crate that computes products.

use std::convert::Infallible;
use std::hint::black_box;

use rayon::prelude::*;

use super::ceilings::{Ceilings, CopyRate, MultiplyAddRate};
use super::sample::{Effort, Sample, repeat, seconds};
use crate::cpu::{Matrix, ROWS_PER_TASK, for_chunks, for_row_blocks, product};

/// Bytes moved at least; small buffers are copied several times.
const COPIED: u64 = 64 << 20;
/// Inner and outer sizes of the products: such as layers have, and such as caches like best.
const PRODUCTS: [(usize, usize); 3] = [(128, 64), (256, 128), (512, 512)];

pub(super) fn measure_cpu(effort: &Effort, footprints: &[u64]) -> Ceilings {
    let copies = footprints.iter().map(|&footprint| copy_rate(effort, footprint)).collect();
    let products = PRODUCTS.iter().map(|&(inner, outer)| product_rate(effort, inner, outer)).collect();
    Ceilings::of(copies, products, fork_seconds(effort))
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

fn product_rate(effort: &Effort, inner: usize, outer: usize) -> MultiplyAddRate {
    let rows = 8 * ROWS_PER_TASK * rayon::current_num_threads();
    let x = vec![0.5_f32; rows * inner];
    let w = vec![0.25_f32; inner * outer];
    let mut y = vec![0.0_f32; rows * outer];
    let sample = sample(effort, || {
        for_row_blocks(&mut y, outer, |first, block| {
            let count = block.len() / outer;
            product(Matrix::new(&x[first * inner..], count, inner), Matrix::new(&w, inner, outer), block);
        });
    });
    MultiplyAddRate {
        variant: format!("product with {inner}×{outer}"),
        flops_per_second: (2 * rows * inner * outer) as f64 / sample.seconds,
        spread: sample.spread,
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
