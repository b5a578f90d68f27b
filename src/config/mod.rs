//! A run's configuration: one TOML file, overridden by `--set key=value`.
//!
//! ```toml
//! [data]                # what the columns mean; its keys belong to the data's schema
//! path = "data.parquet"
//!
//! [model]               # which model, and that model's own options
//! name = "mi-dpg"
//! width = 16
//!
//! [train]               # TrainOptions
//! epochs = 10
//! ```
//!
//! Every fault names the file (or the `--set`), the section, the key, and what would have been right.
//!
//! *Stability*: [`Config`] and the keys of a configuration stay; old keys keep being read.

mod error;
mod section;
mod set;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::data::Schema;
use crate::data::synthetic::SyntheticOptions;
use crate::graph::Precision;

pub use error::ConfigError;
pub use section::{describe, parse_section, parse_table};
pub use set::{apply_set, apply_sets, leave_out_replaced, set_argument, set_value, split_path, target};

/// The most rows of one step: memory for a step's activations is taken before the first one.
const MAX_ROWS: u32 = 1 << 20;

/// Sections of a file that describes many runs, and the commands that read it.
pub const MANY_RUNS: [&str; 2] = ["compare", "sweep"];

/// The sections a file may have.
const SECTIONS: [&str; 4] = ["data", "model", "train", "synth"];

/// A run's configuration. Two are equal when their sections are, wherever they were read from.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[data]`, not yet interpreted: see [`Config::schema`].
    pub data: Table,
    /// `[model]`, with its `name`; the other keys depend on the model: see [`Config::model_options`].
    pub model: Table,
    /// `[train]`.
    pub train: TrainOptions,
    /// `[synth]`: how to generate the data where `data.path` names none.
    pub synth: Option<SyntheticOptions>,
    /// The file it was read from.
    path: PathBuf,
    /// The same for messages, and the overrides.
    file: String,
    sets: Vec<String>,
    /// `model.name` in the file, before the overrides.
    file_model: Option<String>,
    left_out: Vec<String>,
}

/// `[train]`: how long, how fast and in what order a model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Passes over the training rows; 0 leaves the initial weights.
    pub epochs: u32,
    /// Rows per step, at most 2^20.
    pub batch_size: u32,
    /// Rows per step of an evaluation, at most 2^20: changes speed and memory, and results at most by rounding.
    pub eval_batch_size: u32,
    /// Decides initial weights, the order of rows and every other random choice of the run.
    pub seed: u64,
    /// Adam's step size, at its highest where it has a schedule.
    pub learning_rate: f64,
    /// That of embedding rows, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_learning_rate: Option<f64>,
    /// Steps over which the learning rates rise linearly at the beginning of a run.
    pub warmup_steps: u64,
    /// How the learning rates fall after the warm-up.
    pub schedule: Schedule,
    /// With the schedules `linear` and `cosine`: what part of a learning rate is left at the end of the last epoch.
    pub end_factor: f64,
    /// With the schedule `step`: after how many steps, each time, the learning rates fall.
    pub decay_steps: u64,
    /// With the schedule `step`: by what they are multiplied each time.
    pub decay_factor: f64,
    /// Adam's decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Adam's decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to Adam's denominator, outside the bias correction.
    pub epsilon: f64,
    /// L2 on dense parameters: this times the parameter is added to its gradient.
    pub weight_decay: f64,
    /// L2 on the embedding rows that a batch touches, in the same way.
    pub embedding_l2: f64,
    /// Whether a step moves the embedding rows of its batch or all rows.
    pub embedding_adam: EmbeddingAdam,
    /// How activations and their gradients are stored while training.
    pub precision: TrainPrecision,
    /// How the values of embedding rows are stored.
    pub embedding_precision: Precision,
    /// Epochs without a better validation metric before training stops; 0 never stops early.
    pub patience: u32,
    /// The validation metric that decides which epoch is best.
    pub early_stop_metric: EarlyStopMetric,
    /// Steps between checkpoints; 0 writes one per epoch only.
    pub checkpoint_steps: u64,
    /// Megabytes of training data kept on the device; larger data is streamed to it.
    pub resident_mb: u64,
    /// The folder of a run that training goes on from: its weights, moments, vocabularies and scenarios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// With `from`: whether Adam begins anew, with moments of 0.
    #[serde(skip_serializing_if = "is_false")]
    pub fresh_moments: bool,
    /// With `from`: whether means, deviations and bucket edges of numbers are those of the new data.
    #[serde(skip_serializing_if = "is_false")]
    pub refit_numbers: bool,
    /// Parameters that training leaves as they are, and fields of embedding tables (`TABLE.FIELD`), by name; `*` stands for any
    /// text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How activations and their gradients are stored while training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainPrecision {
    /// In single precision.
    #[default]
    F32,
    /// As half floats where they have a row for each sample and enough columns. Sums, losses, moments and parameters stay
    /// f32, as does all arithmetic.
    Mixed,
}

