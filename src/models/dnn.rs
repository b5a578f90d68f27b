//! `dnn`, the plain network that treats all scenarios alike (Covington et al. 2016; "Mix" in OptMSM's tables).

use super::{Error, Inputs, Model, check_network, options, predict_by};
use crate::graph::Graph;
use crate::layers::{Linear, mlp};
use crate::ops::Activation;

options! {
    /// An MLP on the embeddings of all fields.
    Dnn {
        network;
    }
}

impl Model for Dnn {
    const NAME: &'static str = "dnn";
    const SUMMARY: &'static str = "MLP on the embeddings of all fields; all scenarios alike";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        let mut graph = Graph::new();
        let x = inputs.embed(&mut graph, self.width)?.all;
        let logits = mlp(&mut graph, "mlp", x, &self.hidden, self.dropout, Linear::new(1, Activation::None));
        predict_by(&mut graph, logits);
        Ok(graph)
    }
}
