//! `dnn`, the plain network that treats all scenarios alike (Covington et al. 2016; "Mix" in OptMSM's tables).

use serde::{Deserialize, Serialize};

use super::{Error, Inputs, Model, check_network};
use crate::graph::Graph;
use crate::layers::{Layer, cross_entropy, mlp};
use crate::ops::Activation;

/// An MLP on the embeddings of all fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dnn {
    /// Length of an embedding, D.
    pub width: usize,
    /// Sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// Probability that a hidden value is dropped in training.
    pub dropout: f64,
}

impl Default for Dnn {
    fn default() -> Self {
        Self { width: 16, hidden: vec![128, 64, 32], dropout: 0.0 }
    }
}

impl Model for Dnn {
    const NAME: &'static str = "dnn";
    const SUMMARY: &'static str = "MLP on the embeddings of all fields; all scenarios alike";
    const OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("width", "length of an embedding"),
        ("hidden", "sizes of the hidden layers"),
        ("dropout", "probability that a hidden value is dropped in training"),
    ];

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        let mut graph = Graph::new();
        let x = inputs.embed(&mut graph, self.width)?.all;
        let logits = mlp(&mut graph, "mlp", x, &self.hidden, self.dropout, Layer::new(1, Activation::None));
        graph.logits = Some(logits);
        cross_entropy(&mut graph, "bce", logits);
        Ok(graph)
    }
}
