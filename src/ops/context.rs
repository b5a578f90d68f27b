//! What an operation sees when it runs on the CPU.

use std::ops::Range;

use super::{Label, Routes, RowMap, StepUniforms, TableValues};
use crate::cpu::{Arena, Columns, LANES, Lanes, Real, zeros};
use crate::graph::{BatchLayout, EmbeddingTable, Graph, Parameter, Shape};

/// The constants of an [`Optimizer`](crate::graph::Optimizer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerOptions {
    /// Adam's decay of the first moment.
    pub beta1: f64,
    /// Adam's decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of Adam's second moment, outside the bias correction as in TensorFlow, or of Adagrad's sum.
    pub epsilon: f64,
    /// L2 factor: `l2 · w` is added to the gradient.
    pub l2: f64,
}

/// An embedding table's state on the CPU.
#[derive(Clone, Debug)]
pub struct TableState<T> {
    /// rows × width.
    pub weights: TableValues<T>,
    /// First moments, rows × width; none but Adam's.
    pub first: Vec<T>,
    /// Second moments, rows × width, or Adagrad's sums of squares, of which there is one a row where it is row-wise.
    pub second: Vec<T>,
}

impl<T: Copy> TableState<T> {
    /// All first moments, then all second moments.
    pub fn moments(&self) -> impl Iterator<Item = T> + '_ {
        self.first.iter().chain(&self.second).copied()
    }
}

/// The dense parameters' state on the CPU, one vector per parameter.
#[derive(Clone, Debug, Default)]
pub struct DenseState<T> {
    /// Values.
    pub weights: Vec<Vec<T>>,
    /// First moments; empty vectors but for Adam's.
    pub first: Vec<Vec<T>>,
    /// Second moments, or Adagrad's sums of squares; empty vectors where there are none.
    pub second: Vec<Vec<T>>,
}

/// Everything that training changes, on the CPU.
#[derive(Clone, Debug, Default)]
pub struct ModelState<T> {
    /// Dense parameters.
    pub dense: DenseState<T>,
    /// Embedding tables.
    pub tables: Vec<TableState<T>>,
}

impl<T: Real> ModelState<T> {
    /// A state before the first step: these values, and what the graph's optimisers keep of them, which is 0.
    pub fn before_training(graph: &Graph, weights: Vec<Vec<T>>, tables: Vec<TableValues<T>>) -> Self {
        let [first, second] = [0, 1].map(|moment: usize| {
            let count = |p: &Parameter| p.rows * graph.optimizer.kept(p.cols)[moment];
            graph.parameters.iter().map(|p| zeros(count(p))).collect()
        });
        let of_table = |(table, weights): (&EmbeddingTable, TableValues<T>)| {
            let [first, second] = table.optimizer.kept(table.width).map(|kept| zeros(table.rows() * kept));
            TableState { weights, first, second }
        };
        let tables = graph.tables.iter().zip(tables).map(of_table).collect();
        Self { dense: DenseState { weights, first, second }, tables }
    }
}

/// Data rows an operation may read on the CPU; `order` of the step's batch says which.
#[derive(Clone, Copy, Debug)]
pub struct SourceView<'a> {
    /// Table rows, one per sample and field.
    pub ids: &'a [u32],
    /// Fields of a sample in `ids`.
    pub fields: usize,
    /// Multipliers of numeric fields.
    pub values: &'a [f32],
    /// Numeric fields of a sample in `values`.
    pub value_count: usize,
    /// Signed weights of the samples' labels ([`StepChunk::labels`](crate::plan::StepChunk::labels)), row-major.
    pub labels: &'a [f32],
    /// Labels of a sample.
    pub labels_per_row: usize,
}

/// What all operations of a step see.
#[derive(Clone, Copy)]
pub struct StepView<'a> {
    /// The step's numbers, the very struct that shaders read.
    pub uniforms: &'a StepUniforms,
    /// The graph's tables, for their layout.
    pub layout: &'a [EmbeddingTable],
    /// Layout of the batch.
    pub batch_layout: &'a BatchLayout,
    /// The step's batch.
    pub words: &'a [u32],
    /// The data.
    pub source: SourceView<'a>,
    /// Whether activations are rounded to halves where they may be, and gradients scaled.
    pub mixed_precision: bool,
}

