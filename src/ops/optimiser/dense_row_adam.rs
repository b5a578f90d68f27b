//! What dense Adam does with the embedding rows that a batch did not read.

use super::rows::{bytes_of_update, of_rows, shard_args};
use super::rule::StepFactors;
use crate::cpu::{Real, for_chunks};
use crate::graph::{Graph, Node, Optimizer, Shape};
use crate::ops::{
    Cost, Kernel, ModelState, Op, Operation, OptimizerOptions, StepView, Stored, TableRounding, TableValues, Target,
    Update,
};

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
    pub options: OptimizerOptions,
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
                    .bind(shard_args(Optimizer::Adam, self.table, shard));
                let kernel = self.options.constants(Optimizer::Adam, kernel, target);
                of_rows(kernel, self.table, &graph.tables[self.table])
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
        let factors = StepFactors::of_rows(step, None);
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
                            self.options.adam(T::zero(), factors, w, m, v);
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