/// How the learning rates fall after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// By the same amount at each step, until the end of the last epoch.
    Linear,
    /// Along half a cosine, until the end of the last epoch.
    Cosine,
    /// By a factor every so many steps.
    Step,
}

/// How Adam treats embedding rows that are not in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingAdam {
    /// They and their moments stay as they are.
    #[default]
    Lazy,
    /// They move with a gradient of zero, as every other parameter does.
    Dense,
}

/// A validation metric to stop on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyStopMetric {
    /// Area under the ROC curve, over all scenarios: larger is better.
    #[default]
    Auc,
    /// Mean cross entropy, over all scenarios: smaller is better.
    Logloss,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            epochs: 10,
            batch_size: 512,
            eval_batch_size: 4096,
            seed: 0,
            learning_rate: 1e-3,
            embedding_learning_rate: None,
            warmup_steps: 0,
            schedule: Schedule::Constant,
            end_factor: 0.0,
            decay_steps: 0,
            decay_factor: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            embedding_l2: 0.0,
            embedding_adam: EmbeddingAdam::Lazy,
            precision: TrainPrecision::F32,
            embedding_precision: Precision::F32,
            patience: 2,
            early_stop_metric: EarlyStopMetric::Auc,
            checkpoint_steps: 0,
            resident_mb: 1024,
            from: None,
            fresh_moments: false,
            refit_numbers: false,
            freeze: Vec::new(),
        }
    }
}

impl TrainOptions {
    /// Checks what the types cannot, as the device will see it: in single precision.
    fn check(&self, file: &str) -> Result<(), ConfigError> {
        let number = |key: &str, value: f64, right: fn(f32) -> bool, expected: &str| match right(value as f32) {
            true => Ok(()),
            false => Err(ConfigError::value(file, &format!("train.{key}"), expected, &value.to_string())),
        };
        let count = |key: &str, value: u32| match value {
            1..=MAX_ROWS => Ok(()),
            _ => {
                let expected = format!("a whole number from 1 to {MAX_ROWS}");
                Err(ConfigError::value(file, &format!("train.{key}"), &expected, &value.to_string()))
            }
        };
        let positive = |x: f32| x > 0.0 && x.is_finite();
        let not_negative = |x: f32| x >= 0.0 && x.is_finite();
        let below_one = |x: f32| (0.0..1.0).contains(&x);
        count("batch_size", self.batch_size)?;
        count("eval_batch_size", self.eval_batch_size)?;
        number("learning_rate", self.learning_rate, positive, "a number above 0")?;
        if let Some(rate) = self.embedding_learning_rate {
            number("embedding_learning_rate", rate, positive, "a number above 0")?;
        }
        self.check_schedule(file)?;
        number("beta1", self.beta1, below_one, "a number from 0 to below 1")?;
        number("beta2", self.beta2, below_one, "a number from 0 to below 1")?;
        number("epsilon", self.epsilon, positive, "a number above 0 in single precision")?;
        number("weight_decay", self.weight_decay, not_negative, "a number of at least 0")?;
        number("embedding_l2", self.embedding_l2, not_negative, "a number of at least 0")?;
        for (key, set) in [("fresh_moments", self.fresh_moments), ("refit_numbers", self.refit_numbers)] {
            if set && self.from.is_none() {
                let expected = "false where train.from names no run to go on from (--from RUN)";
                return Err(ConfigError::value(file, &format!("train.{key}"), expected, "true"));
            }
        }
        Ok(())
    }
}

impl Schedule {
    /// Whether it depends on how many epochs there are to be.
    pub fn ends_with_the_run(self) -> bool {
        matches!(self, Schedule::Linear | Schedule::Cosine)
    }
}

impl TrainOptions {
    /// The learning rate of embedding rows, before the schedule.
    pub fn embedding_rate(&self) -> f64 {
        self.embedding_learning_rate.unwrap_or(self.learning_rate)
    }

