//! `hmoe`: MMoE whose scenarios' predictions are mixed as well (Li et al. 2020).

use super::mmoe::check_experts;
use super::{Error, Inputs, Model, TOWER_SALT, check_network, options, predict_by, scenario_graph};
use crate::graph::Graph;
use crate::layers::{Experts, ScenarioScope};
use crate::ops::{Epilogue, LabelMixture, Mixture};

options! {
    /// Options of HMoE.
    Hmoe {
        network;
        tower_hidden: Vec<usize> = vec![32], "sizes of the towers' hidden layers";
        experts_per_scenario: usize = 2, "experts, for each scenario that there is";
    }
}

impl Model for Hmoe {
    const NAME: &'static str = "hmoe";
    const SUMMARY: &'static str = "mmoe whose scenarios' predictions are mixed by a gate of each as well";

    /// p_s = Σ_j g_sj(x) p_j; only a scenario's own samples teach its tower and its mixture of experts.
    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        check_experts(&self.hidden, &self.tower_hidden, self.experts_per_scenario)?;
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let (x, width) = (embeddings.all, g.width(embeddings.all));
        let own = ScenarioScope::own(inputs.scenarios);
        let everyone = ScenarioScope { everyone: true, ..own };
        let count = self.experts_per_scenario * inputs.scenarios;
        let values = Experts { scope: own, hidden: &self.hidden, dropout: self.dropout }.values(g, x, 0, count);
        let scores = everyone.layer(g, "mixer", count, (x, width), Epilogue::default());
        let mixed = g.add_one("mixed", Mixture { experts: count, shared: true }, &[scores, values]);
        let logits = everyone.tower(g, "tower", mixed, &self.tower_hidden, self.dropout, TOWER_SALT);
        let label = own.layer(g, "label", inputs.scenarios, (x, width), Epilogue::default());
        let logit = g.add_one("label", LabelMixture, &[label, logits]);
        predict_by(g, logit);
        Ok(graph)
    }
}
