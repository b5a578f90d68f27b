//! Gradients of the weighted layer, without the B × d_m × d_n matrix.

use rayon::prelude::*;

use super::kernel::{Mode, layer, place, scaled, steps};
use crate::cpu::{Lanes, Pairs, Real, Simd, TOGETHER, WithSimd, has_large_registers, vectors};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, Shape};
use crate::ops::affine::kernel::parts;
use crate::ops::descriptors::{Groups, TILES_PER_GROUP};
use crate::ops::weighted::linear::{Blocks, Grid};
use crate::ops::{
    Arg, BLOCK_INVOCATIONS, Batch, Block, Cost, Kernel, Op, Operation, PerSample, Phase, Reduce, Repeat, Target,
};

/// A weighting: who shares a value of S, and the factor of S.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighted {
    /// Who shares a value.
    pub blocks: Blocks,
    /// Factor of S.
    pub scale: f64,
}

/// dh and dS together: with `y[r,n] = Σ_{m in group r} W[m,n] dz[m]`,
/// `dh[n] = scale · Σ_r S[r,c(n)] y[r,n]` and `dS[r,c] = scale · Σ_{n in group c} h[n] y[r,n]`.
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

    fn adding_to(&self, output: usize) -> Option<Op> {
        // dS, to which the discriminator's gradient is added.
        (output == 1 && !self.adds).then(|| Self { adds: true, ..self.clone() }.into())
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        grad(self, node, graph, target)
    }
}

impl PerSample for WeightedLinearGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let add = self.adds.then(|| block.columns(4));
        let (dz, h, s, weights) = (block.columns(0), block.columns(1), block.columns(2), block.matrix(3));
        let [dh, ds] = block.two_outputs();
        T::dispatch(Backward { weighted: self.weighted, dz, h, s, weights, add, dh, ds });
    }
}

/// One block of samples of [`WeightedLinearGrad`].
struct Backward<'a, T> {
    weighted: Weighted,
    dz: &'a [Lanes<T>],
    h: &'a [Lanes<T>],
    s: &'a [Lanes<T>],
    weights: &'a [T],
    add: Option<&'a [Lanes<T>]>,
    dh: &'a mut [Lanes<T>],
    ds: &'a mut [Lanes<T>],
}

/// Inputs of a group, or with large registers of any, whose sums are in registers at a time.
const TILE: usize = 4;

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if const { has_large_registers::<T, S>() } {
            self.by_inputs(simd);
            return;
        }
        self.dh.fill(Lanes::zero());
        let grid = self.weighted.blocks.grid();
        let (row_groups, col_groups) = (self.weighted.blocks.row_groups, self.weighted.blocks.col_groups);
        for r in 0..row_groups {
            for c in 0..col_groups {
                for first in (0..grid.cols).step_by(TILE) {
                    for v in (0..const { vectors::<T, S>() }).step_by(TOGETHER) {
                        match grid.cols - first {
                            1 => self.tile::<S, 1>(simd, grid, [r, c], first, v),
                            2 => self.tile::<S, 2>(simd, grid, [r, c], first, v),
                            3 => self.tile::<S, 3>(simd, grid, [r, c], first, v),
                            _ => self.tile::<S, TILE>(simd, grid, [r, c], first, v),
                        }
                    }
                }
            }
        }
    }
}

