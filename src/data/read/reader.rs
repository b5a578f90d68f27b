//! Reading all input files, one after another, in chunks of rows.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;

use crate::data::error::{BadRow, Error, Place, Result};
use crate::data::read::csv_file::{CsvFile, line_at};
use crate::data::read::faults::{Fault, Faults};
use crate::data::read::inputs::{Encoding, Input, Inputs, Partition};
use crate::data::read::local_file::LocalFile;
use crate::data::read::parquet_file::{ParquetFile, ParquetRows};
use crate::data::read::table::TableRows;
use crate::data::schema::columns::{Wanted, check_type, locate};

/// Some consecutive rows of one file.
pub(crate) struct Chunk {
    local: LocalFile,
    pub(crate) batch: RecordBatch,
    /// Per wanted column its index in the batch.
    columns: Arc<[Option<usize>]>,
    /// Rows that are no rows of the file's table.
    pub(crate) faults: Faults,
    /// How many rows of all files came before.
    first: u64,
    places: Places,
    /// Of the rows that were read the ones that are still here; all of them where there is none.
    kept: Option<Vec<u32>>,
}

enum Places {
    /// The bytes at which a CSV file's rows start.
    Offsets(Vec<u64>),
    /// How many rows of a Parquet file or a table came before.
    After(u64),
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// What messages call its file.
    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.local.name
    }

    /// A wanted column; `None` when it is optional and the file lacks it.
    pub(crate) fn column(&self, wanted: usize) -> Option<&ArrayRef> {
        self.columns[wanted].map(|k| self.batch.column(k))
    }

    /// How many rows of all files come before one of this chunk, those that were left out included.
    pub(crate) fn number(&self, row: u32) -> u64 {
        self.first + self.read_as(row as usize) as u64
    }

    /// The place of a row among those that were read.
    fn read_as(&self, row: usize) -> usize {
        self.kept.as_ref().map_or(row, |kept| kept[row] as usize)
    }

    /// The rows that `takes` says, or that have one of the given faults; and how many others there were.
    pub(crate) fn only(mut self, takes: &[bool], mut faults: Faults) -> Result<(Chunk, u64)> {
        let kept: Vec<u32> = (0..takes.len() as u32).filter(|row| takes[*row as usize]).collect();
        let left_out = takes.len() - kept.len();
        // A fault of a row that is not taken does not matter.
        let place = |row: u32| kept.binary_search(&row).ok();
        faults.rows = faults.rows.into_iter().filter_map(|row| place(row).map(|row| row as u32)).collect();
        faults.told.retain_mut(|fault| {
            let place = place(fault.row as u32);
            fault.row = place.unwrap_or_default();
            place.is_some()
        });
        self.faults = faults;
        if left_out > 0 {
            self.batch = filter_record_batch(&self.batch, &BooleanArray::from(takes.to_vec()))
                .map_err(|error| Error::Shape(error.to_string()))?;
            self.kept = Some(kept);
        }
        Ok((self, left_out as u64))
    }

    /// A fault with its file and place.
    pub(crate) fn bad_row(&self, fault: &Fault) -> Result<BadRow> {
        let row = self.read_as(fault.row);
        let place = match &self.places {
            Places::Offsets(offsets) => line_at(&self.local, offsets[row])?,
            Places::After(n) => Place::Row(n + row as u64 + 1),
        };
        Ok(BadRow {
            path: self.path().to_path_buf(),
            place,
            column: fault.column.clone(),
            expected: fault.expected.clone(),
            found: fault.found.clone(),
        })
    }
}

/// Reads the rows of all files in order.
pub(crate) struct Reader {
    files: Vec<Input>,
    wanted: Vec<Wanted>,
    /// Whether chunks hold all columns, or only the wanted ones.
    all_columns: bool,
    limit: usize,
    /// The index of the next file to open.
    next_file: usize,
    open: Option<Open>,
    rows: u64,
    bytes_before: u64,
    schema: Option<SchemaRef>,
}

struct Open {
    local: LocalFile,
    bytes: u64,
    columns: Arc<[Option<usize>]>,
    rows: OpenRows,
    /// Columns after those of the file, of one value each.
    partitions: Vec<Partition>,
    /// All of them.
    schema: SchemaRef,
}

enum OpenRows {
    Csv(CsvFile),
    Parquet(ParquetRows),
    Table(TableRows),
}

