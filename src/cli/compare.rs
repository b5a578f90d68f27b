//! `polyscene compare`.

use clap::Args;

use super::cells::{CellsArgs, run_cells};
use super::exit::Done;
use crate::train::comparison::Kind;

#[derive(Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    cells: CellsArgs,
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<Done> {
    run_cells(Kind::Compare, &args.cells)
}
