//! A comparison as the papers print it: a row per model, means ± deviations over seeds, the best in bold, the second
//! best underlined; for terminals, as Markdown, HTML and CSV.

mod files;
mod html;
mod trials;

pub use files::{cells_csv, cells_jsonl, models_csv, write_files};
pub use html::html;

use crate::data::shortened;
use crate::report::table::{MISSING, Mark, Marked, TableStyle, draw_marked, escaped_markdown, grouped};
use crate::train::comparison::{ExperimentKind, Score, Scores, Standing, Summaries};
use crate::train::evaluation::bootstrap::{Difference, Unit};
use crate::train::evaluation::statistics::PairedTest;

/// Columns of scenarios that stand side by side on a terminal.
const SCENARIOS: usize = 8;

/// One table: a title, heads, and a line for each model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it shows.
    pub title: String,
    /// Heads of the columns; the first is that of the labels.
    pub heads: Vec<String>,
    /// A line for each model.
    pub lines: Vec<Vec<Marked>>,
}

/// A column of a table.
struct Column {
    head: String,
    cells: Vec<Marked>,
}

impl Column {
    fn new(head: impl Into<String>, cells: impl Iterator<Item = String>) -> Column {
        Column { head: head.into(), cells: cells.map(Marked::from).collect() }
    }

    /// A column of a metric: its best and second best means stand out.
    fn of_scores(head: impl Into<String>, scores: &[Score], larger_is_better: bool) -> Column {
        let better = |a: f64, b: f64| if larger_is_better { a > b } else { a < b };
        let means: Vec<f64> = scores.iter().flatten().map(|score| score.mean).collect();
        let best_of = |means: &mut dyn Iterator<Item = f64>| means.reduce(|a, b| if better(b, a) { b } else { a });
        let best = best_of(&mut means.iter().copied());
        let second = best_of(&mut means.iter().copied().filter(|&mean| Some(mean) != best));
        let mark = |score: &Score| match score.map(|score| score.mean) {
            // One model has no one to be better than.
            Some(mean) if means.len() > 1 && Some(mean) == best => Mark::Best,
            Some(mean) if Some(mean) == second => Mark::Second,
            _ => Mark::None,
        };
        let cell = |score: &Score| Marked { text: score_text(score), mark: mark(score) };
        Column { head: head.into(), cells: scores.iter().map(cell).collect() }
    }
}

fn part(title: impl Into<String>, summaries: &Summaries, columns: Vec<Column>) -> Part {
    let first = match summaries.kind {
        ExperimentKind::Compare => "model",
        ExperimentKind::Sweep if summaries.search.is_some() => "trial",
        ExperimentKind::Sweep => "combination",
    };
    let heads = std::iter::once(first.to_owned()).chain(columns.iter().map(|column| column.head.clone())).collect();
    let line = |(row, standing): (usize, &Standing)| {
        let cells = columns.iter().map(|column| column.cells[row].clone());
        std::iter::once(Marked::from(standing.label.clone())).chain(cells).collect()
    };
    let lines = summaries.standings.iter().enumerate().map(line).collect();
    Part { title: title.into(), heads, lines }
}

/// The tables of a comparison, with at most `scenarios` scenarios side by side.
pub fn parts(summaries: &Summaries, scenarios: usize) -> Vec<Part> {
    let standings = &summaries.standings;
    let scores = |head: &str, pick: &dyn Fn(&Standing) -> Score, larger: bool| {
        Column::of_scores(head, &standings.iter().map(pick).collect::<Vec<_>>(), larger)
    };
    let has = |pick: &dyn Fn(&Standing) -> bool| standings.iter().any(pick);
    let seeds = standings.iter().map(|standing| match standing.seeds {
        [done, wanted] if done == wanted => done.to_string(),
        [done, wanted] => format!("{done} of {wanted}"),
    });
    // A trial is one run.
    let mut columns: Vec<Column> =
        summaries.search.is_none().then(|| Column::new("seeds", seeds)).into_iter().collect();
    if summaries.kind == ExperimentKind::Sweep {
        columns.push(scores("valid AUC", &|standing| standing.valid.auc, true));
        columns.push(scores("valid LogLoss", &|standing| standing.valid.logloss, false));
    }
    let before = if summaries.kind == ExperimentKind::Sweep { "test " } else { "" };
    columns.push(scores(&format!("{before}AUC"), &|standing| standing.test.auc, true));
    columns.push(scores(&format!("{before}LogLoss"), &|standing| standing.test.logloss, false));
    if has(&|standing| standing.test.gauc.is_some()) {
        columns.push(scores(&format!("{before}GAUC"), &|standing| standing.test.gauc, true));
    }
    if summaries.kind == ExperimentKind::Compare {
        columns.extend(comparing(summaries));
    }
    let mut parts: Vec<Part> = summaries.search.as_ref().map(trials::part).into_iter().collect();
    parts.push(part("Test rows", summaries, columns));
    if summaries.scenarios.len() > 1 {
        let numbered: Vec<(usize, &String)> = summaries.scenarios.iter().enumerate().collect();
        for (metric, pick, larger) in
            [("AUC", (|scores| scores.auc) as fn(&Scores) -> Score, true), ("LogLoss", |scores| scores.logloss, false)]
        {
            for (number, chunk) in numbered.chunks(scenarios.max(1)).enumerate() {
                let mut columns = Vec::new();
                if number == 0 {
                    columns.push(scores("all", &|standing| pick(&standing.test), larger));
                }
                let own = |&(i, name): &(usize, &String)| {
                    scores(&shortened(name), &|standing| pick(&standing.scenarios[i]), larger)
                };
                columns.extend(chunk.iter().map(own));
                let title = match number {
                    0 => format!("Test {metric} by scenario"),
                    _ => format!("Test {metric} by scenario, continued"),
                };
                parts.push(part(title, summaries, columns));
            }
        }
    }
    parts.push(part("Costs", summaries, costs(standings)));
    parts
}

