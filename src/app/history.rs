//! A log with a column added: what each row's user did before.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

use super::run::wait_for_first;
use super::{Event, FileKind, Observer, OutFile};
use crate::data::{Error as DataError, Format, HistoryOptions, Inputs, histories};
use crate::train::Error;

/// What separates items in CSV.
const SEPARATOR: &str = "|";

/// Reads the log `data` (a file, glob or folder) and writes its rows to `out` with the histories that `options` asks for.
///
/// # Errors
/// When the log cannot be read or the file not written; in CSV, when an item contains the separator.
pub fn add_histories(
    data: &str,
    options: HistoryOptions,
    out: &OutFile,
    observer: &mut Observer<'_>,
) -> Result<(), Error> {
    let inputs = Inputs::find(data, Format::Auto, None, &[])?;
    wait_for_first(&inputs, observer)?;
    let total = inputs.bytes();
    observer(Event::Counting { what: "reading", total });
    let read = histories(&inputs, options, |done| observer(Event::Counted { done, total }));
    observer(Event::CountingEnded);
    let mut rows = read?;
    observer(Event::Counting { what: "writing", total: rows.bytes().1 });
    let written = out.write(|is_first| {
        let mut batch = rows.next_batch()?;
        if is_first && batch.is_none() {
            batch = Some(rows.no_rows()?);
        }
        let (done, total) = rows.bytes();
        observer(Event::Counted { done, total });
        Ok(match (batch, out.kind()) {
            (Some(batch), FileKind::Csv) => Some(separated(&batch)?),
            (batch, _) => batch,
        })
    });
    observer(Event::CountingEnded);
    written
}

/// The batch with its last column, lists of text, as text.
fn separated(batch: &RecordBatch) -> Result<RecordBatch, DataError> {
    let shape = |reason: String| DataError::Shape(reason);
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
