//! What the CPU executor computes with: scalars, vector dispatch, threads and matrix products.
//!
//! Everything is generic over [`Real`], so that f32 serves users and f64 serves gradient checks.

mod lanes;
mod matrix;
mod real;
mod threads;

pub use lanes::{LANES, Lanes, transpose_rows, vectorized};
pub use matrix::{Matrix, product};
pub use real::{Real, log1p_exp, sigmoid};
pub use threads::{ROWS_PER_TASK, for_chunks, for_row_blocks};
