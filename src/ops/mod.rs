//! One file per operation, the whole of it in one place: shape rule, gradient rule, CPU code, shader and bindings.
//!
//! To add one: write its file here and its shader under `shaders/`, and add a line to the list below (and to the list
//! in `shaders.rs`).

mod affine;
mod affine_kernel;
mod attention;
mod compare;
mod context;
mod cost;
mod dense_adam;
mod discriminate;
mod embed;
mod epilogue;
mod kernel;
mod label_mixture;
mod layer_norm;
mod logit_loss;
mod low_rank;
mod mixture;
mod moments;
mod multiply;
mod mutual;
mod normalize;
mod orthogonality;
mod pairwise;
mod pool;
mod positions;
mod prune;
mod routes;
mod row_adam;
mod sample_matrix;
mod select;
mod shaders;
mod sparsity;
mod star;
mod store_logits;
mod table;
mod token_pool;
mod tokens;
mod view;
mod weight_grads;
mod weighted;
mod weighted_grad;
mod weighted_kernel;

pub use affine::{Affine, Bias, BiasPart, Draft, Item, Part, Source, Term};
pub use attention::{Attention, AttentionGrad};
pub use compare::{Compare, CompareGrad};
pub use context::{AdamOptions, Batch, Block, DenseState, ModelState, SourceView, StepView, TableState, Value};
pub use cost::Cost;
pub use dense_adam::DenseAdam;
pub use discriminate::{Discriminate, Pairing};
pub use embed::{Embed, EmbedGrad, MOST_FIELDS_WITH_NUMERIC};
pub use epilogue::{Activation, Epilogue};
pub use kernel::{Arg, Clock, Kernel, Location, TableArg, Target};
pub use label_mixture::{LabelMixture, LabelMixtureGrad};
pub use layer_norm::{LayerNorm, LayerNormGrad};
pub use logit_loss::{LOSS_LANES, LogitLoss};
pub use low_rank::{Factor, LowRank, LowRankGrad};
pub use mixture::{Mixture, MixtureGrad};
pub(crate) use moments::parameters_of;
pub use moments::{Moments, RunningMoments};
pub use multiply::{Multiply, MultiplyGrad};
pub use mutual::{Alpha, Mutual, MutualGrad};
pub use normalize::{Normalize, NormalizeGrad, NormalizeSums};
pub use orthogonality::{Orthogonal, Orthogonality};
pub use pairwise::{Pairwise, PairwiseGrad};
pub use pool::Pool;
pub use positions::{AddPositions, AddPositionsGrad};
pub use prune::{Anneal, Prune, PruneGrad};
pub use routes::{Routes, lane_mask};
pub use row_adam::{RowAdam, RowSweep};
pub use sample_matrix::{SampleMatrix, SampleMatrixGrad};
pub use select::{Select, SelectGrad};
pub use shaders::{SHADERS, import_text, shader_text};
pub use sparsity::Sparsity;
pub use star::{Star, StarGrad};
pub use store_logits::StoreLogits;
pub use token_pool::{TokenPool, TokenPoolGrad};
pub use view::{Gate, RowMap, View};
pub use weight_grads::{GradItem, GradPair, WeightGrads};
pub use weighted::{Blocks, Repeat, WeightedLinear};
pub use weighted_grad::{Weighted, WeightedLinearGrad, WeightedLinearGradWeights};

use crate::cpu::Real;
use crate::graph::{Graph, Node, Shape, TensorId};

/// When an operation runs within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the samples, making weights of weights: [`Operation::reduce`].
    Weights,
    /// Sample by sample: [`Operation::run`]; or, where what is made next needs sums over the samples, in between:
    /// [`Operation::reduce`].
    Samples,
    /// Once all samples are computed, summing over them: [`Operation::reduce`].
    Sums,
    /// After the sums, making gradients of gradients: [`Operation::reduce`].
    WeightGradients,
    /// At the end, changing the model's state: [`Operation::update`].
    Update,
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

    /// When it runs.
    fn phase(&self) -> Phase {
        Phase::Samples
    }

    /// Whether it is a term of the loss: it computes the gradients of its inputs itself, and backward passes begin here.
    fn is_loss(&self) -> bool {
        false
    }

    /// Whether it runs sample by sample although what it writes has a row for each token.
    fn runs_by_samples(&self) -> bool {
        false
    }

    /// Whether it sums over the samples although it runs in [`Phase::Samples`]: others go on with the sums.
    fn sums_midway(&self) -> bool {
        false
    }

    /// The inputs of which it reads rows of other samples than the one it computes.
    fn shuffled_inputs(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Computes one block of samples on the CPU; for operations of [`Phase::Samples`].
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let _ = block;
        unreachable!("{} does not run by samples", self.name());
    }

    /// Computes tensors with fixed rows on the CPU: of samples, for operations of [`Phase::Sums`] and those that sum
    /// midway, or of others such.
    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let _ = (batch, outputs);
        unreachable!("{} does not sum over samples", self.name());
    }

    /// Updates the model's state on the CPU, `gradients` being the inputs; for operations of [`Phase::Update`].
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
        let _ = (step, gradients, state);
        unreachable!("{} updates nothing", self.name());
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
            fn phase(&self) -> Phase {
                match self { $(Self::$name(op) => op.phase(),)* }
            }
            fn is_loss(&self) -> bool {
                match self { $(Self::$name(op) => op.is_loss(),)* }
            }
            fn runs_by_samples(&self) -> bool {
                match self { $(Self::$name(op) => op.runs_by_samples(),)* }
            }
            fn sums_midway(&self) -> bool {
                match self { $(Self::$name(op) => op.sums_midway(),)* }
            }
            fn shuffled_inputs(&self) -> Vec<usize> {
                match self { $(Self::$name(op) => op.shuffled_inputs(),)* }
            }
            fn run<T: Real>(&self, block: &mut Block<'_, T>) {
                match self { $(Self::$name(op) => op.run(block),)* }
            }
            fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
                match self { $(Self::$name(op) => op.reduce(batch, outputs),)* }
            }
            fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>) {
                match self { $(Self::$name(op) => op.update(step, gradients, state),)* }
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
    Affine,
    WeightGrads,
    WeightedLinear,
    WeightedLinearGrad,
    WeightedLinearGradWeights,
    LowRank,
    LowRankGrad,
    LogitLoss,
    Discriminate,
    Attention,
    AttentionGrad,
    Pool,
    Multiply,
    MultiplyGrad,
    Mixture,
    MixtureGrad,
    Select,
    SelectGrad,
    Orthogonality,
    Mutual,
    MutualGrad,
    Star,
    StarGrad,
    Compare,
    CompareGrad,
    LabelMixture,
    LabelMixtureGrad,
    LayerNorm,
    LayerNormGrad,
    Moments,
    Normalize,
    NormalizeGrad,
    NormalizeSums,
    Pairwise,
    PairwiseGrad,
    AddPositions,
    AddPositionsGrad,
    Prune,
    PruneGrad,
    SampleMatrix,
    SampleMatrixGrad,
    TokenPool,
    TokenPoolGrad,
    Sparsity,
    StoreLogits,
    Anneal,
    RunningMoments,
    DenseAdam,
    RowAdam,
    RowSweep,
}
