//! What models are made of: embedding sets, dense layers, weighting matrices, discriminators.

mod discriminator;
mod embedding;
mod linear;
mod loss;
mod weighting;

pub use discriminator::Discriminator;
pub use embedding::{EmbeddingSet, Field};
pub use linear::{Layer, hidden_epilogue, mlp};
pub use loss::cross_entropy;
pub use weighting::{Decomposition, RowAxis, Weighting, WeightingOptions};
