//! Sequences of items: attention over them, sums over them, positions in them.

pub(super) mod attention;
pub(super) mod compare;
pub(super) mod positions;
pub(super) mod token_pool;
pub(super) mod tokens;

pub use attention::{Attention, AttentionGrad};
pub use compare::{Compare, CompareGrad};
pub use positions::{AddPositions, AddPositionsGrad};
pub use token_pool::{TokenPool, TokenPoolGrad};
