//! What the models' papers look into: weighting matrices, representations, and what branches learn from each other.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};

use super::super::chart::{Axis, Figure, Group, Key, Mark, Panel, Row, RowChart, Shown, heat, number, panels};
use super::super::tsne::tsne;
use super::page::{figures, largest};
use super::read::{Probe, Run, Samples, Table};

/// Points of a cloud, at most: enough to see shapes, few enough to see points.
const POINTS: usize = 800;
/// Scenarios that have a mark of their own, at most.
const SCENARIOS: usize = 10;
/// Boxes of one chart, at most.
const BOXES: usize = 30;
/// Scenarios of a heat map, at most.
const HEAT: usize = 64;

/// Sections for a run's probes; nothing where the model has none.
pub(super) fn probe_sections(run: &Run) -> Markup {
    let (vectors, learning): (Vec<&Probe>, Vec<&Probe>) =
        run.probes.iter().partition(|probe| probe.distribution.is_none());
    let names = scenarios_by_rows(run, &vectors);
    html! {
        @if !vectors.is_empty() {
            h2 { (what(&vectors[0].name)) }
            (figures(&vectors.iter().flat_map(|probe| vector_figures(probe, &names)).collect::<Vec<_>>(), "No samples."))
        }
        @if !learning.is_empty() {
            h2 { "What branches learn from each other" }
            (figures(&learning.iter().flat_map(|probe| learning_figures(probe)).collect::<Vec<_>>(), "No samples."))
        }
    }
}

/// What a probe's vectors are, in the paper's words.
fn what(name: &str) -> &'static str {
    match name.split('.').next() {
        Some("weighting") => "Weighting matrices",
        Some("representation") => "Representations",
        _ => "Vectors inside the model",
    }
}

/// The figure of the model's paper that a picture corresponds to.
fn in_paper(name: &str, map: bool) -> &'static str {
    match (name.split('.').next(), map) {
        (Some("weighting"), true) => " In MI-DPG's paper: figure 2b and 2d.",
        (Some("weighting"), false) => " In MI-DPG's paper: figure 2f.",
        (Some("representation"), true) => " In OptMSM's paper: figure 5.",
        _ => "",
    }
}

/// Names of the scenarios that have samples, those with the most test rows first: their marks are those that other charts
/// of the page have for them.
fn scenarios_by_rows(run: &Run, probes: &[&Probe]) -> Vec<String> {
    let sampled = scenarios_by_samples(&probes.iter().map(|probe| &probe.samples).collect::<Vec<_>>());
    let tested = run.result.test.as_ref().map(|test| largest(test, usize::MAX)).unwrap_or_default();
    let mut names: Vec<String> = tested.into_iter().filter(|name| sampled.contains(name)).collect();
    let rest: Vec<String> = sampled.into_iter().filter(|name| !names.contains(name)).collect();
    names.extend(rest);
    names
}

fn vector_figures(probe: &Probe, names: &[String]) -> Vec<Figure> {
    let mut list = Vec::new();
    if let Some(panel) = cloud(probe, names, POINTS, separation_words(probe)) {
        let shown = panel.groups.iter().map(|group| group.points.len()).sum::<usize>();
        let caption = format!(
            "t-SNE of {shown} samples, coloured by scenario: samples with similar values lie near each other; directions \
             and the sizes of gaps mean nothing. {}{}",
            separation_text(probe),
            in_paper(&probe.name, true)
        );
        let title = format!("{} by scenario", probe.name);
        let picture = panels(&format!("t-SNE of {}", probe.name), &[panel]);
        list.push(Figure { title, picture, legend: cloud_legend(names), caption, wide: false });
    }
    list.extend(probe.similarity.as_ref().and_then(|table| similarity(probe, table)));
    list
}

/// The t-SNE of up to `max` of a probe's samples; none where there are too few.
pub(super) fn cloud(probe: &Probe, names: &[String], max: usize, title: String) -> Option<Panel> {
    let Samples { scenarios, vectors } = &probe.samples;
    let chosen = evenly(scenarios, max);
    let places = tsne(&chosen.iter().map(|&row| vectors[row].as_slice()).collect::<Vec<_>>())?;
    let mut groups: Vec<Group> =
        marks(names).into_iter().map(|(mark, name)| Group { name, mark, points: Vec::new() }).collect();
    for (&row, place) in chosen.iter().zip(places) {
        let own = names.iter().take(SCENARIOS).position(|name| *name == scenarios[row]);
        let last = groups.len().saturating_sub(1);
        if let Some(group) = groups.get_mut(own.unwrap_or(last)) {
            group.points.push(place);
        }
    }
    // What is left over lies below.
    groups.reverse();
    Some(Panel { title, groups })
}

