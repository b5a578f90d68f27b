//! The dispatches of weighted layers, their weightings and discriminators.

use crate::graph::{Graph, Node, TensorId};
use crate::ops::affine::kernel::parts;
use crate::ops::loss::logit_loss::SAMPLES_PER_GROUP;
use crate::ops::table::{Groups, TILES_PER_GROUP};
use crate::ops::weighted::low_rank::is_shared;
use crate::ops::{
    Arg, Blocks, Discriminate, Kernel, LOSS_LANES, LowRank, LowRankGrad, Repeat, Target, WeightedLinear,
    WeightedLinearGrad, WeightedLinearGradWeights,
};

/// Samples that one invocation computes (`weighted_linear.wgsl`, `weighted_linear_grad.wgsl`).
const ROWS: usize = 8;
const GRAD_ROWS: usize = 4;
/// Outputs of a tile of dW (`weighted_linear_grad_weights.wgsl`).
const TILE: usize = 8;

/// How `shaders/common/blocks.wgsl` reads a weighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    tiled: bool,
    columns: usize,
    s_vector: bool,
    same_rows: usize,
}

impl Mode {
    fn of(blocks: &Blocks) -> Self {
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
    fn together(self) -> usize {
        if self.columns == 2 { 4 } else { 1 }
    }

    fn constants(self, kernel: Kernel) -> Kernel {
        let kernel = kernel.with("TILED", self.tiled).with("COL_MODE", self.columns);
        kernel.with("S_VECTOR", self.s_vector).with("SAME_ROWS", self.same_rows)
    }
}

/// From one row group to the next in S, and from one column group to the next.
fn steps(blocks: &Blocks) -> [usize; 2] {
    if blocks.transposed { [1, blocks.row_groups] } else { [blocks.col_groups, 1] }
}

/// Adds the constants of `shaders/common/weighted_layer.wgsl`.
fn layer(kernel: Kernel, blocks: &Blocks, scale: f64, weight: TensorId, target: &Target) -> Kernel {
    let [row_step, col_step] = steps(blocks);
    let weight = target.location(weight);
    Mode::of(blocks)
        .constants(kernel)
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
fn place(kernel: Kernel, names: [&'static str; 2], tensor: TensorId, target: &Target) -> Kernel {
    let location = target.location(tensor);
    kernel.with(names[0], location.first).with(names[1], location.stride)
}

pub(crate) fn linear(op: &WeightedLinear, node: &Node, target: &Target) -> Vec<Kernel> {
    let [h, s, weight, bias] = node.inputs[..] else { unreachable!("four inputs") };
    let outputs = op.blocks.outputs;
    let cols = match outputs {
        1 => 1,
        2..=4 => 4,
        _ => 8,
    };
    let threads = target.capacity.div_ceil(ROWS) * outputs.div_ceil(cols);
    let kernel = target.kernel("weighted_linear", threads).in_groups_of(TILES_PER_GROUP as u32);
    let kernel = layer(kernel, &op.blocks, op.scale, weight, target).with("COLS", cols);
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

pub(crate) fn grad(op: &WeightedLinearGrad, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
    let [dz, h, s, weight] = node.inputs[..4] else { unreachable!("four inputs at least") };
    let blocks = op.weighted.blocks;
    let across = if blocks.col_groups.is_multiple_of(4) { blocks.col_groups / 4 } else { 1 };
    let threads = target.capacity.div_ceil(GRAD_ROWS) * across;
    let kernel = target.kernel("weighted_linear_grad", threads).in_groups_of(TILES_PER_GROUP as u32);
    let kernel = layer(kernel, &blocks, op.weighted.scale, weight, target);
    let kernel = place(kernel, ["DZ", "DZ_STRIDE"], dz, target);
    let kernel = place(kernel, ["H", "H_STRIDE"], h, target);
    let kernel = place(kernel, ["S", "S_STRIDE"], s, target)
        .with("DH", target.location(node.outputs[0]).first)
        .with("DS", target.location(node.outputs[1]).first)
        .with("ADDS", op.adds)
        .with("ROW_VECTOR", blocks.repeat == Repeat::Interleave && blocks.rows_per_group().is_multiple_of(4));
    match node.inputs.get(4) {
        Some(&add) => vec![kernel.with("ADD", target.location(add).first)],
        None => vec![kernel],
    }
}

pub(crate) fn grad_weights(op: &WeightedLinearGradWeights, node: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
    // One dispatch for all layers that are read alike; as a rule that is all of them.
    let mut modes: Vec<Mode> = Vec::new();
    for mode in op.items.iter().map(|item| Mode::of(&item.blocks)) {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    modes.into_iter().map(|mode| grad_weights_of(op, node, target, mode)).collect()
}

fn grad_weights_of(op: &WeightedLinearGradWeights, node: &Node, target: &Target, mode: Mode) -> Kernel {
    let items = || op.items.iter().enumerate().filter(|(_, item)| Mode::of(&item.blocks) == mode);
    let tiles = |blocks: &Blocks| {
        let reads = blocks.cols_per_group() / mode.together();
        blocks.outputs.div_ceil(TILE) * blocks.col_groups.div_ceil(4) * reads
    };
    let parts = parts(target, items().map(|(_, item)| tiles(&item.blocks)).sum());
    let mut groups = Groups::default();
    for (index, item) in items() {
        let blocks = item.blocks;
        let [dz, h, s] = [0, 1, 2].map(|input| target.location(node.inputs[3 * index + input]));
        let gradient = target.location(node.outputs[index]);
        let [row_step, col_step] = steps(&blocks);
        let words = |words: [usize; 4]| words.map(|word| word as u32);
        groups.begin((tiles(&blocks) * parts).div_ceil(TILES_PER_GROUP));
        groups.item(
            [0, 0],
            vec![
                words([blocks.outputs, blocks.row_groups, blocks.col_groups, blocks.rows_per_group()]),
                words([blocks.cols_per_group(), row_step, col_step, 0]),
                [dz.first, dz.stride, h.first, h.stride],
                [s.first, s.stride, gradient.first, gradient.stride],
                [
                    parts as u32,
                    target.capacity.div_ceil(parts) as u32,
                    target.parameters as u32,
                    (item.scale as f32).to_bits(),
                ],
            ],
        );
    }
    let kernel = target.kernel("weighted_linear_grad_weights", groups.count() * TILES_PER_GROUP);
    let kernel = kernel.in_groups_of(TILES_PER_GROUP as u32).bind([Arg::Descriptors, Arg::Gradients]);
    groups.into_table(mode.constants(kernel))
}

/// Samples that one invocation computes (`low_rank.wgsl`).
const SAMPLES: usize = 4;

pub(crate) fn low_rank(op: &LowRank, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let made = op.generated();
    let across = match made {
        Some((1, _)) if op.cols.is_multiple_of(4) => op.cols / 4,
        Some((1, _)) => 1,
        _ => op.rows.div_ceil(4),
    };
    let kernel = target
        .kernel("low_rank", target.capacity.div_ceil(SAMPLES) * across)
        .in_groups_of(2 * TILES_PER_GROUP as u32)
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

pub(crate) fn low_rank_grad(op: &LowRankGrad, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let [ds, s, r, c] = node.inputs[..] else { unreachable!("four inputs") };
    let columns = if op.cols.is_multiple_of(4) { op.cols / 4 } else { 1 };
    let kernel = target
        .kernel("low_rank_grad", target.capacity * (op.rows.div_ceil(4) + columns))
        .bind([Arg::Parameters])
        .with("ROWS", op.rows)
        .with("RANK", op.rank)
        .with("COLS", op.cols)
        .with("CAPACITY", target.capacity)
        .with("DS", target.location(ds).first);
    let kernel = place(kernel, ["S", "S_STRIDE"], s, target);
    let kernel = place(kernel, ["DR", "DR_STRIDE"], node.outputs[0], target);
    let kernel = place(kernel, ["DC", "DC_STRIDE"], node.outputs[1], target);
    vec![factors(kernel, [r, c], graph, target)]
}

pub(crate) fn discriminate(op: &Discriminate, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let mut groups = Groups::default();
    for ((pairing, inputs), outputs) in
        op.pairings.iter().zip(node.inputs.chunks_exact(4)).zip(node.outputs.chunks_exact(4))
    {
        let [aware, weighting, w, c] = [0, 1, 2, 3].map(|input| target.location(inputs[input]));
        let [z, sum, y, dt] = [0, 1, 2, 3].map(|output| target.location(outputs[output]));
        groups.begin(LOSS_LANES);
        groups.item(
            [0, 0],
            vec![
                [aware.first, aware.stride, weighting.first, weighting.stride],
                [z.first, sum.first, y.first, dt.first],
                [z.stride, sum.stride, y.stride, w.first],
                [c.first, pairing.first_column as u32, (pairing.weight as f32).to_bits(), 0],
            ],
        );
    }
    let kernel = target
        .kernel("discriminate", groups.count() * SAMPLES_PER_GROUP)
        .in_groups_of(SAMPLES_PER_GROUP as u32)
        .with("HIDDEN", op.hidden)
        .with("WARM_UP", op.warm_up.0)
        .with("SHUFFLE", target.batch_layout.shuffle)
        .with("LANES", LOSS_LANES)
        .with("LOG_WIDTH", graph.loss_columns)
        .bind([Arg::Descriptors, Arg::Parameters, Arg::Batches, Arg::Losses]);
    vec![groups.into_table(kernel)]
}
