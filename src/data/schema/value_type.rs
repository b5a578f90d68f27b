//! The type of a column's values, and the one form in which a value is looked up, however a file writes it.
//!
//! `True`, `true` and 1 are one boolean; 7, 7.0 and `" 7"` one integer; midnight of a day is that day; a time in a zone is
//! its moment in UTC. Without this, a file in another guise would be scored as if all its values were unknown.

use std::fmt::{self, Write};
use std::str::FromStr;

use arrow_cast::parse::string_to_datetime;
use chrono::{DateTime, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::data::schema::nulls::Nulls;

/// What a column's values are, whatever a later file calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ValueType {
    /// Text, taken as it is.
    #[default]
    Text,
    /// `true` or `false`; also read as `True`, `TRUE`, `t`, `1`, `1.0` and so on.
    Boolean,
    /// A whole number of any size.
    Integer,
    /// A whole number written with so many digits, zeros in front included: `007`. A file that has the number alone
    /// (7) means the same.
    Digits(u8),
    /// Any number, in the shortest form that reads back.
    Float,
    /// A day.
    Date,
    /// A moment, in UTC; a time without a zone counts as UTC.
    Time,
}

/// Names without numbers, for messages.
const NAMES: &str = "\"text\", \"boolean\", \"integer\", \"digits(N)\", \"float\", \"date\" or \"time\"";

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Text => "text",
            ValueType::Boolean => "boolean",
            ValueType::Integer => "integer",
            ValueType::Digits(width) => return write!(f, "digits({width})"),
            ValueType::Float => "float",
            ValueType::Date => "date",
            ValueType::Time => "time",
        })
    }
}

impl FromStr for ValueType {
    type Err = String;

    fn from_str(text: &str) -> Result<ValueType, String> {
        let width = |text: &str| text.strip_prefix("digits(")?.strip_suffix(')')?.parse().ok().filter(|n| *n > 0);
        Ok(match text {
            "text" => ValueType::Text,
            "boolean" => ValueType::Boolean,
            "integer" => ValueType::Integer,
            "float" => ValueType::Float,
            "date" => ValueType::Date,
            "time" => ValueType::Time,
            other => ValueType::Digits(width(other).ok_or_else(|| format!("expected {NAMES}, found {other:?}"))?),
        })
    }
}

impl From<ValueType> for String {
    fn from(value: ValueType) -> String {
        value.to_string()
    }
}

impl TryFrom<String> for ValueType {
    type Error = String;

    fn try_from(text: String) -> Result<ValueType, String> {
        text.parse()
    }
}

impl ValueType {
    /// In words, for messages about a column's values.
    pub(crate) fn in_words(self) -> String {
        match self {
            ValueType::Text => "text".to_owned(),
            ValueType::Boolean => "true or false".to_owned(),
            ValueType::Integer => "whole numbers".to_owned(),
            ValueType::Digits(width) => format!("numbers of {width} digits"),
            ValueType::Float => "numbers".to_owned(),
            ValueType::Date => "dates".to_owned(),
            ValueType::Time => "times".to_owned(),
        }
    }

    /// The form in which a value of this type is looked up; `None` where the text stands for a missing one. A text that
    /// is no value of this type stays as it is, and so equals none that is. `room` is space to write in.
    #[inline]
    pub(crate) fn canonical<'a>(self, text: &'a [u8], nulls: &Nulls, room: &'a mut String) -> Option<&'a [u8]> {
        if self == ValueType::Text {
            return (!nulls.is_given(text)).then_some(text);
        }
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() || nulls.is_null(trimmed) {
            return None;
        }
        room.clear();
        Some(if self.write(trimmed, room).is_some() { room.as_bytes() } else { trimmed })
    }

    /// Texts that mean a value, given in its canonical form; the usual ones, where there is no end to them.
    pub(crate) fn spellings(self, canonical: &str) -> Vec<String> {
        let own = canonical.to_owned();
        match self {
            ValueType::Text | ValueType::Integer | ValueType::Float => vec![own],
            ValueType::Boolean => {
                let digit = if canonical == "true" { "1" } else { "0" };
                let in_case = |bits: u32| {
                    let cased = |(at, letter): (usize, char)| {
                        if bits >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
                    };
                    canonical.chars().enumerate().map(cased).collect()
                };
                let letter = canonical[..1].to_owned();
                let short = [letter.to_ascii_uppercase(), letter, format!("{digit}.0"), digit.to_owned()];
                (0..1 << canonical.len()).map(in_case).chain(short).collect()
            }
            ValueType::Digits(_) => {
                let zeros = canonical.len() - canonical.trim_start_matches('0').len().max(1);
                (0..=zeros).map(|zeros| canonical[zeros..].to_owned()).collect()
            }
            ValueType::Date | ValueType::Time => match canonical.split_once('T') {
                Some((day, time)) => vec![own, format!("{day} {time}")],
                None => vec![own, format!("{canonical}T00:00:00"), format!("{canonical} 00:00:00")],
            },
        }
    }

