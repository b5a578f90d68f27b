//! Where a plan's tensors lie when it runs on the CPU, and which nodes a block of samples runs through in one go.

use std::ops::Range;

use super::Plan;
use crate::graph::{Node, RowExtent, TensorId};
use crate::ops::{Operation, Phase};

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Columns of the memory for the whole batch.
    Shared {
        /// First column.
        first: usize,
        /// Columns.
        width: usize,
    },
    /// Columns of the memory for all tokens.
    Tokens {
        /// First column.
        first: usize,
        /// Columns.
        width: usize,
    },
    /// Columns of each thread's memory for one block.
    Local {
        /// First column.
        first: usize,
        /// Columns.
        width: usize,
    },
    /// The parameter of this number.
    Parameter(usize),
    /// The gradient of the parameter of this number.
    Gradient(usize),
    /// A sum over samples that is no parameter's gradient, such as those of embedding rows, number so-and-so.
    Rows(usize),
    /// Nowhere: no node touches it.
    Unused,
}

/// A plan's layout on the CPU.
///
/// Nodes that treat samples alike are cut into segments; a thread takes a block of samples through a whole segment, so
/// that what one node made is still in its cache when the next reads it. A segment ends where a node reads rows that
/// other threads may not have made yet; one that sums over all samples is a segment of its own.
pub(super) struct Layout {
    /// For each tensor.
    pub(super) slots: Vec<Slot>,
    /// Columns of the batch's memory.
    pub(super) shared_columns: usize,
    /// Columns of the tokens' memory.
    pub(super) token_columns: usize,
    /// Columns of a thread's memory.
    pub(super) local_columns: usize,
    /// Nodes that make weights.
    pub(super) weights: Range<usize>,
    /// Numbers of the nodes of each segment.
    pub(super) segments: Vec<Range<usize>>,
    /// Nodes that sum over samples, and those that make gradients of these sums.
    pub(super) sums: Range<usize>,
    /// Nodes that change the model's state.
    pub(super) updates: Range<usize>,
    /// The tensors in [`Slot::Rows`].
    pub(super) row_tensors: Vec<TensorId>,
}

impl Layout {
    pub(super) fn new(plan: &Plan) -> Self {
        let nodes = &plan.graph.nodes;
        let phase = |node: &Node| node.op.phase();
        assert!(nodes.is_sorted_by_key(phase), "nodes in the order of their phases");
        let weights = nodes.partition_point(|node| phase(node) < Phase::Samples);
        let samples = nodes.partition_point(|node| phase(node) < Phase::Sums);
        let sums = nodes.partition_point(|node| phase(node) < Phase::Update);
        let segments = segments(&nodes[..samples], weights);
        let mut layout = Self {
            slots: vec![Slot::Unused; plan.graph.tensors.len()],
            shared_columns: 0,
            token_columns: 0,
            local_columns: 0,
            weights: 0..weights,
            sums: samples..sums,
            updates: sums..nodes.len(),
            row_tensors: Vec::new(),
            segments,
        };
        layout.place_fixed(plan);
        for segment in layout.segments.clone() {
            layout.place_segment(plan, segment);
        }
        layout.check(plan);
        layout
    }

    fn place_fixed(&mut self, plan: &Plan) {
        for (slot, tensor) in self.slots.iter_mut().zip(&plan.graph.tensors) {
            if let Some(parameter) = tensor.parameter {
                *slot = Slot::Parameter(parameter);
            }
        }
        for (parameter, gradient) in plan.gradients.iter().enumerate() {
            if let Some(gradient) = gradient {
                self.slots[gradient.0] = Slot::Gradient(parameter);
            }
        }
        let midway = plan.graph.nodes[..self.sums.start].iter().filter(|node| node.op.sums_midway());
        for node in midway.chain(&plan.graph.nodes[self.sums.clone()]) {
            for &output in &node.outputs {
                if self.slots[output.0] == Slot::Unused {
                    self.slots[output.0] = Slot::Rows(self.row_tensors.len());
                    self.row_tensors.push(output);
                }
            }
        }
    }

    /// Places what a segment makes: what nothing after it reads goes to local memory, which is used again within the
    /// segment.
    fn place_segment(&mut self, plan: &Plan, segment: Range<usize>) {
        let nodes = &plan.graph.nodes;
        let last_use = |tensor: TensorId| nodes.iter().rposition(|node| node.inputs.contains(&tensor));
        // Columns in use: first, end, number of the node that reads them last.
        let mut active: Vec<(usize, usize, usize)> = Vec::new();
        for (index, node) in nodes.iter().enumerate().take(segment.end).skip(segment.start) {
            if node.op.sums_midway() {
                continue;
            }
            active.retain(|&(_, _, last)| last >= index);
            for &output in &node.outputs {
                let width = plan.graph.width(output);
                if matches!(plan.graph.shape(output).rows, RowExtent::Tokens(_)) {
                    self.slots[output.0] = Slot::Tokens { first: self.token_columns, width };
                    self.token_columns += width;
                    continue;
                }
                let last = last_use(output).unwrap_or(index);
                self.slots[output.0] = if last >= segment.end || plan.kept.contains(&output) {
                    let first = self.shared_columns;
                    self.shared_columns += width;
                    Slot::Shared { first, width }
                } else {
                    active.sort_unstable();
                    let mut first = 0;
                    for &(start, end, _) in &active {
                        if first + width <= start {
                            break;
                        }
                        first = first.max(end);
                    }
                    active.push((first, first + width, last));
                    self.local_columns = self.local_columns.max(first + width);
                    Slot::Local { first, width }
                };
            }
        }
    }

    /// The CPU's kernels write through handles that rely on this.
    fn check(&self, plan: &Plan) {
        let overlap = |a: TensorId, b: TensorId| match (self.slots[a.0], self.slots[b.0]) {
            (Slot::Shared { first, width }, Slot::Shared { first: other, width: other_width })
            | (Slot::Tokens { first, width }, Slot::Tokens { first: other, width: other_width })
            | (Slot::Local { first, width }, Slot::Local { first: other, width: other_width }) => {
                first < other + other_width && other < first + width
            }
            (a, b) => a == b,
        };
        for node in &plan.graph.nodes {
            for (i, &output) in node.outputs.iter().enumerate() {
                let others = node.inputs.iter().chain(&node.outputs[..i]);
                assert!(others.copied().all(|other| !overlap(output, other)), "{} in place", node.name);
            }
        }
    }
}

/// Cuts the nodes from number `first` on into segments.
fn segments(nodes: &[Node], first: usize) -> Vec<Range<usize>> {
    let mut segments = Vec::new();
    let mut start = first;
    for (index, node) in nodes.iter().enumerate().skip(first) {
        let made =
            |input: usize| nodes[start..index].iter().any(|earlier| earlier.outputs.contains(&node.inputs[input]));
        if node.op.sums_midway() {
            segments.extend([start..index, index..index + 1]);
            start = index + 1;
        } else if node.op.shuffled_inputs().into_iter().any(made) {
            segments.push(start..index);
            start = index;
        }
    }
    segments.push(start..nodes.len());
    segments.retain(|segment| !segment.is_empty());
    segments
}