    /// Checks the schedule's keys, which must not be there in vain.
    fn check_schedule(&self, file: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(ConfigError::value(file, &format!("train.{key}"), expected, &found.to_string()))
        };
        let default = TrainOptions::default();
        let factor = 0.0..=1.0;
        if !factor.contains(&self.end_factor) {
            return wrong("end_factor", "a number from 0 to 1", &self.end_factor);
        }
        if !factor.contains(&self.decay_factor) || self.decay_factor == 0.0 {
            return wrong("decay_factor", "a number above 0, at most 1", &self.decay_factor);
        }
        if self.end_factor != default.end_factor && !self.schedule.ends_with_the_run() {
            return wrong("end_factor", "train.schedule = \"linear\" or \"cosine\" beside it", &self.end_factor);
        }
        match (self.schedule, self.decay_steps) {
            (Schedule::Step, 0) => {
                wrong("decay_steps", "with train.schedule = \"step\" a whole number of at least 1", &0)
            }
            (Schedule::Step, _) => Ok(()),
            (_, 1..) => wrong("decay_steps", "train.schedule = \"step\" beside it", &self.decay_steps),
            _ if self.decay_factor != default.decay_factor => {
                wrong("decay_factor", "train.schedule = \"step\" beside it", &self.decay_factor)
            }
            _ => Ok(()),
        }
    }
}

/// The text of a file, and its name for messages.
fn read(path: &Path) -> Result<(String, String), ConfigError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((text, file)),
        Err(source) => Err(ConfigError::Read { file, source }),
    }
}

fn parse(text: &str, file: &str) -> Result<Table, ConfigError> {
    text.parse()
        .map_err(|error: toml::de::Error| ConfigError::Syntax { file: file.to_owned(), message: error.to_string() })
}

/// Reads the file at `path`, whatever its sections, and applies each of `sets`, the later ones last; also what they made
/// meaningless ([`leave_out_replaced`]).
///
/// # Errors
/// When the file cannot be read or is not TOML, or a `--set` cannot be applied.
pub fn load_document(path: &Path, sets: &[String]) -> Result<(Table, Vec<String>), ConfigError> {
    let (text, file) = read(path)?;
    let mut document = parse(&text, &file)?;
    let left_out = apply_sets(&mut document, sets)?;
    Ok((document, left_out))
}