    /// Whether a text is a value of this type.
    pub(crate) fn holds(self, text: &[u8]) -> bool {
        self.write(text.trim_ascii(), &mut String::new()).is_some()
    }

    /// Writes the value in its one form; `None` when it is of another type.
    fn write(self, text: &[u8], out: &mut String) -> Option<()> {
        match self {
            ValueType::Text => out.push_str(std::str::from_utf8(text).ok()?),
            ValueType::Boolean => out.push_str(if truth(text)? { "true" } else { "false" }),
            ValueType::Integer => write_integer(text, out)?,
            ValueType::Digits(width) => write_digits(text, usize::from(width), out)?,
            ValueType::Float => write_number(text, out)?,
            ValueType::Date | ValueType::Time => write_time(&time(text)?, out),
        }
        Some(())
    }
}

/// What a boolean's text says.
pub(crate) fn truth(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"1.0" | b"t" | b"T" => Some(true),
        b"0" | b"0.0" | b"f" | b"F" => Some(false),
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// The sign and the digits of a whole number that is written as one.
pub(crate) fn sign_and_digits(text: &[u8]) -> Option<(bool, &[u8])> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some((negative, digits))
}

/// Up to here a float holds every whole number.
pub(crate) const WHOLE: f64 = 9_007_199_254_740_992.0;

/// A number that is written as a float, with a point or an exponent.
fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    // Rust also reads "inf" and "nan", which no column means as a value.
    text.bytes().any(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Whether a whole number was written as a float that may have lost its last digits.
pub(crate) fn is_rounded(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    sign_and_digits(text).is_none() && float(text).is_some_and(|x| x.fract() == 0.0 && x.abs() > WHOLE)
}

/// The whole number that a float holds for sure.
pub(crate) fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() <= WHOLE).then_some(x as i64)
}

fn write_integer(text: &[u8], out: &mut String) -> Option<()> {
    let Some((negative, digits)) = sign_and_digits(text) else {
        let number = float(text).or_else(|| truth(text).map(|truth| f64::from(u8::from(truth))))?;
        out.push_str(itoa::Buffer::new().format(whole(number)?));
        return Some(());
    };
    let zeros = digits.iter().take_while(|d| **d == b'0').count();
    match std::str::from_utf8(&digits[zeros..]).ok()? {
        "" => out.push('0'),
        digits => {
            if negative {
                out.push('-');
            }
            out.push_str(digits);
        }
    }
    Some(())
}

fn write_digits(text: &[u8], width: usize, out: &mut String) -> Option<()> {
    write_integer(text, out)?;
    if out.starts_with('-') || out.len() > width {
        out.clear();
        return None;
    }
    let zeros = width - out.len();
    out.insert_str(0, &"0".repeat(zeros));
    Some(())
}

fn write_number(text: &[u8], out: &mut String) -> Option<()> {
    if sign_and_digits(text).is_some() || truth(text).is_some() {
        return write_integer(text, out);
    }
    write_float(float(text).filter(|x| x.is_finite())?, out);
    Some(())
}

/// A float in the shortest form that reads back. One that is a single precision number's value exactly is written as that:
/// 0.1 in single precision is 0.1, also where a file has widened it to 0.10000000149011612.
pub(crate) fn write_float(x: f64, out: &mut String) {
    let single = x as f32;
    // Writing to a string cannot fail.
    let _ = match whole(x) {
        Some(whole) => write!(out, "{whole}"),
        None if f64::from(single) == x => write!(out, "{single}"),
        None => write!(out, "{x}"),
    };
}

/// A date or time in one of the forms of ISO 8601.
pub(crate) fn time(text: &[u8]) -> Option<DateTime<Utc>> {
    // A look at one byte spares most texts the rest.
    (text.get(4) == Some(&b'-')).then(|| string_to_datetime(&Utc, std::str::from_utf8(text).ok()?).ok()).flatten()
}

/// Whether a moment is the beginning of a day, in UTC.
pub(crate) fn is_midnight(time: &DateTime<Utc>) -> bool {
    time.num_seconds_from_midnight() == 0 && time.nanosecond() == 0
}

