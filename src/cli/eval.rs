//! `polyscene eval`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Done;
use super::observer::Observer;
use super::print::{print_json, print_line};
use super::{Device, MaxUnknown, Sets};
use crate::app::{Run, RunOptions};
use crate::data::SplitName;
use crate::report::table::{TableStyle, scenario_table};

#[derive(Args)]
pub(super) struct EvalArgs {
    /// The run's folder
    run: PathBuf,
    /// Another file, glob or folder with the same columns [default: the run's own data]
    #[arg(long, value_name = "FILE", conflicts_with = "split")]
    data: Option<String>,
    /// Which rows of the run's own data: train, valid or test
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = parse_split)]
    split: SplitName,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown: MaxUnknown,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
}

pub(super) fn parse_split(text: &str) -> Result<SplitName, String> {
    SplitName::ALL
        .into_iter()
        .find(|split| split.to_string() == text)
        .ok_or_else(|| "expected train, valid or test".to_owned())
}

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<Done> {
    let mut observer = Observer::default();
    let options = RunOptions { device: args.device.device.clone(), sets: args.sets.sets.clone() };
    let mut run = Run::open_with(&args.run, &options, &mut |event| observer.tell(event))?;
    let evaluation = match &args.data {
        Some(data) => run.evaluate_file(data, args.unknown.max_unknown, &mut |event| observer.tell(event)),
        None => run.evaluate(args.split, &mut |event| observer.tell(event)),
    }?;
    if args.json {
        print_json(&evaluation)?;
    } else {
        let best = evaluation.best_reachable.as_ref();
        print_line(&scenario_table(&evaluation.metrics, best, TableStyle::for_stdout()))?;
    }
    Ok(Done::All)
}