/// Names of scenarios, those with the most samples first.
pub(super) fn scenarios_by_samples(list: &[&Samples]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for name in list.iter().flat_map(|samples| &samples.scenarios) {
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name.clone(), 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(name, _)| name).collect()
}

/// The legend of clouds' scenarios.
pub(super) fn cloud_legend(names: &[String]) -> Vec<(Key, String)> {
    marks(names).into_iter().map(|(mark, name)| (Key::Dot(mark), name)).collect()
}

fn marks(names: &[String]) -> Vec<(Mark, String)> {
    let own = names.iter().take(SCENARIOS).enumerate().map(|(place, name)| (Mark::Of(place), name.clone()));
    let rest = names.len().saturating_sub(SCENARIOS);
    own.chain((rest > 0).then(|| (Mark::Other, format!("{rest} other scenarios")))).collect()
}

/// Up to `max` rows, as many of each scenario as can be, evenly spaced.
fn evenly(scenarios: &[String], max: usize) -> Vec<usize> {
    let mut groups: Vec<(&String, Vec<usize>)> = Vec::new();
    for (row, name) in scenarios.iter().enumerate() {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((name, vec![row])),
        }
    }
    // Scenarios with few samples leave their share to the others.
    groups.sort_by_key(|(_, rows)| rows.len());
    let (mut left, mut chosen) = (max, Vec::new());
    for (place, (_, rows)) in groups.iter().enumerate() {
        let take = rows.len().min(left / (groups.len() - place));
        chosen.extend((0..take).map(|number| rows[number * rows.len() / take]));
        left -= take;
    }
    chosen.sort_unstable();
    chosen
}

/// The mean silhouette of all samples.
pub(super) fn silhouette(probe: &Probe) -> Option<f64> {
    let table = probe.separation.as_ref()?;
    let line = table.lines.iter().find(|line| table.cell(line, "group") == Some("all"))?;
    table.number(line, "silhouette")
}

fn separation_words(probe: &Probe) -> String {
    silhouette(probe).map_or_else(|| probe.name.clone(), |value| format!("{}: silhouette {value:.3}", probe.name))
}

fn separation_text(probe: &Probe) -> String {
    silhouette(probe).map_or_else(String::new, |value| {
        format!(
            "The mean silhouette of the samples by scenario, in the space of all their values, is {value:.3}: 1 is \
             scenarios far apart, 0 is scenarios within one another."
        )
    })
}

/// A note where a heat map shows only some of the scenarios.
fn first_of(scenarios: usize) -> String {
    if scenarios > HEAT { format!(" The first {HEAT} of {scenarios} scenarios.") } else { String::new() }
}

/// A square table with names at its head and at its left.
fn square(table: &Table) -> Option<(Vec<String>, Vec<Vec<f64>>)> {
    let names = table.heads.get(1..)?.to_vec();
    let values = table.lines.iter().map(|line| {
        let numbers = line.iter().skip(1).map(|cell| cell.parse().unwrap_or(f64::NAN));
        numbers.chain(std::iter::repeat(f64::NAN)).take(names.len()).collect()
    });
    let values: Vec<Vec<f64>> = values.take(names.len()).collect();
    (names.len() > 1 && values.len() == names.len()).then_some((names, values))
}

fn similarity(probe: &Probe, table: &Table) -> Option<Figure> {
    let (mut names, mut values) = square(table)?;
    let shown = first_of(names.len());
    names.truncate(HEAT);
    values.truncate(HEAT);
    values.iter_mut().for_each(|line| line.truncate(HEAT));
    let about = format!("Cosines between scenarios' means of {}", probe.name);
    let picture = heat(&about, &names, &values, true);
    let caption = format!(
        "Cosines between the scenarios' mean vectors: the darker, the more alike two scenarios are to the model. The \
         colours span what occurs, from the smallest cosine to the largest.{shown}{}",
        in_paper(&probe.name, false)
    );
    let title = format!("{}: how alike scenarios are", probe.name);
    Some(Figure { title, picture, legend: Vec::new(), caption, wide: names.len() > 24 })
}

