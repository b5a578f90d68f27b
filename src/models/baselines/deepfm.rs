//! `deepfm`: a factorisation machine beside a network, on the same embeddings (Guo et al. 2017).

use super::wide_deep::linear;
use super::{Error, Inputs, Model, check_network, options, predict_by};
use crate::graph::Graph;
use crate::layers::{Linear, mlp};
use crate::ops::{Activation, Affine, Pairwise};

options! {
    /// Options of DeepFM.
    DeepFm { network; }
}

impl Model for DeepFm {
    const NAME: &'static str = "deepfm";
    const SUMMARY: &'static str = "a linear model and a factorisation machine beside an MLP; all scenarios alike";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let x = inputs.embed(g, self.width)?.all;
        let wide = linear(g, inputs)?;
        let pairs = g.add_one("fm", Pairwise { width: self.width }, &[x]);
        let deep = mlp(g, "mlp", x, &self.hidden, self.dropout, Linear::new(1, Activation::None));
        let logits = Affine::total(g, "logits", &[wide, pairs, deep]);
        predict_by(g, logits);
        Ok(graph)
    }
}
