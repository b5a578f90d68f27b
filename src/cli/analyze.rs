//! `polyscene analyze`.

use std::path::PathBuf;

use clap::Args;

use super::Sets;
use super::eval::parse_split;
use super::exit::Done;
use super::observer::Observer;
use super::print::print_line;
use crate::app::{Run, RunOptions};
use crate::data::SplitName;
use crate::gpu::DeviceChoice;
use crate::report::table::{TableStyle, draw};
use crate::train::evaluation::analysis::{AnalysisTable, write};

#[derive(Args)]
pub(super) struct AnalyzeArgs {
    /// The run's folder
    run: PathBuf,
    /// Which rows of the run's own data: train, valid or test
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = parse_split)]
    split: SplitName,
    /// Where to write the tables [default: the run's folder `analysis`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    sets: Sets,
}

pub(super) fn run(args: &AnalyzeArgs) -> anyhow::Result<Done> {
    let mut observer = Observer::default();
    // Probes are computed on the CPU, whatever the run was trained on.
    let options = RunOptions { device: DeviceChoice::Cpu, sets: args.sets.sets.clone() };
    let mut run = Run::open_with(&args.run, &options, &mut |event| observer.tell(event))?;
    let tables = run.analyze(args.split, &mut |event| observer.tell(event))?;
    let folder = args.out.clone().unwrap_or_else(|| run.folder().analysis());
    let paths = write(&folder, &tables)?;
    for table in tables.iter().filter(|table| table.summary) {
        print_line(&format!("{}:\n{}\n", table.name, text(table)))?;
    }
    note!("{} tables are in {}", paths.len(), folder.display());
    Ok(Done::All)
}

fn text(table: &AnalysisTable) -> String {
    let heads: Vec<&str> = table.heads.iter().map(String::as_str).collect();
    let lines: Vec<Vec<String>> = table
        .lines
        .iter()
        .map(|(texts, numbers)| texts.iter().cloned().chain(numbers.iter().map(|x| format!("{x:.4}"))).collect())
        .collect();
    draw(&heads, &lines, TableStyle::for_stdout())
}
