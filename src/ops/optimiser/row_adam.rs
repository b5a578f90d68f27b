//! Adam on the embedding rows a batch read, and on the others where every row is to move.

use crate::cpu::{Real, for_chunks, prefetch, vectorized};
use crate::graph::{Graph, Node, Shape};
use crate::ops::{AdamOptions, Arg, Cost, Kernel, ModelState, Op, Operation, StepView, TableArg, Target, Update};
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
        Cost { flops: 12 * values as u64, bytes: 7 * 4 * values as u64 }
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
                self.options.constants(kernel)
            })
            .collect()
    }
}

impl Update for RowAdam {
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
        let keys = step.batch_layout.keys[self.table];
        let count = step.words[keys.count] as usize;
        let rate = T::of(f64::from(step.uniforms.learning_rate));
        let table = &mut state.tables[self.table];
        let unique = &step.words[keys.unique..][..count];
        let tasks = split(unique, self.width, [&mut table.weights, &mut table.first, &mut table.second]);
        tasks.into_par_iter().with_max_len(1).for_each(|(number, first_row, [weights, first, second])| {
            let rows = &unique[number * ROWS_PER_UPDATE..][..ROWS_PER_UPDATE.min(count - number * ROWS_PER_UPDATE)];
            let gradients = &gradients[0][number * ROWS_PER_UPDATE * self.width..];
            vectorized(
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
                        self.options.update_all(rate, gradient, &mut weights[range], m, v);
                    }
                },
            );
        });
    }
}

/// How many rows ahead memory is asked for.
const AHEAD: usize = 8;
/// Rows one task updates.
const ROWS_PER_UPDATE: usize = 256;

/// The parts of a table's three arrays that hold each [`ROWS_PER_UPDATE`] of the sorted rows: number of the task, its
/// first row, the parts.
fn split<'a, T>(rows: &[u32], width: usize, mut rest: [&'a mut [T]; 3]) -> Vec<(usize, usize, [&'a mut [T]; 3])> {
    let mut done = 0;
    rows.chunks(ROWS_PER_UPDATE)
        .enumerate()
        .map(|(number, rows)| {
            let (first, end) = (rows[0] as usize, rows[rows.len() - 1] as usize + 1);
            let parts = std::mem::take(&mut rest).map(|part| {
                let (part, rest) = part[(first - done) * width..].split_at_mut((end - first) * width);
                (part, rest)
            });
            done = end;
            let [(w, w_rest), (m, m_rest), (v, v_rest)] = parts;
            rest = [w_rest, m_rest, v_rest];
            (number, first, [w, m, v])
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
        Cost { flops: 12 * values as u64, bytes: 6 * 4 * values as u64 }
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
                self.options.constants(kernel)
            })
            .collect()
    }
}

impl Update for DenseRowAdam {
    fn update<T: Real>(&self, step: &StepView<'_>, _: &[&[T]], state: &mut ModelState<T>) {
        let keys = step.batch_layout.keys[self.table];
        let unique = &step.words[keys.unique..][..step.words[keys.count] as usize];
        let rate = T::of(f64::from(step.uniforms.learning_rate));
        let table = &mut state.tables[self.table];
        let size = ROWS_PER_TASK * self.width;
        let moments = table.first.chunks_mut(size).zip(table.second.chunks_mut(size));
        let mut tasks: Vec<_> = table.weights.chunks_mut(size).zip(moments).collect();
        for_chunks(&mut tasks, 1, |chunk, task| {
            let (weights, (first, second)) = &mut task[0];
            for i in 0..weights.len() {
                let row = (chunk * ROWS_PER_TASK + i / self.width) as u32;
                if unique.binary_search(&row).is_err() {
                    self.options.update(T::zero(), rate, &mut weights[i], &mut first[i], &mut second[i]);
                }
            }
        });
    }
}
