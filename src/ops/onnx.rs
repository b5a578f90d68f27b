//! What an operation sees when it writes itself as ONNX nodes.

use std::collections::HashMap;

use crate::graph::{Graph, Shape, TensorId};
use crate::onnx::{Builder, Value};

/// A part of a weight: `down` rows from `row` on, `across` columns from `col` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightPart {
    /// The parameter.
    pub weight: TensorId,
    /// Its first row.
    pub row: usize,
    /// Its first column.
    pub col: usize,
    /// Rows.
    pub down: usize,
    /// Columns.
    pub across: usize,
}

/// The samples' sequences: P places each, as many as the batch's longest sequence has, of which some are no tokens.
#[derive(Clone, Debug)]
pub struct OnnxTokens {
    /// [N, P]: 1 for a place with a token, 0 for one without.
    pub mask: Value,
    /// [N, P], whole numbers: how far a token is from its sample's last; 0 where there is none.
    pub distance: Value,
    /// [N, 1]: how many tokens a sample has.
    pub counts: Value,
}

/// An ONNX graph while a model's operations are written to it, one after another.
///
/// Tensors [B, W] are [N, W] there, tensors [T, W] are [N, P, W], and parameters are constants.
pub struct OnnxExport<'a> {
    /// The nodes.
    pub onnx: Builder,
    /// What the samples' rows of each table and, if `true`, their sequences' are: [N, fields·W] and [N, P, sequences·W].
    pub embeddings: HashMap<(usize, bool), Value>,
    /// \[N\], whole numbers: each sample's scenario.
    pub scenarios: Option<Value>,
    /// The samples' sequences, where the model reads any.
    pub tokens: Option<OnnxTokens>,
    /// \[1\], a whole number: N.
    pub rows: Value,
    graph: &'a Graph,
    parameters: HashMap<TensorId, Vec<f32>>,
    values: HashMap<TensorId, Value>,
    weights: HashMap<(WeightPart, bool), Value>,
}

impl<'a> OnnxExport<'a> {
    /// An export of a model's graph whose parameters have these values, in their order.
    pub fn new(onnx: Builder, graph: &'a Graph, parameters: &[Vec<f32>], rows: Value) -> Self {
        let of_tensor = graph.parameters.iter().zip(parameters);
        Self {
            onnx,
            embeddings: HashMap::new(),
            scenarios: None,
            tokens: None,
            rows,
            graph,
            parameters: of_tensor.map(|(parameter, values)| (parameter.tensor, values.clone())).collect(),
            values: HashMap::new(),
            weights: HashMap::new(),
        }
    }

    /// The model's graph.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Shape of a tensor.
    pub fn shape(&self, tensor: TensorId) -> Shape {
        self.graph.shape(tensor)
    }

    /// Columns of a tensor.
    pub fn width(&self, tensor: TensorId) -> usize {
        self.graph.width(tensor)
    }

    /// A tensor that an earlier node has made.
    pub fn value(&self, tensor: TensorId) -> Value {
        self.values[&tensor].clone()
    }

    /// Says what a tensor is.
    pub fn set(&mut self, tensor: TensorId, value: Value) {
        self.values.insert(tensor, value);
    }

    /// A parameter's values, row-major.
    pub fn parameter(&self, tensor: TensorId) -> &[f32] {
        &self.parameters[&tensor]
    }

    /// Says what the values of a parameter are that is made of others.
    pub fn set_parameter(&mut self, tensor: TensorId, values: Vec<f32>) {
        self.parameters.insert(tensor, values);
    }

    /// A parameter as a constant [rows, columns].
    pub fn matrix(&mut self, weight: TensorId) -> Value {
        let (down, across) = (self.shape(weight).fixed_rows(), self.width(weight));
        self.weight(WeightPart { weight, row: 0, col: 0, down, across }, false)
    }

    /// A part of a parameter as a constant [down, across] or, transposed, [across, down].
    pub fn weight(&mut self, part: WeightPart, transposed: bool) -> Value {
        if let Some(known) = self.weights.get(&(part, transposed)) {
            return known.clone();
        }
        let WeightPart { weight, row, col, down, across } = part;
        let (all, width) = (&self.parameters[&weight], self.graph.width(weight));
        let at = |r: usize, c: usize| all[(row + r) * width + col + c];
        let (dims, values): ([usize; 2], Vec<f32>) = if transposed {
            ([across, down], (0..across).flat_map(|c| (0..down).map(move |r| (r, c))).map(|(r, c)| at(r, c)).collect())
        } else {
            ([down, across], (0..down).flat_map(|r| (0..across).map(move |c| (r, c))).map(|(r, c)| at(r, c)).collect())
        };
        let value = self.onnx.floats("weight", &dims, &values);
        self.weights.insert((part, transposed), value.clone());
        value
    }

    /// Columns `first..first + count` of a tensor with a row for each sample or token.
    pub fn columns(&mut self, tensor: TensorId, first: usize, count: usize) -> Value {
        let value = self.value(tensor);
        if count == self.width(tensor) { value } else { self.onnx.columns(&value, first, count) }
    }

    /// Each sample's scenario.
    ///
    /// # Panics
    /// When the model has no parts for each scenario.
    pub fn scenarios(&self) -> Value {
        self.scenarios.clone().expect("a graph with scenarios has them in its export")
    }

    /// The samples' sequences.
    ///
    /// # Panics
    /// When the model reads none.
    pub fn tokens(&self) -> OnnxTokens {
        self.tokens.clone().expect("a graph with tokens has them in its export")
    }
}
