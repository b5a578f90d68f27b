//! Small graphs, each with one operation in the midst of others: every gradient rule has an incoming gradient to chain
//! and passes one on.

use polyscene::graph::{Graph, Init, LossTerm, TensorId};
use polyscene::layers::{EmbeddingSet, Field, Layer, cross_entropy};
use polyscene::ops::{
    Activation, Blocks, Combine, Epilogue, Linear, LogitLoss, LossColumn, LossTarget, LowRank, Piece, Repeat, RowMap,
    WeightedLinear,
};

pub struct SmallGraph {
    pub name: String,
    pub graph: Graph,
}

/// Every operation with a gradient, in each of its forms.
pub fn small_graphs() -> Vec<SmallGraph> {
    [embeds(), linears(), weighted_linears(), low_ranks(), combines(), logit_losses()].into_iter().flatten().collect()
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
            value: (numeric && i % 2 == 1).then_some(i / 2),
        })
        .collect();
    EmbeddingSet::new(graph, name, &fields, width, 0.5).all
}

/// Ends a graph in one logit of `x`, compared with the label.
pub fn finish(graph: &mut Graph, x: TensorId) {
    let logits = Layer::new(1, Activation::None).add(graph, "after", x);
    graph.logits = Some(logits);
    cross_entropy(graph, "bce", logits);
}

fn small(name: impl Into<String>, build: impl FnOnce(&mut Graph, TensorId) -> TensorId) -> SmallGraph {
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[7, 3], 3, false);
    let y = build(&mut graph, x);
    finish(&mut graph, y);
    SmallGraph { name: name.into(), graph }
}

/// What stands before the operation under test: a layer with parameters of its own.
fn before(graph: &mut Graph, name: &str, x: TensorId, width: usize) -> TensorId {
    Layer::new(width, Activation::Sigmoid).add(graph, name, x)
}

/// As [`small`], but the tensor goes to a loss of its own and not to the logits: predictions know no shuffle.
fn aside(name: impl Into<String>, build: impl FnOnce(&mut Graph, TensorId) -> TensorId) -> SmallGraph {
    small(name, |graph, x| {
        let h = before(graph, "shared", x, 4);
        let y = build(graph, h);
        let t = Layer::new(1, Activation::None).add(graph, "aside", y);
        cross_entropy(graph, "aside", t);
        h
    })
}

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Sigmoid];

fn dropout(salt: u32) -> Epilogue {
    Epilogue { activation: Activation::Relu, dropout: 0.3, salt }
}

fn embeds() -> Vec<SmallGraph> {
    let make = |name: &str, build: fn(&mut Graph) -> TensorId| {
        let mut graph = Graph::new();
        let x = build(&mut graph);
        finish(&mut graph, x);
        SmallGraph { name: name.to_owned(), graph }
    };
    vec![
        make("embed", |graph| embedding(graph, "embedding", &[5], 1, false)),
        make("embed, numeric fields", |graph| embedding(graph, "embedding", &[7, 2, 11, 2, 3], 5, true)),
        make("embed, 40 fields", |graph| embedding(graph, "embedding", &[3; 40], 2, true)),
        make("embed, two tables", |graph| {
            let first = embedding(graph, "first", &[4, 2, 6], 7, true);
            let second = embedding(graph, "second", &[3, 5], 2, false);
            Combine::concat(graph, "both", &[first, second])
        }),
    ]
}

