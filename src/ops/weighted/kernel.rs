//! What the dispatches of weighted layers have in common: how shaders read a weighting and a layer.

use crate::graph::TensorId;
use crate::ops::{Arg, Blocks, Kernel, Repeat, Target};

/// How `shaders/common/blocks.wgsl` reads a weighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    tiled: bool,
    /// How `COL_MODE` reads members; 0 is one by one.
    pub(super) columns: usize,
    s_vector: bool,
    same_rows: usize,
}

impl Mode {
    pub(super) fn of(blocks: &Blocks) -> Self {
        let tiled = blocks.repeat == Repeat::Tile;
        let fours = blocks.col_groups.is_multiple_of(4);
        let columns = match blocks.cols_per_group() {
            members if !tiled && members.is_multiple_of(4) => 2,
            members if (tiled || members == 1) && fours => 1,
            _ => 0,
        };
        let neighbours = !tiled && blocks.rows_per_group().is_multiple_of(4);
        let same_rows = if neighbours || blocks.row_groups == 1 { 4 } else { 1 };
        Self { tiled, columns, s_vector: fours && !blocks.transposed, same_rows }
    }

    /// Members of a column group that are read at once.
    pub(super) fn together(self) -> usize {
        if self.columns == 2 { 4 } else { 1 }
    }

    pub(super) fn constants(self, kernel: Kernel) -> Kernel {
        let kernel = kernel.with("TILED", self.tiled).with("COL_MODE", self.columns);
        kernel.with("S_VECTOR", self.s_vector).with("SAME_ROWS", self.same_rows)
    }
}

/// From one row group to the next in S, and from one column group to the next.
pub(super) fn steps(blocks: &Blocks) -> [usize; 2] {
    if blocks.transposed { [1, blocks.row_groups] } else { [blocks.col_groups, 1] }
}

/// Adds what `shaders/common/scaled_weights.wgsl` wants beside what [`layer`] adds.
pub(super) fn scaled(kernel: Kernel, blocks: &Blocks) -> Kernel {
    kernel.with("INPUTS", blocks.inputs).with("TILED", blocks.repeat == Repeat::Tile)
}

/// Adds the constants that `shaders/common/weighted_layer.wgsl` and `scaled_weights.wgsl` share.
pub(super) fn layer(kernel: Kernel, blocks: &Blocks, scale: f64, weight: TensorId, target: &Target) -> Kernel {
    let [row_step, col_step] = steps(blocks);
    let weight = target.location(weight);
    kernel
        .with("OUTPUTS", blocks.outputs)
        .with("ROW_GROUPS", blocks.row_groups)
        .with("COL_GROUPS", blocks.col_groups)
        .with("ROW_MEMBERS", blocks.rows_per_group())
        .with("COL_MEMBERS", blocks.cols_per_group())
        .with("S_ROW_STEP", row_step)
        .with("S_COL_STEP", col_step)
        .with("SCALE", scale)
        .with("WEIGHT", weight.first)
        .with("WEIGHT_STRIDE", weight.stride)
        .bind([Arg::Parameters])
}

/// Sets the address of a tensor and the distance from one of its rows to the next.
pub(super) fn place(kernel: Kernel, names: [&'static str; 2], tensor: TensorId, target: &Target) -> Kernel {
    let location = target.location(tensor);
    kernel.with(names[0], location.first).with(names[1], location.stride)
}
