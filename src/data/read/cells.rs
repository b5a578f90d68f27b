//! Cells of a column, whatever its Arrow type: as bytes of text, as numbers, as lists.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, UInt64Array};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use chrono::{DateTime, Utc};

use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::{ValueType, WHOLE, time, truth, write_float, write_time};

/// A column whose cells can be read as text. The many Arrow types are first brought to these few.
pub(crate) enum Text {
    String(StringArray),
    Int(Int64Array),
    UInt(UInt64Array),
    /// Numbers in single or double precision, or decimals.
    Float(Float64Array),
    Bool(BooleanArray),
    /// Dates, or moments in UTC: a count of this many parts of a second since 1970.
    Time {
        array: Int64Array,
        per_second: i64,
        is_date: bool,
    },
}

impl Text {
    /// # Errors
    /// Arrow's, for types that [`check_type`](crate::data::schema::columns::check_type) does not admit.
    pub(crate) fn of(array: &ArrayRef) -> Result<Text, ArrowError> {
        use DataType as D;
        Ok(match array.data_type() {
            D::Utf8 => Text::String(array.as_string::<i32>().clone()),
            D::Int64 => Text::Int(array.as_primitive::<Int64Type>().clone()),
            D::UInt64 => Text::UInt(array.as_primitive::<UInt64Type>().clone()),
            D::Float64 => Text::Float(array.as_primitive::<Float64Type>().clone()),
            D::Boolean => Text::Bool(array.as_boolean().clone()),
            D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32 => Text::of(&cast(array, &D::Int64)?)?,
            D::Float16 | D::Float32 => Text::of(&cast(array, &D::Float64)?)?,
            D::Dictionary(_, value) => Text::of(&cast(array, value)?)?,
            D::Binary | D::LargeBinary | D::BinaryView => Text::of(&utf8(array)?)?,
            D::FixedSizeBinary(_) => Text::of(&cast(array, &D::Binary)?)?,
            D::Date32 => Text::time(&cast(&cast(array, &D::Int32)?, &D::Int64)?, 0, true),
            D::Date64 => Text::time(&cast(array, &D::Int64)?, 1_000, true),
            D::Timestamp(unit, _) => Text::time(&cast(array, &D::Int64)?, per_second(*unit), false),
            _ => Text::of(&cast(array, &D::Utf8)?)?,
        })
    }

    fn time(array: &ArrayRef, per_second: i64, is_date: bool) -> Text {
        Text::Time { array: array.as_primitive::<Int64Type>().clone(), per_second, is_date }
    }

