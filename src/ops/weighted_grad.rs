//! Gradients of the weighted layer, without the B × d_m × d_n matrix.

use rayon::prelude::*;

use super::weighted::{Blocks, TILE};
use super::{Batch, Block, Cost, Kernel, Op, Operation, Phase, Target};
use crate::cpu::{Lanes, Real, Weights, add_products, vectorized};
use crate::graph::{Graph, Node, Shape};

/// A weighting: who shares a value of S, and the factor of S.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighted {
    /// Who shares a value.
    pub blocks: Blocks,
    /// Factor of S.
    pub scale: f64,
}

/// dh and dS together: with y[r,n] = Σ_{m in group r} W[m,n] dz[m],
/// dh[n] = scale · Σ_r S[r,c(n)] y[r,n] and dS[r,c] = scale · Σ_{n in group c} h[n] y[r,n].
///
/// Inputs: dz [B, d_m], h [B, d_n], S [B, d_r·d_c], W [d_m, d_n], and if `adds` what else S receives, which is added
/// to dS. Outputs: dh [B, d_n], dS [B, d_r·d_c].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedLinearGrad {
    /// The weighting.
    pub weighted: Weighted,
    /// Whether there is a fifth input.
    pub adds: bool,
}

impl Operation for WeightedLinearGrad {
    fn name(&self) -> &'static str {
        "weighted_linear_grad"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        vec![Shape::batch(self.weighted.blocks.inputs), Shape::batch(self.weighted.blocks.len())]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let Blocks { outputs, inputs, row_groups, .. } = self.weighted.blocks;
        Cost::of(node, graph, batch, batch * inputs * (2 * outputs + 4 * row_groups))
    }

    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized(
            #[inline(always)]
            || {
                let values = self.weighted.blocks.len();
                let add = self.adds.then(|| block.columns(4));
                let [dh, ds] = block.two_outputs();
                dh.fill(Lanes::zero());
                match add {
                    Some(add) => ds.copy_from_slice(add),
                    None => ds[..values].fill(Lanes::zero()),
                }
                let members = self.weighted.blocks.cols_per_group();
                for r in 0..self.weighted.blocks.row_groups {
                    for c in 0..self.weighted.blocks.col_groups {
                        for first in (0..members).step_by(TILE) {
                            match members - first {
                                1 => self.tile::<T, 1>(block, r, c, first),
                                2 => self.tile::<T, 2>(block, r, c, first),
                                3 => self.tile::<T, 3>(block, r, c, first),
                                _ => self.tile::<T, TILE>(block, r, c, first),
                            }
                        }
                    }
                }
            },
        );
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        super::weighted_kernel::grad(self, node, graph, target)
    }
}

impl WeightedLinearGrad {
    /// What row group `r` and the inputs `first..first + N` of column group `c` add to dh and dS.
    #[inline(always)]
    fn tile<T: Real, const N: usize>(&self, block: &mut Block<'_, T>, r: usize, c: usize, first: usize) {
        let Weighted { blocks, scale } = self.weighted;
        let (dz, h, s, weights) = (block.columns(0), block.columns(1), block.columns(2), block.matrix(3));
        let w = Weights {
            values: weights,
            start: blocks.row(r, 0) * blocks.inputs + blocks.col(c, first),
            row_step: blocks.col_step(),
            inner_step: blocks.row_step() * blocks.inputs,
        };
        let dz = dz[blocks.row(r, 0)..].iter().step_by(blocks.row_step()).take(blocks.rows_per_group());
        let mut y = [Lanes::zero(); N];
        add_products(&mut y, dz.copied(), w);
        let value = blocks.value(r, c);
        let scale = Lanes::splat(T::of(scale));
        let s = scale.times(s[value]);
        let [dh, ds] = block.two_outputs();
        let mut sum = Lanes::zero();
        for (j, y) in y.into_iter().enumerate() {
            let n = blocks.col(c, first + j);
            dh[n].add_product(s, y);
            sum.add_product(h[n], y);
        }
        ds[value].add_product(scale, sum);
    }
}

