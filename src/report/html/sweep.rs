//! AUC against the settings that a comparison varies.

use serde_json::Value;

use super::super::chart::{Axis, Figure, Key, Line, LineChart, Mark, Point, number};
use super::comparison::{Cell, setting_text, summary};

/// Lines of one chart, at most; beyond, settings are averaged over.
const LINES: usize = 10;
/// The setting that repeats a run rather than changing it.
const SEED: &str = "train.seed";

/// A chart for each numeric setting with several values.
pub(super) fn sweep_figures(cells: &[Cell]) -> Vec<Figure> {
    let varying = varying(cells);
    let numeric = |key: &&String| cells.iter().filter_map(|cell| value(cell, key)).all(|value| value.is_number());
    let numeric: Vec<&String> = varying.iter().filter(numeric).collect();
    // Of settings that move together one chart is enough.
    let first = |place: usize| !numeric[..place].iter().any(|other| together(cells, numeric[place], other));
    let keys = (0..numeric.len()).filter(|&place| first(place)).map(|place| numeric[place]);
    keys.filter_map(|key| figure(cells, key, &varying)).collect()
}

/// Whether two settings say the same: whoever knows one of them knows the other.
fn together(cells: &[Cell], one: &str, other: &str) -> bool {
    let pairs: Vec<(Option<&Value>, Option<&Value>)> =
        cells.iter().map(|cell| (value(cell, one), value(cell, other))).collect();
    pairs.iter().all(|a| pairs.iter().all(|b| (a.0 == b.0) == (a.1 == b.1)))
}

/// Settings with several values, in the order of the first cell that has them.
fn varying(cells: &[Cell]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (key, _) in cells.iter().flat_map(|cell| &cell.settings).filter(|(key, _)| *key != SEED) {
        let mut values = cells.iter().filter_map(|cell| value(cell, key));
        let first = values.next();
        if !keys.contains(key) && values.any(|value| Some(value) != first) {
            keys.push(key.clone());
        }
    }
    keys
}

fn value<'a>(cell: &'a Cell, key: &str) -> Option<&'a Value> {
    cell.settings.get(key)
}

fn figure(cells: &[Cell], key: &str, varying: &[String]) -> Option<Figure> {
    let at = |cell: &Cell| value(cell, key).and_then(Value::as_f64);
    let mut values: Vec<f64> = cells.iter().filter_map(at).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    if values.len() < 2 {
        return None;
    }
    let rest = varying.iter().filter(|other| *other != key);
    let (moved, others): (Vec<&String>, Vec<&String>) = rest.partition(|other| together(cells, key, other));
    let numeric = |other: &&&String| cells.iter().filter_map(|cell| value(cell, other)).all(Value::is_number);
    // One line for each combination of the others, or where these are too many, of those that are not numbers.
    let texts: Vec<&String> = others.iter().copied().filter(|other| !numeric(&other)).collect();
    let all = groups(cells, key, &others);
    let (by, groups) = if all.len() <= LINES { (&others, all) } else { (&texts, groups(cells, key, &texts)) };
    let averaged: Vec<&str> = others.iter().filter(|other| !by.contains(other)).map(|other| other.as_str()).collect();
    let line = |(place, (name, members)): (usize, &(String, Vec<&Cell>))| {
        let point = |(x, &setting): (usize, &f64)| {
            let of = members.iter().filter(|cell| at(cell) == Some(setting)).map(|cell| cell.test_auc());
            let found = summary(of);
            let mean = found.map_or(f64::NAN, |found| found.mean);
            let runs = found.map_or(0, |found| found.count);
            let about = format!("{key} = {}: AUC {} ({runs} runs)", number(setting), number(mean));
            Point { x: x as f64, y: mean, spread: found.and_then(|found| found.deviation), about }
        };
        // A line goes on over values that it does not have.
        let points = values.iter().enumerate().map(point).filter(|point| point.y.is_finite());
        Line { name: name.clone(), mark: Mark::Of(place), points: points.collect() }
    };
    let lines: Vec<Line> = groups.iter().take(LINES).enumerate().map(line).collect();
    let ends = || {
        let points = lines.iter().flat_map(|line| &line.points);
        points.flat_map(|point| [point.y - point.spread.unwrap_or(0.0), point.y + point.spread.unwrap_or(0.0)])
    };
    ends().next()?;
    let mut caption = format!(
        "The AUC of the test rows by {key}, its values at even distances; a point is the mean over runs, its bar one \
         standard deviation to each side."
    );
    if !moved.is_empty() {
        let moved: Vec<&str> = moved.into_iter().map(String::as_str).collect();
        caption += &format!(" With it goes {}.", moved.join(", "));
    }
    if !averaged.is_empty() {
        caption += &format!(" Means are also over {}.", averaged.join(", "));
    }
    if groups.len() > LINES {
        caption += &format!(" The first {LINES} of {} lines.", groups.len());
    }
    if ["row_div", "col_div", "d_k"].iter().any(|name| key.ends_with(name)) {
        caption += " In MI-DPG's paper: figure 2a, 2c and 2e (a larger divisor is a smaller core).";
    }
    let legend = if lines.len() > 1 {
        lines.iter().map(|line| (Key::Line(line.mark), line.name.clone())).collect()
    } else {
        vec![]
    };
    let title = format!("AUC by {key}");
    let (x, y) = (Axis::even(key, &values), Axis::around("AUC", ends()));
    let picture = LineChart { about: title.clone(), x, y, lines, marked: None, diagonal: false }.draw();
    Some(Figure { title, picture, legend, caption, wide: false })
}

/// Cells that have `key`, by the values of the settings `by`.
fn groups<'a>(cells: &'a [Cell], key: &str, by: &[&String]) -> Vec<(String, Vec<&'a Cell>)> {
    let mut groups: Vec<(String, Vec<&Cell>)> = Vec::new();
    for cell in cells.iter().filter(|cell| value(cell, key).is_some()) {
        let part = |other: &&String| value(cell, other).map(|value| format!("{other} = {}", setting_text(value)));
        let name = by.iter().filter_map(part).collect::<Vec<_>>().join(", ");
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(cell),
            None => groups.push((name, vec![cell])),
        }
    }
    groups
}
