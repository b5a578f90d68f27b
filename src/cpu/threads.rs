//! Work split over rayon's threads. The split never depends on how many threads there are, so that sums keep their
//! order and a run repeats to the bit on any number of cores.

use rayon::prelude::*;

/// Rows of a minibatch one task works on.
pub const ROWS_PER_TASK: usize = 64;

/// Calls `work(first row, block)` for blocks of [`ROWS_PER_TASK`] rows of a row-major matrix, in parallel when there
/// are several.
pub fn for_row_blocks<T: Send>(matrix: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync + Send) {
    for_chunks(matrix, ROWS_PER_TASK * width.max(1), |chunk, block| work(chunk * ROWS_PER_TASK, block));
}

/// Calls `work(index, chunk)` for consecutive chunks of `size` values, in parallel when there are several.
pub fn for_chunks<T: Send>(values: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync + Send) {
    if values.len() <= size {
        if !values.is_empty() {
            work(0, values);
        }
    } else {
        values.par_chunks_mut(size).enumerate().for_each(|(index, chunk)| work(index, chunk));
    }
}
