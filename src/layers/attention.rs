//! Self-attention over behaviour sequences.

use super::Layer;
use crate::graph::{Graph, TensorId};
use crate::ops::{Activation, Attention};

/// Multi-head self-attention of tokens with queries and keys made of `x` [T, ·] and values of `values` [T, W], averaged
/// over each sample's tokens: [B, W] (SAML, equations 1 and 2). Parameters `NAME.query.weight`, `key`, `value`, `output`.
///
/// The projection of the heads together is linear, so it is applied to the average.
pub fn self_attention(graph: &mut Graph, name: &str, x: TensorId, values: TensorId, heads: usize) -> TensorId {
    graph.scoped(name, |graph| {
        let projection = |graph: &mut Graph, name: &str, x: TensorId| {
            Layer { bias: false, ..Layer::new(graph.width(x), Activation::None) }.add(graph, name, x)
        };
        let [q, k] = ["query", "key"].map(|name| projection(graph, name, x));
        let v = projection(graph, "value", values);
        let mean = graph.add_one("", Attention { heads }, &[q, k, v]);
        projection(graph, "output", mean)
    })
}
