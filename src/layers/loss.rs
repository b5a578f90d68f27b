//! Terms of the training loss.

use crate::graph::{Graph, LossTerm, TensorId};
use crate::ops::{LogitLoss, LossColumn, LossTarget};

/// Binary cross entropy of the logit [B, 1] with the label, as term `name` (equation 8 of MI-DPG, both halves).
pub fn cross_entropy(graph: &mut Graph, name: &str, logits: TensorId) {
    let first_column = graph.reserve_loss_columns(1);
    let columns = vec![LossColumn { target: LossTarget::Label, weight: 1.0 }];
    graph.add(name, LogitLoss { columns, first_column }, &[logits]);
    graph.losses.push(LossTerm { name: name.to_owned(), coefficient: 1.0, columns: vec![(first_column, 1.0)] });
}

/// L_mi = Σ_l weight · mean[softplus(−t⁺) + softplus(t⁻)] over the discriminators' scores t = [t⁺, t⁻] [B, 2]
/// (equation 6), times `coefficient`, as term `name`.
pub fn mutual_information(graph: &mut Graph, name: &str, scores: &[TensorId], weight: f64, coefficient: f64) {
    let mut term = LossTerm { name: name.to_owned(), coefficient, columns: Vec::new() };
    for (l, &t) in scores.iter().enumerate() {
        let first_column = graph.reserve_loss_columns(2);
        let columns = [LossTarget::One, LossTarget::Zero]
            .map(|target| LossColumn { target, weight: coefficient * weight })
            .to_vec();
        graph.add(&format!("{name}.{l}"), LogitLoss { columns, first_column }, &[t]);
        term.columns.extend([(first_column, weight), (first_column + 1, weight)]);
    }
    graph.losses.push(term);
}
