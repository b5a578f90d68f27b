//! Schema, readers, vocabularies, encoded columns, splits and synthetic data.
//!
//! [`open`] takes a [`Schema`] and gives a [`Dataset`]: an [`Encoder`] fitted to the train rows, and three splits of
//! encoded [`Rows`]. The files are read once: each chunk's cells are checked, good rows get provisional ids and wait in
//! a spool (memory, then a temporary file); then the train rows are counted, the vocabularies fixed, and all rows
//! written with their final ids, to the cache where one may be kept. [`scan`] encodes other files with a saved encoder,
//! chunk by chunk, and gives the original columns along. [`prepare()`] makes such files of public data sets.

mod cache;
mod cells;
mod checks;
mod columns;
mod compressed;
mod csv_file;
mod encoder;
mod encoder_files;
mod error;
mod evidence;
mod fit;
mod history;
mod inputs;
mod nulls;
mod open;
mod parquet_file;
mod prepare;
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
mod unknown;
mod value_type;
mod vocabulary;

pub use cache::Cache;
pub use checks::Skipped;
pub use csv_file::quoted;
pub use encoder::{Encoder, FieldInfo, Role, SequenceInfo};
pub use error::{BadRow, Error, MissingColumn, Place, Result, shortened};
pub use history::{Histories, HistoryOptions, histories};
pub use inputs::Inputs;
pub use open::{Dataset, Phase, Progress, open};
pub use prepare::{Group, Groups, PrepareOptions, Prepared, PublicData, prepare};
pub use rows::{Column, RowColumns, Rows, Sequence};
pub use scan::{EncodedChunk, Scan, scan};
pub use schema::{FieldOptions, Format, Kind, OnBadRow, Schema, SequenceColumn, Split, SplitName, UnknownScenario};
pub use unknown::UnknownValues;
pub use value_type::ValueType;
pub use vocabulary::Vocabulary;

#[cfg(test)]
mod tests;
