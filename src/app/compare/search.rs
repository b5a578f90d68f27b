//! Training the trials of a search, one after another.

use super::checks::{check_same_data, check_variant, open_of};
use super::estimate::Estimate;
use super::{CompareEvent, CompareObserver, Experiment, Runner, locate_start};
use crate::app::Event as AppEvent;
use crate::app::open::{absolute, tell_warnings};
use crate::config::{EarlyStopMetric, TrainOptions};
use crate::data::{Dataset, Encoder};
use crate::report::comparison::write_files;
use crate::train::comparison::{CellEnding, State, Variant, train_cell};
use crate::train::model::build;
use crate::train::run::folder::write_json;
use crate::train::{Error, check_rows};

/// What all trials have of their data: nothing, where that is searched too.
pub(super) struct KnownData(Option<Encoder>);

/// That the validation rows have what trials are chosen by.
fn check_choice(variant: &Variant, data: &Dataset) -> Result<(), Error> {
    let by_auc = TrainOptions { early_stop_metric: EarlyStopMetric::Auc, ..variant.config.train.clone() };
    check_rows(&by_auc, &data.train, &data.valid)
}

impl Experiment {
    /// Opens the data, if it is the same for all trials, and builds the models at the edges of the space: what cannot be
    /// trained there is known before anything runs.
    ///
    /// # Errors
    /// When the data is at fault or not that of finished trials; when a model does not fit, unless such are left out.
    pub(super) fn check_space(&self, observer: &mut CompareObserver<'_>) -> Result<KnownData, Error> {
        let observer = &mut |event: AppEvent<'_>| observer(CompareEvent::App(event));
        let mut first_fault = None;
        let mut edges = Vec::new();
        for edge in self.comparison.edges(&|path| absolute(path, &self.bases)) {
            match edge {
                Ok(mut variant) => {
                    locate_start(&mut variant, &self.runs);
                    edges.push(variant);
                }
                Err(error) => first_fault = first_fault.or(Some(error)),
            }
        }
        let (first, known) = match (edges.first(), first_fault) {
            (Some(first), _) => (first, &self.comparison),
            (None, Some(error)) => return Err(error),
            (None, None) => return Ok(KnownData(None)),
        };
        let mut told: Vec<(&str, &[String])> = Vec::new();
        for variant in edges.iter().filter(|variant| !variant.left_out.is_empty()) {
            let news = (variant.config.model_name(), &variant.left_out[..]);
            if !told.contains(&news) {
                told.push(news);
                let (options, keys): (Vec<&String>, Vec<&String>) =
                    news.1.iter().partition(|key| key.starts_with("model."));
                let options: Vec<String> = options.iter().map(|key| key["model.".len()..].to_owned()).collect();
                let keys: Vec<String> = keys.into_iter().cloned().collect();
                if !options.is_empty() {
                    observer(AppEvent::OptionsLeftOut { model: news.0, options: &options });
                }
                if !keys.is_empty() {
                    observer(AppEvent::KeysLeftOut(&keys));
                }
            }
        }
        if known.search.as_ref().is_some_and(|search| search.searches_data()) {
            return Ok(KnownData(None));
        }
        let data = open_of(first, &self.bases, observer)?;
        tell_warnings(&data, observer);
        check_variant(known.kind, first, &data)
            .or_else(|error| if known.skip_invalid { Ok(()) } else { Err(error) })?;
        check_choice(first, &data)?;
        for variant in edges.iter().filter(|_| !known.skip_invalid) {
            check_variant(known.kind, variant, &data)?;
        }
        // All others were trained on what the first was.
        for cell in known.cells() {
            if cell.state(&self.root)? == State::Finished {
                check_same_data(known, cell.variant, &self.root, &data)?;
                break;
            }
        }
        Ok(KnownData(Some(data.encoder)))
    }

