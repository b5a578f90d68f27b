//! How a search went: the AUC of its trials in order.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::super::chart::{Axis, Figure, Key, Line, LineChart, Mark, Point, number};
use crate::train::comparison::TRIALS;

/// What a line of `trials.jsonl` says of a trial.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Trial {
    trial: Option<u32>,
    state: Option<String>,
    valid_auc: Option<f64>,
}

/// The best validation AUC by trial, and each trial's own; nothing where the folder is not a search's.
pub(super) fn trials_figure(folder: &Path) -> Option<Figure> {
    let text = fs::read_to_string(folder.join(TRIALS)).ok()?;
    let trials = text.lines().filter_map(|line| serde_json::from_str::<Trial>(line).ok());
    let trials: Vec<(u32, String, f64)> =
        trials.filter_map(|trial| Some((trial.trial?, trial.state.unwrap_or_default(), trial.valid_auc?))).collect();
    let last = trials.iter().map(|(trial, ..)| *trial).max()?;
    let point = |trial: u32, auc: f64, what: &str| {
        let about = format!("trial {trial}: {what} {}", number(auc));
        Point { x: trial.into(), y: auc, spread: None, about }
    };
    let (mut own, mut best) = (Vec::new(), Vec::new());
    let mut top: Option<f64> = None;
    for (trial, state, auc) in &trials {
        own.push(point(*trial, *auc, state));
        if state == "finished" {
            top = Some(top.map_or(*auc, |top| top.max(*auc)));
        }
        best.extend(top.map(|top| point(*trial, top, "best so far")));
    }
    let lines = vec![
        Line { name: "the trial's own".to_owned(), mark: Mark::Of(1), points: own },
        Line { name: "best so far".to_owned(), mark: Mark::Of(0), points: best },
    ];
    let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.y);
    let (x, y) = (Axis::counted("trial", 1, last.max(2).into()), Axis::around("AUC", values()));
    let legend = lines.iter().map(|line| (Key::Line(line.mark), line.name.clone())).collect();
    let title = "Best validation AUC by trial".to_owned();
    let picture = LineChart { about: title.clone(), x, y, lines, marked: None, diagonal: false }.draw();
    let caption =
        "The validation AUC of each trial in the order in which they were drawn (of one that was pruned, what it had \
                   reached by then), and the best of those that are finished."
            .to_owned();
    Some(Figure { title, picture, legend, caption, wide: false })
}
