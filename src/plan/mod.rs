//! From a graph to a fixed list of dispatches, and the executors that replay it.
//!
//! [`Plan::training`] differentiates a model's graph, fuses what can be fused and gives every tensor a buffer;
//! [`Plan::inference`] keeps what the logits need. An [`Executor`] owns the model's state and replays plans on the CPU
//! ([`CpuExecutor`]) or on a GPU ([`GpuExecutor`]).
//!
//! *Stability*: [`Plan`] and [`Executor`] change as the engine needs; results do not depend on it but for rounding.

mod buffers;
mod chunk;
mod cpu_executor;
mod cpu_layout;
mod differentiate;
mod executor;
mod footprint;
mod fuse;
mod gpu_executor;
mod gpu_memory;
mod initial;
mod listing;
mod lower;
mod order;
mod pacing;
mod profile;
mod segment;
mod tag_words;
mod tuning;

pub use buffers::{ARENAS, Memory, Place};
pub use chunk::{BatchPacker, RowSource, Step, StepChunk};
pub use cpu_executor::{CpuExecutor, convert, probe};
#[doc(hidden)]
pub use executor::mean_losses;
pub use executor::{Error, Executor, StepLosses};
pub use footprint::check_graph;
pub use gpu_executor::{GpuExecutor, GpuOptions};
pub use initial::initial_state;
pub use listing::{DispatchListing, Listing, MemoryListing};
pub use lower::{Dispatch, DispatchLimits, DispatchSource, ParameterPlaces, Resource, parameter_places};
pub use profile::{Profile, TimedPart};
pub use segment::Segment;
pub use tuning::Tuning;

use crate::graph::{BatchLayout, Graph, RowExtent, TensorId};
use crate::ops::{Affine, Op, OptimizerOptions, StoreLogits};

/// What a training plan needs to know beside the graph.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// Samples a step can hold: the batch size.
    pub capacity: usize,
    /// Constants of the dense parameters' optimiser ([`Graph::optimizer`]).
    pub dense: OptimizerOptions,
    /// Constants of the embedding rows' optimiser ([`EmbeddingTable::optimizer`](crate::graph::EmbeddingTable::optimizer)).
    pub embeddings: OptimizerOptions,
    /// The largest norm of all gradients together; larger ones are scaled down to it ([`ClipFactor`](crate::ops::ClipFactor)).
    pub max_gradient_norm: Option<f64>,
    /// Whether Adam also moves embedding rows that a batch did not read (dense Adam; lazy otherwise).
    pub dense_embedding_adam: bool,
    /// Whether activations and their gradients are stored as halves where they may be. Sums, losses, moments and parameters
    /// stay f32, as does all arithmetic.
    pub mixed_precision: bool,
}

/// One step as a fixed list of operations over pre-assigned buffers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The operations, in the order they run.
    pub graph: Graph,
    /// Samples a step can hold.
    pub capacity: usize,
    /// Layout of a step's batch.
    pub batch_layout: BatchLayout,
    /// For each parameter its gradient, if it has one; empty where nothing is trained.
    pub gradients: Vec<Option<TensorId>>,
    /// Tensors [B, ·] that are read after a step.
    pub kept: Vec<TensorId>,
    /// Whether activations are stored as halves where they may be ([`Plan::is_half`]), and gradients scaled
    /// ([`StepView::loss_scale`](crate::ops::StepView::loss_scale)).
    pub mixed_precision: bool,
    /// The tensors that are halves then.
    halves: Vec<bool>,
}

/// With fewer columns a tensor has little to gain, and mostly much to lose: logits and scores are as narrow.
const LEAST_HALVES: usize = 8;

/// The tensors that mixed precision stores as halves: those with a row for each sample or token, which are most of the
/// memory. What is summed over samples is not.
fn halves(graph: &Graph) -> Vec<bool> {
    let mut halves: Vec<bool> = graph
        .tensors
        .iter()
        .map(|tensor| {
            let by_rows = !matches!(tensor.shape.rows, RowExtent::Fixed(_));
            by_rows && tensor.shape.cols >= LEAST_HALVES && tensor.parameter.is_none()
        })
        .collect();
    for node in graph.nodes.iter().filter(|node| matches!(node.op, Op::EmbedGrad(_))) {
        node.outputs.iter().for_each(|output| halves[output.0] = false);
    }
    halves
}

