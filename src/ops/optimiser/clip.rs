//! Clipping of all gradients together by their norm (Pascanu et al. 2013).

use rayon::prelude::*;

use crate::cpu::{Real, vectorized};
use crate::graph::{Graph, Node, Shape};
use crate::ops::{Arg, BLOCK_INVOCATIONS, Batch, Cost, Kernel, Op, Operation, Phase, Reduce, Target};

/// What all gradients of a step are multiplied by so that their norm, the root of the sum of all squares, is at most
/// `most`: min(1, most / (norm + 10⁻⁶)), as PyTorch's `clip_grad_norm_` has it. L2 is not part of the gradients here.
///
/// Inputs: the gradients of the trained parameters in the graph's order, then those of the rows of each table. Outputs: the
/// factor [1, 1]; the squares' partial sums [1, ·], which only a GPU has.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFactor {
    /// The largest norm.
    pub most: f64,
    /// How many of the inputs are of dense parameters.
    pub parameters: usize,
    /// Number and width of each table.
    pub tables: Vec<(usize, usize)>,
}

/// Invocations that sum the squares of the dense parameters' gradients, and of each table's rows; each leaves four sums.
const PARTS: usize = 1024;

/// Values of a partial sum on the CPU: fixed, so that rounding does not depend on the number of threads.
const CHUNK: usize = 1 << 12;

impl ClipFactor {
    fn sums(&self) -> usize {
        4 * PARTS * (usize::from(self.parameters > 0) + self.tables.len())
    }
}

impl Operation for ClipFactor {
    fn name(&self) -> &'static str {
        "clip_factor"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        vec![Shape::fixed(1, 1), Shape::fixed(1, self.sums())]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let values: usize = node.inputs.iter().map(|&input| graph.shape(input).len(batch)).sum();
        Cost { flops: 2 * values as u64, bytes: 4 * (values + 2 * self.sums()) as u64 }
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let [factor, sums] = [0, 1].map(|output| target.location(node.outputs[output]).first);
        let squares = |shader, at: usize| {
            let kernel = target.kernel(shader, PARTS).with("SUMS", sums as usize + at * 4 * PARTS);
            kernel.with("PARTS", PARTS)
        };
        let dense = (self.parameters > 0).then(|| {
            let kernel = squares("gradient_squares", 0).with("LENGTH", target.trained / 4);
            kernel.with("COPIES", target.parts).with("COPY", target.parameters / 4).bind([Arg::Gradients])
        });
        let first = usize::from(self.parameters > 0);
        let rows = self.tables.iter().zip(&node.inputs[self.parameters..]).enumerate();
        let rows = rows.map(|(number, (&(table, width), &gradient))| {
            squares("row_gradient_squares", first + number)
                .with("GRADIENT", target.location(gradient).first)
                .with("QUADS", width.div_ceil(4))
                .with("COUNT", target.batch_layout.keys[table].count)
                .bind([Arg::Batches])
        });
        let last = target.kernel("clip_factor", BLOCK_INVOCATIONS).in_groups_of(BLOCK_INVOCATIONS as u32);
        let last =
            last.with("SUMS", sums).with("LENGTH", self.sums() / 4).with("FACTOR", factor).with("MOST", self.most);
        let last = last.with("SCALED", target.mixed_precision);
        dense.into_iter().chain(rows).chain([last]).collect()
    }
}

/// The sum of squares.
fn squares<T: Real>(values: &[T]) -> T {
    let parts: Vec<T> = values
        .par_chunks(CHUNK)
        .map(|values| {
            vectorized::<T, _>(
                #[inline(always)]
                || {
                    let mut sums = [T::zero(); 16];
                    for values in values.chunks(sums.len()) {
                        for (sum, &value) in sums.iter_mut().zip(values) {
                            *sum += value * value;
                        }
                    }
                    sums.into_iter().fold(T::zero(), |sum, part| sum + part)
                },
            )
        })
        .collect();
    parts.into_iter().fold(T::zero(), |sum, part| sum + part)
}

impl Reduce for ClipFactor {
    fn phase(&self) -> Phase {
        Phase::WeightGradients
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let step = batch.step;
        let dense = (0..self.parameters).map(|input| squares(batch.matrix(input)));
        let rows = self.tables.iter().zip(self.parameters..).map(|(&(table, width), input)| {
            let count = step.words[step.batch_layout.keys[table].count] as usize;
            squares(&batch.matrix(input)[..count * width])
        });
        let sum = dense.chain(rows).fold(T::zero(), |sum, part| sum + part);
        let norm = sum.sqrt() * step.unscale::<T>();
        let factor = T::of(self.most) / (norm + T::of(1e-6));
        // Where the norm is no number the gradients are not either, and the step is to show it.
        outputs[0][0] = if factor > T::one() { T::one() } else { factor };
    }
}
