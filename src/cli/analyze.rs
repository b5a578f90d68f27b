//! `polyscene analyze`.

use std::path::PathBuf;

use clap::Args;

use super::Sets;
use super::eval::{parse_split, split_rows};
use super::exit::Done;
use super::opened::{print_line, reopen};
use crate::data::{Schema, SplitName};
use crate::gpu::DeviceChoice;
use crate::report::table::{TableStyle, draw};
use crate::train::analysis::{Table, analyze, write};
use crate::train::config::ConfigError;
use crate::train::{Error, folder::RunFolder};

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
    // Probes are computed on the CPU, whatever the run was trained on.
    let mut trained = reopen(&args.run, &args.sets.sets, &DeviceChoice::Cpu)?;
    let schema: Schema = trained.config.data().map_err(Error::from)?;
    let rows = split_rows(&schema, &trained.encoder, args.split)?;
    let state = trained.executor.state().map_err(Error::from)?;
    let tables = analyze(&trained.model, state, &trained.config.train, &rows, &trained.encoder)?;
    if tables.is_empty() {
        let expected = "a model that its paper looks into: mi-dpg, optmsm, or saml with its mutual units";
        let found = format!("\"{}\", of which there is nothing to show", trained.config.model_name());
        return Err(Error::from(ConfigError::value(trained.config.file(), "model.name", expected, &found)).into());
    }
    let folder = args.out.clone().unwrap_or_else(|| RunFolder::new(&args.run).analysis());
    let paths = write(&folder, &tables)?;
    for table in tables.iter().filter(|table| table.summary) {
        print_line(&format!("{}:\n{}\n", table.name, text(table)))?;
    }
    note!("{} tables are in {}", paths.len(), folder.display());
    Ok(Done::All)
}

fn text(table: &Table) -> String {
    let heads: Vec<&str> = table.heads.iter().map(String::as_str).collect();
    let lines: Vec<Vec<String>> = table
        .lines
        .iter()
        .map(|(texts, numbers)| texts.iter().cloned().chain(numbers.iter().map(|x| format!("{x:.4}"))).collect())
        .collect();
    draw(&heads, &lines, TableStyle::for_stdout())
}