impl StepView<'_> {
    /// What gradients are multiplied by before Adam: in mixed precision the largest power of two that is no more than the
    /// step's samples, so that the gradients of activations, which are means over these samples, are not too small for
    /// halves; else 1. Exact, as any power of two. The same in `shaders/common/loss_scale.wgsl`.
    pub fn loss_scale(&self) -> f64 {
        let exponent = ((self.uniforms.rows as f32).to_bits() >> 23) as i32 - 127;
        if self.mixed_precision { f64::from(exponent).exp2() } else { 1.0 }
    }

    /// What a sum over the step's samples is divided by to be their mean, times [`StepView::loss_scale`].
    pub fn mean_rows<T: Real>(&self) -> T {
        T::of(self.rows() as f64 / self.loss_scale())
    }

    /// What a sum of gradients is multiplied by to undo [`StepView::loss_scale`].
    pub fn unscale<T: Real>(&self) -> T {
        T::of(1.0 / self.loss_scale())
    }

    /// Samples in this step.
    pub fn rows(&self) -> usize {
        self.uniforms.rows as usize
    }

    /// For each sample its row in the data.
    pub fn order(&self) -> &[u32] {
        &self.words[self.batch_layout.order..][..self.rows()]
    }

    /// A sample's tokens.
    ///
    /// # Panics
    /// When the graph reads no sequences.
    pub fn tokens(&self, sample: usize) -> Range<usize> {
        let layout = self.batch_layout.tokens.as_ref().expect("a graph with tokens has them in its batch layout");
        let start = self.words[layout.starts + sample] as usize;
        start..start + self.words[layout.lengths + sample] as usize
    }

    /// The blocks of tokens that belong to a block of samples.
    pub fn token_blocks(&self, block: usize) -> Range<usize> {
        let next = (block + 1) * LANES;
        let end = if next < self.rows() { self.tokens(next).start } else { self.uniforms.tokens as usize };
        self.tokens(block * LANES).start / LANES..end / LANES
    }

    /// For each sample its scenario.
    ///
    /// # Panics
    /// When the graph has no parts for each scenario.
    pub fn scenarios(&self) -> &[u32] {
        let first = self.batch_layout.scenarios.expect("a graph with scenarios has them in its batch layout");
        &self.words[first..][..self.rows()]
    }
}

/// A node's tensor on the CPU.
#[derive(Clone, Copy)]
pub enum Value<'a, T> {
    /// Rows of the batch that all threads see.
    Shared(Columns<'a, T>),
    /// Rows of the samples' sequences.
    Tokens(Columns<'a, T>),
    /// So many columns, from this one on, of memory that only holds the block at hand.
    Local(usize, usize),
    /// A matrix with fixed rows, row-major.
    Matrix(&'a [T]),
}

/// One block of up to [`LANES`] samples, for operations that treat samples alike.
///
/// Lanes beyond the step's samples hold numbers that must not reach a sum over samples: losses have no gradient there.
pub struct Block<'a, T> {
    /// The step.
    pub step: StepView<'a>,
    /// The same as in `step`.
    pub uniforms: &'a StepUniforms,
    /// Embedding tables.
    pub tables: &'a [TableState<T>],
    /// Rows of the tensors it writes: samples, or tokens.
    pub(crate) rows: usize,
    pub(crate) index: usize,
    pub(crate) local: &'a Arena<T>,
    pub(crate) inputs: &'a [Value<'a, T>],
    pub(crate) outputs: &'a [Value<'a, T>],
    pub(crate) shapes: &'a [Shape],
    pub(crate) log: Columns<'a, T>,
}

impl<'a, T: Real> Block<'a, T> {
    /// The number of the first sample.
    pub fn first(&self) -> usize {
        self.index * LANES
    }

    /// How many samples the block has.
    pub fn count(&self) -> usize {
        LANES.min(self.rows - self.first())
    }

    /// The tokens of the sample in lane `lane`.
    pub fn tokens(&self, lane: usize) -> Range<usize> {
        self.step.tokens(self.first() + lane)
    }

    /// The blocks of tokens that belong to this block's samples.
    pub fn token_blocks(&self) -> Range<usize> {
        self.step.token_blocks(self.index)
    }

