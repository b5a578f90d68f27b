//! Small graphs, each with one operation in the midst of others: every gradient rule has an incoming gradient to chain
//! and passes one on.

mod baselines;
mod optimizers;
mod scenarios;
mod tags;

pub use optimizers::optimizer_graphs;

use super::data::{ADAM, training};
use crate::graph::{Cross, Graph, Init, LossTerm, Precision, TensorId, WarmUp};
use crate::layers::{EmbeddingSet, Field, Linear, cross_entropy, hidden_epilogue};
use crate::models::entire_space;
use crate::ops::{
    Activation, Affine, AffinePart, Blocks, Discriminate, Epilogue, Factor, LowRank, OptimizerOptions, Pairing, Repeat,
    RowMap, WeightedLinear,
};
use crate::plan::TrainingOptions;

pub struct SmallGraph {
    pub name: String,
    pub graph: Graph,
    /// A table that stands for values without gradients.
    pub constant: Option<String>,
    /// The largest norm of its gradients.
    pub max_gradient_norm: Option<f64>,
}

impl SmallGraph {
    /// Options of its training plan.
    pub fn training(&self, capacity: usize) -> TrainingOptions {
        let dense = OptimizerOptions { l2: 0.01, ..ADAM };
        TrainingOptions { dense, max_gradient_norm: self.max_gradient_norm, ..training(capacity) }
    }
}

/// The graphs that have every kernel of operations between them.
pub fn all_small_graphs() -> impl Iterator<Item = SmallGraph> {
    small_graphs().into_iter().chain(half_graphs()).chain(optimizer_graphs())
}

/// Every operation with a gradient, in each of its forms.
pub fn small_graphs() -> Vec<SmallGraph> {
    let plain =
        [embeds(), linears(), weighted_linears(), low_ranks(), sums(), vec![logit_loss(), pair()], discriminators()];
    let plain = plain.into_iter().flatten();
    let more = [scenarios::scenario_graphs(), baselines::baseline_graphs(), tags::tag_graphs()];
    plain.chain(more.into_iter().flatten()).collect()
}

/// Embeddings [B, fields·width] of a new table; every other field is numeric if `numeric`.
pub fn embedding(graph: &mut Graph, name: &str, rows: &[usize], width: usize, numeric: bool) -> TensorId {
    let first: usize = graph.tables.iter().map(|table| table.fields.len()).sum();
    let fields: Vec<Field> = rows
        .iter()
        .enumerate()
        .map(|(i, &rows)| Field {
            name: format!("field{i}"),
            source: first + i,
            rows,
            cross: Cross::None,
            value: (numeric && i % 2 == 1).then_some(i / 2),
            tags: None,
        })
        .collect();
    EmbeddingSet::new(graph, name, &fields, width, 0.5).all
}

/// Ends a graph in one logit of `x`, compared with the label.
pub fn finish(graph: &mut Graph, x: TensorId) {
    let logits = Linear::new(1, Activation::None).add(graph, "after", x);
    graph.logits = Some(logits);
    cross_entropy(graph, "bce", logits);
}

pub fn small(name: impl Into<String>, build: impl FnOnce(&mut Graph, TensorId) -> TensorId) -> SmallGraph {
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[7, 3], 3, false);
    let y = build(&mut graph, x);
    finish(&mut graph, y);
    SmallGraph { name: name.into(), graph, constant: None, max_gradient_norm: None }
}

/// What stands before the operation under test: a layer with parameters of its own.
pub fn before(graph: &mut Graph, name: &str, x: TensorId, width: usize) -> TensorId {
    Linear::new(width, Activation::Sigmoid).add(graph, name, x)
}

/// As [`small`], but the tensor goes to a loss of its own and not to the logits: predictions know no shuffle.
pub fn aside(name: impl Into<String>, build: impl FnOnce(&mut Graph, TensorId) -> TensorId) -> SmallGraph {
    small(name, |graph, x| {
        let h = before(graph, "shared", x, 4);
        let y = build(graph, h);
        let t = Linear::new(1, Activation::None).add(graph, "aside", y);
        cross_entropy(graph, "aside", t);
        h
    })
}

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Sigmoid];

fn dropout(salt: usize) -> Epilogue {
    hidden_epilogue(0.3, salt)
}

