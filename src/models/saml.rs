//! `saml`: scenario-aware mutual learning.
//!
//! Features are embedded, and behaviour sequences attended to, in a global and in a scenario's own subspace (section
//! III-C). An auxiliary net learns from the global ones; a branch for each scenario learns from its own ones and from the
//! auxiliary net, and through mutual units from the branches that are like it (section III-D).

use serde::{Deserialize, Serialize};

use super::inputs::Sharing;
use super::{Error, Inputs, Model, check_network, options, predict_by, require, require_positive, scenario_graph};
use crate::graph::{Graph, Probed, TensorId};
use crate::layers::{
    Linear, Stack, Use, Which, cross_entropy, hidden_epilogue, hidden_layers, mlp, self_attention, stacked,
};
use crate::ops::{Activation, Affine, Alpha, Epilogue, Mutual};

/// Where a scenario's own embeddings lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Specific {
    /// Each scenario has a row for every value of a field.
    #[default]
    PerScenario,
    /// Where that would be too many, values share rows.
    Hashed,
}

/// A part of the model to leave out (section IV-G).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Without {
    /// Nothing is left out.
    #[default]
    None,
    /// g = 0: branches learn nothing from each other.
    Gate,
    /// No auxiliary net: branches get all features.
    Auxiliary,
    /// One network on all features.
    GateAndMutual,
}

options! {
    /// Options of SAML; defaults are the paper's for its public data.
    Saml {
        width: usize = 12, "length of a global embedding";
        specific_width: usize = 4, "length of a scenario's own embedding";
        specific: Specific = Specific::PerScenario, "\"per-scenario\" or \"hashed\": where these lie";
        specific_rows: usize = 1_000_000, "rows of a field at most, where they are hashed";
        heads: usize = 4, "heads of the attention over sequences";
        sequence: bool = true, "whether the data's sequences are read, if it has any";
        hidden: Vec<usize> = vec![128, 64], "sizes of the hidden layers, of the auxiliary net and of each branch";
        dropout: f64 = 0.0, "probability that a hidden value is dropped in training";
        alpha: Alpha = Alpha::Paper, "\"paper\" or \"cosine\": what the similarity of branches is a softmax of";
        stop_aux: bool = true, "whether branches send no gradient into the auxiliary net";
        without: Without = Without::None, "\"none\", \"gate\", \"auxiliary\" or \"gate-and-mutual\": what is left out";
    }
}

/// Masks of the branches' layers differ from those of the auxiliary net's.
const BRANCH_SALT: usize = 64;

impl Model for Saml {
    const NAME: &'static str = "saml";
    const SUMMARY: &'static str = "global and per-scenario embeddings and attention; an auxiliary net, and a branch for \
                                   each scenario that learns from the ones like it";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let (global, specific) = self.features(g, inputs)?;
        let all = |g: &mut Graph| Affine::concat(g, "features", &[global, specific]);
        match self.without {
            Without::GateAndMutual => {
                let x = all(g);
                let logits = mlp(g, "mlp", x, &self.hidden, self.dropout, Linear::new(1, Activation::None));
                predict_by(g, logits);
            }
            Without::Auxiliary => {
                let x = all(g);
                self.branches(g, x, &[]);
            }
            Without::None | Without::Gate => {
                let (hidden, logit) = self.auxiliary(g, global);
                self.branches(g, specific, &hidden);
                cross_entropy(g, "auxiliary", logit);
            }
        }
        Ok(graph)
    }
}

