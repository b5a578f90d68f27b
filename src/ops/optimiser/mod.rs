//! Adam, on dense parameters and on rows of embedding tables.

pub(super) mod dense_adam;
pub(super) mod row_adam;

pub use dense_adam::DenseAdam;
pub use row_adam::{DenseRowAdam, RowAdam};
