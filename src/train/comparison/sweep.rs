//! `[sweep]`: a grid of options, all combinations of which are trained, or a space that is searched.

use serde::Deserialize;
use toml::{Table, Value};

use super::search::Search;
use super::sections::{Entry, ExperimentKind, MAX_CELLS, Read, dotted, other, repeated, seeds, short_keys};
use crate::config::{ConfigError, describe, parse_section, set_argument};

/// How the combinations of a sweep are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SweepMethod {
    /// All of a grid.
    #[default]
    Grid,
    /// At random.
    Random,
    /// By a tree-structured Parzen estimator.
    Tpe,
}

impl SweepMethod {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            SweepMethod::Grid => "grid",
            SweepMethod::Random => "random",
            SweepMethod::Tpe => "tpe",
        }
    }
}

/// By which rule a search prunes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PruningName {
    None,
    Median,
    Halving,
}

/// `[sweep]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepSection {
    #[serde(default)]
    pub(super) method: SweepMethod,
    #[serde(default)]
    pub(super) seeds: Option<Value>,
    #[serde(default)]
    pub(super) skip_invalid: bool,
    #[serde(default)]
    pub(super) grid: Table,
    #[serde(default)]
    pub(super) together: Vec<Table>,
    #[serde(default)]
    pub(super) space: Table,
    #[serde(default)]
    pub(super) trials: Option<u64>,
    #[serde(default)]
    pub(super) hours: Option<f64>,
    #[serde(default)]
    pub(super) startup_trials: Option<u64>,
    #[serde(default)]
    pub(super) sampler_seed: Option<u64>,
    #[serde(default)]
    pub(super) pruning: Option<PruningName>,
    #[serde(default)]
    pub(super) warmup_trials: Option<u64>,
    #[serde(default)]
    pub(super) warmup_epochs: Option<f64>,
    #[serde(default)]
    pub(super) reduction: Option<u64>,
}

impl SweepSection {
    /// Keys that are there and that only a search has.
    fn of_searches(&self) -> Option<&'static str> {
        let keys = [
            ("space", !self.space.is_empty()),
            ("trials", self.trials.is_some()),
            ("hours", self.hours.is_some()),
            ("startup_trials", self.startup_trials.is_some()),
            ("sampler_seed", self.sampler_seed.is_some()),
            ("pruning", self.pruning.is_some()),
            ("warmup_trials", self.warmup_trials.is_some()),
            ("warmup_epochs", self.warmup_epochs.is_some()),
            ("reduction", self.reduction.is_some()),
        ];
        keys.into_iter().find(|(_, there)| *there).map(|(key, _)| key)
    }
}

/// Reads `[sweep]`.
pub(super) fn read_sweep(document: &Table, model: Option<&str>, file: &str) -> Result<Read, ConfigError> {
    let section: SweepSection = parse_section(document, "sweep", file)?;
    if section.method == SweepMethod::Grid {
        return read_grid(&section, model, file);
    }
    let search = Search::read(&section, model, file)?;
    let (kind, skip_invalid, search) = (ExperimentKind::Sweep, section.skip_invalid, Some(search));
    let (base, section, entries) = (Table::new(), Table::new(), Vec::new());
    let (bootstrap, baseline, ours) = (None, None, None);
    Ok(Read { kind, base, section, entries, skip_invalid, bootstrap, baseline, ours, search })
}

