//! Fusion: sums into the products that make them, concatenations and slices into their readers.

use crate::graph::{Graph, Node, TensorId};
use crate::ops::{AffinePart, Draft, GradItem, GradPair, Op, Operation, PartSource, RowMap, View, WeightGrads};

/// Fuses what can be fused. `kept` tensors stay.
///
/// 1. A tensor that is added to what an operation makes is added there, if the operation can.
/// 2. An affine node that adds columns of a mere sum, which nothing else reads, takes over their parts: so the
///    contributions to a gradient end in the product that comes last, with the gradient of the activation before it.
/// 3. Products and weight gradients read through concatenations and slices.
pub(super) fn fuse(mut graph: Graph, kept: &[TensorId]) -> Graph {
    while add_where_made(&mut graph) {}
    while let Some((index, node)) = find_change(&graph, kept) {
        graph.nodes[index] = node;
        remove_unread(&mut graph, kept);
    }
    // Gradients that are stopped have no reader.
    remove_unread(&mut graph, kept);
    graph
}

/// Who makes each tensor, and how many nodes read it.
struct Uses<'a> {
    graph: &'a Graph,
    maker: Vec<Option<usize>>,
    readers: Vec<usize>,
}

impl<'a> Uses<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut uses = Self { graph, maker: vec![None; graph.tensors.len()], readers: vec![0; graph.tensors.len()] };
        for (index, node) in graph.nodes.iter().enumerate() {
            for output in &node.outputs {
                uses.maker[output.0] = Some(index);
            }
            let mut inputs = node.inputs.clone();
            inputs.sort();
            inputs.dedup();
            for input in inputs {
                uses.readers[input.0] += 1;
            }
        }
        uses
    }

    /// The draft of the affine node that makes `tensor`, if it is a mere sum.
    fn sum(&self, tensor: TensorId) -> Option<Draft> {
        let node = &self.graph.nodes[self.maker[tensor.0]?];
        let Op::Affine(op) = &node.op else { return None };
        Some(Draft::of(op, &node.inputs)).filter(Draft::is_sum)
    }

    /// Whether all that reads `tensor` are affine nodes that add columns of it, of the same sample, and none twice.
    fn columns_are_added_once(&self, tensor: TensorId) -> bool {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for node in self.graph.nodes.iter().filter(|node| node.inputs.contains(&tensor)) {
            let Op::Affine(op) = &node.op else { return false };
            let draft = Draft::of(op, &node.inputs);
            if draft.activation_grad.is_some_and(|(stored, _)| stored == tensor) {
                return false;
            }
            for part in &draft.parts {
                match part.source {
                    PartSource::View { tensor: read, from, rows } if read == tensor => {
                        if rows != RowMap::Same {
                            return false;
                        }
                        ranges.push((from, from + part.width));
                    }
                    PartSource::Product { x, .. } if x == tensor => return false,
                    _ => {}
                }
            }
        }
        ranges.sort_unstable();
        ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
    }

    /// Columns `from..from + width` of `tensor` as views of other tensors' columns: where each begins, its width, the
    /// tensor and its first column. `None` where `tensor` is anything but columns of the same samples side by side.
    fn copied(&self, tensor: TensorId, from: usize, width: usize) -> Option<Vec<(usize, usize, TensorId, usize)>> {
        let mut pieces = Vec::new();
        for part in overlapping(&self.sum(tensor)?.parts, from, width) {
            match part.source {
                PartSource::View { tensor, from: column, rows: RowMap::Same } => {
                    pieces.push((part.to - from, part.width, tensor, column));
                }
                _ => return None,
            }
        }
        pieces.sort();
        pieces.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0).then_some(pieces)
    }
}

/// The parts that touch columns `from..from + width`, cut to these.
fn overlapping(parts: &[AffinePart], from: usize, width: usize) -> Vec<AffinePart> {
    let cut = |part: &AffinePart| {
        let (first, end) = (from.max(part.to), (from + width).min(part.to + part.width));
        (first < end).then(|| part.columns(first - part.to, end - first))
    };
    parts.iter().filter_map(cut).collect()
}

