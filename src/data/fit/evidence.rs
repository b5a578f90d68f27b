//! What the type of a column is, by its values.

use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::{ValueType, is_midnight, is_rounded, sign_and_digits, time, truth, whole};

/// Which types all values seen so far could be of. It only ever rules types out, so the order of values does not matter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evidence {
    /// The one type that files called the column so far.
    container: Option<ValueType>,
    /// Whether files disagree, or one holds it as text.
    is_text: bool,
    any: bool,
    boolean: bool,
    /// Whether a boolean was a word, not only 0 or 1.
    word: bool,
    integer: bool,
    /// The digits of every value; none when they differ or are no digits.
    digits: Option<usize>,
    /// Whether one of them began with a zero.
    padded: bool,
    float: bool,
    decimals: Decimals,
    /// Whether all are as programs write floats.
    shortest: bool,
    time: bool,
    date: bool,
    /// Whether a whole number was written as a float that may have lost digits.
    rounded: bool,
}

/// How many decimals floats have.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Decimals {
    Unseen,
    Same(usize),
    Differ,
}

impl Default for Evidence {
    fn default() -> Evidence {
        Evidence {
            container: None,
            is_text: false,
            any: false,
            boolean: true,
            word: false,
            integer: true,
            digits: None,
            padded: false,
            float: true,
            decimals: Decimals::Unseen,
            shortest: true,
            time: true,
            date: true,
            rounded: false,
        }
    }
}

impl Evidence {
    /// Notes the type that a file gives the column.
    pub(crate) fn hold_as(&mut self, container: ValueType) {
        self.is_text |= container == ValueType::Text || self.container.is_some_and(|other| other != container);
        self.container = Some(container);
    }

    /// Notes one value. What stands for a missing one says nothing.
    pub(crate) fn add(&mut self, text: &[u8], nulls: &Nulls) {
        // Nothing is left to rule out.
        if self.is_text
            && self.any
            && !(self.boolean || self.integer || self.digits.is_some() || self.float || self.time)
        {
            return;
        }
        let text = text.trim_ascii();
        if text.is_empty() || nulls.is_null(text) {
            return;
        }
        self.boolean &= truth(text).is_some();
        self.word |= text.first().is_some_and(|b| !b.is_ascii_digit());
        let number = sign_and_digits(text);
        let plain = number.is_some_and(|(negative, digits)| {
            !text.starts_with(b"+") && (digits.len() == 1 && !negative || digits[0] != b'0')
        });
        let written = if number.is_none() && self.float { Float::of(text) } else { None };
        self.integer &= plain || written.as_ref().is_some_and(|float| float.whole);
        let digits = number.filter(|_| text[0].is_ascii_digit()).map(|(_, digits)| digits.len());
        self.digits = if self.any && self.digits != digits { None } else { digits };
        self.padded |= text.len() > 1 && text[0] == b'0';
        self.float &= plain || written.is_some();
        self.rounded |= number.is_none() && is_rounded(text);
        if let Some(float) = written {
            self.shortest &= float.shortest;
            self.decimals = match self.decimals {
                Decimals::Unseen => Decimals::Same(float.decimals),
                Decimals::Same(decimals) if decimals == float.decimals => self.decimals,
                _ => Decimals::Differ,
            };
        }
        if self.time {
            let moment = time(text);
            self.time = moment.is_some();
            self.date &= moment.is_some_and(|time| is_midnight(&time));
        }
        self.any = true;
    }

    /// Whether the column is one of numbers of which some may have lost digits, as they were floats.
    pub(crate) fn is_rounded(&self) -> bool {
        self.rounded && self.decide() == ValueType::Float
    }

    /// The type of the column.
    pub(crate) fn decide(&self) -> ValueType {
        match self.container {
            // A column of whole numbers becomes one of floats where a value is missing.
            Some(ValueType::Float) if !self.is_text => match self.any && self.integer {
                true => ValueType::Integer,
                false => ValueType::Float,
            },
            Some(container) if !self.is_text => container,
            _ if !self.any => ValueType::Text,
            _ if self.boolean && self.word => ValueType::Boolean,
            _ if self.integer => ValueType::Integer,
            _ => match self.digits.and_then(|width| u8::try_from(width).ok()) {
                Some(width) if self.padded => ValueType::Digits(width),
                // 1.1 and 1.10 are one number but may be two versions: such a column is text.
                _ if self.float && (self.shortest || self.decimals != Decimals::Differ) => ValueType::Float,
                _ if self.time && self.date => ValueType::Date,
                _ if self.time => ValueType::Time,
                _ => ValueType::Text,
            },
        }
    }
}

