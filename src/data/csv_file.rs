//! Reading a CSV file in chunks of rows, every cell as text.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use csv::{ByteRecord, Reader};

use super::error::{Error, Place, Result};
use super::reader::{Fault, Faults};

/// An open CSV file.
pub(super) struct CsvFile {
    reader: Reader<File>,
    record: ByteRecord,
    names: Vec<String>,
    /// The file's columns that are read, in order.
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// Some rows of a CSV file.
pub(super) struct CsvRows {
    pub(super) batch: RecordBatch,
    /// Rows with a wrong number of cells or invalid text. They are in the batch too, as well as they can be.
    pub(super) faults: Faults,
    /// For each row the byte at which it starts, or the blank lines before it.
    pub(super) offsets: Vec<u64>,
}

impl CsvFile {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<CsvFile> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(1 << 18)
            .from_reader(file);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(|e| Error::io(path, e.into()))? {
            return Err(Error::EmptyFile { path: path.to_owned() });
        }
        let names: Vec<String> = record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(CsvFile { reader, record, names, columns: Vec::new(), schema: Arc::new(ArrowSchema::empty()) })
    }

    /// The header's names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Chooses the columns to read, by their indices in the header, ascending.
    pub(super) fn select(&mut self, columns: Vec<usize>) {
        let fields: Vec<Field> = columns.iter().map(|k| Field::new(&self.names[*k], DataType::Utf8, true)).collect();
        self.schema = Arc::new(ArrowSchema::new(fields));
        self.columns = columns;
    }

    /// How many bytes have been read.
    pub(super) fn bytes_done(&self) -> u64 {
        self.reader.position().byte()
    }

    /// The next rows, at most `limit`; `None` at the end.
    pub(super) fn next(&mut self, path: &Path, limit: usize) -> Result<Option<CsvRows>> {
        let mut builders: Vec<StringBuilder> = self.columns.iter().map(|_| StringBuilder::new()).collect();
        let mut offsets = Vec::new();
        let mut faults = Faults::default();
        // Text arrays count their bytes in 31 bits.
        let mut bytes = 0;
        while offsets.len() < limit && bytes < 1 << 30 {
            if !self.reader.read_byte_record(&mut self.record).map_err(|e| Error::io(path, e.into()))? {
                break;
            }
            let row = offsets.len();
            offsets.push(self.record.position().map_or(0, |p| p.byte()));
            bytes += self.record.as_slice().len();
            if self.record.len() != self.names.len() {
                faults.add(row, || Fault {
                    row,
                    column: None,
                    expected: format!("{} cells as in the header", self.names.len()),
                    found: self.record.len().to_string(),
                });
            }
            for (builder, column) in builders.iter_mut().zip(&self.columns) {
                match self.record.get(*column).map(std::str::from_utf8) {
                    Some(Ok(cell)) => builder.append_value(cell),
                    Some(Err(_)) => {
                        let text = String::from_utf8_lossy(&self.record[*column]);
                        faults.add(row, || Fault {
                            row,
                            column: Some(self.names[*column].clone()),
                            expected: "valid UTF-8".to_owned(),
                            found: quoted(&text),
                        });
                        builder.append_value(text);
                    }
                    None => builder.append_null(),
                }
            }
        }
        if offsets.is_empty() {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(offsets.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| Error::Shape(e.to_string()))?;
        Ok(Some(CsvRows { batch, faults, offsets }))
    }
}

/// A cell's text in quotes, cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The line on which the row starts that was found at `offset`.
///
/// The csv crate's own line numbers are behind in files with CRLF line ends or blank lines, and faults are rare: so
/// lines are counted only when a fault is shown, by reading the file up to it again.
pub(super) fn line_at(path: &Path, offset: u64) -> Result<Place> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut buffer = vec![0; 1 << 18];
    let (mut at, mut line, mut after_return) = (0, 1, false);
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io(path, e))?;
        if n == 0 {
            return Ok(Place::Line(line));
        }
        for byte in &buffer[..n] {
            // From the offset on, line ends belong to blank lines or to the row before.
            if at >= offset && !matches!(byte, b'\r' | b'\n') {
                return Ok(Place::Line(line));
            }
            line += u64::from(*byte == b'\r' || (*byte == b'\n' && !after_return));
            after_return = *byte == b'\r';
            at += 1;
        }
    }
}
