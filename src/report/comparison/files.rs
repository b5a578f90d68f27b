//! The files of a comparison: tables for people, and every number for programs.

use std::path::Path;

use super::{html, text};
use crate::report::table::TableStyle;
use crate::train::Error;
use crate::train::comparison::{CellOutcome, Comparison, Score, Scores, Summaries, summarise};
use crate::train::evaluation::metrics::Metrics;
use crate::train::evaluation::statistics::PairedTest;
use crate::train::run::folder::write_text;

/// Writes all tables of the cells that are finished in `root`, and gives the summary back.
///
/// # Errors
/// When a cell's files cannot be read, or a table cannot be written.
pub fn write_files(comparison: &Comparison, root: &Path) -> Result<Summaries, Error> {
    let outcomes = comparison.outcomes(root)?;
    let summaries = summarise(comparison, &outcomes, comparison.searched(root)?);
    let mut markdown = text(&summaries, TableStyle::Markdown);
    markdown.push('\n');
    let all = [
        ("table.md", markdown),
        ("table.html", html(&summaries)),
        ("table.csv", models_csv(&summaries)),
        ("cells.csv", cells_csv(comparison, &outcomes)),
        ("cells.jsonl", cells_jsonl(&outcomes)),
    ];
    for (name, content) in all {
        write_text(&root.join(name), &content)?;
    }
    Ok(summaries)
}