impl Config {
    /// Reads the file at `path` and applies each of `sets` (`key.path=value`), the later ones last.
    ///
    /// # Errors
    /// When the file cannot be read or is not TOML, a `--set` cannot be applied, a section or key is unknown,
    /// `model.name` is missing, or a value of `[train]` has the wrong type or is out of range.
    pub fn load(path: impl AsRef<Path>, sets: &[String]) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let (text, file) = read(path)?;
        Ok(Config { path: path.to_owned(), ..Config::from_toml(&text, &file, sets)? })
    }

    /// As [`Config::load`], from the text of a file; `file` names it in messages.
    ///
    /// # Errors
    /// Those of [`Config::load`], but for reading.
    pub fn from_toml(text: &str, file: &str, sets: &[String]) -> Result<Config, ConfigError> {
        let mut document = parse(text, file)?;
        let file_model = document.get("model").and_then(|model| model.get("name")).and_then(Value::as_str);
        let file_model = file_model.map(str::to_owned);
        let left_out = apply_sets(&mut document, sets)?;
        let config = Config::from_sections(&document, file, sets).map_err(|error| error.blame(sets))?;
        Ok(Config { file_model, left_out, ..config })
    }

    /// As [`Config::from_toml`], from a document to which every override was applied.
    ///
    /// # Errors
    /// Those of [`Config::load`], but for reading.
    pub fn from_document(document: &Table, file: &str) -> Result<Config, ConfigError> {
        Config::from_sections(document, file, &[])
    }

    fn from_sections(document: &Table, file: &str, sets: &[String]) -> Result<Config, ConfigError> {
        for (key, value) in document {
            if MANY_RUNS.contains(&key.as_str()) && value.is_table() {
                let message = format!("describes many runs, not one: give the file to `polyscene {key}`");
                return Err(ConfigError::Other { origin: file.to_owned(), key: format!("[{key}]"), message });
            }
            if !SECTIONS.contains(&key.as_str()) {
                return Err(ConfigError::unknown_section(file, key, value, &SECTIONS));
            }
        }
        let config = Config {
            data: parse_section(document, "data", file)?,
            model: parse_section(document, "model", file)?,
            train: parse_section(document, "train", file)?,
            synth: document.contains_key("synth").then(|| parse_section(document, "synth", file)).transpose()?,
            path: PathBuf::from(file),
            file: file.to_owned(),
            sets: sets.to_vec(),
            file_model: None,
            left_out: Vec::new(),
        };
        config.train.check(file)?;
        match config.model.get("name") {
            Some(Value::String(_)) => Ok(config),
            Some(other) => Err(ConfigError::value(file, "model.name", "a model's name", &section::describe(other))),
            None => Err(ConfigError::missing(file, "model", "name")),
        }
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file it was read from, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The model's name.
    pub fn model_name(&self) -> &str {
        self.model.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Keys of the file that an override made meaningless by another choice, such as `data.split.by`, and that were left out.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The model that the file names, where an override has replaced it by another.
    pub fn replaced_model(&self) -> Option<&str> {
        self.file_model.as_deref().filter(|&name| name != self.model_name())
    }

    /// Removes the options of `[model]` for which `is_foreign` holds, unless an override set them; returns their names.
    pub fn drop_model_options(&mut self, is_foreign: impl Fn(&str) -> bool) -> Vec<String> {
        let set = |key: &str| self.sets.iter().any(|set| set.starts_with(&format!("model.{key}=")));
        let foreign: Vec<String> = self.model.keys().filter(|key| is_foreign(key) && !set(key)).cloned().collect();
        for key in &foreign {
            self.model.remove(key);
        }
        foreign
    }

    /// `[data]`: what the columns mean.
    ///
    /// # Errors
    /// When a key is unknown or missing, or a value has the wrong type.
    pub fn schema(&self) -> Result<Schema, ConfigError> {
        self.data_as()
    }

    /// `[data]` as a type that knows its keys.
    fn data_as<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        parse_table(&self.data, "data", &self.file).map_err(|error| error.blame(&self.sets))
    }

    /// `[model]` without its `name`, as the model's own type of options.
    ///
    /// # Errors
    /// When a key is unknown or missing, or a value has the wrong type.
    pub fn model_options<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut options = self.model.clone();
        options.remove("name");
        parse_table(&options, "model", &self.file).map_err(|error| error.blame(&self.sets))
    }

    /// Replaces `[data]` by `options`, so that [`Config::to_toml`] writes its defaults out too.
    ///
    /// # Errors
    /// When `options` is not something TOML can hold.
    pub fn set_data<T: Serialize>(&mut self, options: &T) -> Result<(), ConfigError> {
        self.data = Table::try_from(options).map_err(|error| ConfigError::unwritable("data", &error))?;
        Ok(())
    }

    /// Replaces all of `[model]` but its `name` by `options`, so that [`Config::to_toml`] writes its defaults out too.
    ///
    /// # Errors
    /// When `options` is not something TOML can hold.
    pub fn set_model_options<T: Serialize>(&mut self, options: &T) -> Result<(), ConfigError> {
        let options = Table::try_from(options).map_err(|error| ConfigError::unwritable("model", &error))?;
        let name = Value::String(self.model_name().to_owned());
        self.model = [("name".to_owned(), name)].into_iter().chain(options).collect();
        Ok(())
    }

    /// The whole configuration as TOML, defaults written out: reading it gives an equal `Config`.
    ///
    /// # Errors
    /// When a value is beyond what TOML can hold (a seed above 2^63 − 1).
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let train = Table::try_from(&self.train).map_err(|error| ConfigError::unwritable("train", &error))?;
        let synth = self.synth.as_ref().map(Table::try_from).transpose();
        let synth = synth.map_err(|error| ConfigError::unwritable("synth", &error))?;
        let document: Table = SECTIONS
            .into_iter()
            .zip([Some(self.data.clone()), Some(self.model.clone()), Some(train), synth])
            .filter_map(|(section, table)| Some((section, table?)))
            .map(|(section, table)| (section.to_owned(), Value::Table(table)))
            .collect();
        toml::to_string(&document).map_err(|error| ConfigError::unwritable("the configuration", &error))
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data && self.model == other.model && self.train == other.train && self.synth == other.synth
    }
}

#[cfg(test)]
mod tests;
