//! Rows written as CSV or Parquet, as the file's name says.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Csv,
    Parquet,
}

/// Where rows go, and how they are written.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// The path of a file to write, whose name says how.
pub(super) fn parse_out(text: &str) -> Result<Out, String> {
    let path = PathBuf::from(text);
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Kind::Csv,
        Some("parquet") => Kind::Parquet,
        _ => return Err("its name must end in .csv or .parquet".to_owned()),
    };
    Ok(Out { path, kind })
}

/// Writes batches of one schema; the first decides it.
pub(super) struct Writer {
    kind: Kind,
    file: Option<File>,
    csv: Option<arrow_csv::Writer<BufWriter<File>>>,
    parquet: Option<ArrowWriter<File>>,
}

impl Writer {
    pub(super) fn new(kind: Kind, file: File) -> Self {
        Self { kind, file: Some(file), csv: None, parquet: None }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            match self.kind {
                Kind::Csv => self.csv = Some(arrow_csv::Writer::new(BufWriter::new(file))),
                Kind::Parquet => {
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
            flat(batch).and_then(|batch| csv.write(&batch)).map_err(of_arrow)?;
        }
        if let Some(parquet) = &mut self.parquet {
            parquet.write(batch).map_err(of_parquet)?;
        }
        Ok(())
    }

    pub(super) fn end(self) -> io::Result<()> {
        if let Some(csv) = self.csv {
            csv.into_inner().flush()?;
        }
        if let Some(parquet) = self.parquet {
            parquet.close().map_err(of_parquet)?;
        }
        Ok(())
    }
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
