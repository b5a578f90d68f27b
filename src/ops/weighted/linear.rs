//! MI-DPG's weighted layer, out = (ψ(S) ⊙ W) h + b (equation 1), without the B × d_m × d_n matrix.

use super::kernel::{Mode, layer, place, scaled};
use crate::cpu::{
    Lanes, Real, Samples, Simd, TOGETHER, Tile, Weights, add_products_of, has_large_registers, in_tiles, vectors,
};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::affine::onnx::activated;
use crate::ops::descriptors::TILES_PER_GROUP;
use crate::ops::weighted::linear_grad::{Weighted, WeightedLinearGrad, WeightedLinearGradWeights};
use crate::ops::{
    Affine, Block, Cost, Epilogue, Kernel, OnnxExport, Op, Operation, PerSample, SimdPerSample, Target, WeightGrads,
    run_simd,
};

/// How ψ repeats the distinct values over the weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeat {
    /// Element (m, n) uses S[m / (d_m/d_r), n / (d_n/d_c)]: neighbours share a value.
    #[default]
    Interleave,
    /// Element (m, n) uses S[m mod d_r, n mod d_c].
    Tile,
}

/// Which elements of a d_m × d_n weight share a value of S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// d_m: outputs of the layer.
    pub outputs: usize,
    /// d_n: inputs of the layer.
    pub inputs: usize,
    /// d_r: divides d_m.
    pub row_groups: usize,
    /// d_c: divides d_n.
    pub col_groups: usize,
    /// ψ.
    pub repeat: Repeat,
    /// Whether S is stored as [d_c, d_r]: its rows run over the layer's inputs.
    pub transposed: bool,
}

impl Blocks {
    /// Where the value of row group `r` and column group `c` lies in S.
    #[inline(always)]
    pub fn value(&self, r: usize, c: usize) -> usize {
        if self.transposed { c * self.row_groups + r } else { r * self.col_groups + c }
    }

    /// Outputs that share a row of S.
    pub fn rows_per_group(&self) -> usize {
        self.outputs / self.row_groups
    }

    /// Inputs that share a column of S.
    pub fn cols_per_group(&self) -> usize {
        self.inputs / self.col_groups
    }

    /// The row group of output `m`.
    pub fn row_group(&self, m: usize) -> usize {
        match self.repeat {
            Repeat::Interleave => m / self.rows_per_group(),
            Repeat::Tile => m % self.row_groups,
        }
    }

    /// The column group of input `n`.
    pub fn col_group(&self, n: usize) -> usize {
        match self.repeat {
            Repeat::Interleave => n / self.cols_per_group(),
            Repeat::Tile => n % self.col_groups,
        }
    }

    /// From one output of a row group to the next.
    pub fn row_step(&self) -> usize {
        if self.repeat == Repeat::Interleave { 1 } else { self.row_groups }
    }

    /// From one input of a column group to the next.
    pub fn col_step(&self) -> usize {
        if self.repeat == Repeat::Interleave { 1 } else { self.col_groups }
    }

    /// The layer's output that is member `i` of row group `group`.
    #[inline(always)]
    pub fn row(&self, group: usize, i: usize) -> usize {
        match self.repeat {
            Repeat::Interleave => group * self.rows_per_group() + i,
            Repeat::Tile => group + i * self.row_groups,
        }
    }

    /// The layer's input that is member `j` of column group `group`.
    #[inline(always)]
    pub fn col(&self, group: usize, j: usize) -> usize {
        match self.repeat {
            Repeat::Interleave => group * self.cols_per_group() + j,
            Repeat::Tile => group + j * self.col_groups,
        }
    }

    /// Distinct values of S.
    pub fn len(&self) -> usize {
        self.row_groups * self.col_groups
    }

    /// Whether S has no values; a layer has at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The distances between elements, computed once for a whole kernel.
    pub(crate) fn grid(&self) -> Grid {
        let interleave = self.repeat == Repeat::Interleave;
        let (rows, cols) = (self.rows_per_group(), self.cols_per_group());
        Grid {
            rows,
            cols,
            row_base: if interleave { rows } else { 1 },
            row_step: self.row_step(),
            col_base: if interleave { cols } else { 1 },
            col_step: self.col_step(),
            s_row: if self.transposed { 1 } else { self.col_groups },
            s_col: if self.transposed { self.row_groups } else { 1 },
        }
    }
}

/// Where the members of the groups lie: member i of row group r is output r · `row_base` + i · `row_step`, and so for
/// columns; the value of groups (r, c) is number r · `s_row` + c · `s_col` of S.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Members of a row group.
    pub(crate) rows: usize,
    /// Members of a column group.
    pub(crate) cols: usize,
    pub(crate) row_base: usize,
    pub(crate) row_step: usize,
    pub(crate) col_base: usize,
    pub(crate) col_step: usize,
    pub(crate) s_row: usize,
    pub(crate) s_col: usize,
}

