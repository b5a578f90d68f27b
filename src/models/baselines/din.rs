//! `din`: behaviours weighed by what they have to do with the item that is to be predicted (Zhou et al. 2018).

use super::{Error, Inputs, Model, check_network, options, predict_by, require_positive, require_sequences};
use crate::graph::Graph;
use crate::layers::{Linear, mlp};
use crate::ops::{Activation, Affine, Compare, TokenPool};

options! {
    /// Options of DIN.
    Din {
        network;
        attention_hidden: usize = 36, "hidden width of the net that weighs behaviours";
    }
}

impl Model for Din {
    const NAME: &'static str = "din";
    const SUMMARY: &'static str = "behaviours weighed by the item to be predicted, beside all fields, into an MLP";
    const NEEDS_SEQUENCES: bool = true;

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[("attention_hidden", self.attention_hidden)])?;
        require_sequences(Self::NAME, inputs)?;
        let mut graph = Graph::new();
        let g = &mut graph;
        g.longest = inputs.longest();
        let embeddings = inputs.embed(g, self.width)?;
        let behaviours = embeddings.tokens(g, "behaviours", inputs.tokens());
        let target = inputs.targets(g, &embeddings);
        // w = MLP [k, q, k − q, k ⊙ q], not normalised over the behaviours
        let compared = g.add_one("compared", Compare, &[behaviours, target]);
        let last = Linear::new(1, Activation::None);
        let weights = mlp(g, "attention", compared, &[self.attention_hidden], 0.0, last);
        let interest = g.add_one("interest", TokenPool, &[behaviours, weights]);
        let x = Affine::concat(g, "all", &[embeddings.all, interest]);
        let logits = mlp(g, "mlp", x, &self.hidden, self.dropout, Linear::new(1, Activation::None));
        predict_by(g, logits);
        Ok(graph)
    }
}