    /// Trains all trials that are not over, drawing those that are not there; says in which one it was interrupted, if it
    /// was.
    pub(super) fn search(
        &mut self,
        known: &KnownData,
        runner: &Runner,
        failed: &mut Vec<String>,
        observer: &mut CompareObserver<'_>,
    ) -> Result<Option<String>, Error> {
        let wanted = self.comparison.search.as_ref().map_or(0, |search| search.trials);
        let over: Vec<bool> = self.comparison.trials(&self.root)?.iter().map(|trial| trial.state.is_over()).collect();
        let mut estimate = Estimate::new(&self.comparison, &self.root)?;
        for number in 1.. {
            if over.get(number - 1) == Some(&true) {
                continue;
            }
            let is_new = number > over.len();
            if is_new && (number > wanted || self.comparison.is_out_of_time(&self.root)?) {
                break;
            }
            if runner.interrupt.is_set() {
                return Ok(Some(format!("trial {number} of {wanted}")));
            }
            if is_new {
                let before = self.comparison.skipped.len();
                let drawn = self.draw(known, observer);
                self.comparison.skipped[before..].iter().for_each(|skipped| observer(CompareEvent::Skipped(skipped)));
                // What was left out on the way is not drawn again.
                self.comparison.record_trials(&self.root)?;
                if drawn?.is_none() {
                    break;
                }
            }
            let Some(cell) = self.comparison.trial(number) else { break };
            let position = self.comparison.described(number);
            // How long each takes does not depend on its label.
            let left = over.iter().skip(number - 1).filter(|over| !**over).count().max(1)
                + wanted.saturating_sub(number.max(over.len()));
            estimate.begin(&vec![""; left]);
            observer(CompareEvent::RunStart { position: &position, seconds_left: estimate.seconds_left() });
            let mut arguments = vec!["--device".to_owned(), runner.device.to_string()];
            let job = cell.job(&self.root, cell.state(&self.root)?);
            if let Some(pruning) = self.comparison.pruning_of(number, &self.root)? {
                let path = cell.pruning_file(&self.root);
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(Error::file(folder, "making the folder"))?;
                }
                write_json(&path, &pruning)?;
                arguments.extend(["--prune".to_owned(), path.to_string_lossy().into_owned()]);
            }
            let mut said = |line: &str| {
                observer(CompareEvent::RunSaid { position: &position, line, seconds_left: estimate.seconds_left() });
            };
            let ending = train_cell(&job, &runner.program, &arguments, &runner.interrupt, &mut said);
            observer(CompareEvent::RunEnd);
            match ending? {
                CellEnding::Interrupted => return Ok(Some(position)),
                CellEnding::Finished | CellEnding::Pruned => estimate.end(""),
                CellEnding::Diverged(reason) => {
                    observer(CompareEvent::RunFailed(&reason));
                    self.comparison.note_failure(number, true, &reason);
                }
                CellEnding::Failed(reason) => {
                    observer(CompareEvent::RunFailed(&reason));
                    failed.push(format!("{position}: {reason} (all that it said: {})", job.log.display()));
                    self.comparison.note_failure(number, false, &reason);
                }
            }
            self.comparison.record_trials(&self.root)?;
            write_files(&self.comparison, &self.root)?;
        }
        Ok(None)
    }

    /// Draws a trial that can be trained.
    fn draw(&mut self, known: &KnownData, observer: &mut CompareObserver<'_>) -> Result<Option<usize>, Error> {
        let Self { comparison, bases, runs, root, .. } = self;
        let observer = &mut |event: AppEvent<'_>| observer(CompareEvent::App(event));
        let kind = comparison.kind;
        comparison.draw(root, &|path| absolute(path, bases), &mut |variant| {
            locate_start(variant, runs);
            let checked = match &known.0 {
                Some(encoder) => build(&mut variant.config.clone(), encoder).map(drop),
                None => open_of(variant, bases, observer).and_then(|data| {
                    check_variant(kind, variant, &data)?;
                    check_choice(variant, &data)
                }),
            };
            checked.map_err(|error| error.to_string())
        })
    }
}
