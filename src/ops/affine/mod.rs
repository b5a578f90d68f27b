//! Affine combinations: dense layers, their gradients, concatenations, slices, sums and shuffles are all of one form,
//! so that a plan can fuse them into each other and compute siblings in one dispatch.

mod build;
mod cpu;
pub(super) mod epilogue;
mod gradient;
pub(super) mod kernel;
pub(super) mod onnx;
mod view;
mod weight_grads;

pub use build::{AffinePart, BiasPart, Draft, PartSource};
pub use epilogue::{Activation, Epilogue};
pub use view::{ActivationGrad, RowMap, View};
pub use weight_grads::{GradItem, GradPair, WeightGrads};

use crate::cpu::Real;
use crate::graph::{Graph, Node, RowExtent, Shape, TensorId};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target, run_simd};

/// A product x W of a view with a part of a weight.
///
/// Plain, as in a forward pass: y\[n\] = Σ_k x\[k\] W\[row + n, col + k\]. Transposed, as in a backward pass:
/// y\[n\] = Σ_k x\[k\] W\[row + k, col + n\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Columns of x, of the same sample.
    pub x: View,
    /// Columns of x: the inner dimension.
    pub inner: usize,
    /// Which input is W, a matrix with fixed rows.
    pub weight: usize,
    /// First row of the part of W.
    pub row: usize,
    /// First column of the part of W.
    pub col: usize,
    /// Which way W is read.
    pub transposed: bool,
    /// Rows of W from one scenario's part to the next: sample b reads the part of its own scenario, that many rows
    /// further down for each scenario before it. 0 where all scenarios share the part.
    pub scenario_stride: usize,
}

/// A row that is added to every sample: columns `from..` of a parameter [1, ·].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bias {
    /// Which of the node's inputs.
    pub input: usize,
    /// First column.
    pub from: usize,
    /// Columns from one scenario's part to the next; 0 where all scenarios share the part.
    pub scenario_stride: usize,
}

impl Term {
    /// The part of the sum over columns `first..first + inner` of x.
    #[must_use]
    pub fn part(&self, first: usize, inner: usize) -> Self {
        let (down, across) = if self.transposed { (first, 0) } else { (0, first) };
        Self { x: self.x.shifted(first), inner, row: self.row + down, col: self.col + across, ..*self }
    }
}

/// Columns `to..to + width` of one output: act(Σ terms + Σ adds + bias) ⊙ act'.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which of the node's outputs.
    pub output: usize,
    /// First column written.
    pub to: usize,
    /// Columns written.
    pub width: usize,
    /// Products.
    pub terms: Vec<Term>,
    /// Views of `width` columns that are added.
    pub adds: Vec<View>,
    /// A row that is added to every sample.
    pub bias: Option<Bias>,
    /// Applied to the sum.
    pub epilogue: Epilogue,
    /// Multiplies the result: the derivative of the activation that stored the view.
    pub activation_grad: Option<(View, ActivationGrad)>,
}

/// y = act(Σ x W + Σ views + b) ⊙ act', for each of several column ranges of one or more outputs.
///
/// Inputs: whatever the items name; x and views are [B, ·], weights and biases fixed. Outputs: [B, ·].
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Together they cover every column of every output once.
    pub items: Vec<Item>,
}

impl Item {
    /// Calls `change` with every input number this item holds.
    pub fn for_inputs(&mut self, mut change: impl FnMut(&mut usize)) {
        for term in &mut self.terms {
            change(&mut term.x.input);
            change(&mut term.weight);
        }
        if let Some(bias) = &mut self.bias {
            change(&mut bias.input);
        }
        for view in self.adds.iter_mut().chain(self.activation_grad.iter_mut().map(|(view, _)| view)) {
            change(&mut view.input);
        }
    }