/// Columns that set models against the baseline, and ours against the best of the baselines.
fn comparing(summaries: &Summaries) -> Vec<Column> {
    let standings = &summaries.standings;
    let baseline = summaries.baseline.as_deref().unwrap_or_default();
    let beside = |standing: &Standing, text: String| if standing.label == baseline { String::new() } else { text };
    let improvement =
        standings.iter().map(|standing| beside(standing, standing.improvement.map_or(MISSING.to_owned(), percent)));
    let p = |test: &Option<PairedTest>| test.map_or(MISSING.to_owned(), |test| p_text(test.p));
    let against = standings.iter().map(|standing| beside(standing, p(&standing.against_baseline)));
    let mut columns =
        vec![Column::new("RelaImpr", improvement), Column::new(format!("p, against {baseline}"), against)];
    if standings.iter().any(|standing| standing.difference.is_some()) {
        let text = |standing: &Standing| {
            standing.difference.map_or(MISSING.to_owned(), |Difference { auc, interval, .. }| {
                format!("{auc:+.4} ({:+.4} to {:+.4})", interval.low, interval.high)
            })
        };
        let differences = standings.iter().map(|standing| beside(standing, text(standing)));
        columns.push(Column::new(format!("AUC, less {baseline}'s (95 %)"), differences));
    }
    if let Some(best) = summaries.best_baseline.as_deref().filter(|_| standings.iter().any(|own| own.ours)) {
        let ours = |standing: &Standing, text: String| if standing.ours { text } else { String::new() };
        let ahead = standings.iter().map(|standing| {
            ours(standing, standing.ahead_of_best.map_or(MISSING.to_owned(), |ahead| format!("{ahead:+.4}")))
        });
        // The interval's column has the difference to the baseline already.
        if best != baseline || standings.iter().all(|standing| standing.difference.is_none()) {
            columns.push(Column::new(format!("AUC, less {best}'s"), ahead));
        }
        if best != baseline {
            let tests = standings.iter().map(|standing| ours(standing, p(&standing.against_best)));
            columns.push(Column::new(format!("p, against {best}"), tests));
        }
    }
    columns
}

fn costs(standings: &[Standing]) -> Vec<Column> {
    let count = |pick: fn(&Standing) -> Option<usize>| {
        standings.iter().map(move |standing| pick(standing).map_or(MISSING.to_owned(), |value| grouped(value as u64)))
    };
    let number = |pick: fn(&Standing) -> Option<f64>, places: usize| {
        standings.iter().map(move |standing| match pick(standing) {
            Some(value) if places == 0 => grouped(value.round() as u64),
            Some(value) => format!("{value:.places$}"),
            None => MISSING.to_owned(),
        })
    };
    let memory = |pick: fn(&Standing) -> Option<u64>| {
        let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
        standings.iter().map(move |standing| pick(standing).map_or(MISSING.to_owned(), mib))
    };
    let mut columns = vec![
        Column::new("dense parameters", count(|standing| standing.costs.parameters)),
        Column::new("in embeddings", count(|standing| standing.costs.embedding_parameters)),
        Column::new("samples/s", number(|standing| standing.costs.rows_per_second, 0)),
        Column::new("training s", number(|standing| standing.costs.train_seconds, 1)),
        Column::new("peak memory", memory(|standing| standing.costs.peak_memory_bytes)),
    ];
    if standings.iter().any(|standing| standing.costs.device_memory_bytes.is_some()) {
        columns.push(Column::new("on the GPU", memory(|standing| standing.costs.device_memory_bytes)));
    }
    columns
}

