//! Gradients of dense weights and biases: sums over the samples of a batch.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::{Arena, Columns, LANES, Lanes, Pairs, Real, Simd, WithSimd};
use crate::graph::{Graph, Node, Shape};
use crate::ops::{Batch, Cost, Kernel, Op, Operation, Phase, Reduce, Target, View};

/// Two tensors whose products are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GradPair {
    /// dz.
    pub dz: View,
    /// x. Without it there is one row, the sums of columns of dz.
    pub x: Option<View>,
    /// Of which scenario's samples, if not of all.
    pub scenario: Option<usize>,
}

/// Rows `row..row + rows` and columns `col..col + cols` of one gradient: Σ over pairs and samples of dz xᵀ.
#[derive(Clone, Debug, PartialEq)]
pub struct GradItem {
    /// Which of the node's outputs.
    pub output: usize,
    /// First row.
    pub row: usize,
    /// First column.
    pub col: usize,
    /// Rows: columns of dz.
    pub rows: usize,
    /// Columns: those of x.
    pub cols: usize,
    /// What is summed; without x there is one row, the sums of `cols` columns of dz.
    pub pairs: Vec<GradPair>,
}

impl GradItem {
    /// The views, with the columns that are read.
    pub fn views(&self) -> impl Iterator<Item = (View, usize)> {
        self.pairs.iter().flat_map(|&GradPair { dz, x, .. }| match x {
            Some(x) => vec![(dz, self.rows), (x, self.cols)],
            None => vec![(dz, self.cols)],
        })
    }

    /// The rows `first..first + rows` of an item whose pairs all have an x.
    #[must_use]
    pub fn rows_of(&self, first: usize, rows: usize) -> Self {
        let pairs = self.pairs.iter().map(|pair| GradPair { dz: pair.dz.shifted(first), ..*pair }).collect();
        Self { row: self.row + first, rows, pairs, ..*self }
    }

    /// The columns `first..first + cols`.
    #[must_use]
    pub fn cols_of(&self, first: usize, cols: usize) -> Self {
        let shifted = |pair: &GradPair| match pair.x {
            Some(x) => GradPair { x: Some(x.shifted(first)), ..*pair },
            None => GradPair { dz: pair.dz.shifted(first), ..*pair },
        };
        Self { col: self.col + first, cols, pairs: self.pairs.iter().map(shifted).collect(), ..*self }
    }

    /// Calls `change` with every view.
    pub fn for_views(&mut self, mut change: impl FnMut(&mut View)) {
        for pair in &mut self.pairs {
            change(&mut pair.dz);
            pair.x.as_mut().map(&mut change);
        }
    }
}

/// dW = Σ_b dz xᵀ and db = Σ_b dz, of any number of layers in one dispatch.
///
/// Inputs: the tensors [B, ·] that the pairs name. Outputs: gradients with fixed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGrads {
    /// Together they cover every value of every output once.
    pub items: Vec<GradItem>,
    /// Shapes of the outputs.
    pub shapes: Vec<Shape>,
}

impl WeightGrads {
    /// The sums over the samples of one tensor [B, rows·cols], as a matrix.
    pub fn sums(rows: usize, cols: usize) -> Self {
        let items = (0..rows)
            .map(|row| {
                let pairs = vec![GradPair { dz: View::of(0).shifted(row * cols), x: None, scenario: None }];
                GradItem { output: 0, row, col: 0, rows: 1, cols, pairs }
            })
            .collect();
        Self { items, shapes: vec![Shape::fixed(rows, cols)] }
    }
}

/// Rows of a gradient that one task computes: what was loaded of x, which may come from far, serves them all.
const ROWS_PER_TASK: usize = 32;
/// Columns of a gradient that one task computes: few enough to share the work.
const COLS_PER_TASK: usize = 256;
/// Blocks of samples summed at a time: their columns of dz stay in a cache.
const BLOCKS: usize = 16;

/// A part of one output: rows from `row` on, columns from `col` on.
struct Task<'a, 'b, T> {
    op: &'a WeightGrads,
    batch: &'a Batch<'b, T>,
    routes: &'a Routes<T>,
    output: usize,
    row: usize,
    col: usize,
    /// One slice for each row.
    out: Vec<&'a mut [T]>,
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for row in &mut self.out {
            row.fill(T::zero());
        }
        let (op, output) = (self.op, self.output);
        for item in op.items.iter().filter(|item| item.output == output) {
            self.add(simd, item);
        }
    }
}

