//! The trials of a search as a table: what was drawn, and what came of it.

use super::Part;
use crate::report::table::{MISSING, Mark, Marked};
use crate::train::comparison::{Searched, SweepMethod, Trial, TrialState};
use crate::train::pruning::PruningRule;

/// A line for each trial, in order.
pub(super) fn part(search: &Searched) -> Part {
    let heads = std::iter::once("trial".to_owned()).chain(search.heads.iter().cloned());
    let heads = heads.chain(["valid AUC", "best epoch", "state"].map(str::to_owned)).collect();
    let finished = |trial: &Trial| trial.valid_auc.filter(|_| trial.state == TrialState::Finished);
    let best = search.trials.iter().filter_map(finished).reduce(f64::max);
    let line = |trial: &Trial| {
        let values = trial.settings.iter().map(|(_, value)| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        });
        let mark = if best.is_some() && finished(trial) == best { Mark::Best } else { Mark::None };
        let auc = trial.valid_auc.map_or_else(|| MISSING.to_owned(), |auc| format!("{auc:.4}"));
        let epoch = trial.best_epoch.map_or_else(String::new, |epoch| epoch.to_string());
        let state = match &trial.state {
            TrialState::Pruned(pruned) => format!("pruned {pruned}"),
            state => state.word().to_owned(),
        };
        let text = std::iter::once(trial.number.to_string()).chain(values).map(Marked::from);
        text.chain([Marked { text: auc, mark }, epoch.into(), state.into()]).collect()
    };
    Part { title: "Trials".to_owned(), heads, lines: search.trials.iter().map(line).collect() }
}

/// How the trials came to be.
pub(super) fn note(search: &Searched) -> String {
    let drawn = match search.method {
        SweepMethod::Tpe => "by a tree-structured Parzen estimator of the validation AUC",
        SweepMethod::Random | SweepMethod::Grid => "at random",
    };
    let pruned = match &search.pruning {
        Some(PruningRule::Median { .. }) => {
            " A trial is pruned where its best validation AUC so far is below the median of the others' by then: it has no \
             result, and is not chosen."
        }
        Some(PruningRule::Halving { .. }) => {
            " A trial is pruned at a rung where its best validation AUC so far is not among the best of those that came there: \
             it has no result, and is not chosen."
        }
        None => "",
    };
    format!(
        "Trials are drawn one after another {drawn}; each is one run, with the weights of its best validation epoch.{pruned}"
    )
}
