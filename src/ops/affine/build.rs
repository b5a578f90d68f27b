//! Builds affine nodes from parts that may overlap and leave gaps.

use super::{Affine, Bias, Item, Term};
use crate::graph::{Graph, TensorId};
use crate::ops::{Activation, ActivationGrad, Epilogue, RowMap, View};

/// What a part adds to its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartSource {
    /// Columns of a tensor [B, ·].
    View {
        /// The tensor.
        tensor: TensorId,
        /// First column read.
        from: usize,
        /// Which row.
        rows: RowMap,
    },
    /// A product; see [`Term`].
    Product {
        /// The tensor x [B, ·].
        x: TensorId,
        /// First column of x.
        from: usize,
        /// Columns of x.
        inner: usize,
        /// W.
        weight: TensorId,
        /// First row of the part of W.
        row: usize,
        /// First column of the part of W.
        col: usize,
        /// Which way W is read.
        transposed: bool,
        /// Rows of W from one scenario's part to the next, or 0.
        scenario_stride: usize,
    },
}

/// Something added to columns `to..to + width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinePart {
    /// First column.
    pub to: usize,
    /// Columns.
    pub width: usize,
    /// What is added.
    pub source: PartSource,
}

impl AffinePart {
    /// Columns `from..from + width` of `tensor`, added to columns `to..to + width`.
    pub fn view(tensor: TensorId, from: usize, to: usize, width: usize, rows: RowMap) -> Self {
        Self { to, width, source: PartSource::View { tensor, from, rows } }
    }

    /// The columns `first..first + width` of this part.
    #[must_use]
    pub fn columns(self, first: usize, width: usize) -> Self {
        assert!(first + width <= self.width);
        let source = match self.source {
            PartSource::View { tensor, from, rows } => PartSource::View { tensor, from: from + first, rows },
            PartSource::Product { x, from, inner, weight, row, col, transposed, scenario_stride } => {
                let (down, across) = if transposed { (0, first) } else { (first, 0) };
                PartSource::Product {
                    x,
                    from,
                    inner,
                    weight,
                    row: row + down,
                    col: col + across,
                    transposed,
                    scenario_stride,
                }
            }
        };
        Self { to: self.to + first, width, source }
    }
}

/// Columns `from..from + width` of a row [1, ·], added to columns `to..to + width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BiasPart {
    /// First column of the result.
    pub to: usize,
    /// Columns.
    pub width: usize,
    /// The row.
    pub bias: TensorId,
    /// First column of the row.
    pub from: usize,
    /// Columns from one scenario's part to the next, or 0.
    pub scenario_stride: usize,
}

/// The number of `tensor` among `inputs`, where it is put if it is not there.
pub(super) fn number(inputs: &mut Vec<TensorId>, tensor: TensorId) -> usize {
    inputs.iter().position(|&known| known == tensor).unwrap_or_else(|| {
        inputs.push(tensor);
        inputs.len() - 1
    })
}

/// An affine node with one output while it is made or changed: act(Σ parts + bias) ⊙ act'.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Columns of the output; those that no part covers are act(bias).
    pub width: usize,
    /// What is summed.
    pub parts: Vec<AffinePart>,
    /// Rows that are added to columns, none to any column twice.
    pub bias: Vec<BiasPart>,
    /// Applied to the sum.
    pub epilogue: Epilogue,
    /// Multiplies the result.
    pub activation_grad: Option<(TensorId, ActivationGrad)>,
}

impl Draft {
    /// A sum of parts.
    pub fn sum(width: usize, parts: Vec<AffinePart>) -> Self {
        Self { width, parts, bias: Vec::new(), epilogue: Epilogue::default(), activation_grad: None }
    }

    /// The draft of a node with one output, whose items share bias, epilogue and activation gradient.
    pub fn of(op: &Affine, inputs: &[TensorId]) -> Self {
        let first = &op.items[0];
        let (mut parts, mut bias) = (Vec::new(), Vec::new());
        for item in &op.items {
            assert_eq!(item.output, 0, "one output");
            let (to, width) = (item.to, item.width);
            parts.extend(item.terms.iter().map(|term| {
                let source = PartSource::Product {
                    x: inputs[term.x.input],
                    from: term.x.from,
                    inner: term.inner,
                    weight: inputs[term.weight],
                    row: term.row,
                    col: term.col,
                    transposed: term.transposed,
                    scenario_stride: term.scenario_stride,
                };
                AffinePart { to, width, source }
            }));
            bias.extend(item.bias.map(|row| {
                let Bias { input, from, scenario_stride } = row;
                BiasPart { to, width, bias: inputs[input], from, scenario_stride }
            }));
            parts.extend(
                item.adds.iter().map(|view| AffinePart::view(inputs[view.input], view.from, to, width, view.rows)),
            );
        }
        Self {
            width: op.width(0),
            parts,
            bias,
            epilogue: first.epilogue,
            activation_grad: first.activation_grad.map(|(view, activation_grad)| (inputs[view.input], activation_grad)),
        }
    }

    /// Whether it is a mere sum of its parts.
    pub fn is_sum(&self) -> bool {
        self.bias.is_empty() && self.activation_grad.is_none() && self.epilogue == Epilogue::default()
    }

