//! Small graphs with parts for each scenario, and with the operations that models of many scenarios are made of.

use crate::graph::{Cross, Graph, TensorId, TokenField};
use crate::layers::{EmbeddingSet, Field, Stack, Use, Which, cross_entropy, orthogonality, self_attention, stacked};
use crate::ops::{Activation, Affine, Alpha, Attention, Epilogue, Mixture, Multiply, Mutual, Orthogonal, Pool, Select};

use super::{SmallGraph, aside, before, embedding, finish, small};

pub(super) const SCENARIOS: usize = 3;

pub(super) fn scenario_graphs() -> Vec<SmallGraph> {
    [stacks(), gates(), mixtures(), orthogonalities(), mutual_units(), attentions(), crossed()]
        .into_iter()
        .flatten()
        .collect()
}

/// As [`small`], with scenarios.
pub(super) fn routed(name: impl Into<String>, build: impl FnOnce(&mut Graph, TensorId) -> TensorId) -> SmallGraph {
    small(name, |graph, x| {
        graph.scenarios = SCENARIOS;
        build(graph, x)
    })
}

fn stacks() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for (outputs, inputs, activation) in
        [(5, 7, Activation::Relu), (1, 3, Activation::None), (8, 4, Activation::Sigmoid), (37, 21, Activation::Relu)]
    {
        graphs.push(routed(format!("stack, own {inputs}→{outputs}"), |graph, x| {
            let h = before(graph, "before", x, inputs);
            Stack::new(graph, "own", SCENARIOS, outputs, inputs).own(graph, "own", h, Epilogue::new(activation))
        }));
        graphs.push(routed(format!("stack, star {inputs}→{outputs}"), |graph, x| {
            let h = before(graph, "before", x, inputs);
            Stack::star(graph, "star", SCENARIOS, outputs, inputs).own(graph, "star", h, Epilogue::new(activation))
        }));
    }
    graphs.push(routed("stack, own experts beside shared ones, in two pieces", |graph, x| {
        let (a, b) = (before(graph, "a", x, 5), before(graph, "b", x, 4));
        let own = Stack::new(graph, "own", 2 * SCENARIOS, 3, 6);
        let shared = Stack::new(graph, "shared", 2, 3, 6);
        let inputs = vec![(a, 1, 4), (b, 2, 2)];
        let layers = [
            (own, Which::Own { number: 0, each: 2 }),
            (shared, Which::Number(1)),
            (own, Which::Own { number: 1, each: 2 }),
            (shared, Which::Number(0)),
        ];
        let uses: Vec<Use> =
            layers.into_iter().map(|(stack, layer)| Use { stack, layer, inputs: inputs.clone() }).collect();
        stacked(graph, "experts", &uses, Epilogue::new(Activation::Relu))
    }));
    graphs.push(routed("stack, star for everyone, then own", |graph, x| {
        let h = before(graph, "before", x, 2 * SCENARIOS);
        let star = Stack::star(graph, "star", SCENARIOS, 5, 2);
        let uses: Vec<Use> = (0..SCENARIOS).map(|m| star.on(Which::Number(m), h, 2 * m)).collect();
        let all = stacked(graph, "star", &uses, Epilogue::new(Activation::Sigmoid));
        graph.add_one("own", Select { width: 5 }, &[all])
    }));
    graphs.push(routed("stack, one layer on several columns", |graph, x| {
        let h = before(graph, "before", x, 8);
        let stack = Stack::new(graph, "stack", 2, 4, 4);
        let uses: Vec<Use> =
            [(0, 0), (1, 0), (0, 4), (1, 4)].map(|(n, from)| stack.on(Which::Number(n), h, from)).into();
        stacked(graph, "stack", &uses, Epilogue::new(Activation::Sigmoid))
    }));
    for width in [4, 3] {
        graphs.push(routed(format!("select {width}"), |graph, x| {
            let h = before(graph, "before", x, width * SCENARIOS);
            graph.add_one("select", Select { width }, &[h])
        }));
    }
    graphs
}

fn gates() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    // Columns of a, neighbours that share a gate, copies of a.
    for (width, group, copies) in [(6, 1, 1), (7, 1, 2), (6, 3, 1), (8, 4, 3), (12, 4, 1), (5, 5, 2), (1, 1, 1)] {
        graphs.push(small(format!("multiply {width}, groups of {group}, {copies} copies"), |graph, x| {
            let a = before(graph, "a", x, width);
            let b = before(graph, "b", x, width / group * copies);
            graph.add_one("multiply", Multiply { group, scale: 2.0 }, &[a, b])
        }));
    }
    for (groups, group) in [(1, 1), (3, 5), (5, 4), (2, 3)] {
        graphs.push(small(format!("pool, {groups} groups of {group}"), |graph, x| {
            let a = before(graph, "a", x, groups * group);
            graph.add_one("pool", Pool::mean(group), &[a])
        }));
        graphs.push(small(format!("spread, {groups} groups of {group}"), |graph, x| {
            let a = before(graph, "a", x, groups);
            graph.add_one("spread", Pool { group, scale: 0.7, spread: true }, &[a])
        }));
    }
    graphs
}

