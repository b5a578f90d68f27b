//! What pages read of a run's folder. Reading is lenient: a file that is not there, or a number that is missing or `null`,
//! leaves out what would show it; the folder may be of a run that is still going on, or of another version.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use xxhash_rust::xxh3::xxh3_64;

use crate::data::shortened;
use crate::train::evaluation::importance::Importance;
use crate::train::evaluation::metrics::Metrics;
use crate::train::run::epoch::EpochRecord;

/// What there is of a run's [`RunResult`](crate::train::run::result::RunResult).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PartialResult {
    pub(super) model: Option<String>,
    pub(super) device: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) epochs: Option<u64>,
    pub(super) best_epoch: Option<u64>,
    pub(super) steps: Option<u64>,
    pub(super) parameters: Option<u64>,
    pub(super) embedding_rows: Option<u64>,
    #[serde(deserialize_with = "readable_metrics")]
    pub(super) test: Option<Metrics>,
    #[serde(deserialize_with = "readable_metrics")]
    pub(super) valid: Option<Metrics>,
    #[serde(deserialize_with = "readable_metrics")]
    pub(super) best_reachable: Option<Metrics>,
}

fn readable_metrics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Metrics>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(with_readable_names))
}

fn with_readable_names(mut metrics: Metrics) -> Metrics {
    for (name, _) in &mut metrics.scenarios {
        *name = readable(&*name);
    }
    metrics.ctr = metrics.ctr.map(|ctr| Box::new(with_readable_names(*ctr)));
    metrics.cvr = metrics.cvr.map(|cvr| Box::new(with_readable_names(*cvr)));
    metrics
}

/// A name as a page shows it: cut where it is very long, and still another one than others that begin alike.
fn readable(name: impl AsRef<str>) -> String {
    let name = name.as_ref();
    let shown = shortened(name);
    if shown == name { shown } else { format!("{shown}{:04x}", xxh3_64(name.as_bytes()) & 0xffff) }
}

/// A line of `calibration.csv`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bin {
    pub(super) rows: f64,
    /// Where rows have weights their sum, else their number.
    pub(super) weight: f64,
    /// Where rows have weights, how many rows of equal weights would tell as much, else their number.
    pub(super) effective_rows: f64,
    pub(super) predicted: f64,
    pub(super) observed: f64,
}

/// Samples of a probe: each one's scenario, and vectors of one length.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    pub(super) scenarios: Vec<String>,
    pub(super) vectors: Vec<Vec<f32>>,
}

/// A table of `analysis/`.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) heads: Vec<String>,
    pub(super) lines: Vec<Vec<String>>,
}

/// What the model's paper looks into, of one place in the model.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Such as `weighting.0`.
    pub(super) name: String,
    pub(super) samples: Samples,
    pub(super) similarity: Option<Table>,
    pub(super) separation: Option<Table>,
    pub(super) distribution: Option<Table>,
}

/// A run's folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// `result.json`; empty before the run is over.
    pub(super) result: PartialResult,
    pub(super) epochs: Vec<EpochRecord>,
    /// `config.toml`, as it is written.
    pub(super) config: String,
    /// The calibration of all test rows.
    pub(super) calibration: Vec<Bin>,
    /// And of each scenario that has some.
    pub(super) scenario_calibration: Vec<(String, Vec<Bin>)>,
    pub(super) probes: Vec<Probe>,
    /// `importance.json`, where that was computed.
    pub(super) importance: Option<Importance>,
}

impl Run {
    pub(super) fn read(folder: &Path) -> Self {
        let calibration = table(&folder.join("calibration.csv"));
        let (all, scenarios) = calibration.map(curves).unwrap_or_default();
        Self {
            result: serde_json::from_str(&text(&folder.join("result.json"))).unwrap_or_default(),
            epochs: epochs(&folder.join("metrics.jsonl")),
            config: text(&folder.join("config.toml")),
            calibration: all,
            scenario_calibration: scenarios,
            probes: probes(&folder.join("analysis")),
            importance: importance(&folder.join("importance.json")),
        }
    }

