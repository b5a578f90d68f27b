//! The page of a comparison: several runs on the same data, told apart by a label, repeated over seeds.

use std::fs;
use std::path::{Path, PathBuf};

use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::chart::{Axis, Figure, Key, Line, LineChart, Mark, Point, Row, RowChart, Shown, number, panels};
use super::super::table::grouped;
use super::CELLS;
use super::page::{decimal, document, figures, name_of, numbers, table};
use super::probes::{cloud, cloud_legend, scenarios_by_samples, silhouette};
use super::read::{PartialResult, Probe, epochs, probes};
use super::sweep::sweep_figures;
use super::trials::trials_figure;
use crate::train::Error;
use crate::train::comparison::ExperimentKind;
use crate::train::evaluation::metrics::Metrics;
use crate::train::evaluation::statistics::Summary;
use crate::train::run::epoch::EpochRecord;

/// Labels that one chart shows, at most: the best ones.
const LABELS: usize = 10;
/// Labels in a chart of each scenario, at most.
const LABELS_BY_SCENARIO: usize = 6;
/// Clouds side by side, at most, and points of each.
const CLOUDS: usize = 6;
const POINTS: usize = 500;

/// A run of the comparison: what there is of a [`CellOutcome`](crate::train::comparison::CellOutcome).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Cell {
    label: Option<String>,
    model: Option<String>,
    seed: Option<u64>,
    folder: Option<PathBuf>,
    pub(super) settings: Map<String, Value>,
    result: PartialResult,
}

impl Cell {
    fn label(&self) -> &str {
        self.label.as_deref().or(self.model.as_deref()).unwrap_or("?")
    }

    fn test(&self, pick: impl Fn(&Metrics) -> Option<f64>) -> Option<f64> {
        self.result.test.as_ref().and_then(pick)
    }

    pub(super) fn test_auc(&self) -> Option<f64> {
        self.test(|test| test.auc)
    }

    fn valid_auc(&self) -> Option<f64> {
        self.result.valid.as_ref()?.auc
    }
}

/// Which rows' AUC puts labels in order. A sweep chooses, which is for validation rows to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Test,
    Validation {
        /// How many seeds a combination must have to be chosen.
        seeds: usize,
    },
}

impl Order {
    fn of(folder: &Path) -> Self {
        let Ok(text) = fs::read_to_string(folder.join(ExperimentKind::Sweep.file())) else { return Self::Test };
        let config: toml::Table = text.parse().unwrap_or_default();
        let seeds = config.get("sweep").and_then(|sweep| sweep.get("seeds")?.as_array());
        Self::Validation { seeds: seeds.map_or(0, Vec::len) }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation { .. } => "validation",
        }
    }

    fn auc(self, label: &Label<'_>) -> Option<Summary> {
        match self {
            Self::Test => label.auc(),
            Self::Validation { .. } => summary(label.cells.iter().map(|cell| cell.valid_auc())),
        }
    }
}

/// Of those numbers that there are; `None` without any.
pub(super) fn summary(values: impl Iterator<Item = Option<f64>>) -> Option<Summary> {
    Summary::of(&values.flatten().collect::<Vec<_>>())
}

/// The runs of one label.
struct Label<'a> {
    name: &'a str,
    cells: Vec<&'a Cell>,
}

impl Label<'_> {
    fn spread(&self, pick: impl Fn(&Metrics) -> Option<f64>) -> Option<Summary> {
        summary(self.cells.iter().map(|cell| cell.test(&pick)))
    }

    fn auc(&self) -> Option<Summary> {
        self.spread(|test| test.auc)
    }

    fn auc_of(&self, scenario: &str) -> Option<Summary> {
        self.spread(|test| test.scenario(scenario)?.auc)
    }

    /// The run of the first seed.
    fn first(&self) -> Option<&Cell> {
        self.cells.iter().copied().min_by_key(|cell| cell.seed)
    }
}

pub(super) fn page(folder: &Path) -> Result<Markup, Error> {
    let cells = read(folder)?;
    let order = Order::of(folder);
    let labels = labels(&cells, order);
    let name = name_of(folder);
    let content = html! {
        h1 { "Comparison: " (name) }
        p.about {
            "Runs on the same data, several seeds of each where there are; the best mean " (order.name()) " AUC first. On a \
             hundred thousand test rows the standard error of one AUC is about 0.0014: smaller differences need several \
             seeds."
        }
        (key_numbers(&cells, &labels, order))
        h2 { "Test rows" }
        (figures(&outcome_figures(&labels), "No cell has a test AUC."))
        @match given_table(folder) {
            Some(theirs) => div.table { (PreEscaped(theirs)) },
            None => (outcome_table(&labels)),
        }
        h2 { "Learning curves" }
        (figures(&learning_curves(&labels), "No run's metrics.jsonl with validation metrics was found."))
        @if let Some(trials) = trials_figure(folder) { h2 { "Search" } (figures(&[trials], "")) }
        @let sweeps = sweep_figures(&cells);
        @if !sweeps.is_empty() { h2 { "AUC by setting" } (figures(&sweeps, "")) }
        @let clouds = clouds(&labels);
        @if !clouds.is_empty() { h2 { "Inside the models" } (figures(&clouds, "")) }
    };
    Ok(document(&format!("{name} – polyscene"), &content))
}

