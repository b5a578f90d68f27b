//! Rows written as CSV or Parquet, as the file's name says.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use arrow_array::RecordBatch;
use arrow_csv::WriterBuilder;
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use crate::train::Error;
use crate::train::run::folder::write_whole;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// CSV, without columns of lists.
    Csv,
    /// Parquet.
    Parquet,
}

/// A file to write rows to, whose name says how: `.csv` or `.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFile {
    path: PathBuf,
    kind: FileKind,
}

impl FromStr for OutFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => FileKind::Csv,
            Some("parquet") => FileKind::Parquet,
            _ => return Err("its name must end in .csv or .parquet".to_owned()),
        };
        Ok(Self { path, kind })
    }
}

impl OutFile {
    /// A Parquet file of whatever name.
    pub(super) fn parquet(path: PathBuf) -> Self {
        Self { path, kind: FileKind::Parquet }
    }

    /// Where it is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Writes the batches that `next` gives until it gives none: the whole file, or nothing of it. `next` is asked whether
    /// it would be the first: files without rows give a file without rows, which has its columns all the same.
    pub(super) fn write(&self, mut next: impl FnMut(bool) -> Result<Option<RecordBatch>, Error>) -> Result<(), Error> {
        write_rows(&self.path, self.kind, |writer| {
            let mut is_first = true;
            while let Some(batch) = next(std::mem::take(&mut is_first))? {
                writer.write(&batch)?;
            }
            Ok(())
        })
    }
}

/// Writes the rows that `produce` gives the writer: the whole file, or nothing of it. What is wrong with the data is not
/// told as a fault of the output, nor the other way round.
pub(super) fn write_rows<T>(
    path: &Path,
    kind: FileKind,
    produce: impl FnOnce(&mut Writer<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut produced = None;
    let written = write_whole(path, |file| {
        let mut writer = Writer { path, kind, file: Some(file.try_clone()?), csv: None, parquet: None };
        match produced.insert(produce(&mut writer)) {
            Ok(_) => writer.end(),
            Err(_) => Err(io::Error::other("not finished")),
        }
    });
    match (produced, written) {
        (Some(Err(error)), _) | (_, Err(error)) => Err(error),
        (Some(Ok(value)), Ok(())) => Ok(value),
        (None, Ok(())) => unreachable!("a file is written once its rows were produced"),
    }
}

/// Writes batches of one schema; the first decides it.
pub(super) struct Writer<'a> {
    path: &'a Path,
    kind: FileKind,
    file: Option<File>,
    csv: Option<File>,
    parquet: Option<ArrowWriter<File>>,
}

impl Writer<'_> {
    /// Writes a batch.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.append(batch).map_err(Error::file(self.path, "writing"))
    }

    fn append(&mut self, batch: &RecordBatch) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            match self.kind {
                FileKind::Csv => {
                    let header = csv_text(&flat(batch).map_err(of_arrow)?.slice(0, 0), true)?;
                    self.csv.insert(file).write_all(&header)?;
                }
                FileKind::Parquet => {
                    let properties = WriterProperties::builder()
                        .set_compression(Compression::SNAPPY)
                        .set_max_row_group_row_count(Some(1 << 18))
                        .build();
                    let writer = ArrowWriter::try_new(file, batch.schema(), Some(properties));
                    self.parquet = Some(writer.map_err(of_parquet)?);
                }
            }
        }
        if let Some(csv) = &mut self.csv {
            // Writing numbers and quotes takes longer than what it is written for: all processors do it.
            let batch = flat(batch).map_err(of_arrow)?;
            let parts = (0..batch.num_rows()).step_by(CSV_ROWS);
            let parts: Vec<RecordBatch> =
                parts.map(|first| batch.slice(first, CSV_ROWS.min(batch.num_rows() - first))).collect();
            let texts: Vec<_> = parts.par_iter().map(|part| csv_text(part, false)).collect::<io::Result<_>>()?;
            texts.iter().try_for_each(|text| csv.write_all(text))?;
        }
        if let Some(parquet) = &mut self.parquet {
            parquet.write(batch).map_err(of_parquet)?;
        }
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        if let Some(parquet) = self.parquet {
            parquet.close().map_err(of_parquet)?;
        }
        Ok(())
    }
}

/// Rows of a batch that are made into text together.
const CSV_ROWS: usize = 4096;

/// A batch as CSV.
fn csv_text(batch: &RecordBatch, header: bool) -> io::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().with_header(header).build(Vec::new());
    writer.write(batch).map_err(of_arrow)?;
    Ok(writer.into_inner())
}

/// The batch without lists and structs, which CSV cannot hold.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema();
    let kept: Vec<usize> = (0..batch.num_columns()).filter(|&i| !fields.field(i).data_type().is_nested()).collect();
    batch.project(&kept)
}

/// The system's reason inside a writer's, such as a full disk.
fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

/// As [`of_arrow`].
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => error.downcast().map_or_else(io::Error::other, |error| *error),
        other => io::Error::other(other),
    }
}
