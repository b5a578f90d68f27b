//! What models are made of: embedding sets, dense layers alone and in stacks, weighting matrices, discriminators.
//!
//! *Stability*: layers stay; parameters keep their names, since checkpoints hold them.

mod attention;
mod discriminator;
mod embedding;
mod gate;
mod linear;
mod loss;
mod norm;
mod scope;
mod stack;
mod weighting;

pub use attention::{self_attention, transformer};
pub use discriminator::Discriminator;
pub use embedding::{EmbeddingSet, Field};
pub use gate::gated;
pub use linear::{Linear, hidden_epilogue, hidden_layers, layers_to_logit, mlp, stop_gradient};
pub use loss::{cross_entropy, cross_entropy_with, orthogonality};
pub use norm::{layer_norm, partitioned_norm};
pub use scope::{Experts, ScenarioScope};
pub use stack::{Stack, Use, Which, stacked};
pub use weighting::{Decomposition, RowAxis, Weighting, WeightingOptions};
