//! One file per operation, the whole of it in one place: shape rule, gradient rule, CPU code, shader and bindings.
//!
//! To add one: write its file here and its shader under `shaders/`, and add a line to the list below (and to the list
//! in `shaders.rs`).

mod combine;
mod cost;
mod dense_adam;
mod embed;
mod epilogue;
mod kernel;
mod linear;
mod linear_grad;
mod logit_loss;
mod low_rank;
mod row_adam;
mod shaders;
mod store_logits;
mod sum_rows;
mod weighted;
mod weighted_grad;

pub use combine::{Combine, Gate, Piece, RowMap};
pub use cost::Cost;
pub use dense_adam::DenseAdam;
pub use embed::{Embed, EmbedGrad, MOST_FIELDS_WITH_NUMERIC};
pub use epilogue::{Activation, Epilogue};
pub use kernel::{Arg, Clock, Kernel, TableArg, Target, Threads};
pub use linear::Linear;
pub use linear_grad::{LinearGradInput, LinearGradWeights};
pub use logit_loss::{LOSS_LANES, LogitLoss, LossColumn, LossTarget};
pub use low_rank::{LowRank, LowRankGrad, Side};
pub use row_adam::{RowAdam, RowSweep};
pub use shaders::{SHADERS, import_text, shader_text};
pub use store_logits::StoreLogits;
pub use sum_rows::SumRows;
pub use weighted::{Blocks, Repeat, WeightedLinear};
pub use weighted_grad::{WeightedLinearGrad, WeightedLinearGradWeights};

use std::sync::Mutex;

use crate::cpu::Real;
use crate::graph::{Graph, Node, Schedule, Shape, Table, TensorId};

/// Adam's constants (Kingma and Ba 2015), ε outside the bias correction as in TensorFlow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// L2 factor: `l2 · w` is added to the gradient.
    pub l2: f64,
}

/// An embedding table's state on the CPU.
#[derive(Clone, Debug)]
pub struct TableState<T> {
    /// rows × width.
    pub weights: Vec<T>,
    /// First moments, rows × width.
    pub first: Vec<T>,
    /// Second moments, rows × width.
    pub second: Vec<T>,
}

/// The dense parameters' state on the CPU, one vector per parameter.
#[derive(Clone, Debug, Default)]
pub struct DenseState<T> {
    /// Values.
    pub weights: Vec<Vec<T>>,
    /// First moments.
    pub first: Vec<Vec<T>>,
    /// Second moments.
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

/// Data rows an operation may read on the CPU; `order` of the step's slot says which.
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
    /// Labels, one per sample.
    pub labels: &'a [f32],
}

/// What an operation sees when it runs on the CPU.
pub struct Cpu<'a, T> {
    /// The step's numbers, the very struct that shaders read.
    pub clock: &'a Clock,
    /// The tensors the node reads: the step's rows of those that have the batch's.
    pub inputs: &'a [&'a [T]],
    /// Their shapes.
    pub shapes: &'a [Shape],
    /// Embedding tables; empty while one is being updated.
    pub tables: &'a [TableState<T>],
    /// The graph's tables, for their layout.
    pub layout: &'a [Table],
    /// Layout of the slot.
    pub schedule: &'a Schedule,
    /// The step's slot.
    pub words: &'a [u32],
    /// The data.
    pub source: SourceView<'a>,
    /// Where losses are logged: [`LOSS_LANES`] × columns.
    pub losses: &'a Mutex<Vec<T>>,
    /// Where predictions are stored.
    pub results: &'a Mutex<Vec<f32>>,
}

impl<T> Cpu<'_, T> {
    /// Samples in this step.
    pub fn rows(&self) -> usize {
        self.clock.rows as usize
    }

    /// For each sample its row in the data.
    pub fn order(&self) -> &[u32] {
        &self.words[self.schedule.order..][..self.rows()]
    }
}

/// What every operation says of itself.
pub trait Operation {
    /// The operation's name in listings.
    fn name(&self) -> &'static str;

    /// Shapes of the tensors it writes, given those it reads.
    ///
    /// # Panics
    /// When the shapes cannot be combined.
    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape>;

    /// Adds the nodes that turn the gradients of the outputs into gradients of the inputs; `None` where an input has
    /// none. `grads` is `None` for outputs that nothing depends on.
    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let _ = (grads, graph);
        vec![None; node.inputs.len()]
    }

    /// The operation as it is when predicting (dropout off).
    fn inference(&self) -> Op;

    /// Floating-point operations and bytes of memory it moves for `batch` samples.
    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost;

    /// Computes the outputs on the CPU. Outputs hold room for a whole batch; only the step's rows need be written.
    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]);

    /// Updates the model's state on the CPU, for operations that do.
    fn update<T: Real>(&self, cpu: &Cpu<'_, T>, state: &mut ModelState<T>) {
        let _ = (cpu, state);
    }

    /// The dispatches that compute it on a GPU.
    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel>;
}

/// Declares [`Op`] and passes each call on to the operation it holds.
macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// Any operation.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Op {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self {
                Self::$name(op)
            }
        })*

        impl Operation for Op {
            fn name(&self) -> &'static str {
                match self { $(Self::$name(op) => op.name(),)* }
            }
            fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
                match self { $(Self::$name(op) => op.outputs(inputs),)* }
            }
            fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
                match self { $(Self::$name(op) => op.gradient(node, grads, graph),)* }
            }
            fn inference(&self) -> Op {
                match self { $(Self::$name(op) => op.inference(),)* }
            }
            fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
                match self { $(Self::$name(op) => op.cost(node, graph, batch),)* }
            }
            fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
                match self { $(Self::$name(op) => op.run(cpu, outputs),)* }
            }
            fn update<T: Real>(&self, cpu: &Cpu<'_, T>, state: &mut ModelState<T>) {
                match self { $(Self::$name(op) => op.update(cpu, state),)* }
            }
            fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
                match self { $(Self::$name(op) => op.kernels(node, graph, target),)* }
            }
        }
    };
}

operations! {
    Embed,
    EmbedGrad,
    Linear,
    LinearGradInput,
    LinearGradWeights,
    WeightedLinear,
    WeightedLinearGrad,
    WeightedLinearGradWeights,
    LowRank,
    LowRankGrad,
    SumRows,
    Combine,
    LogitLoss,
    StoreLogits,
    DenseAdam,
    RowAdam,
    RowSweep,
}
