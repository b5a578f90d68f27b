//! How an operation describes its dispatches to a GPU.

use bytemuck::{Pod, Zeroable};

use crate::gpu::{Constant, DeviceClass};
use crate::graph::TensorId;

/// The step uniforms: what all dispatches of a step read through one dynamic offset (`shaders/common/uniforms.wgsl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct StepUniforms {
    /// Samples in this step.
    pub rows: u32,
    /// First word of the step's batch in the batches' buffer.
    pub batch_offset: u32,
    /// Number of the batch within its chunk: its row of the loss log.
    pub batch_index: u32,
    /// Row of the results where this step's first prediction goes.
    pub first_result: u32,
    /// Seed of the run's random masks.
    pub seed: u32,
    /// Optimiser steps taken before this one.
    pub step: u32,
    /// Learning rate times Adam's bias correction, √(1 − β₂ᵗ) / (1 − β₁ᵗ).
    pub learning_rate: f32,
    /// 1 / rows.
    pub inverse_rows: f32,
    /// Tokens in this step, padding between blocks of samples included.
    pub tokens: u32,
    /// `learning_rate`, but that of embedding rows.
    pub embedding_rate: f32,
    /// What is added to a logit before it is compared with the label: −ln r where only a part r of the negatives is drawn.
    pub logit_offset: f32,
}

/// Where a matrix lies in device memory: rows begin at multiples of 4 values, so that shaders read four at a time.
///
/// Of a tensor [B, ·] it is an address among the activations (`shaders/common/memory.wgsl`), of a parameter a place in
/// the parameters' buffer and in those of its gradient and moments, which are laid out alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The first value.
    pub first: u32,
    /// From one row to the next, in values.
    pub stride: u32,
}

impl Location {
    /// Where row `row`, column `col` lies.
    pub fn at(self, row: usize, col: usize) -> u32 {
        self.first + self.stride * row as u32 + col as u32
    }

    /// The values from one row of a matrix with `cols` columns to the next.
    pub const fn stride_of(cols: usize) -> usize {
        cols.next_multiple_of(4)
    }
}

/// What a plan is lowered for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Samples a step can hold.
    pub capacity: usize,
    /// Tokens a step can hold.
    pub tokens: usize,
    /// Layout of a step's batch.
    pub batch_layout: crate::graph::BatchLayout,
    /// Rows per shard of each table: as many as fit one binding.
    pub shard_rows: Vec<usize>,
    /// Invocations of a workgroup, where a kernel does not ask for others.
    pub workgroup: u32,
    /// The device's class, which decides the family of kernels.
    pub class: DeviceClass,
    /// Lookups of a sample, over all tables.
    pub fields: usize,
    /// Values of a sample in the data's values.
    pub value_count: usize,
    /// Where each tensor lies, if an operation touches it.
    pub locations: Vec<Option<Location>>,
    /// Buffers that activations lie in.
    pub arenas: Arenas,
    /// Whether activations are halves where they may be, and gradients scaled ([`StepView::loss_scale`]).
    ///
    /// [`StepView::loss_scale`]: crate::ops::StepView::loss_scale
    pub mixed_precision: bool,
    /// Values of the parameters' buffer, padding included.
    pub parameters: usize,
    /// Those of them, the first, that are trained.
    pub trained: usize,
    /// Copies of the gradients' buffer: a sum over a batch is split into at most this many parts (split-K).
    pub parts: usize,
    /// Workgroups that such a sum is split for.
    pub sum_workgroups: usize,
    /// Rows and columns of a gradient that a GPU's workgroup sums (`grad_tile.wgsl`).
    pub grad_tile: usize,
    /// Samples of a block: what a workgroup takes through a segment.
    pub block: usize,
    /// Invocations of the device's subgroups, at least, where kernels may exchange values within them.
    pub subgroup: Option<u32>,
    /// Sums of each column of the loss log: the samples of a step are summed in so many groups.
    pub lanes: usize,
}

impl Target {
    /// First row and row count of each shard of table number `table`, which has `rows` rows.
    pub fn shards(&self, table: usize, rows: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let size = self.shard_rows[table];
        (0..rows.div_ceil(size)).map(move |shard| (shard, shard * size, size.min(rows - shard * size)))
    }

