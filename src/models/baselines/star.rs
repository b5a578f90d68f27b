//! `star`: a shared network whose weights each scenario multiplies by its own (Sheng et al. 2021).

use super::{Error, Inputs, Model, check_network, options, predict_by, require_positive, scenario_graph};
use crate::graph::Graph;
use crate::layers::{Linear, Stack, layers_to_logit, mlp, partitioned_norm};
use crate::ops::{Activation, Affine};

options! {
    /// Options of STAR.
    Star {
        network;
        auxiliary_hidden: usize = 32, "hidden width of the auxiliary net, whose logit is added";
    }
}

impl Model for Star {
    const NAME: &'static str = "star";
    const SUMMARY: &'static str = "MLP whose weights are shared ones times the scenario's own, on inputs normalised by \
                                   scenario; an auxiliary net beside it";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.graph(inputs, false)
    }

    fn build_prediction(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.graph(inputs, true)
    }
}

impl Star {
    fn graph(&self, inputs: &Inputs, predicting: bool) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[("auxiliary_hidden", self.auxiliary_hidden)])?;
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let (x, aware) = (embeddings.all, inputs.aware(g, &embeddings, Self::NAME)?);
        let mut h = partitioned_norm(g, "norm", x, predicting);
        for (l, (size, epilogue)) in layers_to_logit(&self.hidden, self.dropout, 0).enumerate() {
            let (name, width) = (format!("fcn.{l}"), g.width(h));
            h = Stack::star(g, &name, inputs.scenarios, size, width).own(g, &name, h, epilogue);
        }
        let known = Affine::concat(g, "known", &[aware, x]);
        let last = Linear::new(1, Activation::None);
        let auxiliary = mlp(g, "auxiliary", known, &[self.auxiliary_hidden], 0.0, last);
        let logits = Affine::total(g, "logits", &[h, auxiliary]);
        predict_by(g, logits);
        Ok(graph)
    }
}