impl<T: Real> Backward<'_, T> {
    /// With large registers: some inputs at a time, whatever their groups, whose h and dh stay in registers too.
    #[inline(always)]
    fn by_inputs<S: Simd>(&mut self, simd: S) {
        match self.add {
            Some(add) => self.ds.copy_from_slice(add),
            None => self.ds.fill(Lanes::zero()),
        }
        for first in (0..self.h.len()).step_by(TILE) {
            for v in (0..const { vectors::<T, S>() }).step_by(TOGETHER) {
                match self.h.len() - first {
                    1 => self.inputs::<S, 1>(simd, first, v),
                    2 => self.inputs::<S, 2>(simd, first, v),
                    3 => self.inputs::<S, 3>(simd, first, v),
                    _ => self.inputs::<S, TILE>(simd, first, v),
                }
            }
        }
    }

    /// The inputs `first..first + N`, for the vectors from number `v` on.
    #[inline(always)]
    fn inputs<S: Simd, const N: usize>(&mut self, simd: S, first: usize, v: usize) {
        let blocks = self.weighted.blocks;
        let grid = blocks.grid();
        let scale = T::splat(simd, T::of(self.weighted.scale));
        let zero = T::splat(simd, T::zero());
        let mut h = [[zero; TOGETHER]; N];
        for (h, lanes) in h.iter_mut().zip(&self.h[first..]) {
            h.copy_from_slice(&T::vectors::<S>(&lanes.0)[v..v + TOGETHER]);
        }
        let mut dh = [[zero; TOGETHER]; N];
        // Where an input's group lies in a row of S.
        let place: [usize; N] = std::array::from_fn(|j| blocks.col_group(first + j) * grid.s_col);
        let last_row = (blocks.row_groups - 1) * grid.row_base + (grid.rows - 1) * grid.row_step;
        assert!(last_row < self.dz.len() && last_row * blocks.inputs + first + N <= self.weights.len());
        for r in 0..blocks.row_groups {
            let mut y = [[zero; TOGETHER]; N];
            for i in 0..grid.rows {
                let m = r * grid.row_base + i * grid.row_step;
                // SAFETY: at most `last_row`, which the assertion above keeps inside.
                let dz = T::vectors::<S>(unsafe { &self.dz.get_unchecked(m).0 });
                // SAFETY: as above.
                let weights = unsafe { self.weights.get_unchecked(m * blocks.inputs + first..).get_unchecked(..N) };
                for (y, &w) in y.iter_mut().zip(weights) {
                    let w = T::splat(simd, w);
                    for (p, y) in y.iter_mut().enumerate() {
                        *y = T::add_product(simd, w, dz[v + p], *y);
                    }
                }
            }
            // Neighbours of one group are added up first.
            let mut sums = [zero; TOGETHER];
            for j in 0..N {
                let value = r * grid.s_row + place[j];
                let ends = j + 1 == N || place[j + 1] != place[j];
                let (s, ds) = (T::vectors::<S>(&self.s[value].0), T::vectors_mut::<S>(&mut self.ds[value].0));
                for (p, sum) in sums.iter_mut().enumerate() {
                    let s = T::product(simd, scale, s[v + p]);
                    dh[j][p] = T::add_product(simd, s, y[j][p], dh[j][p]);
                    *sum = T::add_product(simd, h[j][p], y[j][p], *sum);
                    if ends {
                        ds[v + p] = T::add_product(simd, scale, *sum, ds[v + p]);
                        *sum = zero;
                    }
                }
            }
        }
        for (out, dh) in self.dh[first..first + N].iter_mut().zip(dh) {
            T::vectors_mut::<S>(&mut out.0)[v..v + TOGETHER].copy_from_slice(&dh);
        }
    }

    /// What row group `r` and the inputs `first..first + N` of column group `c` add to dh and dS, for the vectors from
    /// number `v` on.
    #[inline(always)]
    fn tile<S: Simd, const N: usize>(&mut self, simd: S, grid: Grid, [r, c]: [usize; 2], first: usize, v: usize) {
        let inputs = self.weighted.blocks.inputs;
        let (row, col) = (r * grid.row_base, c * grid.col_base + first * grid.col_step);
        let last = row + (grid.rows - 1) * grid.row_step;
        let last_col = col + (N - 1) * grid.col_step;
        assert!(last < self.dz.len() && last_col < self.h.len() && last_col < self.dh.len());
        assert!(last * inputs + last_col < self.weights.len());
        let zero = T::splat(simd, T::zero());
        let mut y = [[zero; TOGETHER]; N];
        for i in 0..grid.rows {
            let m = row + i * grid.row_step;
            // SAFETY: at most `last` and `last_col`, which the assertions above keep inside.
            let dz = T::vectors::<S>(unsafe { &self.dz.get_unchecked(m).0 });
            for (j, y) in y.iter_mut().enumerate() {
                // SAFETY: as above.
                let w = unsafe { *self.weights.get_unchecked(m * inputs + col + j * grid.col_step) };
                let w = T::splat(simd, w);
                for (p, y) in y.iter_mut().enumerate() {
                    *y = T::add_product(simd, w, dz[v + p], *y);
                }
            }
        }
        let value = r * grid.s_row + c * grid.s_col;
        let scale = T::splat(simd, T::of(self.weighted.scale));
        let s = T::vectors::<S>(&self.s[value].0);
        let mut sums = [zero; TOGETHER];
        for (j, y) in y.iter().enumerate() {
            let n = col + j * grid.col_step;
            // SAFETY: as above.
            let (h, dh) = unsafe { (self.h.get_unchecked(n), self.dh.get_unchecked_mut(n)) };
            let (h, dh) = (T::vectors::<S>(&h.0), T::vectors_mut::<S>(&mut dh.0));
            for (p, &y) in y.iter().enumerate() {
                let s = T::product(simd, scale, s[v + p]);
                dh[v + p] = T::add_product(simd, s, y, dh[v + p]);
                sums[p] = T::add_product(simd, h[v + p], y, sums[p]);
            }
        }
        // The first tile of a group begins with what is added.
        let ds = T::vectors_mut::<S>(&mut self.ds[value].0);
        let add = self.add.map(|add| T::vectors::<S>(&add[value].0));
        for (p, &sum) in sums.iter().enumerate() {
            let before = match add {
                _ if first > 0 => ds[v + p],
                Some(add) => add[v + p],
                None => zero,
            };
            ds[v + p] = T::add_product(simd, scale, sum, before);
        }
    }
}

