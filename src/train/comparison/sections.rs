//! `[compare]` and `[sweep]`: what they say, as a list of variants.

use std::collections::HashMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::resampled;
use super::search::Search;
use super::sweep::read_sweep;
use crate::config::{ConfigError, parse_section, split_path, target};
use crate::data::{nearest, suggestion};
use crate::train::evaluation::bootstrap::{Bootstrap, Unit};
use crate::train::run::folder::folder_name;

/// The most cells of one comparison: a slip in a grid should not begin a year's work.
pub(super) const MAX_CELLS: usize = 100_000;

/// Whether models are compared or a grid is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExperimentKind {
    /// `[compare]`: models with options of their own.
    Compare,
    /// `[sweep]`: all combinations of some options.
    Sweep,
}

impl ExperimentKind {
    /// The section, which is the command's name too.
    pub fn section(self) -> &'static str {
        match self {
            ExperimentKind::Compare => "compare",
            ExperimentKind::Sweep => "sweep",
        }
    }

    /// The file in which the resolved configuration is kept.
    pub fn file(self) -> &'static str {
        match self {
            ExperimentKind::Compare => "compare.toml",
            ExperimentKind::Sweep => "sweep.toml",
        }
    }
}

/// `[compare]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareSection {
    #[serde(default)]
    seeds: Option<Value>,
    #[serde(default)]
    baseline: Option<String>,
    #[serde(default)]
    ours: Option<Vec<String>>,
    #[serde(default)]
    bootstrap: Option<u64>,
    #[serde(default)]
    bootstrap_by: Option<Unit>,
    #[serde(default)]
    models: Vec<ModelEntry>,
}

/// `[[compare.models]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    seeds: Option<Value>,
    #[serde(default)]
    individual: bool,
    #[serde(default)]
    set: Table,
}

/// A variant as the file asks for it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) seeds: Vec<u64>,
    /// Whether each scenario has a model of its own.
    pub(super) individual: bool,
    /// Dotted keys and values.
    pub(super) settings: Vec<(String, Value)>,
}

/// What a file says.
pub(super) struct Read {
    pub(super) kind: ExperimentKind,
    /// The file without the section.
    pub(super) base: Table,
    /// The section as it stands.
    pub(super) section: Table,
    pub(super) entries: Vec<Entry>,
    pub(super) skip_invalid: bool,
    pub(super) bootstrap: Option<Bootstrap>,
    pub(super) baseline: Option<String>,
    pub(super) ours: Option<Vec<String>>,
    /// A sweep that draws its combinations, and has no entries.
    pub(super) search: Option<Search>,
}

/// Takes the section out of `document` and reads it.
pub(super) fn read(kind: ExperimentKind, mut document: Table, file: &str) -> Result<Read, ConfigError> {
    let section = kind.section();
    if !document.contains_key(section) {
        let what = match kind {
            ExperimentKind::Compare => "needs this section, with [[compare.models]], to know which models to compare",
            ExperimentKind::Sweep => {
                "needs this section, with [sweep.grid] or [sweep.space], to know which options to search"
            }
        };
        return Err(other(file, &format!("[{section}]"), what.to_owned()));
    }
    let model = document.get("model").and_then(|model| model.get("name")).and_then(Value::as_str).map(str::to_owned);
    let mut read = match kind {
        ExperimentKind::Compare => read_compare(&document, model.as_deref(), file)?,
        ExperimentKind::Sweep => read_sweep(&document, model.as_deref(), file)?,
    };
    if let Some(Value::Table(table)) = document.remove(section) {
        read.section = table;
    }
    let labels: Vec<&str> = read.entries.iter().map(|entry| entry.label.as_str()).collect();
    if let Some(label) = repeated(&labels) {
        let fix = "give each a `label` of its own";
        return Err(other(file, section, format!("\"{label}\" is the label of more than one variant; {fix}")));
    }
    check_folders(&labels, section, file)?;
    let cells: usize = read.entries.iter().map(|entry| entry.seeds.len()).sum();
    if cells > MAX_CELLS {
        return Err(other(file, section, format!("has {cells} runs; expected at most {MAX_CELLS}")));
    }
    read.base = document;
    Ok(read)
}

