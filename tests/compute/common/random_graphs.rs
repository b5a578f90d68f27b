//! Random graphs of what plans fuse: dense layers, concatenations, slices, sums, shuffles, stopped gradients, weighted layers.

use polyscene::graph::{Graph, TensorId};
use polyscene::layers::{
    Decomposition, Linear, RowAxis, Weighting, WeightingOptions, cross_entropy, gated, hidden_epilogue, stop_gradient,
};
use polyscene::ops::{Activation, Affine, AffinePart, Repeat, RowMap};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use polyscene::check::graphs::embedding;

/// A graph of 4 to 14 nodes, some of which nothing reads but a loss of their own; the same for the same seed.
pub fn random_graph(seed: u64) -> Graph {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut graph = Graph::new();
    let g = &mut graph;
    let x = embedding(g, "embedding", &[7, 3, 5], 4, false);
    let mut made = vec![x];
    // What is shuffled is no part of a prediction.
    let mut shuffled = Vec::new();
    for number in 0..random.random_range(4..15) {
        let name = format!("n{number}");
        // Mostly what was made last, so that graphs are deep as well as wide.
        let pick = |random: &mut Pcg64| {
            let back = random.random_range(0..made.len()).min(random.random_range(0..made.len()));
            made[made.len() - 1 - back]
        };
        let (a, b) = (pick(&mut random), pick(&mut random));
        let width = g.width(a);
        let y = match random.random_range(0..9) {
            0 | 1 => {
                let activation = [Activation::None, Activation::Relu, Activation::Sigmoid][random.random_range(0..3)];
                Linear::new(random.random_range(1..9), activation).add(g, &name, a)
            }
            2 => {
                let epilogue = hidden_epilogue(0.3, number);
                Linear { epilogue, ..Linear::new(random.random_range(1..9), Activation::Relu) }.add(g, &name, a)
            }
            3 => Affine::concat(g, &name, &[a, b]),
            4 => {
                let from = random.random_range(0..width);
                Affine::slice(g, &name, a, from, random.random_range(1..=width - from))
            }
            5 => {
                // Columns of both, added where they overlap.
                let other = g.width(b);
                let at = random.random_range(0..width);
                let parts = [part(a, 0, width, RowMap::Same), part(b, at, other, RowMap::Same)];
                Affine::sum(g, &name, width.max(at + other), &parts, Activation::None)
            }
            6 => {
                let held = stop_gradient(g, &format!("{name}.held"), a);
                gated(g, &name, b, held, 3)
            }
            7 => {
                let options = WeightingOptions {
                    decomposition: Decomposition::R,
                    row_div: 2,
                    col_div: if width.is_multiple_of(2) { 2 } else { 1 },
                    rank: 1,
                    repeat: Repeat::Interleave,
                    row_axis: RowAxis::Output,
                    scale: 2.0,
                    auxiliary_hidden: 3,
                };
                let weighting = Weighting::new(g, &format!("{name}.weighting"), &options, b, 4, width).unwrap();
                // The matrix itself is read by others too, so that its gradient is a sum.
                shuffled.push(weighting.values);
                weighting.layer(g, &name, a, hidden_epilogue(0.0, number))
            }
            _ => {
                let mixed = [part(a, 0, width, RowMap::Same), part(a, 0, width, RowMap::Shuffled)];
                shuffled.push(Affine::sum(g, &name, width, &mixed, Activation::None));
                continue;
            }
        };
        made.push(y);
    }
    let all = Affine::concat(g, "all", &made);
    let logits = Linear::new(1, Activation::None).add(g, "logit", all);
    g.logits = Some(logits);
    cross_entropy(g, "bce", logits);
    if !shuffled.is_empty() {
        let all = Affine::concat(g, "shuffled", &shuffled);
        let aside = Linear::new(1, Activation::None).add(g, "aside", all);
        cross_entropy(g, "aside", aside);
    }
    graph
}

fn part(tensor: TensorId, to: usize, width: usize, rows: RowMap) -> AffinePart {
    AffinePart::view(tensor, 0, to, width, rows)
}
