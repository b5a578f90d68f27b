//! Work split over rayon's threads. The split never depends on how many threads there are, so that sums keep their
//! order and a run repeats to the bit on any number of cores.

use rayon::prelude::*;

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
