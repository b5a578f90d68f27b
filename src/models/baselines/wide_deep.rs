//! `wide-deep`: a linear model beside a network (Cheng et al. 2016).

use super::{Error, Inputs, Model, check_network, options, predict_by};
use crate::graph::{Graph, TensorId};
use crate::layers::{Linear, mlp};
use crate::models::inputs::Sharing;
use crate::ops::{Activation, Affine, Pool};

options! {
    /// Options of Wide & Deep.
    WideDeep { network; }
}

/// Σ of a weight for each value of a sample's fields: [B, 1]. They lie in a table of their own, `wide`.
pub(super) fn linear(g: &mut Graph, inputs: &Inputs) -> Result<TensorId, Error> {
    let weights = inputs.embed_as(g, "wide", 1, Sharing::Shared)?;
    let sum = Pool { group: weights.fields, scale: 1.0, spread: false };
    Ok(g.add_one("wide", sum, &[weights.all]))
}

impl Model for WideDeep {
    const NAME: &'static str = "wide-deep";
    const SUMMARY: &'static str = "a linear model beside an MLP; all scenarios alike";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let x = inputs.embed(g, self.width)?.all;
        let wide = linear(g, inputs)?;
        let deep = mlp(g, "mlp", x, &self.hidden, self.dropout, Linear::new(1, Activation::None));
        let logits = Affine::total(g, "logits", &[wide, deep]);
        predict_by(g, logits);
        Ok(graph)
    }
}
