//! MI-DPG: layers whose weights are scaled by a matrix of the sample's own, what makes that matrix, and the discriminators
//! that regularise it.

pub(super) mod discriminate;
pub(super) mod kernel;
pub(super) mod linear;
pub(super) mod linear_grad;
pub(super) mod low_rank;

pub use discriminate::{Discriminate, Pairing};
pub use linear::{Blocks, Repeat, WeightedLinear};
pub use linear_grad::{Weighted, WeightedLinearGrad, WeightedLinearGradWeights};
pub use low_rank::{Factor, LowRank, LowRankGrad};