fn embeds() -> Vec<SmallGraph> {
    let make = |name: &str, build: fn(&mut Graph) -> TensorId| {
        let mut graph = Graph::new();
        let x = build(&mut graph);
        finish(&mut graph, x);
        SmallGraph { name: name.to_owned(), graph, constant: None, max_gradient_norm: None }
    };
    vec![
        make("embed", |graph| embedding(graph, "embedding", &[5], 1, false)),
        make("embed, numeric fields", |graph| embedding(graph, "embedding", &[7, 2, 11, 2, 3], 5, true)),
        make("embed, 40 fields", |graph| embedding(graph, "embedding", &[3; 40], 2, true)),
        make("embed, two tables", |graph| {
            let first = embedding(graph, "first", &[4, 2, 6], 7, true);
            let second = embedding(graph, "second", &[3, 5], 2, false);
            Affine::concat(graph, "both", &[first, second])
        }),
    ]
}

/// Embeddings that are stored as halves: the kernels that read and write them. What else they do is as in
/// [`small_graphs`].
pub fn half_graphs() -> Vec<SmallGraph> {
    let make = |name: &str, build: &dyn Fn(&mut Graph) -> TensorId| {
        let mut graph = Graph::new();
        let x = build(&mut graph);
        finish(&mut graph, x);
        graph.set_embedding_precision(Precision::F16);
        SmallGraph { name: format!("{name}, as halves"), graph, constant: None, max_gradient_norm: None }
    };
    let widths = [1, 3, 16].map(|width| {
        make(&format!("embed, width {width}"), &|graph| embedding(graph, "embedding", &[40, 5], width, false))
    });
    let numeric = make("embed, numeric fields", &|graph| embedding(graph, "embedding", &[7, 2, 11, 2, 3], 5, true));
    let tables = make("embed, two tables", &|graph| {
        let first = embedding(graph, "first", &[4, 2, 60], 17, true);
        let second = embedding(graph, "second", &[30, 5], 2, false);
        Affine::concat(graph, "both", &[first, second])
    });
    widths.into_iter().chain([numeric, tables]).chain(tags::half_tag_graphs()).collect()
}

fn linears() -> Vec<SmallGraph> {
    const SIZES: [(usize, usize); 6] = [(5, 7), (1, 2), (2, 1), (13, 5), (3, 11), (8, 6)];
    let mut graphs = Vec::new();
    for bias in [true, false] {
        for activation in ACTIVATIONS {
            let (inputs, outputs) = SIZES[graphs.len() % SIZES.len()];
            let name = format!("linear {inputs}→{outputs}, bias {bias}, {activation:?}");
            graphs.push(small(name, |graph, x| {
                let h = before(graph, "before", x, inputs);
                Linear { outputs, bias, epilogue: Epilogue::new(activation) }.add(graph, "linear", h)
            }));
        }
    }
    graphs.push(small("linear, dropout", |graph, x| {
        let h = before(graph, "before", x, 6);
        Linear { outputs: 5, bias: true, epilogue: dropout(3) }.add(graph, "linear", h)
    }));
    graphs.push(small("linear, larger than a tile", |graph, x| {
        let h = before(graph, "before", x, 37);
        Linear::new(41, Activation::Relu).add(graph, "linear", h)
    }));
    graphs.push(small("linear, one weight twice", |graph, x| {
        let weight = graph.parameter("weight", 6, 6, Init::GlorotUniform);
        let h = Affine::dense(graph, "once", x, weight, None, Epilogue::new(Activation::Sigmoid));
        Affine::dense(graph, "twice", h, weight, None, Epilogue::new(Activation::Sigmoid))
    }));
    graphs.push(small("linear, siblings and concatenations", |graph, x| {
        let (a, b) = (before(graph, "a", x, 5), before(graph, "b", x, 4));
        let both = Affine::concat(graph, "both", &[a, b]);
        let first = Linear::new(7, Activation::Relu).add(graph, "first", both);
        let second = Linear::new(3, Activation::Sigmoid).add(graph, "second", both);
        let third = Linear::new(2, Activation::None).add(graph, "third", a);
        Affine::concat(graph, "all", &[third, second, first])
    }));
    graphs
}

