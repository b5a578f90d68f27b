//! A sweep that draws its combinations: its *trials*, one after another, each drawn in the light of those before it.
//!
//! `trials.jsonl` says what was drawn. How far each trial has come its run's folder says, but for one that diverged, which is
//! written down with its reason. With both a search that was stopped goes on to the same trials.

mod options;
mod sampler;
mod space;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use self::sampler::{Came, Draw, Seen, estimated, uniform};
use self::space::Space;
use super::sections::Entry;
use super::sweep::{SweepMethod, model_of};
use super::variant::{Shared, Variant};
use super::{Cell, Comparison, Invalid};
use crate::config::{ConfigError, set_argument};
use crate::train::Error;
use crate::train::pruning::{OtherRun, Pruning, PruningRule, curve};
use crate::train::run::epoch::EpochRecord;
use crate::train::run::result::TrainingTime;

pub use trial::{Searched, TRIALS, Trial, TrialState};

/// How a sweep draws its combinations.
#[derive(Clone, Debug)]
pub struct Search {
    /// At random, or by the estimator.
    pub method: SweepMethod,
    /// How many trials there are to be.
    pub trials: usize,
    /// After so many hours of training in all no trial begins.
    pub hours: Option<f64>,
    /// How bad runs are stopped.
    pub pruning: Option<PruningRule>,
    /// Trials before the estimator begins.
    startup_trials: usize,
    sampler_seed: u64,
    /// The seed of all runs.
    seed: u64,
    space: Space,
    /// `model.name`, where it is not searched.
    model: Option<String>,
    /// The file without the section, and what was set on the command line.
    base: Table,
    sets: Vec<String>,
    /// Trials of which nothing came, by their numbers: whether a loss was not a number, and why it ended.
    failed: BTreeMap<usize, (bool, String)>,
    /// What was drawn and cannot be trained.
    untrainable: Vec<Settings>,
}

/// Dotted keys and values.
pub(super) type Settings = Vec<(String, Value)>;

impl Search {
    /// The keys that are searched.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.space.keys()
    }

    /// Their names in tables.
    pub fn heads(&self) -> Vec<String> {
        self.space.keys.iter().map(|(_, short)| short.clone()).collect()
    }

    /// The models that are searched.
    pub(super) fn models(&self) -> Vec<&str> {
        let own: Vec<&str> = self.space.values("model.name").filter_map(Value::as_str).collect();
        if own.is_empty() { self.model.as_deref().into_iter().collect() } else { own }
    }

    /// The seed of all runs.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether each trial may have data of its own, or another encoding of it.
    pub fn searches_data(&self) -> bool {
        self.keys().any(|key| key.starts_with("data.") || ["train.from", "train.refit_numbers"].contains(&key))
    }

    /// What all trials begin with.
    pub(super) fn begin_with(&mut self, base: &Table, sets: &[String]) {
        (self.base, self.sets) = (base.clone(), sets.to_vec());
    }

    /// The entry of a trial; its label is `label`, else one of its values.
    fn entry(&self, settings: &[(String, Value)], label: Option<String>) -> Entry {
        let name = model_of(settings, self.model.as_deref()).unwrap_or_default().to_owned();
        let label = label.unwrap_or_else(|| self.words(settings));
        Entry { name, label, seeds: vec![self.seed], individual: false, settings: settings.to_vec() }
    }

    /// Settings in short.
    fn words(&self, settings: &[(String, Value)]) -> String {
        let short =
            |key: &str| self.space.keys.iter().find(|(own, _)| own == key).map_or(key.to_owned(), |own| own.1.clone());
        settings.iter().map(|(key, value)| set_argument(&short(key), value)).collect::<Vec<_>>().join(" ")
    }

    fn draw(&self, draw: Draw, seen: &[Seen]) -> Settings {
        /// Draws of the estimator, before it is left to chance to find what was not tried yet.
        const ESTIMATED: usize = 50;
        let by_estimate =
            self.method == SweepMethod::Tpe && draw.trial > self.startup_trials && draw.attempt < ESTIMATED;
        let point = if by_estimate { estimated(&self.space, draw, seen) } else { uniform(&self.space, draw) };
        self.space.settings(&point)
    }
}

/// The label of a trial.
fn label_of(number: usize) -> String {
    format!("trial {number}")
}

impl Comparison {
    fn search(&self) -> &Search {
        self.search.as_ref().expect("only a search has trials")
    }

    /// A variant of the space with these settings.
    fn variant_of(
        &self,
        settings: &[(String, Value)],
        label: Option<String>,
        locate: &dyn Fn(&str) -> String,
    ) -> Result<Variant, Error> {
        let search = self.search();
        let names = search.models();
        let shared = Shared { document: &search.base, sets: &search.sets, names: &names, locate, file: &self.file };
        shared.variant(&search.entry(settings, label))
    }

    /// Of a search the variants at the ends of each range, and at each choice, in turn: what is wrong with one of them is
    /// most likely a slip in the space.
    pub fn edges(&self, locate: &dyn Fn(&str) -> String) -> Vec<Result<Variant, Error>> {
        let search = self.search();
        let first = search.draw(Draw { seed: search.sampler_seed, trial: 1, attempt: 0 }, &[]);
        let edges = search.space.edges(&first);
        edges.iter().map(|settings| self.variant_of(settings, None, locate)).collect()
    }

    /// A trial for people: its number, and what was drawn.
    pub fn described(&self, number: usize) -> String {
        let settings = self.variants.get(number.wrapping_sub(1)).map_or(&[][..], |variant| &variant.settings);
        format!("{} of {}: {}", label_of(number), self.search().trials.max(number), self.search().words(settings))
    }