    /// Where a tensor lies.
    ///
    /// # Panics
    /// When no operation of the plan touches it.
    pub fn location(&self, tensor: TensorId) -> Location {
        self.locations[tensor.0].expect("a node's tensors have places")
    }

    /// Samples a step can hold, or tokens.
    pub fn rows(&self, tokens: bool) -> usize {
        if tokens { self.tokens } else { self.capacity }
    }

    /// What computes a block of samples together, of a shader that imports `block.wgsl` and `memory.wgsl`; binds the
    /// activations.
    pub fn block_kernel(&self, shader: &'static str) -> Kernel {
        let threads = self.capacity.div_ceil(self.block) * BLOCK_INVOCATIONS;
        let kernel = self.kernel(shader, threads).with("BLOCK", self.block);
        Kernel { form: Form::Block, ..kernel.in_groups_of(BLOCK_INVOCATIONS as u32) }
    }

    /// Has a kernel exchange values within subgroups, where it may, and not by workgroup memory: in the place of the common
    /// file `by_memory` it imports `by_subgroup`.
    pub fn exchanging(&self, kernel: Kernel, by_memory: &'static str, by_subgroup: &'static str) -> Kernel {
        match self.subgroup {
            Some(least) => kernel.import(by_memory, by_subgroup).with("LEAST_SUBGROUP", least),
            None => kernel,
        }
    }

    /// As [`Target::block_kernel`], of a shader that imports `eight.wgsl`.
    pub fn block_kernel_of_eights(&self, shader: &'static str) -> Kernel {
        self.exchanging(self.block_kernel(shader), "eight", "eight_subgroup")
    }

    /// A dispatch of `threads` invocations of a shader that imports `memory.wgsl`; binds the activations.
    pub fn kernel(&self, shader: &'static str, threads: usize) -> Kernel {
        let kernel = Kernel::new(shader, threads).bind((0..3).map(Arg::Arena));
        match self.arenas {
            Arenas::Full(count) => kernel.with("ARENAS", count),
            Arenas::Mixed(halves) => kernel.import("memory", "half_memory").with("HALF_ARENAS", halves),
        }
    }
}

/// The buffers that activations lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arenas {
    /// So many, of f32 (`shaders/common/memory.wgsl`).
    Full(usize),
    /// So many of halves, one or two, and the third of f32 (`shaders/common/half_memory.wgsl`).
    Mixed(usize),
}

impl Arenas {
    /// The number of the arena of f32 where others are of halves.
    pub const OF_F32: usize = 2;

    /// The arena that is bound in the place of one: where there are fewer than shaders bind, the last again.
    pub fn bound(self, arena: usize) -> usize {
        match self {
            Self::Full(count) => arena.min(count - 1),
            Self::Mixed(_) if arena == Self::OF_F32 => arena,
            Self::Mixed(halves) => arena.min(halves - 1),
        }
    }

    /// The same, and with more buffers, as far as shaders can bind them.
    pub fn and_more(self) -> Vec<Self> {
        match self {
            Self::Full(count) => (count..=3).map(Self::Full).collect(),
            Self::Mixed(halves) => (halves..=2).map(Self::Mixed).collect(),
        }
    }

    /// Whether an arena holds halves.
    pub fn is_of_halves(self, arena: usize) -> bool {
        matches!(self, Self::Mixed(_)) && arena != Self::OF_F32
    }

    /// Bytes of a value in an arena.
    pub fn value_bytes(self, arena: usize) -> u64 {
        if self.is_of_halves(arena) { 2 } else { 4 }
    }
}

/// Which of a table's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableArg {
    /// The embeddings.
    Weights,
    /// First moments.
    First,
    /// Second moments.
    Second,
}

/// A buffer bound to a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arg {
    /// The activations' buffer of this number; the last one where there are fewer.
    Arena(usize),
    /// The dispatch's own table of numbers, [`Kernel::descriptors`].
    Descriptors,
    /// One shard of a table.
    Table {
        /// Number of the table.
        table: usize,
        /// Number of the shard.
        shard: usize,
        /// Which buffer.
        what: TableArg,
    },
    /// The dense parameters.
    Parameters,
    /// Their gradients: `Target::parts` copies.
    Gradients,
    /// Their first moments.
    FirstMoments,
    /// Their second moments.
    SecondMoments,
    /// The batches of the steps in flight.
    Batches,
    /// Table rows of the data.
    Ids,
    /// Values of the data.
    Values,
    /// Labels of the data.
    Labels,
    /// The loss log.
    Losses,
    /// Predictions.
    Results,
}