impl Reader {
    /// Chunks have at most `limit` rows.
    pub(crate) fn new(inputs: &Inputs, wanted: &[Wanted], all_columns: bool, limit: usize) -> Reader {
        Reader {
            files: inputs.files().to_vec(),
            wanted: wanted.to_vec(),
            all_columns,
            limit: limit.max(1),
            next_file: 0,
            open: None,
            rows: 0,
            bytes_before: 0,
            schema: None,
        }
    }

    /// Bytes read of all files, as well as it can be told.
    pub(crate) fn bytes_done(&self) -> u64 {
        let inside = self.open.as_ref().map_or(0, |open| match &open.rows {
            // Of a compressed file more bytes come out than it has.
            OpenRows::Csv(csv) => csv.bytes_done().min(open.bytes),
            OpenRows::Parquet(rows) => (rows.done() * open.bytes as f64) as u64,
            OpenRows::Table(rows) => (rows.done() * open.bytes as f64) as u64,
        });
        self.bytes_before + inside
    }

    /// A batch of all columns without a row, as the first file has them; without columns before that is opened.
    pub(crate) fn no_rows(&self) -> RecordBatch {
        RecordBatch::new_empty(self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty())))
    }

    /// All columns of a chunk as the first file has them: in its order, and of its types.
    ///
    /// # Errors
    /// When the chunk's file has other columns than the first one.
    pub(crate) fn like_first(&self, path: &Path, batch: RecordBatch) -> Result<RecordBatch> {
        let (Some(schema), Some(first)) = (&self.schema, self.files.first()) else { return Ok(batch) };
        if self.files.len() == 1 {
            return Ok(batch);
        }
        let own = batch.schema();
        let refused = |what: String| {
            let (path, first) = (path.display(), first.path.display());
            Err(Error::Schema(format!(
                "{path}: {what} {first}; files that are written as one need the same columns: give them one by one, or \
                 add or remove the column"
            )))
        };
        if let Some(field) = own.fields().iter().find(|field| schema.column_with_name(field.name()).is_none()) {
            return refused(format!("has the column \"{}\", unlike", field.name()));
        }
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let Some(column) = batch.column_by_name(field.name()) else {
                return refused(format!("has no column \"{}\", unlike", field.name()));
            };
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            match cast_with_options(column, field.data_type(), &strict) {
                Ok(column) => columns.push(column),
                Err(error) => {
                    return refused(format!("the column \"{}\" cannot be written ({error}) as in", field.name()));
                }
            }
        }
        // A column without missing values in the first file may have some here.
        let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| Error::Shape(error.to_string()))
    }

    /// The next chunk; `None` after the last file's end.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(file) = self.files.get(self.next_file) else { return Ok(None) };
                self.next_file += 1;
                start(file, &self.files[self.next_file..])?;
                let open = Open::new(file, &self.wanted, self.all_columns, self.limit)?;
                self.schema.get_or_insert_with(|| open.schema.clone());
                self.open = Some(open);
                continue;
            };
            let Some((batch, faults, places)) = open.next(self.limit)? else {
                self.bytes_before += open.bytes;
                self.open = None;
                continue;
            };
            let first = self.rows;
            self.rows += batch.num_rows() as u64;
            let (local, columns) = (open.local.clone(), open.columns.clone());
            return Ok(Some(Chunk { local, batch, columns, faults, first, places, kept: None }));
        }
    }
}

/// Objects that are downloaded before they are read: at most so many, and no more when they have so many bytes.
const AHEAD: (usize, u64) = (8, 64 << 20);

/// Begins to download an object and those that are read next; in this order, should none have been begun.
fn start(file: &Input, next: &[Input]) -> Result<()> {
    let Some(object) = &file.object else { return Ok(()) };
    object.start()?;
    let mut bytes = 0;
    for object in next.iter().take(AHEAD.0).filter_map(|file| file.object.as_ref()) {
        object.start()?;
        bytes += object.bytes();
        if bytes >= AHEAD.1 {
            break;
        }
    }
    Ok(())
}

