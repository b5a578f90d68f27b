//! Adam on the embedding rows a batch read, and on the others where every row is to move.

use super::{AdamOptions, Arg, Cost, Cpu, Kernel, ModelState, Op, Operation, TableArg, Target};
use crate::cpu::{Real, for_chunks};
use crate::graph::{Graph, Node, Shape};

/// Row-wise (lazy) Adam: values and moments move only in rows that the batch read; the bias correction goes by the
/// global step.
///
/// Input: the rows' gradients from [`EmbedGrad`](super::EmbedGrad). No outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RowAdam {
    /// Number of the table.
    pub table: usize,
    /// Values in a row.
    pub width: usize,
    /// Constants.
    pub options: AdamOptions,
}

fn shard_kernel(name: &'static str, table: usize, shard: usize, threads: usize) -> Kernel {
    let of = |what| Arg::Table { table, shard, what };
    Kernel::new(name, threads).bind([of(TableArg::Weights), of(TableArg::First), of(TableArg::Second), Arg::Schedule])
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

    fn run<T: Real>(&self, _: &Cpu<'_, T>, _: &mut [Vec<T>]) {}

    fn update<T: Real>(&self, cpu: &Cpu<'_, T>, state: &mut ModelState<T>) {
        let keys = cpu.schedule.keys[self.table];
        let count = cpu.words[keys.count] as usize;
        let rate = T::of(f64::from(cpu.clock.learning_rate));
        let table = &mut state.tables[self.table];
        for (u, gradient) in cpu.inputs[0].chunks_exact(self.width).enumerate().take(count) {
            let at = cpu.words[keys.unique + u] as usize * self.width;
            let weights = &mut table.weights[at..at + self.width];
            let first = &mut table.first[at..at + self.width];
            let second = &mut table.second[at..at + self.width];
            for (i, &g) in gradient.iter().enumerate() {
                self.options.update(g, rate, &mut weights[i], &mut first[i], &mut second[i]);
            }
        }
    }

    fn kernels(&self, _: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let keys = target.schedule.keys[self.table];
        target
            .shards(self.table, graph.tables[self.table].rows())
            .map(|(shard, first, rows)| {
                let kernel = shard_kernel("row_adam", self.table, shard, keys.lookups * self.width)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("WIDTH", self.width)
                    .with("COUNT", keys.count)
                    .with("UNIQUE", keys.unique)
                    .bind([Arg::Input(0)]);
                self.options.constants(kernel)
            })
            .collect()
    }
}

/// The rest of dense Adam (`embedding_adam = "dense"`): every row that the batch did not read moves too, as if its
/// gradient were 0 (plus L2). Its cost grows with the table; it is there to compare with.
///
/// No inputs, no outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RowSweep {
    /// Number of the table.
    pub table: usize,
    /// Values in a row.
    pub width: usize,
    /// Constants.
    pub options: AdamOptions,
}

/// Rows one task sweeps.
const ROWS_PER_TASK: usize = 4096;

impl Operation for RowSweep {
    fn name(&self) -> &'static str {
        "row_sweep"
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

    fn run<T: Real>(&self, _: &Cpu<'_, T>, _: &mut [Vec<T>]) {}

    fn update<T: Real>(&self, cpu: &Cpu<'_, T>, state: &mut ModelState<T>) {
        let keys = cpu.schedule.keys[self.table];
        let unique = &cpu.words[keys.unique..][..cpu.words[keys.count] as usize];
        let rate = T::of(f64::from(cpu.clock.learning_rate));
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

    fn kernels(&self, _: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let keys = target.schedule.keys[self.table];
        target
            .shards(self.table, graph.tables[self.table].rows())
            .map(|(shard, first, rows)| {
                let kernel = shard_kernel("row_sweep", self.table, shard, rows * self.width)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("WIDTH", self.width)
                    .with("COUNT", keys.count)
                    .with("UNIQUE", keys.unique);
                self.options.constants(kernel)
            })
            .collect()
    }
}
