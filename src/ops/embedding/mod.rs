//! Embedding tables: lookups, and the gradients of the rows they read.

pub(super) mod embed;

pub(crate) use embed::row_import;
pub use embed::{Embed, EmbedGrad, MAX_FIELDS_WITH_NUMERIC};
