//! `polyscene report`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Done;
use crate::report::html::{REPORT, report};
use crate::train::run::folder::write_text;

#[derive(Args)]
pub(super) struct ReportArgs {
    /// The folder of a run, or of a comparison
    folder: PathBuf,
    /// Where to write the page [default: the folder's `report.html`]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Done> {
    let path = args.out.clone().unwrap_or_else(|| args.folder.join(REPORT));
    write_text(&path, &report(&args.folder)?)?;
    note!("the report is {}", path.display());
    Ok(Done::All)
}