/// `out[b,m] = act(scale · Σ_c S[b,r(m),c] Σ_{n in group c} W[m,n] h[b,n] + bias[m])`.
///
/// Inputs: h [B, d_n], S [B, d_r·d_c] as [d_r, d_c] or transposed, W [d_m, d_n], bias [1, d_m]. Output: [B, d_m].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedLinear {
    /// Who shares a value of S.
    pub blocks: Blocks,
    /// Factor of S: 1 as the paper has it, or 2, which makes S start near 1.
    pub scale: f64,
    /// Activation and dropout.
    pub epilogue: Epilogue,
}

impl Operation for WeightedLinear {
    fn name(&self) -> &'static str {
        "weighted_linear"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let blocks = self.blocks;
        assert_eq!(blocks.outputs % blocks.row_groups, 0, "weighted_linear: d_r divides d_m");
        assert_eq!(blocks.inputs % blocks.col_groups, 0, "weighted_linear: d_c divides d_n");
        assert_eq!(self.epilogue.shared_mask, 1, "weighted_linear: dropout tells all columns apart");
        assert_eq!(inputs[0].cols, blocks.inputs, "weighted_linear: width of h");
        assert_eq!(inputs[1].cols, blocks.len(), "weighted_linear: size of S");
        assert_eq!(inputs[2], Shape::fixed(blocks.outputs, blocks.inputs), "weighted_linear: shape of W");
        vec![Shape::batch(blocks.outputs)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 4] };
        let [h, s, w, _] = node.inputs[..] else { unreachable!("four inputs") };
        let dz = Affine::through(graph, &node.name, dy, node.outputs[0], self.epilogue);
        let weighted = Weighted { blocks: self.blocks, scale: self.scale };
        let first = graph.add(&node.name, WeightedLinearGrad { weighted, adds: false }, &[dz, h, s, w]);
        let second = graph.add(&node.name, WeightedLinearGradWeights { items: vec![weighted] }, &[dz, h, s]);
        let bias = graph.add(&node.name, WeightGrads::sums(1, self.blocks.outputs), &[dz]);
        first.into_iter().chain(second).chain(bias).map(Some).collect()
    }

    fn inference(&self) -> Op {
        Self { epilogue: self.epilogue.inference(), ..self.clone() }.into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let Blocks { outputs, inputs, col_groups, .. } = self.blocks;
        Cost::of(node, graph, batch, 2 * batch * outputs * (inputs + col_groups))
    }

    fn kernels(&self, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        kernels(self, node, target)
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let Blocks { outputs, inputs, row_groups, col_groups, repeat, transposed } = self.blocks;
        let [h, s] = [0, 1].map(|input| export.value(node.inputs[input]));
        let weight = export.parameter(node.inputs[2]);
        let (rows, cols) = (self.blocks.rows_per_group(), self.blocks.cols_per_group());
        // [row group, member of a column group, column group, member of the row group]: so neighbours have different
        // values of S, and S ⊙ h is a product of two long rows.
        let mut grouped = Vec::with_capacity(weight.len());
        for r in 0..row_groups {
            for (j, c) in (0..cols).flat_map(|j| (0..col_groups).map(move |c| (j, c))) {
                grouped.extend((0..rows).map(|i| weight[self.blocks.row(r, i) * inputs + self.blocks.col(c, j)]));
            }
        }
        let interleave = repeat == Repeat::Interleave;
        let onnx = &mut export.onnx;
        let weights = onnx.floats("weight", &[row_groups, inputs, rows], &grouped);
        // S ⊙ h for each row group, and W of that group: the sample's own matrix, d_m / d_r times as large, is never there.
        let [groups, cols] = [col_groups as i64, cols as i64];
        let (s, order) = if transposed {
            (onnx.reshape(&s, &[0, groups, row_groups as i64]), [2, 0, 1])
        } else {
            (onnx.reshape(&s, &[0, row_groups as i64, groups]), [1, 0, 2])
        };
        let s = onnx.transpose(&s, &order);
        let s = onnx.unsqueeze(&s, 2);
        let h = if interleave {
            let h = onnx.reshape(&h, &[0, groups, cols]);
            onnx.transpose(&h, &[0, 2, 1])
        } else {
            onnx.reshape(&h, &[0, cols, groups])
        };
        let scaled = onnx.mul(&s, &h);
        let scaled = onnx.reshape(&scaled, &[0, 0, inputs as i64]);
        let products = onnx.matmul(&scaled, &weights);
        let products = onnx.transpose(&products, &if interleave { [1, 0, 2] } else { [1, 2, 0] });
        let sum = onnx.reshape(&products, &[0, outputs as i64]);
        let sum = onnx.scaled(&sum, self.scale);
        let bias = export.matrix(node.inputs[3]);
        let sum = export.onnx.add(&sum, &bias);
        let value = activated(&mut export.onnx, self.epilogue.activation, sum);
        export.set(node.outputs[0], value);
    }
}