fn mixtures() -> Vec<SmallGraph> {
    [(1, 1, 1), (2, 3, 4), (3, 4, 5), (1, 6, 8), (4, 2, 3)]
        .into_iter()
        .map(|(groups, experts, width)| {
            small(format!("mixture, {groups} of {experts} experts, {width} wide"), |graph, x| {
                let t = before(graph, "scores", x, groups * experts);
                let v = before(graph, "values", x, groups * experts * width);
                let mixed = graph.add_one("mixture", Mixture { experts, shared: false }, &[t, v]);
                // One expert's score has no influence.
                if experts == 1 { Affine::concat(graph, "both", &[mixed, t]) } else { mixed }
            })
        })
        .collect()
}

fn orthogonalities() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for form in [Orthogonal::Signed, Orthogonal::Abs, Orthogonal::Square] {
        for (vectors, width) in [(2, 3), (3, 4), (5, 2)] {
            graphs.push(aside(format!("orthogonality, {form:?}, {vectors} of {width}"), |graph, x| {
                let r = before(graph, "r", x, vectors * width);
                orthogonality(graph, "orth", r, vectors, form, 0.7);
                r
            }));
        }
    }
    graphs
}

fn mutual_units() -> Vec<SmallGraph> {
    let mut graphs = Vec::new();
    for (branches, width, everyone, alpha) in [
        (2, 3, true, Alpha::Paper),
        (3, 4, false, Alpha::Paper),
        (3, 5, true, Alpha::Cosine),
        (4, 8, true, Alpha::Paper),
    ] {
        let mut graph = Graph::new();
        graph.scenarios = branches;
        let x = embedding(&mut graph, "embedding", &[7, 3], 3, false);
        let others = embedding(&mut graph, "others", &[5; 4][..branches], width, false);
        let (own, t) = (before(&mut graph, "own", x, width), before(&mut graph, "gate", x, 1));
        let mut inputs = vec![others, own, t];
        if everyone {
            inputs.push(Affine::slice(&mut graph, "gates", others, 0, branches));
        }
        let made = graph.add("mutual", Mutual { branches, alpha }, &inputs);
        if everyone {
            // The others' results count, but have no gradient.
            let others = Affine::slice(&mut graph, "of others", made[2], 0, width);
            let t = Stack::new(&mut graph, "of others", 1, 1, width);
            let t = stacked(&mut graph, "of others", &[t.on(Which::Number(0), others, 0)], Epilogue::default());
            cross_entropy(&mut graph, "of others", t);
        }
        finish(&mut graph, made[0]);
        let name = format!("mutual, {branches} branches of {width}, {alpha:?}, everyone {everyone}");
        graphs.push(SmallGraph { name, graph, constant: Some("others".to_owned()), max_gradient_norm: None });
    }
    graphs
}

fn attentions() -> Vec<SmallGraph> {
    // Heads, widths of their queries and values, the longest sequence, sequences.
    [(1, 3, 2, 5, 1), (2, 2, 4, 3, 1), (4, 1, 3, 7, 2), (2, 5, 1, 17, 1)]
        .into_iter()
        .map(|(heads, size, width, longest, sequences)| {
            let mut graph = Graph::new();
            graph.longest = longest;
            let fields = fields(&[7, 3, 5], Cross::None);
            let set = EmbeddingSet::new(&mut graph, "embedding", &fields, 3, 0.5);
            let tokens = (0..sequences).map(|sequence| TokenField { field: sequence, sequence }).collect();
            let items = set.tokens(&mut graph, "tokens", tokens);
            let [q, k] = ["q", "k"].map(|name| before(&mut graph, name, items, heads * size));
            let v = before(&mut graph, "v", items, heads * width);
            let mean = graph.add_one("attention", Attention { heads, mean: true }, &[q, k, v]);
            let both = Affine::concat(&mut graph, "both", &[set.all, mean]);
            finish(&mut graph, both);
            let name = format!("attention, {heads} heads {size} and {width} wide, {sequences} sequences of {longest}");
            SmallGraph { name, graph, constant: None, max_gradient_norm: None }
        })
        .collect()
}

pub(super) fn fields(rows: &[usize], cross: Cross) -> Vec<Field> {
    let field = |(source, &rows): (usize, &usize)| Field {
        name: format!("field{source}"),
        source,
        rows,
        cross,
        value: None,
        tags: None,
    };
    rows.iter().enumerate().map(field).collect()
}

/// Two tables on the same columns, one with rows for each scenario, and sequences in both.
fn crossed() -> Vec<SmallGraph> {
    let tables = [
        ("rows for each scenario", 6 * SCENARIOS, Cross::Scenario { each: 6 }),
        ("hashed rows for each scenario", 5, Cross::Hashed { each: 6 }),
    ];
    tables
        .into_iter()
        .map(|(name, rows, cross)| {
            let mut graph = Graph::new();
            graph.scenarios = SCENARIOS;
            graph.longest = 4;
            let global = EmbeddingSet::new(&mut graph, "global", &fields(&[6, 6], Cross::None), 4, 0.5);
            let own = EmbeddingSet::new(&mut graph, "own", &fields(&[rows; 2], cross), 2, 0.5);
            let token = || vec![TokenField { field: 1, sequence: 0 }];
            let of_global = global.tokens(&mut graph, "global tokens", token());
            let of_own = own.tokens(&mut graph, "own tokens", token());
            let attention = self_attention(&mut graph, "attention", of_own, of_global, 2, true);
            let all = Affine::concat(&mut graph, "all", &[global.all, own.all, attention]);
            finish(&mut graph, all);
            SmallGraph { name: name.to_owned(), graph, constant: None, max_gradient_norm: None }
        })
        .collect()
}