/// `dW[m,n] = scale · Σ_b dz[b,m] S[b,r(m),c(n)] h[b,n]`, of one or more layers.
///
/// Inputs: for each layer dz [B, d_m], h [B, d_n], S [B, d_r·d_c]. Outputs: for each dW [d_m, d_n].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedLinearGradWeights {
    /// The layers' weightings.
    pub items: Vec<Weighted>,
}

/// Rows of dW one task computes: what was loaded of h serves them all.
const ROWS_PER_TASK: usize = 16;
/// Rows of dW in registers at a time.
const ROWS: usize = 4;
/// Blocks of samples summed at a time: their columns stay in the first cache.
const BLOCKS: usize = 16;

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

    fn joint_name(&self) -> Option<&'static str> {
        Some("weighted gradients")
    }

    fn join(&self, other: &Op) -> Option<Op> {
        let Op::WeightedLinearGradWeights(other) = other else { return None };
        Some(Self { items: [self.items.as_slice(), &other.items].concat() }.into())
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        grad_weights(self, node, graph, target)
    }
}

impl Reduce for WeightedLinearGradWeights {
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
            T::dispatch(Rows { op: self, batch, index, first, out });
        });
    }
}

/// Some rows of dW number `index`.
struct Rows<'a, 'b, T> {
    op: &'a WeightedLinearGradWeights,
    batch: &'a Batch<'b, T>,
    index: usize,
    first: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Rows<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if const { has_large_registers::<T, S>() } {
            self.sum::<S, 4>(simd);
        } else {
            self.sum::<S, 2>(simd);
        }
    }
}

