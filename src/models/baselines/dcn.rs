//! `dcn` and `dcn-v2`: layers that cross the embeddings with themselves, beside a network (Wang et al. 2017 and 2021).

use super::{Error, Inputs, Model, check_network, options, predict_by, require_counts};
use crate::graph::{Graph, Init, TensorId};
use crate::layers::{Linear, hidden_layers};
use crate::ops::{Activation, Affine, AffinePart, BiasPart, Draft, Multiply, RowMap};

options! {
    /// Options of DCN.
    Dcn {
        network;
        cross_layers: usize = 3, "layers that cross the embeddings";
    }
}

options! {
    /// Options of DCN-V2.
    DcnV2 {
        network;
        cross_layers: usize = 3, "layers that cross the embeddings";
    }
}

/// A cross layer's result of x_0 and x_l, made in the scope of its name.
type Cross = fn(&mut Graph, TensorId, TensorId) -> TensorId;

/// x_0 (w · x_l) + b + x_l.
fn by_vector(g: &mut Graph, x_0: TensorId, x: TensorId) -> TensorId {
    let width = g.width(x);
    let weighed = Linear { bias: false, ..Linear::new(1, Activation::None) }.add(g, "", x);
    let bias = g.parameter("bias", 1, width, Init::Zeros);
    let crossed = g.add_one("product", Multiply { group: width, scale: 1.0 }, &[x_0, weighed]);
    let parts = [crossed, x].map(|tensor| AffinePart::view(tensor, 0, 0, width, RowMap::Same));
    let bias = vec![BiasPart { to: 0, width, bias, from: 0, scenario_stride: 0 }];
    Draft { bias, ..Draft::sum(width, parts.to_vec()) }.add(g, "sum")
}

/// x_0 ⊙ (W x_l + b) + x_l.
fn by_matrix(g: &mut Graph, x_0: TensorId, x: TensorId) -> TensorId {
    let weighed = Linear::new(g.width(x), Activation::None).add(g, "", x);
    let crossed = g.add_one("product", Multiply { group: 1, scale: 1.0 }, &[x_0, weighed]);
    Affine::total(g, "sum", &[crossed, x])
}

/// The model with `layers` cross layers; the logit is linear on what they and the network end in.
fn build(
    inputs: &Inputs,
    (width, hidden, dropout): (usize, &[usize], f64),
    layers: usize,
    cross: Cross,
) -> Result<Graph, Error> {
    check_network(width, hidden, dropout)?;
    require_counts(&[("cross_layers", layers)])?;
    let mut graph = Graph::new();
    let g = &mut graph;
    let x_0 = inputs.embed(g, width)?.all;
    let mut x = x_0;
    for l in 0..layers {
        x = g.scoped(format!("cross.{l}"), |g| cross(g, x_0, x));
    }
    let deep = hidden_layers(g, "mlp", x_0, hidden, dropout);
    let both = deep.last().map_or(x, |&h| Affine::concat(g, "both", &[x, h]));
    let logits = Linear::new(1, Activation::None).add(g, "output", both);
    predict_by(g, logits);
    Ok(graph)
}

impl Model for Dcn {
    const NAME: &'static str = "dcn";
    const SUMMARY: &'static str = "cross layers, each with a vector, beside an MLP; all scenarios alike";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        build(inputs, (self.width, &self.hidden, self.dropout), self.cross_layers, by_vector)
    }
}

impl Model for DcnV2 {
    const NAME: &'static str = "dcn-v2";
    const SUMMARY: &'static str = "cross layers, each with a matrix, beside an MLP; all scenarios alike";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        build(inputs, (self.width, &self.hidden, self.dropout), self.cross_layers, by_matrix)
    }
}
