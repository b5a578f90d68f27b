//! The two scalars the executor knows, and functions written so that they cannot overflow.

use num_traits::Float;

/// f32 or f64.
pub trait Real:
    Float + Default + Send + Sync + std::fmt::Debug + std::ops::AddAssign + std::ops::MulAssign + std::iter::Sum + 'static
{
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// As f64.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn of(x: f64) -> Self {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
}

/// The logistic function, by the exponential of a non-positive number only.
pub fn sigmoid<T: Real>(x: T) -> T {
    let e = (-x.abs()).exp();
    let one = T::one();
    if x >= T::zero() { one / (one + e) } else { e / (one + e) }
}

/// Softplus, log(1 + eˣ), without overflow.
pub fn log1p_exp<T: Real>(x: T) -> T {
    x.max(T::zero()) + (-x.abs()).exp().ln_1p()
}
