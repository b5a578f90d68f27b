//! Embedding tables: lookups, pooled where a field has many values, and the gradients of the rows they read.

pub(super) mod embed;
pub(super) mod embed_grad;
mod tags;

pub(crate) use embed::row_import;
pub use embed::{Embed, MAX_FIELDS_WITH_NUMERIC};
pub use embed_grad::EmbedGrad;
pub(crate) use tags::{argmax_column, argmax_width};
