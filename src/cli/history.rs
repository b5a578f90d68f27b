//! `polyscene history`.

use std::io;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use clap::Args;

use super::exit::Done;
use super::progress::counted;
use super::table_file::{Kind, Out, Writer, parse_out};
use crate::data::{Format, HistoryOptions, Inputs, histories};
use crate::train::Error;
use crate::train::folder::write_whole;

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
    #[arg(long, value_name = "FILE", value_parser = parse_out)]
    out: Out,
}

/// What separates items in CSV.
const SEPARATOR: &str = "|";

pub(super) fn run(args: &HistoryArgs) -> anyhow::Result<Done> {
    let Out { path, kind } = &args.out;
    let inputs = Inputs::find(&args.data, Format::Auto, None, &[]).map_err(Error::from)?;
    let options = HistoryOptions {
        user: args.user.clone(),
        item: args.item.clone(),
        time: args.time.clone(),
        positive: args.positive.clone(),
        max_length: args.max_length as usize,
        column: args.name.clone(),
    };
    let bar = counted(inputs.bytes(), "reading");
    let read = histories(&inputs, options, |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    let mut rows = read.map_err(Error::from)?;
    let bar = counted(rows.bytes().1, "writing");
    let mut failure = None;
    let written = write_whole(path, |file| {
        let mut writer = Writer::new(*kind, file.try_clone()?);
        let mut is_first = true;
        loop {
            let mut batch = rows.next_batch();
            if std::mem::take(&mut is_first) && matches!(batch, Ok(None)) {
                // A log without rows gives a file without rows, which has its columns all the same.
                batch = rows.no_rows().map(Some);
            }
            let batch = batch.and_then(|batch| match (batch, kind) {
                (Some(batch), Kind::Csv) => separated(&batch).map(Some),
                (batch, _) => Ok(batch),
            });
            bar.set_position(rows.bytes().0);
            match batch {
                Ok(Some(batch)) => writer.write(&batch)?,
                Ok(None) => break writer.end(),
                // What is wrong with the data must not be told as a fault of the output.
                Err(error) => {
                    failure = Some(error);
                    break Err(io::Error::other("not finished"));
                }
            }
        }
    });
    bar.finish_and_clear();
    match failure {
        Some(error) => Err(Error::from(error).into()),
        None => Ok(written.map(|()| Done::All)?),
    }
}

/// The batch with its last column, lists of text, as text.
fn separated(batch: &RecordBatch) -> Result<RecordBatch, crate::data::Error> {
    let shape = |reason: String| crate::data::Error::Shape(reason);
    let last = batch.num_columns() - 1;
    let mut texts = Vec::with_capacity(batch.num_rows());
    for items in batch.column(last).as_list::<i32>().iter() {
        let items = items.unwrap_or_else(|| Arc::new(StringArray::from(Vec::<&str>::new())));
        let items: Vec<&str> = items.as_string::<i32>().iter().flatten().collect();
        if let Some(item) = items.iter().find(|item| item.contains(SEPARATOR)) {
            let reason =
                format!("item \"{item}\" contains \"{SEPARATOR}\", which separates items in CSV; write .parquet");
            return Err(shape(reason));
        }
        texts.push(items.join(SEPARATOR));
    }
    let schema = batch.schema();
    let added = Arc::new(Field::new(schema.field(last).name(), DataType::Utf8, false));
    let fields: Vec<_> = schema.fields()[..last].iter().cloned().chain([added]).collect();
    let column: ArrayRef = Arc::new(StringArray::from(texts));
    let columns = batch.columns()[..last].iter().cloned().chain([column]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| shape(error.to_string()))
}
