//! Adam on the embedding rows a batch read, and on the others where every row is to move.

use crate::cpu::{Real, for_chunks, prefetch, vectorized};
use crate::graph::{EmbeddingTable, Graph, Node, Precision, Shape};
use crate::ops::optimiser::dense_adam::AdamStep;
use crate::ops::{
    AdamOptions, Arg, Cost, Kernel, ModelState, Op, Operation, StepView, Stored, TableArg, TableRounding, TableValues,
    Target, Update, row_import,
};
use rayon::prelude::*;

/// Row-wise (lazy) Adam: values and moments move only in rows that the batch read; the bias correction goes by the
/// global step.
///
/// Input: the rows' gradients from [`EmbedGrad`](crate::ops::EmbedGrad). No outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RowAdam {
    /// Number of the table.
    pub table: usize,
    /// Values in a row.
    pub width: usize,
    /// Constants.
    pub options: AdamOptions,
}

/// What a kernel that updates one shard of a table binds.
fn shard_args(table: usize, shard: usize) -> [Arg; 4] {
    let of = |what| Arg::Table { table, shard, what };
    [of(TableArg::Weights), of(TableArg::First), of(TableArg::Second), Arg::Batches]
}

/// A kernel's variant for how the table, number `number`, is stored.
fn of_rows(kernel: Kernel, number: usize, table: &EmbeddingTable) -> Kernel {
    let kernel = row_import(kernel, table);
    if table.precision == Precision::F16 { kernel.with("TABLE", number) } else { kernel }
}

/// Bytes of so many values, read and written again with both moments.
fn bytes_of_update(values: usize, table: &EmbeddingTable) -> u64 {
    (2 * (table.precision.bytes() + 2 * Precision::F32.bytes()) * values) as u64
}

impl Operation for RowAdam {
    fn name(&self) -> &'static str {
        "row_adam"
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
        target
            .shards(self.table, graph.tables[self.table].rows())
            .map(|(shard, first, rows)| {
                let kernel = target
                    .kernel("row_adam", keys.lookups * quads)
                    .by_items()
                    .with("GRADIENT", target.location(node.inputs[0]).first)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("QUADS", quads)
                    .with("COUNT", keys.count)
                    .with("UNIQUE", keys.unique)
                    .bind(shard_args(self.table, shard));
                of_rows(self.options.constants(kernel, target), self.table, &graph.tables[self.table])
            })
            .collect()
    }
}

impl RowAdam {
    /// Updates the rows that the batch read, of a table whose values are stored as `S`.
    fn update_rows<T: Real, S: Stored<T>>(
        &self,
        step: &StepView<'_>,
        gradients: &[T],
        weights: &mut [S],
        moments: [&mut [T]; 2],
    ) {
        let keys = step.batch_layout.keys[self.table];
        let count = step.words[keys.count] as usize;
        let adam = AdamStep::of_rows(step);
        let rounding = TableRounding::new(step.uniforms, self.table);
        let unique = &step.words[keys.unique..][..count];
        let tasks = split(unique, self.width, weights, moments);
        tasks.into_par_iter().with_max_len(1).for_each(|part| {
            let Part { number, first_row, weights, moments: [first, second] } = part;
            let rows = &unique[number * ROWS_PER_UPDATE..][..ROWS_PER_UPDATE.min(count - number * ROWS_PER_UPDATE)];
            let gradients = &gradients[number * ROWS_PER_UPDATE * self.width..];
            let mut buffer = S::buffer(self.width);
            vectorized::<T, _>(
                #[inline(always)]
                || {
                    for (i, (&row, gradient)) in rows.iter().zip(gradients.chunks_exact(self.width)).enumerate() {
                        if let Some(&ahead) = rows.get(i + AHEAD) {
                            let at = (ahead as usize - first_row) * self.width;
                            prefetch(&raw const weights[at]);
                            prefetch(&raw const first[at]);
                            prefetch(&raw const second[at]);
                        }
                        let at = (row as usize - first_row) * self.width;
                        let range = at..at + self.width;
                        let (m, v) = (&mut first[range.clone()], &mut second[range.clone()]);
                        S::change(
                            &mut weights[range],
                            &mut buffer,
                            rounding.row(row),
                            #[inline(always)]
                            |w| self.options.update_all(adam, gradient, w, m, v),
                        );
                    }
                },
            );
        });
    }
}

impl Update for RowAdam {
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
        let table = &mut state.tables[self.table];
        let moments = [table.first.as_mut_slice(), table.second.as_mut_slice()];
        match &mut table.weights {
            TableValues::Full(weights) => self.update_rows(step, gradients[0], weights, moments),
            TableValues::Half(weights) => self.update_rows(step, gradients[0], weights, moments),
        }
    }
}

