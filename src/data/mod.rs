//! Schema, readers, vocabularies, encoded columns, splits and synthetic data.
//!
//! [`open`] takes a [`Schema`] and gives a [`Dataset`]: an [`Encoder`] fitted to the train rows, and three splits of
//! encoded [`Rows`]. The files are read once: each chunk's cells are checked, good rows get provisional ids and wait in
//! a spool (memory, then a temporary file); then the train rows are counted, the vocabularies fixed, and all rows
//! written with their final ids, to the cache where one may be kept. [`scan`] encodes other files with a saved encoder,
//! chunk by chunk, and gives the original columns along. [`prepare()`] makes such files of public data sets.
//!
//! *Stability*: [`Schema`], [`open`], [`Dataset`] and [`SplitName`] change little; readers and encoders as needed.

mod datasets;
mod encoded;
mod error;
mod fit;
mod open;
mod progress;
mod read;
mod schema;
mod split;

pub use datasets::history::{Histories, HistoryOptions, histories};
pub use datasets::prepare::{Group, Groups, PrepareOptions, Prepared, PublicData, prepare};
pub use datasets::synthetic;
pub use encoded::cache::Cache;
pub(crate) use encoded::cache::user_folder as user_cache_folder;
pub use encoded::cells::{CellColumn, CellReader, split_cells};
pub(crate) use encoded::encoder::Coding;
pub use encoded::encoder::Encoder;
pub use encoded::info::{FieldInfo, FieldRole, SequenceInfo, TagsInfo};
pub use encoded::rows::{Column, RowColumns, Rows, Sequence};
pub use encoded::scan::{EncodedChunk, Scan, scan};
pub use encoded::unknown::UnknownValues;
pub use error::{BadRow, Error, MissingColumn, Place, Result, nearest, shortened, suggestion};
pub use fit::basis::Basis;
pub(crate) use fit::cross::parts_of;
pub use fit::vocabulary::Vocabulary;
pub use open::{Dataset, open, open_found, open_on};
pub use progress::{OpeningPhase, Progress};
pub use read::checks::Skipped;
pub use read::csv_file::quoted;
pub use read::inputs::Inputs;
pub use read::remote::is_url;
pub use read::table::{TABLE, Table};
pub use schema::value_type::ValueType;
pub use schema::{
    FieldKind, FieldOptions, Filter, Format, Label, OnBadRow, Pooling, Schema, SequenceColumn, Split, SplitName,
    Transform, UnknownScenario,
};

#[cfg(test)]
mod tests;
