//! `polyscene importance`.

use std::path::PathBuf;

use clap::Args;

use super::eval::{parse_count, parse_split};
use super::exit::Done;
use super::observer::Observer;
use super::print::{print_json, print_line};
use super::{Device, Sets};
use crate::app::{Run, RunOptions};
use crate::data::SplitName;
use crate::report::importance::{importance_table, scenario_tables};
use crate::report::table::TableStyle;

#[derive(Args)]
pub(super) struct ImportanceArgs {
    /// The run's folder
    run: PathBuf,
    /// Which rows of the run's own data: train, valid or test
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = parse_split)]
    split: SplitName,
    /// How often each column is permuted
    #[arg(long, value_name = "N", default_value = "5", value_parser = parse_count)]
    repeats: usize,
    /// What the permutations are a function of [default: the run's seed]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Also what the AUC loses within each scenario
    #[arg(long)]
    by_scenario: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "by_scenario")]
    json: bool,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
}

pub(super) fn run(args: &ImportanceArgs) -> anyhow::Result<Done> {
    let mut observer = Observer::default();
    let options = RunOptions { device: args.device.device.clone(), sets: args.sets.sets.clone() };
    let mut run = Run::open_with(&args.run, &options, &mut |event| observer.tell(event))?;
    let found = run.importance(args.split, args.repeats, args.seed, &mut |event| observer.tell(event))?;
    if args.json {
        print_json(&found)?;
        return Ok(Done::All);
    }
    let style = TableStyle::for_stdout();
    print_line(&importance_table(&found, style))?;
    if args.by_scenario {
        for table in scenario_tables(&found, style) {
            print_line(&format!("\nAUC lost within scenarios:\n{table}"))?;
        }
    }
    Ok(Done::All)
}
