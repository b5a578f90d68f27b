//! Embedding tables: lookups, pooled where a field has many values, and the gradients of the rows they read.

pub(super) mod embed;
mod tags;

pub(crate) use embed::row_import;
pub use embed::{Embed, EmbedGrad, MAX_FIELDS_WITH_NUMERIC};
pub(crate) use tags::{argmax_column, argmax_width};
