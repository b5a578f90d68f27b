//! `shared-bottom`: shared embeddings, and a network for each scenario (Caruana 1997).

use super::{Error, Inputs, Model, check_network, options, predict_by, scenario_graph};
use crate::graph::Graph;
use crate::layers::ScenarioScope;

options! {
    /// Options of the shared bottom.
    SharedBottom { network; }
}

impl Model for SharedBottom {
    const NAME: &'static str = "shared-bottom";
    const SUMMARY: &'static str = "shared embeddings, and a whole network for each scenario";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        let mut graph = scenario_graph(inputs);
        let g = &mut graph;
        let x = inputs.embed(g, self.width)?.all;
        let logits = ScenarioScope::own(inputs.scenarios).tower(g, "tower", x, &self.hidden, self.dropout, 0);
        predict_by(g, logits);
        Ok(graph)
    }
}
