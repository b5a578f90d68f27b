//! The page of one run.

use std::path::Path;

use maud::{Markup, html};

use super::super::chart::{Axis, Figure, Key, Line, LineChart, Mark, Point, Row, RowChart, Shown, number};
use super::super::table::{grouped, towers};
use super::importance::importance_section;
use super::page::{decimal, document, figures, largest, name_of, numbers, table};
use super::probes::probe_sections;
use super::read::{Bin, Run};
use crate::train::evaluation::metrics::Metrics;
use crate::train::run::epoch::EpochRecord;

/// Lines that one chart shows, at most.
const LINES: usize = 10;

pub(super) fn page(folder: &Path) -> Markup {
    let run = Run::read(folder);
    let name = name_of(folder);
    let (test, best_reachable) = (run.result.test.as_ref(), run.result.best_reachable.as_ref());
    let content = html! {
        (header(&run, &name))
        h2 { "Learning curves" }
        (figures(&learning_curves(&run), "No epoch is finished yet."))
        h2 { "Test rows, by scenario" }
        @match test {
            Some(test) => {
                (figures(&scenario_bars(test, best_reachable).into_iter().collect::<Vec<_>>(), "No scenarios."))
                (scenario_table(test, best_reachable))
                @for (title, tower) in towers(test) {
                    h3 { (title) }
                    (scenario_table(tower, None))
                }
            }
            None => p.missing { "The run is not over: there is no result.json." }
        }
        h2 { "Calibration" }
        (figures(&calibration(&run, test), "No calibration.csv: the run is not over, or had no test rows."))
        (importance_section(run.importance.as_ref()))
        (probe_sections(&run))
        @if !run.config.is_empty() {
            h2 { "Configuration" }
            details { summary { "config.toml" } pre { (run.config) } }
        }
    };
    document(&format!("{name} – polyscene"), &content)
}

fn header(run: &Run, name: &str) -> Markup {
    let result = &run.result;
    let test = result.test.as_ref();
    let model = result.model.clone().or_else(|| run.setting("model", "name"));
    let seed = result.seed.map(|seed| seed.to_string()).or_else(|| run.setting("train", "seed"));
    let epochs = result.epochs.unwrap_or(run.epochs.len() as u64);
    let best = result.best_epoch.or_else(|| run.best_epoch());
    let seconds: f64 = run.epochs.iter().map(|epoch| epoch.train_seconds).sum();
    let speed = run.epochs.last().map(|epoch| epoch.train_rows_per_second).filter(|&speed| speed > 0.0);
    let metric = |pick: fn(&Metrics) -> Option<f64>| test.map(|test| decimal(pick(test)));
    html! {
        h1 { (model.as_deref().unwrap_or("A run")) ": " (name) }
        p.about {
            @if let Some(data) = run.setting("data", "path") { "Data: " (data) ". " }
            @if let Some(device) = &result.device { "Device: " (device) ". " }
            @if let Some(seed) = &seed { "Seed " (seed) "." }
        }
        (numbers(&[
            ("test AUC", metric(|test| test.auc)),
            ("test LogLoss", metric(|test| test.logloss)),
            ("test GAUC", test.and_then(|test| test.gauc).map(|gauc| decimal(Some(gauc)))),
            ("test calibration", metric(|test| test.calibration)),
            ("valid AUC", result.valid.as_ref().map(|valid| decimal(valid.auc))),
            ("epochs (best)", Some(format!("{epochs} ({})", best.map_or_else(|| "–".to_owned(), |best| best.to_string())))),
            ("optimiser steps", result.steps.map(grouped)),
            ("test rows", test.map(|test| grouped(test.rows))),
            ("scenarios", test.map(|test| test.scenarios.len().to_string())),
            ("dense parameters", result.parameters.map(grouped)),
            ("embedding rows", result.embedding_rows.map(grouped)),
            ("training", (seconds > 0.0).then(|| duration(seconds))),
            ("rows per second", speed.map(|speed| grouped(speed as u64))),
        ]))
    }
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.1} s"),
        ..6000.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