const QUANTILES: [&str; 5] = ["5 %", "25 %", "50 %", "75 %", "95 %"];

fn learning_figures(probe: &Probe) -> Vec<Figure> {
    let Some(table) = &probe.distribution else { return Vec::new() };
    let mut gates = Vec::new();
    let mut likenesses = Vec::new();
    for line in &table.lines {
        let (Some(scenario), Some(coefficient)) = (table.cell(line, "scenario"), table.cell(line, "coefficient"))
        else {
            continue;
        };
        let quantiles = QUANTILES.map(|head| table.number(line, head).unwrap_or(f64::NAN));
        let mean = table.number(line, "mean").unwrap_or(f64::NAN);
        match coefficient.strip_prefix("α of ") {
            Some(other) => likenesses.push((scenario.to_owned(), other.to_owned(), quantiles, mean)),
            None => gates.push((scenario.to_owned(), quantiles, mean)),
        }
    }
    let boxed = |name: String, mark: Mark, quantiles: [f64; 5], mean: f64| {
        let about =
            format!("median {}, quartiles {} and {}", number(quantiles[2]), number(quantiles[1]), number(quantiles[3]));
        Row { name, note: format!("mean {mean:.3}"), shown: vec![(mark, Shown::Box(quantiles), about)] }
    };
    let chart = |title: String, rows: Vec<Row>, label: &str, caption: String| {
        let values = rows.iter().flat_map(|row| &row.shown).flat_map(|(_, shown, _)| match shown {
            Shown::Box(quantiles) => quantiles.to_vec(),
            _ => Vec::new(),
        });
        let axis = Axis::around(label, values);
        let picture = RowChart { about: title.clone(), axis, rows, wide: false, apart: false }.draw();
        Figure { title, picture, legend: Vec::new(), caption, wide: false }
    };
    let how = "A box spans the middle half of the samples with the median in it; lines reach from 5 to 95 %.";
    let mut list = Vec::new();
    if !gates.is_empty() {
        let rows = gates.into_iter().map(|(name, quantiles, mean)| boxed(name, Mark::Of(0), quantiles, mean)).collect();
        let caption = format!(
            "How much the branch of each scenario takes from the others, sample by sample: 0 is nothing. {how} In SAML's \
             paper: figure 3."
        );
        list.push(chart(format!("{}: g by scenario", probe.name), rows, "g", caption));
    }
    if likenesses.is_empty() {
        return list;
    }
    let title = format!("{}: α by scenario", probe.name);
    if likenesses.len() <= BOXES {
        // The rows of one scenario have one colour.
        let mut scenarios: Vec<&String> = likenesses.iter().map(|(scenario, ..)| scenario).collect();
        scenarios.dedup();
        let rows = likenesses.iter().map(|(scenario, other, quantiles, mean)| {
            let place = scenarios.iter().position(|known| *known == scenario).unwrap_or(0);
            boxed(format!("{scenario} from {other}"), Mark::Of(place), *quantiles, *mean)
        });
        let caption = format!(
            "The weight α of each other branch in what a scenario's branch takes; the α of a sample add up to 1. {how} In \
             SAML's paper: figure 3."
        );
        list.push(chart(title, rows.collect(), "α", caption));
    } else {
        list.push(means(title, &likenesses));
    }
    list
}

/// The means of α as a heat map, where boxes would be too many.
fn means(title: String, likenesses: &[(String, String, [f64; 5], f64)]) -> Figure {
    let names: BTreeSet<&String> = likenesses.iter().flat_map(|(scenario, other, ..)| [scenario, other]).collect();
    let shown = first_of(names.len());
    let names: Vec<String> = names.into_iter().take(HEAT).cloned().collect();
    let found: HashMap<(&String, &String), f64> =
        likenesses.iter().map(|(scenario, other, _, mean)| ((scenario, other), *mean)).collect();
    let mean = |pair: (&String, &String)| found.get(&pair).copied().unwrap_or(f64::NAN);
    let values: Vec<Vec<f64>> = names.iter().map(|a| names.iter().map(|b| mean((a, b))).collect()).collect();
    let caption = format!(
        "Means of α: how much of what the branch at the left takes comes from the branch at the top; the darker, the more. \
         In SAML's paper: figure 3.{shown}"
    );
    let picture = heat(&title, &names, &values, true);
    Figure { title, picture, legend: Vec::new(), caption, wide: names.len() > 24 }
}
