//! What a model is asked for: predictions, and terms of the loss.

pub(super) mod joint_logit;
pub(super) mod logit_loss;
pub(super) mod orthogonality;
pub(super) mod sparsity;
pub(super) mod store_logits;

pub use joint_logit::{JointLogit, JointLogitGrad};
pub use logit_loss::{LOSS_LANES, Label, LogitLoss};
pub use orthogonality::{Orthogonal, Orthogonality};
pub use sparsity::Sparsity;
pub use store_logits::StoreLogits;

use crate::gpu::DeviceClass;
use crate::graph::Graph;
use crate::ops::{Kernel, Target};

/// Samples of a lane that a software renderer computes together.
pub(super) const SAMPLES_PER_GROUP: usize = 32;

/// The kernel of a shader that imports `loss_log.wgsl`, and logs its loss in a column.
fn loss_kernel(shader: &'static str, column: usize, graph: &Graph, target: &Target) -> Kernel {
    let kernel = match target.class {
        DeviceClass::Software => {
            target.kernel(shader, target.lanes * SAMPLES_PER_GROUP).in_groups_of(SAMPLES_PER_GROUP as u32)
        }
        DeviceClass::Hardware => target.block_kernel(shader),
    };
    let kernel = kernel.with("SCALED", target.mixed_precision);
    kernel.with("LANES", target.lanes).with("LOG_WIDTH", graph.loss_columns).with("COLUMN", column)
}
