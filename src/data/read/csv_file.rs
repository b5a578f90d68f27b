//! Reading a CSV file in chunks of rows, every cell as text.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use csv::{ByteRecord, Reader};

use crate::data::error::{Error, Place, Result};
use crate::data::read::compressed;
use crate::data::read::faults::{Fault, Faults};
use crate::data::read::local_file::LocalFile;

/// An open CSV file.
pub(crate) struct CsvFile {
    local: LocalFile,
    reader: Reader<Bounded>,
    record: ByteRecord,
    names: Vec<String>,
    /// The file's columns that are read, in order.
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// Some rows of a CSV file.
pub(crate) struct CsvRows {
    pub(crate) batch: RecordBatch,
    /// Rows with a wrong number of cells or invalid text. They are in the batch too, as well as they can be.
    pub(crate) faults: Faults,
    /// For each row the byte at which it starts, or the blank lines before it.
    pub(crate) offsets: Vec<u64>,
}

impl CsvFile {
    /// Opens a file and reads its header.
    pub(crate) fn open(local: LocalFile, delimiter: u8) -> Result<CsvFile> {
        let path = &*local.name;
        let file = compressed::open(&local)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(1 << 18)
            .from_reader(Bounded { file, left: LONGEST_ROW });
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(|e| Error::io(path, e.into()))? {
            return Err(Error::EmptyFile { path: path.to_owned() });
        }
        check_text(path, record.as_slice())?;
        let names: Vec<String> = record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(CsvFile { local, reader, record, names, columns: Vec::new(), schema: Arc::new(ArrowSchema::empty()) })
    }

    /// The header's names.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Chooses the columns to read, by their indices in the header, ascending.
    pub(crate) fn select(&mut self, columns: Vec<usize>) {
        let fields: Vec<Field> = columns.iter().map(|k| Field::new(&self.names[*k], DataType::Utf8, true)).collect();
        self.schema = Arc::new(ArrowSchema::new(fields));
        self.columns = columns;
    }

    /// The chosen columns, all of text.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// How many bytes have been read.
    pub(crate) fn bytes_done(&self) -> u64 {
        self.reader.position().byte()
    }

    /// The next rows, at most `limit`; `None` at the end.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<CsvRows>> {
        let mut columns: Vec<Cells> = self.columns.iter().map(|_| Cells::new()).collect();
        let mut offsets = Vec::new();
        let mut faults = Faults::default();
        // Text arrays count their bytes in 31 bits.
        let mut bytes = 0;
        while offsets.len() < limit && bytes < 1 << 30 {
            if !self.read_record()? {
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
            for (cells, column) in columns.iter_mut().zip(&self.columns) {
                cells.push(self.record.get(*column));
            }
        }
        if offsets.is_empty() {
            return Ok(None);
        }
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut all_faults = vec![faults];
        for (cells, column) in columns.into_iter().zip(&self.columns) {
            let (array, wrong) = cells.finish();
            let name = &self.names[*column];
            let mut faults = Faults::default();
            for row in wrong {
                faults.add(row, || Fault {
                    row,
                    column: Some(name.clone()),
                    expected: "valid UTF-8".to_owned(),
                    found: quoted(array.value(row)),
                });
            }
            all_faults.push(faults);
            arrays.push(Arc::new(array));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(offsets.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|e| Error::Shape(e.to_string()))?;
        Ok(Some(CsvRows { batch, faults: Faults::merged(&all_faults), offsets }))
    }

    /// Reads the next row to `record`; false at the end.
    fn read_record(&mut self) -> Result<bool> {
        self.reader.get_mut().left = LONGEST_ROW;
        let start = self.reader.position().byte();
        self.reader.read_byte_record(&mut self.record).or_else(|e| {
            if self.reader.get_ref().left > 0 {
                return Err(Error::io(&self.local.name, e.into()));
            }
            let path = self.local.name.to_path_buf();
            Err(Error::EndlessRow { path, place: line_at(&self.local, start)?, limit: LONGEST_ROW })
        })
    }
}

/// That a header is text in UTF-8, not in UTF-16 and no other kind of file.
fn check_text(path: &Path, header: &[u8]) -> Result<()> {
    let mark = matches!(header, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let zeros = header.iter().filter(|byte| **byte == 0).count();
    // Text of Latin letters in UTF-16 has a zero in every second byte.
    let (is_utf16, path) = (mark || zeros * 3 > header.len(), path.to_owned());
    match zeros {
        _ if is_utf16 => Err(Error::Utf16 { path }),
        0 => Ok(()),
        _ => Err(Error::NotText { path }),
    }
}

/// The most bytes of one row. A quote that is never closed makes the rest of a file one row, which must not fill the
/// memory.
const LONGEST_ROW: usize = 1 << 26;

/// A file that may be read for so many bytes more.
struct Bounded {
    file: Box<dyn Read + Send>,
    left: usize,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let n = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(n);
        Ok(n)
    }
}

/// A column of cells while it is read; whether they are text is found out once for all of them.
struct Cells {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    /// The rows that have no such cell.
    absent: Vec<usize>,
}

impl Cells {
    fn new() -> Cells {
        Cells { bytes: Vec::new(), ends: vec![0], absent: Vec::new() }
    }

    #[inline]
    fn push(&mut self, cell: Option<&[u8]>) {
        match cell {
            Some(cell) => self.bytes.extend_from_slice(cell),
            None => self.absent.push(self.ends.len() - 1),
        }
        self.ends.push(self.bytes.len() as i32);
    }

    /// The column, and the rows whose bytes are no UTF-8; these are replaced.
    fn finish(self) -> (StringArray, Vec<usize>) {
        let rows = self.ends.len() - 1;
        let nulls = (!self.absent.is_empty()).then(|| {
            let mut valid = vec![true; rows];
            self.absent.iter().for_each(|row| valid[*row] = false);
            NullBuffer::from(valid)
        });
        let offsets = OffsetBuffer::new(self.ends.into());
        let bytes = Buffer::from_vec(self.bytes);
        // Arrow checks the text as a whole, which is much faster than cell by cell.
        if let Ok(array) = StringArray::try_new(offsets.clone(), bytes.clone(), nulls) {
            return (array, Vec::new());
        }
        let cell = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
        let wrong = (0..rows).filter(|row| std::str::from_utf8(cell(*row)).is_err()).collect();
        let text = |row| self.absent.binary_search(&row).is_err().then(|| String::from_utf8_lossy(cell(row)));
        ((0..rows).map(text).collect(), wrong)
    }
}

/// A cell's text in quotes, cut when it is long.
pub fn quoted(text: &str) -> String {
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
pub(crate) fn line_at(local: &LocalFile, offset: u64) -> Result<Place> {
    let mut file = compressed::open(local)?;
    let mut buffer = vec![0; 1 << 18];
    let (mut at, mut line, mut after_return) = (0, 1, false);
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io(&local.name, e))?;
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