fn learning_curves(run: &Run) -> Vec<Figure> {
    let Some(last) = run.epochs.last() else { return Vec::new() };
    let mut list = Vec::new();
    let names = last.train.iter().map(|(name, _)| name.clone());
    let losses = names.enumerate().map(|(place, name)| {
        let value = |epoch: &EpochRecord| epoch.train.get(&name)?.as_f64();
        line(run, name.clone(), Mark::Of(place), value)
    });
    let caption = "The mean of each term of the loss over the training rows since the evaluation before, dropout included; “loss” is their sum \
                   with its coefficients.";
    list.extend(curves(run, "Training loss", "loss, nats", losses.collect(), caption));
    let overall = |pick: fn(&Metrics) -> Option<f64>| vec![line(run, "all rows".to_owned(), Mark::Of(0), valid(pick))];
    let caption = "All validation rows at each evaluation: how often a positive row is ranked above a negative one. Where \
                   it falls while the training loss still does, the model overfits.";
    list.extend(curves(run, "Validation AUC", "AUC", overall(|scores| scores.auc), caption));
    let caption = "The mean cross entropy of all validation rows at each evaluation: smaller is better.";
    list.extend(curves(run, "Validation LogLoss", "LogLoss, nats", overall(|scores| scores.logloss), caption));
    list.extend(scenario_curves(run, last));
    list
}

/// The AUC of validation rows by scenario, where there are several.
fn scenario_curves(run: &Run, last: &EpochRecord) -> Option<Figure> {
    let scores = last.valid.as_ref().filter(|scores| scores.scenarios.len() > 1)?;
    let names = largest(scores, LINES);
    let some = if scores.scenarios.len() > names.len() {
        format!(" The {} scenarios with the most rows of {}.", names.len(), scores.scenarios.len())
    } else {
        String::new()
    };
    let lines = names.iter().enumerate().map(|(place, name)| {
        let auc = |epoch: &EpochRecord| epoch.valid.as_ref()?.scenario(name)?.auc;
        line(run, name.clone(), Mark::Of(place), auc)
    });
    let caption = format!("The AUC within each scenario's validation rows at each evaluation.{some}");
    curves(run, "Validation AUC by scenario", "AUC", lines.collect(), &caption)
}

fn valid(pick: fn(&Metrics) -> Option<f64>) -> impl Fn(&EpochRecord) -> Option<f64> {
    move |epoch| epoch.valid.as_ref().and_then(pick)
}

/// Where evaluations stand along the horizontal axis, and what that counts: epochs, or steps where some were made within an
/// epoch.
fn place(run: &Run) -> (fn(&EpochRecord) -> u64, &'static str) {
    match run.epochs.iter().any(|epoch| epoch.unfinished) {
        true => (|epoch| epoch.steps, "step"),
        false => (|epoch| epoch.epoch.into(), "epoch"),
    }
}

fn line(run: &Run, name: String, mark: Mark, value: impl Fn(&EpochRecord) -> Option<f64>) -> Line {
    let (place, what) = place(run);
    let point = |epoch: &EpochRecord| Point::plain(place(epoch) as f64, value(epoch).unwrap_or(f64::NAN), what);
    Line { name, mark, points: run.epochs.iter().map(point).collect() }
}

/// A figure of lines over epochs; none where there is no number.
fn curves(run: &Run, title: &str, label: &str, lines: Vec<Line>, caption: &str) -> Option<Figure> {
    let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.y).filter(|y| y.is_finite());
    values().next()?;
    let (place, what) = place(run);
    let places = || run.epochs.iter().map(place);
    let (first, last) = (places().min()?, places().max()?);
    let best = run.epochs.iter().rfind(|epoch| epoch.best).map(place);
    let legend = if lines.len() > 1 {
        lines.iter().map(|line| (Key::Line(line.mark), line.name.clone())).collect()
    } else {
        vec![]
    };
    let kept = best.map_or_else(String::new, |best| format!(" The weights of {what} {best} were kept."));
    let chart = LineChart {
        about: format!("{title} by {what}"),
        x: Axis::counted(what, first, last),
        y: Axis::around(label, values()),
        lines,
        marked: best.map(|best| (best as f64, format!("best: {what} {best}"))),
        diagonal: false,
    };
    let (title, caption) = (title.to_owned(), format!("{caption}{kept}"));
    Some(Figure { title, picture: chart.draw(), legend, caption, wide: false })
}

