//! How an operation describes its dispatches to a GPU.

use bytemuck::{Pod, Zeroable};

use crate::gpu::Constant;

/// A step's numbers, as shaders read them (`shaders/common/clock.wgsl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Clock {
    /// Samples in this step.
    pub rows: u32,
    /// First word of the step's slot in the schedule.
    pub base: u32,
    /// Number of the slot: where losses are logged.
    pub slot: u32,
    /// Row of the results where this step's first prediction goes.
    pub first: u32,
    /// Seed of the run's random masks.
    pub seed: u32,
    /// Optimiser steps taken before this one.
    pub step: u32,
    /// Learning rate times Adam's bias correction, √(1 − β₂ᵗ) / (1 − β₁ᵗ).
    pub learning_rate: f32,
    /// 1 / rows.
    pub inverse_rows: f32,
}

/// What a plan is lowered for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Samples a step can hold.
    pub capacity: usize,
    /// Layout of a step's slot.
    pub schedule: crate::graph::Schedule,
    /// Rows of each table that fit one binding; a table is split in shards of so many.
    pub shard_rows: Vec<usize>,
    /// Invocations of a workgroup.
    pub workgroup: u32,
    /// Lookups of a sample, over all tables.
    pub fields: usize,
    /// Values of a sample in the data's values.
    pub value_count: usize,
}

impl Target {
    /// First row and row count of each shard of table number `table`, which has `rows` rows.
    pub fn shards(&self, table: usize, rows: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let size = self.shard_rows[table];
        (0..rows.div_ceil(size)).map(move |shard| (shard, shard * size, size.min(rows - shard * size)))
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
    /// The node's i-th input.
    Input(usize),
    /// The node's i-th output.
    Output(usize),
    /// One shard of a table.
    Table {
        /// Number of the table.
        table: usize,
        /// Number of the shard.
        shard: usize,
        /// Which buffer.
        what: TableArg,
    },
    /// The whole buffer of dense parameters.
    Parameters,
    /// The whole buffer of their gradients.
    Gradients,
    /// Their first moments.
    FirstMoments,
    /// Their second moments.
    SecondMoments,
    /// The slots of the steps in flight.
    Schedule,
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

/// How many invocations a dispatch needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// So many, whatever the dense parameters.
    Count(usize),
    /// One per value of the buffer of dense parameters.
    PerParameter,
}

/// One dispatch of a shader.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// File stem under `shaders/`.
    pub shader: &'static str,
    /// Values for the shader's constants.
    pub constants: Vec<(&'static str, Constant)>,
    /// Buffers in the order of the shader's bindings of group 0.
    pub args: Vec<Arg>,
    /// Invocations.
    pub threads: Threads,
}

impl Kernel {
    /// A dispatch of `threads` invocations of `shader`.
    pub fn new(shader: &'static str, threads: usize) -> Self {
        Self { shader, constants: Vec::new(), args: Vec::new(), threads: Threads::Count(threads) }
    }

    /// Sets a constant.
    pub fn with(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Binds buffers, in order.
    pub fn bind(mut self, args: impl IntoIterator<Item = Arg>) -> Self {
        self.args.extend(args);
        self
    }
}
