//! The low-rank core of MI-DPG's weighting matrix, S = σ(S_R S_C) (equations 3–5).

use super::kernel::place;
use crate::cpu::{Lanes, Real, Samples, Simd, Tile, Weights, add_products, in_tiles, sigmoid, vectorized};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, RowExtent, Shape, TensorId};
use crate::ops::descriptors::TILES_PER_GROUP;
use crate::ops::{Activation, Arg, OnnxExport, PerSample, SimdPerSample, WeightPart, run_simd};
use crate::ops::{
    Affine, AffinePart, Block, Cost, GradItem, GradPair, Kernel, Op, Operation, PartSource, Target, View, WeightGrads,
};

/// Where a factor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// An input: of each sample, or shared by all.
    Given,
    /// g Wᵀ + b, computed here: the inputs are g [B, K], W [size, K] and b [1, size].
    Generated,
}

impl Factor {
    /// Inputs it takes.
    pub fn inputs(self) -> usize {
        if self == Self::Given { 1 } else { 3 }
    }
}

/// S = σ(R C): the distinct values of the weighting matrix, before they are repeated over the layer's weight.
///
/// Inputs: R [B, d_r·d_k], or [d_r, d_k] shared by all samples; C [B, d_k·d_c], or [d_k, d_c] shared; for a factor that
/// is generated, what it is generated from. Outputs: S [B, d_r·d_c], and a generated factor [B, size]. At least one
/// factor belongs to the samples, and at most one is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// d_r.
    pub rows: usize,
    /// d_k.
    pub rank: usize,
    /// d_c.
    pub cols: usize,
    /// R and C.
    pub factors: [Factor; 2],
}

/// Whether all samples share a tensor.
pub(crate) fn is_shared(shape: Shape) -> bool {
    matches!(shape.rows, RowExtent::Fixed(_))
}

impl LowRank {
    /// Values of R and of C.
    pub fn sizes(&self) -> [usize; 2] {
        [self.rows * self.rank, self.rank * self.cols]
    }

    /// The number of the first input of C.
    pub fn column_input(&self) -> usize {
        self.factors[0].inputs()
    }

    /// Which factor is generated, and the number of its first input.
    pub fn generated(&self) -> Option<(usize, usize)> {
        let side = self.factors.iter().position(|&factor| factor == Factor::Generated)?;
        Some((side, side * self.column_input()))
    }

    /// R and C of a node of this operation.
    pub(crate) fn tensors(&self, node: &Node) -> [TensorId; 2] {
        let given = [node.inputs[0], node.inputs[self.column_input()]];
        std::array::from_fn(|side| match self.factors[side] {
            Factor::Given => given[side],
            Factor::Generated => node.outputs[1],
        })
    }
}

