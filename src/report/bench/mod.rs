//! What `polyscene bench` found, as tables for people.

pub mod results;

use crate::bench::{Bound, Ceilings, KernelTimes, Kernels, StepOutcome, StepTimes};
use crate::report::table::{TableStyle, draw, grouped};

/// What a device can do at most.
pub fn ceilings_table(ceilings: &Ceilings, style: TableStyle) -> String {
    let mut lines = Vec::new();
    let mut line = |what: String, value: String, spread: Option<f64>| {
        lines.push(vec![what, value, spread.map_or_else(String::new, |spread| format!("± {}", percent(spread / 2.0)))]);
    };
    for copy in &ceilings.copies {
        let what = format!("copy within {} MiB", copy.footprint >> 20);
        line(what, format!("{} GB/s", giga(copy.bytes_per_second)), Some(copy.spread));
    }
    for way in &ceilings.multiply_adds {
        let what = format!("multiply-add, {}", way.variant);
        line(what, format!("{} GFLOP/s", giga(way.flops_per_second)), Some(way.spread));
    }
    let micros = |seconds: f64| format!("{} µs", micro(seconds));
    line("a dispatch after another".to_owned(), micros(ceilings.dispatch_seconds), None);
    for (what, seconds) in [
        ("recording a dispatch", ceilings.record_seconds),
        ("a submit, until it is done", ceilings.submit_seconds),
        ("a pass, by the device's clock", ceilings.pass_seconds),
    ] {
        if let Some(seconds) = seconds {
            line(what.to_owned(), micros(seconds), None);
        }
    }
    draw(&["ceiling", "measured", "spread"], &lines, style)
}

/// The dispatches of a step: each, or with `grouped` those of an operation together.
pub fn kernels_table(kernels: &Kernels, grouped: bool, style: TableStyle) -> String {
    let mut heads = vec!["operation", "µs", "%", "MFLOP", "KiB", "GFLOP/s", "GB/s", "reached", "ceiling"];
    let cells = |group: &Group| {
        let share = percent(group.seconds / kernels.sum_seconds);
        let mut cells = vec![micro(group.seconds), share, format!("{:.2}", group.flops as f64 / 1e6)];
        cells.push(format!("{:.0}", group.bytes as f64 / 1024.0));
        cells.extend([giga(group.flops as f64 / group.seconds), giga(group.bytes as f64 / group.seconds)]);
        cells
            .extend([percent(group.at_least / group.seconds), group.bound.map_or_else(String::new, |b| b.to_string())]);
        cells
    };
    let mut lines: Vec<Vec<String>>;
    let all = Group { operation: "all", bound: None, ..Group::of(kernels.dispatches.iter()) };
    if grouped {
        heads.insert(1, "count");
        let line = |group: &Group| {
            let mut line = vec![group.operation.to_owned(), group.count.to_string()];
            line.extend(cells(group));
            line
        };
        lines = groups(kernels).iter().map(line).collect();
        lines.push(line(&all));
    } else {
        heads.splice(0..1, ["#", "name", "operation", "shape"]);
        lines = kernels
            .dispatches
            .iter()
            .enumerate()
            .map(|(number, kernel)| {
                let mut line = vec![(number + 1).to_string()];
                line.extend([&kernel.name, &kernel.operation, &kernel.shape].map(String::clone));
                line.extend(cells(&Group::of([kernel].into_iter())));
                line
            })
            .collect();
        let mut line = ["", "all", "", ""].map(str::to_owned).to_vec();
        line.extend(cells(&all));
        lines.push(line);
    }
    draw(&heads, &lines, style)
}

/// Several dispatches.
struct Group<'a> {
    operation: &'a str,
    count: usize,
    seconds: f64,
    flops: u64,
    bytes: u64,
    /// Seconds that their ceilings allow.
    at_least: f64,
    /// What bounds most of their time.
    bound: Option<Bound>,
}