    /// What the file says that the values are.
    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Text::String(_) => ValueType::Text,
            Text::Int(_) | Text::UInt(_) => ValueType::Integer,
            Text::Float(_) => ValueType::Float,
            Text::Bool(_) => ValueType::Boolean,
            Text::Time { is_date: true, .. } => ValueType::Date,
            Text::Time { .. } => ValueType::Time,
        }
    }

    /// Calls `each` for every one of `rows` with its cell's bytes, `None` where it is null, empty or not a number. Other
    /// cells than text are in the one form of their type ([`ValueType`]); whole numbers are written without allocation.
    pub(crate) fn for_each(&self, rows: impl Iterator<Item = usize>, mut each: impl FnMut(Option<&[u8]>)) {
        let mut digits = itoa::Buffer::new();
        let mut text = String::new();
        match self {
            Text::String(a) => {
                for row in rows {
                    each(Some(a.value(row).as_bytes()).filter(|v| !v.is_empty() && a.is_valid(row)));
                }
            }
            Text::Int(a) if a.null_count() == 0 => {
                let values = a.values();
                for row in rows {
                    each(Some(digits.format(values[row]).as_bytes()));
                }
            }
            Text::Int(a) => {
                for row in rows {
                    each(a.is_valid(row).then(|| digits.format(a.value(row)).as_bytes()));
                }
            }
            Text::UInt(a) => {
                for row in rows {
                    each(a.is_valid(row).then(|| digits.format(a.value(row)).as_bytes()));
                }
            }
            Text::Float(a) => {
                for row in rows {
                    text.clear();
                    let is_number = a.is_valid(row) && !a.value(row).is_nan();
                    each(is_number.then(|| {
                        write_float(a.value(row), &mut text);
                        text.as_bytes()
                    }));
                }
            }
            Text::Bool(a) => {
                for row in rows {
                    each(a.is_valid(row).then(|| if a.value(row) { &b"true"[..] } else { b"false" }));
                }
            }
            Text::Time { array, per_second, .. } => {
                for row in rows {
                    text.clear();
                    let time = array.is_valid(row).then(|| moment(array.value(row), *per_second));
                    each(time.map(|time| {
                        match time {
                            Some(time) => write_time(&time, &mut text),
                            // Beyond the calendar; it is a value all the same.
                            None => text.push_str(digits.format(array.value(row))),
                        }
                        text.as_bytes()
                    }));
                }
            }
        }
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A count of parts of a second since 1970, or of days where there are 0 of these in a second, as a moment.
fn moment(count: i64, per_second: i64) -> Option<DateTime<Utc>> {
    if per_second == 0 {
        return DateTime::from_timestamp(count.checked_mul(86_400)?, 0);
    }
    let nanos = count.rem_euclid(per_second) * (1_000_000_000 / per_second);
    DateTime::from_timestamp(count.div_euclid(per_second), u32::try_from(nanos).ok()?)
}

/// The limit beyond which a column of such floats does not tell whole numbers apart; none for other types.
pub(crate) fn whole_limit(data_type: &DataType) -> Option<f64> {
    match data_type {
        DataType::Float16 => Some(2048.0),
        DataType::Float32 => Some(16_777_216.0),
        DataType::Float64 => Some(WHOLE),
        DataType::Dictionary(_, value) => whole_limit(value),
        _ => None,
    }
}

/// All cells of a column as numbers, NaN where missing; the rows whose text is no number are given to `not_a_number`.
/// Booleans are 0 and 1.
///
/// Dates and stamps become microseconds since 1970, which a float holds exactly; with `times`, also those written as
/// text.
pub(crate) fn numbers(
    array: &ArrayRef,
    times: bool,
    nulls: &Nulls,
    not_a_number: impl FnMut(usize),
) -> Result<Vec<f64>, ArrowError> {
    let mut found = read_numbers(array, times, nulls, not_a_number)?;
    if nulls.has_numbers() {
        found.iter_mut().filter(|x| nulls.is_number(**x)).for_each(|x| *x = f64::NAN);
    }
    Ok(found)
}

fn read_numbers(
    array: &ArrayRef,
    times: bool,
    nulls: &Nulls,
    mut not_a_number: impl FnMut(usize),
) -> Result<Vec<f64>, ArrowError> {
    use DataType as D;
    match array.data_type() {
        D::Float64 => {
            let a = array.as_primitive::<Float64Type>();
            if a.null_count() == 0 {
                return Ok(a.values().to_vec());
            }
            Ok(a.iter().map(|x| x.unwrap_or(f64::NAN)).collect())
        }
        D::Utf8 => {
            let a = array.as_string::<i32>();
            let parse = |row: usize| {
                let text = a.value(row).trim();
                if text.is_empty() || a.is_null(row) {
                    return f64::NAN;
                }
                text.parse::<f64>().ok().or_else(|| other_number(text, times, nulls)).unwrap_or_else(|| {
                    not_a_number(row);
                    f64::NAN
                })
            };
            Ok((0..a.len()).map(parse).collect())
        }
        D::LargeUtf8 | D::Utf8View => read_numbers(&cast(array, &D::Utf8)?, times, nulls, not_a_number),
        D::Binary | D::LargeBinary | D::BinaryView => read_numbers(&utf8(array)?, times, nulls, not_a_number),
        D::FixedSizeBinary(_) => read_numbers(&cast(array, &D::Binary)?, times, nulls, not_a_number),
        D::Dictionary(_, value) => read_numbers(&cast(array, value)?, times, nulls, not_a_number),
        D::Date32 | D::Date64 | D::Timestamp(..) => {
            let stamps = cast(array, &D::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))?;
            read_numbers(&cast(&stamps, &D::Int64)?, times, nulls, not_a_number)
        }
        // The time of a day: a count of the type's own unit.
        D::Time32(_) => read_numbers(&cast(array, &D::Int32)?, times, nulls, not_a_number),
        D::Time64(_) | D::Duration(_) => read_numbers(&cast(array, &D::Int64)?, times, nulls, not_a_number),
        _ => read_numbers(&cast(array, &D::Float64)?, times, nulls, not_a_number),
    }
}

