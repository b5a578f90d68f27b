//! The training loop: epochs of chunks, validation, early stopping, checkpoints.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use crate::config::{ConfigError, EarlyStopMetric, TrainOptions};
use crate::data::{Dataset, Encoder, Rows};
use crate::models::CROSS_ENTROPY;
use crate::ops::ModelState;
use crate::plan::{Executor, RowSource, StepChunk};
use crate::train::Error;
use crate::train::batches::{Batches, When};
use crate::train::evaluation::metrics::{Metrics, Reliability, evaluate, reliability};
use crate::train::evaluation::predict::{predict, scenario_names, scored};
use crate::train::model::{BuiltModel, source};
use crate::train::order::epoch_rows;
use crate::train::pruning::{self, CurvePoint, Pruned, Pruning};
use crate::train::run::checkpoint::{Position, save_checkpoint, save_model};
use crate::train::run::epoch::EpochRecord;
use crate::train::run::folder::{RunFolder, write_json, write_text};
use crate::train::run::tensorboard;
use crate::train::schedule::rate_factor;

/// What the loop tells whoever watches it.
#[derive(Debug)]
pub enum LoopEvent<'a> {
    /// An epoch begins, perhaps not at its first step.
    EpochStart {
        /// From 1.
        epoch: u32,
        /// How many there are to be.
        epochs: u32,
        /// Steps in the epoch.
        steps: u64,
        /// Steps of it that are done.
        done: u64,
    },
    /// Steps were given to the device.
    Steps {
        /// Steps of the epoch that are done.
        done: u64,
        /// The mean cross entropy of the epoch so far, where it is known.
        loss: Option<f64>,
    },
    /// An epoch was validated before its end (`train.eval_steps`).
    Evaluated(&'a EpochRecord),
    /// An epoch ended and was validated.
    EpochEnd(&'a EpochRecord),
    /// The run is stopped, as others of its search did better.
    Pruned(&'a Pruned),
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The validation metric had stopped improving.
    StoppedEarly,
    /// Other runs of its search did better; where it was stopped is in `pruned.json`.
    Pruned,
    /// It was asked to stop; a checkpoint was written.
    Interrupted,
}

/// A model in training: epochs, validation, checkpoints, in a folder that is there.
pub struct TrainingLoop<'a> {
    options: &'a TrainOptions,
    name: &'a str,
    model: &'a BuiltModel,
    executor: &'a mut dyn Executor,
    data: &'a Dataset,
    folder: &'a RunFolder,
    position: Position,
    /// What each training row's loss is multiplied by; none where that is 1.
    weights: Arc<[f32]>,
    /// Training rows of an epoch.
    epoch_rows: usize,
    /// When training began or was last evaluated, and how many steps had been taken then.
    since: (Instant, u64),
    /// What the run is judged by, where it is one of a search.
    pruning: Option<&'a Pruning>,
    /// What judging it needs to know of it.
    curve: Vec<CurvePoint>,
    /// Where it was pruned.
    pruned: Option<Pruned>,
}

/// How a part of an epoch ended.
enum EpochEnding {
    /// With its last step.
    Whole,
    /// It was asked to stop.
    Interrupted,
    /// An evaluation within it ended the run.
    Ended,
}

/// Metrics of a model on rows, from one pass on the device.
///
/// # Errors
/// When the device fails.
pub fn score(
    executor: &mut dyn Executor,
    model: &BuiltModel,
    rows: &Rows,
    encoder: &Encoder,
) -> Result<Metrics, Error> {
    let predictions = predict(executor, model, rows, encoder)?;
    let names = scenario_names(encoder, rows.scenarios());
    Ok(evaluate(&scored(rows, &predictions), &names))
}

/// [`score`], and how often what the model predicted came true.
///
/// # Errors
/// As [`score`].
pub fn score_and_calibrate(
    executor: &mut dyn Executor,
    model: &BuiltModel,
    rows: &Rows,
    encoder: &Encoder,
) -> Result<(Metrics, Reliability), Error> {
    let predictions = predict(executor, model, rows, encoder)?;
    let (scored, names) = (scored(rows, &predictions), scenario_names(encoder, rows.scenarios()));
    Ok((evaluate(&scored, &names), reliability(&scored, &names)))
}

/// That there is something to learn from the training rows, and that the metric to stop on can be had from the validation
/// rows: an AUC needs both classes. Rows of weight 0 are as good as none.
///
/// # Errors
/// When it is not so.
pub fn check_rows(options: &TrainOptions, train: &Rows, valid: &Rows) -> Result<(), Error> {
    if train.weights().is_some_and(|weights| !weights.is_empty() && weights.iter().all(|&weight| weight == 0.0)) {
        let found = format!("0 in all {} of them", train.len());
        return Err(
            ConfigError::value("the train rows", "data.weight", "a weight above 0 in one at least", &found).into()
        );
    }
    let counts = |row: usize| valid.weights().is_none_or(|weights| weights[row] > 0.0);
    let labels: Vec<f32> = (0..valid.len()).filter(|&row| counts(row)).map(|row| valid.labels()[row]).collect();
    let positives = labels.iter().filter(|&&label| label > 0.5).count();
    let one_class = !valid.is_empty() && (positives == 0 || positives == labels.len());
    if one_class && options.early_stop_metric == EarlyStopMetric::Auc {
        let what = if positives == 0 { "no positive" } else { "no negative" };
        return Err(ConfigError::value(
            "the validation rows",
            "train.early_stop_metric",
            "\"logloss\", or a validation split with both classes (AUC needs both)",
            &format!("\"auc\" with {what} label among {} rows", labels.len()),
        )
        .into());
    }
    Ok(())
}

/// Weights over their mean, so that it does not matter in what unit they are.
fn relative_weights(weights: &[f32]) -> Arc<[f32]> {
    let mean = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / weights.len() as f64;
    weights.iter().map(|&weight| (f64::from(weight) / mean) as f32).collect()
}

impl<'a> TrainingLoop<'a> {
    /// From the first step. `name` is the model's, for checkpoints; `executor` has the model's state.
    pub fn new(
        options: &'a TrainOptions,
        name: &'a str,
        model: &'a BuiltModel,
        data: &'a Dataset,
        folder: &'a RunFolder,
        executor: &'a mut dyn Executor,
    ) -> Self {
        let weights = relative_weights(data.train.weights().unwrap_or_default());
        let epoch_rows = epoch_rows(data.train.labels(), options.negative_rate);
        let (position, since) = (Position::default(), (Instant::now(), 0));
        let (pruning, curve, pruned) = (None, Vec::new(), None);
        Self {
            options,
            name,
            model,
            executor,
            data,
            folder,
            position,
            weights,
            epoch_rows,
            since,
            pruning,
            curve,
            pruned,
        }
    }

    /// To be stopped where other runs of its search did better.
    pub fn pruned_by(self, pruning: Option<&'a Pruning>) -> Self {
        Self { pruning, ..self }
    }

    /// From where a checkpoint stands, whose state the executor has.
    pub fn from(self, position: Position) -> Self {
        Self { position, ..self }
    }

    /// Where training stands.
    pub fn into_position(self) -> Position {
        self.position
    }

    /// Trains until the last epoch, an early stop, until it is pruned, or until `stop` is set.
    ///
    /// # Errors
    /// When the device fails, a loss is not a number, or a file cannot be written.
    pub fn run(&mut self, stop: &AtomicBool, observer: &mut dyn FnMut(LoopEvent<'_>)) -> Result<Ending, Error> {
        check_rows(self.options, &self.data.train, &self.data.valid)?;
        self.keep_metrics()?;
        if self.position.total_steps == 0 {
            // So that there is a model whatever happens, and one to compare with when there are no epochs.
            let state = self.sound_state()?;
            self.write_model(&state)?;
        }
        // A resumed run may have been given more patience.
        self.position.finished = self.out_of_patience();
        let records = EpochRecord::read(&self.folder.metrics())?;
        self.curve = pruning::curve(&records);
        // It may have been stopped between an evaluation and what followed from it.
        if let Some(last) = records.last().filter(|last| last.steps == self.position.total_steps) {
            self.judge(last);
        }
        let resident = self
            .executor
            .load(&RowSource { weights: &self.weights, ..source(&self.data.train, &self.data.encoder) })?;
        self.since = (Instant::now(), self.position.total_steps);
        while self.goes_on() {
            match self.train_epoch(resident, stop, observer)? {
                EpochEnding::Whole => self.evaluate(true, observer)?,
                EpochEnding::Interrupted => {
                    let state = self.sound_state()?;
                    self.write_checkpoint(&state)?;
                    return Ok(Ending::Interrupted);
                }
                EpochEnding::Ended => {}
            }
        }
        if let Some(pruned) = &self.pruned {
            write_json(&self.folder.pruned(), pruned)?;
            observer(LoopEvent::Pruned(pruned));
            return Ok(Ending::Pruned);
        }
        let early = self.position.epoch < self.options.epochs;
        Ok(if early { Ending::StoppedEarly } else { Ending::Finished })
    }

    fn goes_on(&self) -> bool {
        self.position.epoch < self.options.epochs && !self.position.finished && self.pruned.is_none()
    }

    /// Prunes the run where it would go on after its last evaluation, and others did better by then.
    fn judge(&mut self, last: &EpochRecord) {
        let Some(pruning) = self.pruning.filter(|_| self.goes_on()) else { return };
        if let (Some(needed), Some(&(epochs, valid_auc))) = (pruning.ends(&self.curve), self.curve.last()) {
            let EpochRecord { epoch, unfinished, steps, .. } = *last;
            self.pruned = Some(Pruned { epoch, unfinished, steps, epochs, valid_auc, needed });
        }
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.epoch_rows as u64).div_ceil(u64::from(self.options.batch_size))
    }

    /// Steps of the whole run, if it does not stop early.
    fn run_steps(&self) -> u64 {
        self.steps_per_epoch() * u64::from(self.options.epochs)
    }

    /// The last step, exclusive, of the chunk that begins with step `first` of an epoch, which has `steps`: evaluations come
    /// between chunks.
    fn chunk_end(options: &TrainOptions, epoch_first: u64, first: u64, steps: u64, per_chunk: u64) -> u64 {
        let taken = epoch_first + first;
        let to_evaluation = match options.eval_steps {
            0 => u64::MAX,
            every => every - taken % every,
        };
        steps.min(first + per_chunk.min(to_evaluation))
    }

    /// Trains the rest of an epoch, or until the run ends within it.
    fn train_epoch(
        &mut self,
        resident: bool,
        stop: &AtomicBool,
        observer: &mut dyn FnMut(LoopEvent<'_>),
    ) -> Result<EpochEnding, Error> {
        let steps = self.steps_per_epoch();
        let epoch = self.position.epoch + 1;
        let epochs = self.options.epochs;
        observer(LoopEvent::EpochStart { epoch, epochs, steps, done: self.position.step });
        let first = self.position.step;
        let per_chunk = self.executor.steps_per_chunk() as u64;
        let when = When {
            epoch,
            epoch_first: self.position.total_steps - first,
            steps_before: self.position.steps_before,
            run_steps: self.run_steps(),
        };
        let weights = Arc::clone(&self.weights);
        let mut batches = Batches::new(self.data, self.model, self.options, weights, when, resident);
        let options = self.options;
        std::thread::scope(|scope| {
            // The next chunks are sorted and packed while the device computes this one.
            let (give, take) = mpsc::sync_channel::<StepChunk>(2);
            let (give_back, take_back) = mpsc::channel::<StepChunk>();
            scope.spawn(move || {
                let mut next = first;
                while next < steps {
                    let end = Self::chunk_end(options, when.epoch_first, next, steps, per_chunk);
                    let mut chunk = take_back.try_recv().unwrap_or_default();
                    batches.fill(next..end, &mut chunk);
                    if give.send(chunk).is_err() {
                        return;
                    }
                    next = end;
                }
            });
            for chunk in take {
                self.executor.train(&chunk)?;
                let count = chunk.uniforms.len() as u64;
                // The other end may have made its last chunk already.
                let _ = give_back.send(chunk);
                let before = self.position.total_steps;
                self.position.step += count;
                self.position.total_steps += count;
                self.note_losses(false)?;
                observer(LoopEvent::Steps { done: self.position.step, loss: self.mean_cross_entropy() });
                let within = self.position.step < steps;
                let evaluations = self.options.eval_steps;
                if within && evaluations > 0 && self.position.total_steps.is_multiple_of(evaluations) {
                    self.note_losses(true)?;
                    self.evaluate(false, observer)?;
                    if !self.goes_on() {
                        return Ok(EpochEnding::Ended);
                    }
                }
                if stop.load(Ordering::Relaxed) && within {
                    self.note_losses(true)?;
                    return Ok(EpochEnding::Interrupted);
                }
                let every = self.options.checkpoint_steps;
                if every > 0 && before / every != self.position.total_steps / every {
                    self.note_losses(true)?;
                    let state = self.sound_state()?;
                    self.write_checkpoint(&state)?;
                }
            }
            self.note_losses(true)?;
            Ok(EpochEnding::Whole)
        })
    }

    /// Scores the validation rows and writes what came of it, at the end of an epoch or within it.
    fn evaluate(&mut self, at_end: bool, observer: &mut dyn FnMut(LoopEvent<'_>)) -> Result<(), Error> {
        let (started, steps_before) = self.since;
        let train_seconds = started.elapsed().as_secs_f64();
        let rows = (self.position.total_steps - steps_before) * u64::from(self.options.batch_size);
        let rows = rows.min(self.epoch_rows as u64);
        let train = self.train_means();
        let validated = Instant::now();
        let valid = if self.data.valid.is_empty() {
            None
        } else {
            Some(score(self.executor, self.model, &self.data.valid, &self.data.encoder)?)
        };
        let valid_seconds = validated.elapsed().as_secs_f64();
        if let Some(logloss) = valid.as_ref().and_then(|metrics| metrics.logloss).filter(|value| !value.is_finite()) {
            return Err(self.not_finite("validation LogLoss".to_owned(), logloss, self.position.step));
        }
        let state = self.sound_state()?;
        let position = &mut self.position;
        let epoch = position.epoch + 1;
        if at_end {
            position.epoch = epoch;
            position.step = 0;
        }
        position.loss_sums.clear();
        let value = valid.as_ref().and_then(|metrics| match self.options.early_stop_metric {
            EarlyStopMetric::Auc => metrics.auc,
            EarlyStopMetric::Logloss => metrics.logloss,
        });
        let best = match (value, position.best, self.options.early_stop_metric) {
            (Some(value), Some(best), EarlyStopMetric::Auc) => value > best,
            (Some(value), Some(best), EarlyStopMetric::Logloss) => value < best,
            // The first epoch, or nothing to judge by: the newest weights are the best there are.
            _ => true,
        };
        if best {
            position.best = value;
            position.best_epoch = epoch;
            position.best_steps = position.total_steps;
            position.epochs_without_gain = 0;
        } else {
            position.epochs_without_gain += 1;
        }
        self.position.finished = self.out_of_patience();
        let run_steps = self.run_steps();
        let position = &self.position;
        let record = EpochRecord {
            epoch,
            steps: position.total_steps,
            unfinished: !at_end,
            epoch_steps: (!at_end).then(|| self.steps_per_epoch()),
            train,
            learning_rate: self.options.learning_rate
                * rate_factor(self.options, position.total_steps.saturating_sub(1), run_steps),
            best,
            train_seconds,
            train_rows_per_second: rows as f64 / train_seconds,
            valid_rows_per_second: valid.as_ref().map(|_| self.data.valid.len() as f64 / valid_seconds),
            valid,
        };
        if best {
            self.write_model(&state)?;
        }
        self.append_metrics(&record)?;
        tensorboard::append_epoch(&self.folder.events(), &record, self.position.best_epoch)?;
        self.write_checkpoint(&state)?;
        pruning::extend(&mut self.curve, &record);
        self.judge(&record);
        observer(if at_end { LoopEvent::EpochEnd(&record) } else { LoopEvent::Evaluated(&record) });
        self.since = (Instant::now(), self.position.total_steps);
        Ok(())
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.options.patience;
        patience > 0 && self.position.epochs_without_gain >= patience
    }

    fn note_losses(&mut self, wait: bool) -> Result<(), Error> {
        for losses in self.executor.losses(wait)? {
            let sums = &mut self.position.loss_sums;
            sums.resize(losses.terms.len() + 2, 0.0);
            for (sum, value) in sums.iter_mut().zip(losses.terms.iter().chain([&losses.total, &1.0])) {
                *sum += value;
            }
            if !losses.total.is_finite() {
                let before = self.position.steps_before + self.position.total_steps - self.position.step;
                let step = u64::from(losses.step) + 1 - before;
                let terms = self.model.graph.losses.iter().zip(&losses.terms);
                let (term, value) = terms
                    .map(|(term, &value)| (term.name.clone(), value))
                    .find(|(_, value)| !value.is_finite())
                    .unwrap_or_else(|| ("total".to_owned(), losses.total));
                return Err(self.not_finite(format!("the loss ({term})"), value, step));
            }
        }
        Ok(())
    }

    fn mean_cross_entropy(&self) -> Option<f64> {
        let term = self.model.graph.losses.iter().position(|term| term.name == CROSS_ENTROPY)?;
        let (sum, count) = (self.position.loss_sums.get(term)?, self.position.loss_sums.last()?);
        (*count > 0.0).then(|| sum / count)
    }

    fn train_means(&self) -> serde_json::Map<String, serde_json::Value> {
        let names = self.model.graph.losses.iter().map(|term| term.name.as_str()).chain(["loss"]);
        let count = self.position.loss_sums.last().copied().unwrap_or(1.0);
        names.zip(&self.position.loss_sums).map(|(name, sum)| (name.to_owned(), (sum / count).into())).collect()
    }

    fn not_finite(&self, what: String, value: f64, step: u64) -> Error {
        let largest = self.data.train.values().iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let cause = if largest > 1e3 {
            format!(
                "a numeric field reaches {largest:.0} standard deviations; check its column for outliers, or make it \
                 buckets (data.fields.NAME.kind = \"bucket\")"
            )
        } else {
            let rate = self.options.learning_rate;
            // A tenth has no exact binary form: 1e-4, not 1.0000000000000001e-4.
            let tenth = format!("{:.3e}", rate / 10.0).parse().unwrap_or(rate / 10.0);
            format!(
                "most likely the learning rate ({rate:e}) is too high; try a tenth of it (--set \
                 train.learning_rate={tenth:e})"
            )
        };
        let saved = if self.folder.checkpoint().is_file() {
            format!("The last good checkpoint is {}", self.folder.checkpoint().display())
        } else {
            "There is no checkpoint yet".to_owned()
        };
        Error::NotFinite { what, value, step, epoch: self.position.epoch + 1, cause, saved }
    }

    /// The model's state, to be written. A step whose loss was a number can still have left weights that are not.
    fn sound_state(&mut self) -> Result<ModelState<f32>, Error> {
        let state = self.executor.state()?;
        let dense = state.dense.weights.iter().flatten().find(|value| !value.is_finite()).copied().map(f64::from);
        let unsound = dense.or_else(|| state.tables.iter().find_map(|table| table.weights.first_not_finite()));
        match unsound {
            Some(value) => Err(self.not_finite("a weight".to_owned(), value, self.position.step)),
            None => Ok(state),
        }
    }

    fn write_model(&self, state: &ModelState<f32>) -> Result<(), Error> {
        save_model(&self.folder.model(), &self.model.graph, state, self.name)
    }

    fn write_checkpoint(&self, state: &ModelState<f32>) -> Result<(), Error> {
        save_checkpoint(&self.folder.checkpoint(), &self.model.graph, state, self.name, &self.position)
    }

    /// Drops lines of `metrics.jsonl` of evaluations that are still to come, and TensorBoard's events: a resumed run writes them
    /// again.
    fn keep_metrics(&self) -> Result<(), Error> {
        let Position { total_steps, step, .. } = self.position;
        // A checkpoint may have been written after an epoch's last step and before its evaluation.
        let is_past = |record: &EpochRecord| {
            record.steps < total_steps || record.steps == total_steps && (record.unfinished || step == 0)
        };
        let path = self.folder.metrics();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let parsed = text.lines().filter_map(|line| Some((line, serde_json::from_str::<EpochRecord>(line).ok()?)));
        let (lines, records): (Vec<&str>, Vec<EpochRecord>) = parsed.filter(|(_, record)| is_past(record)).unzip();
        let kept: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
        write_text(&path, &kept)?;
        tensorboard::keep(&self.folder.events(), &records)
    }

    fn append_metrics(&self, record: &EpochRecord) -> Result<(), Error> {
        let path = self.folder.metrics();
        let mut line = serde_json::to_string(record).map_err(|error| Error::content(&path, error.to_string()))?;
        line.push('\n');
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(Error::file(&path, "writing"))
    }
}