fn find_change(graph: &Graph, kept: &[TensorId]) -> Option<(usize, Node)> {
    let uses = Uses::new(graph);
    graph.nodes.iter().enumerate().find_map(|(index, node)| {
        let (op, inputs): (Op, _) = match &node.op {
            Op::Affine(op) => {
                let draft = Draft::of(op, &node.inputs);
                let shared = |tensor: TensorId| {
                    kept.contains(&tensor) || graph.is_predicted(tensor) || !uses.columns_are_added_once(tensor)
                };
                let changed = (0..draft.parts.len()).find_map(|part| inline(&draft, part, &uses, shared));
                let (op, inputs) = changed?.build();
                (op.into(), inputs)
            }
            Op::WeightGrads(op) => {
                let (op, inputs) = read_through(op, &node.inputs, &uses)?;
                (op.into(), inputs)
            }
            _ => return None,
        };
        Some((index, Node { op, inputs, ..node.clone() }))
    })
}

/// The draft with part number `index` replaced by what makes the tensor it reads.
fn inline(draft: &Draft, index: usize, uses: &Uses<'_>, shared: impl Fn(TensorId) -> bool) -> Option<Draft> {
    let part = draft.parts[index];
    let with = |parts: Vec<AffinePart>| {
        let mut draft = draft.clone();
        draft.parts.splice(index..=index, parts);
        draft
    };
    match part.source {
        PartSource::View { tensor, from, rows } => {
            let inner = uses.sum(tensor)?;
            let products = inner.parts.iter().any(|part| matches!(part.source, PartSource::Product { .. }));
            // A product is computed once: where its column is added, if that is in one place only.
            if products && shared(tensor) {
                return None;
            }
            let parts = overlapping(&inner.parts, from, part.width).into_iter().map(|inner| {
                let source = match inner.source {
                    PartSource::View { tensor, from, rows: inner } => {
                        PartSource::View { tensor, from, rows: rows.then(inner)? }
                    }
                    product => product,
                };
                Some(AffinePart { to: part.to + inner.to - from, source, ..inner })
            });
            Some(with(parts.collect::<Option<_>>()?))
        }
        PartSource::Product { x, from, inner, weight, row, col, transposed, scenario_stride } => {
            let pieces = uses.copied(x, from, inner)?;
            let parts = pieces.into_iter().map(|(first, inner, x, from)| {
                let (row, col) = if transposed { (row + first, col) } else { (row, col + first) };
                AffinePart {
                    source: PartSource::Product { x, from, inner, weight, row, col, transposed, scenario_stride },
                    ..part
                }
            });
            Some(with(parts.collect()))
        }
    }
}

/// The weight gradients with one pair reading through a concatenation or slice.
fn read_through(op: &WeightGrads, inputs: &[TensorId], uses: &Uses<'_>) -> Option<(WeightGrads, Vec<TensorId>)> {
    let mut inputs = inputs.to_vec();
    let found = op.items.iter().enumerate().find_map(|(index, item)| {
        item.pairs.iter().enumerate().find_map(|(pair, &GradPair { dz, x, .. })| {
            // Without x the columns of dz are those of the gradient.
            let wide = if x.is_some() { item.rows } else { item.cols };
            let sides = [Some((dz, wide, x.is_some())), x.map(|x| (x, item.cols, false))];
            sides.into_iter().enumerate().find_map(|(side, view)| {
                let (view, width, is_rows) = view?;
                let pieces = uses.copied(inputs[view.input], view.from, width)?;
                Some((index, pair, side, is_rows, width, pieces))
            })
        })
    });
    let (index, pair, side, is_rows, width, pieces) = found?;
    let item = &op.items[index];
    let mut bounds: Vec<usize> = pieces.iter().flat_map(|&(first, width, ..)| [first, first + width]).collect();
    bounds.extend([0, width]);
    bounds.sort_unstable();
    bounds.dedup();
    let parts = bounds.windows(2).map(|bound| {
        let (first, end) = (bound[0], bound[1]);
        let mut part = if is_rows { item.rows_of(first, end - first) } else { item.cols_of(first, end - first) };
        match pieces.iter().find(|&&(start, width, ..)| start <= first && end <= start + width) {
            Some(&(start, _, tensor, from)) => {
                let input = inputs.iter().position(|&known| known == tensor).unwrap_or_else(|| {
                    inputs.push(tensor);
                    inputs.len() - 1
                });
                let view = View::of(input).shifted(from + first - start);
                let pair = &mut part.pairs[pair];
                if side == 0 { pair.dz = view } else { pair.x = Some(view) }
            }
            // Columns that nothing covers are 0.
            None => {
                part.pairs.remove(pair);
            }
        }
        part
    });
    let parts: Vec<GradItem> = parts.collect();
    let mut op = op.clone();
    op.items.splice(index..=index, parts);
    // Inputs that are not read any more go.
    let mut used = Vec::new();
    for item in &mut op.items {
        item.for_views(|view| {
            let position = used.iter().position(|&known| known == view.input).unwrap_or_else(|| {
                used.push(view.input);
                used.len() - 1
            });
            view.input = position;
        });
    }
    let inputs = used.into_iter().map(|input| inputs[input]).collect();
    Some((op, inputs))
}

