//! The values of an embedding table on the CPU, in the precision that the table is stored in.

use half::f16;
use half::vec::HalfBitsVecExt;
use rayon::prelude::*;

use super::StepUniforms;
use crate::cpu::{Real, nearest_half, stochastic_half, zeros};
use crate::graph::{Precision, pcg};

/// rows × width values.
#[derive(Clone, Debug, PartialEq)]
pub enum TableValues<T> {
    /// In the precision that is computed in.
    Full(Vec<T>),
    /// As half floats.
    Half(Vec<f16>),
}

impl<T: Real> From<Vec<T>> for TableValues<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Full(values)
    }
}

impl<T: Real> TableValues<T> {
    /// So many zeros.
    pub fn zeros(count: usize, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Full(zeros(count)),
            // By way of integers, of which the system gives zeros without writing them.
            Precision::F16 => Self::Half(zeros::<u16>(count).reinterpret_into()),
        }
    }

    /// Writes `values`, or the halves nearest to them, from number `first` on.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn set(&mut self, first: usize, values: &[T]) {
        match self {
            Self::Full(all) => all[first..][..values.len()].copy_from_slice(values),
            Self::Half(all) => round_to_nearest(&mut all[first..][..values.len()], values),
        }
    }

    /// Calls `fill` with every `count` values of those from `first` to `end`, on all threads; with the number of the
    /// piece, and with memory to write them to. They are rounded to the nearest.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn fill(&mut self, range: std::ops::Range<usize>, count: usize, fill: impl Fn(usize, &mut [T]) + Sync) {
        match self {
            Self::Full(all) => all[range].par_chunks_mut(count).enumerate().for_each(|(i, values)| fill(i, values)),
            Self::Half(all) => all[range].par_chunks_mut(count).enumerate().for_each(|(i, halves)| {
                let mut values = vec![T::zero(); halves.len()];
                fill(i, &mut values);
                round_to_nearest(halves, &values);
            }),
        }
    }

    /// The values, where they are stored as they are computed with.
    pub fn full_mut(&mut self) -> Option<&mut Vec<T>> {
        match self {
            Self::Full(values) => Some(values),
            Self::Half(_) => None,
        }
    }

    /// How they are stored.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Full(_) => Precision::F32,
            Self::Half(_) => Precision::F16,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Full(values) => values.len(),
            Self::Half(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes those from number `first` on to `out`, as they are computed with.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn copy_to(&self, first: usize, out: &mut [T]) {
        match self {
            Self::Full(values) => out.copy_from_slice(&values[first..][..out.len()]),
            Self::Half(halves) => T::of_halves(&halves[first..][..out.len()], out),
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let (full, half): (&[T], &[f16]) = match self {
            Self::Full(values) => (values, &[]),
            Self::Half(values) => (&[], values),
        };
        full.iter().copied().chain(half.iter().map(|half| T::of(half.to_f64())))
    }

    /// All of them as they are computed with.
    pub fn to_vec(&self) -> Vec<T> {
        match self {
            Self::Full(values) => values.clone(),
            Self::Half(halves) => {
                let mut values = zeros(halves.len());
                T::of_halves(halves, &mut values);
                values
            }
        }
    }

    /// Changes all of them, each to the nearest there is.
    pub fn change(&mut self, change: impl Fn(&mut T)) {
        match self {
            Self::Full(values) => values.iter_mut().for_each(change),
            Self::Half(halves) => halves.iter_mut().for_each(|half| {
                let mut value = T::of(half.to_f64());
                change(&mut value);
                *half = nearest_half(value.wide() as f32);
            }),
        }
    }

    /// The first that is no finite number.
    pub fn first_not_finite(&self) -> Option<f64> {
        match self {
            Self::Full(values) => values.iter().find(|value| !value.is_finite()).map(|value| value.wide()),
            Self::Half(halves) => halves.iter().find(|half| !half.is_finite()).map(|half| half.to_f64()),
        }
    }

    /// The same for another precision of computation.
    pub fn convert<B: Real>(&self) -> TableValues<B> {
        match self {
            Self::Full(values) => TableValues::Full(converted(values)),
            Self::Half(halves) => TableValues::Half(halves.clone()),
        }
    }
}

/// Values in another precision of computation.
pub(crate) fn converted<A: Real, B: Real>(values: &[A]) -> Vec<B> {
    let mut converted = zeros(values.len());
    for (to, from) in converted.iter_mut().zip(values) {
        *to = B::of(from.wide());
    }
    converted
}

fn round_to_nearest<T: Real>(halves: &mut [f16], values: &[T]) {
    for (half, value) in halves.iter_mut().zip(values) {
        *half = nearest_half(value.wide() as f32);
    }
}

/// What a table holds of a value that is computed as `T`.
pub(crate) trait Stored<T>: Copy + Send + Sync {
    /// Room for the values of `count`, where they are not what is stored.
    fn buffer(count: usize) -> Vec<T>;

    /// The values of what is stored; `buffer` has room for just so many.
    fn values<'a>(stored: &'a [Self], buffer: &'a mut [T]) -> &'a [T];

    /// Lets `change` change some values of a row, which stand there from the first column on. `buffer` has room for them.
    fn change(stored: &mut [Self], buffer: &mut [T], rounding: RowRounding, change: impl FnOnce(&mut [T]));
}

impl<T: Real> Stored<T> for T {
    fn buffer(_: usize) -> Vec<T> {
        Vec::new()
    }

    #[inline(always)]
    fn values<'a>(stored: &'a [Self], _: &'a mut [T]) -> &'a [T] {
        stored
    }

    #[inline(always)]
    fn change(stored: &mut [Self], _: &mut [T], _: RowRounding, change: impl FnOnce(&mut [T])) {
        change(stored);
    }
}

impl<T: Real> Stored<T> for f16 {
    fn buffer(count: usize) -> Vec<T> {
        vec![T::zero(); count]
    }

    #[inline(always)]
    fn values<'a>(stored: &'a [Self], buffer: &'a mut [T]) -> &'a [T] {
        T::of_halves(stored, buffer);
        buffer
    }

    #[inline(always)]
    fn change(stored: &mut [Self], buffer: &mut [T], rounding: RowRounding, change: impl FnOnce(&mut [T])) {
        let values = &mut buffer[..stored.len()];
        T::of_halves(stored, values);
        change(values);
        for (column, (half, value)) in (0..).zip(stored.iter_mut().zip(values)) {
            *half = stochastic_half(value.wide() as f32, rounding.bits(column));
        }
    }
}

/// The random bits by which a step's new values of a table are rounded: functions of the run's seed, the step, the table,
/// the row and the column. The same in `shaders/common/half_rows.wgsl`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableRounding(u32);

/// Those of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRounding(u32);

/// Apart from the salts of dropout, which are numbers of layers.
const SALT: u32 = 0x8000_0000;

impl TableRounding {
    /// For table number `table`.
    pub(crate) fn new(uniforms: &StepUniforms, table: usize) -> Self {
        Self(pcg((SALT | table as u32) ^ pcg(uniforms.step ^ pcg(uniforms.seed))))
    }

    /// For a row of it.
    #[inline(always)]
    pub(crate) fn row(self, row: u32) -> RowRounding {
        RowRounding(pcg(row ^ self.0))
    }
}

impl RowRounding {
    /// For a value of the row.
    #[inline(always)]
    pub(crate) fn bits(self, column: u32) -> u32 {
        pcg(column ^ self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn random_bits_depend_on_seed_step_table_row_and_column() {
        let mut seen = HashSet::new();
        let mut ones = 0;
        for (seed, step, table) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
            let rounding = TableRounding::new(&StepUniforms { seed, step, ..StepUniforms::default() }, table as usize);
            for row in 0..40 {
                for column in 0..20 {
                    let bits = rounding.row(row).bits(column);
                    seen.insert(bits);
                    ones += bits.count_ones();
                }
            }
        }
        // Of 21,600 draws from 2³² numbers a pair or none is alike.
        assert!(seen.len() > 21_595, "{}", seen.len());
        // Half of the bits, to five standard deviations.
        let bits = 21_600.0 * 32.0;
        assert!((f64::from(ones) - bits / 2.0).abs() < 5.0 * 0.5 * f64::sqrt(bits), "{ones}");
    }

    #[test]
    fn values_are_kept_in_either_precision() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) / 333.0).collect();
        for precision in [Precision::F32, Precision::F16] {
            let mut stored = TableValues::zeros(values.len(), precision);
            assert_eq!((stored.precision(), stored.len()), (precision, 1000));
            stored.fill(0..1000, 64, |piece, out| out.copy_from_slice(&values[64 * piece..][..out.len()]));
            let expected: Vec<f32> = match precision {
                Precision::F32 => values.clone(),
                Precision::F16 => values.iter().map(|&value| f16::from_f32(value).to_f32()).collect(),
            };
            assert_eq!(stored.to_vec(), expected);
            assert_eq!(stored.iter().collect::<Vec<_>>(), expected);
            assert_eq!(stored.convert::<f64>().convert(), stored);
            assert_eq!(stored.first_not_finite(), None);
            stored.set(5, &[f32::INFINITY]);
            assert_eq!(stored.first_not_finite(), Some(f64::INFINITY));
        }
    }
}