    /// Rows of all tokens of an input.
    pub fn token_tensor(&self, input: usize) -> Columns<'a, T> {
        match self.inputs[input] {
            Value::Tokens(columns) => columns,
            _ => panic!("this input has no row for each token"),
        }
    }

    /// Rounds this block's values of an output to halves; `by_tokens`: the block is one of tokens.
    pub(crate) fn round_output(&mut self, output: usize, by_tokens: bool) {
        let round = |lanes: &mut [Lanes<T>]| lanes.iter_mut().for_each(|lanes| T::round_to_halves(&mut lanes.0));
        match self.outputs[output] {
            Value::Tokens(_) if !by_tokens => {
                for tokens in self.token_blocks() {
                    round(self.token_output(output, tokens));
                }
            }
            _ => round(self.output(output)),
        }
    }

    /// Values of one of [`Block::token_blocks`] of an output.
    pub fn token_output(&mut self, output: usize, block: usize) -> &mut [Lanes<T>] {
        assert!(self.token_blocks().contains(&block));
        match self.outputs[output] {
            // SAFETY: as for `output`; a block of tokens belongs to one block of samples.
            Value::Tokens(columns) => unsafe { columns.block_mut(block) },
            _ => panic!("this output has no row for each token"),
        }
    }

    /// How many inputs the node has.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// Shape of an input.
    pub fn shape(&self, input: usize) -> Shape {
        self.shapes[input]
    }

    /// Rows of the whole batch of an input.
    ///
    /// # Panics
    /// When only this block's are there.
    pub fn tensor(&self, input: usize) -> Columns<'a, T> {
        match self.inputs[input] {
            Value::Shared(columns) => columns,
            _ => panic!("this input is not kept for the whole batch"),
        }
    }

    /// This block's values of an input [B, ·], a [`Lanes`] per column.
    #[inline(always)]
    pub fn columns(&self, input: usize) -> &'a [Lanes<T>] {
        match self.inputs[input] {
            Value::Shared(columns) | Value::Tokens(columns) => columns.block(self.index),
            // SAFETY: a thread's local memory is its own.
            Value::Local(first, width) => unsafe { self.local.tensor(first, width) }.block(0),
            Value::Matrix(_) => panic!("this input is no tensor of the batch"),
        }
    }

    /// An input with fixed rows.
    #[inline(always)]
    pub fn matrix(&self, input: usize) -> &'a [T] {
        match self.inputs[input] {
            Value::Matrix(values) => values,
            _ => panic!("this input is no matrix"),
        }
    }

    /// This block's values of an output.
    #[inline(always)]
    pub fn output(&mut self, output: usize) -> &mut [Lanes<T>] {
        // SAFETY: the executor gives each block to one thread, and a node's outputs overlap neither each other nor its
        // inputs (`Layout::new` sees to it); the result borrows `self` mutably, so there is one at a time.
        unsafe {
            match self.outputs[output] {
                Value::Shared(columns) | Value::Tokens(columns) => columns.block_mut(self.index),
                Value::Local(first, width) => self.local.tensor(first, width).block_mut(0),
                Value::Matrix(_) => panic!("this output is no tensor of the batch"),
            }
        }
    }

    /// This block's values of the first two outputs.
    #[inline(always)]
    pub fn two_outputs(&mut self) -> [&mut [Lanes<T>]; 2] {
        let first: *mut [Lanes<T>] = self.output(0);
        // SAFETY: outputs do not overlap; both borrow `self` for as long as the result lives.
        [unsafe { &mut *first }, self.output(1)]
    }

    /// Where the losses of the block's samples go in column number `column` of the loss log.
    pub fn log(&mut self, column: usize) -> &mut Lanes<T> {
        // SAFETY: as for `output`; the log overlaps no tensor.
        unsafe { &mut self.log.block_mut(self.index)[column] }
    }

    /// Which sample's row `rows` reads for the sample in lane `lane`.
    #[inline(always)]
    pub fn mapped(&self, rows: RowMap, lane: usize) -> usize {
        let sample = self.first() + lane;
        match rows {
            RowMap::Same => sample,
            RowMap::Shuffled => self.step.words[self.step.batch_layout.shuffle + sample] as usize,
            RowMap::Unshuffled => self.step.words[self.step.batch_layout.unshuffle + sample] as usize,
        }
    }

    /// The scenarios of this block's samples.
    ///
    /// # Panics
    /// When the graph has no parts for each scenario.
    #[inline(always)]
    pub fn scenarios(&self) -> &'a [u32] {
        let first = self.step.batch_layout.scenarios.expect("a graph with scenarios has them in its batch layout");
        &self.step.words[first + self.first()..][..self.count()]
    }

    /// The same, each scenario once.
    pub fn routes(&self) -> Routes<T> {
        Routes::of(self.scenarios())
    }

    /// A label of the sample in lane `lane`, 0 or 1, and what its loss is multiplied by.
    #[inline(always)]
    pub fn label_and_weight(&self, label: Label, lane: usize) -> (T, T) {
        let row = self.step.order()[self.first() + lane] as usize;
        let source = &self.step.source;
        let signed = source.labels[row * source.labels_per_row + label.number()];
        let label = if signed > 0.0 { T::one() } else { T::zero() };
        (label, T::of(f64::from(signed.abs())))
    }
}

/// All samples of a step, for operations that sum over them.
pub struct Batch<'a, T> {
    /// The step.
    pub step: StepView<'a>,
    pub(crate) inputs: &'a [Value<'a, T>],
}

impl<'a, T: Real> Batch<'a, T> {
    /// Blocks of samples.
    pub fn blocks(&self) -> usize {
        self.step.rows().div_ceil(LANES)
    }

    /// Blocks of an input's rows: samples or tokens.
    pub fn blocks_of(&self, input: usize) -> usize {
        match self.inputs[input] {
            Value::Tokens(_) => self.step.uniforms.tokens as usize / LANES,
            _ => self.blocks(),
        }
    }

    /// An input [B, ·] or [T, ·].
    #[inline(always)]
    pub fn tensor(&self, input: usize) -> Columns<'a, T> {
        match self.inputs[input] {
            Value::Shared(columns) | Value::Tokens(columns) => columns,
            _ => panic!("this input is not kept for the whole batch"),
        }
    }

    /// An input with fixed rows.
    pub fn matrix(&self, input: usize) -> &'a [T] {
        match self.inputs[input] {
            Value::Matrix(values) => values,
            _ => panic!("this input is no matrix"),
        }
    }
}