/// How a float is written.
struct Float {
    /// Whether it is a whole number, and no digit of it can have been lost.
    whole: bool,
    decimals: usize,
    /// Whether it is as programs write floats: no zeros around it but one after the point.
    shortest: bool,
}

impl Float {
    fn of(text: &[u8]) -> Option<Float> {
        if !matches!(text.first(), Some(b'-' | b'.' | b'0'..=b'9')) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let x: f64 = text.parse().ok().filter(|x: &f64| x.is_finite())?;
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let (integer, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let leading = integer.trim_start_matches('-');
        let shortest = (leading == "0" || !leading.starts_with('0') && !leading.is_empty())
            && (decimals == "0" || !decimals.ends_with('0'));
        Some(Float { whole: whole(x).is_some() && !is_rounded(text.as_bytes()), decimals: decimals.len(), shortest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(container: ValueType, texts: &[&str]) -> ValueType {
        let mut evidence = Evidence::default();
        evidence.hold_as(container);
        texts.iter().for_each(|text| evidence.add(text.as_bytes(), &Nulls::default()));
        evidence.decide()
    }

    #[test]
    fn texts_have_the_type_that_all_allow() {
        use ValueType as T;
        for (texts, kind) in [
            (&["True", "False", ""][..], T::Boolean),
            (&["t", "f"], T::Boolean),
            (&["1", "0"], T::Integer),
            (&["True", "1", "0"], T::Boolean),
            (&["True", "2"], T::Text),
            (&["3", "-4", "12345678901234567890"], T::Integer),
            (&["3.0", "4.0", "NULL"], T::Integer),
            (&["3.0", "4.5"], T::Float),
            (&["007", "042", "123"], T::Digits(3)),
            (&["007", "42"], T::Text),
            (&["+7", "8"], T::Text),
            (&["-0", "8"], T::Text),
            (&["0.5", "1e-05", "2"], T::Float),
            (&["0.50", "1.25"], T::Float),
            (&["1.1", "1.10"], T::Text),
            (&["1.1", "1.25", "1.10"], T::Text),
            (&["1.10", "1.1", "2"], T::Text),
            (&["1.2.3"], T::Text),
            (&["9007199254740994.0", "1.5"], T::Float),
            (&["2024-01-05", "2024-01-06 00:00:00"], T::Date),
            (&["2024-01-05", "2024-01-06 10:00:00+02:00"], T::Time),
            (&["2024-01-05", "later"], T::Text),
            (&["NA", "DE"], T::Text),
            (&["NA", ""], T::Text),
            (&[], T::Text),
        ] {
            assert_eq!(decide(T::Text, texts), kind, "{texts:?}");
            let backwards: Vec<&str> = texts.iter().rev().copied().collect();
            assert_eq!(decide(T::Text, &backwards), kind, "{backwards:?}");
        }
    }

    #[test]
    fn what_a_file_says_holds_and_floats_of_whole_numbers_are_whole() {
        use ValueType as T;
        assert_eq!(decide(T::Integer, &["1", "0"]), T::Integer);
        assert_eq!(decide(T::Time, &["2024-01-05"]), T::Time);
        assert_eq!(decide(T::Float, &["1", "2"]), T::Integer);
        assert_eq!(decide(T::Float, &["1", "2.5"]), T::Float);
        assert_eq!(decide(T::Float, &[]), T::Float);
        let mut mixed = Evidence::default();
        mixed.hold_as(T::Boolean);
        mixed.hold_as(T::Integer);
        ["true", "1", "0"].iter().for_each(|text| mixed.add(text.as_bytes(), &Nulls::default()));
        assert_eq!(mixed.decide(), T::Boolean);
    }
}
