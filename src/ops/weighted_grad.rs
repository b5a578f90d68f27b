//! Gradients of the weighted layer, without the B × d_m × d_n matrix.

use super::linear_grad::column_sums;
use super::weighted::{Blocks, TILE};
use super::{Arg, Cost, Cpu, Kernel, Op, Operation, Target};
use crate::cpu::{LANES, Lanes, Real, for_chunks, transpose_rows, vectorized};
use crate::graph::{Graph, Node, Shape};

/// dh and dS together: with y[r,n] = Σ_{m in group r} W[m,n] dz[m],
/// dh[n] = scale · Σ_r S[r,c(n)] y[r,n] and dS[r,c] = scale · Σ_{n in group c} h[n] y[r,n].
///
/// Inputs: dz [B, d_m], h [B, d_n], S [B, d_r·d_c], W [d_m, d_n]. Outputs: dh [B, d_n], dS [B, d_r·d_c].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedLinearGrad {
    /// Who shares a value of S.
    pub blocks: Blocks,
    /// Factor of S.
    pub scale: f64,
}

impl Operation for WeightedLinearGrad {
    fn name(&self) -> &'static str {
        "weighted_linear_grad"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        vec![Shape::batch(self.blocks.inputs), Shape::batch(self.blocks.len())]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let Blocks { outputs, inputs, row_groups, .. } = self.blocks;
        Cost::of(node, graph, batch, batch * inputs * (2 * outputs + 4 * row_groups))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let (dn, values) = (self.blocks.inputs, self.blocks.len());
        let rows = cpu.rows();
        let [dh, ds] = outputs else { unreachable!("two outputs") };
        // One task's block of dS goes with its block of dh: pair them up so that one pass writes both.
        let mut pairs: Vec<(&mut [T], &mut [T])> =
            dh[..rows * dn].chunks_mut(LANES * dn).zip(ds[..rows * values].chunks_mut(LANES * values)).collect();
        for_chunks(&mut pairs, 1, |block, pair| {
            let (dh, ds) = &mut pair[0];
            vectorized(
                #[inline(always)]
                || self.backward(cpu, block * LANES, dh, ds),
            );
        });
    }

    fn kernels(&self, _: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let threads = target.capacity.div_ceil(4) * self.blocks.col_groups;
        vec![
            self.blocks
                .constants(Kernel::new("weighted_linear_grad", threads))
                .with("SCALE", self.scale)
                .bind((0..4).map(Arg::Input))
                .bind([Arg::Output(0), Arg::Output(1)]),
        ]
    }
}

impl WeightedLinearGrad {
    /// Up to [`LANES`] samples from `first` on, side by side.
    #[inline(always)]
    fn backward<T: Real>(&self, cpu: &Cpu<'_, T>, first: usize, dh_out: &mut [T], ds_out: &mut [T]) {
        let blocks = self.blocks;
        let (dm, dn, values) = (blocks.outputs, blocks.inputs, blocks.len());
        let count = dh_out.len() / dn;
        let load = |input: usize, width: usize| {
            let mut lanes = vec![Lanes::zero(); width];
            transpose_rows(&cpu.inputs[input][first * width..][..count * width], width, &mut lanes);
            lanes
        };
        let (dz, h, s) = (load(0, dm), load(1, dn), load(2, values));
        let w = cpu.inputs[3];
        let scale = T::of(self.scale);
        let mut dh = vec![Lanes::zero(); dn];
        for r in 0..blocks.row_groups {
            for c in 0..blocks.col_groups {
                let s = s[blocks.value(r, c)];
                let mut ds = Lanes::zero();
                for j in 0..blocks.cols_per_group() {
                    let n = blocks.col(c, j);
                    let mut y = Lanes::zero();
                    for i in 0..blocks.rows_per_group() {
                        let m = blocks.row(r, i);
                        y.add_scaled(w[m * dn + n], dz[m]);
                    }
                    dh[n].add_product(s, y);
                    ds.add_product(h[n], y);
                }
                for lane in 0..count {
                    ds_out[lane * values + blocks.value(r, c)] = scale * ds.0[lane];
                }
            }
        }
        for (n, dh) in dh.iter().enumerate() {
            for lane in 0..count {
                dh_out[lane * dn + n] = scale * dh.0[lane];
            }
        }
    }
}

/// dW[m,n] = scale · Σ_b dz[b,m] S[b,r(m),c(n)] h[b,n] and db = Σ_b dz[b].
///
/// Inputs: dz [B, d_m], h [B, d_n], S [B, d_r·d_c]. Outputs: dW [d_m, d_n], db [1, d_m].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedLinearGradWeights {
    /// Who shares a value of S.
    pub blocks: Blocks,
    /// Factor of S.
    pub scale: f64,
}

