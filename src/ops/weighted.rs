//! MI-DPG's weighted layer, out = (ψ(S) ⊙ W) h + b (equation 1), without the B × d_m × d_n matrix.

use super::weighted_grad::{WeightedLinearGrad, WeightedLinearGradWeights};
use super::{Arg, Combine, Cost, Cpu, Epilogue, Kernel, Op, Operation, Target};
use crate::cpu::{LANES, Lanes, Real, for_chunks, transpose_rows, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};

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

    /// Adds the constants of `shaders/common/blocks.wgsl`.
    pub(super) fn constants(&self, kernel: Kernel) -> Kernel {
        let interleave = self.repeat == Repeat::Interleave;
        let (rows, cols) = (self.rows_per_group(), self.cols_per_group());
        kernel
            .with("OUTPUTS", self.outputs)
            .with("INPUTS", self.inputs)
            .with("ROW_GROUPS", self.row_groups)
            .with("COL_GROUPS", self.col_groups)
            .with("ROW_BASE", if interleave { rows } else { 1 })
            .with("ROW_STEP", if interleave { 1 } else { self.row_groups })
            .with("COL_BASE", if interleave { cols } else { 1 })
            .with("COL_STEP", if interleave { 1 } else { self.col_groups })
            .with("S_ROW_STEP", if self.transposed { 1 } else { self.col_groups })
            .with("S_COL_STEP", if self.transposed { self.row_groups } else { 1 })
            .with("ROW_TILE", rows.min(TILE))
            .with("COL_TILE", cols.min(TILE))
    }

    /// Row tiles of the whole weight.
    pub(super) fn row_tiles(&self) -> usize {
        self.row_groups * self.rows_per_group().div_ceil(TILE)
    }

    /// Column tiles of the whole weight.
    pub(super) fn col_tiles(&self) -> usize {
        self.col_groups * self.cols_per_group().div_ceil(TILE)
    }
}

/// Outputs or inputs of a group that one invocation holds in registers.
pub(super) const TILE: usize = 4;

/// out[b,m] = act(scale · Σ_c S[b,r(m),c] Σ_{n in group c} W[m,n] h[b,n] + bias[m]).
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
        assert_eq!(inputs[0].cols, blocks.inputs, "weighted_linear: width of h");
        assert_eq!(inputs[1].cols, blocks.len(), "weighted_linear: size of S");
        assert_eq!(inputs[2], Shape::fixed(blocks.outputs, blocks.inputs), "weighted_linear: shape of W");
        vec![Shape::batch(blocks.outputs)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 4] };
        let [h, s, w, _] = node.inputs[..] else { unreachable!("four inputs") };
        let dz = Combine::through(graph, &node.name, dy, node.outputs[0], self.epilogue);
        let inputs = WeightedLinearGrad { blocks: self.blocks, scale: self.scale };
        let weights = WeightedLinearGradWeights { blocks: self.blocks, scale: self.scale };
        let first = graph.add(&node.name, inputs, &[dz, h, s, w]);
        let second = graph.add(&node.name, weights, &[dz, h, s]);
        first.into_iter().chain(second).map(Some).collect()
    }

    fn inference(&self) -> Op {
        Self { epilogue: self.epilogue.inference(), ..self.clone() }.into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let Blocks { outputs, inputs, col_groups, .. } = self.blocks;
        Cost::of(node, graph, batch, 2 * batch * outputs * (inputs + col_groups))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let width = self.blocks.outputs;
        for_chunks(&mut outputs[0][..cpu.rows() * width], LANES * width, |block, out| {
            vectorized(
                #[inline(always)]
                || self.forward(cpu, block * LANES, out),
            );
        });
    }

    fn kernels(&self, _: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        let threads = target.capacity.div_ceil(4) * self.blocks.row_tiles();
        let kernel = self.blocks.constants(Kernel::new("weighted_linear", threads)).with("SCALE", self.scale);
        vec![self.epilogue.constants(kernel).bind([
            Arg::Input(0),
            Arg::Input(1),
            Arg::Input(2),
            Arg::Input(3),
            Arg::Output(0),
        ])]
    }
}

impl WeightedLinear {
    /// Up to [`LANES`] samples from `first` on, side by side.
    #[inline(always)]
    fn forward<T: Real>(&self, cpu: &Cpu<'_, T>, first: usize, out: &mut [T]) {
        let blocks = self.blocks;
        let (dm, dn) = (blocks.outputs, blocks.inputs);
        let count = out.len() / dm;
        let mut h = vec![Lanes::zero(); dn];
        let mut s = vec![Lanes::zero(); blocks.len()];
        transpose_rows(&cpu.inputs[0][first * dn..][..count * dn], dn, &mut h);
        transpose_rows(&cpu.inputs[1][first * blocks.len()..][..count * blocks.len()], blocks.len(), &mut s);
        let (w, bias) = (cpu.inputs[2], cpu.inputs[3]);
        let scale = T::of(self.scale);
        let mut scaled = vec![Lanes::zero(); dn];
        for group in 0..blocks.row_groups {
            // h as this row group sees it; shared by the group's outputs.
            for c in 0..blocks.col_groups {
                let s = s[blocks.value(group, c)];
                for j in 0..blocks.cols_per_group() {
                    let n = blocks.col(c, j);
                    scaled[n] = s.times(h[n]);
                }
            }
            let mut store = |m: usize, sum: Lanes<T>| {
                for lane in 0..count {
                    let z = scale * sum.0[lane] + bias[m];
                    out[lane * dm + m] = self.epilogue.apply(z, (first + lane) * dm + m, cpu.clock);
                }
            };
            let members = blocks.rows_per_group();
            let mut i = 0;
            while i + TILE <= members {
                let m: [usize; TILE] = std::array::from_fn(|t| blocks.row(group, i + t));
                let rows = m.map(|m| &w[m * dn..][..dn]);
                let mut sums = [Lanes::zero(); TILE];
                for (n, &x) in scaled.iter().enumerate() {
                    for t in 0..TILE {
                        sums[t].add_scaled(rows[t][n], x);
                    }
                }
                for t in 0..TILE {
                    store(m[t], sums[t]);
                }
                i += TILE;
            }
            for i in i..members {
                let m = blocks.row(group, i);
                let mut sum = Lanes::zero();
                for (&w, &x) in w[m * dn..][..dn].iter().zip(&scaled) {
                    sum.add_scaled(w, x);
                }
                store(m, sum);
            }
        }
    }
}