impl<'a> Group<'a> {
    fn of(kernels: impl Iterator<Item = &'a KernelTimes> + Clone) -> Self {
        let sum = |of: fn(&KernelTimes) -> f64| kernels.clone().map(of).sum::<f64>();
        let time = |bound| kernels.clone().filter(|kernel| kernel.bound == bound).map(|kernel| kernel.seconds).sum();
        let max = [Bound::Arithmetic, Bound::Memory, Bound::Latency]
            .into_iter()
            .max_by(|&a, &b| f64::total_cmp(&time(a), &time(b)));
        Self {
            operation: kernels.clone().next().map_or("", |kernel| &kernel.operation),
            count: kernels.clone().count(),
            seconds: sum(|kernel| kernel.seconds),
            flops: kernels.clone().map(|kernel| kernel.flops).sum(),
            bytes: kernels.clone().map(|kernel| kernel.bytes).sum(),
            at_least: sum(|kernel| kernel.fraction * kernel.seconds),
            bound: max,
        }
    }
}

/// The operations, those that take longest first.
fn groups(kernels: &Kernels) -> Vec<Group<'_>> {
    let mut names: Vec<&str> = kernels.dispatches.iter().map(|kernel| kernel.operation.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut groups: Vec<Group<'_>> = names
        .into_iter()
        .map(|name| Group::of(kernels.dispatches.iter().filter(move |kernel| kernel.operation == name)))
        .collect();
    groups.sort_by(|a, b| f64::total_cmp(&b.seconds, &a.seconds));
    groups
}

/// Whole steps and their bounds.
pub fn steps_table(steps: &[StepOutcome], style: TableStyle) -> String {
    let heads = [
        "model",
        "batch",
        "dispatches",
        "ms",
        "±",
        "samples/s",
        "arithmetic ms",
        "memory ms",
        "latency ms",
        "bound by",
        "of it",
        "why not",
    ];
    let skipped = steps.iter().any(|outcome| matches!(outcome, StepOutcome::Skipped(_)));
    let heads = if skipped { &heads[..] } else { &heads[..heads.len() - 1] };
    let lines: Vec<Vec<String>> = steps
        .iter()
        .map(|outcome| match outcome {
            StepOutcome::Measured(step) => {
                let mut line = vec![step.model.to_owned(), step.batch_size.to_string(), step.dispatches.to_string()];
                line.extend([milli(step.seconds), percent(step.spread / 2.0), thousands(step.samples_per_second)]);
                line.extend([step.arithmetic_seconds, step.memory_seconds, step.latency_seconds].map(milli));
                line.extend([step.bound.to_string(), percent(step.fraction)]);
                line.resize(heads.len(), String::new());
                line
            }
            StepOutcome::Skipped(skipped) => {
                let mut line = vec![skipped.model.to_owned(), skipped.batch_size.to_string()];
                line.resize(heads.len() - 1, String::new());
                line.push(skipped.skipped.clone());
                line
            }
        })
        .collect();
    draw(heads, &lines, style)
}

/// What the bounds of steps say, a sentence for each.
pub fn verdicts(steps: &[StepOutcome]) -> String {
    let measured = steps.iter().filter_map(|outcome| match outcome {
        StepOutcome::Measured(step) => Some(verdict(step)),
        StepOutcome::Skipped(_) => None,
    });
    measured.collect::<Vec<_>>().join("\n")
}

fn verdict(step: &StepTimes) -> String {
    let best = step.batch_size as f64 / (step.seconds * step.fraction);
    let bound = match step.bound {
        Bound::Arithmetic => format!("{:.0} MFLOP of arithmetic", step.flops as f64 / 1e6),
        Bound::Memory => format!("{:.1} MiB of memory traffic", step.bytes as f64 / f64::from(1 << 20)),
        Bound::Latency => format!("{} dispatches one after another", step.dispatches),
    };
    format!(
        "{} in batches of {}: {bound} allow {} samples/s; {} of that is reached",
        step.model,
        step.batch_size,
        thousands(best),
        percent(step.fraction)
    )
}

/// Three digits, whatever the size.
fn digits(value: f64) -> String {
    let places = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

fn giga(per_second: f64) -> String {
    digits(per_second / 1e9)
}

fn milli(seconds: f64) -> String {
    digits(seconds * 1e3)
}

fn micro(seconds: f64) -> String {
    digits(seconds * 1e6)
}

fn percent(fraction: f64) -> String {
    let places = usize::from(fraction < 0.095);
    format!("{:.places$} %", fraction * 100.0)
}

fn thousands(count: f64) -> String {
    grouped(count.round() as u64)
}

#[cfg(test)]
mod tests;