/// How many rows ahead memory is asked for.
const AHEAD: usize = 8;
/// Rows one task updates.
const ROWS_PER_UPDATE: usize = 256;

/// The parts of a table's three arrays that hold some of the sorted rows.
struct Part<'a, S, T> {
    /// Number of the task.
    number: usize,
    first_row: usize,
    weights: &'a mut [S],
    moments: [&'a mut [T]; 2],
}

/// Cuts a table's arrays into those of each [`ROWS_PER_UPDATE`] rows.
fn split<'a, S, T>(
    rows: &[u32],
    width: usize,
    mut weights: &'a mut [S],
    mut moments: [&'a mut [T]; 2],
) -> Vec<Part<'a, S, T>> {
    let mut done = 0;
    rows.chunks(ROWS_PER_UPDATE)
        .enumerate()
        .map(|(number, rows)| {
            let (first_row, end) = (rows[0] as usize, rows[rows.len() - 1] as usize + 1);
            let (skipped, taken) = ((first_row - done) * width, (end - first_row) * width);
            let (w, w_rest) = std::mem::take(&mut weights)[skipped..].split_at_mut(taken);
            let [(m, m_rest), (v, v_rest)] =
                std::mem::take(&mut moments).map(|moments| moments[skipped..].split_at_mut(taken));
            (weights, moments) = (w_rest, [m_rest, v_rest]);
            done = end;
            Part { number, first_row, weights: w, moments: [m, v] }
        })
        .collect()
}

/// The rest of dense Adam (`embedding_adam = "dense"`): every row that the batch did not read moves too, as if its
/// gradient were 0 (plus L2). Its cost grows with the table; it is there to compare with.
///
/// No inputs, no outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseRowAdam {
    /// Number of the table.
    pub table: usize,
    /// Values in a row.
    pub width: usize,
    /// Constants.
    pub options: AdamOptions,
}

/// Rows one task sweeps.
const ROWS_PER_TASK: usize = 4096;

impl Operation for DenseRowAdam {
    fn name(&self) -> &'static str {
        "dense_row_adam"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, _: &Node, graph: &Graph, _: usize) -> Cost {
        let values = graph.tables[self.table].rows() * self.width;
        Cost { flops: 12 * values as u64, bytes: bytes_of_update(values, &graph.tables[self.table]) }
    }

    fn kernels(&self, _: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let keys = target.batch_layout.keys[self.table];
        let quads = self.width.div_ceil(4);
        target
            .shards(self.table, graph.tables[self.table].rows())
            .map(|(shard, first, rows)| {
                let kernel = Kernel::new("dense_row_adam", rows * quads)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("QUADS", quads)
                    .with("COUNT", keys.count)
                    .with("UNIQUE", keys.unique)
                    .bind(shard_args(self.table, shard));
                of_rows(self.options.constants(kernel, target), self.table, &graph.tables[self.table])
            })
            .collect()
    }
}

impl DenseRowAdam {
    /// Updates the rows that the batch did not read, of a table whose values are stored as `S`.
    fn update_rows<T: Real, S: Stored<T>>(
        &self,
        step: &StepView<'_>,
        weights: &mut [S],
        [first, second]: [&mut [T]; 2],
    ) {
        let keys = step.batch_layout.keys[self.table];
        let unique = &step.words[keys.unique..][..step.words[keys.count] as usize];
        let adam = AdamStep::of_rows(step);
        let rounding = TableRounding::new(step.uniforms, self.table);
        let width = self.width;
        let size = ROWS_PER_TASK * width;
        let moments = first.chunks_mut(size).zip(second.chunks_mut(size));
        let mut tasks: Vec<_> = weights.chunks_mut(size).zip(moments).collect();
        for_chunks(&mut tasks, 1, |chunk, task| {
            let (weights, (first, second)) = &mut task[0];
            let mut buffer = S::buffer(width);
            let moments = first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width));
            for (i, (weights, (m, v))) in weights.chunks_exact_mut(width).zip(moments).enumerate() {
                let row = (chunk * ROWS_PER_TASK + i) as u32;
                if unique.binary_search(&row).is_err() {
                    S::change(weights, &mut buffer, rounding.row(row), |w| {
                        for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
                            self.options.update(T::zero(), adam, w, m, v);
                        }
                    });
                }
            }
        });
    }
}

impl Update for DenseRowAdam {
    fn update<T: Real>(&self, step: &StepView<'_>, _: &[&[T]], state: &mut ModelState<T>) {
        let table = &mut state.tables[self.table];
        let moments = [table.first.as_mut_slice(), table.second.as_mut_slice()];
        match &mut table.weights {
            TableValues::Full(weights) => self.update_rows(step, weights, moments),
            TableValues::Half(weights) => self.update_rows(step, weights, moments),
        }
    }
}
