//! Activations on the CPU: for each block of [`LANES`] samples one row of [`Lanes`], a tensor being a range of columns.
//!
//! A sample's values of one column lie beside those of its neighbours, so that every operation works on vectors of
//! samples and nothing is ever transposed; and what a block's samples need lies close together.

use std::cell::UnsafeCell;

use pulp::Simd;

use super::memory::zero_cells;
use super::{LANES, Lanes, Real, TOGETHER, prefetch, vectors};

/// Memory for the tensors of a plan.
pub struct Arena<T> {
    cells: Box<[UnsafeCell<Lanes<T>>]>,
    stride: usize,
    blocks: usize,
}

// SAFETY: cells are only reached through `Columns`, whose makers promise that no two threads use a cell at once unless
// both read it.
unsafe impl<T: Send + Sync> Sync for Arena<T> {}

impl<T: Real> Arena<T> {
    /// Zeros: `columns` columns for `blocks` blocks of samples.
    pub fn new(blocks: usize, columns: usize) -> Self {
        // A column's blocks, and thirty-two columns' together, must not fall into the same sets of a cache: an odd stride
        // spreads the former over 64 sets, one a little beyond a multiple of 32 the latter over 1024.
        let stride = columns.saturating_sub(33).next_multiple_of(128) + 33;
        Self { cells: zero_cells(blocks * stride), stride, blocks }
    }

    /// The columns `first..first + width` as a tensor.
    ///
    /// # Safety
    /// While a block of these columns is written, through whatever handle, nothing else may read or write it.
    ///
    /// # Panics
    /// When there are no such columns.
    pub unsafe fn tensor(&self, first: usize, width: usize) -> Columns<'_, T> {
        assert!(first + width <= self.stride);
        Columns { arena: self, first, width }
    }
}

/// What the columns of a tensor are multiplied with.
pub struct Pairs<'a, T, const C: usize> {
    /// Another tensor.
    pub other: Columns<'a, T>,
    /// Columns of it.
    pub cols: [usize; C],
    /// A third tensor and its column that multiplies each product. The column after it is fetched meanwhile.
    pub scale: Option<(Columns<'a, T>, usize)>,
    /// Columns so far beyond `cols` are fetched meanwhile, if this is not 0.
    pub ahead: usize,
}

/// A tensor in an [`Arena`].
pub struct Columns<'a, T> {
    arena: &'a Arena<T>,
    first: usize,
    width: usize,
}

impl<T> Clone for Columns<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Columns<'_, T> {}

impl<'a, T: Real> Columns<'a, T> {
    /// How many columns.
    pub fn width(self) -> usize {
        self.width
    }

    fn range(self, block: usize) -> std::ops::Range<usize> {
        assert!(block < self.arena.blocks);
        let start = block * self.arena.stride + self.first;
        start..start + self.width
    }

    /// One block's values, a [`Lanes`] per column.
    #[inline(always)]
    pub fn block(self, block: usize) -> &'a [Lanes<T>] {
        let cells = &self.arena.cells[self.range(block)];
        // SAFETY: `UnsafeCell<X>` is laid out like X; by the promise to `Arena::tensor` nothing writes these cells.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) }
    }

    /// One block's values, to write.
    ///
    /// # Safety
    /// As for [`Arena::tensor`]: nothing else may use this block of these columns meanwhile.
    #[inline(always)]
    pub unsafe fn block_mut(self, block: usize) -> &'a mut [Lanes<T>] {
        let cells = &self.arena.cells[self.range(block)];
        // SAFETY: `UnsafeCell<X>` is laid out like X; the caller promises exclusive use.
        unsafe { std::slice::from_raw_parts_mut(cells.as_ptr() as *mut Lanes<T>, cells.len()) }
    }

    /// The value of sample `row` in column `column`.
    #[inline(always)]
    pub fn value(self, row: usize, column: usize) -> T {
        self.block(row / LANES)[column].0[row % LANES]
    }

    /// Σ over the samples of `blocks` of rows\[i\] · scale · cols\[j\], for the columns `rows` of this tensor and what
    /// `pairs` names.
    ///
    /// # Panics
    /// When a column or block is not there.
    #[inline(always)]
    pub fn pair_sums<S: Simd, const R: usize, const C: usize>(
        self,
        simd: S,
        rows: [usize; R],
        pairs: Pairs<'a, T, C>,
        blocks: std::ops::Range<usize>,
    ) -> [[T; C]; R] {
        let Pairs { other, cols, scale, ahead } = pairs;
        assert!(rows.iter().all(|&r| r < self.width) && cols.iter().all(|&c| c < other.width));
        assert!(blocks.end <= self.arena.blocks && blocks.end <= other.arena.blocks);
        if let Some((tensor, column)) = scale {
            assert!(column < tensor.width && blocks.end <= tensor.arena.blocks);
        }
        let mut sums = [[T::splat(simd, T::zero()); C]; R];
        // Two vectors of the lanes at a time, added to the same sums: so these stay in registers, whatever the vectors' length.
        for first in (0..const { vectors::<T, S>() }).step_by(TOGETHER) {
            let (mut a, mut b) = (self.at(blocks.start), other.at(blocks.start));
            let mut s =
                scale.map(|(tensor, column)| (tensor.at(blocks.start).wrapping_add(column), tensor.arena.stride));
            for _ in blocks.clone() {
                if first == 0 {
                    if let Some((s, _)) = s {
                        prefetch(s.wrapping_add(1));
                    }
                    if ahead > 0 {
                        cols.iter().for_each(|col| prefetch(b.wrapping_add(col + ahead)));
                    }
                }
                for v in first..first + TOGETHER {
                    let mut d = [T::splat(simd, T::zero()); R];
                    for (d, &row) in d.iter_mut().zip(&rows) {
                        // SAFETY: `a` is at one of the blocks, and the column is one of the tensor's, as asserted above.
                        *d = T::vectors::<S>(unsafe { &(*a.add(row)).0 })[v];
                    }
                    let mut factor = None;
                    if let Some((s, _)) = s {
                        // SAFETY: as above.
                        factor = Some(T::vectors::<S>(unsafe { &(*s).0 })[v]);
                    }
                    for (j, &col) in cols.iter().enumerate() {
                        // SAFETY: as above.
                        let mut x = T::vectors::<S>(unsafe { &(*b.add(col)).0 })[v];
                        if let Some(factor) = factor {
                            x = T::product(simd, factor, x);
                        }
                        for (sums, &d) in sums.iter_mut().zip(&d) {
                            sums[j] = T::add_product(simd, d, x, sums[j]);
                        }
                    }
                }
                a = a.wrapping_add(self.arena.stride);
                b = b.wrapping_add(other.arena.stride);
                if let Some((s, stride)) = &mut s {
                    *s = s.wrapping_add(*stride);
                }
            }
        }
        let mut totals = [[T::zero(); C]; R];
        for (totals, sums) in totals.iter_mut().zip(sums) {
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total = T::total(simd, sum);
            }
        }
        totals
    }

    /// The first column in a block, or beyond the last block.
    fn at(self, block: usize) -> *const Lanes<T> {
        self.arena.cells.as_ptr().wrapping_add(block * self.arena.stride + self.first).cast()
    }
}
