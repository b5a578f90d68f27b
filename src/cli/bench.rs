//! `polyscene bench`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::Done;
use super::print::{print_json, print_line};
use super::progress::working;
use super::{Device as DeviceArgs, Tuning};
use crate::app::{TuningChoice, tuned};
use crate::bench::workload::{FIELDS, Workload};
use crate::bench::{Ceilings, Device, Effort, Kernels, Report, StepOutcome, TimedBy, TuningSource, kernels, steps};
use crate::graph::Precision;
use crate::models;
use crate::report::bench::results::{STEP_SIZES, device_row, step_rows};
use crate::report::bench::{ceilings_table, kernels_table, steps_table, verdicts};
use crate::report::table::TableStyle;
use crate::train::Error;

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    tuning: Tuning,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure roughly, in seconds, and one batch size only
    #[arg(long)]
    quick: bool,
    /// List every dispatch, not those of an operation together
    #[arg(long)]
    all: bool,
    /// The model whose dispatches are listed
    #[arg(long, value_name = "NAME", default_value = "mi-dpg", value_parser = PossibleValuesParser::new(models::names()))]
    model: String,
    /// The models whose whole steps are measured, one after another with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_values = models::SYSTEMS,
          value_parser = PossibleValuesParser::new(models::names()))]
    models: Vec<String>,
    /// Samples of a step; whole steps are measured with 4 and 16 times as many too
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(BATCH_SIZES))]
    batch_size: u32,
    /// Rows of the embedding table, all 16 fields together
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(ROWS))]
    rows: u32,
    /// How the values of the table are stored: in single precision or as half floats
    #[arg(long, value_name = "f32|f16", default_value = "f32", value_parser = precision)]
    embedding_precision: Precision,
    /// How activations and their gradients are stored
    #[arg(long = "precision", value_name = "f32|mixed", default_value = "f32",
          value_parser = PossibleValuesParser::new(["f32", "mixed"]).map(|name| name == "mixed"))]
    mixed: bool,
}

/// The precision of a name.
fn precision(name: &str) -> Result<Precision, String> {
    Precision::named(name).ok_or_else(|| "it is f32 or f16".to_owned())
}

const BATCH_SIZES: RangeInclusive<i64> = 1..=1 << 20;
const ROWS: RangeInclusive<i64> = FIELDS as i64..=u32::MAX as i64;

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Done> {
    let effort = if args.quick { Effort::quick() } else { Effort::thorough() };
    let device = Device::open(&args.device.device, source(&args.tuning.tuning))?;
    let description = device.describe();
    let style = TableStyle::for_stdout();
    let say = |text: String| if args.json { Ok(()) } else { print_line(&text) };

    say(format!(
        "{} ({}{}{})\n",
        description.name,
        description.backend,
        if description.driver.is_empty() { "" } else { ", " },
        description.driver
    ))?;
    let ceilings = busy("what the device can do", || Ceilings::measure(&device, &effort))?;
    say(ceilings_table(&ceilings, style))?;

    let workload = workload(args);
    let kernels = busy("dispatches of a step", || kernels::measure(&device, &ceilings, &effort, workload))?;
    say(format!("\n{}\n{}", kernels_head(&kernels), kernels_table(&kernels, !args.all, style)))?;

    let steps = measure_steps(args, &device, &ceilings, &effort)?;
    let rows = precisions(args.rows as usize, args.embedding_precision, args.mixed);
    say(format!("\nwhole steps, {rows}\n{}\n{}", steps_table(&steps, style), verdicts(&steps)))?;

    let report = Report::new(description, args.quick, ceilings, kernels, steps);
    if args.json {
        print_json(&report)?;
    } else if !args.quick
        && STEP_SIZES[0] == args.batch_size as usize
        && args.rows == 100_000
        && args.embedding_precision == Precision::F32
        && !args.mixed
    {
        let rows = step_rows(&report).join("\n");
        print_line(&format!("\nrows for docs/results.md\n{}\n\n{rows}", device_row(&report)))?;
    }
    Ok(Done::All)
}

/// What a run would train with.
fn source(choice: &TuningChoice) -> TuningSource {
    let choice = choice.clone();
    Arc::new(move |gpu, graph, options| Ok(tuned::choose(&choice, gpu, graph, options, &mut |_| ())?.tuning))
}

fn workload(args: &BenchArgs) -> Workload {
    let known = models::find(&args.model);
    Workload {
        model: known.expect("the parser knows the names").name,
        batch_size: args.batch_size as usize,
        rows: args.rows as usize,
        dense_embedding_adam: false,
        embedding_precision: args.embedding_precision,
        mixed_precision: args.mixed,
    }
}

/// How many rows the table has, and what is stored how.
fn precisions(rows: usize, tables: Precision, mixed: bool) -> String {
    let tables = if tables == Precision::F16 { " as half floats" } else { "" };
    let activations = if mixed { ", mixed precision" } else { "" };
    format!("{rows} embedding rows{tables}{activations}")
}

fn measure_steps(
    args: &BenchArgs,
    device: &Device,
    ceilings: &Ceilings,
    effort: &Effort,
) -> Result<Vec<StepOutcome>, Error> {
    let factors: &[usize] = if args.quick { &[1] } else { &[1, 4, 16] };
    let sizes: Vec<usize> = factors.iter().map(|factor| factor * args.batch_size as usize).collect();
    let mut outcomes = Vec::new();
    let named = |model: &&str| args.models.iter().any(|name| name == *model);
    for model in models::names().into_iter().filter(named) {
        let measure = || steps::measure(device, ceilings, effort, Workload { model, ..workload(args) }, &sizes);
        outcomes.extend(busy(&format!("steps of {model}"), measure)?);
    }
    Ok(outcomes)
}

fn kernels_head(kernels: &Kernels) -> String {
    let how = match kernels.timed_by {
        TimedBy::Passes => "dispatches, each in a pass of its own, by the device's clock",
        TimedBy::Repeats => "dispatches, each many times in a row, by the host's clock",
        TimedBy::Operations => "operations",
    };
    format!(
        "a step of {} in batches of {}, {}: {} {how}\nthey take {:.2} ms one by one, and the \
         whole step {:.2} ms{}",
        kernels.model,
        kernels.batch_size,
        precisions(kernels.rows, kernels.embedding_precision, kernels.mixed_precision),
        kernels.dispatches.len(),
        kernels.sum_seconds * 1e3,
        kernels.step_seconds * 1e3,
        kernels.tuning.map_or_else(String::new, |tuning| format!("\n{tuning}")),
    )
}

/// Measures behind a sign of life, which takes next to no time from what is measured.
fn busy<T>(what: &str, measure: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let sign = working(what);
    let measured = measure();
    sign.finish_and_clear();
    measured
}
