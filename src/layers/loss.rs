//! Terms of the training loss.

use crate::graph::{Graph, LossTerm, TensorId, WarmUp};
use crate::ops::{Label, LogitLoss, Orthogonal, Orthogonality};

/// Binary cross entropy of the logit [B, 1] with the label, as term `name` (equation 8 of MI-DPG, both halves).
pub fn cross_entropy(graph: &mut Graph, name: &str, logits: TensorId) {
    cross_entropy_with(graph, name, logits, Label::Main);
}

/// The same with another label.
pub fn cross_entropy_with(graph: &mut Graph, name: &str, logits: TensorId, label: Label) {
    let column = graph.reserve_loss_columns(1);
    graph.add(name, LogitLoss { label, column }, &[logits]);
    graph.losses.push(LossTerm {
        name: name.to_owned(),
        coefficient: 1.0,
        columns: vec![(column, 1.0)],
        warm_up: WarmUp::default(),
    });
}

/// The cosines of every two of the `vectors` in r [B, vectors·W], as term `name` with coefficient `lambda` (equation 9 of
/// OptMSM).
pub fn orthogonality(graph: &mut Graph, name: &str, r: TensorId, vectors: usize, form: Orthogonal, lambda: f64) {
    let first_column = graph.reserve_loss_columns(1);
    graph.add(name, Orthogonality { vectors, form, weight: lambda, first_column }, &[r]);
    graph.losses.push(LossTerm {
        name: name.to_owned(),
        coefficient: lambda,
        columns: vec![(first_column, 1.0)],
        warm_up: WarmUp::default(),
    });
}