impl<T: Real> Rows<'_, '_, T> {
    /// The sums, [`ROWS`] rows by `C` columns in registers at a time.
    #[inline(always)]
    fn sum<S: Simd, const C: usize>(mut self, simd: S) {
        let blocks = self.op.items[self.index].blocks;
        let (grid, count) = (blocks.grid(), self.out.len() / blocks.inputs);
        self.out.fill(T::zero());
        for start in (0..self.batch.blocks()).step_by(BLOCKS) {
            let samples = start..self.batch.blocks().min(start + BLOCKS);
            for c in 0..blocks.col_groups {
                for member in (0..grid.cols).step_by(C) {
                    // Beyond the end the last is computed again, and not stored.
                    let col = |j: usize| c * grid.col_base + (member + j).min(grid.cols - 1) * grid.col_step;
                    let cols: [usize; C] = std::array::from_fn(col);
                    let cols = (c, cols, C.min(grid.cols - member));
                    let mut row = 0;
                    while row < count {
                        let r = blocks.row_group(self.first + row);
                        let same = (1..ROWS)
                            .take_while(|i| row + i < count && blocks.row_group(self.first + row + i) == r)
                            .count();
                        if same == 0 {
                            self.add::<S, C, 1>(simd, grid, r, row, 1, cols, samples.clone());
                        } else {
                            self.add::<S, C, ROWS>(simd, grid, r, row, same + 1, cols, samples.clone());
                        }
                        row += same + 1;
                    }
                }
            }
        }
    }

    /// Adds the sums of `count` rows from number `row` of these on, all of row group `r`, for the columns of column
    /// group `c`, the first `stored` of which are stored.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "a loop's body that is compiled twice")]
    fn add<S: Simd, const C: usize, const R: usize>(
        &mut self,
        simd: S,
        grid: Grid,
        r: usize,
        row: usize,
        count: usize,
        (c, cols, stored): (usize, [usize; C], usize),
        samples: std::ops::Range<usize>,
    ) {
        let Weighted { blocks, scale } = self.op.items[self.index];
        let [dz, h, s] = [0, 1, 2].map(|input| self.batch.tensor(3 * self.index + input));
        // Beyond the end the last row is computed again, and not stored.
        let rows = std::array::from_fn(|i| self.first + row + i.min(count - 1));
        let scale_column = Some((s, r * grid.s_row + c * grid.s_col));
        let pairs = Pairs { other: h, cols, scale: scale_column, ahead: if row == 0 { C } else { 0 } };
        let sums: [[T; C]; R] = dz.pair_sums(simd, rows, pairs, samples);
        for (out, sums) in self.out[row * blocks.inputs..].chunks_exact_mut(blocks.inputs).zip(&sums).take(count) {
            for (&n, &sum) in cols.iter().zip(sums).take(stored) {
                out[n] += T::of(scale) * sum;
            }
        }
    }
}

/// Samples that one invocation computes (`weighted_linear_grad.wgsl`).
const GRAD_ROWS: usize = 4;
/// Outputs of a tile of dW (`weighted_linear_grad_weights.wgsl`).
const GRAD_TILE: usize = 8;

