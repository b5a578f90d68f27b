//! Operations, family by family, the whole of each in one place: shape rule, gradient rule, CPU code, shader and bindings.
//!
//! To add one: write its file in its family's folder, name it in the family's `mod.rs`, write its shader in the folder of
//! the same name under `shaders/`, and add a line to the list below.
//!
//! *Stability*: what layers use stays; kernels and their constants change freely.

mod affine;
mod context;
mod cost;
mod descriptors;
mod embedding;
mod interaction;
mod kernel;
mod loss;
mod norm;
mod onnx;
mod optimiser;
mod scenario;
mod sequence;
mod shaders;
mod table_values;
mod weighted;

pub use affine::*;
pub use context::{Batch, Block, DenseState, ModelState, OptimizerOptions, SourceView, StepView, TableState, Value};
pub use cost::Cost;
pub use embedding::*;
pub(crate) use embedding::{argmax_column, argmax_width, row_import};
pub use interaction::*;
pub use kernel::{Arenas, Arg, BLOCK_INVOCATIONS, Form, Kernel, Location, StepUniforms, TableArg, Target};
pub use loss::*;
pub(crate) use norm::parameters_of;
pub use norm::*;
pub use onnx::{OnnxExport, OnnxTokens, WeightPart};
pub use optimiser::*;
pub use scenario::*;
pub use sequence::*;
pub use shaders::{SHADERS, import_text, shader_text};
pub use table_values::TableValues;
pub(crate) use table_values::{Stored, TableRounding, converted};
pub use weighted::*;

use crate::cpu::{Real, Simd, WithSimd};
use crate::graph::{Graph, Node, Shape, TensorId};

/// When an operation runs within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the samples, making weights of weights: [`Reduce`].
    Weights,
    /// Sample by sample: [`PerSample`]; or, where what is made next needs sums over the samples, in between: [`Reduce`].
    Samples,
    /// Once all samples are computed, summing over them: [`Reduce`].
    Sums,
    /// After the sums, making gradients of gradients: [`Reduce`].
    WeightGradients,
    /// At the end, changing the model's state: [`Update`].
    Update,
}

/// The numbers that a graph's own get where it becomes a part of a larger one.
#[derive(Clone, Debug, Default)]
pub struct Renumbered {
    /// For each embedding table its number there.
    pub tables: Vec<usize>,
    /// For each dense parameter its number there.
    pub parameters: Vec<usize>,
    /// How many columns of the loss log come before its own.
    pub loss_columns: usize,
}

/// What every operation says of itself. How it computes on the CPU is one of [`PerSample`], [`Reduce`] and [`Update`].
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

    /// Whether it is a term of the loss: it computes the gradients of its inputs itself, and backward passes begin here.
    fn is_loss(&self) -> bool {
        false
    }

    /// Makes it the same operation of a larger graph, that its own becomes a part of: operations that name tables, parameters
    /// or columns of the loss log by their numbers take the new ones.
    fn renumber(&mut self, numbers: &Renumbered) {
        let _ = numbers;
    }

    /// Whether it runs sample by sample although what it writes has a row for each token.
    fn runs_by_samples(&self) -> bool {
        false
    }

    /// The inputs of which it reads rows of other samples than the one it computes.
    fn shuffled_inputs(&self) -> Vec<usize> {
        Vec::new()
    }

    /// For sums over the samples that one dispatch can make together: the name of the node that makes them all. A graph's
    /// nodes with the same name become one, by [`Operation::join`].
    fn joint_name(&self) -> Option<&'static str> {
        None
    }

    /// The operation that does what both do, whose inputs and outputs are those of the first and then of the other; only
    /// asked of operations with the same [`Operation::joint_name`].
    fn join(&self, other: &Op) -> Option<Op> {
        let _ = other;
        None
    }

    /// The operation that also adds a further input, its last, to this output, if there is one: what a sum of two
    /// gradients is fused into.
    fn adding_to(&self, output: usize) -> Option<Op> {
        let _ = output;
        None
    }

    /// The dispatches that compute it on a GPU.
    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel>;

    /// Writes it as nodes of an ONNX graph.
    ///
    /// # Panics
    /// When it is no part of predictions, as gradients and losses are.
    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let _ = export;
        panic!("{} ({}) is no part of predictions", node.name, self.name());
    }
}

/// The CPU code of an operation that computes samples ([`Phase::Samples`]), each without the others.
pub trait PerSample: Operation {
    /// Computes one block of samples.
    fn run<T: Real>(&self, block: &mut Block<'_, T>);
}

/// The CPU code of an operation that is written out for vectors of samples; its [`PerSample::run`] is [`run_simd`].
pub(crate) trait SimdPerSample {
    /// Computes one block of samples with the vectors of S.
    fn run<T: Real, S: Simd>(&self, simd: S, block: &mut Block<'_, T>);
}

/// Computes one block of samples with the widest vectors that the machine has.
pub(crate) fn run_simd<T: Real>(op: &impl SimdPerSample, block: &mut Block<'_, T>) {
    struct Work<'a, 'b, O, T> {
        op: &'a O,
        block: &'a mut Block<'b, T>,
    }
    impl<O: SimdPerSample, T: Real> WithSimd for Work<'_, '_, O, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.op.run(simd, self.block);
        }
    }
    T::dispatch(Work { op, block });
}

/// The CPU code of an operation that makes tensors with fixed rows.
pub trait Reduce: Operation {
    /// When it runs; in [`Phase::Samples`] where samples go on with the sums.
    fn phase(&self) -> Phase;

    /// Computes its outputs: of samples, or of other tensors with fixed rows.
    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]);
}