/// Removes affine nodes whose result nothing reads.
fn remove_unread(graph: &mut Graph, kept: &[TensorId]) {
    loop {
        let uses = Uses::new(graph);
        let unread =
            |tensor: &TensorId| uses.readers[tensor.0] == 0 && !kept.contains(tensor) && !graph.is_predicted(*tensor);
        let dead =
            graph.nodes.iter().position(|node| matches!(node.op, Op::Affine(_)) && node.outputs.iter().all(unread));
        match dead {
            Some(index) => graph.nodes.remove(index),
            None => return,
        };
    }
}

/// Replaces one sum of what an operation makes with another tensor by an operation that adds it
/// ([`Operation::adding_to`]). The nodes may then stand in an order in which they cannot run.
fn add_where_made(graph: &mut Graph) -> bool {
    let uses = Uses::new(graph);
    let found = graph.nodes.iter().enumerate().find_map(|(index, node)| {
        let Op::Affine(op) = &node.op else { return None };
        let draft = Draft::of(op, &node.inputs);
        let whole = |part: &AffinePart| match part.source {
            PartSource::View { tensor, from: 0, rows: RowMap::Same }
                if part.width == draft.width && graph.width(tensor) == draft.width =>
            {
                Some(tensor)
            }
            _ => None,
        };
        let (true, [a, b]) = (draft.is_sum(), draft.parts.as_slice()) else { return None };
        let (a, b) = (whole(a)?, whole(b)?);
        [(a, b), (b, a)].into_iter().find_map(|(part, other)| {
            let maker = uses.maker[part.0]?;
            let inner = &graph.nodes[maker];
            let output = inner.outputs.iter().position(|made| *made == part)?;
            let op = inner.op.adding_to(output)?;
            let fits = uses.readers[part.0] == 1 && !depends(&uses, other, maker);
            fits.then_some((index, maker, output, op, other))
        })
    });
    let Some((index, maker, output, op, other)) = found else { return false };
    let total = graph.nodes[index].outputs[0];
    let node = &mut graph.nodes[maker];
    node.op = op;
    node.inputs.push(other);
    node.outputs[output] = total;
    graph.nodes.remove(index);
    true
}

/// Whether `tensor` depends on what node number `node` makes.
fn depends(uses: &Uses<'_>, tensor: TensorId, node: usize) -> bool {
    let mut seen = vec![false; uses.graph.nodes.len()];
    let mut open = vec![tensor];
    while let Some(tensor) = open.pop() {
        let Some(maker) = uses.maker[tensor.0] else { continue };
        if maker == node {
            return true;
        }
        if !std::mem::replace(&mut seen[maker], true) {
            open.extend(&uses.graph.nodes[maker].inputs);
        }
    }
    false
}
