//! `polyscene history`.

use clap::Args;

use super::exit::Done;
use super::observer::Observer;
use crate::app::OutFile;
use crate::app::history::add_histories;
use crate::data::HistoryOptions;

#[derive(Args)]
pub(super) struct HistoryArgs {
    /// The interaction log: a file, glob or folder
    #[arg(long, value_name = "FILE")]
    data: String,
    /// The column of users
    #[arg(long, value_name = "COLUMN")]
    user: String,
    /// The column of items
    #[arg(long, value_name = "COLUMN")]
    item: String,
    /// The column of times: numbers, dates or times
    #[arg(long, value_name = "COLUMN")]
    time: String,
    /// Only rows in which this column is above 0 enter histories, such as a label's
    #[arg(long, value_name = "COLUMN")]
    positive: Option<String>,
    /// The most items of a history, the last ones
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    max_length: u32,
    /// Name of the column to add
    #[arg(long, value_name = "NAME", default_value = "history")]
    name: String,
    /// Where to write the rows: .parquet (histories are lists) or .csv (items separated by "|")
    #[arg(long, value_name = "FILE")]
    out: OutFile,
}

pub(super) fn run(args: &HistoryArgs) -> anyhow::Result<Done> {
    let options = HistoryOptions {
        user: args.user.clone(),
        item: args.item.clone(),
        time: args.time.clone(),
        positive: args.positive.clone(),
        max_length: args.max_length as usize,
        column: args.name.clone(),
    };
    let mut observer = Observer::default();
    add_histories(&args.data, options, &args.out, &mut |event| observer.tell(event))?;
    Ok(Done::All)
}
