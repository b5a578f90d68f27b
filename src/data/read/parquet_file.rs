//! Reading a Parquet file in chunks of rows.

use std::fmt::Display;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::data::error::{Error, Result};
use crate::data::read::local_file::LocalFile;

/// A Parquet file whose footer has been read.
pub(crate) struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

/// A Parquet file being read.
pub(crate) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    total: u64,
    done: u64,
}

/// Runs the decoder, whose checks are not complete: on some damaged files it panics where it should give an error.
fn decode<T, E: Display>(path: &Path, run: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|e| unreadable(path, e)),
        // What was being decoded is not used again: after an error, reading ends.
        Err(_) => Err(unreadable(path, "the decoder gave up on it")),
    }
}

fn unreadable(path: &Path, cause: impl Display) -> Error {
    let (path, cause) = (path.to_owned(), cause.to_string());
    match cause.contains("Disabled feature") || cause.contains("codec type") {
        true => Error::Codec { path, cause },
        false => Error::Parquet { path, cause },
    }
}

impl ParquetFile {
    /// Opens a file and reads its footer.
    pub(crate) fn open(local: &LocalFile) -> Result<ParquetFile> {
        let file = File::open(&local.file).map_err(|e| Error::io(&local.name, e))?;
        let metadata = decode(&local.name, || ArrowReaderMetadata::load(&file, Default::default()))?;
        Ok(ParquetFile { file, metadata })
    }

    /// The columns' names and types.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Starts reading the given columns, `limit` rows at a time.
    pub(crate) fn read(self, path: &Path, columns: &[usize], limit: usize) -> Result<ParquetRows> {
        let total = self.metadata.metadata().file_metadata().num_rows().max(0) as u64;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata)
            .with_projection(mask)
            .with_batch_size(limit);
        let reader = decode(path, || builder.build())?;
        Ok(ParquetRows { reader, total, done: 0 })
    }
}

impl ParquetRows {
    /// The next rows and how many came before them; `None` at the end.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Option<(RecordBatch, u64)>> {
        let batch = decode(path, || self.reader.next().transpose())?;
        Ok(batch.map(|batch| {
            let before = self.done;
            self.done += batch.num_rows() as u64;
            (batch, before)
        }))
    }

    /// The columns that are read.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    /// The share of rows read, from 0 to 1.
    pub(crate) fn done(&self) -> f64 {
        if self.total == 0 { 1.0 } else { self.done as f64 / self.total as f64 }
    }
}