    /// A key of `config.toml`, as text.
    pub(super) fn setting(&self, section: &str, key: &str) -> Option<String> {
        let config: toml::Table = toml::from_str(&self.config).ok()?;
        let value = config.get(section)?.get(key)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// The best epoch, from 1.
    pub(super) fn best_epoch(&self) -> Option<u64> {
        self.epochs.iter().rfind(|epoch| epoch.best).map(|epoch| u64::from(epoch.epoch))
    }
}

fn importance(path: &Path) -> Option<Importance> {
    let mut found: Importance = serde_json::from_str(&text(path)).ok()?;
    for own in &mut found.columns {
        own.column = readable(&own.column);
    }
    Some(found)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The epochs of `metrics.jsonl`.
pub(super) fn epochs(path: &Path) -> Vec<EpochRecord> {
    let epoch = |line| {
        let record: EpochRecord = serde_json::from_str(line).ok()?;
        Some(EpochRecord { valid: record.valid.map(with_readable_names), ..record })
    };
    text(path).lines().filter_map(epoch).collect()
}

fn table(path: &Path) -> Option<Table> {
    let mut reader = csv::Reader::from_path(path).ok()?;
    let heads = reader.headers().ok()?.iter().map(readable).collect();
    let lines = reader.records().filter_map(Result::ok).map(|line| line.iter().map(readable).collect());
    Some(Table { heads, lines: lines.collect() })
}

impl Table {
    /// A cell by its column's head.
    pub(super) fn cell<'a>(&self, line: &'a [String], head: &str) -> Option<&'a str> {
        let place = self.heads.iter().position(|known| known == head)?;
        line.get(place).map(String::as_str)
    }

    /// A cell that is a finite number.
    pub(super) fn number(&self, line: &[String], head: &str) -> Option<f64> {
        self.cell(line, head)?.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

type Curves = (Vec<Bin>, Vec<(String, Vec<Bin>)>);

fn curves(table: Table) -> Curves {
    let (mut all, mut scenarios): Curves = Default::default();
    for line in &table.lines {
        let numbers = ["rows", "predicted", "observed"].map(|head| table.number(line, head));
        let [Some(rows), Some(predicted), Some(observed)] = numbers else { continue };
        let [weight, effective_rows] =
            ["weight", "effective_rows"].map(|head| table.number(line, head).unwrap_or(rows));
        let bin = Bin { rows, weight, effective_rows, predicted, observed };
        let name = table.cell(line, "scenario").unwrap_or_default();
        match (table.cell(line, "group"), scenarios.last_mut()) {
            (Some("all"), _) => all.push(bin),
            (_, Some((last, bins))) if last == name => bins.push(bin),
            _ => scenarios.push((name.to_owned(), vec![bin])),
        }
    }
    (all, scenarios)
}

/// The probes of a folder `analysis`, by name; layers by their number.
pub(super) fn probes(folder: &Path) -> Vec<Probe> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix("-samples.csv")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort_by_cached_key(|name| match name.rsplit_once('.') {
        Some((stem, layer)) if layer.parse::<u32>().is_ok() => (stem.to_owned(), layer.parse().unwrap_or(0)),
        _ => (name.clone(), 0_u32),
    });
    let probe = |name: String| {
        let file = |what: &str| table(&folder.join(format!("{name}-{what}.csv")));
        Probe {
            samples: samples(&folder.join(format!("{name}-samples.csv"))),
            similarity: file("similarity"),
            separation: file("separation"),
            distribution: file("distribution"),
            name,
        }
    };
    names.into_iter().map(probe).collect()
}

fn samples(path: &Path) -> Samples {
    let mut found = Samples::default();
    let Ok(mut reader) = csv::Reader::from_path(path) else { return found };
    let mut line = csv::StringRecord::new();
    while reader.read_record(&mut line).unwrap_or(false) {
        let Some(scenario) = line.get(0) else { continue };
        let numbers = line.iter().skip(2).map(str::parse);
        if let Ok(vector) = numbers.collect::<Result<Vec<f32>, _>>() {
            found.scenarios.push(readable(scenario));
            found.vectors.push(vector);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        assert_eq!(readable("DE"), "DE");
        let [one, two] = ["x", "y"].map(|end| readable("n".repeat(10_000_000) + end));
        assert!(one != two && one.chars().count() < 50, "{one} {two}");
    }
}
