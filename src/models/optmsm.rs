//! `optmsm`: disentangled representations of what scenarios share, and towers that a hypernetwork gates.
//!
//! Fields that all scenarios share are gated for each scenario and carried over by a transfer net; what comes of it for
//! different scenarios is kept orthogonal (section 4.1). A sample is scored by its scenario's tower, whose layers are
//! gated by what is known of the scenario (section 4.2).

use serde::{Deserialize, Serialize};

use super::{
    Error, Inputs, Model, TOWER_SALT, check_network, options, predict_by, require, require_not_negative,
    require_positive, require_sizes, scenario_graph,
};
use crate::graph::{Graph, Probed, TensorId};
use crate::layers::{Experts, ScenarioScope, Stack, gated, hidden_epilogue, layers_to_logit, orthogonality};
use crate::ops::{Activation, Affine, Epilogue, Multiply, Orthogonal, Pool, Select};

/// How what scenarios share is carried over to each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transfer {
    /// A network whose weights are shared ones times the scenario's own (STAR).
    #[default]
    Fcn,
    /// Experts that all scenarios share, mixed by a gate of each (MMoE).
    Moe,
    /// The same with experts of each scenario's own beside them (PLE).
    Cgc,
}

options! {
    /// Options of OptMSM; defaults are the paper's but for `orth`, for which it has `"signed"` (docs/orthogonality.md).
    OptMsm {
        width: usize = 16, "length of an embedding";
        hidden: Vec<usize> = vec![256, 128, 32], "sizes of the transfer's layers";
        tower_hidden: Vec<usize> = vec![64, 32], "sizes of the towers' hidden layers";
        dropout: f64 = 0.0, "probability that a hidden value is dropped in training";
        transfer: Transfer = Transfer::Fcn,
            "\"fcn\", \"moe\" or \"cgc\": how what scenarios share is carried over to each";
        priors: bool = true, "whether scenario-aware fields are set apart";
        orthogonality: bool = true, "whether representations for different scenarios are kept orthogonal";
        orth: Orthogonal = Orthogonal::Square,
            "\"signed\" (as in the paper), \"abs\" or \"square\": what of their cosines is to become small";
        lambda: f64 = 0.01, "weight of the orthogonality in the loss";
        hypernetwork: bool = true, "whether the towers' layers are gated";
        hyper_hidden: usize = 32, "hidden width of the nets that make these gates";
    }
}

/// Experts of a scenario's own, and shared ones, in CGC.
const CGC_EXPERTS: usize = 2;

impl Model for OptMsm {
    const NAME: &'static str = "optmsm";
    const SUMMARY: &'static str = "shared fields gated and carried over to each scenario, kept orthogonal; a tower for \
                                   each scenario, gated by a hypernetwork";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        // Only the constraint needs representations for other scenarios than the sample's own.
        let constrained = self.orthogonality && self.lambda > 0.0 && inputs.scenarios > 1;
        self.graph(inputs, constrained)
    }

    fn build_prediction(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.graph(inputs, false)
    }
}

impl OptMsm {
    fn graph(&self, inputs: &Inputs, constrained: bool) -> Result<Graph, Error> {
        self.check(inputs)?;
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let scope = ScenarioScope { scenarios: inputs.scenarios, everyone: constrained };
        let embeddings = inputs.embed(g, self.width)?;
        let aware = if self.priors { inputs.aware } else { 0 };
        let fields = inputs.fields.len() - aware;
        let shared = embeddings.slice(g, "shared", aware, fields);

        // e_c^m = z^m ⊙ e_c, z^m = σ(W^m [mean of each field] + b^m)   (equations 4 and 5)
        let means = g.add_one("gate.mean", Pool::mean(self.width), &[shared]);
        let z = scope.layer(g, "gate", fields, (means, fields), Epilogue::new(Activation::Sigmoid));
        let gated = g.add_one("gated", Multiply { group: self.width, scale: 1.0 }, &[shared, z]);

        let experts = Experts { scope, hidden: &self.hidden, dropout: self.dropout };
        let transferred = g.scoped("transfer", |g| match self.transfer {
            Transfer::Fcn => self.fcn(g, gated, scope),
            Transfer::Moe => experts.shared(g, gated, 2 * scope.scenarios),
            Transfer::Cgc => experts.own_and_shared(g, gated, CGC_EXPERTS, CGC_EXPERTS),
        });
        let own = match scope.everyone {
            false => transferred,
            true => {
                let width = g.width(transferred) / scope.scenarios;
                g.add_one("own", Select { width }, &[transferred])
            }
        };
        g.probe("representation", own, Probed::Vector);
        // R_0 = [r^s, e^m]   (equation 10)
        let known = if aware == 0 {
            own
        } else {
            let aware = embeddings.slice(g, "aware", 0, aware);
            Affine::concat(g, "known", &[own, aware])
        };
        let logits = self.towers(g, known, scope.scenarios);
        predict_by(g, logits);
        if constrained {
            orthogonality(g, "orth", transferred, scope.scenarios, self.orth, self.lambda);
        }
        Ok(graph)
    }

    fn check(&self, inputs: &Inputs) -> Result<(), Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require(!self.hidden.is_empty(), || "hidden is empty; the transfer needs a layer, such as [32]".to_owned())?;
        require_sizes("tower_hidden", &self.tower_hidden)?;
        require_positive(&[("hyper_hidden", self.hyper_hidden)])?;
        require_not_negative("lambda", self.lambda)?;
        require(!self.priors || inputs.aware < inputs.fields.len(), || {
            "priors = true with no field in data.agnostic leaves nothing for scenarios to share".to_owned()
        })
    }

    /// (W_shared ⊙ W^m) x + b_shared + b^m, ReLU after each layer.
    fn fcn(&self, g: &mut Graph, gated: TensorId, scope: ScenarioScope) -> TensorId {
        let mut h = gated;
        for (l, &size) in self.hidden.iter().enumerate() {
            let width = g.width(h) / scope.count();
            let stack = Stack::star(g, &l.to_string(), scope.scenarios, size, width);
            h = scope.apply(g, &l.to_string(), stack, (h, width), hidden_epilogue(self.dropout, l));
        }
        h
    }

    /// The sample's scenario's tower; before each layer R_l ← R_l ⊙ 2σ(w₁ ReLU(w₀ R_0 + b₀) + b₁)   (equations 11–13)
    fn towers(&self, g: &mut Graph, known: TensorId, scenarios: usize) -> TensorId {
        let mut h = known;
        let layers = layers_to_logit(&self.tower_hidden, self.dropout, TOWER_SALT);
        for (l, (size, epilogue)) in layers.enumerate() {
            if self.hypernetwork {
                h = gated(g, &format!("hyper.{l}"), h, known, self.hyper_hidden);
            }
            let width = g.width(h);
            let tower = Stack::new(g, &format!("tower.{l}"), scenarios, size, width);
            h = tower.own(g, &format!("tower.{l}"), h, epilogue);
        }
        h
    }
}
