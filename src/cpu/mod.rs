//! What the CPU executor computes with: scalars, SIMD dispatch, threads, matrix products.
