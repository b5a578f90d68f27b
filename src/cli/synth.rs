//! `polyscene synth`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Done;
use super::print::print_line;
use super::progress::counted;
use crate::data::synthetic::{SyntheticOptions, generate};
use crate::report::table::{TableStyle, draw};
use crate::train::Error;

#[derive(Args)]
pub(super) struct SynthArgs {
    /// Folder for data.parquet and config.toml
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rows
    #[arg(long, value_name = "N", default_value_t = SyntheticOptions::default().rows)]
    rows: u64,
    /// Scenarios
    #[arg(long, value_name = "M", default_value_t = SyntheticOptions::default().scenarios)]
    scenarios: u32,
    /// Seed
    #[arg(long, value_name = "S", default_value_t = SyntheticOptions::default().seed)]
    seed: u64,
    /// Ids of the largest field
    #[arg(long, value_name = "N", default_value_t = SyntheticOptions::default().vocabulary)]
    vocab: u64,
    /// Longest behaviour sequence; 0 writes none
    #[arg(long, value_name = "N", default_value_t = SyntheticOptions::default().sequence)]
    sequence: u32,
    /// The day that the rows are of: some users and items are new each day, and the truth drifts
    #[arg(long, value_name = "N", default_value_t = SyntheticOptions::default().day)]
    day: u32,
    /// Rows are impressions, some of which are clicked and then convert: adds the columns click and true_cvr, and trains with
    /// train.entire_space
    #[arg(long)]
    clicks: bool,
}

pub(super) fn run(args: &SynthArgs) -> anyhow::Result<Done> {
    let options = SyntheticOptions {
        rows: args.rows,
        scenarios: args.scenarios,
        seed: args.seed,
        vocabulary: args.vocab,
        sequence: args.sequence,
        day: args.day,
        clicks: args.clicks,
    };
    std::fs::create_dir_all(&args.out).map_err(Error::file(&args.out, "making the folder"))?;
    let bar = counted(options.rows, "generating");
    let made = generate(&options, &args.out, &mut |rows| bar.set_position(rows));
    bar.finish_and_clear();
    let made = made.map_err(Error::from)?;
    let lines: Vec<Vec<String>> = made
        .scenarios
        .iter()
        .map(|scenario| {
            vec![scenario.name.clone(), scenario.rows.to_string(), format!("{:.1} %", 100.0 * scenario.rate)]
        })
        .collect();
    print_line(&draw(&["scenario", "rows", "conversion rate"], &lines, TableStyle::for_stdout()))?;
    note!("train on it with: polyscene train {}", made.config.display());
    Ok(Done::All)
}
