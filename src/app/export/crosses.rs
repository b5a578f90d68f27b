//! Crosses: rows of the values of several columns together.

use std::collections::{HashMap, HashSet};

use super::ROWS;
use super::columns::{Columns, Keys, in_words};
use crate::config::ConfigError;
use crate::data::{Vocabulary, parts_of};
use crate::onnx::{Attribute, Value};
use crate::train::Error;

impl Columns<'_> {
    /// The embedding row of a cross: the columns' values are numbered, and each row's numbers are one number together.
    pub(super) fn cross(&mut self, field: usize, cross: &[String], known: &Vocabulary) -> Result<Value, Error> {
        let encoder = self.encoder;
        let of_parts: Vec<Vec<String>> = (0..cross.len()).map(|part| values_of_part(known, part)).collect();
        let numbers: Vec<HashMap<&str, i64>> =
            of_parts.iter().map(|values| values.iter().map(String::as_str).zip(1..).collect()).collect();
        let sizes: Vec<i64> = of_parts.iter().map(|values| values.len() as i64 + 1).collect();
        let name = &encoder.fields()[field].name;
        if sizes.iter().try_fold(1_i64, |all, size| all.checked_mul(*size)).is_none() {
            let expected = format!("--inputs encoded, for the columns of \"{name}\" have too many values together");
            return Err(ConfigError::value(self.run, "--inputs", &expected, "raw").into());
        }
        let mut all: Option<Value> = None;
        for (part, column) in cross.iter().enumerate() {
            let (element, value_type) = (self.element_of(column), encoder.part_types(field)[part]);
            let input = self.input(column, element, &[ROWS], &in_words(value_type, element))?;
            let number = self.look_up(&input, element, value_type, &Keys::Part(of_parts[part].clone()), 0);
            all = Some(match all {
                Some(before) => {
                    let size = self.onnx.ints(&[sizes[part]]);
                    let before = self.onnx.mul(&before, &size);
                    self.onnx.add(&before, &number)
                }
                None => number,
            });
        }
        let together = |text: &str| {
            let parts = parts_of(text);
            let number = |part: usize| parts.get(part).and_then(|value| numbers[part].get(value.as_str()).copied());
            (0..cross.len()).fold(0, |all, part| all * sizes[part] + number(part).unwrap_or_default())
        };
        let keys = known.rows().filter_map(|row| known.value(row)).map(together).collect();
        let rows = known.rows().map(i64::from).collect();
        let all = all.unwrap_or_else(|| unreachable!("a cross has columns"));
        Ok(self.encode(&all, ("keys_int64s", Attribute::Ints(keys)), rows, 0))
    }
}

/// The different values that a column has in a vocabulary of a cross, the first seen first.
pub(super) fn values_of_part(known: &Vocabulary, part: usize) -> Vec<String> {
    let mut seen = HashSet::new();
    let values =
        known.rows().filter_map(|row| known.value(row)).filter_map(|text| parts_of(text).into_iter().nth(part));
    values.filter(|value| seen.insert(value.clone())).collect()
}
