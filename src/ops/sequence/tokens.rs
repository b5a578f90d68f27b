//! What operations over sequences share.

use crate::cpu::{LANES, Lanes, Real};
use crate::graph::{RowExtent, Shape};
use crate::ops::{Arg, Block, Kernel, Target};

/// The most tokens of a sample, of a tensor of tokens.
pub(crate) fn longest(shape: Shape) -> usize {
    match shape.rows {
        RowExtent::Tokens(longest) => longest,
        _ => panic!("a row for each token is wanted"),
    }
}

/// Zeroes the rows of the block's tokens in these outputs, padding included: sums over tokens go over all of them.
pub(crate) fn clear<T: Real>(block: &mut Block<'_, T>, outputs: std::ops::Range<usize>) {
    for tokens in block.token_blocks() {
        outputs.clone().for_each(|output| block.token_output(output, tokens).fill(Lanes::zero()));
    }
}

/// The block and the lane of a token.
#[inline(always)]
pub(crate) fn place(token: usize) -> (usize, usize) {
    (token / LANES, token % LANES)
}

/// The constants and the binding of `shaders/common/own_tokens.wgsl`.
pub(crate) fn with_tokens(kernel: Kernel, target: &Target) -> Kernel {
    let layout = target.batch_layout.tokens.as_ref().expect("a graph with tokens has them in its batch layout");
    kernel.with("STARTS", layout.starts).with("LENGTHS", layout.lengths).bind([Arg::Batches])
}