impl Open {
    fn new(file: &Input, wanted: &[Wanted], all_columns: bool, limit: usize) -> Result<Open> {
        let local = file.local(&mut |_| ())?;
        let select = |names: &[String], types: Option<&Fields>| Selected::of(file, names, types, wanted, all_columns);
        let (rows, Selected { columns, partitions, .. }) = match &file.encoding {
            Encoding::Csv { delimiter } => {
                let mut csv = CsvFile::open(local.clone(), *delimiter)?;
                let selected = select(csv.names(), None)?;
                csv.select(selected.own.clone());
                (OpenRows::Csv(csv), selected)
            }
            Encoding::Parquet => {
                let parquet = ParquetFile::open(&local)?;
                let selected = select(&names(parquet.schema()), Some(parquet.schema().fields()))?;
                (OpenRows::Parquet(parquet.read(&local.name, &selected.own, limit)?), selected)
            }
            Encoding::Table(table) => {
                let selected = select(&names(table.schema()), Some(table.schema().fields()))?;
                (OpenRows::Table(table.read(&selected.own, limit)), selected)
            }
        };
        let schema = match &rows {
            OpenRows::Csv(csv) => csv.schema(),
            OpenRows::Parquet(rows) => rows.schema(),
            OpenRows::Table(rows) => rows.schema(),
        };
        let more = partitions.iter().map(|partition| Field::new(&partition.column, DataType::Utf8, true).into());
        let schema = Arc::new(Schema::new(schema.fields().iter().cloned().chain(more).collect::<Vec<_>>()));
        Ok(Open { local, bytes: file.bytes, columns: columns.into(), rows, partitions, schema })
    }

    fn next(&mut self, limit: usize) -> Result<Option<(RecordBatch, Faults, Places)>> {
        let Some((batch, faults, places)) = self.next_of_file(limit)? else { return Ok(None) };
        if self.partitions.is_empty() {
            return Ok(Some((batch, faults, places)));
        }
        let rows = batch.num_rows();
        let more = self.partitions.iter().map(|partition| -> ArrayRef {
            Arc::new(std::iter::repeat_n(partition.value.as_deref(), rows).collect::<StringArray>())
        });
        let columns = batch.columns().iter().cloned().chain(more).collect();
        let batch =
            RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| Error::Shape(error.to_string()))?;
        Ok(Some((batch, faults, places)))
    }

    /// The next rows, without the columns of folders.
    fn next_of_file(&mut self, limit: usize) -> Result<Option<(RecordBatch, Faults, Places)>> {
        Ok(match &mut self.rows {
            OpenRows::Csv(csv) => csv.next(limit)?.map(|rows| (rows.batch, rows.faults, Places::Offsets(rows.offsets))),
            OpenRows::Parquet(rows) => {
                rows.next(&self.local.name)?.map(|(batch, after)| (batch, Faults::default(), Places::After(after)))
            }
            OpenRows::Table(rows) => {
                rows.next(&self.local.name)?.map(|(batch, after)| (batch, Faults::default(), Places::After(after)))
            }
        })
    }
}

/// What of a file is read.
struct Selected {
    /// The file's own columns, ascending.
    own: Vec<usize>,
    /// Columns after these, of one value each.
    partitions: Vec<Partition>,
    /// Per wanted column its index among all of them.
    columns: Vec<Option<usize>>,
}

impl Selected {
    /// Of a file with columns of these names, and of these types where it has types.
    fn of(
        file: &Input,
        names: &[String],
        types: Option<&Fields>,
        wanted: &[Wanted],
        all_columns: bool,
    ) -> Result<Selected> {
        // A column of the file itself goes before one of its folders.
        let partitions: Vec<Partition> =
            file.partitions.iter().filter(|partition| !names.contains(&partition.column)).cloned().collect();
        let all: Vec<String> =
            names.iter().chain(partitions.iter().map(|partition| &partition.column)).cloned().collect();
        let located = locate(wanted, &all, &file.path)?;
        for (wanted, column) in wanted.iter().zip(&located) {
            let Some(column) = *column else { continue };
            match types.and_then(|types| types.get(column)) {
                Some(field) => check_type(wanted, field.data_type(), &file.path)?,
                // Text can be anything, but a list only where the schema says how.
                None if wanted.r#use.is_of_tags() => check_type(wanted, &DataType::Utf8, &file.path)?,
                None => {}
            }
        }
        let (selected, columns) = select(&located, all.len(), all_columns);
        let is_selected =
            |(at, partition): (usize, Partition)| selected.contains(&(names.len() + at)).then_some(partition);
        let partitions = partitions.into_iter().enumerate().filter_map(is_selected).collect();
        let own = selected.iter().copied().filter(|column| *column < names.len()).collect();
        Ok(Selected { own, partitions, columns })
    }
}

fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// The columns of a file to read, ascending, and the located columns' indices among these.
fn select(located: &[Option<usize>], count: usize, all: bool) -> (Vec<usize>, Vec<Option<usize>>) {
    let selected: Vec<usize> = (0..count).filter(|k| all || located.contains(&Some(*k))).collect();
    let columns = located.iter().map(|column| column.and_then(|c| selected.binary_search(&c).ok())).collect();
    (selected, columns)
}
