//! Affine nodes on the CPU.

use super::{Affine, Item, Term};
use crate::cpu::{LANES, Lanes, OUTPUTS, Real, Samples, Weights, add_products, vectorized};
use crate::ops::affine::epilogue::LEAK;
use crate::ops::{ActivationGrad, Block, Routes, RowMap, View};

/// Columns of x that stay in the first cache while all outputs read them.
const INNER: usize = 256;

/// Computes one block of samples.
pub(super) fn run<T: Real>(op: &Affine, block: &mut Block<'_, T>) {
    let routes = if op.is_routed() { block.routes() } else { Routes::default() };
    vectorized::<T, _>(
        #[inline(always)]
        || {
            for item in &op.items {
                let width = op.width(item.output);
                let inner: usize = item.terms.iter().map(|term| term.inner).sum();
                if inner <= INNER || item.width <= OUTPUTS {
                    pass(item, &item.terms, Pass { width, begins: true, ends: true }, &routes, block);
                    continue;
                }
                let mut done = 0;
                for term in &item.terms {
                    for first in (0..term.inner).step_by(INNER) {
                        let part = term.part(first, INNER.min(term.inner - first));
                        let begins = done == 0;
                        done += part.inner;
                        pass(item, &[part], Pass { width, begins, ends: done == inner }, &routes, block);
                    }
                }
            }
        },
    );
}

/// One of the passes over an item's outputs.
#[derive(Clone, Copy)]
struct Pass {
    /// Columns of the output.
    width: usize,
    /// Whether it begins with the bias, or with what the pass before it stored.
    begins: bool,
    /// Whether it ends with views, activation and activation gradient.
    ends: bool,
}

#[inline(always)]
fn pass<T: Real>(item: &Item, terms: &[Term], pass: Pass, routes: &Routes<T>, block: &mut Block<'_, T>) {
    let mut first = 0;
    while first < item.width {
        // Two tiles of four rather than one of six and one of two, which would wait for its sums.
        let size = match item.width - first {
            7 | 8 => 4,
            rest => rest.min(OUTPUTS),
        };
        match size {
            1 => tile::<T, 1>(item, terms, pass, first, routes, block),
            2 => tile::<T, 2>(item, terms, pass, first, routes, block),
            3 => tile::<T, 3>(item, terms, pass, first, routes, block),
            4 => tile::<T, 4>(item, terms, pass, first, routes, block),
            5 => tile::<T, 5>(item, terms, pass, first, routes, block),
            _ => tile::<T, OUTPUTS>(item, terms, pass, first, routes, block),
        }
        first += size;
    }
}

/// Columns `first..first + R` of `item`.
#[inline(always)]
fn tile<T: Real, const R: usize>(
    item: &Item,
    terms: &[Term],
    pass: Pass,
    first: usize,
    routes: &Routes<T>,
    block: &mut Block<'_, T>,
) {
    let mut sums = [Lanes::zero(); R];
    if !pass.begins {
        sums.copy_from_slice(&block.output(item.output)[item.to + first..][..R]);
    } else if let Some(bias) = item.bias {
        let values = block.matrix(bias.input);
        if bias.scenario_stride == 0 {
            for (sum, &b) in sums.iter_mut().zip(&values[bias.from + first..][..R]) {
                *sum = Lanes::splat(b);
            }
        } else {
            for (lane, &scenario) in block.scenarios().iter().enumerate() {
                let values = &values[bias.from + scenario as usize * bias.scenario_stride + first..][..R];
                for (sum, &b) in sums.iter_mut().zip(values) {
                    sum.0[lane] = b;
                }
            }
        }
    }
    for term in terms {
        let x = &block.columns(term.x.input)[term.x.from..][..term.inner];
        let stride = block.shape(term.weight).cols;
        let start = term.row * stride + term.col;
        let weights = block.matrix(term.weight);
        let weights = match term.transposed {
            false => Weights { values: weights, start: start + first * stride, row_step: stride, inner_step: 1 },
            true => Weights { values: weights, start: start + first, row_step: 1, inner_step: stride },
        };
        if term.scenario_stride == 0 {
            add_products(&mut sums, Samples::all(x), None, weights);
        } else {
            for &(scenario, mask) in routes.list() {
                let weights = Weights { start: weights.start + scenario * term.scenario_stride * stride, ..weights };
                match mask {
                    None => add_products(&mut sums, Samples::all(x), None, weights),
                    Some(_) => add_products(&mut sums, Samples::all(x), mask, weights),
                }
            }
        }
    }
    if pass.ends {
        finish(&mut sums, item, pass.width, first, block);
    }
    block.output(item.output)[item.to + first..][..R].copy_from_slice(&sums);
}

/// Views, activation and activation gradient of columns `first..first + R`.
#[inline(always)]
fn finish<T: Real, const R: usize>(
    sums: &mut [Lanes<T>; R],
    item: &Item,
    width: usize,
    first: usize,
    block: &Block<'_, T>,
) {
    for &view in &item.adds {
        let view = view.shifted(first);
        if view.rows == RowMap::Same {
            let columns = &block.columns(view.input)[view.from..][..R];
            for (sum, &value) in sums.iter_mut().zip(columns) {
                *sum = sum.plus(value);
            }
        } else {
            add_mapped(sums, view, block);
        }
    }
    item.epilogue.apply(sums, block.first(), width, item.to + first, block.uniforms);
    if let Some((view, activation_grad)) = item.activation_grad {
        let stored = &block.columns(view.input)[view.from + first..][..R];
        let zero = T::zero();
        for (sum, stored) in sums.iter_mut().zip(stored) {
            *sum = sum.times(match activation_grad {
                ActivationGrad::Relu { scale } => stored.map(|y| if y > zero { T::of(scale) } else { zero }),
                ActivationGrad::Sigmoid => stored.map(|y| y * (T::one() - y)),
                ActivationGrad::LeakyRelu => stored.map(|y| if y > zero { T::one() } else { T::of(LEAK) }),
            });
        }
    }
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
