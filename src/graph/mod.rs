//! The graph a model is written in: tensors, parameters and the operations between them.
//!
//! Every tensor is a matrix. Its rows are either the samples of a minibatch ([`RowExtent::Batch`], known only when a step
//! runs) or fixed. A model file adds nodes through the layers; [`crate::plan`] differentiates the graph and lays it out.
//!
//! *Stability*: what models use (parameters, nodes, losses, probes) changes little; the batch layout with the kernels.

mod batch_layout;
mod optimizer;
mod parameter;

pub use batch_layout::{BatchLayout, BatchMut, KeyLayout, TagLayout, TokenLayout, token_places};
pub use optimizer::Optimizer;
pub use parameter::{
    Cross, EmbeddingTable, Init, Parameter, ParameterRole, Precision, TableField, Tags, TokenField, pcg,
};

pub use crate::data::Pooling;
use crate::ops::{Op, Operation};

/// Index of a tensor in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// How many rows a tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowExtent {
    /// One per sample of the minibatch.
    Batch,
    /// One per place of the samples' sequences, each of which has at most this many (see [`TokenLayout`]).
    Tokens(usize),
    /// A number known when the model is built.
    Fixed(usize),
}

/// Rows and columns of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many rows.
    pub rows: RowExtent,
    /// Values in a row.
    pub cols: usize,
}

impl Shape {
    /// One row of `cols` values per sample.
    pub const fn batch(cols: usize) -> Self {
        Self { rows: RowExtent::Batch, cols }
    }

    /// One row of `cols` values per place of sequences of up to `longest`.
    pub const fn tokens(longest: usize, cols: usize) -> Self {
        Self { rows: RowExtent::Tokens(longest), cols }
    }

    /// `rows` × `cols`, whatever the batch.
    pub const fn fixed(rows: usize, cols: usize) -> Self {
        Self { rows: RowExtent::Fixed(rows), cols }
    }

    /// Rows of a tensor whose rows are fixed.
    ///
    /// # Panics
    /// When they are the batch's samples or tokens.
    pub fn fixed_rows(&self) -> usize {
        match self.rows {
            RowExtent::Fixed(rows) => rows,
            RowExtent::Batch | RowExtent::Tokens(_) => panic!("a tensor of {self} has no fixed rows"),
        }
    }

    /// Values held when the batch has `batch` rows.
    pub fn len(&self, batch: usize) -> usize {
        match self.rows {
            RowExtent::Batch => batch * self.cols,
            RowExtent::Tokens(longest) => batch * longest * self.cols,
            RowExtent::Fixed(rows) => rows * self.cols,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rows {
            RowExtent::Batch => write!(f, "B×{}", self.cols),
            RowExtent::Tokens(_) => write!(f, "T×{}", self.cols),
            RowExtent::Fixed(rows) => write!(f, "{rows}×{}", self.cols),
        }
    }
}

/// A tensor: its name in listings, its shape, and the parameter it stands for, if it does.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Name in plan listings.
    pub name: String,
    /// Rows and columns.
    pub shape: Shape,
    /// Index into [`Graph::parameters`] when the tensor is a parameter.
    pub parameter: Option<usize>,
}

/// One operation with the tensors it reads and writes.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Name in plan listings, such as `backbone.0`.
    pub name: String,
    /// Tensors read, in the operation's order.
    pub inputs: Vec<TensorId>,
    /// Tensors written, in the operation's order.
    pub outputs: Vec<TensorId>,
    /// Inputs that get no gradient from this node.
    pub stopped: Vec<TensorId>,
}

impl Node {
    /// A node whose inputs all get gradients.
    pub fn new(op: impl Into<Op>, name: impl Into<String>, inputs: Vec<TensorId>, outputs: Vec<TensorId>) -> Self {
        Self { op: op.into(), name: name.into(), inputs, outputs, stopped: Vec::new() }
    }
}

/// A term of the training loss, as it is reported: the weighted sum of some of the columns that
/// [`LogitLoss`](crate::ops::LogitLoss) nodes log, times a coefficient.
#[derive(Clone, Debug)]
pub struct LossTerm {
    /// Name in `metrics.jsonl`, such as `bce` or `mi`.
    pub name: String,
    /// Factor of the term in the total loss (1 for the cross entropy, λ for regularisers).
    pub coefficient: f64,
    /// Logged columns and their weights within the term.
    pub columns: Vec<(usize, f64)>,
    /// Warm-up of the coefficient.
    pub warm_up: WarmUp,
}

