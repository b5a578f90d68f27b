//! Self-attention over behaviour sequences.

use super::{Linear, layer_norm};
use crate::graph::{Graph, Init, TensorId};
use crate::ops::{Activation, AddPositions, Affine, Attention, TokenPool};

/// Multi-head self-attention of tokens with queries and keys made of `x` [T, ·] and values of `values` [T, W], and with
/// `mean` its average over each sample's tokens: [B, W] (SAML, equations 1 and 2). Parameters `NAME.query.weight`, `key`,
/// `value`, `output`.
///
/// The projection of the heads together is linear, so it can be applied to the average.
pub fn self_attention(
    graph: &mut Graph,
    name: &str,
    x: TensorId,
    values: TensorId,
    heads: usize,
    mean: bool,
) -> TensorId {
    graph.scoped(name, |graph| {
        let projection = |graph: &mut Graph, name: &str, x: TensorId| {
            Linear { bias: false, ..Linear::new(graph.width(x), Activation::None) }.add(graph, name, x)
        };
        let [q, k] = ["query", "key"].map(|name| projection(graph, name, x));
        let v = projection(graph, "value", values);
        let attended = graph.add_one("", Attention { heads, mean }, &[q, k, v]);
        projection(graph, "output", attended)
    })
}

/// One block of a transformer over a sample's tokens [T, W], with learned positions counted from the last token, and the
/// mean of what it makes: [B, W] (BST, Chen et al. 2019). Normalisation follows each half, the feed-forward layer is four
/// times as wide as a token.
pub fn transformer(graph: &mut Graph, name: &str, tokens: TensorId, heads: usize) -> TensorId {
    let (width, longest) = (graph.width(tokens), graph.longest);
    graph.scoped(name, |graph| {
        let positions = graph.parameter("position", longest, width, Init::Normal(0.05));
        let x = graph.add_one("positions", AddPositions, &[tokens, positions]);
        let attended = self_attention(graph, "attention", x, x, heads, false);
        let sum = Affine::total(graph, "attended", &[x, attended]);
        let z = layer_norm(graph, "norm.0", sum);
        let wide = Linear::new(4 * width, Activation::LeakyRelu).add(graph, "feed.0", z);
        let fed = Linear::new(width, Activation::None).add(graph, "feed.1", wide);
        let sum = Affine::total(graph, "fed", &[z, fed]);
        let y = layer_norm(graph, "norm.1", sum);
        graph.add_one("mean", TokenPool, &[y])
    })
}