fn grad(op: &WeightedLinearGrad, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
    let [dz, h, s, weight] = node.inputs[..4] else { unreachable!("four inputs at least") };
    let blocks = op.weighted.blocks;
    let across = if blocks.col_groups.is_multiple_of(4) { blocks.col_groups / 4 } else { 1 };
    // Where four of what is stored at once belong to one invocation.
    let in_fours = Mode::of(&blocks).columns > 0 && blocks.col_groups.is_multiple_of(4) && !blocks.transposed;
    let kernel = match target.class {
        DeviceClass::Hardware if in_fours => {
            let kernel = target.block_kernel("weighted_linear_grad_block");
            scaled(layer(kernel, &blocks, op.weighted.scale, weight, target), &blocks)
        }
        class => {
            let kernel = match class {
                DeviceClass::Software => target
                    .kernel("weighted_linear_grad", target.capacity.div_ceil(GRAD_ROWS) * across)
                    .in_groups_of(TILES_PER_GROUP as u32),
                DeviceClass::Hardware => {
                    target.kernel("weighted_linear_grad", target.capacity * across).by_pieces().with("ROWS", 1usize)
                }
            };
            let by_four = blocks.repeat == Repeat::Interleave && blocks.rows_per_group().is_multiple_of(4);
            let kernel = layer(kernel, &blocks, op.weighted.scale, weight, target);
            Mode::of(&blocks).constants(kernel).with("ROW_VECTOR", by_four)
        }
    };
    let kernel = place(kernel, ["DZ", "DZ_STRIDE"], dz, target);
    let kernel = place(kernel, ["H", "H_STRIDE"], h, target);
    let kernel = place(kernel, ["S", "S_STRIDE"], s, target)
        .with("DH", target.location(node.outputs[0]).first)
        .with("DS", target.location(node.outputs[1]).first)
        .with("ADDS", op.adds);
    match node.inputs.get(4) {
        Some(&add) => vec![kernel.with("ADD", target.location(add).first)],
        None => vec![kernel],
    }
}

fn grad_weights(op: &WeightedLinearGradWeights, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
    // One dispatch for all layers that are read alike; as a rule that is all of them.
    let mut modes: Vec<Mode> = Vec::new();
    for mode in op.items.iter().map(|item| Mode::of(&item.blocks)) {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    modes.into_iter().map(|mode| grad_weights_of(op, node, target, mode)).collect()
}

fn grad_weights_of(op: &WeightedLinearGradWeights, node: &Node, target: &Target, mode: Mode) -> Kernel {
    let items = || op.items.iter().enumerate().filter(|(_, item)| Mode::of(&item.blocks) == mode);
    let tiles = |blocks: &Blocks| match target.class {
        DeviceClass::Software => {
            let reads = blocks.cols_per_group() / mode.together();
            blocks.outputs.div_ceil(GRAD_TILE) * blocks.col_groups.div_ceil(4) * reads
        }
        // A workgroup's.
        DeviceClass::Hardware => blocks.outputs.div_ceil(target.grad_tile) * blocks.inputs.div_ceil(target.grad_tile),
    };
    let per_group = if target.class == DeviceClass::Software { TILES_PER_GROUP } else { 1 };
    let parts = parts(target, items().map(|(_, item)| tiles(&item.blocks)).sum());
    let mut groups = Groups::default();
    for (index, item) in items() {
        let blocks = item.blocks;
        let [dz, h, s] = [0, 1, 2].map(|input| target.location(node.inputs[3 * index + input]));
        let gradient = target.location(node.outputs[index]);
        let [row_step, col_step] = steps(&blocks);
        let words = |words: [usize; 4]| words.map(|word| word as u32);
        groups.begin((tiles(&blocks) * parts).div_ceil(per_group));
        groups.item(
            [0, 0],
            vec![
                words([blocks.outputs, blocks.row_groups, blocks.col_groups, blocks.rows_per_group()]),
                words([blocks.cols_per_group(), row_step, col_step, 0]),
                [dz.first, dz.stride, h.first, h.stride],
                [s.first, s.stride, gradient.first, gradient.stride],
                [
                    parts as u32,
                    target.capacity.div_ceil(parts) as u32,
                    target.parameters as u32,
                    (item.scale as f32).to_bits(),
                ],
            ],
        );
    }
    let kernel = match target.class {
        DeviceClass::Software => target
            .kernel("weighted_linear_grad_weights", groups.count() * TILES_PER_GROUP)
            .in_groups_of(TILES_PER_GROUP as u32),
        DeviceClass::Hardware => target
            .kernel("weighted_linear_grad_weights_tile", groups.count() * BLOCK_INVOCATIONS)
            .with("SIDE", target.grad_tile)
            .by_tiles(),
    };
    groups.into_descriptors(mode.constants(kernel.bind([Arg::Descriptors, Arg::Gradients])))
}