impl PerSample for WeightedLinear {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        run_simd(self, block);
    }
}

impl SimdPerSample for WeightedLinear {
    #[inline(always)]
    fn run<T: Real, S: Simd>(&self, simd: S, block: &mut Block<'_, T>) {
        let members = self.blocks.rows_per_group();
        for group in 0..self.blocks.row_groups {
            let mut outputs = RowGroup { op: self, block, group };
            if const { has_large_registers::<T, S>() } {
                in_tiles::<S, 8>(simd, members, &mut outputs);
            } else {
                in_tiles::<S, 4>(simd, members, &mut outputs);
            }
        }
    }
}

/// The outputs of a row group, for one block of samples.
struct RowGroup<'a, 'b, T> {
    op: &'a WeightedLinear,
    block: &'a mut Block<'b, T>,
    group: usize,
}

impl<T: Real> Tile for RowGroup<'_, '_, T> {
    #[inline(always)]
    fn compute<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let Self { op, block, group } = self;
        let Blocks { inputs, col_groups, .. } = op.blocks;
        let grid = op.blocks.grid();
        let (h, s, values, bias) = (block.columns(0), block.columns(1), block.matrix(2), block.matrix(3));
        let row = op.blocks.row(*group, first);
        let scale = T::splat(simd, T::of(op.scale));
        let mut out = [Lanes::zero(); R];
        for v in (0..const { vectors::<T, S>() }).step_by(TOGETHER) {
            let mut sums = [[T::splat(simd, T::zero()); TOGETHER]; R];
            for c in 0..col_groups {
                let s = T::vectors::<S>(&s[*group * grid.s_row + c * grid.s_col].0);
                let s = [T::product(simd, scale, s[v]), T::product(simd, scale, s[v + 1])];
                let col = c * grid.col_base;
                let w = Weights {
                    values,
                    start: row * inputs + col,
                    row_step: grid.row_step * inputs,
                    inner_step: grid.col_step,
                };
                let h = Samples { columns: h, first: col, step: grid.col_step, count: grid.cols };
                add_products_of(simd, v, &mut sums, h, Some(s), w);
            }
            for (out, sums) in out.iter_mut().zip(sums) {
                T::vectors_mut::<S>(&mut out.0)[v..v + TOGETHER].copy_from_slice(&sums);
            }
        }
        for (i, sum) in out.into_iter().enumerate() {
            let m = row + i * grid.row_step;
            let mut sum = sum.plus(Lanes::splat(bias[m]));
            op.epilogue.apply(std::slice::from_mut(&mut sum), block.first(), op.blocks.outputs, m, block.uniforms);
            block.output(0)[m] = sum;
        }
    }
}

/// Samples that one invocation computes (`weighted_linear.wgsl`).
const ROWS: usize = 8;

fn kernels(op: &WeightedLinear, node: &Node, target: &Target) -> Vec<Kernel> {
    let [h, s, weight, bias] = node.inputs[..] else { unreachable!("four inputs") };
    let outputs = op.blocks.outputs;
    let cols = match outputs {
        1 => 1,
        2..=4 => 4,
        _ => 8,
    };
    let threads = target.capacity.div_ceil(ROWS) * outputs.div_ceil(cols);
    let kernel = match target.class {
        DeviceClass::Software => {
            let kernel = target.kernel("weighted_linear", threads).in_groups_of(TILES_PER_GROUP as u32);
            Mode::of(&op.blocks).constants(layer(kernel, &op.blocks, op.scale, weight, target)).with("COLS", cols)
        }
        DeviceClass::Hardware => {
            let kernel = target.block_kernel("weighted_linear_block");
            scaled(layer(kernel, &op.blocks, op.scale, weight, target), &op.blocks)
        }
    };
    let kernel = place(kernel, ["H", "H_STRIDE"], h, target);
    let kernel = place(kernel, ["S", "S_STRIDE"], s, target);
    let kernel = place(kernel, ["Y", "Y_STRIDE"], node.outputs[0], target);
    let kernel = kernel.with("BIAS", target.location(bias).first);
    let epilogue = op.epilogue;
    vec![
        kernel
            .with("ACTIVATION", epilogue.activation.code())
            .with("DROPOUT", epilogue.dropout)
            .with("DROPOUT_SALT", epilogue.salt),
    ]
}