fn weighted_linears() -> Vec<SmallGraph> {
    // d_m, d_n, d_r, d_c: groups of one, of an odd size, larger than a tile, and a single output.
    const SIZES: [[usize; 4]; 6] =
        [[6, 4, 6, 4], [9, 6, 3, 2], [7, 5, 1, 1], [10, 14, 2, 2], [1, 6, 1, 2], [4, 15, 2, 3]];
    let mut graphs = Vec::new();
    for repeat in [Repeat::Interleave, Repeat::Tile] {
        for transposed in [false, true] {
            for [outputs, inputs, row_groups, col_groups] in SIZES {
                let blocks = Blocks { outputs, inputs, row_groups, col_groups, repeat, transposed };
                let scale = [1.0, 2.0][graphs.len() % 2];
                let epilogue = Epilogue::new(ACTIVATIONS[graphs.len() % 3]);
                let name = format!(
                    "weighted_linear {inputs}→{outputs}, S {row_groups}×{col_groups}, {repeat:?}, \
                     transposed {transposed}, scale {scale}"
                );
                graphs.push(weighted_linear(&name, WeightedLinear { blocks, scale, epilogue }));
            }
        }
    }
    let blocks =
        Blocks { outputs: 6, inputs: 10, row_groups: 3, col_groups: 2, repeat: Repeat::Tile, transposed: false };
    graphs
        .push(weighted_linear("weighted_linear, dropout", WeightedLinear { blocks, scale: 2.0, epilogue: dropout(1) }));
    graphs
}

fn weighted_linear(name: &str, op: WeightedLinear) -> SmallGraph {
    small(name, |graph, x| {
        let Blocks { outputs, inputs, .. } = op.blocks;
        let h = before(graph, "before", x, inputs);
        let s = before(graph, "weighting", x, op.blocks.len());
        let weight = graph.parameter("weight", outputs, inputs, Init::GlorotUniform);
        let bias = graph.parameter("bias", 1, outputs, Init::Zeros);
        graph.add_one("weighted", op, &[h, s, weight, bias])
    })
}

fn low_ranks() -> Vec<SmallGraph> {
    use Factor::{Generated, Given};
    let (rows, cols) = (5, 2);
    let mut graphs = Vec::new();
    for rank in [1, 3] {
        // Whether a factor is shared, and how it is made.
        let forms = [
            [(false, Given), (false, Given)],
            [(false, Given), (true, Given)],
            [(true, Given), (false, Given)],
            [(false, Generated), (true, Given)],
            [(false, Generated), (false, Given)],
            [(true, Given), (false, Generated)],
        ];
        for form in forms {
            graphs.push(small(format!("low_rank {rank}, R and C (shared, made): {form:?}"), |graph, x| {
                let mut inputs = Vec::new();
                for ((name, [down, across]), (shared, factor)) in
                    [("row", [rows, rank]), ("column", [rank, cols])].into_iter().zip(form)
                {
                    match factor {
                        Given if shared => inputs.push(graph.parameter(name, down, across, Init::Normal(1.0))),
                        Given => inputs.push(before(graph, name, x, down * across)),
                        Generated => inputs.extend([
                            before(graph, name, x, 7),
                            graph.parameter(&format!("{name} weight"), down * across, 7, Init::Normal(0.5)),
                            graph.parameter(&format!("{name} bias"), 1, down * across, Init::Normal(0.5)),
                        ]),
                    }
                }
                graph.add_one("core", LowRank { rows, rank, cols, factors: form.map(|(_, factor)| factor) }, &inputs)
            }));
        }
    }
    graphs
}

fn discriminators() -> Vec<SmallGraph> {
    [(1, 1), (5, 3), (8, 2)]
        .into_iter()
        .map(|(hidden, count)| {
            aside(format!("discriminate, {count} of width {hidden}"), |graph, x| {
                let mut term =
                    LossTerm { name: "mi".to_owned(), coefficient: 0.7, columns: Vec::new(), warm_up: WarmUp(3) };
                let (mut inputs, mut pairings) = (Vec::new(), Vec::new());
                for i in 0..count {
                    let first_column = graph.reserve_loss_columns(2);
                    let weight = 0.5 + i as f64;
                    pairings.push(Pairing { weight: 0.7 * weight, first_column });
                    term.columns.extend([(first_column, weight), (first_column + 1, weight)]);
                    inputs.push(Linear::new(hidden, Activation::None).add(graph, &format!("aware{i}"), x));
                    inputs.push(Linear::new(hidden, Activation::None).add(graph, &format!("weighting{i}"), x));
                    inputs.push(graph.parameter(&format!("weight{i}"), 1, hidden, Init::Normal(1.0)));
                    inputs.push(graph.parameter(&format!("bias{i}"), 1, 1, Init::Normal(1.0)));
                }
                graph.add("mi", Discriminate { hidden, pairings, warm_up: WarmUp(3) }, &inputs);
                graph.losses.push(term);
                x
            })
        })
        .collect()
}

