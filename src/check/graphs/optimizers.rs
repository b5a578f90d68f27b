//! Graphs of every optimiser, with and without clipped gradients.

use super::{SmallGraph, embedding, finish};
use crate::graph::{Graph, Optimizer, Precision};
use crate::layers::Linear;
use crate::ops::Activation;

/// Optimisers of dense parameters and of tables, the largest norm of gradients, and how tables are stored: all kernels of
/// optimisers but those of [`small_graphs`](super::small_graphs) and [`half_graphs`](super::half_graphs).
pub fn optimizer_graphs() -> Vec<SmallGraph> {
    use Optimizer::{Adagrad, Adam, RowwiseAdagrad, Sgd};
    use Precision::{F16, F32};
    // A norm that most steps exceed, and one that none does.
    let (small, large) = (Some(0.01), Some(100.0));
    let cases = [
        (Adagrad, Adagrad, None, F32),
        (Sgd, RowwiseAdagrad, None, F32),
        (Adam, Sgd, None, F32),
        (Adam, Adam, small, F32),
        (Adagrad, Adagrad, small, F32),
        (Sgd, RowwiseAdagrad, small, F32),
        (Sgd, Sgd, large, F32),
        (Adam, RowwiseAdagrad, None, F16),
        (Adam, Adagrad, None, F16),
        (Adam, Sgd, small, F16),
    ];
    cases
        .into_iter()
        .map(|(dense, embeddings, max_gradient_norm, precision)| {
            let mut graph = Graph::new();
            let x = embedding(&mut graph, "embedding", &[40, 5], 7, true);
            let h = Linear::new(5, Activation::Sigmoid).add(&mut graph, "hidden", x);
            finish(&mut graph, h);
            graph.set_optimizers(dense, embeddings);
            graph.set_embedding_precision(precision);
            let stored = if precision == F16 { ", as halves" } else { "" };
            let clipped = max_gradient_norm.map_or_else(String::new, |norm| format!(", norm {norm}"));
            let name = format!("{}, rows {}{stored}{clipped}", dense.name(), embeddings.name());
            SmallGraph { name, graph, constant: None, max_gradient_norm }
        })
        .collect()
}
