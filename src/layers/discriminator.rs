//! The discriminator T of mutual-information regularisation (equation 7).

use super::Layer;
use crate::graph::{Graph, Init, TensorId};
use crate::ops::{Activation, Combine, Epilogue, Linear, Piece, RowMap};

/// T(e, S) = w · ReLU(A e + B S + b) + c.
#[derive(Clone, Copy, Debug)]
pub struct Discriminator {
    /// Width of the hidden layer.
    pub hidden: usize,
}

impl Discriminator {
    /// Scores [t⁺, t⁻] [B, 2] of the true pair (e_i, S_i) and of the shuffled one (e_π(i), S_i).
    ///
    /// The first layer is split: B S serves both, and A e_π(i) is a row of A e.
    pub fn scores(self, graph: &mut Graph, name: &str, aware: TensorId, weighting: TensorId) -> TensorId {
        let Self { hidden } = self;
        graph.scoped(name, |graph| {
            let half = Layer { bias: false, ..Layer::new(hidden, Activation::None) };
            let from_aware = half.add(graph, "aware", aware);
            // The hidden bias rides in this half, so that it is added once to each sum.
            let values = graph.width(weighting);
            let weight =
                graph.scoped("weighting", |graph| graph.parameter("weight", hidden, values, Init::GlorotUniform));
            let bias = graph.scoped("hidden", |graph| graph.parameter("bias", 1, hidden, Init::Zeros));
            let op = Linear { bias: true, groups: 1, epilogue: Epilogue::default() };
            let from_weighting = graph.add_one("weighting", op, &[weighting, weight, bias]);
            let piece = |to: usize, rows: RowMap| Piece { input: 0, from: 0, to, width: hidden, rows };
            let pieces = [
                (from_aware, piece(0, RowMap::Same)),
                (from_aware, piece(hidden, RowMap::Shuffled)),
                (from_weighting, piece(0, RowMap::Same)),
                (from_weighting, piece(hidden, RowMap::Same)),
            ];
            let both = Combine::sum(graph, "hidden", 2 * hidden, &pieces, Activation::Relu);
            Layer { groups: 2, ..Layer::new(1, Activation::None) }.add(graph, "output", both)
        })
    }
}