impl Operation for LowRank {
    fn name(&self) -> &'static str {
        "low_rank"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let mut outputs = vec![Shape::batch(self.rows * self.cols)];
        let mut first = 0;
        let mut shared = 0;
        for (factor, size) in self.factors.into_iter().zip(self.sizes()) {
            match factor {
                Factor::Given => {
                    assert_eq!(inputs[first].len(1), size, "low_rank: size of a factor");
                    shared += usize::from(is_shared(inputs[first]));
                }
                Factor::Generated => {
                    assert_eq!(inputs[first + 1], Shape::fixed(size, inputs[first].cols), "low_rank: shape of W");
                    assert_eq!(inputs[first + 2], Shape::fixed(1, size), "low_rank: shape of b");
                    outputs.push(Shape::batch(size));
                }
            }
            first += factor.inputs();
        }
        assert!(shared < 2 && outputs.len() < 3, "low_rank: both factors shared, or both generated");
        outputs
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(ds) = grads[0] else { return vec![None; node.inputs.len()] };
        let [r, c] = self.tensors(node);
        let op = LowRankGrad { rows: self.rows, rank: self.rank, cols: self.cols };
        let found = graph.add(&node.name, op, &[ds, node.outputs[0], r, c]);
        let mut first = 0;
        let mut gradients = Vec::new();
        for (side, factor) in self.factors.into_iter().enumerate() {
            let (rows, cols) = [(self.rows, self.rank), (self.rank, self.cols)][side];
            let d = found[side];
            match factor {
                Factor::Given if is_shared(graph.shape(node.inputs[first])) => {
                    gradients.extend(graph.add(&node.name, WeightGrads::sums(rows, cols), &[d]));
                }
                Factor::Given => gradients.push(d),
                Factor::Generated => {
                    let (g, w) = (node.inputs[first], node.inputs[first + 1]);
                    let inner = graph.width(g);
                    let product = PartSource::Product {
                        x: d,
                        from: 0,
                        inner: rows * cols,
                        weight: w,
                        row: 0,
                        col: 0,
                        transposed: true,
                        scenario_stride: 0,
                    };
                    let part = AffinePart { to: 0, width: inner, source: product };
                    gradients.push(Affine::sum(graph, &node.name, inner, &[part], Activation::None));
                    let size = rows * cols;
                    let item = |output: usize, rows: usize, cols: usize, x: Option<View>| GradItem {
                        output,
                        row: 0,
                        col: 0,
                        rows,
                        cols,
                        pairs: vec![GradPair { dz: View::of(0), x, scenario: None }],
                    };
                    let op = WeightGrads {
                        items: vec![item(0, size, inner, Some(View::of(1))), item(1, 1, size, None)],
                        shapes: vec![Shape::fixed(size, inner), Shape::fixed(1, size)],
                    };
                    gradients.extend(graph.add(&node.name, op, &[d, g]));
                }
            }
            first += factor.inputs();
        }
        gradients.into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let generated =
            self.generated().map_or(0, |(side, first)| 2 * self.sizes()[side] * graph.width(node.inputs[first]));
        Cost::of(node, graph, batch, batch * (self.rows * self.cols * (2 * self.rank + 4) + generated))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        kernels(self, node, graph, target)
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let mut first = 0;
        let mut factors = Vec::new();
        for (side, factor) in self.factors.into_iter().enumerate() {
            let input = node.inputs[first];
            let is_shared = factor == Factor::Given && is_shared(export.shape(input));
            let flat = match factor {
                Factor::Given if is_shared => export.matrix(input),
                Factor::Given => export.value(input),
                Factor::Generated => {
                    let (g, weight) = (export.value(input), node.inputs[first + 1]);
                    let (down, across) = (self.sizes()[side], export.width(input));
                    let weight = export.weight(WeightPart { weight, row: 0, col: 0, down, across }, true);
                    let bias = export.matrix(node.inputs[first + 2]);
                    let product = export.onnx.matmul(&g, &weight);
                    let made = export.onnx.add(&product, &bias);
                    export.set(node.outputs[1], made.clone());
                    made
                }
            };
            let (rows, cols) = [(self.rows, self.rank), (self.rank, self.cols)][side];
            let shape = [0, rows as i64, cols as i64];
            factors.push(export.onnx.reshape(&flat, if is_shared { &shape[1..] } else { &shape }));
            first += factor.inputs();
        }
        let product = export.onnx.matmul(&factors[0], &factors[1]);
        let product = export.onnx.reshape(&product, &[0, (self.rows * self.cols) as i64]);
        let value = export.onnx.sigmoid(&product);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for LowRank {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        run_simd(self, block);
    }
}

impl SimdPerSample for LowRank {
    #[inline(always)]
    fn run<T: Real, S: Simd>(&self, simd: S, block: &mut Block<'_, T>) {
        if let Some((side, first)) = self.generated() {
            in_tiles::<S, 4>(simd, self.sizes()[side], &mut Generate { block, input: first });
        }
        let given = |side: usize| {
            let input = side * self.column_input();
            (self.factors[side] == Factor::Given).then(|| Values::of_input(block, input))
        };
        let given = [given(0), given(1)];
        let (s, made) = match self.generated() {
            Some(_) => {
                let [s, made] = block.two_outputs();
                (s, &*made)
            }
            None => (block.output(0), &[][..]),
        };
        let [r, c] = given.map(|values| values.unwrap_or(Values::Samples(made)));
        for row in 0..self.rows {
            for (col, s) in s[row * self.cols..][..self.cols].iter_mut().enumerate() {
                let mut sum = r.at(row * self.rank).times(c.at(col));
                for k in 1..self.rank {
                    sum.add_product(r.at(row * self.rank + k), c.at(k * self.cols + col));
                }
                *s = sum.map(sigmoid);
            }
        }
    }
}

/// A factor's values.
#[derive(Clone, Copy)]
enum Values<'a, T> {
    /// Each sample's.
    Samples(&'a [Lanes<T>]),
    /// The same for all.
    Shared(&'a [T]),
}

impl<'a, T: Real> Values<'a, T> {
    #[inline(always)]
    fn of_input(block: &Block<'a, T>, input: usize) -> Self {
        if is_shared(block.shape(input)) {
            Self::Shared(block.matrix(input))
        } else {
            Self::Samples(block.columns(input))
        }
    }

    #[inline(always)]
    fn at(self, index: usize) -> Lanes<T> {
        match self {
            Self::Samples(values) => values[index],
            Self::Shared(values) => Lanes::splat(values[index]),
        }
    }
}

/// Output 1 = g Wᵀ + b of the inputs from number `input` on.
struct Generate<'a, 'b, T> {
    block: &'a mut Block<'b, T>,
    input: usize,
}

impl<T: Real> Tile for Generate<'_, '_, T> {
    #[inline(always)]
    fn compute<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let Self { block, input } = self;
        let (g, values, bias) = (block.columns(*input), block.matrix(*input + 1), block.matrix(*input + 2));
        let mut sums: [Lanes<T>; R] = std::array::from_fn(|i| Lanes::splat(bias[first + i]));
        let w = Weights { values, start: first * g.len(), row_step: g.len(), inner_step: 1 };
        add_products(simd, &mut sums, Samples::all(g), None, w);
        block.output(1)[first..][..R].copy_from_slice(&sums);
    }
}

