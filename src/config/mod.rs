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
mod train;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::data::Schema;
use crate::data::synthetic::SyntheticOptions;

pub use error::ConfigError;
pub use section::{describe, parse_section, parse_table};
pub use set::{apply_set, apply_sets, leave_out_replaced, set_argument, set_value, split_path, target};
pub use train::{EarlyStopMetric, EmbeddingAdam, EntireSpace, Schedule, TrainOptions, TrainPrecision};

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
