//! `ple`: experts of each scenario's own beside shared ones (Tang et al. 2020), in one level.

use super::mmoe::check_experts;
use super::{Error, Inputs, Model, TOWER_SALT, check_network, options, predict_by, require_counts, scenario_graph};
use crate::graph::{Graph, Probed};
use crate::layers::{Experts, ScenarioScope};

options! {
    /// Options of PLE.
    Ple {
        network;
        tower_hidden: Vec<usize> = vec![32], "sizes of the towers' hidden layers";
        experts_per_scenario: usize = 2, "experts of each scenario's own";
        shared_experts: usize = 2, "experts that all scenarios share";
    }
}

impl Model for Ple {
    const NAME: &'static str = "ple";
    const SUMMARY: &'static str = "experts of each scenario's own beside shared ones, mixed by a gate of each; a tower \
                                   for each";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        check_experts(&self.hidden, &self.tower_hidden, self.experts_per_scenario)?;
        require_counts(&[("shared_experts", self.shared_experts)])?;
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let x = inputs.embed(g, self.width)?.all;
        let scope = ScenarioScope::own(inputs.scenarios);
        let experts = Experts { scope, hidden: &self.hidden, dropout: self.dropout };
        let mixed = experts.own_and_shared(g, x, self.experts_per_scenario, self.shared_experts);
        g.probe("mixture", mixed, Probed::Vector);
        let logits = scope.tower(g, "tower", mixed, &self.tower_hidden, self.dropout, TOWER_SALT);
        predict_by(g, logits);
        Ok(graph)
    }
}
