//! Optimisers of the embedding rows that a batch read.

use super::rule::{StepFactors, clipped};
use crate::cpu::{Real, prefetch, vectorized};
use crate::graph::{EmbeddingTable, Graph, Node, Optimizer, Precision, Shape};
use crate::ops::{
    Arg, Cost, Kernel, ModelState, Op, Operation, OptimizerOptions, StepView, Stored, TableArg, TableRounding,
    TableState, TableValues, Target, Update, row_import,
};
use rayon::prelude::*;

/// Moves the rows that the batch read, and what is kept of them, and no others: lazy Adam (the bias correction goes by the
/// global step), Adagrad, or gradient descent.
///
/// Inputs: the rows' gradients from [`EmbedGrad`](crate::ops::EmbedGrad), and where gradients are clipped what
/// [`ClipFactor`](super::ClipFactor) makes. No outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RowUpdate {
    /// How.
    pub optimizer: Optimizer,
    /// Number of the table.
    pub table: usize,
    /// Values in a row.
    pub width: usize,
    /// Constants.
    pub options: OptimizerOptions,
}

/// What a kernel that updates one shard of a table binds.
pub(super) fn shard_args(optimizer: Optimizer, table: usize, shard: usize) -> impl Iterator<Item = Arg> {
    let kept: &[TableArg] = match optimizer {
        Optimizer::Adam => &[TableArg::First, TableArg::Second],
        Optimizer::Adagrad | Optimizer::RowwiseAdagrad => &[TableArg::Second],
        Optimizer::Sgd => &[],
    };
    let tables = [TableArg::Weights].into_iter().chain(kept.iter().copied());
    [Arg::Batches].into_iter().chain(tables.map(move |what| Arg::Table { table, shard, what }))
}

/// A kernel's variant for how the table, number `number`, is stored.
pub(super) fn of_rows(kernel: Kernel, number: usize, table: &EmbeddingTable) -> Kernel {
    let kernel = row_import(kernel, table);
    if table.precision == Precision::F16 { kernel.with("TABLE", number) } else { kernel }
}

/// Bytes of so many values, read and written again with what is kept of them.
pub(super) fn bytes_of_update(values: usize, table: &EmbeddingTable) -> u64 {
    let kept: usize = table.optimizer.kept(table.width).iter().sum();
    (2 * (table.precision.bytes() * values + Precision::F32.bytes() * values / table.width * kept)) as u64
}

impl Operation for RowUpdate {
    fn name(&self) -> &'static str {
        match self.optimizer {
            Optimizer::Adam => "row_adam",
            Optimizer::Adagrad => "row_adagrad",
            Optimizer::RowwiseAdagrad => "rowwise_adagrad",
            Optimizer::Sgd => "row_sgd",
        }
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        // As if every lookup read another row: the most it can be.
        let values = graph.shape(node.inputs[0]).len(batch);
        let gradients = (Precision::F32.bytes() * values) as u64;
        Cost { flops: 12 * values as u64, bytes: gradients + bytes_of_update(values, &graph.tables[self.table]) }
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let keys = target.batch_layout.keys[self.table];
        let quads = self.width.div_ceil(4);
        let factor = node.inputs.get(1);
        // What goes by rows takes an invocation for each, the rest one for four values.
        let threads = if self.optimizer == Optimizer::RowwiseAdagrad { keys.lookups } else { keys.lookups * quads };
        target
            .shards(self.table, graph.tables[self.table].rows())
            .map(|(shard, first, rows)| {
                let kernel = target
                    .kernel(self.name(), threads)
                    .by_items()
                    .with("GRADIENT", target.location(node.inputs[0]).first)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("QUADS", quads)
                    .with("COUNT", keys.count)
                    .with("UNIQUE", keys.unique)
                    .bind(shard_args(self.optimizer, self.table, shard));
                let kernel = match self.optimizer {
                    Optimizer::RowwiseAdagrad => kernel.with("WIDTH", self.width),
                    _ => kernel,
                };
                let kernel = self.options.constants(self.optimizer, clipped(kernel, factor, target), target);
                of_rows(kernel, self.table, &graph.tables[self.table])
            })
            .collect()
    }
}