fn read_compare(document: &Table, model: Option<&str>, file: &str) -> Result<Read, ConfigError> {
    let section: CompareSection = parse_section(document, "compare", file)?;
    if section.models.is_empty() {
        return Err(ConfigError::missing(file, "compare", "models"));
    }
    let shared = seeds(section.seeds.as_ref(), "compare.seeds", file)?;
    let mut entries = Vec::new();
    for (number, entry) in section.models.into_iter().enumerate() {
        let place = format!("compare.models[{number}]");
        let Some(name) = entry.name.or_else(|| model.map(str::to_owned)) else {
            return Err(ConfigError::missing(file, &place, "name"));
        };
        let label = entry.label.unwrap_or_else(|| name.clone());
        check_label(&label, &format!("{place}.label"), file)?;
        let seeds = match &entry.seeds {
            Some(own) => seeds(Some(own), &format!("{place}.seeds"), file)?,
            None => shared.clone(),
        };
        let settings = settings(&entry.set, &format!("{place}.set"), file)?;
        entries.push(Entry { name, label, seeds, individual: entry.individual, settings });
    }
    let bootstrap = resampled::options(section.bootstrap, section.bootstrap_by, file)?;
    let (baseline, ours) = (section.baseline, section.ours);
    let (base, section) = (Table::new(), Table::new());
    let (kind, skip_invalid, search) = (ExperimentKind::Compare, false, None);
    Ok(Read { kind, base, section, entries, skip_invalid, bootstrap, baseline, ours, search })
}

/// A number of seeds, or the seeds.
pub(super) fn seeds(value: Option<&Value>, place: &str, file: &str) -> Result<Vec<u64>, ConfigError> {
    const DEFAULT: u64 = 3;
    let fault = |found: &str| {
        let expected = "a number of seeds, such as 3 for 0, 1 and 2, or a list of different ones, such as [1, 2, 3]";
        ConfigError::value(file, place, expected, found)
    };
    let found: Vec<u64> = match value {
        None => (0..DEFAULT).collect(),
        Some(Value::Integer(count @ 1..=10_000)) => (0..count.unsigned_abs()).collect(),
        Some(Value::Array(values)) => {
            let seed = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
            let seeds: Option<Vec<u64>> = values.iter().map(seed).collect();
            seeds.ok_or_else(|| fault(&Value::Array(values.clone()).to_string()))?
        }
        Some(value) => return Err(fault(&value.to_string())),
    };
    match (found.is_empty(), repeated(&found)) {
        (true, _) => Err(fault("an empty list")),
        (_, Some(seed)) => Err(fault(&format!("{seed} twice"))),
        _ => Ok(found),
    }
}

/// What a model sets for itself.
fn settings(set: &Table, place: &str, file: &str) -> Result<Vec<(String, Value)>, ConfigError> {
    let settings = dotted(set, place, file)?;
    match settings.iter().find(|(key, _)| key == "model.name") {
        Some(_) => {
            let message = "is set by the entry's `name`".to_owned();
            Err(other(file, &format!("{place}.\"model.name\""), message))
        }
        None => Ok(settings),
    }
}

/// Dotted keys and their values: `"model.mir" = false` and `model.mir = false` are the same.
pub(super) fn dotted(table: &Table, place: &str, file: &str) -> Result<Vec<(String, Value)>, ConfigError> {
    let mut found = Vec::new();
    for (key, value) in table {
        let path = split_path(key).filter(|_| !key.is_empty());
        match (path.as_deref(), value) {
            (Some([section]), Value::Table(keys)) => {
                found.extend(keys.iter().map(|(key, value)| (format!("{section}.{}", quoted(key)), value.clone())));
            }
            (Some([_, _, ..]), value) => found.push((key.clone(), value.clone())),
            _ => {
                let message = "is not a key; expected \"section.key\", such as \"train.learning_rate\"".to_owned();
                return Err(other(file, &format!("{place}.{key}"), message));
            }
        }
    }
    let sections = ["data", "model", "train"];
    for (key, _) in &found {
        let section = split_path(key).and_then(|path| path.into_iter().next()).unwrap_or_default();
        let message = match key.as_str() {
            "train.seed" => "a run's seed is one of `seeds`; leave it out".to_owned(),
            _ if !sections.contains(&section.as_str()) => {
                let near =
                    nearest(&section, sections.iter().copied()).map_or_else(String::new, |near| format!(" ({near}?)"));
                format!("expected a key of data, model or train{near}, such as \"train.learning_rate\"")
            }
            _ => continue,
        };
        return Err(other(file, &format!("{place}.\"{key}\""), message));
    }
    Ok(found)
}

/// A key's part as it is written in a dotted key. A part that is dotted itself was written so in quotes.
fn quoted(part: &str) -> String {
    let bare = split_path(part).is_some_and(|path| path.len() == 1 && path[0] == part);
    if bare { part.to_owned() } else { Value::String(part.to_owned()).to_string() }
}

