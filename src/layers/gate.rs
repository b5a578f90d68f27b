//! Gates made of what is known of a sample's scenario.

use super::Linear;
use crate::graph::{Graph, TensorId};
use crate::ops::{Activation, Multiply};

/// x ⊙ 2σ(W₁ ReLU(W₀ u + b₀) + b₁): a gate on every column of x [B, W], around 1, made of u (PEPNet's gate unit; OptMSM,
/// equations 11 and 12). Parameters `NAME.0` and `NAME.1`.
pub fn gated(graph: &mut Graph, name: &str, x: TensorId, u: TensorId, hidden: usize) -> TensorId {
    let width = graph.width(x);
    let gate = graph.scoped(name, |graph| {
        let hidden = Linear::new(hidden, Activation::Relu).add(graph, "0", u);
        Linear::new(width, Activation::Sigmoid).add(graph, "1", hidden)
    });
    graph.add_one(name, Multiply { group: 1, scale: 2.0 }, &[x, gate])
}