/// The CPU code of an operation that changes the model's state ([`Phase::Update`]).
pub trait Update: Operation {
    /// Updates the state, `gradients` being the inputs.
    fn update<T: Real>(&self, step: &StepView<'_>, gradients: &[&[T]], state: &mut ModelState<T>);
}

/// The scalars that the CPU computes in: f32, and f64 to check it with.
///
/// The CPU code of all operations is compiled for each of them here. Generic functions would be compiled once more in
/// every program and test that makes an executor, and they are a large part of the crate.
pub trait CpuScalar: Real {
    /// [`PerSample::run`].
    ///
    /// # Panics
    /// When `op` does not compute samples one by one.
    fn run(op: &Op, block: &mut Block<'_, Self>);

    /// [`Reduce::reduce`].
    ///
    /// # Panics
    /// When `op` makes no tensors with fixed rows.
    fn reduce(op: &Op, batch: &Batch<'_, Self>, outputs: &mut [Vec<Self>]);

    /// [`Update::update`].
    ///
    /// # Panics
    /// When `op` changes no state.
    fn update(op: &Op, step: &StepView<'_>, gradients: &[&[Self]], state: &mut ModelState<Self>);
}

/// Declares [`Op`] and passes each call on to the operation it holds.
macro_rules! operations {
    (
        per_sample { $($sample:ident),* $(,)? }
        reduce { $($reduce:ident),* $(,)? }
        update { $($update:ident),* $(,)? }
    ) => {
        operations! { @all $($sample,)* $($reduce,)* $($update,)* }

        impl Op {
            /// When it runs.
            pub fn phase(&self) -> Phase {
                match self {
                    $(Self::$sample(_) => Phase::Samples,)*
                    $(Self::$reduce(op) => Reduce::phase(op),)*
                    $(Self::$update(_) => Phase::Update,)*
                }
            }

            /// Whether it sums over the samples although it runs in [`Phase::Samples`]: others go on with the sums.
            pub fn sums_midway(&self) -> bool {
                matches!(self, $(Self::$reduce(_))|*) && self.phase() == Phase::Samples
            }
        }

        operations! { @scalar f32 { $($sample)* } { $($reduce)* } { $($update)* } }
        operations! { @scalar f64 { $($sample)* } { $($reduce)* } { $($update)* } }
    };
    (@scalar $real:ident { $($sample:ident)* } { $($reduce:ident)* } { $($update:ident)* }) => {
        impl CpuScalar for $real {
            fn run(op: &Op, block: &mut Block<'_, Self>) {
                match op {
                    $(Op::$sample(op) => PerSample::run(op, block),)*
                    other => panic!("{} does not run by samples", other.name()),
                }
            }
            fn reduce(op: &Op, batch: &Batch<'_, Self>, outputs: &mut [Vec<Self>]) {
                match op {
                    $(Op::$reduce(op) => Reduce::reduce(op, batch, outputs),)*
                    other => panic!("{} makes no tensors with fixed rows", other.name()),
                }
            }
            fn update(op: &Op, step: &StepView<'_>, gradients: &[&[Self]], state: &mut ModelState<Self>) {
                match op {
                    $(Op::$update(op) => Update::update(op, step, gradients, state),)*
                    other => panic!("{} changes no state", other.name()),
                }
            }
        }
    };
    (@all $($name:ident,)*) => {
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
            fn is_loss(&self) -> bool {
                match self { $(Self::$name(op) => op.is_loss(),)* }
            }
            fn renumber(&mut self, numbers: &Renumbered) {
                match self { $(Self::$name(op) => op.renumber(numbers),)* }
            }
            fn runs_by_samples(&self) -> bool {
                match self { $(Self::$name(op) => op.runs_by_samples(),)* }
            }
            fn shuffled_inputs(&self) -> Vec<usize> {
                match self { $(Self::$name(op) => op.shuffled_inputs(),)* }
            }
            fn joint_name(&self) -> Option<&'static str> {
                match self { $(Self::$name(op) => op.joint_name(),)* }
            }
            fn join(&self, other: &Op) -> Option<Op> {
                match self { $(Self::$name(op) => op.join(other),)* }
            }
            fn adding_to(&self, output: usize) -> Option<Op> {
                match self { $(Self::$name(op) => op.adding_to(output),)* }
            }
            fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
                match self { $(Self::$name(op) => op.kernels(node, graph, target),)* }
            }
            fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
                match self { $(Self::$name(op) => op.onnx(node, export),)* }
            }
        }
    };
}

operations! {
    per_sample {
        Affine, Embed, LogitLoss, JointLogit, JointLogitGrad, StoreLogits, Orthogonality, Sparsity,
        WeightedLinear, WeightedLinearGrad, LowRank, LowRankGrad, Discriminate,
        Attention, AttentionGrad, Compare, CompareGrad, AddPositions, TokenPool, TokenPoolGrad,
        Mixture, MixtureGrad, LabelMixture, LabelMixtureGrad, Select, SelectGrad, Mutual, MutualGrad,
        LayerNorm, LayerNormGrad, Normalize, NormalizeGrad,
        Multiply, MultiplyGrad, Pairwise, PairwiseGrad, Pool, Prune, PruneGrad, SampleMatrix, SampleMatrixGrad,
    }
    reduce {
        WeightGrads, WeightedLinearGradWeights, EmbedGrad, AddPositionsGrad, Moments, NormalizeSums, Star, StarGrad,
        ClipFactor,
    }
    update {
        DenseUpdate, RowUpdate, DenseRowAdam, Anneal, RunningMoments,
    }
}
