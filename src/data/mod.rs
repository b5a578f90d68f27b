//! Schema, readers, vocabularies, encoded columns, splits and synthetic data.

mod cache;
mod cells;
mod checks;
mod columns;
mod csv_file;
mod encoder;
mod encoder_files;
mod error;
mod fit;
mod inputs;
mod open;
mod parquet_file;
mod reader;
mod rows;
mod rules;
mod scan;
mod schema;
mod split;
mod splits;
mod spool;
pub mod synthetic;
mod tally;
mod tensors;
mod vocabulary;

pub use cache::Cache;
pub use checks::Skipped;
pub use encoder::{Encoder, FieldInfo, Role, SequenceInfo};
pub use error::{BadRow, Error, MissingColumn, Place, Result};
pub use inputs::Inputs;
pub use open::{Dataset, Phase, Progress, open};
pub use rows::{Column, RowColumns, Rows, Sequence};
pub use scan::{EncodedChunk, Scan, scan};
pub use schema::{FieldOptions, Format, Kind, OnBadRow, Schema, SequenceColumn, Split, SplitName};
pub use vocabulary::Vocabulary;

#[cfg(test)]
mod tests;
