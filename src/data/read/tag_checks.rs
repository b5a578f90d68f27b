//! Checking the cells of fields of tags, and reading those of the good rows.

use crate::data::error::Result;
use crate::data::read::checks::{Checked, fault, with_column};
use crate::data::read::faults::Faults;
use crate::data::read::lists::{ItemLists, TagColumn, WeightFault};
use crate::data::read::reader::Chunk;
use crate::data::schema::FieldOptions;
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;

impl Checked {
    /// The good rows' tags of a field, and how many of these rows have more than are kept. `columns` are the values' and the
    /// weights'.
    pub(crate) fn tags(
        &self,
        plan: &WantedColumns,
        chunk: &Chunk,
        columns: (usize, Option<usize>),
        options: &FieldOptions,
        nulls: &Nulls,
        id: impl FnMut(&[u8]) -> u32,
    ) -> Result<(ItemLists, u64)> {
        with_tags(plan, chunk, columns, options, nulls, |column| {
            column.encode(self.keep.iter().map(|k| *k as usize), id)
        })
    }

    /// What the chunk's file says that a field's tags are, after `each` was called for every one of the good rows'.
    pub(crate) fn tag_values(
        &self,
        plan: &WantedColumns,
        chunk: &Chunk,
        column: usize,
        options: &FieldOptions,
        nulls: &Nulls,
        mut each: impl FnMut(&[u8]),
    ) -> Result<ValueType> {
        with_tags(plan, chunk, (column, None), options, nulls, |column| {
            for row in &self.keep {
                column.for_each(*row as usize, |_, item| each(item));
            }
            column.value_type()
        })
    }
}

/// Reads a field's tags, with their weights where `columns` name these.
fn with_tags<T>(
    plan: &WantedColumns,
    chunk: &Chunk,
    (values, weights): (usize, Option<usize>),
    options: &FieldOptions,
    nulls: &Nulls,
    read: impl FnOnce(&TagColumn<'_>) -> T,
) -> Result<T> {
    let weights = weights.map(|column| with_column(plan, chunk, column, |array| Ok(array.clone()))).transpose()?;
    with_column(plan, chunk, values, |array| Ok(read(&TagColumn::of(array, weights.as_ref(), options, nulls)?)))
}

/// The rows whose tags are not of the type that the schema asks for, or whose weights are not theirs.
pub(super) fn tag_faults(
    name: &str,
    options: &FieldOptions,
    plan: &WantedColumns,
    chunk: &Chunk,
    columns: (usize, Option<usize>),
    must_be: Option<ValueType>,
    nulls: &Nulls,
) -> Result<Faults> {
    let mut faults = Faults::default();
    if must_be.is_none() && columns.1.is_none() {
        return Ok(faults);
    }
    let cells = |column: usize| with_column(plan, chunk, column, |array| Ok(array.clone()));
    let (values, weights) = (cells(columns.0)?, columns.1.map(cells).transpose()?);
    let of_weights = options.weights.as_deref().unwrap_or_default();
    with_tags(plan, chunk, columns, options, nulls, |column| {
        for row in 0..chunk.len() {
            let mut is_other = false;
            column.for_each(row, |_, item| {
                is_other |= must_be.is_some_and(|must_be| !nulls.is_null(item) && !must_be.holds(item));
            });
            if let Some(must_be) = must_be.filter(|_| is_other) {
                let expected = format!("{}, as data.fields.{name}.type says", must_be.in_words());
                faults.add(row, || fault(name, &values, row, expected));
            } else if let (Some(found), Some(weights)) = (column.weight_fault(row), &weights) {
                let expected = match found {
                    WeightFault::Count(count) => format!("as many weights as \"{name}\" has values, {count}"),
                    WeightFault::Value => "weights of at least 0, finite in single precision".to_owned(),
                };
                faults.add(row, || fault(of_weights, weights, row, expected));
            }
        }
    })?;
    Ok(faults)
}