/// Keys as labels have them: the last part, where that tells them apart.
pub(super) fn short_keys(keys: &[&str]) -> Vec<(String, String)> {
    let last = |key: &str| split_path(key).and_then(|path| path.last().cloned()).unwrap_or_else(|| key.to_owned());
    let alone = |key: &str| keys.iter().filter(|other| last(other) == last(key)).count() == 1;
    keys.iter().map(|key| ((*key).to_owned(), if alone(key) { last(key) } else { (*key).to_owned() })).collect()
}

/// That a label can be shown in a table and name a folder beside the tables.
fn check_label(label: &str, place: &str, file: &str) -> Result<(), ConfigError> {
    let folder = folder_name(label).to_lowercase();
    let reserved = ["table.", "cells.", "compare.", "sweep.", "report."].iter().any(|name| folder.starts_with(name));
    let one_line = label.len() <= 100 && !label.chars().any(char::is_control);
    if one_line && !folder.is_empty() && !reserved {
        return Ok(());
    }
    let expected =
        "a name of at most 100 bytes on one line with a letter or digit in it, and not that of a table's file";
    Err(ConfigError::value(file, place, expected, &format!("{label:?}")))
}

/// That no two labels share a folder, also where systems do not tell capitals from small letters.
fn check_folders(labels: &[&str], section: &str, file: &str) -> Result<(), ConfigError> {
    let mut taken: HashMap<String, &str> = HashMap::new();
    for label in labels {
        let folder = folder_name(label);
        if let Some(other_label) = taken.insert(folder.to_lowercase(), label) {
            let message =
                format!("\"{other_label}\" and \"{label}\" would share the folder \"{folder}\"; change a label");
            return Err(other(file, section, message));
        }
    }
    Ok(())
}

/// Which label is the baseline and which are ours.
pub(super) fn roles(read: &Read, file: &str) -> Result<(String, Vec<String>), ConfigError> {
    let labels: Vec<&str> = read.entries.iter().map(|entry| entry.label.as_str()).collect();
    let known = |label: &str, key: &str| {
        if labels.contains(&label) {
            return Ok(());
        }
        let near = suggestion(nearest(label, labels.iter().copied()));
        let expected = format!("a label of [[compare.models]]: {}", labels.join(", "));
        Err(ConfigError::value(file, key, &expected, &format!("\"{label}\"{near}")))
    };
    let baseline = read.baseline.clone().unwrap_or_else(|| labels[0].to_owned());
    known(&baseline, "compare.baseline")?;
    let ours = match &read.ours {
        Some(ours) => {
            ours.iter().try_for_each(|label| known(label, "compare.ours"))?;
            if ours.contains(&baseline) {
                let message = format!("\"{baseline}\" is the baseline; it cannot be one of ours too");
                return Err(other(file, "compare.ours", message));
            }
            ours.clone()
        }
        None => {
            let ours = |entry: &&Entry| entry.label != baseline && OURS.contains(&entry.name.as_str());
            read.entries.iter().filter(ours).map(|entry| entry.label.clone()).collect()
        }
    };
    Ok((baseline, ours))
}

/// The models that this program is about.
const OURS: [&str; 3] = ["mi-dpg", "optmsm", "saml"];

/// That no `--set` takes from variants what tells them apart.
pub(super) fn check_sets(read: &Read, sets: &[String]) -> Result<(), ConfigError> {
    let sweep = read.kind == ExperimentKind::Sweep;
    for set in sets {
        let Some(key) = target(set) else { continue };
        let reason = match key.as_str() {
            "train.seed" => "all runs would have the same seed; set compare.seeds or sweep.seeds".to_owned(),
            "model.name" if !sweep => "all models would be the same; name those to run with --only".to_owned(),
            key if read.search.as_ref().is_some_and(|search| search.keys().any(|own| own == key)) => {
                format!("`{key}` is searched; set sweep.space instead")
            }
            key if sweep
                && read.entries.iter().take(1).any(|entry| entry.settings.iter().any(|(own, _)| own == key)) =>
            {
                format!("`{key}` is in the grid; set sweep.grid instead")
            }
            _ => continue,
        };
        return Err(ConfigError::Set { argument: set.clone(), reason });
    }
    Ok(())
}

/// The first value that is there again.
pub(super) fn repeated<T: PartialEq>(values: &[T]) -> Option<&T> {
    (1..values.len()).find(|&i| values[..i].contains(&values[i])).map(|i| &values[i])
}

pub(super) fn other(file: &str, key: &str, message: String) -> ConfigError {
    ConfigError::Other { origin: file.to_owned(), key: key.to_owned(), message }
}
