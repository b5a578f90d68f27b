//! Gradients of dense weights and biases: sums over the samples of a batch.

use rayon::prelude::*;

use super::{Batch, Cost, Kernel, Op, Operation, Phase, Target, View};
use crate::cpu::{Lanes, Real, Simd, WithSimd, on_vectors};
use crate::graph::{Graph, Node, Shape};

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
    /// dz and x. Without x there is one row, the sums of `cols` columns of dz.
    pub pairs: Vec<(View, Option<View>)>,
}

impl GradItem {
    /// The views, with the columns that are read.
    pub fn views(&self) -> impl Iterator<Item = (View, usize)> {
        self.pairs.iter().flat_map(|&(dz, x)| match x {
            Some(x) => vec![(dz, self.rows), (x, self.cols)],
            None => vec![(dz, self.cols)],
        })
    }

    /// The rows `first..first + rows` of an item whose pairs all have an x.
    #[must_use]
    pub fn rows_of(&self, first: usize, rows: usize) -> Self {
        let pairs = self.pairs.iter().map(|&(dz, x)| (dz.shifted(first), x)).collect();
        Self { row: self.row + first, rows, pairs, ..*self }
    }

    /// The columns `first..first + cols`.
    #[must_use]
    pub fn cols_of(&self, first: usize, cols: usize) -> Self {
        let shifted = |&(dz, x): &(View, Option<View>)| match x {
            Some(x) => (dz, Some(x.shifted(first))),
            None => (dz.shifted(first), None),
        };
        Self { col: self.col + first, cols, pairs: self.pairs.iter().map(shifted).collect(), ..*self }
    }

    /// Calls `change` with every view.
    pub fn for_views(&mut self, mut change: impl FnMut(&mut View)) {
        for (dz, x) in &mut self.pairs {
            change(dz);
            x.as_mut().map(&mut change);
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
                let pairs = vec![(View::of(0).shifted(row * cols), None)];
                GradItem { output: 0, row, col: 0, rows: 1, cols, pairs }
            })
            .collect();
        Self { items, shapes: vec![Shape::fixed(rows, cols)] }
    }
}

/// Rows of a gradient that one task computes: as many as reuse what was loaded of x, and few enough to share the work.
const ROWS_PER_TASK: usize = 8;
/// Blocks of samples summed at a time: their columns of dz stay in the first cache.
const BLOCKS: usize = 32;

impl GradItem {
    /// Adds this item's part of rows `first..` of its gradient, which `out` holds, `width` columns wide.
    #[inline(always)]
    fn add<T: Real, S: Simd>(&self, simd: S, batch: &Batch<'_, T>, first: usize, width: usize, out: &mut [T]) {
        // Twelve sums and four operands in registers.
        const R: usize = 4;
        const C: usize = 3;
        // The item's rows among those of the task.
        let low = self.row.max(first);
        let high = (self.row + self.rows).min(first + out.len() / width);
        if low >= high {
            return;
        }
        for &(dz, x) in &self.pairs {
            let d = batch.tensor(dz.input);
            for start in (0..batch.blocks()).step_by(BLOCKS) {
                let blocks = start..batch.blocks().min(start + BLOCKS);
                let Some(x) = x else {
                    for col in 0..self.cols {
                        let mut sum = Lanes::zero();
                        for block in blocks.clone() {
                            sum = sum.plus(d.block(block)[dz.from + col]);
                        }
                        out[(self.row - first) * width + self.col + col] += sum.total();
                    }
                    continue;
                };
                let other = batch.tensor(x.input);
                for col in (0..self.cols).step_by(C) {
                    for row in (low..high).step_by(R) {
                        // Beyond the end the last is computed again, and not stored.
                        let rows = std::array::from_fn(|i| dz.from + (row + i).min(high - 1) - self.row);
                        let cols = std::array::from_fn(|j| x.from + (col + j).min(self.cols - 1));
                        let sums: [[T; C]; R] = d.pair_sums(simd, rows, other, cols, None, C, blocks.clone());
                        for (i, sums) in sums.iter().enumerate().take(high - row) {
                            let at = (row + i - first) * width + self.col + col;
                            for (out, &sum) in out[at..].iter_mut().zip(&sums[..C.min(self.cols - col)]) {
                                *out += sum;
                            }
                        }
                    }
                }
            }
        }
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

    fn cost(&self, _: &Node, _: &Graph, batch: usize) -> Cost {
        let mut cost = Cost::default();
        for item in &self.items {
            let read: usize = item.views().map(|(_, width)| width).sum();
            let products = |pair: &(View, Option<View>)| if pair.1.is_some() { 2 * item.rows } else { 1 };
            cost.flops += (batch * item.cols * item.pairs.iter().map(products).sum::<usize>()) as u64;
            cost.bytes += 4 * (batch * read + item.rows * item.cols) as u64;
        }
        cost
    }

    fn phase(&self) -> Phase {
        Phase::Sums
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let tasks: Vec<(usize, usize, &mut [T])> = outputs
            .iter_mut()
            .zip(&self.shapes)
            .enumerate()
            .flat_map(|(output, (values, shape))| {
                let chunks = values[..shape.len(0)].chunks_mut(ROWS_PER_TASK * shape.cols);
                chunks.enumerate().map(move |(chunk, out)| (output, chunk * ROWS_PER_TASK, out))
            })
            .collect();
        tasks.into_par_iter().with_max_len(1).for_each(|(output, first, out)| {
            on_vectors(Task { op: self, batch, output, first, out });
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        super::affine_kernel::weight_grads(self, node, graph, target)
    }
}

/// Some rows of one output.
struct Task<'a, 'b, T> {
    op: &'a WeightGrads,
    batch: &'a Batch<'b, T>,
    output: usize,
    first: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.out.fill(T::zero());
        for item in self.op.items.iter().filter(|item| item.output == self.output) {
            item.add(simd, self.batch, self.first, self.op.shapes[self.output].cols, self.out);
        }
    }
}
