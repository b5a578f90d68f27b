//! Memory for tables that are read at random places.

use super::Real;

/// `count` zeros, in large pages where the system has them: a table of many megabytes is read a row here and a row
/// there, and with small pages the processor would look up a page for nearly every row.
pub fn zeros<T: Real>(count: usize) -> Vec<T> {
    let values = vec![T::zero(); count];
    #[cfg(target_os = "linux")]
    ask_for_large_pages(&values);
    values
}

#[cfg(target_os = "linux")]
fn ask_for_large_pages<T>(values: &[T]) {
    const PAGE: usize = 4096;
    const LARGE: usize = 2 << 20;
    let bytes = size_of_val(values);
    if bytes < 4 * LARGE {
        return;
    }
    let start = values.as_ptr().addr().next_multiple_of(PAGE);
    let length = (values.as_ptr().addr() + bytes - start) / PAGE * PAGE;
    // SAFETY: whole pages inside the slice; the advice changes no contents. A refusal leaves small pages.
    unsafe {
        libc::madvise(values.as_ptr().with_addr(start).cast_mut().cast(), length, libc::MADV_HUGEPAGE);
    }
}

/// Asks for memory that will be read soon, where the processor cannot guess.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; any address will do.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
