//! Tables and rows of a report made up.

use super::results::{DEVICE_HEADS, STEP_HEADS, device_row, step_rows};
use super::*;
use crate::bench::{CopyRate, DeviceDescription, MultiplyAddRate, Report, SkippedStep, TimedBy};
use crate::graph::Precision;

fn kernel(operation: &str, seconds: f64, fraction: f64, bound: Bound) -> KernelTimes {
    KernelTimes {
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
        embedding_precision: Precision::F32,
        mixed_precision: false,
        timed_by: TimedBy::Passes,
        tuning: None,
        sum_seconds: 9e-4,
        step_seconds: 8e-4,
        dispatches,
    };
    let step = StepTimes {
        model: "dnn",
        batch_size: 512,
        tuning: None,
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
    let skipped = SkippedStep { model: "dnn", batch_size: 2048, skipped: "a step would take about 9 s".to_owned() };
    Report::new(device, false, ceilings, kernels, vec![StepOutcome::Measured(step), StepOutcome::Skipped(skipped)])
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
    let document = include_str!("../../../docs/results.md");
    for heads in [&DEVICE_HEADS[..], &STEP_HEADS[..]] {
        assert!(document.contains(&format!("| {} |", heads.join(" | "))), "{heads:?}");
    }
    let columns = |row: &str| row.replace("\\|", "").matches('|').count() - 1;
    assert_eq!((columns(&device), columns(&steps[0])), (DEVICE_HEADS.len(), STEP_HEADS.len()));
}
