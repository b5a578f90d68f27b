//! `bst`: a transformer over behaviours and the item that is to be predicted (Chen et al. 2019).

use super::{Error, Inputs, Model, check_network, options, predict_by, require, require_positive, require_sequences};
use crate::graph::Graph;
use crate::layers::{Linear, mlp, transformer};
use crate::ops::{Activation, Affine};

options! {
    /// Options of BST.
    Bst {
        network;
        heads: usize = 4, "heads of the attention";
    }
}

impl Model for Bst {
    const NAME: &'static str = "bst";
    const SUMMARY: &'static str = "a transformer over behaviours and the item to be predicted, beside all fields, into an \
                                   MLP";
    const NEEDS_SEQUENCES: bool = true;

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[("heads", self.heads)])?;
        require_sequences(Self::NAME, inputs)?;
        let width = inputs.sequences.len() * self.width;
        require(width.is_multiple_of(self.heads), || {
            format!("heads = {} does not divide {width}, the width of a behaviour; choose a divisor of it", self.heads)
        })?;
        let mut graph = Graph::new();
        let g = &mut graph;
        g.with_target = true;
        g.longest = inputs.longest() + 1;
        let embeddings = inputs.embed(g, self.width)?;
        let tokens = embeddings.tokens(g, "tokens", inputs.tokens());
        let interest = transformer(g, "transformer", tokens, self.heads);
        let x = Affine::concat(g, "all", &[embeddings.all, interest]);
        let logits = mlp(g, "mlp", x, &self.hidden, self.dropout, Linear::new(1, Activation::None));
        predict_by(g, logits);
        Ok(graph)
    }
}
