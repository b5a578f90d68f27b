//! MI-DPG's weighting matrix and the layer it weights (section 2.2).

use serde::{Deserialize, Serialize};

use super::Linear;
use crate::graph::{Graph, Init, TensorId};
use crate::ops::{Activation, Blocks, Epilogue, Factor, LowRank, Repeat, WeightedLinear};

/// Which factors of the core belong to the sample (equations 2–5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decomposition {
    /// S_R generated, C_share a parameter (equation 4).
    #[default]
    R,
    /// Both generated (equation 3).
    Rc,
    /// R_share a parameter, S_C generated (equation 5).
    C,
    /// The whole matrix generated (equation 2).
    Non,
}

/// What the rows of S run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowAxis {
    /// The layer's outputs.
    #[default]
    Output,
    /// The layer's inputs, as a kernel stored [inputs, outputs] has it.
    Input,
}

/// How weighting matrices are made.
#[derive(Clone, Copy, Debug)]
pub struct WeightingOptions {
    /// Which factors are generated.
    pub decomposition: Decomposition,
    /// d_r is the row axis' size over this, at least 1.
    pub row_div: usize,
    /// d_c is the column axis' size over this, at least 1.
    pub col_div: usize,
    /// d_k.
    pub rank: usize,
    /// ψ.
    pub repeat: Repeat,
    /// What the rows run over.
    pub row_axis: RowAxis,
    /// Factor of S.
    pub scale: f64,
    /// Hidden width of the nets that generate factors.
    pub auxiliary_hidden: usize,
}

/// The distinct values of one layer's weighting matrices, and which weights share them.
#[derive(Clone, Copy, Debug)]
pub struct Weighting {
    /// S before ψ, flattened row by row: [B, d_r·d_c], each value in (0, 1).
    pub values: TensorId,
    /// Who shares a value.
    pub blocks: Blocks,
    scale: f64,
}

/// `size / divisor`, at least 1.
fn divided(size: usize, divisor: usize, option: &str, layer: &str) -> Result<usize, String> {
    if size < divisor {
        Ok(1)
    } else if size.is_multiple_of(divisor) {
        Ok(size / divisor)
    } else {
        Err(format!("{option} = {divisor} does not divide {size}, a size of {layer}; choose a divisor of it"))
    }
}

impl Weighting {
    /// Generates the weighting of a layer of `outputs` × `inputs` from `input`, the auxiliary nets' input u = [e_aw, h].
    ///
    /// # Errors
    /// When a divisor does not divide the layer's sizes.
    pub fn new(
        graph: &mut Graph,
        name: &str,
        options: &WeightingOptions,
        input: TensorId,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, String> {
        let transposed = options.row_axis == RowAxis::Input;
        let (row_size, col_size) = if transposed { (inputs, outputs) } else { (outputs, inputs) };
        let whole = options.decomposition == Decomposition::Non;
        let rows = divided(row_size, if whole { 1 } else { options.row_div }, "row_div", name)?;
        let cols = divided(col_size, if whole { 1 } else { options.col_div }, "col_div", name)?;
        let rank = options.rank;
        let values = graph.scoped(name, |graph| {
            // The auxiliary net G: one hidden layer, and the layer that makes the values.
            let hidden = |graph: &mut Graph, part: &str| {
                let layer = Linear::new(options.auxiliary_hidden, Activation::Relu);
                graph.scoped(part, |graph| layer.add(graph, "0", input))
            };
            // A factor whose last layer is a part of the core.
            let generated = |graph: &mut Graph, part: &str, size: usize| {
                let g = hidden(graph, part);
                graph.scoped(format!("{part}.1"), |graph| {
                    let weight = graph.parameter("weight", size, options.auxiliary_hidden, Init::GlorotUniform);
                    vec![g, weight, graph.parameter("bias", 1, size, Init::Zeros)]
                })
            };
            let given = |graph: &mut Graph, part: &str, size: usize, activation: Activation| {
                let g = hidden(graph, part);
                graph.scoped(part, |graph| Linear::new(size, activation).add(graph, "1", g))
            };
            let shared = Init::Normal((1.0 / rank as f64).sqrt());
            let (factors, row, column) = match options.decomposition {
                Decomposition::Non => return given(graph, "full", rows * cols, Activation::Sigmoid),
                Decomposition::R => (
                    [Factor::Generated, Factor::Given],
                    generated(graph, "row", rows * rank),
                    vec![graph.parameter("column_share", rank, cols, shared)],
                ),
                Decomposition::C => (
                    [Factor::Given, Factor::Generated],
                    vec![graph.parameter("row_share", rows, rank, shared)],
                    generated(graph, "column", rank * cols),
                ),
                // One factor can be made in the core's dispatch.
                Decomposition::Rc => (
                    [Factor::Generated, Factor::Given],
                    generated(graph, "row", rows * rank),
                    vec![given(graph, "column", rank * cols, Activation::None)],
                ),
            };
            let inputs = [row, column].concat();
            graph.add_one("core", LowRank { rows, rank, cols, factors }, &inputs)
        });
        let (row_groups, col_groups) = if transposed { (cols, rows) } else { (rows, cols) };
        let blocks = Blocks { outputs, inputs, row_groups, col_groups, repeat: options.repeat, transposed };
        Ok(Self { values, blocks, scale: options.scale })
    }

    /// The weighted layer (ψ(S) ⊙ W) h + b (equation 1); the bias is not weighted.
    pub fn layer(&self, graph: &mut Graph, name: &str, h: TensorId, epilogue: Epilogue) -> TensorId {
        let Blocks { outputs, inputs, .. } = self.blocks;
        graph.scoped(name, |graph| {
            let weight = graph.parameter("weight", outputs, inputs, Init::GlorotUniform);
            let bias = graph.parameter("bias", 1, outputs, Init::Zeros);
            let op = WeightedLinear { blocks: self.blocks, scale: self.scale, epilogue };
            graph.add_one("", op, &[h, self.values, weight, bias])
        })
    }
}
