//! Optimisers, on dense parameters and on rows of embedding tables, and the clipping of their gradients.

pub(super) mod clip;
pub(super) mod dense;
pub(super) mod dense_row_adam;
pub(super) mod rows;
mod rule;

pub use clip::ClipFactor;
pub use dense::DenseUpdate;
pub use dense_row_adam::DenseRowAdam;
pub use rows::RowUpdate;
