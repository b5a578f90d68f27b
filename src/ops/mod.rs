//! Operations, family by family, the whole of each in one place: shape rule, gradient rule, CPU code, shader and bindings.
//!
//! To add one: write its file in its family's folder, name it in the family's `mod.rs`, write its shader in the folder of
//! the same name under `shaders/`, and add a line to the list below.

mod affine;
mod context;
mod cost;
mod embedding;
mod interaction;
mod kernel;
mod loss;
mod norm;
mod optimiser;
mod scenario;
mod sequence;
mod shaders;
mod table;
mod weighted;

pub use affine::*;
pub use context::{AdamOptions, Batch, Block, DenseState, ModelState, SourceView, StepView, TableState, Value};
pub use cost::Cost;
pub use embedding::*;
pub use interaction::*;
pub use kernel::{Arg, Clock, Kernel, Location, TableArg, Target};
pub use loss::*;
pub(crate) use norm::parameters_of;
pub use norm::*;
pub use optimiser::*;
pub use scenario::*;
pub use sequence::*;
pub use shaders::{SHADERS, import_text, shader_text};
pub use weighted::*;

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