/// With d = dS ⊙ S (1 − S): `dR[r,k] = Σ_c d[r,c] C[k,c]` and `dC[k,c] = Σ_r R[r,k] d[r,c]`.
///
/// Inputs: dS, S [B, d_r·d_c], R and C, either of the samples or shared. Outputs, of each sample in any case:
/// dR [B, d_r·d_k], dC [B, d_k·d_c].
#[derive(Clone, Debug, PartialEq)]
pub struct LowRankGrad {
    /// d_r.
    pub rows: usize,
    /// d_k.
    pub rank: usize,
    /// d_c.
    pub cols: usize,
}

impl Operation for LowRankGrad {
    fn name(&self) -> &'static str {
        "low_rank_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].cols, self.rows * self.cols, "low_rank_grad: size of dS");
        vec![Shape::batch(self.rows * self.rank), Shape::batch(self.rank * self.cols)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, batch * self.rows * self.cols * (4 * self.rank + 3))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        grad_kernels(self, node, graph, target)
    }
}

impl PerSample for LowRankGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let (ds, s) = (block.columns(0), block.columns(1));
                let [r, c] = [2, 3].map(|input| Values::of_input(block, input));
                let [dr, dc] = block.two_outputs();
                dc.fill(Lanes::zero());
                for row in 0..self.rows {
                    for k in 0..self.rank {
                        let mut sum = Lanes::zero();
                        let weight = r.at(row * self.rank + k);
                        let range = row * self.cols..(row + 1) * self.cols;
                        let gradients = ds[range.clone()].iter().zip(&s[range]);
                        for (col, (ds, s)) in gradients.enumerate() {
                            let d = ds.times(s.map(|s| s * (T::one() - s)));
                            sum.add_product(d, c.at(k * self.cols + col));
                            dc[k * self.cols + col].add_product(weight, d);
                        }
                        dr[row * self.rank + k] = sum;
                    }
                }
            },
        );
    }
}

/// Samples that one invocation computes (`low_rank.wgsl`).
const SAMPLES: usize = 4;

fn kernels(op: &LowRank, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let made = op.generated();
    let across = match made {
        Some((1, _)) if op.cols.is_multiple_of(4) => op.cols / 4,
        Some((1, _)) => 1,
        _ => op.rows.div_ceil(4),
    };
    let kernel = match target.class {
        DeviceClass::Software => target
            .kernel("low_rank", target.capacity.div_ceil(SAMPLES) * across)
            .in_groups_of(2 * TILES_PER_GROUP as u32),
        DeviceClass::Hardware => target.block_kernel("low_rank_block"),
    };
    let kernel = kernel
        .bind([Arg::Parameters])
        .with("ROWS", op.rows)
        .with("RANK", op.rank)
        .with("COLS", op.cols)
        .with("MADE", made.map_or(2, |(side, _)| side));
    let mut kernel = place(kernel, ["S", "S_STRIDE"], node.outputs[0], target);
    if let Some((_, first)) = made {
        let [g, weight, bias] = node.inputs[first..first + 3] else { unreachable!("three inputs") };
        kernel = place(kernel, ["G", "G_STRIDE"], g, target);
        kernel = place(kernel, ["WEIGHT", "WEIGHT_STRIDE"], weight, target)
            .with("INNER", graph.width(g))
            .with("BIAS", target.location(bias).first);
    }
    vec![factors(kernel, op.tensors(node), graph, target)]
}

/// Adds where R and C lie, and whether all samples share them.
fn factors(kernel: Kernel, [r, c]: [TensorId; 2], graph: &Graph, target: &Target) -> Kernel {
    let kernel = place(kernel, ["R", "R_STRIDE"], r, target).with("R_SHARED", is_shared(graph.shape(r)));
    place(kernel, ["C", "C_STRIDE"], c, target).with("C_SHARED", is_shared(graph.shape(c)))
}

fn grad_kernels(op: &LowRankGrad, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let [ds, s, r, c] = node.inputs[..] else { unreachable!("four inputs") };
    let columns = if op.cols.is_multiple_of(4) { op.cols / 4 } else { 1 };
    let kernel = match target.class {
        DeviceClass::Software => target
            .kernel("low_rank_grad", target.capacity * (op.rows.div_ceil(4) + columns))
            .with("CAPACITY", target.capacity),
        DeviceClass::Hardware => target.block_kernel_of_eights("low_rank_grad_block"),
    };
    let kernel = kernel
        .bind([Arg::Parameters])
        .with("ROWS", op.rows)
        .with("RANK", op.rank)
        .with("COLS", op.cols)
        .with("DS", target.location(ds).first);
    let kernel = place(kernel, ["S", "S_STRIDE"], s, target);
    let kernel = place(kernel, ["DR", "DR_STRIDE"], node.outputs[0], target);
    let kernel = place(kernel, ["DC", "DC_STRIDE"], node.outputs[1], target);
    vec![factors(kernel, [r, c], graph, target)]
}
