//! The trials of a search, as they are kept and as tables show them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Map;
use toml::Value;

use super::{Settings, label_of};
use crate::train::Error;
use crate::train::comparison::{Comparison, Invalid, State, SweepMethod};
use crate::train::pruning::{Pruned, PruningRule};
use crate::train::run::folder::write_text;
use crate::train::run::result::RunResult;

/// The file of a search's trials: a line of JSON for each.
pub const TRIALS: &str = "trials.jsonl";

/// A trial of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// From 1.
    pub number: usize,
    /// What was drawn: dotted keys and values.
    pub settings: Vec<(String, Value)>,
    /// Its run's folder, relative to the search's.
    pub folder: String,
    /// How far it has come.
    pub state: TrialState,
    /// The validation AUC of its best weights, or until it was pruned.
    pub valid_auc: Option<f64>,
    /// The epoch of its best weights, where it is finished.
    pub best_epoch: Option<u32>,
}

/// How far a trial has come.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialState {
    /// It was drawn.
    New,
    /// Its run was stopped.
    Begun,
    /// It has a result.
    Finished,
    /// It was stopped for good.
    Pruned(Pruned),
    /// A loss or a weight was not a number.
    Diverged(String),
    /// It failed for another reason.
    Failed(String),
}

impl TrialState {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            TrialState::New => State::New.word(),
            TrialState::Begun => State::Begun.word(),
            TrialState::Finished => State::Finished.word(),
            TrialState::Pruned(_) => State::Pruned.word(),
            TrialState::Diverged(_) => "diverged",
            TrialState::Failed(_) => "failed",
        }
    }

    /// Whether no more will come of it.
    pub fn is_over(&self) -> bool {
        matches!(self, TrialState::Finished | TrialState::Pruned(_) | TrialState::Diverged(_))
    }

    fn reason(&self) -> Option<&str> {
        match self {
            TrialState::Diverged(reason) | TrialState::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A search as tables show it.
#[derive(Clone, Debug)]
pub struct Searched {
    /// How its trials are drawn.
    pub method: SweepMethod,
    /// How bad ones are stopped.
    pub pruning: Option<PruningRule>,
    /// How many there are to be.
    pub wanted: usize,
    /// After so many hours of training none begins.
    pub hours: Option<f64>,
    /// Names of the keys, in the order of each trial's settings.
    pub heads: Vec<String>,
    /// Those that were drawn, in order.
    pub trials: Vec<Trial>,
}

impl Searched {
    /// How many trials are not over yet, or not even drawn.
    pub fn missing(&self) -> usize {
        let unfinished = |trial: &&Trial| !trial.state.is_over() && !matches!(trial.state, TrialState::Failed(_));
        let undrawn = self.wanted.saturating_sub(self.trials.len());
        undrawn + self.trials.iter().filter(unfinished).count()
    }
}

/// A line of `trials.jsonl`. Without a number it is what was drawn and cannot be trained.
#[derive(Serialize, Deserialize)]
struct Line {
    trial: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    settings: Map<String, serde_json::Value>,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_auc: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best_epoch: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pruned: Option<Pruned>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What the lines of combinations that cannot be trained have for a state.
const UNTRAINABLE: &str = "cannot be trained";

impl Comparison {
    /// The trials that were drawn, in order.
    ///
    /// # Errors
    /// As [`Cell::state`](super::Cell::state).
    pub fn trials(&self, root: &Path) -> Result<Vec<Trial>, Error> {
        let mut trials = Vec::new();
        for (i, variant) in self.variants.iter().enumerate() {
            let number = i + 1;
            let Some(cell) = self.trial(number) else { continue };
            let run = cell.run(root);
            let (mut valid_auc, mut best_epoch) = (None, None);
            let failed = self.search().failed.get(&number);
            let state = match (cell.state(root)?, failed) {
                (State::Finished, _) => {
                    let result = RunResult::load(&run.result())?;
                    valid_auc = result.valid.and_then(|valid| valid.auc);
                    best_epoch = Some(result.best_epoch);
                    TrialState::Finished
                }
                (_, Some((true, reason))) => TrialState::Diverged(reason.clone()),
                (_, Some((false, reason))) => TrialState::Failed(reason.clone()),
                (State::Pruned, _) => match Pruned::load(&run.pruned())? {
                    Some(pruned) => {
                        valid_auc = Some(pruned.valid_auc);
                        TrialState::Pruned(pruned)
                    }
                    None => TrialState::Begun,
                },
                (State::Begun, _) => TrialState::Begun,
                (State::New, _) => TrialState::New,
            };
            let (settings, folder) = (variant.settings.clone(), cell.folder());
            trials.push(Trial { number, settings, folder, state, valid_auc, best_epoch });
        }
        Ok(trials)
    }

    /// The search as tables show it, if it is one.
    ///
    /// # Errors
    /// As [`Comparison::trials`].
    pub fn searched(&self, root: &Path) -> Result<Option<Searched>, Error> {
        let Some(search) = &self.search else { return Ok(None) };
        let (method, pruning, wanted) = (search.method, search.pruning.clone(), search.trials);
        Ok(Some(Searched {
            method,
            pruning,
            wanted,
            hours: search.hours,
            heads: search.heads(),
            trials: self.trials(root)?,
        }))
    }

    /// Writes `trials.jsonl`.
    ///
    /// # Errors
    /// When a trial's files cannot be read, or the file cannot be written.
    pub fn record_trials(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(TRIALS);
        let mut lines = Vec::new();
        for trial in self.trials(root)? {
            let pruned = match &trial.state {
                TrialState::Pruned(pruned) => Some(pruned.clone()),
                _ => None,
            };
            lines.push(Line {
                trial: Some(trial.number),
                folder: Some(trial.folder),
                settings: to_json(&trial.settings, &path)?,
                state: trial.state.word().to_owned(),
                valid_auc: trial.valid_auc,
                best_epoch: trial.best_epoch,
                pruned,
                reason: trial.state.reason().map(str::to_owned),
            });
        }
        for (settings, Invalid { reason, .. }) in self.search().untrainable.iter().zip(&self.skipped) {
            lines.push(Line {
                trial: None,
                folder: None,
                settings: to_json(settings, &path)?,
                state: UNTRAINABLE.to_owned(),
                valid_auc: None,
                best_epoch: None,
                pruned: None,
                reason: Some(reason.clone()),
            });
        }
        let mut text = String::new();
        for line in lines {
            text += &serde_json::to_string(&line).map_err(|error| Error::content(&path, error.to_string()))?;
            text.push('\n');
        }
        write_text(&path, &text)
    }

    /// Reads which trials were drawn, from the `trials.jsonl` of `root`, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another space.
    pub fn read_trials(&mut self, root: &Path, locate: &dyn Fn(&str) -> String) -> Result<(), Error> {
        let path = root.join(TRIALS);
        if !path.is_file() {
            return Ok(());
        }
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path, "reading"))?;
        for (place, line) in text.lines().enumerate() {
            let fault = |reason: String| {
                Error::content(&path, format!("line {}: {reason}; give another --out to begin anew", place + 1))
            };
            let line: Line = serde_json::from_str(line).map_err(|error| fault(error.to_string()))?;
            let mut settings = from_json(&line.settings).map_err(|error| fault(error.to_string()))?;
            settings.sort_by_key(|(key, _)| self.search().keys().position(|own| own == key));
            let words = self.search().words(&settings);
            if self.search().space.point(&settings).is_none() {
                return Err(fault(format!("{words} is not in [sweep.space], which must be as it was")));
            }
            let reason = line.reason.unwrap_or_default();
            let Some(number) = line.trial else {
                self.skipped.push(Invalid { label: words, reason });
                if let Some(search) = &mut self.search {
                    search.untrainable.push(settings);
                }
                continue;
            };
            if number != self.variants.len() + 1 {
                return Err(fault(format!("trial {number} is not the next one")));
            }
            // What failed for another reason is tried again.
            if line.state == TrialState::Diverged(String::new()).word() {
                self.note_failure(number, true, &reason);
            }
            let variant = self.variant_of(&settings, Some(label_of(number)), locate)?;
            self.variants.push(variant);
        }
        Ok(())
    }
}

fn to_json(settings: &[(String, Value)], path: &Path) -> Result<Map<String, serde_json::Value>, Error> {
    let pair = |(key, value): &(String, Value)| Ok((key.clone(), serde_json::to_value(value)?));
    let pairs: Result<_, serde_json::Error> = settings.iter().map(pair).collect();
    pairs.map_err(|error| Error::content(path, error.to_string()))
}

fn from_json(settings: &Map<String, serde_json::Value>) -> Result<Settings, toml::ser::Error> {
    settings.iter().map(|(key, value)| Ok((key.clone(), Value::try_from(value)?))).collect()
}
