//! What a model is asked for: predictions, and terms of the loss.

pub(super) mod logit_loss;
pub(super) mod orthogonality;
pub(super) mod sparsity;
pub(super) mod store_logits;

pub use logit_loss::{LOSS_LANES, LogitLoss};
pub use orthogonality::{Orthogonal, Orthogonality};
pub use sparsity::Sparsity;
pub use store_logits::StoreLogits;