fn read_grid(section: &SweepSection, model: Option<&str>, file: &str) -> Result<Read, ConfigError> {
    if let Some(key) = section.of_searches() {
        let message = "has no effect on a grid; a search has it: sweep.method = \"tpe\" or \"random\"".to_owned();
        return Err(other(file, &format!("sweep.{key}"), message));
    }
    let seeds = seeds(section.seeds.as_ref(), "sweep.seeds", file)?;
    let mut axes: Vec<Axis> = Vec::new();
    for (key, values) in dotted(&section.grid, "sweep.grid", file)? {
        let place = format!("sweep.grid.{key}");
        let values = listed(&values, &place, file)?;
        axes.push(Axis { points: values.into_iter().map(|value| vec![(key.clone(), value)]).collect() });
    }
    for (number, table) in section.together.iter().enumerate() {
        axes.push(together(table, &format!("sweep.together[{number}]"), file)?);
    }
    if axes.is_empty() {
        return Err(ConfigError::missing(file, "sweep", "grid"));
    }
    let keys: Vec<&str> = axes.iter().flat_map(|axis| axis.points[0].iter().map(|(key, _)| key.as_str())).collect();
    if let Some(key) = repeated(&keys) {
        return Err(other(file, "sweep", format!("`{key}` is in the grid more than once")));
    }
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.points.len()));
    if count.and_then(|count| count.checked_mul(seeds.len())).is_none_or(|cells| cells > MAX_CELLS) {
        return Err(other(file, "sweep.grid", format!("has too many combinations; expected at most {MAX_CELLS} runs")));
    }
    let short = short_keys(&keys);
    // The first axis turns slowest, as one would write it down.
    let mut points: Vec<Vec<(String, Value)>> = vec![Vec::new()];
    for axis in &axes {
        points = points.iter().flat_map(|point| axis.points.iter().map(|own| [&point[..], own].concat())).collect();
    }
    let mut entries = Vec::new();
    for settings in points {
        let words = settings.iter().map(|(key, value)| {
            let short = short.iter().find(|(long, _)| long == key).map_or(key.as_str(), |(_, short)| short);
            set_argument(short, value)
        });
        let label = words.collect::<Vec<_>>().join(" ");
        let Some(name) = model_of(&settings, model) else {
            return Err(ConfigError::missing(file, "model", "name"));
        };
        entries.push(Entry { name: name.to_owned(), label, seeds: seeds.clone(), individual: false, settings });
    }
    let skip_invalid = section.skip_invalid;
    let (base, section) = (Table::new(), Table::new());
    let (bootstrap, baseline, ours) = (None, None, None);
    let (kind, search) = (ExperimentKind::Sweep, None);
    Ok(Read { kind, base, section, entries, skip_invalid, bootstrap, baseline, ours, search })
}

/// The model that settings choose, or that all have.
pub(super) fn model_of<'a>(settings: &'a [(String, Value)], shared: Option<&'a str>) -> Option<&'a str> {
    let own = settings.iter().find(|(key, _)| key == "model.name");
    own.and_then(|(_, value)| value.as_str()).or(shared)
}

/// One direction of a grid: the settings at each of its points.
pub(super) struct Axis {
    pub(super) points: Vec<Vec<(String, Value)>>,
}

/// An axis along which several keys move.
pub(super) fn together(table: &Table, place: &str, file: &str) -> Result<Axis, ConfigError> {
    let mut columns = Vec::new();
    for (key, values) in dotted(table, place, file)? {
        let values = list(&values, &format!("{place}.{key}"), file)?;
        columns.push((key, values));
    }
    let Some((first, values)) = columns.first() else {
        return Err(other(file, place, "is empty; expected keys with lists of equal length".to_owned()));
    };
    let length = values.len();
    if let Some((key, values)) = columns.iter().find(|(_, values)| values.len() != length) {
        let expected = format!("{length} values, as many as `{first}` has");
        return Err(ConfigError::value(file, &format!("{place}.{key}"), &expected, &values.len().to_string()));
    }
    let point = |i: usize| columns.iter().map(|(key, values)| (key.clone(), values[i].clone())).collect();
    let points: Vec<Vec<(String, Value)>> = (0..length).map(point).collect();
    if let Some(point) = repeated(&points) {
        let values = point.iter().map(|(key, value)| set_argument(key, value)).collect::<Vec<_>>().join(", ");
        return Err(other(file, place, format!("has the point {values} twice")));
    }
    Ok(Axis { points })
}

/// What a grid has for each key.
const LIST: &str = "a list of different values, such as [1, 2, 4]";

/// The different values of a key.
pub(super) fn listed(value: &Value, place: &str, file: &str) -> Result<Vec<Value>, ConfigError> {
    let values = list(value, place, file)?;
    match repeated(&values) {
        Some(value) => Err(ConfigError::value(file, place, LIST, &format!("{value} twice"))),
        None => Ok(values),
    }
}

/// The values of a key of a grid.
fn list(value: &Value, place: &str, file: &str) -> Result<Vec<Value>, ConfigError> {
    match value {
        Value::Array(values) if values.is_empty() => Err(ConfigError::value(file, place, LIST, "an empty list")),
        Value::Array(values) => Ok(values.clone()),
        Value::Table(table) if table.contains_key("min") && place.starts_with("sweep.grid.") => {
            let expected = format!("{LIST} (ranges are for searches: sweep.method = \"tpe\", and [sweep.space])");
            Err(ConfigError::value(file, place, &expected, "a table"))
        }
        other => Err(ConfigError::value(file, place, LIST, &describe(other))),
    }
}