impl Operation for WeightedLinearGradWeights {
    fn name(&self) -> &'static str {
        "weighted_linear_grad_weights"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        vec![Shape::fixed(self.blocks.outputs, self.blocks.inputs), Shape::fixed(1, self.blocks.outputs)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let Blocks { outputs, inputs, row_groups, .. } = self.blocks;
        Cost::of(node, graph, batch, batch * inputs * (2 * outputs + row_groups))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let blocks = self.blocks;
        let (dm, dn, rows) = (blocks.outputs, blocks.inputs, cpu.rows());
        let dz = by_feature(cpu.inputs[0], dm, rows);
        let h = by_feature(cpu.inputs[1], dn, rows);
        let s = by_feature(cpu.inputs[2], blocks.len(), rows);
        // Rows in the order of their groups, so that a task owns a contiguous piece.
        let mut grouped = vec![T::zero(); dm * dn];
        for_chunks(&mut grouped, blocks.rows_per_group() * dn, |r, out| {
            vectorized(
                #[inline(always)]
                || group_gradient(blocks, T::of(self.scale), r, &dz, &h, &s, out),
            );
        });
        for r in 0..blocks.row_groups {
            for i in 0..blocks.rows_per_group() {
                let from = (r * blocks.rows_per_group() + i) * dn;
                outputs[0][blocks.row(r, i) * dn..][..dn].copy_from_slice(&grouped[from..from + dn]);
            }
        }
        column_sums(cpu.inputs[0], &mut outputs[1][..dm]);
    }

    fn kernels(&self, _: &Node, _: &Graph, _: &Target) -> Vec<Kernel> {
        let threads = self.blocks.row_tiles() * self.blocks.col_tiles();
        vec![
            self.blocks
                .constants(Kernel::new("weighted_linear_grad_weights", threads))
                .with("SCALE", self.scale)
                .bind((0..3).map(Arg::Input))
                .bind([Arg::Output(0), Arg::Output(1)]),
        ]
    }
}

/// All samples of each feature, [`LANES`] at a time: feature f's lanes are `f * blocks..(f + 1) * blocks`.
fn by_feature<T: Real>(matrix: &[T], width: usize, rows: usize) -> Vec<Lanes<T>> {
    const FEATURES_PER_TASK: usize = 64;
    let blocks = rows.div_ceil(LANES);
    let mut lanes = vec![Lanes::zero(); width * blocks];
    for_chunks(&mut lanes, FEATURES_PER_TASK * blocks, |chunk, lanes| {
        let first = chunk * FEATURES_PER_TASK;
        for block in 0..blocks {
            let rows = &matrix[block * LANES * width..rows.min((block + 1) * LANES) * width];
            for (feature, lanes) in lanes.chunks_exact_mut(blocks).enumerate() {
                for (lane, row) in lanes[block].0.iter_mut().zip(rows.chunks_exact(width)) {
                    *lane = row[first + feature];
                }
            }
        }
    });
    lanes
}

/// The rows of dW that belong to row group `r`.
#[inline(always)]
fn group_gradient<T: Real>(
    blocks: Blocks,
    scale: T,
    r: usize,
    dz: &[Lanes<T>],
    h: &[Lanes<T>],
    s: &[Lanes<T>],
    out: &mut [T],
) {
    const COLS: usize = 2;
    let dn = blocks.inputs;
    let count = dz.len() / blocks.outputs;
    let of = |feature: usize| feature * count..(feature + 1) * count;
    let members = blocks.rows_per_group();
    for c in 0..blocks.col_groups {
        let s = &s[of(blocks.value(r, c))];
        let mut i = 0;
        while i < members {
            let tile = TILE.min(members - i);
            // Rows beyond the group repeat its last: computed, not stored.
            let d: [&[Lanes<T>]; TILE] = std::array::from_fn(|t| &dz[of(blocks.row(r, (i + t).min(members - 1)))]);
            let mut j = 0;
            while j < blocks.cols_per_group() {
                let n: [usize; COLS] = std::array::from_fn(|u| blocks.col(c, (j + u).min(blocks.cols_per_group() - 1)));
                let x: [&[Lanes<T>]; COLS] = n.map(|n| &h[of(n)]);
                let mut sums = [[Lanes::zero(); COLS]; TILE];
                for b in 0..count {
                    for u in 0..COLS {
                        let weighted = s[b].times(x[u][b]);
                        for t in 0..TILE {
                            sums[t][u].add_product(weighted, d[t][b]);
                        }
                    }
                }
                for (t, sums) in sums.iter().enumerate().take(tile) {
                    for (u, sum) in sums.iter().enumerate() {
                        out[(i + t) * dn + n[u]] = scale * sum.total();
                    }
                }
                j += COLS;
            }
            i += TILE;
        }
    }
}