impl<T: Real> Task<'_, '_, T> {
    /// Adds what of `item` lies in this task's part.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, item: &GradItem) {
        // Twelve sums, three columns of dz and one of x: sixteen registers.
        const R: usize = 3;
        const C: usize = 4;
        let rows = self.row.max(item.row)..(self.row + self.out.len()).min(item.row + item.rows);
        let cols = self.col.max(item.col)..(self.col + self.out[0].len()).min(item.col + item.cols);
        if rows.is_empty() || cols.is_empty() {
            return;
        }
        for &GradPair { dz, x, scenario } in &item.pairs {
            let d = self.batch.tensor(dz.input);
            let (all, mask) = match scenario {
                None => (0..self.batch.blocks_of(dz.input), None),
                Some(scenario) => self.routes.of(scenario),
            };
            for start in all.clone().step_by(BLOCKS) {
                let blocks = start..all.end.min(start + BLOCKS);
                let Some(x) = x else {
                    for col in cols.clone() {
                        let mut sum = Lanes::zero();
                        for block in blocks.clone() {
                            let d = d.block(block)[dz.from + col - item.col];
                            match mask {
                                None => sum = sum.plus(d),
                                Some((mask, scenario)) => sum.add_product(d, mask.block(block)[scenario]),
                            }
                        }
                        self.out[item.row - self.row][col - self.col] += sum.total();
                    }
                    continue;
                };
                let other = self.batch.tensor(x.input);
                for col in cols.clone().step_by(C) {
                    for row in rows.clone().step_by(R) {
                        // Beyond the end the last is computed again, and not stored.
                        let of_dz = std::array::from_fn(|i| dz.from + (row + i).min(rows.end - 1) - item.row);
                        let of_x: [usize; C] = std::array::from_fn(|j| x.from + (col + j).min(cols.end - 1) - item.col);
                        let ahead = if row == rows.start { C } else { 0 };
                        let pairs = |scale| Pairs { other, cols: of_x, scale, ahead };
                        // Two loops rather than one that asks in each round.
                        let sums: [[T; C]; R] = match mask {
                            None => d.pair_sums(simd, of_dz, pairs(None), blocks.clone()),
                            Some(_) => d.pair_sums(simd, of_dz, pairs(mask), blocks.clone()),
                        };
                        for (out, sums) in self.out[row - self.row..rows.end - self.row].iter_mut().zip(&sums) {
                            for (out, &sum) in out[col - self.col..cols.end - self.col].iter_mut().zip(sums) {
                                *out += sum;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Which samples are whose: for each scenario 1 at its samples and 0 elsewhere, and the blocks that have any.
struct Routes<T> {
    masks: Arena<T>,
    blocks: Vec<Range<usize>>,
}

impl<T: Real> Routes<T> {
    /// Those of a batch, for `scenarios` scenarios; 0 where no pair asks.
    fn new(batch: &Batch<'_, T>, scenarios: usize) -> Self {
        let masks = Arena::new(if scenarios == 0 { 0 } else { batch.blocks() }, scenarios);
        let mut blocks = vec![0..0; scenarios];
        if scenarios > 0 {
            // SAFETY: nothing else knows this arena yet.
            let columns = unsafe { masks.tensor(0, scenarios) };
            for (sample, &scenario) in batch.step.scenarios().iter().enumerate() {
                let (block, scenario) = (sample / LANES, scenario as usize);
                // SAFETY: as above.
                let masks = unsafe { columns.block_mut(block) };
                masks[scenario].0[sample % LANES] = T::one();
                let range = &mut blocks[scenario];
                // Samples come in order, so blocks do.
                *range = if range.end == 0 { block } else { range.start }..block + 1;
            }
        }
        Self { masks, blocks }
    }

    /// The blocks with samples of a scenario, and its mask: the tensor and its column.
    #[inline(always)]
    fn of(&self, scenario: usize) -> (Range<usize>, Option<(Columns<'_, T>, usize)>) {
        let blocks = self.blocks[scenario].clone();
        // SAFETY: masks are not written any more.
        let masks = unsafe { self.masks.tensor(0, self.blocks.len()) };
        (blocks, Some((masks, scenario)))
    }
}

impl Operation for WeightGrads {
    fn name(&self) -> &'static str {
        "weight_grads"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        for (output, shape) in self.shapes.iter().enumerate() {
            let covered: usize = self.items.iter().filter(|i| i.output == output).map(|i| i.rows * i.cols).sum();
            assert_eq!(covered, shape.len(0), "weight_grads: every value is written once");
        }
        for (view, width) in self.items.iter().flat_map(GradItem::views) {
            assert!(view.from + width <= inputs[view.input].cols, "weight_grads: reads past its input");
        }
        self.shapes.clone()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, _: &Node, graph: &Graph, batch: usize) -> Cost {
        let mut cost = Cost::default();
        for item in &self.items {
            for pair in &item.pairs {
                // A scenario's part sums its share of the samples.
                let samples = batch / if pair.scenario.is_some() { graph.scenarios } else { 1 };
                let (each, read) = match pair.x {
                    Some(_) => (2 * item.rows, item.rows + item.cols),
                    None => (1, item.cols),
                };
                cost.flops += (samples * item.cols * each) as u64;
                cost.bytes += 4 * (samples * read) as u64;
            }
            cost.bytes += 4 * (item.rows * item.cols) as u64;
        }
        cost
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        crate::ops::affine::kernel::weight_grads(self, node, graph, target)
    }
}

impl Reduce for WeightGrads {
    fn phase(&self) -> Phase {
        Phase::Sums
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let pairs = self.items.iter().flat_map(|item| &item.pairs);
        let scenarios = pairs.filter_map(|pair| pair.scenario).max().map_or(0, |last| last + 1);
        let routes = &Routes::new(batch, scenarios);
        let mut tasks = Vec::new();
        for (output, (values, shape)) in outputs.iter_mut().zip(&self.shapes).enumerate() {
            for (chunk, rows) in values[..shape.len(0)].chunks_mut(ROWS_PER_TASK * shape.cols).enumerate() {
                let first = tasks.len();
                for row in rows.chunks_exact_mut(shape.cols) {
                    for (part, cols) in row.chunks_mut(COLS_PER_TASK).enumerate() {
                        if tasks.len() == first + part {
                            let (row, col) = (chunk * ROWS_PER_TASK, part * COLS_PER_TASK);
                            tasks.push(Task { op: self, batch, routes, output, row, col, out: Vec::new() });
                        }
                        tasks[first + part].out.push(cols);
                    }
                }
            }
        }
        tasks.into_par_iter().with_max_len(1).for_each(T::dispatch);
    }
}
