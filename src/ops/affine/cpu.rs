//! Affine nodes on the CPU.

use super::{Affine, Item, Term};
use crate::cpu::{LANES, Lanes, Real, Samples, Simd, Tile, Weights, add_products, in_tiles};
use crate::ops::affine::epilogue::LEAK;
use crate::ops::{ActivationGrad, Block, Routes, RowMap, SimdPerSample, View};

/// Outputs whose sums are in registers at a time: six times two vectors leave room for the operands in sixteen.
const OUTPUTS: usize = 6;

/// Columns of x that stay in the first cache while all outputs read them.
const INNER: usize = 256;

impl SimdPerSample for Affine {
    #[inline(always)]
    fn run<T: Real, S: Simd>(&self, simd: S, block: &mut Block<'_, T>) {
        let routes = &if self.is_routed() { block.routes() } else { Routes::default() };
        for item in &self.items {
            let width = self.width(item.output);
            let inner: usize = item.terms.iter().map(|term| term.inner).sum();
            if inner <= INNER || item.width <= OUTPUTS {
                let mut pass = Pass { item, terms: &item.terms, width, begins: true, ends: true, routes, block };
                in_tiles::<S, OUTPUTS>(simd, item.width, &mut pass);
                continue;
            }
            let mut done = 0;
            for term in &item.terms {
                for first in (0..term.inner).step_by(INNER) {
                    let part = term.part(first, INNER.min(term.inner - first));
                    let begins = done == 0;
                    done += part.inner;
                    let mut pass = Pass { item, terms: &[part], width, begins, ends: done == inner, routes, block };
                    in_tiles::<S, OUTPUTS>(simd, item.width, &mut pass);
                }
            }
        }
    }
}

/// One of the passes over an item's outputs.
struct Pass<'a, 'b, T> {
    item: &'a Item,
    terms: &'a [Term],
    /// Columns of the output.
    width: usize,
    /// Whether it begins with the bias, or with what the pass before it stored.
    begins: bool,
    /// Whether it ends with views, activation and activation gradient.
    ends: bool,
    routes: &'a Routes<T>,
    block: &'a mut Block<'b, T>,
}

impl<T: Real> Tile for Pass<'_, '_, T> {
    #[inline(always)]
    fn compute<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        tile::<T, S, R>(simd, self, first);
    }
}

/// Columns `first..first + R` of an item.
#[inline(always)]
fn tile<T: Real, S: Simd, const R: usize>(simd: S, pass: &mut Pass<'_, '_, T>, first: usize) {
    let Pass { item, terms, width, begins, ends, routes, ref mut block } = *pass;
    let mut sums = [Lanes::zero(); R];
    if !begins {
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
            add_products(simd, &mut sums, Samples::all(x), None, weights);
        } else {
            for &(scenario, ref mask) in routes.list() {
                let weights = Weights { start: weights.start + scenario * term.scenario_stride * stride, ..weights };
                match mask {
                    None => add_products(simd, &mut sums, Samples::all(x), None, weights),
                    Some(_) => add_products(simd, &mut sums, Samples::all(x), mask.as_ref(), weights),
                }
            }
        }
    }
    if ends {
        finish(&mut sums, item, width, first, block);
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