/// Bars of the scenarios' AUC, the best on top.
fn scenario_bars(test: &Metrics, best: Option<&Metrics>) -> Option<Figure> {
    let mut order: Vec<&(String, Metrics)> = test.scenarios.iter().collect();
    order.sort_by(|(_, a), (_, b)| b.auc.unwrap_or(-1.0).total_cmp(&a.auc.unwrap_or(-1.0)));
    let row = |name: &str, own: &Metrics, best: Option<&Metrics>, mark: Mark| {
        let auc = own.auc.unwrap_or(f64::NAN);
        let bar = (mark, Shown::Bar { from: 0.5, to: auc }, Row::about("AUC", auc, None));
        let gauc = own
            .gauc
            .map(|gauc| (Mark::Of(3), Shown::Dot { value: gauc, spread: None }, Row::about("GAUC", gauc, None)));
        let best = best.and_then(|best| best.auc);
        let best = best.map(|best| (Mark::Of(1), Shown::Tick(best), Row::about("best reachable AUC", best, None)));
        let note = format!("{} · {} rows", decimal(own.auc), grouped(own.rows));
        Row { name: name.to_owned(), note, shown: [Some(bar), gauc, best].into_iter().flatten().collect() }
    };
    let mut rows: Vec<Row> = order
        .iter()
        .map(|(name, own)| row(name, own, best.and_then(|best| best.scenario(name)), Mark::Of(5)))
        .collect();
    rows.push(row("all rows", test, best, Mark::Of(0)));
    let has_gauc = test.gauc.is_some() || test.scenarios.iter().any(|(_, own)| own.gauc.is_some());
    let values = rows.iter().flat_map(|row| &row.shown).filter_map(|(_, shown, _)| match *shown {
        Shown::Bar { to, .. } => Some(to),
        Shown::Tick(value) | Shown::Dot { value, .. } => Some(value),
        Shown::Box(_) => None,
    });
    let axis = Axis::around("AUC (0.5 is chance)", values.chain([0.5]));
    let mut legend = vec![
        (Key::Block(Mark::Of(5)), "a scenario's AUC".to_owned()),
        (Key::Block(Mark::Of(0)), "AUC of all rows".to_owned()),
    ];
    legend.extend(has_gauc.then(|| (Key::Dot(Mark::Of(3)), "GAUC: within users".to_owned())));
    legend.extend(best.map(|_| (Key::Stroke(Mark::Of(1)), "the true probabilities' AUC".to_owned())));
    let mut caption =
        "The AUC within each scenario's test rows, by the best epoch's weights; bars begin at 0.5, which is \
                       chance, and the best stand on top."
            .to_owned();
    if has_gauc {
        caption += " A diamond is the GAUC, the AUC among the rows of one user.";
    }
    if best.is_some() {
        caption += " No model can expect to be right of the upright line, which is what the true probabilities reach.";
    }
    let about = "AUC of each scenario's test rows".to_owned();
    let picture = RowChart { about, axis, rows, wide: true, apart: false }.draw();
    Some(Figure { title: "AUC by scenario".to_owned(), picture, legend, caption, wide: true })
}

fn scenario_table(test: &Metrics, best: Option<&Metrics>) -> Markup {
    let mut heads = vec!["scenario", "AUC"];
    heads.extend(best.map(|_| "best AUC"));
    heads.extend(["PR-AUC", "LogLoss", "normalised entropy", "GAUC", "calibration", "rows", "positives"]);
    heads.extend(test.weight.map(|_| "weight"));
    let line = |name: &str, own: &Metrics, reachable: Option<&Metrics>| {
        let mut cells = vec![name.to_owned(), decimal(own.auc)];
        cells.extend(best.map(|_| decimal(reachable.and_then(|best| best.auc))));
        cells.extend([own.pr_auc, own.logloss, own.normalized_entropy, own.gauc, own.calibration].map(decimal));
        cells.extend([grouped(own.rows), grouped(own.positives)]);
        cells.extend(test.weight.map(|_| own.weight.map_or_else(String::new, |weight| format!("{weight:.1}"))));
        cells
    };
    let scenarios = test.scenarios.iter();
    let mut lines: Vec<Vec<String>> =
        scenarios.map(|(name, own)| line(name, own, best.and_then(|best| best.scenario(name)))).collect();
    lines.push(line("all", test, best));
    table(&heads, &lines, true)
}

