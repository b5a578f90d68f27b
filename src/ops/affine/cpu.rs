//! Affine nodes on the CPU.

use super::{Affine, Item};
use crate::cpu::{LANES, Lanes, OUTPUTS, Real, Samples, Weights, add_products, vectorized};
use crate::ops::{Block, Gate, RowMap, View};

/// Computes one block of samples.
pub(super) fn run<T: Real>(op: &Affine, block: &mut Block<'_, T>) {
    vectorized(
        #[inline(always)]
        || {
            for item in &op.items {
                let width = op.width(item.output);
                for first in (0..item.width).step_by(OUTPUTS) {
                    match item.width - first {
                        1 => tile::<T, 1>(item, width, first, block),
                        2 => tile::<T, 2>(item, width, first, block),
                        3 => tile::<T, 3>(item, width, first, block),
                        4 => tile::<T, 4>(item, width, first, block),
                        5 => tile::<T, 5>(item, width, first, block),
                        _ => tile::<T, OUTPUTS>(item, width, first, block),
                    }
                }
            }
        },
    );
}

/// Columns `first..first + R` of `item`; `width` is the output's.
#[inline(always)]
fn tile<T: Real, const R: usize>(item: &Item, width: usize, first: usize, block: &mut Block<'_, T>) {
    let mut sums = [Lanes::zero(); R];
    if let Some(bias) = item.bias {
        let bias = &block.matrix(bias.input)[bias.from + first..][..R];
        for (sum, &b) in sums.iter_mut().zip(bias) {
            *sum = Lanes::splat(b);
        }
    }
    for term in &item.terms {
        let x = &block.columns(term.x.input)[term.x.from..][..term.inner];
        let stride = block.shape(term.weight).cols;
        let start = term.row * stride + term.col;
        let weights = block.matrix(term.weight);
        add_products(
            &mut sums,
            Samples::all(x),
            None,
            match term.transposed {
                false => Weights { values: weights, start: start + first * stride, row_step: stride, inner_step: 1 },
                true => Weights { values: weights, start: start + first, row_step: 1, inner_step: stride },
            },
        );
    }
    for &view in &item.adds {
        let view = view.shifted(first);
        if view.rows == RowMap::Same {
            let columns = &block.columns(view.input)[view.from..][..R];
            for (sum, &value) in sums.iter_mut().zip(columns) {
                *sum = sum.plus(value);
            }
        } else {
            add_mapped(&mut sums, view, block);
        }
    }
    item.epilogue.apply(&mut sums, block.first(), width, item.to + first, block.clock);
    if let Some((view, gate)) = item.gate {
        let stored = &block.columns(view.input)[view.from + first..][..R];
        let zero = T::zero();
        for (sum, stored) in sums.iter_mut().zip(stored) {
            *sum = sum.times(match gate {
                Gate::Relu { scale } => stored.map(|y| if y > zero { T::of(scale) } else { zero }),
                Gate::Sigmoid => stored.map(|y| y * (T::one() - y)),
            });
        }
    }
    block.output(item.output)[item.to + first..][..R].copy_from_slice(&sums);
}

/// Adds columns of other samples' rows.
#[inline(always)]
fn add_mapped<T: Real, const R: usize>(sums: &mut [Lanes<T>; R], view: View, block: &Block<'_, T>) {
    let tensor = block.tensor(view.input);
    for lane in 0..LANES.min(block.count()) {
        let row = block.mapped(view.rows, lane);
        for (r, sum) in sums.iter_mut().enumerate() {
            sum.0[lane] += tensor.value(row, view.from + r);
        }
    }
}
