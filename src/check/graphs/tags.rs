//! Fields of tags, pooled in every way.

use super::scenarios::fields;
use super::{SmallGraph, finish};
use crate::graph::{Cross, Graph, Pooling, Precision, Tags, TokenField};
use crate::layers::{EmbeddingSet, Field};
use crate::ops::{Affine, TokenPool};
use Pooling::{Max, Mean, Sum};

/// A field that becomes one of tags: its number, whose rows it reads, how many values it has at most, and how they are pooled.
type Tagged = (usize, usize, usize, Pooling);

/// The fields with tags among them, their lists numbered from `first` on.
fn tagged(mut plain: Vec<Field>, tagged: &[Tagged], first: usize) -> Vec<Field> {
    for (number, &(field, rows_of, longest, pooling)) in tagged.iter().enumerate() {
        plain[field].tags = Some(Tags { rows_of, list: first + number, longest, pooling });
        if rows_of != field {
            plain[field].rows = 0;
        }
    }
    plain
}

fn small(name: impl Into<String>, graph: Graph) -> SmallGraph {
    SmallGraph { name: name.into(), graph, constant: None, max_gradient_norm: None }
}

fn pooled(name: &str, rows: &[usize], width: usize, tags: &[Tagged]) -> SmallGraph {
    let mut graph = Graph::new();
    let set = EmbeddingSet::new(&mut graph, "embedding", &tagged(fields(rows, Cross::None), tags, 0), width, 0.5);
    finish(&mut graph, set.all);
    small(format!("tags, {name}, width {width}"), graph)
}

/// Alone, beside others at every place within four columns, several of them, with rows of their own or another field's; beside
/// numeric fields, sequences, and with rows for each scenario.
pub(super) fn tag_graphs() -> Vec<SmallGraph> {
    let mut graphs = vec![
        pooled("alone", &[7], 1, &[(0, 0, 3, Mean)]),
        pooled("alone", &[7], 5, &[(0, 0, 1, Max)]),
        pooled("the same rows", &[5, 9, 4], 4, &[(2, 1, 4, Sum), (0, 1, 5, Max)]),
        pooled("weighted", &[5, 9, 4, 6], 3, &[(1, 1, 4, Sum), (2, 2, 3, Mean), (3, 2, 2, Mean)]),
        pooled("largest", &[5, 9, 4, 3], 6, &[(3, 0, 4, Max), (1, 1, 40, Max)]),
        pooled("largest", &[3, 9, 2], 8, &[(1, 1, 6, Max), (2, 2, 2, Mean)]),
    ];

    let mut graph = Graph::new();
    (graph.scenarios, graph.longest) = (3, 4);
    let both: [Tagged; 2] = [(0, 0, 3, Max), (2, 1, 5, Mean)];
    let mut shared = tagged(fields(&[6, 5, 5, 2], Cross::None), &both, 1);
    shared[3].value = Some(0);
    let own = tagged(fields(&[18, 15, 15, 6], Cross::None), &both, 1);
    let each = |(field, each): (Field, usize)| Field { cross: Cross::Scenario { each }, ..field };
    let own: Vec<Field> = own.into_iter().zip([6, 5, 5, 2]).map(each).collect();
    let shared = EmbeddingSet::new(&mut graph, "shared", &shared, 5, 0.5);
    let own = EmbeddingSet::new(&mut graph, "own", &own, 2, 0.5);
    let items = shared.tokens(&mut graph, "items", vec![TokenField { field: 1, sequence: 0 }]);
    let items = graph.add_one("items", TokenPool, &[items]);
    let all = Affine::concat(&mut graph, "all", &[own.all, items, shared.all]);
    finish(&mut graph, all);
    graphs.push(small("tags, in two tables, beside sequences and numbers", graph));
    graphs
}

/// The same where tables are of halves.
pub(super) fn half_tag_graphs() -> Vec<SmallGraph> {
    let tags = [(1, 1, 4, Max), (2, 0, 3, Mean)];
    let graphs = [3, 8].map(|width| pooled("as halves", &[40, 30, 4], width, &tags));
    let halves = |mut small: SmallGraph| {
        small.graph.set_embedding_precision(Precision::F16);
        small
    };
    graphs.map(halves).into()
}