fn calibration(run: &Run, test: Option<&Metrics>) -> Vec<Figure> {
    let mut list = Vec::new();
    if run.calibration.is_empty() {
        return list;
    }
    let error = expected_error(&run.calibration);
    let caption = format!(
        "Test rows in up to twenty bins of equal size by predicted probability; each point is a bin's mean prediction \
         and the share of its rows that are positive, with twice its standard error up and down. On the dashed line \
         predictions come true as often as they say; below it the model promises too much. The mean distance from the \
         line, weighted by rows, is {}.",
        number(error)
    );
    let lines = vec![reliability_line("all rows", Mark::Of(0), &run.calibration, true)];
    list.push(reliability_figure("Calibration, all rows", lines, caption));
    let order = test.map(|test| largest(test, LINES)).unwrap_or_default();
    let shown: Vec<&(String, Vec<Bin>)> =
        order.iter().filter_map(|name| run.scenario_calibration.iter().find(|(known, _)| known == name)).collect();
    if shown.len() > 1 {
        let lines =
            shown.iter().enumerate().map(|(place, (name, bins))| reliability_line(name, Mark::Of(place), bins, false));
        let some = if run.scenario_calibration.len() > shown.len() {
            format!(" The {} scenarios with the most rows of {}.", shown.len(), run.scenario_calibration.len())
        } else {
            String::new()
        };
        let caption = format!(
            "The same within each scenario, in bins of its own rows (at least ten in each, so that small scenarios have \
             fewer bins). A line away from the dashed one is a scenario that the model is wrong about as a whole.{some}"
        );
        list.push(reliability_figure("Calibration by scenario", lines.collect(), caption));
    }
    list
}

/// The mean distance between what is predicted and what comes true.
fn expected_error(bins: &[Bin]) -> f64 {
    let all: f64 = bins.iter().map(|bin| bin.weight).sum();
    let apart: f64 = bins.iter().map(|bin| bin.weight * (bin.observed - bin.predicted).abs()).sum();
    if all > 0.0 { apart / all } else { 0.0 }
}

fn reliability_line(name: &str, mark: Mark, bins: &[Bin], spread: bool) -> Line {
    let point = |bin: &Bin| {
        let error = (bin.observed * (1.0 - bin.observed) / bin.effective_rows).sqrt();
        let about =
            format!("predicted {}, came true {} of {} rows", number(bin.predicted), number(bin.observed), bin.rows);
        Point { x: bin.predicted, y: bin.observed, spread: spread.then_some(2.0 * error), about }
    };
    Line { name: name.to_owned(), mark, points: bins.iter().map(point).collect() }
}

fn reliability_figure(title: &str, lines: Vec<Line>, caption: String) -> Figure {
    let legend = if lines.len() > 1 {
        lines.iter().map(|line| (Key::Line(line.mark), line.name.clone())).collect()
    } else {
        vec![]
    };
    let points = || lines.iter().flat_map(|line| &line.points);
    let ends = points().flat_map(|point| {
        let spread = point.spread.unwrap_or(0.0);
        [point.x, (point.y - spread).max(0.0), (point.y + spread).min(1.0)]
    });
    let high = ends.fold(0.0_f64, f64::max).max(0.01) * 1.04;
    let chart = LineChart {
        about: format!("{title}: share of positives by predicted probability"),
        x: Axis::between("mean predicted probability", 0.0, high),
        y: Axis::between("share of positives", 0.0, high),
        lines,
        marked: None,
        diagonal: true,
    };
    Figure { title: title.to_owned(), picture: chart.draw(), legend, caption, wide: false }
}
