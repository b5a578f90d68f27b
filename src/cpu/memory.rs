//! Memory for tables that are read at random places, and for columns that lie far apart.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::cell::UnsafeCell;

use super::{Lanes, Real};

/// `count` zeros, in large pages where the system has them: a table of many megabytes is read a row here and a row
/// there, and with small pages the processor would look up a page for nearly every row.
pub fn zeros<T: Copy + Default>(count: usize) -> Vec<T> {
    let values = vec![T::default(); count];
    #[cfg(target_os = "linux")]
    ask_for_large_pages(&values);
    values
}

/// `count` times zero in every lane, likewise: the blocks of one column lie each in a page of its own, more of them than
/// a processor remembers.
pub(super) fn zero_cells<T: Real>(count: usize) -> Box<[UnsafeCell<Lanes<T>>]> {
    let layout = Layout::array::<UnsafeCell<Lanes<T>>>(count).expect("an arena fits the address space");
    if layout.size() == 0 {
        return Box::default();
    }
    // SAFETY: the layout is not empty; zero bits are 0.0 in f32 and f64, which are all the numbers there are
    // (`Real` is implemented for these), and `UnsafeCell<X>` is laid out like X.
    let cells = unsafe {
        let start = alloc_zeroed(layout);
        if start.is_null() {
            handle_alloc_error(layout);
        }
        Box::from_raw(std::ptr::slice_from_raw_parts_mut(start.cast(), count))
    };
    #[cfg(target_os = "linux")]
    ask_for_large_pages(&cells);
    cells
}

#[cfg(target_os = "linux")]
fn ask_for_large_pages<T>(values: &[T]) {
    const PAGE: usize = 4096;
    const LARGE: usize = 2 << 20;
    let bytes = size_of_val(values);
    if bytes < 2 * LARGE {
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