/// What a text means that is no number: nothing, a boolean, or a time.
fn other_number(text: &str, times: bool, nulls: &Nulls) -> Option<f64> {
    if nulls.is_null(text.as_bytes()) {
        return Some(f64::NAN);
    }
    if let Some(truth) = truth(text.as_bytes()) {
        return Some(f64::from(u8::from(truth)));
    }
    if !times {
        return None;
    }
    time(text.as_bytes()).map(|time| time.timestamp_micros() as f64)
}

/// Bytes as text; invalid UTF-8 is an error, where Arrow's plain cast would make it null.
fn utf8(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, &DataType::Utf8, &CastOptions { safe: false, ..Default::default() })
}

/// A column of lists.
pub(crate) enum Lists {
    List(ListArray, Text),
    Separated(Text),
}

impl Lists {
    pub(crate) fn of(array: &ArrayRef) -> Result<Lists, ArrowError> {
        let item = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                return Ok(Lists::List(list.clone(), Text::of(list.values())?));
            }
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => item.clone(),
            _ => return Ok(Lists::Separated(Text::of(array)?)),
        };
        Lists::of(&cast(array, &DataType::List(item))?)
    }

    /// Appends, for every one of `rows`, its last `max_length` items' ids to `ids` and their number to `lengths`.
    /// Missing items are left out.
    pub(crate) fn encode(
        &self,
        rows: impl Iterator<Item = usize>,
        separator: &str,
        max_length: usize,
        mut id: impl FnMut(&[u8]) -> u32,
        lengths: &mut Vec<u32>,
        ids: &mut Vec<u32>,
    ) {
        match self {
            Lists::List(list, items) => {
                let mut found = Vec::new();
                for row in rows {
                    found.clear();
                    if list.is_valid(row) {
                        let (start, end) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
                        items.for_each(start..end, |item| found.extend(item.map(&mut id)));
                    }
                    let kept = &found[found.len().saturating_sub(max_length)..];
                    ids.extend_from_slice(kept);
                    lengths.push(kept.len() as u32);
                }
            }
            Lists::Separated(text) => text.for_each(rows, |cell| {
                let text = cell.and_then(|c| std::str::from_utf8(c).ok()).unwrap_or_default();
                let start = ids.len();
                // Backwards, so that a long history costs no more than what is kept of it.
                let items = text.rsplit(separator).map(str::trim).filter(|item| !item.is_empty());
                ids.extend(items.take(max_length).map(|item| id(item.as_bytes())));
                ids[start..].reverse();
                lengths.push((ids.len() - start) as u32);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Date32Array, Time64MicrosecondArray, TimestampMillisecondArray, TimestampSecondArray};
    use std::sync::Arc;

    fn times(array: impl Array + 'static) -> Vec<f64> {
        let array: ArrayRef = Arc::new(array);
        numbers(&array, true, &Nulls::default(), |row| panic!("row {row} is no time")).unwrap()
    }

    #[test]
    fn one_day_is_one_number_however_it_is_written() {
        let day = 18_262.0 * 86_400e6;
        assert_eq!(times(Date32Array::from(vec![18_262])), [day]);
        assert_eq!(times(TimestampSecondArray::from(vec![18_262 * 86_400])), [day]);
        let zone = TimestampMillisecondArray::from(vec![18_262 * 86_400_000]).with_timezone("+02:00");
        assert_eq!(times(zone), [day]);
        let texts = ["2020-01-01", "2020-01-01 00:00:00", "2020-01-01T01:00:00+01:00", "1577836800000000"];
        assert_eq!(times(StringArray::from(texts.to_vec())), [day; 4]);
        assert_eq!(times(Time64MicrosecondArray::from(vec![7])), [7.0]);
    }
}
