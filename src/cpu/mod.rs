//! What the CPU executor computes with: scalars, vectors of samples, threads and products.
//!
//! Everything is generic over [`Real`], so that f32 serves users and f64 serves gradient checks.
//!
//! *Stability*: internal to operations, open to be read.

mod arena;
mod lanes;
mod memory;
mod product;
mod real;
mod rounding;
mod threads;

pub use arena::{Arena, Columns, Pairs};
pub use lanes::{LANES, Lanes, dot, vectorized};
pub(crate) use lanes::{Simd, WithSimd, has_large_registers, vector_length, vectors};
pub use memory::{prefetch, zeros};
pub(crate) use product::{Samples, TOGETHER, Tile, Weights, add_products, add_products_of, in_tiles};
pub use real::{Real, log1p_exp, sigmoid};
pub use rounding::{nearest_half, stochastic_half};
pub use threads::for_chunks;