    /// Views of batch tensors with the columns that are read.
    pub fn views(&self) -> impl Iterator<Item = (View, usize)> {
        let terms = self.terms.iter().map(|term| (term.x, term.inner));
        terms.chain(
            self.adds.iter().chain(self.activation_grad.iter().map(|(view, _)| view)).map(|&view| (view, self.width)),
        )
    }
}

impl Affine {
    /// Columns of output number `output`.
    pub fn width(&self, output: usize) -> usize {
        let items = self.items.iter().filter(|item| item.output == output);
        items.map(|item| item.to + item.width).max().unwrap_or(0)
    }

    /// Whether samples read parts of weights for their scenario.
    pub fn is_routed(&self) -> bool {
        let routed = |item: &Item| {
            item.bias.is_some_and(|bias| bias.scenario_stride > 0) || item.terms.iter().any(|t| t.scenario_stride > 0)
        };
        self.items.iter().any(routed)
    }

    fn outputs_count(&self) -> usize {
        self.items.iter().map(|item| item.output + 1).max().unwrap_or(0)
    }
}

impl Operation for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        for item in &self.items {
            for term in &item.terms {
                let w = inputs[term.weight];
                let (down, across) = if term.transposed { (term.inner, item.width) } else { (item.width, term.inner) };
                assert_eq!(term.x.rows, RowMap::Same, "affine: products are of the same sample");
                assert!(term.row + down <= w.fixed_rows() && term.col + across <= w.cols, "affine: part of W");
            }
            for (view, width) in item.views() {
                assert!(view.from + width <= inputs[view.input].cols, "affine: reads past its input");
            }
            if let Some(bias) = item.bias {
                assert!(inputs[bias.input].fixed_rows() == 1, "affine: a bias is one row");
                assert!(bias.from + item.width <= inputs[bias.input].cols, "affine: length of the bias");
            }
        }
        let mut rows = self.items.iter().flat_map(Item::views).map(|(view, _)| inputs[view.input].rows);
        let kind = rows.next().unwrap_or(RowExtent::Batch);
        assert!(rows.all(|rows| rows == kind), "affine: rows of one kind");
        (0..self.outputs_count())
            .map(|output| {
                let covered: usize = self.items.iter().filter(|i| i.output == output).map(|i| i.width).sum();
                assert_eq!(covered, self.width(output), "affine: every column is written once");
                Shape { rows: kind, cols: covered }
            })
            .collect()
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        gradient::gradient(self, node, grads, graph)
    }

    fn inference(&self) -> Op {
        let mut op = self.clone();
        for item in &mut op.items {
            // Only training steps have a π in their batches.
            assert!(item.views().all(|(view, _)| view.rows == RowMap::Same), "affine: logits depend on a shuffle");
            item.epilogue = item.epilogue.inference();
        }
        op.into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let per_sample = |item: &Item| {
            let products: usize = item.terms.iter().map(|term| 2 * term.inner).sum();
            item.width * (products + item.adds.len() + usize::from(item.activation_grad.is_some()))
        };
        // A view's columns, not the whole tensor it is a part of.
        let read: usize = self.items.iter().flat_map(Item::views).map(|(_, width)| width).sum();
        let written: usize = self.items.iter().map(|item| item.width).sum();
        let weights: usize = self
            .items
            .iter()
            .flat_map(|item| {
                item.terms.iter().map(|t| t.inner * item.width).chain(item.bias.is_some().then_some(item.width))
            })
            .sum();
        let _ = (node, graph);
        Cost {
            flops: (batch * self.items.iter().map(per_sample).sum::<usize>()) as u64,
            bytes: 4 * (batch * (read + written) + weights) as u64,
        }
    }

    fn shuffled_inputs(&self) -> Vec<usize> {
        let views = self.items.iter().flat_map(Item::views);
        views.filter(|(view, _)| view.rows != RowMap::Same).map(|(view, _)| view.input).collect()
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        crate::ops::affine::kernel::kernels(self, node, graph, target)
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        crate::ops::affine::onnx::write(self, node, export);
    }
}

impl PerSample for Affine {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        run_simd(self, block);
    }
}
