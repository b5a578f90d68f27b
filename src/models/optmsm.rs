//! `optmsm`: disentangled representations of what scenarios share, and towers that a hypernetwork gates.
//!
//! Fields that all scenarios share are gated for each scenario and carried over by a transfer net; what comes of it for
//! different scenarios is kept orthogonal (section 4.1). A sample is scored by its scenario's tower, whose layers are
//! gated by what is known of the scenario (section 4.2).

use serde::{Deserialize, Serialize};

use super::{Error, Inputs, Model, check_network, require};
use crate::graph::{Graph, Probed, TensorId};
use crate::layers::{Layer, Stack, Use, Which, cross_entropy, hidden_epilogue, orthogonality, stacked};
use crate::ops::{Activation, Affine, Epilogue, Mixture, Multiply, Orthogonal, Pool, Select};

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

/// Options of OptMSM; defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptMsm {
    /// Length of an embedding, D.
    pub width: usize,
    /// Sizes of the transfer's layers.
    pub hidden: Vec<usize>,
    /// Sizes of the towers' hidden layers.
    pub tower_hidden: Vec<usize>,
    /// Probability that a hidden value is dropped in training.
    pub dropout: f64,
    /// The transfer.
    pub transfer: Transfer,
    /// Whether scenario-aware fields are set apart; without, all fields are shared ones.
    pub priors: bool,
    /// Whether representations for different scenarios are kept orthogonal.
    pub orthogonality: bool,
    /// What of their cosines is to become small.
    pub orth: Orthogonal,
    /// Weight of that in the loss.
    pub lambda: f64,
    /// Whether the towers' layers are gated.
    pub hypernetwork: bool,
    /// Hidden width of the nets that make these gates.
    pub hyper_hidden: usize,
}

impl Default for OptMsm {
    fn default() -> Self {
        Self {
            width: 16,
            hidden: vec![256, 128, 32],
            tower_hidden: vec![64, 32],
            dropout: 0.0,
            transfer: Transfer::Fcn,
            priors: true,
            orthogonality: true,
            orth: Orthogonal::Signed,
            lambda: 0.1,
            hypernetwork: true,
            hyper_hidden: 32,
        }
    }
}

/// Masks of the towers' layers differ from those of the transfer's.
const TOWER_SALT: usize = 64;
/// Experts of a scenario's own, and shared ones, in CGC.
const CGC_EXPERTS: usize = 2;

impl Model for OptMsm {
    const NAME: &'static str = "optmsm";
    const SUMMARY: &'static str = "shared fields gated and carried over to each scenario, kept orthogonal; a tower for \
                                   each scenario, gated by a hypernetwork";
    const OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("width", "length of an embedding"),
        ("hidden", "sizes of the transfer's layers"),
        ("tower_hidden", "sizes of the towers' hidden layers"),
        ("dropout", "probability that a hidden value is dropped in training"),
        ("transfer", "\"fcn\", \"moe\" or \"cgc\": how what scenarios share is carried over to each"),
        ("priors", "whether scenario-aware fields are set apart"),
        ("orthogonality", "whether representations for different scenarios are kept orthogonal"),
        ("orth", "\"signed\", \"abs\" or \"square\": what of their cosines is to become small"),
        ("lambda", "weight of the orthogonality in the loss"),
        ("hypernetwork", "whether the towers' layers are gated"),
        ("hyper_hidden", "hidden width of the nets that make these gates"),
    ];

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        // Only the constraint needs representations for other scenarios than the sample's own.
        let constrained = self.orthogonality && self.lambda > 0.0 && inputs.scenarios > 1;
        self.graph(inputs, constrained)
    }

    fn build_prediction(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.graph(inputs, false)
    }
}

/// For which scenarios a part of the model computes.
#[derive(Clone, Copy)]
struct Scope {
    scenarios: usize,
    /// For all of them, rather than for the sample's own.
    everyone: bool,
}

