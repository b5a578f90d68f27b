//! Products and sums of a sample's columns with each other.

pub(super) mod multiply;
pub(super) mod pairwise;
pub(super) mod pool;
pub(super) mod prune;
pub(super) mod sample_matrix;

pub use multiply::{Multiply, MultiplyGrad};
pub use pairwise::{Pairwise, PairwiseGrad};
pub use pool::Pool;
pub use prune::{Anneal, Prune, PruneGrad};
pub use sample_matrix::{SampleMatrix, SampleMatrixGrad};