/// Heads with the values of each line under them, all of full precision; what there is not is empty.
#[derive(Default)]
struct Lines {
    heads: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl Lines {
    /// Begins a line.
    fn begin(&mut self) {
        self.lines.push(Vec::new());
    }

    /// The next value of the line; the first line names the columns.
    fn value(&mut self, head: &str, value: Option<impl ToString>) {
        if self.lines.len() == 1 {
            self.heads.push(head.to_owned());
        }
        if let Some(line) = self.lines.last_mut() {
            line.push(value.map(|value| value.to_string()).unwrap_or_default());
        }
    }

    fn score(&mut self, head: &str, score: Score) {
        self.value(&format!("{head}_mean"), score.map(|score| score.mean));
        self.value(&format!("{head}_sd"), score.and_then(|score| score.deviation));
    }

    fn scores(&mut self, head: &str, scores: &Scores) {
        self.score(&format!("{head}_auc"), scores.auc);
        self.score(&format!("{head}_logloss"), scores.logloss);
    }

    fn test(&mut self, head: &str, test: Option<PairedTest>) {
        self.value(&format!("{head}_t"), test.map(|test| test.t));
        self.value(&format!("{head}_p"), test.map(|test| test.p));
        self.value(&format!("{head}_pairs"), test.map(|test| test.pairs));
    }

    fn metrics(&mut self, head: &str, metrics: Option<&Metrics>) {
        self.value(&format!("{head}_auc"), metrics.and_then(|metrics| metrics.auc));
        self.value(&format!("{head}_logloss"), metrics.and_then(|metrics| metrics.logloss));
    }

    fn csv(self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for line in std::iter::once(&self.heads).chain(&self.lines).filter(|line| !line.is_empty()) {
            // A list of texts of equal lengths into memory: nothing can fail.
            writer.write_record(line).expect("lines are of equal lengths");
        }
        String::from_utf8(writer.into_inner().expect("memory can be written")).expect("texts are UTF-8")
    }
}

/// `table.csv`: a line for each model.
pub fn models_csv(summaries: &Summaries) -> String {
    let mut lines = Lines::default();
    for standing in &summaries.standings {
        lines.begin();
        lines.value("label", Some(&standing.label));
        lines.value("model", Some(&standing.model));
        lines.value("ours", Some(standing.ours));
        lines.value("seeds", Some(standing.seeds[0]));
        lines.value("seeds_wanted", Some(standing.seeds[1]));
        lines.scores("test", &standing.test);
        lines.score("test_gauc", standing.test.gauc);
        lines.scores("valid", &standing.valid);
        lines.score("valid_gauc", standing.valid.gauc);
        for (name, scores) in summaries.scenarios.iter().zip(&standing.scenarios) {
            lines.scores(&format!("test[{name}]"), scores);
        }
        lines.value("relaimpr", standing.improvement);
        lines.test("against_baseline", standing.against_baseline);
        if summaries.standings.iter().any(|standing| standing.difference.is_some()) {
            let difference = standing.difference;
            lines.value("bootstrap_auc_less_baseline", difference.map(|own| own.auc));
            lines.value("bootstrap_auc_low", difference.map(|own| own.interval.low));
            lines.value("bootstrap_auc_high", difference.map(|own| own.interval.high));
            lines.value("bootstrap_seeds", difference.map(|own| own.seeds));
        }
        lines.value("ahead_of_best_baseline", standing.ahead_of_best);
        lines.test("against_best_baseline", standing.against_best);
        let costs = &standing.costs;
        lines.value("parameters", costs.parameters);
        lines.value("embedding_parameters", costs.embedding_parameters);
        lines.value("train_rows_per_second", costs.rows_per_second);
        lines.value("train_seconds", costs.train_seconds);
        lines.value("peak_memory_bytes", costs.peak_memory_bytes);
        lines.value("device_memory_bytes", costs.device_memory_bytes);
    }
    lines.csv()
}

/// `cells.csv`: a line for each cell; those that are not finished have no numbers.
pub fn cells_csv(comparison: &Comparison, outcomes: &[CellOutcome]) -> String {
    let mut scenarios: Vec<&str> = Vec::new();
    for (name, _) in outcomes.iter().flat_map(|outcome| &outcome.result.test.scenarios) {
        if !scenarios.contains(&name.as_str()) {
            scenarios.push(name);
        }
    }
    let mut lines = Lines::default();
    for cell in comparison.cells() {
        let label = &cell.variant.label;
        let result = outcomes.iter().find(|outcome| outcome.label == *label && outcome.seed == cell.seed);
        let result = result.map(|outcome| &outcome.result);
        lines.begin();
        lines.value("label", Some(label));
        lines.value("model", Some(cell.variant.config.model_name()));
        lines.value("seed", Some(cell.seed));
        lines.value("folder", Some(cell.folder()));
        lines.value("settings", Some(cell.variant.set_arguments().join(" ")));
        lines.value("finished", Some(result.is_some()));
        lines.value("device", result.map(|result| &result.device));
        lines.value("epochs", result.map(|result| result.epochs));
        lines.value("best_epoch", result.map(|result| result.best_epoch));
        lines.value("steps", result.map(|result| result.steps));
        lines.metrics("test", result.map(|result| &result.test));
        lines.value("test_gauc", result.and_then(|result| result.test.gauc));
        lines.value("test_calibration", result.and_then(|result| result.test.calibration));
        lines.metrics("valid", result.and_then(|result| result.valid.as_ref()));
        for name in &scenarios {
            lines.metrics(&format!("test[{name}]"), result.and_then(|result| result.test.scenario(name)));
        }
        lines.value("parameters", result.map(|result| result.parameters));
        lines.value("embedding_parameters", result.map(|result| result.embedding_parameters));
        lines.value("train_rows_per_second", result.and_then(|result| result.train_rows_per_second));
        lines.value("train_seconds", result.and_then(|result| result.train_seconds));
        lines.value("peak_memory_bytes", result.and_then(|result| result.peak_memory_bytes));
        lines.value("device_memory_bytes", result.and_then(|result| result.device_memory_bytes));
    }
    lines.csv()
}

/// `cells.jsonl`: a line for each finished cell.
pub fn cells_jsonl(outcomes: &[CellOutcome]) -> String {
    let line = |outcome: &CellOutcome| {
        let mut line = serde_json::to_string(outcome).expect("texts and numbers are JSON");
        line.push('\n');
        line
    };
    outcomes.iter().map(line).collect()
}
