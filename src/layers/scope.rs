//! Layers for each scenario: computed for the sample's own scenario, or for all of them side by side.

use super::{Stack, Use, Which, hidden_epilogue, layers_to_logit, stacked};
use crate::graph::{Graph, TensorId};
use crate::ops::{Epilogue, Mixture};

/// For which scenarios a part of a model computes.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioScope {
    /// How many scenarios there are.
    pub scenarios: usize,
    /// For all of them, rather than for the sample's own.
    pub everyone: bool,
}

impl ScenarioScope {
    /// The sample's own scenario, of so many.
    pub fn own(scenarios: usize) -> Self {
        Self { scenarios, everyone: false }
    }

    /// Scenarios computed side by side.
    pub fn count(self) -> usize {
        if self.everyone { self.scenarios } else { 1 }
    }

    /// Layer `number` of the `each` that a scenario has, for the scenario at `place` among those computed.
    fn which(self, place: usize, number: usize, each: usize) -> Which {
        if self.everyone { Which::Number(place * each + number) } else { Which::Own { number, each } }
    }

    /// A dense layer of each scenario (a [`Stack`] called `name`), results side by side: [B, count·outputs]. It is on x
    /// [B, inputs], or on the scenario's own of x [B, count·inputs].
    pub fn layer(
        self,
        graph: &mut Graph,
        name: &str,
        outputs: usize,
        (x, inputs): (TensorId, usize),
        epilogue: Epilogue,
    ) -> TensorId {
        let stack = Stack::new(graph, name, self.scenarios, outputs, inputs);
        self.apply(graph, name, stack, (x, inputs), epilogue)
    }

    /// The same with a stack that has a layer for each scenario.
    pub fn apply(
        self,
        graph: &mut Graph,
        name: &str,
        stack: Stack,
        (x, inputs): (TensorId, usize),
        epilogue: Epilogue,
    ) -> TensorId {
        let step = if graph.width(x) == inputs { 0 } else { inputs };
        let uses: Vec<Use> = (0..self.count()).map(|m| stack.on(self.which(m, 0, 1), x, m * step)).collect();
        stacked(graph, name, &uses, epilogue)
    }

    /// A tower of each scenario: layers `name.0`, `name.1`, … with ReLU and dropout after each of `hidden`, and a logit:
    /// [B, count]. Dropout's masks are those of the layers from `salt` on.
    pub fn tower(
        self,
        graph: &mut Graph,
        name: &str,
        x: TensorId,
        hidden: &[usize],
        dropout: f64,
        salt: usize,
    ) -> TensorId {
        let mut h = x;
        let mut inputs = graph.width(x) / self.count();
        for (l, (size, epilogue)) in layers_to_logit(hidden, dropout, salt).enumerate() {
            h = self.layer(graph, &format!("{name}.{l}"), size, (h, inputs), epilogue);
            inputs = size;
        }
        h
    }
}

/// Experts: networks with ReLU and dropout after each layer, mixed by a softmax gate of each scenario.
#[derive(Clone, Copy, Debug)]
pub struct Experts<'a> {
    /// For whom they are mixed.
    pub scope: ScenarioScope,
    /// Sizes of an expert's layers.
    pub hidden: &'a [usize],
    /// Probability that one of their values is dropped in training.
    pub dropout: f64,
}

impl Experts<'_> {
    /// `experts` of them that all scenarios share, mixed for each scenario (MMoE, Ma et al. 2018): [B, count·W]. x has
    /// [B, count·inputs] columns, each scenario's own.
    pub fn shared(&self, graph: &mut Graph, x: TensorId, experts: usize) -> TensorId {
        let values = self.values(graph, x, 0, experts);
        self.mix(graph, x, values, experts)
    }

    /// `own` experts of each scenario beside `shared` ones (CGC, Tang et al. 2020): [B, count·W].
    pub fn own_and_shared(&self, graph: &mut Graph, x: TensorId, own: usize, shared: usize) -> TensorId {
        let values = self.values(graph, x, own, shared);
        self.mix(graph, x, values, own + shared)
    }

    /// What the experts make of x, unmixed: [B, count·(own + shared)·W].
    pub fn values(&self, graph: &mut Graph, x: TensorId, own: usize, shared: usize) -> TensorId {
        let (scope, all) = (self.scope, own + shared);
        let shared_name = if own > 0 { "shared" } else { "experts" };
        let mut h = x;
        for (l, &size) in self.hidden.iter().enumerate() {
            let inputs = graph.width(h) / (scope.count() * if l == 0 { 1 } else { all });
            let of_scenarios =
                (own > 0).then(|| Stack::new(graph, &format!("own.{l}"), scope.scenarios * own, size, inputs));
            let of_all = Stack::new(graph, &format!("{shared_name}.{l}"), shared, size, inputs);
            let places = (0..scope.count()).flat_map(|m| (0..all).map(move |e| (m, e)));
            let uses: Vec<Use> = places
                .map(|(m, e)| {
                    let from = if l == 0 { m * inputs } else { (m * all + e) * inputs };
                    match of_scenarios {
                        Some(stack) if e < own => stack.on(scope.which(m, e, own), h, from),
                        _ => of_all.on(Which::Number(e - own), h, from),
                    }
                })
                .collect();
            // Where all experts are shared, scenarios begin alike. What dropout made of that would differ by chance alone,
            // and a constraint on the difference would teach every unit to be 0 (docs/orthogonality.md).
            let shared_mask = if own == 0 { scope.count() } else { 1 };
            let epilogue = Epilogue { shared_mask, ..hidden_epilogue(self.dropout, l) };
            h = stacked(graph, &format!("experts.{l}"), &uses, epilogue);
        }
        h
    }

    fn mix(&self, graph: &mut Graph, x: TensorId, values: TensorId, experts: usize) -> TensorId {
        let inputs = graph.width(x) / self.scope.count();
        let scores = self.scope.layer(graph, "mixer", experts, (x, inputs), Epilogue::default());
        graph.add_one("mixed", Mixture { experts, shared: false }, &[scores, values])
    }
}