impl Plan {
    /// The plan of one training step: forward, backward and optimiser.
    ///
    /// # Panics
    /// When a parameter has no influence on the loss: that is a mistake in a model.
    pub fn training(graph: &Graph, options: &TrainingOptions) -> Self {
        let (graph, gradients) = differentiate::with_training(graph, options);
        let kept: Vec<TensorId> = gradients.iter().copied().flatten().collect();
        Self::of_training(fuse::fuse(graph, &kept), gradients, options)
    }

    /// The same without fusion: every concatenation, slice and sum is computed where the model has it. Slower, with the
    /// same results but for rounding; to see what fusion does.
    ///
    /// # Panics
    /// As [`Plan::training`].
    pub fn unfused_training(graph: &Graph, options: &TrainingOptions) -> Self {
        let (graph, gradients) = differentiate::with_training(graph, options);
        Self::of_training(graph, gradients, options)
    }

    fn of_training(graph: Graph, gradients: Vec<Option<TensorId>>, options: &TrainingOptions) -> Self {
        let graph = order::order(graph);
        let batch_layout = BatchLayout::training(&graph, options.capacity);
        let halves = if options.mixed_precision { halves(&graph) } else { Vec::new() };
        let plan = Self::assemble(graph, options.capacity, batch_layout, gradients);
        Self { mixed_precision: options.mixed_precision, halves, ..plan }
    }

    /// The plan of predicting one batch: what the logits (and those of [`Graph::heads`]) need, without dropout.
    ///
    /// # Panics
    /// When the graph has no logits.
    pub fn inference(graph: &Graph, capacity: usize) -> Self {
        let logits = graph.logits.expect("a model sets its logits");
        let all: Vec<TensorId> = std::iter::once(logits).chain(graph.heads.iter().map(|(_, head)| *head)).collect();
        let mut graph = differentiate::forward_only(graph, &all);
        let stored = if let [one] = all[..] { one } else { Affine::concat(&mut graph, "logits", &all) };
        graph.add("logits", StoreLogits, &[stored]);
        let graph = order::order(fuse::fuse(graph, &[]));
        let batch_layout = BatchLayout::inference(&graph, capacity);
        Self { kept: vec![stored], ..Self::assemble(graph, capacity, batch_layout, Vec::new()) }
    }

    /// The plan of computing a graph's probes for one batch.
    pub fn probing(graph: &Graph, capacity: usize) -> Self {
        let kept: Vec<TensorId> = graph.probes.iter().map(|probe| probe.tensor).collect();
        let graph = order::order(fuse::fuse(differentiate::forward_only(graph, &kept), &kept));
        let batch_layout = BatchLayout::inference(&graph, capacity);
        Self { kept, ..Self::assemble(graph, capacity, batch_layout, Vec::new()) }
    }

    /// Whether a tensor is stored as halves.
    pub fn is_half(&self, tensor: TensorId) -> bool {
        self.halves.get(tensor.0).is_some_and(|half| *half)
    }

    /// Lookups of one sample, over all tables.
    pub fn lookups(&self) -> usize {
        self.graph.tables.iter().map(|table| table.fields.len()).sum()
    }

    /// Numeric fields of a sample.
    pub fn value_count(&self) -> usize {
        let columns = self.graph.tables.iter().flat_map(|table| &table.fields).filter_map(|field| field.value);
        columns.max().map_or(0, |last| last + 1)
    }

    fn assemble(graph: Graph, capacity: usize, batch_layout: BatchLayout, gradients: Vec<Option<TensorId>>) -> Self {
        let (kept, halves) = (Vec::new(), Vec::new());
        Self { graph, capacity, batch_layout, gradients, kept, mixed_precision: false, halves }
    }
}
