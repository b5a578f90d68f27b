//! Cells of a column, whatever its Arrow type: as bytes of text, as numbers, as lists.

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray, UInt64Array,
};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::error::ArrowError;

/// A column whose cells can be read as text. The many Arrow types are first brought to these few.
pub(super) enum Text {
    String(StringArray),
    Int(Int64Array),
    UInt(UInt64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Bool(BooleanArray),
}

impl Text {
    /// # Errors
    /// Arrow's, for types that [`check_type`](super::columns::check_type) does not admit.
    pub(super) fn of(array: &ArrayRef) -> Result<Text, ArrowError> {
        use DataType as D;
        Ok(match array.data_type() {
            D::Utf8 => Text::String(array.as_string::<i32>().clone()),
            D::Int64 => Text::Int(array.as_primitive::<Int64Type>().clone()),
            D::UInt64 => Text::UInt(array.as_primitive::<UInt64Type>().clone()),
            D::Float32 => Text::Float32(array.as_primitive::<Float32Type>().clone()),
            D::Float64 => Text::Float64(array.as_primitive::<Float64Type>().clone()),
            D::Boolean => Text::Bool(array.as_boolean().clone()),
            D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32 => Text::of(&cast(array, &D::Int64)?)?,
            D::Float16 => Text::of(&cast(array, &D::Float32)?)?,
            D::Dictionary(_, value) => Text::of(&cast(array, value)?)?,
            D::Binary | D::LargeBinary | D::BinaryView => Text::of(&utf8(array)?)?,
            _ => Text::of(&cast(array, &D::Utf8)?)?,
        })
    }

    /// Calls `each` for every one of `rows` with its cell's bytes, `None` where it is null, empty or not a number.
    ///
    /// Whole numbers are written without allocation; 3.0 is written `3`, so that a column that a tool turned into
    /// floats keeps its categories.
    pub(super) fn for_each(&self, rows: impl Iterator<Item = usize>, mut each: impl FnMut(Option<&[u8]>)) {
        let mut digits = itoa::Buffer::new();
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
            Text::Float32(a) => float_text(rows, |row| a.is_valid(row).then(|| a.value(row)), f32::is_nan, each),
            Text::Float64(a) => float_text(rows, |row| a.is_valid(row).then(|| a.value(row)), f64::is_nan, each),
            Text::Bool(a) => {
                for row in rows {
                    each(a.is_valid(row).then(|| if a.value(row) { &b"true"[..] } else { b"false" }));
                }
            }
        }
    }
}

fn float_text<T: std::fmt::Display + Copy>(
    rows: impl Iterator<Item = usize>,
    get: impl Fn(usize) -> Option<T>,
    is_nan: impl Fn(T) -> bool,
    mut each: impl FnMut(Option<&[u8]>),
) {
    let mut text = String::new();
    for row in rows {
        text.clear();
        match get(row).filter(|x| !is_nan(*x)) {
            // Writing to a string cannot fail.
            Some(x) => each(write!(text, "{x}").ok().map(|()| text.as_bytes())),
            None => each(None),
        }
    }
}

/// All cells of a column as numbers, NaN where missing; the rows whose text is no number are given to `not_a_number`.
///
/// Dates and stamps become microseconds since 1970, which a float holds exactly; with `times`, also those written as
/// text.
pub(super) fn numbers(
    array: &ArrayRef,
    times: bool,
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
                let time =
                    |_| string_to_timestamp_nanos(text).ok().filter(|_| times).map(|t| (t / 1000) as f64).ok_or(());
                text.parse::<f64>().or_else(time).unwrap_or_else(|()| {
                    not_a_number(row);
                    f64::NAN
                })
            };
            Ok((0..a.len()).map(parse).collect())
        }
        D::LargeUtf8 | D::Utf8View => numbers(&cast(array, &D::Utf8)?, times, not_a_number),
        D::Binary | D::LargeBinary | D::BinaryView => numbers(&utf8(array)?, times, not_a_number),
        D::Dictionary(_, value) => numbers(&cast(array, value)?, times, not_a_number),
        D::Date32 | D::Date64 | D::Timestamp(..) => {
            let stamps = cast(array, &D::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))?;
            numbers(&cast(&stamps, &D::Int64)?, times, not_a_number)
        }
        // The time of a day: a count of the type's own unit.
        D::Time32(_) => numbers(&cast(array, &D::Int32)?, times, not_a_number),
        D::Time64(_) | D::Duration(_) => numbers(&cast(array, &D::Int64)?, times, not_a_number),
        _ => numbers(&cast(array, &D::Float64)?, times, not_a_number),
    }
}

/// Bytes as text; invalid UTF-8 is an error, where Arrow's plain cast would make it null.
fn utf8(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, &DataType::Utf8, &CastOptions { safe: false, ..Default::default() })
}

/// A column of lists.
pub(super) enum Lists {
    List(ListArray, Text),
    Separated(Text),
}

impl Lists {
    pub(super) fn of(array: &ArrayRef) -> Result<Lists, ArrowError> {
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
    pub(super) fn encode(
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
    use arrow::array::{Date32Array, Time64MicrosecondArray, TimestampMillisecondArray, TimestampSecondArray};
    use std::sync::Arc;

    fn times(array: impl Array + 'static) -> Vec<f64> {
        let array: ArrayRef = Arc::new(array);
        numbers(&array, true, |row| panic!("row {row} is no time")).unwrap()
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
