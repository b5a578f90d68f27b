//! What `polyscene bench` found, as tables for people, and as rows for `docs/results.md`.

use super::table::{TableStyle, draw};
use crate::bench::{Bound, Ceilings, DeviceDescription, Kernel, Kernels, Outcome, Report, Step};

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
    fn of(kernels: impl Iterator<Item = &'a Kernel> + Clone) -> Self {
        let sum = |of: fn(&Kernel) -> f64| kernels.clone().map(of).sum::<f64>();
        let time = |bound| kernels.clone().filter(|kernel| kernel.bound == bound).map(|kernel| kernel.seconds).sum();
        let most = [Bound::Arithmetic, Bound::Memory, Bound::Latency]
            .into_iter()
            .max_by(|&a, &b| f64::total_cmp(&time(a), &time(b)));
        Self {
            operation: kernels.clone().next().map_or("", |kernel| &kernel.operation),
            count: kernels.clone().count(),
            seconds: sum(|kernel| kernel.seconds),
            flops: kernels.clone().map(|kernel| kernel.flops).sum(),
            bytes: kernels.clone().map(|kernel| kernel.bytes).sum(),
            at_least: sum(|kernel| kernel.fraction * kernel.seconds),
            bound: most,
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
pub fn steps_table(steps: &[Outcome], style: TableStyle) -> String {
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
    let skipped = steps.iter().any(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let heads = if skipped { &heads[..] } else { &heads[..heads.len() - 1] };
    let lines: Vec<Vec<String>> = steps
        .iter()
        .map(|outcome| match outcome {
            Outcome::Measured(step) => {
                let mut line = vec![step.model.to_owned(), step.batch_size.to_string(), step.dispatches.to_string()];
                line.extend([milli(step.seconds), percent(step.spread / 2.0), thousands(step.samples_per_second)]);
                line.extend([step.arithmetic_seconds, step.memory_seconds, step.latency_seconds].map(milli));
                line.extend([step.bound.to_string(), percent(step.fraction)]);
                line.resize(heads.len(), String::new());
                line
            }
            Outcome::Skipped(skipped) => {
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
pub fn verdicts(steps: &[Outcome]) -> String {
    let measured = steps.iter().filter_map(|outcome| match outcome {
        Outcome::Measured(step) => Some(verdict(step)),
        Outcome::Skipped(_) => None,
    });
    measured.collect::<Vec<_>>().join("\n")
}

fn verdict(step: &Step) -> String {
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

/// Heads of the table of devices in `docs/results.md`.
pub const DEVICE_HEADS: [&str; 9] = [
    "device",
    "driver",
    "system",
    "copy, GB/s",
    "in caches, GB/s",
    "multiply-add, GFLOP/s",
    "dispatch, µs",
    "submit, µs",
    "version, date",
];
/// Heads of the table of training steps in `docs/results.md`; cells hold samples per second.
pub const STEP_HEADS: [&str; 6] = ["device", "model", "batch 512", "batch 2048", "batch 8192", "bounds"];
/// The batch sizes of [`STEP_HEADS`].
pub const STEP_SIZES: [usize; 3] = [512, 2048, 8192];

/// The row of a device in `docs/results.md`.
pub fn device_row(report: &Report) -> String {
    let Ceilings { bytes_per_second, flops_per_second, dispatch_seconds, submit_seconds, .. } = report.ceilings;
    let cached = report.ceilings.copy_rate(1);
    let or_dash = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
    row(&[
        device_name(&report.device),
        or_dash(&report.device.driver),
        report.device.system.clone(),
        giga(bytes_per_second),
        giga(cached),
        giga(flops_per_second),
        micro(dispatch_seconds),
        submit_seconds.map_or_else(|| or_dash(""), micro),
        format!("{}, {}", report.version, report.date),
    ])
}

/// The rows of a device's training steps in `docs/results.md`, one for each model.
pub fn step_rows(report: &Report) -> Vec<String> {
    let mut models: Vec<&str> = Vec::new();
    let mut measured: Vec<&Step> = Vec::new();
    for outcome in &report.steps {
        if let Outcome::Measured(step) = outcome {
            measured.push(step);
            if models.last() != Some(&step.model) {
                models.push(step.model);
            }
        }
    }
    let one = |model: &&str| {
        let of = |size| measured.iter().find(|step| step.model == *model && step.batch_size == size);
        let mut cells = vec![device_name(&report.device), (*model).to_owned()];
        cells.extend(STEP_SIZES.map(|size| of(size).map_or("–".to_owned(), |step| thousands(step.samples_per_second))));
        let bounds = STEP_SIZES
            .map(|size| of(size).map_or("–".to_owned(), |step| format!("{} {}", step.bound, percent(step.fraction))));
        cells.push(bounds.join(", "));
        row(&cells)
    };
    models.iter().map(one).collect()
}

fn device_name(device: &DeviceDescription) -> String {
    match device.kind.as_str() {
        "cpu" => format!("{}, {} threads, `--device cpu`", device.name, device.threads),
        _ => format!("{} ({}, {})", device.name, device.kind, device.backend),
    }
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
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
    super::table::grouped(count.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{CopyRate, MultiplyAddRate, Skipped, TimedBy};

    fn kernel(operation: &str, seconds: f64, fraction: f64, bound: Bound) -> Kernel {
        Kernel {
            name: "layer".to_owned(),
            operation: operation.to_owned(),
            shape: "B×1".to_owned(),
            flops: 2_000_000,
            bytes: 1 << 20,
            seconds,
            spread: 0.02,
            flops_per_second: 2e6 / seconds,
            bytes_per_second: f64::from(1 << 20) / seconds,
            fraction,
            bound,
        }
    }

    fn report() -> Report {
        let device = DeviceDescription {
            name: "Card | 1".to_owned(),
            kind: "discrete".to_owned(),
            backend: "vulkan".to_owned(),
            driver: String::new(),
            timestamps: true,
            threads: 4,
            system: "linux x86_64".to_owned(),
        };
        let copy = |footprint, rate| CopyRate { footprint, bytes_per_second: rate, spread: 0.1 };
        let way = MultiplyAddRate { variant: "scalar".to_owned(), flops_per_second: 5e12, spread: 0.0 };
        let ceilings = Ceilings {
            submit_seconds: Some(4.2e-5),
            ..Ceilings::of(vec![copy(1 << 20, 9e11), copy(1 << 28, 3.21e11)], vec![way], 1.5e-6)
        };
        let dispatches = vec![
            kernel("linear", 1e-4, 0.5, Bound::Memory),
            kernel("embed", 4e-4, 0.25, Bound::Arithmetic),
            kernel("linear", 1e-4, 0.1, Bound::Latency),
            kernel("linear", 3e-4, 0.2, Bound::Latency),
        ];
        let kernels = Kernels {
            model: "dnn",
            batch_size: 512,
            rows: 1000,
            timed_by: TimedBy::Passes,
            sum_seconds: 9e-4,
            step_seconds: 8e-4,
            dispatches,
        };
        let step = Step {
            model: "dnn",
            batch_size: 512,
            dispatches: 4,
            flops: 8_000_000,
            bytes: 4 << 20,
            seconds: 8e-4,
            spread: 0.01,
            samples_per_second: 640_000.0,
            arithmetic_seconds: 1.6e-6,
            memory_seconds: 4e-6,
            latency_seconds: 2e-4,
            bound: Bound::Latency,
            fraction: 0.25,
        };
        let skipped = Skipped { model: "dnn", batch_size: 2048, skipped: "a step would take about 9 s".to_owned() };
        Report::new(device, false, ceilings, kernels, vec![Outcome::Measured(step), Outcome::Skipped(skipped)])
    }

    #[test]
    fn operations_are_added_up_and_sorted_by_time() {
        let table = kernels_table(&report().kernels, true, TableStyle::Plain);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let [_, linear, embed, all] = &lines[..] else { panic!("{table}") };
        // 50 + 10 + 60 of 500 µs.
        let wanted = "linear 3 500 56 % 6.00 3072 12.0 6.29 24 % latency";
        assert_eq!(linear.join(" "), wanted);
        assert_eq!(embed.join(" "), "embed 1 400 44 % 2.00 1024 5.00 2.62 25 % arithmetic");
        assert_eq!(all.join(" "), "all 4 900 100 % 8.00 4096 8.89 4.66 24 %");
        let table = kernels_table(&report().kernels, false, TableStyle::Plain);
        assert_eq!(table.lines().count(), 6);
    }

    #[test]
    fn steps_say_what_bounds_them_or_why_they_were_left_out() {
        let steps = report().steps;
        let table = steps_table(&steps, TableStyle::Plain);
        assert!(table.contains("640,000") && table.contains("a step would take about 9 s"), "{table}");
        assert!(!steps_table(&steps[..1], TableStyle::Plain).contains("why not"));
        let verdict = "dnn in batches of 512: 4 dispatches one after another allow 2,560,000 samples/s; 25 % of that \
                       is reached";
        assert_eq!(verdicts(&steps), verdict);
    }

    /// Rows are made to be pasted: they fit the tables that are there.
    #[test]
    fn rows_have_the_columns_of_the_published_tables() {
        let report = report();
        let device = device_row(&report);
        let start = "| Card \\| 1 (discrete, vulkan) | – | linux x86_64 | 321 | 900 | 5000 | 1.50 | 42.0 | ";
        assert!(device.starts_with(start), "{device}");
        let steps = step_rows(&report);
        assert_eq!(steps, ["| Card \\| 1 (discrete, vulkan) | dnn | 640,000 | – | – | latency 25 %, –, – |"]);
        let document = include_str!("../../docs/results.md");
        for heads in [&DEVICE_HEADS[..], &STEP_HEADS[..]] {
            assert!(document.contains(&format!("| {} |", heads.join(" | "))), "{heads:?}");
        }
        let columns = |row: &str| row.replace("\\|", "").matches('|').count() - 1;
        assert_eq!((columns(&device), columns(&steps[0])), (DEVICE_HEADS.len(), STEP_HEADS.len()));
    }
}
