//! The low-rank core of MI-DPG's weighting matrix, S = σ(S_R S_C) (equations 3–5).

use super::{Arg, Cost, Cpu, Kernel, Op, Operation, SumRows, Target};
use crate::cpu::{Real, for_row_blocks, sigmoid, vectorized};
use crate::graph::{Graph, Node, Rows, Shape, TensorId};

/// S = σ(R C): the distinct values of the weighting matrix, before they are repeated over the layer's weight.
///
/// Inputs: R [B, d_r·d_k], or [d_r, d_k] shared by all samples; C [B, d_k·d_c], or [d_k, d_c] shared.
/// Output: S [B, d_r·d_c]. At least one input belongs to the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// d_r.
    pub rows: usize,
    /// d_k.
    pub rank: usize,
    /// d_c.
    pub cols: usize,
}

impl LowRank {
    /// One sample's S.
    #[inline(always)]
    fn sample<T: Real>(&self, r: &[T], c: &[T], s: &mut [T]) {
        for (row, values) in s.chunks_exact_mut(self.cols).enumerate() {
            values.fill(T::zero());
            for k in 0..self.rank {
                let r = r[row * self.rank + k];
                for (value, &c) in values.iter_mut().zip(&c[k * self.cols..][..self.cols]) {
                    *value += r * c;
                }
            }
            for value in values {
                *value = sigmoid(*value);
            }
        }
    }
}

fn is_shared(shape: Shape) -> bool {
    matches!(shape.rows, Rows::Fixed(_))
}

impl Operation for LowRank {
    fn name(&self) -> &'static str {
        "low_rank"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].len(1), self.rows * self.rank, "low_rank: size of R");
        assert_eq!(inputs[1].len(1), self.rank * self.cols, "low_rank: size of C");
        assert!(!(is_shared(inputs[0]) && is_shared(inputs[1])), "low_rank: both factors shared");
        vec![Shape::batch(self.rows * self.cols)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(ds) = grads[0] else { return vec![None; 2] };
        let s = node.outputs[0];
        [(Side::Row, self.rows), (Side::Column, self.rank)]
            .into_iter()
            .enumerate()
            .map(|(input, (side, rows))| {
                let other = node.inputs[1 - input];
                let grad = graph.add_one(&node.name, LowRankGrad { side, sizes: self.clone() }, &[ds, s, other]);
                Some(if is_shared(graph.shape(node.inputs[input])) {
                    graph.add_one(&node.name, SumRows { rows }, &[grad])
                } else {
                    grad
                })
            })
            .collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, batch * self.rows * self.cols * (2 * self.rank + 4))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let width = self.rows * self.cols;
        for_row_blocks(&mut outputs[0][..cpu.rows() * width], width, |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    for (i, s) in block.chunks_exact_mut(width).enumerate() {
                        self.sample(factor(cpu, 0, first + i), factor(cpu, 1, first + i), s);
                    }
                },
            );
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        vec![
            Kernel::new("low_rank", target.capacity * self.rows * self.cols)
                .with("ROWS", self.rows)
                .with("RANK", self.rank)
                .with("COLS", self.cols)
                .with("ROW_SHARED", is_shared(graph.shape(node.inputs[0])))
                .with("COLUMN_SHARED", is_shared(graph.shape(node.inputs[1])))
                .bind([Arg::Input(0), Arg::Input(1), Arg::Output(0)]),
        ]
    }
}

/// The values of input number `input` that belong to `sample`.
fn factor<'a, T: Real>(cpu: &Cpu<'a, T>, input: usize, sample: usize) -> &'a [T] {
    let shape = cpu.shapes[input];
    if is_shared(shape) { cpu.inputs[input] } else { &cpu.inputs[input][sample * shape.cols..][..shape.cols] }
}

/// Partial sums of a dot product, so that its additions need not wait for each other.
const SUMS: usize = 8;

/// Which factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// S_R.
    Row,
    /// S_C.
    Column,
}

/// The gradient of one factor, per sample: dR = dZ Cᵀ or dC = Rᵀ dZ, with dZ = dS ⊙ S ⊙ (1 − S).
///
/// Inputs: dS and S [B, d_r·d_c], the other factor. Output: [B, d_r·d_k] or [B, d_k·d_c].
#[derive(Clone, Debug, PartialEq)]
pub struct LowRankGrad {
    /// Whose gradient.
    pub side: Side,
    /// d_r, d_k and d_c.
    pub sizes: LowRank,
}

impl LowRankGrad {
    /// One sample's gradient.
    #[inline(always)]
    fn sample<T: Real>(&self, ds: &[T], s: &[T], other: &[T], grad: &mut [T]) {
        let LowRank { rank, cols, .. } = self.sizes;
        let dz = |(ds, s): (&T, &T)| *ds * *s * (T::one() - *s);
        grad.fill(T::zero());
        for (row, (ds, s)) in ds.chunks_exact(cols).zip(s.chunks_exact(cols)).enumerate() {
            for k in 0..rank {
                match self.side {
                    Side::Row => {
                        let mut sums = [T::zero(); SUMS];
                        let other = &other[k * cols..][..cols];
                        for (i, (pair, &c)) in ds.iter().zip(s).zip(other).enumerate() {
                            sums[i % SUMS] += dz(pair) * c;
                        }
                        grad[row * rank + k] = sums.into_iter().sum();
                    }
                    Side::Column => {
                        let r = other[row * rank + k];
                        for (grad, pair) in grad[k * cols..][..cols].iter_mut().zip(ds.iter().zip(s)) {
                            *grad += dz(pair) * r;
                        }
                    }
                }
            }
        }
    }

    fn width(&self) -> usize {
        match self.side {
            Side::Row => self.sizes.rows * self.sizes.rank,
            Side::Column => self.sizes.rank * self.sizes.cols,
        }
    }
}

impl Operation for LowRankGrad {
    fn name(&self) -> &'static str {
        match self.side {
            Side::Row => "low_rank_grad_row",
            Side::Column => "low_rank_grad_column",
        }
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        vec![Shape::batch(self.width())]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, batch * self.sizes.rows * self.sizes.cols * (2 * self.sizes.rank + 3))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let (width, values) = (self.width(), self.sizes.rows * self.sizes.cols);
        for_row_blocks(&mut outputs[0][..cpu.rows() * width], width, |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    for (i, grad) in block.chunks_exact_mut(width).enumerate() {
                        let range = (first + i) * values..(first + i + 1) * values;
                        let (ds, s) = (&cpu.inputs[0][range.clone()], &cpu.inputs[1][range]);
                        self.sample(ds, s, factor(cpu, 2, first + i), grad);
                    }
                },
            );
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        vec![
            Kernel::new("low_rank_grad", target.capacity * self.width())
                .with("ROWS", self.sizes.rows)
                .with("RANK", self.sizes.rank)
                .with("COLS", self.sizes.cols)
                .with("ROW_SIDE", self.side == Side::Row)
                .with("OTHER_SHARED", is_shared(graph.shape(node.inputs[2])))
                .bind([Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Output(0)]),
        ]
    }
}
