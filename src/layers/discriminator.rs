//! The discriminators T of mutual-information regularisation (equation 7).

use super::Linear;
use crate::graph::{Graph, Init, LossTerm, TensorId, WarmUp};
use crate::ops::{Activation, Affine, Discriminate, Epilogue, Pairing};

/// T(e, S) = w · ReLU(A e + B S + b) + c.
#[derive(Clone, Copy, Debug)]
pub struct Discriminator {
    /// Width of the hidden layer.
    pub hidden: usize,
    /// How the weight of their losses grows.
    pub warm_up: WarmUp,
}

impl Discriminator {
    /// The term L_mi = Σ_l weight · mean[softplus(−t⁺) + softplus(t⁻)] (equation 6), times `coefficient`: each of
    /// `weightings`, named by its layer, has a discriminator of its own, which is to tell the true pair (e_i, S_i) from
    /// the shuffled one (e_π(i), S_i).
    ///
    /// The first layer is split: B S serves both pairs, and A e_π(i) is a row of A e.
    pub fn mutual_information(
        self,
        graph: &mut Graph,
        name: &str,
        aware: TensorId,
        weightings: &[(usize, TensorId)],
        weight: f64,
        coefficient: f64,
    ) {
        let mut term = LossTerm { name: name.to_owned(), coefficient, columns: Vec::new(), warm_up: self.warm_up };
        let mut pairings = Vec::new();
        let mut inputs = Vec::new();
        for &(layer, weighting) in weightings {
            let first_column = graph.reserve_loss_columns(2);
            pairings.push(Pairing { weight: coefficient * weight, first_column });
            term.columns.extend([(first_column, weight), (first_column + 1, weight)]);
            inputs.extend(self.parts(graph, &format!("discriminator.{layer}"), aware, weighting));
        }
        graph.add(name, Discriminate { hidden: self.hidden, pairings, warm_up: self.warm_up }, &inputs);
        graph.losses.push(term);
    }

    /// A e, B S + b, w and c.
    fn parts(self, graph: &mut Graph, name: &str, aware: TensorId, weighting: TensorId) -> [TensorId; 4] {
        let Self { hidden, .. } = self;
        graph.scoped(name, |graph| {
            let half = Linear { bias: false, ..Linear::new(hidden, Activation::None) };
            let from_aware = half.add(graph, "aware", aware);
            // The hidden bias rides in this half, so that it is added once to each sum.
            let values = graph.width(weighting);
            let weight =
                graph.scoped("weighting", |graph| graph.parameter("weight", hidden, values, Init::GlorotUniform));
            let bias = graph.scoped("hidden", |graph| graph.parameter("bias", 1, hidden, Init::Zeros));
            let from_weighting = Affine::dense(graph, "weighting", weighting, weight, Some(bias), Epilogue::default());
            let (w, c) = graph.scoped("output", |graph| {
                let w = graph.parameter("weight", 1, hidden, Init::GlorotUniform);
                (w, graph.parameter("bias", 1, 1, Init::Zeros))
            });
            [from_aware, from_weighting, w, c]
        })
    }
}
