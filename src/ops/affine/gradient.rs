//! The gradient rule of affine nodes.

use super::{Affine, AffinePart, PartSource};
use crate::graph::{Graph, Node, RowExtent, TensorId};
use crate::ops::{Activation, GradItem, GradPair, View, WeightGrads};

/// Gradients of the node's inputs: of views and x by affine nodes, of weights and biases by one [`WeightGrads`].
pub(super) fn gradient(
    op: &Affine,
    node: &Node,
    grads: &[Option<TensorId>],
    graph: &mut Graph,
) -> Vec<Option<TensorId>> {
    // The gradient of each output before its items' epilogues.
    let before: Vec<Option<TensorId>> = grads
        .iter()
        .enumerate()
        .map(|(output, &dy)| {
            let mut items = op.items.iter().filter(|item| item.output == output);
            let epilogue = items.next().expect("an output has an item").epilogue;
            assert!(items.all(|item| item.epilogue == epilogue), "one epilogue per output when it is differentiated");
            Some(Affine::through(graph, &node.name, dy?, node.outputs[output], epilogue))
        })
        .collect();
    let mut parts: Vec<Vec<AffinePart>> = vec![Vec::new(); node.inputs.len()];
    let mut weights = GradBuilder::default();
    for item in &op.items {
        assert!(item.activation_grad.is_none(), "activation gradients only occur in backward passes");
        let Some(dz) = before[item.output] else { continue };
        for term in &item.terms {
            parts[term.x.input].push(AffinePart {
                to: term.x.from,
                width: term.inner,
                source: PartSource::Product {
                    x: dz,
                    from: item.to,
                    inner: item.width,
                    weight: node.inputs[term.weight],
                    row: term.row,
                    col: term.col,
                    transposed: !term.transposed,
                    scenario_stride: term.scenario_stride,
                },
            });
            let (of_y, of_x) = ((dz, item.to), (node.inputs[term.x.input], term.x.from));
            let (rows, cols) = if term.transposed { (term.inner, item.width) } else { (item.width, term.inner) };
            let pair = if term.transposed { (of_x, Some(of_y)) } else { (of_y, Some(of_x)) };
            for (scenario, row) in routed(graph, term.row, term.scenario_stride) {
                weights.add(term.weight, [row, term.col], [rows, cols], pair, scenario);
            }
        }
        for view in &item.adds {
            let part = AffinePart::view(dz, item.to, view.from, item.width, view.rows.inverse());
            parts[view.input].push(part);
        }
        if let Some(bias) = item.bias {
            for (scenario, from) in routed(graph, bias.from, bias.scenario_stride) {
                weights.add(bias.input, [0, from], [1, item.width], ((dz, item.to), None), scenario);
            }
        }
    }
    let GradBuilder { inputs, items, of } = weights;
    let found = if items.is_empty() {
        Vec::new()
    } else {
        let shapes = of.iter().map(|&input| graph.shape(node.inputs[input])).collect();
        graph.add(&node.name, WeightGrads { items, shapes }, &inputs)
    };
    let live: Vec<bool> = (0..node.inputs.len())
        .map(|input| !parts[input].is_empty() && !matches!(graph.shape(node.inputs[input]).rows, RowExtent::Fixed(_)))
        .collect();
    (0..node.inputs.len())
        .map(|input| {
            if let Some(position) = of.iter().position(|&weight| weight == input) {
                return Some(found[position]);
            }
            let width = graph.width(node.inputs[input]);
            live[input].then(|| Affine::sum(graph, &node.name, width, &parts[input], Activation::None))
        })
        .collect()
}

/// Where each scenario's part of a parameter begins, or the one place that all share.
fn routed(graph: &Graph, first: usize, scenario_stride: usize) -> Vec<(Option<usize>, usize)> {
    match scenario_stride {
        0 => vec![(None, first)],
        _ => (0..graph.scenarios).map(|scenario| (Some(scenario), first + scenario * scenario_stride)).collect(),
    }
}

/// Columns of a tensor: which, from where.
type Columns = (TensorId, usize);

#[derive(Default)]
struct GradBuilder {
    inputs: Vec<TensorId>,
    items: Vec<GradItem>,
    /// For each output the node's input it is the gradient of.
    of: Vec<usize>,
}

impl GradBuilder {
    fn view(&mut self, (tensor, from): Columns) -> View {
        View::of(super::build::number(&mut self.inputs, tensor)).shifted(from)
    }

    /// The pair (dz, x) contributes to a part of the gradient of input number `of`, for the samples of a scenario or all.
    fn add(
        &mut self,
        of: usize,
        at: [usize; 2],
        size: [usize; 2],
        (dz, x): (Columns, Option<Columns>),
        scenario: Option<usize>,
    ) {
        let output = self.of.iter().position(|&known| known == of).unwrap_or_else(|| {
            self.of.push(of);
            self.of.len() - 1
        });
        let pair = GradPair { dz: self.view(dz), x: x.map(|x| self.view(x)), scenario };
        let [row, col] = at;
        let [rows, cols] = size;
        let same = |item: &&mut GradItem| {
            item.output == output && [item.row, item.col] == at && [item.rows, item.cols] == size
        };
        match self.items.iter_mut().find(same) {
            Some(item) => item.pairs.push(pair),
            None => self.items.push(GradItem { output, row, col, rows, cols, pairs: vec![pair] }),
        }
    }
}
