//! Dense matrix products, by the `gemm` crate.

use super::Real;

/// A row-major matrix, or the transpose of one.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows` × `cols` values, row-major.
    pub fn new(values: &'a [T], rows: usize, cols: usize) -> Self {
        debug_assert!(values.len() >= rows * cols);
        Self { values, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The columns `first..first + count`.
    pub fn columns(self, first: usize, count: usize) -> Self {
        Self { values: &self.values[first * self.col_stride..], cols: count, ..self }
    }

    /// The transpose.
    pub fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// `out = a · b`, `out` row-major. One thread: callers split the rows themselves.
pub fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, out: &mut [T]) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner dimensions");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        out[..m * n].fill(T::zero());
        return;
    }
    let last = |x: &Matrix<'_, T>| (x.rows - 1) * x.row_stride + (x.cols - 1) * x.col_stride;
    assert!(out.len() >= m * n && last(&a) < a.values.len() && last(&b) < b.values.len(), "matrix out of bounds");
    // SAFETY: the assertion above keeps every element the strides reach inside the three slices, and `out` is
    // borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.values.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::zero(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_and_column_ranges() {
        let a: Vec<f64> = (0..6).map(f64::from).collect(); // 2×3
        let b: Vec<f64> = (0..8).map(f64::from).collect(); // 2×4
        let mut out = vec![0.0; 6];
        product(Matrix::new(&a, 2, 3).transposed(), Matrix::new(&b, 2, 4).columns(1, 2), &mut out);
        let expected: Vec<f64> =
            (0..3).flat_map(|i| (1..3).map(move |j| (i, j))).map(|(i, j)| a[i] * b[j] + a[3 + i] * b[4 + j]).collect();
        assert_eq!(out, expected);
    }
}