/// Linear warm-up of a coefficient over this many steps; 0 disables it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmUp(pub u32);

impl WarmUp {
    /// Factor of the coefficient after `steps` optimiser steps: min((steps + 1) / n, 1).
    pub fn at(self, steps: u32) -> f64 {
        if self.0 == 0 { 1.0 } else { ((f64::from(steps) + 1.0) / f64::from(self.0)).min(1.0) }
    }
}

/// What a probe's columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// A vector that tells scenarios apart, or should.
    Vector,
    /// One column for each scenario: how much the sample's own learns from it, and in its own place how much it learns
    /// from others at all (SAML's α and g).
    Learning,
}

/// A tensor [B, ·] that the model's paper looks into.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Name in files, such as `weighting.0`.
    pub name: String,
    /// The tensor.
    pub tensor: TensorId,
    /// What it holds.
    pub what: Probed,
}

/// A model as operations on tensors.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All tensors; [`TensorId`] indexes them.
    pub tensors: Vec<Tensor>,
    /// Operations in an order in which they can run.
    pub nodes: Vec<Node>,
    /// Dense trainable parameters.
    pub parameters: Vec<Parameter>,
    /// What moves the dense parameters.
    pub optimizer: Optimizer,
    /// Embedding tables.
    pub tables: Vec<EmbeddingTable>,
    /// Terms of the loss, in the order they are reported.
    pub losses: Vec<LossTerm>,
    /// Columns logged by loss nodes so far.
    pub loss_columns: usize,
    /// The model's logit, one column.
    pub logits: Option<TensorId>,
    /// Further logits that are predicted beside it, one column each, and what they are called.
    pub heads: Vec<(String, TensorId)>,
    /// Whether samples have a second label: whether they were clicked.
    pub clicks: bool,
    /// What is worth looking into.
    pub probes: Vec<Probe>,
    /// How many scenarios there are, for models with parts of their own for each; 0 where all scenarios share every part.
    pub scenarios: usize,
    /// The most places a sample's sequence has; 0 for models that read none.
    pub longest: usize,
    /// Whether a sample's own values of the sequences' fields follow as a last place (which `longest` counts).
    pub with_target: bool,
    scope: Vec<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph over the same data, with the same optimiser.
    pub fn empty_like(&self) -> Self {
        let &Self { optimizer, scenarios, longest, with_target, clicks, .. } = self;
        Self { optimizer, scenarios, longest, with_target, clicks, ..Self::default() }
    }

    /// Says how the values of all embedding tables are stored.
    pub fn set_embedding_precision(&mut self, precision: Precision) {
        self.tables.iter_mut().for_each(|table| table.precision = precision);
    }

    /// Labels of a sample.
    pub fn labels(&self) -> usize {
        if self.clicks { 2 } else { 1 }
    }

    /// Logits of a sample that predictions store: the model's, and then those of [`heads`](Self::heads).
    pub fn predicted(&self) -> usize {
        1 + self.heads.len()
    }

    /// Whether a tensor is one of these logits.
    pub fn is_predicted(&self, tensor: TensorId) -> bool {
        self.logits == Some(tensor) || self.heads.iter().any(|(_, head)| *head == tensor)
    }

    /// Says which optimiser moves the dense parameters, and which the rows of all embedding tables.
    ///
    /// # Panics
    /// With a row-wise one for dense parameters, which are no rows.
    pub fn set_optimizers(&mut self, dense: Optimizer, embeddings: Optimizer) {
        assert!(dense != Optimizer::RowwiseAdagrad, "row-wise Adagrad is for tables");
        self.optimizer = dense;
        self.tables.iter_mut().for_each(|table| table.optimizer = embeddings);
    }

    /// Shape of a tensor.
    pub fn shape(&self, tensor: TensorId) -> Shape {
        self.tensors[tensor.0].shape
    }

    /// Columns of a tensor.
    pub fn width(&self, tensor: TensorId) -> usize {
        self.shape(tensor).cols
    }

    /// Runs `build` with `name.` before every name made in it.
    pub fn scoped<R>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Self) -> R) -> R {
        self.scope.push(name.into());
        let result = build(self);
        self.scope.pop();
        result
    }

    fn full_name(&self, name: &str) -> String {
        let parts = self.scope.iter().map(String::as_str).chain([name]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
    }

    /// A new dense parameter of `rows` × `cols` values.
    pub fn parameter(&mut self, name: &str, rows: usize, cols: usize, init: Init) -> TensorId {
        self.parameter_as(ParameterRole::Trained, name, [rows, cols], init)
    }

    /// A parameter that training steps change otherwise than by a gradient; see [`ParameterRole::State`].
    pub fn state(&mut self, name: &str, [rows, cols]: [usize; 2], init: Init) -> TensorId {
        self.parameter_as(ParameterRole::State, name, [rows, cols], init)
    }

    fn parameter_as(&mut self, role: ParameterRole, name: &str, [rows, cols]: [usize; 2], init: Init) -> TensorId {
        let name = self.full_name(name);
        let tensor = TensorId(self.tensors.len());
        self.tensors.push(Tensor {
            name: name.clone(),
            shape: Shape::fixed(rows, cols),
            parameter: Some(self.parameters.len()),
        });
        self.parameters.push(Parameter { name, rows, cols, init, tensor, role, frozen: false });
        tensor
    }

    /// Adds an operation that makes a matrix of `rows` × `cols` of parameters, at the beginning of every step; it can be
    /// used wherever a parameter can.
    pub fn derived(
        &mut self,
        name: &str,
        [rows, cols]: [usize; 2],
        op: impl Into<Op>,
        inputs: &[TensorId],
    ) -> TensorId {
        let output = self.parameter_as(ParameterRole::Derived, name, [rows, cols], Init::Zeros);
        let (op, name) = (op.into(), self.full_name(name));
        let shapes: Vec<Shape> = inputs.iter().map(|&t| self.shape(t)).collect();
        assert_eq!(op.outputs(&shapes), [Shape::fixed(rows, cols)], "{name}: shape");
        self.nodes.push(Node::new(op, name, inputs.to_vec(), vec![output]));
        output
    }

    /// Notes that `tensor` is worth looking into.
    pub fn probe(&mut self, name: impl Into<String>, tensor: TensorId, what: Probed) {
        self.probes.push(Probe { name: name.into(), tensor, what });
    }

    /// Values of all dense parameters that are trained.
    pub fn trained_values(&self) -> usize {
        let trained = self.parameters.iter().filter(|parameter| parameter.role == ParameterRole::Trained);
        trained.map(|parameter| parameter.rows * parameter.cols).sum()
    }

    /// A new embedding table; returns its index in [`Graph::tables`].
    pub fn table(&mut self, table: EmbeddingTable) -> usize {
        self.tables.push(table);
        self.tables.len() - 1
    }

    /// Adds an operation that writes nothing but the model's state.
    pub fn update(&mut self, name: &str, op: impl Into<Op>, inputs: &[TensorId]) {
        let made = self.add(name, op, inputs);
        assert!(made.is_empty(), "{name}: an update makes no tensors");
    }

    /// Adds an operation and returns the tensors it writes.
    ///
    /// # Panics
    /// When the shapes do not fit the operation: that is a mistake in a layer, not in a user's input.
    pub fn add(&mut self, name: &str, op: impl Into<Op>, inputs: &[TensorId]) -> Vec<TensorId> {
        self.add_op(name, op.into(), inputs)
    }

    fn add_op(&mut self, name: &str, op: Op, inputs: &[TensorId]) -> Vec<TensorId> {
        let name = self.full_name(name);
        let shapes: Vec<Shape> = inputs.iter().map(|&t| self.shape(t)).collect();
        let outputs = op.outputs(&shapes).into_iter().map(|shape| self.tensor(&name, shape)).collect::<Vec<_>>();
        self.nodes.push(Node::new(op, name, inputs.to_vec(), outputs.clone()));
        outputs
    }

    /// Lets no gradient flow from the node that made `made` into `input`, which it reads.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn stop_gradient(&mut self, made: TensorId, input: TensorId) {
        let node = self.nodes.iter_mut().find(|node| node.outputs.contains(&made)).expect("a node made it");
        assert!(node.inputs.contains(&input), "{} does not read that", node.name);
        node.stopped.push(input);
    }

    /// Adds an operation that writes one tensor.
    pub fn add_one(&mut self, name: &str, op: impl Into<Op>, inputs: &[TensorId]) -> TensorId {
        self.add(name, op, inputs)[0]
    }

    /// Reserves `count` columns of the loss log for a loss node; returns the first.
    pub fn reserve_loss_columns(&mut self, count: usize) -> usize {
        let first = self.loss_columns;
        self.loss_columns += count;
        first
    }

    fn tensor(&mut self, name: &str, shape: Shape) -> TensorId {
        self.tensors.push(Tensor { name: name.to_owned(), shape, parameter: None });
        TensorId(self.tensors.len() - 1)
    }
}