/// dW[m,n] = scale · Σ_b dz[b,m] S[b,r(m),c(n)] h[b,n], of one or more layers.
///
/// Inputs: for each layer dz [B, d_m], h [B, d_n], S [B, d_r·d_c]. Outputs: for each dW [d_m, d_n].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedLinearGradWeights {
    /// The layers' weightings.
    pub items: Vec<Weighted>,
}

/// Rows of dW one task computes.
const ROWS_PER_TASK: usize = 4;
/// Blocks of samples summed at a time: their columns stay in the first cache.
const BLOCKS: usize = 32;

impl Operation for WeightedLinearGradWeights {
    fn name(&self) -> &'static str {
        "weighted_linear_grad_weights"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        self.items.iter().map(|item| Shape::fixed(item.blocks.outputs, item.blocks.inputs)).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let flops = self
            .items
            .iter()
            .map(|Weighted { blocks, .. }| batch * blocks.inputs * (2 * blocks.outputs + blocks.row_groups));
        Cost::of(node, graph, batch, flops.sum())
    }

    fn phase(&self) -> Phase {
        Phase::Sums
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let tasks: Vec<(usize, usize, &mut [T])> = outputs
            .iter_mut()
            .zip(&self.items)
            .enumerate()
            .flat_map(|(index, (values, item))| {
                let Blocks { outputs, inputs, .. } = item.blocks;
                let chunks = values[..outputs * inputs].chunks_mut(ROWS_PER_TASK * inputs);
                chunks.enumerate().map(move |(chunk, out)| (index, chunk * ROWS_PER_TASK, out))
            })
            .collect();
        tasks.into_par_iter().with_max_len(1).for_each(|(index, first, out)| {
            vectorized(
                #[inline(always)]
                || {
                    out.fill(T::zero());
                    let blocks = self.items[index].blocks;
                    let count = out.len() / blocks.inputs;
                    let group = blocks.row_group(first);
                    if (first..first + count).all(|m| blocks.row_group(m) == group) {
                        self.rows::<T, ROWS_PER_TASK>(batch, index, first, out);
                    } else {
                        for (i, out) in out.chunks_exact_mut(blocks.inputs).enumerate() {
                            self.rows::<T, 1>(batch, index, first + i, out);
                        }
                    }
                },
            );
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        super::weighted_kernel::grad_weights(self, node, graph, target)
    }
}

impl WeightedLinearGradWeights {
    /// Rows `first..first + R` of dW number `index`, as far as `out` reaches; all of one row group.
    #[inline(always)]
    fn rows<T: Real, const R: usize>(&self, batch: &Batch<'_, T>, index: usize, first: usize, out: &mut [T]) {
        const C: usize = 2;
        let Weighted { blocks, scale } = self.items[index];
        let [dz, h, s] = [0, 1, 2].map(|input| batch.tensor(3 * index + input));
        let (scale, count) = (T::of(scale), out.len() / blocks.inputs);
        let r = blocks.row_group(first);
        let members = blocks.cols_per_group();
        for start in (0..batch.blocks()).step_by(BLOCKS) {
            let range = start..batch.blocks().min(start + BLOCKS);
            for c in 0..blocks.col_groups {
                for member in (0..members).step_by(C) {
                    // Beyond the end the last is computed again, and not stored.
                    let rows = std::array::from_fn(|i| first + i.min(count - 1));
                    let cols: [usize; C] = std::array::from_fn(|j| blocks.col(c, (member + j).min(members - 1)));
                    let value = Some((s, blocks.value(r, c)));
                    let sums: [[T; C]; R] = dz.pair_sums(rows, h, cols, value, range.clone());
                    for (out, sums) in out.chunks_exact_mut(blocks.inputs).zip(&sums) {
                        for (&n, &sum) in cols.iter().zip(sums).take(members - member) {
                            out[n] += scale * sum;
                        }
                    }
                }
            }
        }
    }
}