/// What a reader has to know to read the tables, a sentence or two each. `marked` says whether the best cells stand out.
pub fn notes(summaries: &Summaries, marked: bool) -> Vec<String> {
    let mut first =
        "Mean ± sample standard deviation over seeds, on the test rows, with the weights of each run's best \
                     validation epoch."
            .to_owned();
    if let Some(search) = &summaries.search {
        first = trials::note(search);
    }
    if marked {
        first += " Best mean in bold, second best underlined.";
    }
    let mut notes = vec![first];
    if let Some(baseline) = &summaries.baseline {
        notes.push(format!(
            "RelaImpr: (AUC − 0.5) / (AUC of {baseline} − 0.5) − 1, of the mean AUCs. p: two-sided paired t-test of test \
             AUCs over common seeds, not corrected for several tests; {MISSING} with fewer than two common seeds, or where \
             all differences are equal."
        ));
    }
    let difference = summaries.standings.iter().find_map(|standing| standing.difference);
    if let (Some(baseline), Some(Difference { resamples, by, units, .. })) = (&summaries.baseline, difference) {
        let (resamples, units) = (grouped(resamples as u64), grouped(units as u64));
        let of = match by {
            Unit::Rows => format!("the {units} test rows"),
            Unit::Users => format!("the test rows' {units} users"),
        };
        notes.push(format!(
            "AUC, less {baseline}'s: the mean over common seeds, and its 95 % interval over {resamples} bootstrap resamples of \
             {of}, the same for both models. It says how far the difference would move on other test rows; p says whether \
             other seeds would turn it around on these."
        ));
    }
    if let Some(best) = summaries.best_baseline.as_deref().filter(|_| summaries.standings.iter().any(|own| own.ours)) {
        let (baselines, plural) = (summaries.baselines.join(", "), summaries.baselines.len() != 1);
        let ours: Vec<&str> = summaries.standings.iter().filter(|own| own.ours).map(|own| own.label.as_str()).collect();
        notes.push(match plural {
            true => format!(
                "Ours ({}) are tested against {best}, the best baseline: the one with the highest mean test AUC among \
                 {baselines}.",
                ours.join(", ")
            ),
            false => format!("Ours ({}) are tested against {best}, the only baseline.", ours.join(", ")),
        });
    }
    if summaries.kind == ExperimentKind::Sweep {
        let ordered = match summaries.search {
            Some(_) => "The other tables are ordered by validation AUC",
            None => "Ordered by mean validation AUC",
        };
        notes.push(format!("{ordered}, which chooses; test columns are there to look at."));
    }
    notes.push(
        "samples/s: training rows per second, median over epochs, mean over seeds. Peak memory: main memory of the \
         process, most of all seeds."
            .to_owned(),
    );
    notes.extend(match &summaries.devices[..] {
        [] => None,
        [device] => Some(format!("Device: {device}.")),
        devices => Some(format!("Runs had different devices ({}): speeds do not compare.", devices.join("; "))),
    });
    if summaries.missing() > 0 {
        let (missing, runs) = (summaries.missing(), if summaries.missing() == 1 { "run" } else { "runs" });
        let why = match summaries.search.as_ref().and_then(|search| search.hours) {
            Some(hours) => format!(" (no trial begins after sweep.hours = {hours} of training)"),
            None => String::new(),
        };
        notes.push(format!("Not finished yet: {missing} {runs}{why}."));
    }
    if !summaries.skipped.is_empty() {
        const SHOWN: usize = 20;
        let shown = summaries.skipped[..summaries.skipped.len().min(SHOWN)].join(", ");
        let more = match summaries.skipped.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        notes.push(format!("Left out, as they cannot be trained: {shown}{more}."));
    }
    notes
}

/// The tables one after another, as text; notes follow in Markdown, where the file has to speak for itself.
pub fn text(summaries: &Summaries, style: TableStyle) -> String {
    let side_by_side = if style == TableStyle::Markdown { usize::MAX } else { SCENARIOS };
    let mut blocks = Vec::new();
    for Part { title, heads, lines } in parts(summaries, side_by_side) {
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let table = draw_marked(&heads, &lines, style);
        blocks.push(match style {
            TableStyle::Markdown => format!("### {title}\n\n{table}"),
            _ => format!("{title}\n{table}"),
        });
    }
    match style {
        TableStyle::Markdown => blocks.extend(notes(summaries, true).into_iter().map(|note| escaped_markdown(&note))),
        _ => blocks.push(notes(summaries, style == TableStyle::Terminal).join("\n")),
    }
    blocks.join("\n\n")
}

fn score_text(score: &Score) -> String {
    score.map_or_else(|| MISSING.to_owned(), |score| score.to_string())
}

fn percent(fraction: f64) -> String {
    format!("{:+.2} %", 100.0 * fraction)
}

/// A probability with three digits, however small.
fn p_text(p: f64) -> String {
    match p {
        p if p >= 0.0005 => format!("{p:.3}"),
        p if p > 0.0 => format!("{p:.1e}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests;
