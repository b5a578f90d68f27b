//! `apg`: layers whose weights are low-rank products with a matrix generated for each sample (Yan et al. 2022).

use serde::{Deserialize, Serialize};

use super::{Error, Inputs, Model, check_network, options, predict_by, require, require_positive};
use crate::graph::{Graph, Probed, TensorId};
use crate::layers::{Linear, hidden_epilogue, mlp};
use crate::ops::{Activation, Affine, SampleMatrix};

/// What a sample's matrix is generated of (section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The scenario-aware fields: samples of a group have the same.
    #[default]
    Group,
    /// The layer's own inputs.
    #[serde(rename = "self")]
    Own,
    /// Both.
    Mix,
}

options! {
    /// Options of APG.
    Apg {
        network;
        condition: Condition = Condition::Group, "\"group\" (the scenario-aware fields), \"self\" (a layer's inputs) or \"mix\" (both): what matrices are generated of";
        rank_div: usize = 4, "smaller size of a layer over the size of its generated matrix";
        auxiliary_hidden: usize = 32, "hidden width of the nets that generate the matrices";
    }
}

impl Model for Apg {
    const NAME: &'static str = "apg";
    const SUMMARY: &'static str = "MLP whose weights are U S V, S generated for each sample";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[("rank_div", self.rank_div), ("auxiliary_hidden", self.auxiliary_hidden)])?;
        require(!self.hidden.is_empty(), || "hidden is empty; expected sizes such as [128, 64, 32]".to_owned())?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let aware = match self.condition {
            // It is not read.
            Condition::Own if inputs.aware == 0 => embeddings.all,
            _ => inputs.aware(g, &embeddings, Self::NAME)?,
        };
        let mut h = embeddings.all;
        for (l, &size) in self.hidden.iter().enumerate() {
            h = g.scoped(format!("apg.{l}"), |g| self.layer(g, aware, h, (l, size)));
        }
        let logits = Linear::new(1, Activation::None).add(g, &format!("apg.{}", self.hidden.len()), h);
        predict_by(g, logits);
        Ok(graph)
    }
}

impl Apg {
    /// ReLU(U S V h + b) with S = I + R, R generated of z.
    fn layer(&self, g: &mut Graph, aware: TensorId, h: TensorId, (l, size): (usize, usize)) -> TensorId {
        let rank = (g.width(h).min(size) / self.rank_div).max(1);
        let narrow = Linear { bias: false, ..Linear::new(rank, Activation::None) }.add(g, "v", h);
        let z = match self.condition {
            Condition::Group => aware,
            Condition::Own => h,
            Condition::Mix => Affine::concat(g, "condition", &[aware, h]),
        };
        let last = Linear::new(rank * rank, Activation::None);
        let generated = mlp(g, "generator", z, &[self.auxiliary_hidden], 0.0, last);
        g.probe(format!("generated.{l}"), generated, Probed::Vector);
        let turned = g.add_one("s", SampleMatrix, &[narrow, generated]);
        let layer = Linear { epilogue: hidden_epilogue(self.dropout, l), ..Linear::new(size, Activation::Relu) };
        layer.add(g, "u", turned)
    }
}
