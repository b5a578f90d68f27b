//! A variant: one configuration of a comparison, but for its seed.

use toml::{Table, Value};

use super::sections::Entry;
use crate::config::{Config, ConfigError, apply_set, leave_out_replaced, set_argument, set_value, split_path, target};
use crate::models;
use crate::train::Error;
use crate::train::model::write_defaults;
use crate::train::run::folder::folder_name;

/// A model with options of its own.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name in tables.
    pub label: String,
    /// The name of its folder.
    pub folder: String,
    /// What it sets for itself: dotted keys and values.
    pub settings: Vec<(String, Value)>,
    /// The seeds it is trained with.
    pub seeds: Vec<u64>,
    /// Whether each scenario has a model of its own, trained on its rows alone.
    pub individual: bool,
    /// Its configuration, defaults written out, `data.path` absolute; the seed is the first.
    pub config: Config,
    /// Shared options that the model, or what it chooses of the data's, does not have: dotted keys.
    pub left_out: Vec<String>,
    /// Whether it is tested against the best baseline.
    pub ours: bool,
}

impl Variant {
    /// Its configuration with a seed.
    pub fn with_seed(&self, seed: u64) -> Config {
        let mut config = self.config.clone();
        config.train.seed = seed;
        config
    }

    /// Its settings as arguments of `--set`.
    pub fn set_arguments(&self) -> Vec<String> {
        self.settings.iter().map(|(key, value)| set_argument(key, value)).collect()
    }
}

/// What all variants begin with.
pub(super) struct Shared<'a> {
    /// The file without `[compare]` or `[sweep]`, with `sets` applied.
    pub(super) document: &'a Table,
    pub(super) sets: &'a [String],
    /// Names of the models that are compared.
    pub(super) names: &'a [&'a str],
    pub(super) locate: &'a dyn Fn(&str) -> String,
    pub(super) file: &'a str,
}

impl Shared<'_> {
    /// That each shared option of `[model]` belongs to a model that is compared: otherwise it is a slip.
    pub(super) fn check_options(&self) -> Result<(), ConfigError> {
        let Some(Value::Table(model)) = self.document.get("model") else { return Ok(()) };
        for option in model.keys().filter(|&key| key != "name") {
            // A model that there is not is another fault, and told by itself.
            let may_have = |name: &&str| models::find(name).is_none_or(|model| model.has_option(option));
            if self.names.iter().any(may_have) {
                continue;
            }
            let owners: Vec<&str> =
                models::all().iter().filter(|model| model.has_option(option)).map(|model| model.name).collect();
            let message = match owners[..] {
                [] => "no model has this option".to_owned(),
                [owner] => format!("an option of {owner}, which is not compared"),
                _ => format!("an option of {}, none of which is compared", owners.join(", ")),
            };
            let key = format!("model.{option}");
            return Err(ConfigError::Other { origin: self.file.to_owned(), key, message }.blame(self.sets));
        }
        Ok(())
    }

    /// The variant that `entry` asks for.
    pub(super) fn variant(&self, entry: &Entry) -> Result<Variant, Error> {
        let origin = format!("{}, {}", self.file, entry.label);
        let fault =
            |key: &str, message: String| ConfigError::Other { origin: origin.clone(), key: key.to_owned(), message };
        let mut document = self.document.clone();
        set_value(&mut document, &["model".to_owned(), "name".to_owned()], entry.name.clone().into())
            .map_err(|message| fault("model", message))?;
        for (key, value) in entry.settings.iter().filter(|(key, _)| key != "model.name") {
            let path = split_path(key).ok_or_else(|| fault(key, "is not a key".to_owned()))?;
            set_value(&mut document, &path, value.clone()).map_err(|message| fault(key, message))?;
        }
        // Once more, over the variant's own: the command line has the last word.
        let sets: Vec<String> = self.sets.iter().filter(|set| is_of_runs(set)).cloned().collect();
        for set in &sets {
            apply_set(&mut document, set)?;
        }
        let own = entry.settings.iter().map(|(key, _)| key.as_str());
        let set = own.chain(sets.iter().filter_map(|set| Some(set.split_once('=')?.0)));
        let paths: Vec<Vec<String>> = set.filter_map(split_path).collect();
        let mut left_out = leave_out_replaced(self.document, &mut document, &paths);
        left_out.extend(leave_out_foreign(&mut document, entry).into_iter().map(|key| format!("model.{key}")));
        let mut config = Config::from_document(&document, &origin).map_err(|error| error.blame(&sets))?;
        write_defaults(&mut config).map_err(|error| error.blame(&sets))?;
        let mut schema = config.schema().map_err(|error| error.blame(&sets))?;
        schema.path = (self.locate)(&schema.path);
        config.set_data(&schema)?;
        config.train.seed = entry.seeds[0];
        let mut settings = entry.settings.clone();
        for (key, value) in &mut settings {
            if let Some(final_value) = value_at(&document, key) {
                *value = final_value.clone();
            }
        }
        let (label, seeds) = (entry.label.clone(), entry.seeds.clone());
        let individual = entry.individual;
        Ok(Variant { folder: folder_name(&label), label, settings, seeds, individual, config, left_out, ours: false })
    }
}

/// Whether a `--set` is about runs, not about the comparison.
fn is_of_runs(set: &str) -> bool {
    let section = target(set).and_then(|key| key.split('.').next().map(str::to_owned));
    !matches!(section.as_deref(), Some("compare" | "sweep")) && target(set).as_deref() != Some("model.name")
}

/// Removes what the model does not have and the variant does not set from `[model]`; says what it was.
fn leave_out_foreign(document: &mut Table, entry: &Entry) -> Vec<String> {
    let Some(Value::Table(model)) = document.get_mut("model") else { return Vec::new() };
    let own = |key: &str| {
        let path = ["model", key];
        entry.settings.iter().any(|(own, _)| split_path(own).is_some_and(|own| own == path))
    };
    let foreign = |key: &str| {
        let others = || models::all().iter().any(|model| model.has_option(key));
        let lacks = models::find(&entry.name).is_some_and(|model| !model.has_option(key));
        key != "name" && !own(key) && lacks && others()
    };
    let keys: Vec<String> = model.keys().filter(|key| foreign(key)).cloned().collect();
    for key in &keys {
        model.remove(key);
    }
    keys
}

/// The value under a dotted key.
fn value_at<'a>(document: &'a Table, key: &str) -> Option<&'a Value> {
    let path = split_path(key)?;
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(document.get(first)?, |value, part| match value {
        Value::Table(table) => table.get(part),
        Value::Array(values) => values.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}
