//! Tables in memory, read in chunks of rows as a Parquet file is.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, ArrayRef, GenericByteArray, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat_batches;

use crate::data::error::{Error, Result};

/// What stands for a table in memory where a file's path would, such as in a run's `data.path`.
pub const TABLE: &str = "<table>";

/// Rows in memory that are read in the place of a file's, by the same rules. Clones share the rows.
#[derive(Clone)]
pub struct Table {
    schema: SchemaRef,
    batches: Arc<[RecordBatch]>,
}

impl Table {
    /// A table of batches that all have the columns of `schema`, in its order and of its types.
    ///
    /// # Errors
    /// [`Error::Shape`] names the first batch that has other columns.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Table> {
        let types = |schema: &Schema| -> Vec<(String, DataType)> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        let expected = types(&schema);
        match batches.iter().position(|batch| types(&batch.schema()) != expected) {
            Some(odd) => Err(Error::Shape(format!(
                "{TABLE}: batch {} of {} has other columns or types than the table's schema; make it of one schema",
                odd + 1,
                batches.len()
            ))),
            None => Ok(Table { schema, batches: batches.into() }),
        }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The columns' names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The bytes that its rows take in memory, as well as it can be told.
    pub(crate) fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum()
    }

    /// Starts reading the given columns, `limit` rows at a time.
    pub(crate) fn read(&self, columns: &[usize], limit: usize) -> TableRows {
        // Dictionaries differ from batch to batch, and together may have more values than their keys can tell apart.
        let plain = |field: &FieldRef| match field.data_type() {
            DataType::Dictionary(_, value) => Arc::new(field.as_ref().clone().with_data_type(value.as_ref().clone())),
            _ => Arc::clone(field),
        };
        let fields = columns.iter().map(|&column| plain(&self.schema.fields()[column]));
        // What a producer says of missing values is not always so.
        let fields: Vec<Field> = fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
        TableRows {
            table: self.clone(),
            columns: columns.to_vec(),
            schema: Arc::new(Schema::new(fields)),
            limit,
            batch: 0,
            row: 0,
            done: 0,
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} rows, {} columns)", self.rows(), self.schema.fields().len())
    }
}

/// The same table, not one of equal rows.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.batches, &other.batches)
    }
}

impl Eq for Table {}

/// A table being read.
pub(crate) struct TableRows {
    table: Table,
    columns: Vec<usize>,
    schema: SchemaRef,
    limit: usize,
    /// Where the next row is.
    batch: usize,
    row: usize,
    /// How many rows came before it.
    done: usize,
}

impl TableRows {
    /// The next rows and how many came before them; `None` at the end. As of a Parquet file there are `limit` of them but at the
    /// end, wherever batches end: what is within one batch is not copied.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Option<(RecordBatch, u64)>> {
        let mut parts = Vec::new();
        let mut wanted = self.limit;
        while let Some(batch) = self.table.batches.get(self.batch)
            && wanted > 0
        {
            let rows = wanted.min(batch.num_rows() - self.row);
            if rows > 0 {
                let part = self.part(&batch.slice(self.row, rows));
                parts.push(part.map_err(|error| unreadable(path, &error))?);
            }
            wanted -= rows;
            self.row += rows;
            if self.row == batch.num_rows() {
                (self.batch, self.row) = (self.batch + 1, 0);
            }
        }
        let batch = match parts.len() {
            0 => return Ok(None),
            1 => parts.remove(0),
            _ => concat_batches(&self.schema, &parts).map_err(|error| unreadable(path, &error))?,
        };
        let before = self.done as u64;
        self.done += batch.num_rows();
        Ok(Some((batch, before)))
    }

    /// The columns of a batch that are read.
    fn part(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter().zip(self.schema.fields()).map(|(&column, field)| -> Result<ArrayRef, _> {
            let column = batch.column(column);
            match column.data_type() {
                DataType::Dictionary(..) => cast(column, field.data_type()),
                _ => narrowed(column),
            }
        });
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?)
    }

    /// The columns that are read.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The share of rows read, from 0 to 1.
    pub(crate) fn done(&self) -> f64 {
        let total = self.table.rows();
        if total == 0 { 1.0 } else { self.done as f64 / total as f64 }
    }
}

/// Some rows of a column without what other rows hold: a slice of lists still has the items of all lists, and one of long texts
/// counts bytes from the first. Whoever reads a chunk would go through all of them, or find offsets that 32 bits cannot hold.
fn narrowed(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::LargeUtf8 => narrowed_bytes(column.as_string::<i64>()),
        DataType::LargeBinary => narrowed_bytes(column.as_binary::<i64>()),
        DataType::List(item) => narrowed_list(column.as_list::<i32>(), item),
        DataType::LargeList(item) => narrowed_list(column.as_list::<i64>(), item),
        _ => Ok(Arc::clone(column)),
    }
}

fn narrowed_bytes<T: ByteArrayType>(array: &GenericByteArray<T>) -> Result<ArrayRef, ArrowError> {
    let (offsets, range) = from_zero(array.offsets());
    let values = array.values().slice_with_length(range.start, range.len());
    Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, values, array.nulls().cloned())?))
}

fn narrowed_list<O: OffsetSizeTrait>(list: &GenericListArray<O>, item: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let (offsets, range) = from_zero(list.offsets());
    let values = narrowed(&list.values().slice(range.start, range.len()))?;
    Ok(Arc::new(GenericListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned())?))
}

/// Offsets that begin with 0, and the range that they were in.
fn from_zero<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (OffsetBuffer<O>, Range<usize>) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let moved = offsets.iter().map(|offset| *offset - first).collect();
    (OffsetBuffer::new(moved), first.as_usize()..last.as_usize())
}

fn unreadable(path: &Path, error: &ArrowError) -> Error {
    Error::Shape(format!("{}: the table's columns cannot be read ({error})", path.display()))
}
