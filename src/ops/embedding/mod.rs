//! Embedding tables: lookups, and the gradients of the rows they read.

pub(super) mod embed;

pub use embed::{Embed, EmbedGrad, MAX_FIELDS_WITH_NUMERIC};