    /// The cell of a trial that was drawn, by its number.
    pub fn trial(&self, number: usize) -> Option<Cell<'_>> {
        let variant = self.variants.get(number.checked_sub(1)?)?;
        Some(Cell { variant, seed: variant.seeds[0] })
    }

    /// Draws the next trial, of which the folder `root` knows the ones before: a combination that was not drawn yet. `check`
    /// says what cannot be trained; with `skip_invalid` another is drawn for it. `None` when there is no other one.
    ///
    /// # Errors
    /// When what was drawn cannot be trained, and is not to be left out; when the folder cannot be read.
    pub fn draw(
        &mut self,
        root: &Path,
        locate: &dyn Fn(&str) -> String,
        check: &mut dyn FnMut(&mut Variant) -> Result<(), String>,
    ) -> Result<Option<usize>, Error> {
        const IN_VAIN: usize = 100;
        /// Where so many draws were all drawn before, there is hardly anything left.
        const ATTEMPTS: usize = 100_000;
        let trial = self.variants.len() + 1;
        let mut seen = self.seen(root)?;
        let mut refused = 0;
        for attempt in 0..ATTEMPTS {
            let search = self.search();
            let known = |settings: &Settings| {
                let mut drawn = self.variants.iter().map(|variant| &variant.settings);
                drawn.any(|own| own == settings) || search.untrainable.contains(settings)
            };
            let tried = self.variants.len() + search.untrainable.len();
            if search.space.count().is_some_and(|count| tried as u64 >= count) {
                return Ok(None);
            }
            let settings = search.draw(Draw { seed: search.sampler_seed, trial, attempt }, &seen);
            if known(&settings) {
                continue;
            }
            let words = search.words(&settings);
            let variant = self.variant_of(&settings, Some(label_of(trial)), locate);
            let reason = match variant {
                Ok(mut variant) => match check(&mut variant) {
                    Ok(()) => {
                        self.variants.push(variant);
                        return Ok(Some(trial));
                    }
                    Err(reason) => reason,
                },
                Err(error) => error.to_string(),
            };
            refused += 1;
            if !self.skip_invalid || refused == IN_VAIN {
                let what = if refused == IN_VAIN {
                    format!("{IN_VAIN} draws in a row cannot be trained, the last ")
                } else {
                    String::new()
                };
                let hint =
                    if self.skip_invalid { "" } else { "\nto draw another in its place: sweep.skip_invalid = true" };
                let message = format!("{what}{} ({words}) cannot be trained: {reason}{hint}", label_of(trial));
                return Err(
                    ConfigError::Other { origin: self.file.clone(), key: "sweep.space".to_owned(), message }.into()
                );
            }
            seen.extend(search.space.point(&settings).map(|point| Seen { point, came: Came::Refused }));
            self.skipped.push(Invalid { label: words, reason });
            if let Some(search) = &mut self.search {
                search.untrainable.push(settings);
            }
        }
        Ok(None)
    }

    /// What the trials so far came to, for the estimator, and then what cannot be trained.
    fn seen(&self, root: &Path) -> Result<Vec<Seen>, Error> {
        let of = |trial: Trial| {
            let point = self.search().space.point(&trial.settings)?;
            let came = match (&trial.state, trial.valid_auc) {
                (TrialState::Finished, Some(auc)) => Came::Finished(auc),
                (TrialState::Pruned(pruned), _) => Came::Pruned { epochs: pruned.epochs, auc: pruned.valid_auc },
                _ => Came::ToNothing,
            };
            Some(Seen { point, came })
        };
        let trials = self.trials(root)?.into_iter().filter_map(of);
        let search = self.search();
        let refused = search.untrainable.iter().filter_map(|settings| search.space.point(settings));
        Ok(trials.chain(refused.map(|point| Seen { point, came: Came::Refused })).collect())
    }

    /// What the run of a trial is judged by: the rule, and the curves of the trials before it. `None` without a rule.
    ///
    /// # Errors
    /// When their files cannot be read.
    pub fn pruning_of(&self, number: usize, root: &Path) -> Result<Option<Pruning>, Error> {
        let Some(rule) = self.search().pruning.clone() else { return Ok(None) };
        let mut others = Vec::new();
        for trial in self.trials(root)?.into_iter().filter(|trial| trial.number < number) {
            let finished = trial.state == TrialState::Finished;
            if let (true, Some(cell)) =
                (finished || matches!(trial.state, TrialState::Pruned(_)), self.trial(trial.number))
            {
                others.push(OtherRun { curve: curve(&EpochRecord::read(&cell.run(root).metrics())?), finished });
            }
        }
        Ok(Some(Pruning { rule, others }))
    }

    /// Notes that nothing came of a trial: it diverged, which it would do again, or failed for a reason that may go away.
    pub fn note_failure(&mut self, number: usize, diverged: bool, reason: &str) {
        if let Some(search) = &mut self.search {
            search.failed.insert(number, (diverged, reason.to_owned()));
        }
    }

    /// Whether the trials in `root` have trained for `sweep.hours`.
    ///
    /// # Errors
    /// When their files cannot be read.
    pub fn is_out_of_time(&self, root: &Path) -> Result<bool, Error> {
        let Some(hours) = self.search().hours else { return Ok(false) };
        let mut seconds = 0.0;
        for cell in self.cells() {
            seconds += TrainingTime::of(&cell.run(root))?.seconds.unwrap_or(0.0);
        }
        Ok(seconds >= 3600.0 * hours)
    }
}

#[cfg(test)]
mod tests;
