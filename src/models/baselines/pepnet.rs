//! `pepnet`: gates on the embeddings and on every layer's inputs, made of the scenario-aware fields (Chang et al. 2023).

use super::{Error, Inputs, Model, check_network, options, predict_by, require_positive};
use crate::graph::Graph;
use crate::layers::{Linear, gated, layers_to_logit, stop_gradient};
use crate::ops::{Activation, Affine};

options! {
    /// Options of PEPNet.
    PepNet {
        network;
        gate_hidden: usize = 32, "hidden width of the nets that make the gates";
    }
}

impl Model for PepNet {
    const NAME: &'static str = "pepnet";
    const SUMMARY: &'static str = "MLP with gates on the embeddings (EPNet) and on every layer's inputs (PPNet), made of \
                                   the scenario-aware fields";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[("gate_hidden", self.gate_hidden)])?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let (x, aware) = (embeddings.all, inputs.aware(g, &embeddings, Self::NAME)?);
        // What is gated learns through the product alone: the gates see sg(x) and sg(o).
        let seen = |g: &mut Graph, name: &str, x| {
            let held = stop_gradient(g, &format!("{name}.held"), x);
            Affine::concat(g, &format!("{name}.input"), &[aware, held])
        };
        let u = seen(g, "epnet", x);
        let o = gated(g, "epnet", x, u, self.gate_hidden);
        let u = seen(g, "ppnet", o);
        let mut h = o;
        for (l, (size, epilogue)) in layers_to_logit(&self.hidden, self.dropout, 0).enumerate() {
            h = gated(g, &format!("ppnet.{l}"), h, u, self.gate_hidden);
            h = Linear { epilogue, ..Linear::new(size, Activation::None) }.add(g, &format!("mlp.{l}"), h);
        }
        predict_by(g, h);
        Ok(graph)
    }
}
