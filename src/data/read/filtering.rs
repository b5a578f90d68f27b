//! Leaving out the rows of a chunk that `data.where` does not take.

use crate::data::error::{Error, Result};
use crate::data::read::cells::Text;
use crate::data::read::checks::{fault, with_column};
use crate::data::read::faults::Faults;
use crate::data::read::reader::Chunk;
use crate::data::schema::Schema;
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;

/// The rows of a chunk that the schema's filter takes, if the plan has its columns, and how many others there were. What is
/// wrong with a row that is not taken does not matter; a row that cannot be compared is a bad one.
pub(crate) fn filtered(schema: &Schema, plan: &WantedColumns, nulls: &Nulls, chunk: Chunk) -> Result<(Chunk, u64)> {
    let Some(filter) = schema.filter.as_ref().filter(|_| !plan.filter.is_empty()) else { return Ok((chunk, 0)) };
    let mut takes = vec![true; chunk.len()];
    let mut faults = vec![chunk.faults.clone()];
    for (condition, column) in filter.conditions().iter().zip(&plan.filter) {
        let test = &condition.test;
        let held = with_column(plan, &chunk, *column, |array| Ok(Text::of(&array.slice(0, 0))?.value_type()))?;
        if !test.fits(held) {
            return Err(wrong_type(plan, &chunk, *column, test.kind()));
        }
        let found = with_column(plan, &chunk, *column, |array| {
            let (mut row, mut room, mut found) = (0, String::new(), Faults::default());
            Text::of(array)?.for_each(0..array.len(), |cell| {
                match test.passes(cell, held, nulls, &mut room) {
                    Some(passes) => takes[row] &= passes,
                    None => found.add(row, || {
                        let expected = format!("{}, which data.where compares", test.kind().in_words());
                        fault(&condition.column, array, row, expected)
                    }),
                }
                row += 1;
            });
            Ok(found)
        })?;
        faults.push(found);
    }
    // Of a row without the right number of cells nothing is certain, its filter's cells included.
    chunk.faults.rows.iter().for_each(|row| takes[*row as usize] = true);
    chunk.only(&takes, Faults::merged(&faults))
}

fn wrong_type(plan: &WantedColumns, chunk: &Chunk, column: usize, kind: ValueType) -> Error {
    let wanted = &plan.wanted[column];
    Error::ColumnType {
        path: chunk.path().to_path_buf(),
        column: wanted.name.clone(),
        key: wanted.key.clone(),
        expected: match kind {
            ValueType::Boolean => "booleans or numbers, to compare them with true or false",
            ValueType::Time => "dates or times, to compare them with one",
            ValueType::Float => "numbers, to compare them with one",
            _ => "text, or a value of its own type to compare with",
        },
        found: chunk.column(column).map_or_else(String::new, |array| array.data_type().to_string()),
    }
}