fn sums() -> Vec<SmallGraph> {
    use RowMap::{Same, Shuffled, Unshuffled};
    let mut graphs: Vec<SmallGraph> = ACTIVATIONS
        .into_iter()
        .map(|activation| {
            small(format!("sum, overlapping pieces, {activation:?}"), |graph, x| {
                let (a, b) = (before(graph, "a", x, 7), before(graph, "b", x, 3));
                // Columns 7 and 8 are covered by no piece.
                let pieces = [
                    AffinePart::view(a, 1, 0, 3, Same),
                    AffinePart::view(a, 0, 2, 5, Same),
                    AffinePart::view(b, 0, 4, 3, Same),
                    AffinePart::view(b, 1, 1, 2, Same),
                ];
                Affine::sum(graph, "sum", 9, &pieces, activation)
            })
        })
        .collect();
    for activation in ACTIVATIONS {
        graphs.push(aside(format!("sum, shuffles, {activation:?}"), |graph, x| {
            let (a, b) = (before(graph, "a", x, 5), before(graph, "b", x, 5));
            let pieces = [
                AffinePart::view(a, 0, 0, 5, Same),
                AffinePart::view(a, 0, 2, 5, Shuffled),
                AffinePart::view(b, 1, 3, 4, Unshuffled),
                AffinePart::view(b, 0, 0, 5, Same),
            ];
            Affine::sum(graph, "sum", 7, &pieces, activation)
        }));
    }
    graphs.push(aside("sum, a shuffle of a shuffle", |graph, x| {
        let a = before(graph, "a", x, 5);
        let once = Affine::sum(graph, "once", 5, &[AffinePart::view(a, 0, 0, 5, Shuffled)], Activation::None);
        Affine::sum(graph, "twice", 5, &[AffinePart::view(once, 0, 0, 5, Shuffled)], Activation::None)
    }));
    graphs.push(aside("sum, a shuffle taken back", |graph, x| {
        let a = before(graph, "a", x, 5);
        let once = Affine::sum(graph, "once", 5, &[AffinePart::view(a, 0, 0, 5, Shuffled)], Activation::None);
        let back = [AffinePart::view(once, 0, 0, 3, Unshuffled), AffinePart::view(once, 2, 3, 3, Same)];
        Affine::sum(graph, "back", 6, &back, Activation::None)
    }));
    graphs.push(small("sum, eight pieces", |graph, x| {
        let tensors: Vec<TensorId> = (0..8).map(|i| before(graph, &format!("part{i}"), x, 1 + i % 3)).collect();
        Affine::concat(graph, "concat", &tensors)
    }));
    graphs.push(small("sum, a part that is read elsewhere only", |graph, x| {
        let (a, b) = (before(graph, "a", x, 5), before(graph, "b", x, 4));
        let both = Affine::concat(graph, "both", &[a, b]);
        let slice = Affine::slice(graph, "slice", both, 1, 3);
        Affine::concat(graph, "y", &[slice, b])
    }));
    graphs.push(small("sum, a slice that nothing covers", |graph, x| {
        let a = before(graph, "a", x, 4);
        let pad = |graph: &mut Graph| {
            Affine::sum(graph, "padded", 9, &[AffinePart::view(a, 0, 5, 4, Same)], Activation::None)
        };
        let (once, padded) = (pad(graph), pad(graph));
        let zero = Affine::slice(graph, "zero", once, 1, 3);
        let weight = graph.parameter("weight", 2, 3, Init::GlorotUniform);
        let of_zero = Affine::dense(graph, "of zero", zero, weight, None, Epilogue::new(Activation::Sigmoid));
        let of_padded = Affine::slice(graph, "slice", padded, 4, 3);
        let of_padded = Affine::dense(graph, "of padded", of_padded, weight, None, Epilogue::new(Activation::Sigmoid));
        Affine::concat(graph, "y", &[of_zero, of_padded])
    }));
    graphs
}

fn pair() -> SmallGraph {
    let tower = small("towers of clicks and conversions", |graph, x| before(graph, "before", x, 3));
    SmallGraph { graph: entire_space(&tower.graph), ..tower }
}

fn logit_loss() -> SmallGraph {
    let mut graph = small("logit_loss, one logit twice", |graph, x| before(graph, "before", x, 3));
    let logits = graph.graph.logits.expect("a small graph has logits");
    cross_entropy(&mut graph.graph, "again", logits);
    graph
}
