//! Normalisation.

use crate::graph::{Graph, Init, TensorId};
use crate::ops::{LayerNorm, Moments, Normalize, RunningMoments, Star, parameters_of};

/// Weight of a batch's moments in the running ones.
const MOMENTUM: f64 = 0.1;

/// Partitioned normalisation of x [B, W] (Sheng et al. 2021): by the moments of the sample's scenario, with a scale and a
/// shift made of shared ones and the scenario's own. While training they are the batch's moments; for predictions
/// (`running`) those that training kept, `NAME.mean` and `NAME.variance` [scenarios, W].
pub fn partitioned_norm(graph: &mut Graph, name: &str, x: TensorId, running: bool) -> TensorId {
    let (scenarios, width) = (graph.scenarios, graph.width(x));
    graph.scoped(name, |graph| {
        let mut made = |part: &str, sum: bool, begin: Init| {
            let shared = graph.parameter(&format!("shared.{part}"), 1, width, begin);
            let own = graph.parameter(&format!("specific.{part}"), scenarios, width, begin);
            graph.derived(part, [scenarios, width], Star { scenarios, sum }, &[shared, own])
        };
        let scale = made("scale", false, Init::Constant(1.0));
        let shift = made("shift", true, Init::Zeros);
        let means = graph.state("mean", [scenarios, width], Init::Zeros);
        let variances = graph.state("variance", [scenarios, width], Init::Constant(1.0));
        if running {
            return graph.add_one("", Normalize, &[x, means, variances, scale, shift]);
        }
        let moments = graph.add("moments", Moments { scenarios }, &[x]);
        let [means, variances] = parameters_of(graph, [means, variances]);
        graph.update("running", RunningMoments { momentum: MOMENTUM, means, variances }, &moments);
        graph.add_one("", Normalize, &[x, moments[0], moments[1], scale, shift, moments[2]])
    })
}

/// Every row of x by its own moments, with a scale and a shift for each column (Ba et al. 2016).
pub fn layer_norm(graph: &mut Graph, name: &str, x: TensorId) -> TensorId {
    let width = graph.width(x);
    graph.scoped(name, |graph| {
        let scale = graph.parameter("scale", 1, width, Init::Constant(1.0));
        let shift = graph.parameter("shift", 1, width, Init::Zeros);
        graph.add_one("", LayerNorm, &[x, scale, shift])
    })
}
