//! What models are made of: embedding sets, dense layers alone and in stacks, weighting matrices, discriminators.

mod attention;
mod discriminator;
mod embedding;
mod linear;
mod loss;
mod stack;
mod weighting;

pub use attention::self_attention;
pub use discriminator::Discriminator;
pub use embedding::{EmbeddingSet, Field};
pub use linear::{Layer, hidden_epilogue, mlp};
pub use loss::{cross_entropy, orthogonality};
pub use stack::{Stack, Use, Which, stacked};
pub use weighting::{Decomposition, RowAxis, Weighting, WeightingOptions};