impl Saml {
    fn check(&self, sequences: usize) -> Result<(), Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[
            ("specific_width", self.specific_width),
            ("specific_rows", self.specific_rows),
            ("heads", self.heads),
        ])?;
        require(!self.hidden.is_empty(), || "hidden is empty; expected sizes such as [128, 64]".to_owned())?;
        for (name, width) in [("width", self.width), ("specific_width", self.specific_width)] {
            require(sequences == 0 || (sequences * width).is_multiple_of(self.heads), || {
                format!("heads = {} does not divide {name} = {width}; choose a divisor of it", self.heads)
            })?;
        }
        Ok(())
    }

    /// x_g and x_l: the embeddings of a subspace beside what attention makes of the sequences in it.
    fn features(&self, g: &mut Graph, inputs: &Inputs) -> Result<(TensorId, TensorId), Error> {
        let sequences = if self.sequence { inputs.sequences.as_slice() } else { &[] };
        self.check(sequences.len())?;
        g.longest = if self.sequence { inputs.longest() } else { 0 };
        let rows = match self.specific {
            Specific::PerScenario => Sharing::PerScenario,
            Specific::Hashed => Sharing::Hashed(self.specific_rows),
        };
        let global = inputs.embed_as(g, "global", self.width, Sharing::Shared)?;
        let specific = inputs.embed_as(g, "specific", self.specific_width, rows)?;
        if sequences.is_empty() {
            return Ok((global.all, specific.all));
        }
        let of_global = global.tokens(g, "global.tokens", inputs.tokens());
        let of_specific = specific.tokens(g, "specific.tokens", inputs.tokens());
        // Both take their values from the global embeddings.
        let in_global = self_attention(g, "attention.global", of_global, of_global, self.heads, true);
        let in_specific = self_attention(g, "attention.specific", of_specific, of_global, self.heads, true);
        Ok((
            Affine::concat(g, "independent", &[global.all, in_global]),
            Affine::concat(g, "dependent", &[specific.all, in_specific]),
        ))
    }

    /// V_a^l = ReLU(W_a V_a^{l−1} + b_a), and the net's own logit   (equation 4)
    fn auxiliary(&self, g: &mut Graph, x: TensorId) -> (Vec<TensorId>, TensorId) {
        let hidden = hidden_layers(g, "auxiliary", x, &self.hidden, self.dropout);
        let h = hidden.last().copied().unwrap_or(x);
        (hidden, Linear::new(1, Activation::None).add(g, &format!("auxiliary.{}", self.hidden.len()), h))
    }

    /// V_i^l = ReLU(W_i [M_i^{l−1}, V_a^l] + b_i), M_i by the mutual unit, and the logit of the sample's own branch.
    ///
    /// The own branch is computed apart from the others, for gradients flow through it alone: what the others make is a
    /// constant to it, and their weights learn nothing from the sample.
    fn branches(&self, g: &mut Graph, x: TensorId, auxiliary: &[TensorId]) {
        let scenarios = g.scenarios;
        let mutual = scenarios > 1 && self.without != Without::Gate;
        let mut own = x;
        // M of all branches side by side; before the first layer they share x.
        let (mut everyone, mut step) = (x, 0);
        for (l, &size) in self.hidden.iter().enumerate() {
            let width = g.width(own);
            let known = auxiliary.get(l).map(|&known| (known, 0, g.width(known)));
            let inputs = width + known.map_or(0, |(_, _, width)| width);
            let stack = Stack::new(g, &format!("branch.{l}"), scenarios, size, inputs);
            let reading = |x: TensorId, from: usize| [(x, from, width)].into_iter().chain(known).collect::<Vec<_>>();
            let uses = [Use { stack, layer: Which::OWN, inputs: reading(own, 0) }];
            let v = stacked(g, &format!("branch.{l}"), &uses, hidden_epilogue(self.dropout, BRANCH_SALT + l));
            if let (true, Some((known, ..))) = (self.stop_aux, known) {
                g.stop_gradient(v, known);
            }
            own = v;
            if !mutual {
                continue;
            }
            let uses: Vec<Use> = (0..scenarios)
                .map(|i| Use { stack, layer: Which::Number(i), inputs: reading(everyone, i * step) })
                .collect();
            let all = stacked(g, &format!("branches.{l}"), &uses, Epilogue::new(Activation::Relu));
            let gate = Stack::new(g, &format!("gate.{l}"), scenarios, 1, size);
            let mut inputs = vec![all, v, gate.own(g, &format!("gate.{l}"), v, Epilogue::default())];
            if l + 1 < self.hidden.len() {
                let gates: Vec<Use> = (0..scenarios).map(|i| gate.on(Which::Number(i), all, i * size)).collect();
                inputs.push(stacked(g, &format!("gates.{l}"), &gates, Epilogue::default()));
            }
            let op = Mutual { branches: scenarios, alpha: self.alpha };
            let made = g.add(&format!("mutual.{l}"), op, &inputs);
            own = made[0];
            g.probe(format!("mutual.{l}"), made[1], Probed::Learning);
            if let Some(&others) = made.get(2) {
                (everyone, step) = (others, size);
            }
        }
        let last = format!("branch.{}", self.hidden.len());
        let width = g.width(own);
        let logits = Stack::new(g, &last, scenarios, 1, width).own(g, &last, own, Epilogue::default());
        predict_by(g, logits);
    }
}
