//! `polyscene embeddings`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Done;
use crate::app::OutFile;
use crate::app::embeddings::{EmbeddingExport, write_embeddings};

#[derive(Args)]
pub(super) struct EmbeddingsArgs {
    /// The run's folder
    run: PathBuf,
    /// The field whose embeddings to write
    #[arg(long, value_name = "NAME")]
    field: String,
    /// Which table, where the model has several with that field; the widest by default
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Where to write a row for each value, with its id and vector: .parquet (vectors are lists) or .csv (a column for each
    /// number)
    #[arg(long, value_name = "FILE")]
    out: OutFile,
}

pub(super) fn run(args: &EmbeddingsArgs) -> anyhow::Result<Done> {
    let EmbeddingsArgs { run, field, table, out } = args;
    let export = EmbeddingExport { run: run.clone(), field: field.clone(), table: table.clone(), out: out.clone() };
    let written = write_embeddings(&export)?;
    note!(
        "{} vectors of {} values, of table {}, in {}",
        written.rows,
        written.width,
        written.table,
        out.path().display()
    );
    Ok(Done::All)
}