/// The cells of `cells.jsonl`; a last line that is cut off, as of a comparison that is going on, is passed over.
fn read(folder: &Path) -> Result<Vec<Cell>, Error> {
    let path = folder.join(CELLS);
    let text = fs::read_to_string(&path).map_err(Error::file(&path, "reading"))?;
    let mut cells = Vec::new();
    let lines: Vec<(usize, &str)> = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    for &(place, line) in &lines {
        match serde_json::from_str::<Cell>(line) {
            Ok(cell) => cells.push(Cell { folder: cell.folder.map(|own| folder.join(own)), ..cell }),
            Err(_) if place + 1 == lines.len() && !text.ends_with('\n') => {}
            Err(error) => {
                let reason =
                    format!("line {} is no cell ({error}); take it out, or run the comparison again", place + 1);
                return Err(Error::content(&path, reason));
            }
        }
    }
    if cells.is_empty() {
        let reason = "has no cell yet: no run of the comparison is over";
        return Err(Error::content(&path, reason.to_owned()));
    }
    Ok(cells)
}

/// Cells by label, the best mean AUC first.
fn labels(cells: &[Cell], order: Order) -> Vec<Label<'_>> {
    let mut labels: Vec<Label<'_>> = Vec::new();
    for cell in cells {
        match labels.iter_mut().find(|label| label.name == cell.label()) {
            Some(label) => label.cells.push(cell),
            None => labels.push(Label { name: cell.label(), cells: vec![cell] }),
        }
    }
    let auc = |label: &Label<'_>| order.auc(label).map_or(-1.0, |auc| auc.mean);
    labels.sort_by(|a, b| auc(b).total_cmp(&auc(a)));
    labels
}