impl RowUpdate {
    /// Updates the rows that the batch read, of a table whose values are stored as `S`.
    fn update_rows<T: Real, S: Stored<T>>(
        &self,
        step: &StepView<'_>,
        gradients: &[&[T]],
        weights: &mut [S],
        kept: [&mut [T]; 2],
    ) {
        let keys = step.batch_layout.keys[self.table];
        let count = step.words[keys.count] as usize;
        let factors = StepFactors::of_rows(step, gradients.get(1).copied());
        let rounding = TableRounding::new(step.uniforms, self.table);
        let unique = &step.words[keys.unique..][..count];
        let widths = self.optimizer.kept(self.width);
        let tasks = split(unique, self.width, weights, widths, kept);
        tasks.into_par_iter().with_max_len(1).for_each(|part| {
            let Part { number, first_row, weights, kept: [first, second] } = part;
            let rows = &unique[number * ROWS_PER_UPDATE..][..ROWS_PER_UPDATE.min(count - number * ROWS_PER_UPDATE)];
            let gradients = &gradients[0][number * ROWS_PER_UPDATE * self.width..];
            let mut buffer = S::buffer(self.width);
            vectorized::<T, _>(
                #[inline(always)]
                || {
                    for (i, (&row, gradient)) in rows.iter().zip(gradients.chunks_exact(self.width)).enumerate() {
                        if let Some(&ahead) = rows.get(i + AHEAD) {
                            let ahead = ahead as usize - first_row;
                            prefetch(&raw const weights[ahead * self.width]);
                            first.get(ahead * widths[0]).into_iter().for_each(|m| prefetch(m));
                            second.get(ahead * widths[1]).into_iter().for_each(|v| prefetch(v));
                        }
                        let row_here = row as usize - first_row;
                        let of = |width: usize| row_here * width..(row_here + 1) * width;
                        let kept = [&mut first[of(widths[0])], &mut second[of(widths[1])]];
                        S::change(
                            &mut weights[of(self.width)],
                            &mut buffer,
                            rounding.row(row),
                            #[inline(always)]
                            |w| self.options.update(self.optimizer, factors, gradient, w, kept),
                        );
                    }
                },
            );
        });
    }
}

impl Update for RowUpdate {
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
        let TableState { weights, first, second } = &mut state.tables[self.table];
        let kept = [first.as_mut_slice(), second.as_mut_slice()];
        match weights {
            TableValues::Full(weights) => self.update_rows(step, gradients, weights, kept),
            TableValues::Half(weights) => self.update_rows(step, gradients, weights, kept),
        }
    }
}

/// How many rows ahead memory is asked for.
const AHEAD: usize = 8;
/// Rows one task updates.
const ROWS_PER_UPDATE: usize = 256;

/// The parts of a table's arrays that hold some of the sorted rows.
struct Part<'a, S, T> {
    /// Number of the task.
    number: usize,
    first_row: usize,
    weights: &'a mut [S],
    kept: [&'a mut [T]; 2],
}

/// Cuts a table's arrays into those of each [`ROWS_PER_UPDATE`] rows. A row has `width` weights, and `widths` says how many
/// numbers are kept of it.
fn split<'a, S, T>(
    rows: &[u32],
    width: usize,
    mut weights: &'a mut [S],
    widths: [usize; 2],
    kept: [&'a mut [T]; 2],
) -> Vec<Part<'a, S, T>> {
    /// Takes the elements from `start` to `end` out of those that are left; `done` are gone.
    fn take<'a, V>(left: &mut &'a mut [V], done: usize, start: usize, end: usize) -> &'a mut [V] {
        let (taken, rest) = std::mem::take(left)[start - done..].split_at_mut(end - start);
        *left = rest;
        taken
    }
    let [mut first, mut second] = kept;
    let mut done = 0;
    rows.chunks(ROWS_PER_UPDATE)
        .enumerate()
        .map(|(number, rows)| {
            let (start, end) = (rows[0] as usize, rows[rows.len() - 1] as usize + 1);
            let part = Part {
                number,
                first_row: start,
                weights: take(&mut weights, done * width, start * width, end * width),
                kept: [
                    take(&mut first, done * widths[0], start * widths[0], end * widths[0]),
                    take(&mut second, done * widths[1], start * widths[1], end * widths[1]),
                ],
            };
            done = end;
            part
        })
        .collect()
}
