//! `polyscene predict`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Done;
use super::observer::Observer;
use super::print::print_json;
use super::{Device, MaxUnknown, Sets};
use crate::app::{OutFile, Prediction, Run, RunOptions};

#[derive(Args)]
pub(super) struct PredictArgs {
    /// The run's folder
    run: PathBuf,
    /// The file, glob or folder to predict
    #[arg(long, value_name = "FILE")]
    data: String,
    /// Where to write the rows with a `prediction` column: .csv (lists are left out) or .parquet
    #[arg(long, value_name = "FILE")]
    out: OutFile,
    /// Print as JSON how many rows there were, and what of them is missing or unknown to the model
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown: MaxUnknown,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
}

pub(super) fn run(args: &PredictArgs) -> anyhow::Result<Done> {
    let mut observer = Observer::default();
    let options = RunOptions { device: args.device.device.clone(), sets: args.sets.sets.clone() };
    let mut run = Run::open_with(&args.run, &options, &mut |event| observer.tell(event))?;
    let (data, out) = (args.data.clone(), args.out.clone());
    let prediction = Prediction { data, out, max_unknown: args.unknown.max_unknown };
    let predicted = run.predict(&prediction, &mut |event| observer.tell(event))?;
    if args.json {
        print_json(&predicted)?;
    }
    Ok(Done::All)
}