/// `2024-01-05` at midnight, else `2024-01-05T10:00:00`, with as many digits of a second as there are.
pub(crate) fn write_time(time: &DateTime<Utc>, out: &mut String) {
    let _ = write!(out, "{}", time.date_naive());
    if is_midnight(time) {
        return;
    }
    let _ = write!(out, "T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    // A leap second counts a second's nanoseconds twice.
    if !time.nanosecond().is_multiple_of(1_000_000_000) {
        let digits = format!("{:09}", time.nanosecond() % 1_000_000_000);
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(kind: ValueType, text: &str) -> Option<String> {
        let (nulls, mut room) = (Nulls::default(), String::new());
        let found = kind.canonical(text.as_bytes(), &nulls, &mut room)?;
        Some(String::from_utf8(found.to_vec()).unwrap())
    }

    fn all_are(kind: ValueType, expected: &str, texts: &[&str]) {
        for text in texts {
            assert_eq!(canonical(kind, text).as_deref(), Some(expected), "{kind}: {text:?}");
        }
    }

    #[test]
    fn each_spelling_of_a_value_is_that_value() {
        all_are(ValueType::Boolean, "true", &["true", "True", "TRUE", "t", "1", " 1 ", "1.0"]);
        all_are(ValueType::Boolean, "false", &["false", "False", "F", "0", "0.0"]);
        all_are(ValueType::Integer, "7", &["7", " 7", "7.0", "007", "+7", "7e0", "0.7e1"]);
        all_are(ValueType::Integer, "1", &["1", "True", "t"]);
        all_are(ValueType::Float, "0", &["0", "-0", "false"]);
        all_are(ValueType::Integer, "0", &["0", "-0", "0.0", "-0.0", "000"]);
        all_are(ValueType::Integer, "-12", &["-12", "-12.0", "-012"]);
        all_are(ValueType::Integer, "123456789012345678901234567890", &["123456789012345678901234567890"]);
        all_are(ValueType::Digits(3), "007", &["007", "7", "7.0", " 07", "0007"]);
        all_are(ValueType::Float, "0.1", &["0.1", "0.10", "1e-1", "0.10000000149011612", " .1"]);
        all_are(ValueType::Float, "3", &["3", "3.0", "3e0"]);
        all_are(ValueType::Float, "9007199254740993", &["9007199254740993"]);
        all_are(ValueType::Float, "123456792", &["123456792.0", "123456792"]);
        let day = ["2024-01-05", "2024-01-05 00:00:00", "2024-01-05T00:00:00.000Z", "2024-01-05T01:00:00+01:00"];
        all_are(ValueType::Date, "2024-01-05", &day);
        all_are(ValueType::Time, "2024-01-05", &day);
        let time = ["2024-07-05 10:00:00.500", "2024-07-05T12:00:00.5+0200", "2024-07-05T12:00:00.5 Europe/Berlin"];
        all_are(ValueType::Time, "2024-07-05T10:00:00.5", &time);
    }

    #[test]
    fn what_is_of_another_type_stays_and_what_is_nothing_is_missing() {
        for (kind, text) in [
            (ValueType::Boolean, "yes"),
            (ValueType::Boolean, "2"),
            (ValueType::Integer, "3.5"),
            (ValueType::Integer, "0x10"),
            (ValueType::Integer, "9007199254740994.0"),
            (ValueType::Digits(3), "1234"),
            (ValueType::Digits(3), "-07"),
            (ValueType::Float, "1.2.3"),
            (ValueType::Float, "inf"),
            (ValueType::Date, "2024-13-01"),
            (ValueType::Time, "soon"),
            (ValueType::Text, " a "),
            (ValueType::Text, "NA"),
            (ValueType::Text, "007"),
        ] {
            assert_eq!(canonical(kind, text).as_deref(), Some(text), "{kind}");
        }
        for text in ["", "  ", "NULL", "\\N", "nan", "None", "<NA>"] {
            assert_eq!(canonical(ValueType::Integer, text), None, "{text:?}");
        }
    }

    #[test]
    fn floats_say_where_they_may_have_lost_digits() {
        assert!(is_rounded(b"9007199254740994.0") && is_rounded(b"1e17"));
        assert!(!is_rounded(b"9007199254740993") && !is_rounded(b"9007199254740992.0") && !is_rounded(b"x"));
    }

    #[test]
    fn spellings_mean_the_value() {
        for (kind, value) in [
            (ValueType::Text, "a"),
            (ValueType::Boolean, "true"),
            (ValueType::Boolean, "false"),
            (ValueType::Integer, "-7"),
            (ValueType::Digits(3), "007"),
            (ValueType::Digits(3), "000"),
            (ValueType::Float, "0.1"),
            (ValueType::Date, "2024-01-05"),
            (ValueType::Time, "2024-07-05T10:00:00.5"),
        ] {
            let spellings = kind.spellings(value);
            all_are(kind, value, &spellings.iter().map(String::as_str).collect::<Vec<_>>());
        }
        assert_eq!(ValueType::Digits(3).spellings("007"), ["007", "07", "7"]);
        assert_eq!(ValueType::Digits(3).spellings("000"), ["000", "00", "0"]);
        assert!(ValueType::Boolean.spellings("false").contains(&"False".to_owned()));
    }

    #[test]
    fn names_read_back() {
        for kind in [ValueType::Text, ValueType::Boolean, ValueType::Digits(12), ValueType::Time] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("digits(0)".parse::<ValueType>().is_err() && "string".parse::<ValueType>().is_err());
    }
}
