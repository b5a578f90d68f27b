//! Reading a Parquet file in chunks of rows.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::error::{Error, Result};

/// A Parquet file whose footer has been read.
pub(super) struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

/// A Parquet file being read.
pub(super) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    total: u64,
    done: u64,
}

fn unreadable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Parquet { path: path.to_owned(), cause: cause.to_string() }
}

impl ParquetFile {
    /// Opens a file and reads its footer.
    pub(super) fn open(path: &Path) -> Result<ParquetFile> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let metadata = ArrowReaderMetadata::load(&file, Default::default()).map_err(|e| unreadable(path, e))?;
        Ok(ParquetFile { file, metadata })
    }

    /// The columns' names and types.
    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Starts reading the given columns, `limit` rows at a time.
    pub(super) fn read(self, path: &Path, columns: &[usize], limit: usize) -> Result<ParquetRows> {
        let total = self.metadata.metadata().file_metadata().num_rows().max(0) as u64;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata)
            .with_projection(mask)
            .with_batch_size(limit)
            .build()
            .map_err(|e| unreadable(path, e))?;
        Ok(ParquetRows { reader, total, done: 0 })
    }
}

impl ParquetRows {
    /// The next rows and how many came before them; `None` at the end.
    pub(super) fn next(&mut self, path: &Path) -> Result<Option<(RecordBatch, u64)>> {
        match self.reader.next() {
            Some(Ok(batch)) => {
                let before = self.done;
                self.done += batch.num_rows() as u64;
                Ok(Some((batch, before)))
            }
            Some(Err(e)) => Err(unreadable(path, e)),
            None => Ok(None),
        }
    }

    /// The share of rows read, from 0 to 1.
    pub(super) fn done(&self) -> f64 {
        if self.total == 0 { 1.0 } else { self.done as f64 / self.total as f64 }
    }
}