fn key_numbers(cells: &[Cell], labels: &[Label<'_>], order: Order) -> Markup {
    let mut devices: Vec<&String> = cells.iter().filter_map(|cell| cell.result.device.as_ref()).collect();
    devices.sort();
    devices.dedup();
    let seeds = labels.iter().map(|label| label.cells.len()).max().unwrap_or(0);
    let best = match order {
        Order::Test => labels.first(),
        Order::Validation { seeds } => labels.iter().find(|label| label.cells.len() >= seeds),
    };
    let chosen = best.filter(|_| order != Order::Test);
    let name = |label: &Label<'_>| label.name.to_owned();
    numbers(&[
        ("runs", Some(cells.len().to_string())),
        ("labels", Some(labels.len().to_string())),
        ("seeds, at most", Some(seeds.to_string())),
        ("best", best.filter(|_| chosen.is_none()).map(name)),
        ("best by validation", chosen.map(name)),
        ("its validation AUC", chosen.and_then(|best| order.auc(best)).map(|auc| auc.to_string())),
        ("its test AUC", best.and_then(Label::auc).map(|auc| auc.to_string())),
        ("test rows", cells.first().and_then(|cell| Some(grouped(cell.result.test.as_ref()?.rows)))),
        ("device", (devices.len() == 1).then(|| devices[0].clone())),
    ])
}

/// The scenarios of all labels, those with the most rows first.
fn scenarios(labels: &[Label<'_>]) -> Vec<(String, u64)> {
    let mut names: Vec<(String, u64)> = Vec::new();
    let tests = labels.iter().flat_map(|label| &label.cells).filter_map(|cell| cell.result.test.as_ref());
    for (name, own) in tests.flat_map(|test| &test.scenarios) {
        if !names.iter().any(|(known, _)| known == name) {
            names.push((name.clone(), own.rows));
        }
    }
    names.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    names
}

fn axis_of<'a>(label: &str, rows: impl Iterator<Item = &'a Row>) -> Axis {
    let ends = rows.flat_map(|row| &row.shown).flat_map(|(_, shown, _)| match *shown {
        Shown::Dot { value, spread } => [value - spread.unwrap_or(0.0), value + spread.unwrap_or(0.0)],
        _ => [f64::NAN; 2],
    });
    Axis::around(label, ends)
}

fn dot(mark: Mark, what: &str, found: Option<Summary>) -> (Mark, Shown, String) {
    let (value, spread) = found.map_or((f64::NAN, None), |found| (found.mean, found.deviation));
    let seeds = found.map_or_else(String::new, |found| format!(" ({} seeds)", found.count));
    (mark, Shown::Dot { value, spread }, Row::about(what, value, spread) + &seeds)
}

fn outcome_figures(labels: &[Label<'_>]) -> Vec<Figure> {
    if labels.iter().all(|label| label.auc().is_none()) {
        return Vec::new();
    }
    let how = "A dot is the mean over seeds, its bar one standard deviation to each side (none with one seed).";
    let overall = |title: &str, axis: &str, pick: fn(&Metrics) -> Option<f64>, caption: &str| {
        let row = |label: &Label<'_>| {
            let found = label.spread(pick);
            let note = found.map_or_else(|| "n/a".to_owned(), |found| found.to_string());
            Row { name: label.name.to_owned(), note, shown: vec![dot(Mark::Of(0), axis, found)] }
        };
        let rows: Vec<Row> = labels.iter().map(row).collect();
        let axis = axis_of(axis, rows.iter());
        let picture = RowChart { about: title.to_owned(), axis, rows, wide: false, apart: false }.draw();
        let caption = format!("{caption} {how}");
        Figure { title: title.to_owned(), picture, legend: Vec::new(), caption, wide: false }
    };
    let mut list = vec![overall("Test AUC", "AUC", |test| test.auc, "All test rows, by each run's best epoch.")];
    if labels.iter().any(|label| label.spread(|test| test.logloss).is_some()) {
        let caption = "The same rows and the same order: smaller is better.";
        list.push(overall("Test LogLoss", "LogLoss, nats", |test| test.logloss, caption));
    }
    let scenarios = scenarios(labels);
    if scenarios.len() > 1 {
        list.push(by_scenario(labels, &scenarios, how));
    }
    list
}

fn by_scenario(labels: &[Label<'_>], scenarios: &[(String, u64)], how: &str) -> Figure {
    let shown = &labels[..labels.len().min(LABELS_BY_SCENARIO)];
    let row = |(name, rows): &(String, u64)| {
        let dots = shown.iter().enumerate().map(|(place, label)| dot(Mark::Of(place), label.name, label.auc_of(name)));
        Row { name: name.clone(), note: format!("{} rows", grouped(*rows)), shown: dots.collect() }
    };
    let rows: Vec<Row> = scenarios.iter().map(row).collect();
    let some = if shown.len() < labels.len() {
        format!(" The {} best labels of {}; the table has all.", shown.len(), labels.len())
    } else {
        String::new()
    };
    let axis = axis_of("AUC", rows.iter());
    let title = "Test AUC by scenario".to_owned();
    let picture = RowChart { about: title.clone(), axis, rows, wide: true, apart: true }.draw();
    let caption = format!("The AUC within each scenario's test rows; scenarios with many rows first. {how}{some}");
    Figure { title, picture, legend: legend(shown, Key::Dot), caption, wide: true }
}

fn legend(labels: &[Label<'_>], key: fn(Mark) -> Key) -> Vec<(Key, String)> {
    labels.iter().enumerate().map(|(place, label)| (key(Mark::Of(place)), label.name.to_owned())).collect()
}

fn outcome_table(labels: &[Label<'_>]) -> Markup {
    let scenarios = scenarios(labels);
    // A table of fifty columns is no table; the charts have them all.
    let shown = &scenarios[..scenarios.len().min(8)];
    let mut heads = vec!["label", "seeds", "AUC", "LogLoss", "GAUC"];
    heads.extend(shown.iter().map(|(name, _)| name.as_str()));
    let text = |found: Option<Summary>| found.map_or_else(|| "n/a".to_owned(), |found| found.to_string());
    let line = |label: &Label<'_>| {
        let mut cells = vec![label.name.to_owned(), label.cells.len().to_string(), text(label.auc())];
        cells.extend([text(label.spread(|test| test.logloss)), text(label.spread(|test| test.gauc))]);
        cells.extend(shown.iter().map(|(name, _)| decimal(label.auc_of(name).map(|auc| auc.mean))));
        cells
    };
    table(&heads, &labels.iter().map(line).collect::<Vec<_>>(), false)
}

/// What the comparison's `table.html` holds, if there is one: the whole of it where it is made to stand in a page, else
/// its tables alone.
fn given_table(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("table.html")).ok()?;
    if text.trim_start().starts_with("<section") && !text.contains("<script") {
        return Some(text);
    }
    let (start, end) = (text.find("<table")?, text.rfind("</table>")? + "</table>".len());
    text.get(start..end).map(str::to_owned)
}

/// Validation AUC by epoch, the mean over seeds.
fn learning_curves(labels: &[Label<'_>]) -> Vec<Figure> {
    let shown = &labels[..labels.len().min(LABELS)];
    let runs: Vec<Vec<Vec<EpochRecord>>> = shown
        .iter()
        .map(|label| {
            let folders = label.cells.iter().filter_map(|cell| cell.folder.as_ref());
            folders.map(|folder| epochs(&folder.join("metrics.jsonl"))).filter(|epochs| !epochs.is_empty()).collect()
        })
        .collect();
    let some = if shown.len() < labels.len() {
        format!(" The {} best labels of {}.", shown.len(), labels.len())
    } else {
        String::new()
    };
    let chart = |title: &str, axis: &str, pick: fn(&Metrics) -> Option<f64>| {
        let line = |(place, (label, runs)): (usize, (&Label<'_>, &Vec<Vec<EpochRecord>>))| {
            let longest = runs.iter().filter_map(|run| run.last()).map(|epoch| epoch.epoch).max().unwrap_or(0);
            let point = |number: u32| {
                let of =
                    |run: &Vec<EpochRecord>| pick(run.iter().rfind(|epoch| epoch.epoch == number)?.valid.as_ref()?);
                let found = summary(runs.iter().map(of));
                let seeds = found.map_or(0, |found| found.count);
                let mean = found.map_or(f64::NAN, |found| found.mean);
                let about = format!("epoch {number}: {axis} {} ({seeds} runs)", super::super::chart::number(mean));
                Point { x: number.into(), y: mean, spread: None, about }
            };
            Line { name: label.name.to_owned(), mark: Mark::Of(place), points: (1..=longest).map(point).collect() }
        };
        let lines: Vec<Line> = shown.iter().zip(&runs).enumerate().map(line).collect();
        let points = || lines.iter().flat_map(|line| &line.points).filter(|point| point.y.is_finite());
        points().next()?;
        let last = points().map(|point| point.x as u64).max()?;
        let (x, y) = (Axis::counted("epoch", 1, last.max(1)), Axis::around(axis, points().map(|point| point.y)));
        let picture = LineChart { about: title.to_owned(), x, y, lines, marked: None, diagonal: false }.draw();
        let caption = format!(
            "Validation rows after each epoch, the mean over those runs of a label that got so far: where some stop early, \
             the mean goes on without them.{some}"
        );
        Some(Figure { title: title.to_owned(), picture, legend: legend(shown, Key::Line), caption, wide: false })
    };
    let auc = chart("Validation AUC", "AUC", |scores| scores.auc);
    let logloss = chart("Validation LogLoss", "LogLoss, nats", |scores| scores.logloss);
    [auc, logloss].into_iter().flatten().collect()
}

/// Clouds of the last vectors that each label's first run looked into, side by side.
fn clouds(labels: &[Label<'_>]) -> Vec<Figure> {
    let last = |label: &Label<'_>| {
        let folder = label.first()?.folder.as_ref()?;
        probes(&folder.join("analysis")).into_iter().rfind(|probe| probe.distribution.is_none())
    };
    let found: Vec<(&str, Probe)> =
        labels.iter().filter_map(|label| Some((label.name, last(label)?))).take(CLOUDS).collect();
    let names = scenarios_by_samples(&found.iter().map(|(_, probe)| &probe.samples).collect::<Vec<_>>());
    let panel = |(label, probe): &(&str, Probe)| {
        let words = silhouette(probe).map_or_else(String::new, |value| format!(", silhouette {value:.3}"));
        cloud(probe, &names, POINTS, format!("{label}: {}{words}", probe.name))
    };
    let drawn: Vec<_> = found.iter().filter_map(panel).collect();
    if drawn.is_empty() {
        return Vec::new();
    }
    let caption = "t-SNE of samples of the last weighting matrix (or representation) that each label's model has, of its \
                   first seed, coloured by scenario: samples with similar values lie near each other. The silhouette says \
                   how far scenarios lie apart in the space of all values: 1 is far apart, 0 is within one another. In \
                   MI-DPG's paper: figure 2b and 2d, without and with its regulariser."
        .to_owned();
    let title = "Scenarios inside the models".to_owned();
    let picture = panels(&title, &drawn);
    vec![Figure { title, picture, legend: cloud_legend(&names), caption, wide: drawn.len() > 1 }]
}

/// A setting's value, for people.
pub(super) fn setting_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(own) => own.as_f64().map_or_else(|| own.to_string(), number),
        other => other.to_string(),
    }
}