    /// The operation and its inputs: an item for every range of columns that the same parts cover.
    pub fn build(&self) -> (Affine, Vec<TensorId>) {
        let mut bounds: Vec<usize> = self.parts.iter().flat_map(|part| [part.to, part.to + part.width]).collect();
        bounds.extend(self.bias.iter().flat_map(|part| [part.to, part.to + part.width]));
        bounds.extend([0, self.width]);
        bounds.sort_unstable();
        bounds.dedup();
        let mut inputs = Vec::new();
        let items = bounds.windows(2).map(|bound| self.item(bound[0], bound[1], &mut inputs)).collect();
        (Affine { items }, inputs)
    }

    fn item(&self, to: usize, end: usize, inputs: &mut Vec<TensorId>) -> Item {
        let mut item = Item {
            output: 0,
            to,
            width: end - to,
            terms: Vec::new(),
            adds: Vec::new(),
            bias: None,
            epilogue: self.epilogue,
            activation_grad: None,
        };
        for part in self.parts.iter().filter(|part| part.to <= to && end <= part.to + part.width) {
            match part.columns(to - part.to, end - to).source {
                PartSource::View { tensor, from, rows } => {
                    item.adds.push(View { input: number(inputs, tensor), from, rows });
                }
                PartSource::Product { x, from, inner, weight, row, col, transposed, scenario_stride } => {
                    item.terms.push(Term {
                        x: View::of(number(inputs, x)).shifted(from),
                        inner,
                        weight: number(inputs, weight),
                        row,
                        col,
                        transposed,
                        scenario_stride,
                    })
                }
            }
        }
        let covers = |part: &&BiasPart| part.to <= to && end <= part.to + part.width;
        item.bias = self.bias.iter().find(covers).map(|part| {
            let from = part.from + to - part.to;
            Bias { input: number(inputs, part.bias), from, scenario_stride: part.scenario_stride }
        });
        item.activation_grad = self
            .activation_grad
            .map(|(stored, activation_grad)| (View::of(number(inputs, stored)).shifted(to), activation_grad));
        item
    }

    /// Adds the node.
    pub fn add(&self, graph: &mut Graph, name: &str) -> TensorId {
        let (op, inputs) = self.build();
        graph.add_one(name, op, &inputs)
    }
}

impl Affine {
    /// Adds act(Σ parts), a tensor of `width` columns; those that no part covers are act(0).
    pub fn sum(graph: &mut Graph, name: &str, width: usize, parts: &[AffinePart], activation: Activation) -> TensorId {
        Draft { epilogue: Epilogue::new(activation), ..Draft::sum(width, parts.to_vec()) }.add(graph, name)
    }

    /// Adds the dense layer act(x Wᵀ + b): x [B, K], W [N, K], b [1, N].
    pub fn dense(
        graph: &mut Graph,
        name: &str,
        x: TensorId,
        weight: TensorId,
        bias: Option<TensorId>,
        epilogue: Epilogue,
    ) -> TensorId {
        let (width, inner) = (graph.shape(weight).fixed_rows(), graph.width(weight));
        assert_eq!(graph.width(x), inner, "dense: width of x");
        let source =
            PartSource::Product { x, from: 0, inner, weight, row: 0, col: 0, transposed: false, scenario_stride: 0 };
        let parts = vec![AffinePart { to: 0, width, source }];
        let bias = bias.map(|bias| BiasPart { to: 0, width, bias, from: 0, scenario_stride: 0 }).into_iter().collect();
        Draft { bias, epilogue, ..Draft::sum(width, parts) }.add(graph, name)
    }

    /// Columns `from..from + width` of `tensor`.
    pub fn slice(graph: &mut Graph, name: &str, tensor: TensorId, from: usize, width: usize) -> TensorId {
        Self::sum(graph, name, width, &[AffinePart::view(tensor, from, 0, width, RowMap::Same)], Activation::None)
    }

    /// The tensors side by side.
    pub fn concat(graph: &mut Graph, name: &str, tensors: &[TensorId]) -> TensorId {
        let mut to = 0;
        let mut parts = Vec::new();
        for &tensor in tensors {
            let width = graph.width(tensor);
            parts.push(AffinePart::view(tensor, 0, to, width, RowMap::Same));
            to += width;
        }
        Self::sum(graph, name, to, &parts, Activation::None)
    }

    /// The sum of tensors of one shape.
    pub fn total(graph: &mut Graph, name: &str, tensors: &[TensorId]) -> TensorId {
        let width = graph.width(tensors[0]);
        let parts: Vec<AffinePart> =
            tensors.iter().map(|&tensor| AffinePart::view(tensor, 0, 0, width, RowMap::Same)).collect();
        Self::sum(graph, name, width, &parts, Activation::None)
    }

    /// The gradient before an epilogue, from the gradient `dy` after it and the stored result `y`.
    pub fn through(graph: &mut Graph, name: &str, dy: TensorId, y: TensorId, epilogue: Epilogue) -> TensorId {
        let Some(activation_grad) = epilogue.gradient() else { return dy };
        let width = graph.width(dy);
        let parts = vec![AffinePart::view(dy, 0, 0, width, RowMap::Same)];
        Draft { activation_grad: Some((y, activation_grad)), ..Draft::sum(width, parts) }.add(graph, name)
    }
}