impl Arg {
    /// The buffer that is bound where activations lie in these arenas.
    pub fn within(self, arenas: Arenas) -> Self {
        match self {
            Self::Arena(arena) => Self::Arena(arenas.bound(arena)),
            other => other,
        }
    }
}

impl From<usize> for Constant {
    fn from(value: usize) -> Self {
        u32::try_from(value).expect("shader constants fit 32 bits").into()
    }
}

impl From<f64> for Constant {
    fn from(value: f64) -> Self {
        (value as f32).into()
    }
}

/// How the work of a kernel is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The shader's own `main` knows; the kernel is a dispatch of its own.
    Dispatch,
    /// The shader declares `fn piece(at: u32)`. Each sample has the same number of pieces, one sample's after the other's,
    /// which read and write that sample's rows only; what they read of other samples was there before the segment.
    Pieces,
    /// The shader declares `fn block(first: u32, local: u32, at: u32)`, which all invocations of a workgroup call together,
    /// to compute the block of samples from `first` on; `at` is the kernel's first quad of descriptors.
    Block,
    /// The shader declares `fn piece(at: u32)`, of pieces that have nothing to do with samples.
    Items,
    /// The shader declares `fn tiles(group: u32, local: u32, at: u32)`, which all invocations of a workgroup call together;
    /// `at` is the kernel's first quad of descriptors.
    Tiles,
}

/// Invocations of a workgroup that takes a block of samples through a segment, or shares a dispatch with others.
pub const BLOCK_INVOCATIONS: usize = 256;

/// One dispatch of a shader, or its part of a segment.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// File stem under `shaders/`.
    pub shader: &'static str,
    /// Values for the shader's constants.
    pub constants: Vec<(&'static str, Constant)>,
    /// Imports of the shader, and what stands in their place.
    pub imports: Vec<(&'static str, &'static str)>,
    /// Buffers in the order of the shader's bindings of group 0.
    pub args: Vec<Arg>,
    /// Invocations.
    pub threads: usize,
    /// How they share the work.
    pub form: Form,
    /// Invocations of a workgroup, if not the target's.
    pub workgroup: Option<u32>,
    /// Numbers that the shader reads from [`Arg::Descriptors`].
    pub descriptors: Vec<u32>,
}

impl Kernel {
    /// A dispatch of `threads` invocations of `shader`.
    pub fn new(shader: &'static str, threads: usize) -> Self {
        Self {
            shader,
            constants: Vec::new(),
            imports: Vec::new(),
            args: Vec::new(),
            threads,
            form: Form::Dispatch,
            workgroup: None,
            descriptors: Vec::new(),
        }
    }

    /// Says that the shader has pieces, the same number for each sample.
    pub fn by_pieces(self) -> Self {
        Self { form: Form::Pieces, ..self }
    }

    /// Sets a constant.
    pub fn with(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Puts another of the common files in the place of one that the shader imports.
    pub fn import(mut self, name: &'static str, replacement: &'static str) -> Self {
        self.imports.push((name, replacement));
        self
    }

    /// Binds buffers, in order.
    pub fn bind(mut self, args: impl IntoIterator<Item = Arg>) -> Self {
        self.args.extend(args);
        self
    }

    /// Says that the shader has pieces, as many as invocations, whatever the batch.
    pub fn by_items(self) -> Self {
        Self { form: Form::Items, ..self }
    }

    /// Says that the shader has tiles.
    pub fn by_tiles(self) -> Self {
        Self { form: Form::Tiles, ..self.in_groups_of(BLOCK_INVOCATIONS as u32) }
    }

    /// Sets the invocations of a workgroup.
    pub fn in_groups_of(self, workgroup: u32) -> Self {
        Self { workgroup: Some(workgroup), ..self }
    }
}