impl Scope {
    /// Scenarios computed side by side.
    fn count(self) -> usize {
        if self.everyone { self.scenarios } else { 1 }
    }

    /// Layer `number` of the `each` that a scenario has, for the scenario at `place` among those computed.
    fn layer(self, place: usize, number: usize, each: usize) -> Which {
        if self.everyone { Which::Number(place * each + number) } else { Which::Own { number, each } }
    }
}

impl OptMsm {
    fn graph(&self, inputs: &Inputs, constrained: bool) -> Result<Graph, Error> {
        self.check(inputs)?;
        let mut graph = Graph::new();
        let g = &mut graph;
        g.scenarios = inputs.scenarios;
        let scope = Scope { scenarios: inputs.scenarios, everyone: constrained };
        let embeddings = inputs.embed(g, self.width)?;
        let aware = if self.priors { inputs.aware } else { 0 };
        let fields = inputs.fields.len() - aware;
        let shared = embeddings.slice(g, "shared", aware, fields);

        // e_c^m = z^m ⊙ e_c, z^m = σ(W^m [mean of each field] + b^m)   (equations 4 and 5)
        let means = g.add_one("gate.mean", Pool::mean(self.width), &[shared]);
        let gate = Stack::new(g, "gate", scope.scenarios, fields, fields);
        let uses: Vec<Use> = (0..scope.count()).map(|m| gate.on(scope.layer(m, 0, 1), means, 0)).collect();
        let z = stacked(g, "gate", &uses, Epilogue::new(Activation::Sigmoid));
        let gated = g.add_one("gated", Multiply { group: self.width, scale: 1.0 }, &[shared, z]);

        let transferred = g.scoped("transfer", |g| match self.transfer {
            Transfer::Fcn => self.fcn(g, gated, scope),
            Transfer::Moe => self.moe(g, gated, scope),
            Transfer::Cgc => self.cgc(g, gated, scope),
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
        g.logits = Some(logits);
        cross_entropy(g, "bce", logits);
        if constrained {
            orthogonality(g, "orth", transferred, scope.scenarios, self.orth, self.lambda);
        }
        Ok(graph)
    }

    fn check(&self, inputs: &Inputs) -> Result<(), Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require(!self.hidden.is_empty(), || "hidden is empty; the transfer needs a layer, such as [32]".to_owned())?;
        require(self.tower_hidden.iter().all(|&size| size > 0), || {
            "tower_hidden has a layer of 0; expected sizes such as [64, 32]".to_owned()
        })?;
        require(self.hyper_hidden > 0, || "hyper_hidden is 0; expected a whole number of at least 1".to_owned())?;
        require(self.lambda >= 0.0 && self.lambda.is_finite(), || {
            format!("lambda is {}; expected a number of at least 0", self.lambda)
        })?;
        require(!self.priors || inputs.aware < inputs.fields.len(), || {
            "priors = true with no field in data.agnostic leaves nothing for scenarios to share".to_owned()
        })
    }

    /// (W_shared ⊙ W^m) x + b_shared + b^m, ReLU after each layer.
    fn fcn(&self, g: &mut Graph, gated: TensorId, scope: Scope) -> TensorId {
        let mut h = gated;
        for (l, &size) in self.hidden.iter().enumerate() {
            let width = g.width(h) / scope.count();
            let stack = Stack::star(g, &l.to_string(), scope.scenarios, size, width);
            let uses: Vec<Use> = (0..scope.count()).map(|m| stack.on(scope.layer(m, 0, 1), h, m * width)).collect();
            h = stacked(g, &l.to_string(), &uses, hidden_epilogue(self.dropout, l));
        }
        h
    }

    /// Twice as many shared experts as scenarios, on each scenario's e_c^m; a softmax gate of each scenario.
    fn moe(&self, g: &mut Graph, gated: TensorId, scope: Scope) -> TensorId {
        let experts = 2 * scope.scenarios;
        let mut h = gated;
        for (l, &size) in self.hidden.iter().enumerate() {
            let width = g.width(h) / (scope.count() * if l == 0 { 1 } else { experts });
            let stack = Stack::new(g, &format!("experts.{l}"), experts, size, width);
            let on = |m: usize, e: usize| if l == 0 { m * width } else { (m * experts + e) * width };
            let places = (0..scope.count()).flat_map(|m| (0..experts).map(move |e| (m, e)));
            let uses: Vec<Use> = places.map(|(m, e)| stack.on(Which::Number(e), h, on(m, e))).collect();
            h = stacked(g, &format!("experts.{l}"), &uses, hidden_epilogue(self.dropout, l));
        }
        self.mix(g, gated, h, experts, scope)
    }

    /// Two experts of each scenario's own and two shared ones; a softmax gate of each scenario.
    fn cgc(&self, g: &mut Graph, gated: TensorId, scope: Scope) -> TensorId {
        const ALL: usize = 2 * CGC_EXPERTS;
        let mut h = gated;
        for (l, &size) in self.hidden.iter().enumerate() {
            let width = g.width(h) / (scope.count() * if l == 0 { 1 } else { ALL });
            let own = Stack::new(g, &format!("own.{l}"), scope.scenarios * CGC_EXPERTS, size, width);
            let shared = Stack::new(g, &format!("shared.{l}"), CGC_EXPERTS, size, width);
            let places = (0..scope.count()).flat_map(|m| (0..ALL).map(move |e| (m, e)));
            let uses: Vec<Use> = places
                .map(|(m, e)| {
                    let from = if l == 0 { m * width } else { (m * ALL + e) * width };
                    match e.checked_sub(CGC_EXPERTS) {
                        None => own.on(scope.layer(m, e, CGC_EXPERTS), h, from),
                        Some(number) => shared.on(Which::Number(number), h, from),
                    }
                })
                .collect();
            h = stacked(g, &format!("experts.{l}"), &uses, hidden_epilogue(self.dropout, l));
        }
        self.mix(g, gated, h, ALL, scope)
    }

    fn mix(&self, g: &mut Graph, gated: TensorId, values: TensorId, experts: usize, scope: Scope) -> TensorId {
        let width = g.width(gated) / scope.count();
        let mixer = Stack::new(g, "mixer", scope.scenarios, experts, width);
        let uses: Vec<Use> = (0..scope.count()).map(|m| mixer.on(scope.layer(m, 0, 1), gated, m * width)).collect();
        let scores = stacked(g, "mixer", &uses, Epilogue::default());
        g.add_one("mixed", Mixture { experts }, &[scores, values])
    }

    /// The sample's scenario's tower; before each layer R_l ← R_l ⊙ 2σ(w₁ ReLU(w₀ R_0 + b₀) + b₁)   (equations 11–13)
    fn towers(&self, g: &mut Graph, known: TensorId, scenarios: usize) -> TensorId {
        let mut h = known;
        for l in 0..=self.tower_hidden.len() {
            if self.hypernetwork {
                let width = g.width(h);
                let gate = g.scoped(format!("hyper.{l}"), |g| {
                    let hidden = Layer::new(self.hyper_hidden, Activation::Relu).add(g, "0", known);
                    Layer::new(width, Activation::Sigmoid).add(g, "1", hidden)
                });
                h = g.add_one(&format!("hyper.{l}"), Multiply { group: 1, scale: 2.0 }, &[h, gate]);
            }
            let (size, epilogue) = match self.tower_hidden.get(l) {
                Some(&size) => (size, hidden_epilogue(self.dropout, TOWER_SALT + l)),
                None => (1, Epilogue::default()),
            };
            let width = g.width(h);
            let tower = Stack::new(g, &format!("tower.{l}"), scenarios, size, width);
            h = tower.own(g, &format!("tower.{l}"), h, epilogue);
        }
        h
    }
}
