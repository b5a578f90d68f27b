//! Normalisation: by a row's own moments, and by those of the batch.

pub(super) mod layer_norm;
pub(super) mod moments;
pub(super) mod normalize;

pub use layer_norm::{LayerNorm, LayerNormGrad};
pub(crate) use moments::parameters_of;
pub use moments::{Moments, RunningMoments};
pub use normalize::{Normalize, NormalizeGrad, NormalizeSums};