fn linears() -> Vec<SmallGraph> {
    const SIZES: [(usize, usize); 6] = [(5, 7), (1, 2), (2, 1), (13, 5), (3, 11), (8, 6)];
    let mut graphs = Vec::new();
    for bias in [true, false] {
        for groups in [1, 2] {
            for activation in ACTIVATIONS {
                let (inputs, outputs) = SIZES[graphs.len() % SIZES.len()];
                let name = format!("linear {inputs}→{outputs}, bias {bias}, {groups} groups, {activation:?}");
                graphs.push(small(name, |graph, x| {
                    let h = before(graph, "before", x, groups * inputs);
                    Layer { outputs, bias, groups, epilogue: Epilogue::new(activation) }.add(graph, "linear", h)
                }));
            }
        }
    }
    graphs.push(small("linear, dropout", |graph, x| {
        let h = before(graph, "before", x, 6);
        Layer { outputs: 5, bias: true, groups: 2, epilogue: dropout(3) }.add(graph, "linear", h)
    }));
    graphs.push(small("linear, one weight twice", |graph, x| {
        let weight = graph.parameter("weight", 6, 6, Init::GlorotUniform);
        let op = Linear { bias: false, groups: 1, epilogue: Epilogue::new(Activation::Sigmoid) };
        let h = graph.add_one("once", op.clone(), &[x, weight]);
        graph.add_one("twice", op, &[h, weight])
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
    let mut graphs = Vec::new();
    for rank in [1, 3] {
        for (row_shared, column_shared) in [(false, false), (false, true), (true, false)] {
            let name = format!("low_rank {rank}, R shared {row_shared}, C shared {column_shared}");
            graphs.push(small(name, |graph, x| {
                let (rows, cols) = (5, 2);
                let row = if row_shared {
                    graph.parameter("row", rows, rank, Init::Normal(1.0))
                } else {
                    before(graph, "row", x, rows * rank)
                };
                let column = if column_shared {
                    graph.parameter("column", rank, cols, Init::Normal(1.0))
                } else {
                    before(graph, "column", x, rank * cols)
                };
                graph.add_one("core", LowRank { rows, rank, cols }, &[row, column])
            }));
        }
    }
    graphs
}

fn piece(from: usize, to: usize, width: usize, rows: RowMap) -> Piece {
    Piece { input: 0, from, to, width, rows }
}

fn combines() -> Vec<SmallGraph> {
    use RowMap::{Same, Shuffled, Unshuffled};
    let mut graphs: Vec<SmallGraph> = ACTIVATIONS
        .into_iter()
        .map(|activation| {
            small(format!("combine, overlapping pieces, {activation:?}"), |graph, x| {
                let (a, b) = (before(graph, "a", x, 7), before(graph, "b", x, 3));
                // Columns 7 and 8 are covered by no piece.
                let pieces = [
                    (a, piece(1, 0, 3, Same)),
                    (a, piece(0, 2, 5, Same)),
                    (b, piece(0, 4, 3, Same)),
                    (b, piece(1, 1, 2, Same)),
                ];
                Combine::sum(graph, "combine", 9, &pieces, activation)
            })
        })
        .collect();
    for activation in ACTIVATIONS {
        graphs.push(aside(format!("combine, shuffles, {activation:?}"), |graph, x| {
            let (a, b) = (before(graph, "a", x, 5), before(graph, "b", x, 5));
            let pieces = [
                (a, piece(0, 0, 5, Same)),
                (a, piece(0, 2, 5, Shuffled)),
                (b, piece(1, 3, 4, Unshuffled)),
                (b, piece(0, 0, 5, Same)),
            ];
            Combine::sum(graph, "combine", 7, &pieces, activation)
        }));
    }
    graphs.push(aside("combine, a shuffle of a shuffle", |graph, x| {
        let a = before(graph, "a", x, 5);
        let once = Combine::sum(graph, "once", 5, &[(a, piece(0, 0, 5, Shuffled))], Activation::None);
        Combine::sum(graph, "twice", 5, &[(once, piece(0, 0, 5, Shuffled))], Activation::None)
    }));
    graphs.push(aside("combine, a shuffle taken back", |graph, x| {
        let a = before(graph, "a", x, 5);
        let once = Combine::sum(graph, "once", 5, &[(a, piece(0, 0, 5, Shuffled))], Activation::None);
        let back = [(once, piece(0, 0, 3, Unshuffled)), (once, piece(2, 3, 3, Same))];
        Combine::sum(graph, "back", 6, &back, Activation::None)
    }));
    graphs.push(small("combine, eight pieces", |graph, x| {
        let tensors: Vec<TensorId> = (0..8).map(|i| before(graph, &format!("part{i}"), x, 1 + i % 3)).collect();
        Combine::concat(graph, "concat", &tensors)
    }));
    graphs.push(small("combine, a part that is read elsewhere only", |graph, x| {
        let (a, b) = (before(graph, "a", x, 5), before(graph, "b", x, 4));
        let both = Combine::concat(graph, "both", &[a, b]);
        let slice = Combine::slice(graph, "slice", both, 1, 3);
        Combine::concat(graph, "y", &[slice, b])
    }));
    graphs.push(small("combine, a slice that nothing covers", |graph, x| {
        let a = before(graph, "a", x, 4);
        let pad = |graph: &mut Graph| Combine::sum(graph, "padded", 9, &[(a, piece(0, 5, 4, Same))], Activation::None);
        let (once, padded) = (pad(graph), pad(graph));
        let zero = Combine::slice(graph, "zero", once, 1, 3);
        let weight = graph.parameter("weight", 2, 3, Init::GlorotUniform);
        let op = Linear { bias: false, groups: 1, epilogue: Epilogue::new(Activation::Sigmoid) };
        let of_zero = graph.add_one("of zero", op.clone(), &[zero, weight]);
        let of_padded = Combine::slice(graph, "slice", padded, 4, 3);
        let of_padded = graph.add_one("of padded", op, &[of_padded, weight]);
        Combine::concat(graph, "y", &[of_zero, of_padded])
    }));
    graphs.push(small("combine, parameters", |graph, x| {
        let first = graph.parameter("first", 3, 2, Init::Normal(1.0));
        let second = graph.parameter("second", 3, 5, Init::Normal(1.0));
        let pieces = [(first, piece(0, 0, 2, Same)), (second, piece(2, 1, 2, Same)), (first, piece(1, 2, 1, Same))];
        let row = Combine::sum(graph, "row", 3, &pieces, Activation::Sigmoid);
        let column = before(graph, "column", x, 3 * 2);
        graph.add_one("core", LowRank { rows: 3, rank: 3, cols: 2 }, &[row, column])
    }));
    graphs
}

fn logit_losses() -> Vec<SmallGraph> {
    use LossTarget::{Label, One, Zero};
    // Two terms of two columns each, on logits that the label's loss reads too.
    let terms =
        [(0.7, [(One, 0.5), (Zero, 2.0)]), (1.5, [(Label, 0.25), (One, 1.0)]), (1.0, [(Zero, 1.0), (Label, 0.5)])];
    let graph = small("logit_loss, every target", |graph, x| {
        let h = before(graph, "before", x, 5);
        for (term, (coefficient, targets)) in terms.into_iter().enumerate() {
            let name = format!("term{term}");
            let t = Layer::new(2, Activation::None).add(graph, &name, h);
            let first_column = graph.reserve_loss_columns(2);
            let columns =
                targets.iter().map(|&(target, weight)| LossColumn { target, weight: coefficient * weight }).collect();
            graph.add(&name, LogitLoss { columns, first_column }, &[t]);
            let columns = targets.iter().enumerate().map(|(i, &(_, weight))| (first_column + i, weight)).collect();
            graph.losses.push(LossTerm { name, coefficient, columns });
        }
        h
    });
    let twice = {
        let mut graph = small("logit_loss, one logit twice", |graph, x| before(graph, "before", x, 3));
        let logits = graph.graph.logits.expect("a small graph has logits");
        cross_entropy(&mut graph.graph, "again", logits);
        graph
    };
    vec![graph, twice]
}
