//! `polyscene sweep`.

use clap::Args;

use super::cells::{CellsArgs, run_cells};
use super::exit::Done;
use crate::train::comparison::Kind;

#[derive(Args)]
pub(super) struct SweepArgs {
    #[command(flatten)]
    cells: CellsArgs,
}

pub(super) fn run(args: &SweepArgs) -> anyhow::Result<Done> {
    run_cells(Kind::Sweep, &args.cells)
}
