//! `mmoe`: experts that all scenarios share, mixed by a gate of each (Ma et al. 2018).

use super::{
    Error, Inputs, Model, TOWER_SALT, check_network, options, predict_by, require, require_counts, require_sizes,
    scenario_graph,
};
use crate::graph::{Graph, Probed};
use crate::layers::{Experts, ScenarioScope};

options! {
    /// Options of MMoE.
    Mmoe {
        network;
        tower_hidden: Vec<usize> = vec![32], "sizes of the towers' hidden layers";
        experts_per_scenario: usize = 2, "experts, for each scenario that there is";
    }
}

/// Checks what models with experts share.
pub(super) fn check_experts(hidden: &[usize], tower_hidden: &[usize], experts: usize) -> Result<(), Error> {
    require(!hidden.is_empty(), || "hidden is empty; experts need a layer, such as [32]".to_owned())?;
    require_sizes("tower_hidden", tower_hidden)?;
    require_counts(&[("experts_per_scenario", experts)])
}

impl Model for Mmoe {
    const NAME: &'static str = "mmoe";
    const SUMMARY: &'static str = "experts that all scenarios share, mixed by a gate of each; a tower for each";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        check_experts(&self.hidden, &self.tower_hidden, self.experts_per_scenario)?;
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let x = inputs.embed(g, self.width)?.all;
        let scope = ScenarioScope::own(inputs.scenarios);
        let experts = Experts { scope, hidden: &self.hidden, dropout: self.dropout };
        let mixed = experts.shared(g, x, self.experts_per_scenario * inputs.scenarios);
        g.probe("mixture", mixed, Probed::Vector);
        let logits = scope.tower(g, "tower", mixed, &self.tower_hidden, self.dropout, TOWER_SALT);
        predict_by(g, logits);
        Ok(graph)
    }
}
