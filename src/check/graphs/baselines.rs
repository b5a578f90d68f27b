//! Small graphs with the operations that baselines are made of.

use crate::graph::{Cross, Graph, Init, LossTerm, TensorId, TokenField, WarmUp};
use crate::layers::{EmbeddingSet, Linear, layer_norm, partitioned_norm, self_attention, transformer};
use crate::ops::{
    Activation, AddPositions, Affine, AffinePart, Anneal, Compare, LabelMixture, Mixture, Pairwise, Prune, RowMap,
    SampleMatrix, Sparsity, TokenPool,
};

use super::scenarios::{SCENARIOS, fields, routed};
use super::{SmallGraph, aside, before, finish, small};

pub(super) fn baseline_graphs() -> Vec<SmallGraph> {
    [products(), mixtures(), norms(), prunings(), of_tokens(), transformers()].into_iter().flatten().collect()
}

fn products() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for (vectors, width) in [(2, 3), (4, 4), (3, 8), (5, 1), (2, 6)] {
        graphs.push(small(format!("pairwise, {vectors} of {width}"), |graph, x| {
            let e = before(graph, "e", x, vectors * width);
            graph.add_one("pairwise", Pairwise { width }, &[e])
        }));
    }
    for size in [1, 3, 4, 8] {
        graphs.push(small(format!("sample matrix of {size}"), |graph, x| {
            let (h, m) = (before(graph, "h", x, size), before(graph, "m", x, size * size));
            graph.add_one("product", SampleMatrix, &[h, m])
        }));
    }
    for width in [3, 8] {
        graphs.push(small(format!("leaky layer of {width}"), |graph, x| {
            let h = before(graph, "h", x, 5);
            Linear::new(width, Activation::LeakyRelu).add(graph, "leaky", h)
        }));
    }
    graphs
}

fn mixtures() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for (groups, experts, width) in [(2, 3, 4), (3, 4, 5), (4, 2, 3)] {
        graphs.push(small(format!("mixture, {groups} of the same {experts} experts, {width} wide"), |graph, x| {
            let t = before(graph, "scores", x, groups * experts);
            let v = before(graph, "values", x, experts * width);
            graph.add_one("mixture", Mixture { experts, shared: true }, &[t, v])
        }));
    }
    graphs.push(routed("label mixture", |graph, x| {
        let t = before(graph, "scores", x, SCENARIOS);
        let z = before(graph, "logits", x, SCENARIOS);
        // Only the own scenario's logit has a gradient, so what makes the logits is a table without one.
        let constant = super::embedding(graph, "others", &[5; SCENARIOS], 1, false);
        let own = graph.add_one("own", crate::ops::Select { width: 1 }, &[z]);
        let mixed = graph.add_one("label", LabelMixture, &[t, constant]);
        Affine::concat(graph, "both", &[mixed, own])
    }));
    graphs.last_mut().expect("just added").constant = Some("others".to_owned());
    graphs
}

fn norms() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for width in [3, 8] {
        graphs.push(routed(format!("partitioned norm of {width}"), |graph, x| {
            let h = before(graph, "h", x, width);
            partitioned_norm(graph, "norm", h, false)
        }));
    }
    graphs.push(routed("partitioned norm, columns that are still".to_owned(), |graph, x| {
        let h = before(graph, "h", x, 4);
        let part = AffinePart::view(h, 0, 3, 4, RowMap::Same);
        let padded = Affine::sum(graph, "padded", 9, &[part], Activation::None);
        partitioned_norm(graph, "norm", padded, false)
    }));
    for width in [3, 4, 6] {
        graphs.push(small(format!("layer norm of {width}"), |graph, x| {
            let h = before(graph, "h", x, width);
            layer_norm(graph, "norm", h)
        }));
    }
    graphs
}

fn prunings() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for width in [3, 8] {
        graphs.push(aside(format!("pruning of {width}"), |graph, x| {
            let v = Linear::new(width, Activation::None).add(graph, "v", x);
            let alpha = graph.state("alpha", [1, 1], Init::Constant(1.0));
            let kept = graph.add_one("prune", Prune { max: 2.0, threshold: 0.6 }, &[v, alpha]);
            let first_column = graph.reserve_loss_columns(1);
            graph.add("sparsity", Sparsity { low: -0.1, high: 0.1, weight: 0.7, first_column }, &[kept]);
            let columns = vec![(first_column, 1.0)];
            graph.losses.push(LossTerm {
                name: "sparsity".to_owned(),
                coefficient: 0.7,
                columns,
                warm_up: WarmUp::default(),
            });
            let parameter = graph.tensors[alpha.0].parameter.unwrap();
            graph.update("anneal", Anneal { parameter, factor: 1.0, max: 1e9 }, &[]);
            kept
        }));
    }
    graphs
}

/// A graph over sequences of up to `longest` of `sequences` kinds; `build` makes [B, ·] of the tokens and of the embeddings
/// of the sample's own items.
fn sequenced(
    name: impl Into<String>,
    (sequences, longest, with_target): (usize, usize, bool),
    build: impl FnOnce(&mut Graph, TensorId, TensorId) -> TensorId,
) -> SmallGraph {
    let mut graph = Graph::new();
    graph.longest = longest;
    graph.with_target = with_target;
    let set = EmbeddingSet::new(&mut graph, "embedding", &fields(&[7, 3, 5], Cross::None), 3, 0.5);
    let tokens = (0..sequences).map(|sequence| TokenField { field: sequence, sequence }).collect();
    let items = set.tokens(&mut graph, "tokens", tokens);
    let own = set.slice(&mut graph, "own", 0, sequences);
    let made = build(&mut graph, items, own);
    let both = Affine::concat(&mut graph, "both", &[set.all, made]);
    finish(&mut graph, both);
    SmallGraph { name: name.into(), graph, constant: None, max_gradient_norm: None }
}

fn of_tokens() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for (width, longest, sequences) in [(3, 4, 1), (4, 7, 2), (1, 17, 1)] {
        graphs.push(sequenced(
            format!("compared with {width} columns, up to {longest} tokens"),
            (sequences, longest, false),
            |graph, items, own| {
                let (k, q) = (before(graph, "k", items, width), before(graph, "q", own, width));
                let compared = graph.add_one("compared", Compare, &[k, q]);
                let weights = Linear::new(1, Activation::None).add(graph, "weights", compared);
                graph.add_one("sum", TokenPool, &[k, weights])
            },
        ));
        graphs.push(sequenced(
            format!("mean of {width} columns with positions, up to {longest} tokens"),
            (sequences, longest, width == 4),
            |graph, items, _| {
                let v = before(graph, "v", items, width);
                let positions = graph.parameter("positions", longest, width, Init::Normal(0.5));
                let placed = graph.add_one("placed", AddPositions, &[v, positions]);
                let h = before(graph, "h", placed, width);
                graph.add_one("mean", TokenPool, &[h])
            },
        ));
    }
    graphs
}

fn transformers() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for (heads, width, longest) in [(1, 3, 4), (2, 4, 6), (3, 6, 17)] {
        graphs.push(sequenced(
            format!("{heads} heads over {width} columns, token by token"),
            (1, longest, false),
            |graph, items, _| {
                let h = before(graph, "h", items, width);
                let attended = self_attention(graph, "attention", h, h, heads, false);
                graph.add_one("mean", TokenPool, &[attended])
            },
        ));
    }
    graphs.push(sequenced("transformer", (2, 5, true), |graph, items, _| transformer(graph, "transformer", items, 2)));
    graphs
}
