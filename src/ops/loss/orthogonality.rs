//! OptMSM's orthogonality constraint (equation 9): loss and gradient in one.

use crate::cpu::{LANES, Lanes, Real, dot, vectorized};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::loss::loss_kernel;
use crate::ops::{Arg, Block, Cost, Kernel, Op, Operation, PerSample, Renumbered, Target};

/// What of a cosine is to become small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orthogonal {
    /// The cosine itself, as the paper has it: −1 is better than 0.
    Signed,
    /// Its absolute value.
    Abs,
    /// Its square.
    Square,
}

impl Orthogonal {
    fn code(self) -> usize {
        match self {
            Self::Signed => 0,
            Self::Abs => 1,
            Self::Square => 2,
        }
    }

    /// f(c) and f'(c).
    #[inline(always)]
    fn of<T: Real>(self, c: T) -> (T, T) {
        match self {
            Self::Signed => (c, T::one()),
            Self::Abs if c < T::zero() => (-c, -T::one()),
            Self::Abs => (c, if c > T::zero() { T::one() } else { T::zero() }),
            Self::Square => (c * c, c + c),
        }
    }
}

/// A vector shorter than this counts as zero: its cosines are 0 and have no gradient, which would be as 1 / length.
pub(crate) const SHORTEST: f64 = 1e-6;

/// Σ over pairs i < j of f(cos(rⁱ, rʲ)), mean over the batch, logged, and its gradient.
///
/// Input: r [B, vectors·W]. Output: d total / d r.
#[derive(Clone, Debug, PartialEq)]
pub struct Orthogonality {
    /// How many vectors a sample has.
    pub vectors: usize,
    /// f.
    pub form: Orthogonal,
    /// Weight in the total loss, λ.
    pub weight: f64,
    /// Column of the loss log.
    pub first_column: usize,
}

/// Numbers of a sample in workgroup memory, at most (`orthogonality_block.wgsl`).
const BLOCK_NUMBERS: usize = 512;

impl Operation for Orthogonality {
    fn name(&self) -> &'static str {
        "orthogonality"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(inputs[0].cols.is_multiple_of(self.vectors), "orthogonality: vectors of one length");
        vec![inputs[0]]
    }

    fn gradient(&self, node: &Node, _: &[Option<TensorId>], _: &mut Graph) -> Vec<Option<TensorId>> {
        vec![Some(node.outputs[0])]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let pairs = self.vectors * (self.vectors - 1) / 2;
        Cost::of(node, graph, batch, batch * pairs * (10 * graph.width(node.inputs[0]) / self.vectors + 12))
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.first_column += numbers.loss_columns;
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let r = target.location(node.inputs[0]);
        // What a GPU's workgroup has room for at once.
        let by_block = target.class == DeviceClass::Hardware && self.vectors * self.vectors < BLOCK_NUMBERS;
        let shader = if by_block { "orthogonality_block" } else { "orthogonality" };
        let kernel = loss_kernel(shader, self.first_column, graph, target);
        let kernel = if by_block { target.exchanging(kernel, "eight", "eight_subgroup") } else { kernel };
        let kernel = kernel
            .with("R", r.first)
            .with("R_STRIDE", r.stride)
            .with("GRADIENT", target.location(node.outputs[0]).first)
            .with("VECTORS", self.vectors)
            .with("WIDTH", graph.width(node.inputs[0]) / self.vectors)
            .with("FORM", self.form.code())
            .with("WEIGHT", self.weight)
            .with("SHORTEST", SHORTEST);
        vec![kernel.bind([Arg::Losses])]
    }
}

impl PerSample for Orthogonality {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let r = block.columns(0);
                let width = r.len() / self.vectors;
                let vector = |i: usize| &r[i * width..(i + 1) * width];
                let mut live = Lanes::zero();
                let factor = T::of(self.weight) / block.step.mean_rows::<T>();
                live.0[..block.count()].fill(T::one());
                block.output(0).fill(Lanes::zero());
                let mut loss = Lanes::zero();
                for i in 0..self.vectors {
                    for j in 0..i {
                        let (a, b) = (vector(i), vector(j));
                        let (ab, aa, bb) = (dot(a, b), dot(a, a), dot(b, b));
                        // d f / d a = across · b − of_a · a, and so for b.
                        let (mut across, mut of_a, mut of_b) = (Lanes::zero(), Lanes::zero(), Lanes::zero());
                        for lane in 0..LANES {
                            let (na, nb) = (aa.0[lane].sqrt(), bb.0[lane].sqrt());
                            if na.min(nb) < T::of(SHORTEST) {
                                continue;
                            }
                            let c = ab.0[lane] / (na * nb);
                            let (value, slope) = self.form.of(c);
                            let slope = factor * slope * live.0[lane];
                            loss.0[lane] += value * live.0[lane];
                            across.0[lane] = slope / (na * nb);
                            of_a.0[lane] = slope * c / aa.0[lane];
                            of_b.0[lane] = slope * c / bb.0[lane];
                        }
                        let out = block.output(0);
                        for k in 0..width {
                            let (a, b) = (a[k], b[k]);
                            let to_a = across.times(b).plus(of_a.times(a).map(|x| -x));
                            let to_b = across.times(a).plus(of_b.times(b).map(|x| -x));
                            out[i * width + k] = out[i * width + k].plus(to_a);
                            out[j * width + k] = out[j * width + k].plus(to_b);
                        }
                    }
                }
                *block.log(self.first_column) = loss;
            },
        );
    }
}
