//! Reads a section into its type by serde, keeping track of the place, so that a fault can be named exactly.

use std::fmt::Display;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use toml::{Table, Value};

use super::ConfigError;

/// Reads `[section]` of a whole document as a `T`. A missing section reads as an empty one. `file` is for messages.
///
/// # Errors
/// When a key is unknown (if `T` denies those) or missing, or a value has the wrong type: the message names file,
/// section, key, what was expected and what was found.
pub fn parse_section<T: DeserializeOwned>(document: &Table, section: &str, file: &str) -> Result<T, ConfigError> {
    match document.get(section) {
        Some(Value::Table(table)) => parse_table(table, section, file),
        Some(other) => Err(ConfigError::value(file, section, "a section", &describe(other))),
        None => parse_table(&Table::new(), section, file),
    }
}

/// Reads the table of one section as a `T`; as [`parse_section`] otherwise.
///
/// # Errors
/// Those of [`parse_section`].
pub fn parse_table<T: DeserializeOwned>(table: &Table, section: &str, file: &str) -> Result<T, ConfigError> {
    T::deserialize(Reader(Value::Table(table.clone()))).map_err(|fault| {
        let place: String = std::iter::once(section.to_owned()).chain(fault.path.into_iter().rev()).collect();
        match fault.kind {
            Kind::UnknownKey { key, known } => ConfigError::unknown_key(file, &place, &key, known),
            Kind::MissingKey(key) => ConfigError::missing(file, &place, key),
            Kind::Value { expected, found } => ConfigError::value(file, &place, &expected, &found),
            Kind::Other(message) => ConfigError::Other { origin: file.to_owned(), key: place, message },
        }
    })
}

/// A value in words, for messages: the value itself when it is small.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// What went wrong, and where: `path` holds `.key` and `[index]` steps, innermost first.
#[derive(Debug)]
struct Fault {
    path: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    UnknownKey { key: String, known: &'static [&'static str] },
    MissingKey(&'static str),
    Value { expected: String, found: String },
    Other(String),
}

impl Fault {
    fn new(kind: Kind) -> Fault {
        Fault { path: Vec::new(), kind }
    }

    fn inside(mut self, step: String) -> Fault {
        self.path.push(step);
        self
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Fault::new(Kind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Map => "a table".to_owned(),
            Unexpected::Seq => "an array".to_owned(),
            Unexpected::Str(text) => format!("{text:?}"),
            Unexpected::Bool(value) => value.to_string(),
            Unexpected::Signed(value) => value.to_string(),
            Unexpected::Unsigned(value) => value.to_string(),
            Unexpected::Float(value) => Value::Float(value).to_string(),
            other => other.to_string(),
        };
        Fault::new(Kind::Value { expected: in_words(&expected.to_string()), found })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let found = format!("an array of {length}");
        Fault::new(Kind::Value { expected: in_words(&expected.to_string()), found })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let all: Vec<String> = expected.iter().map(|name| format!("\"{name}\"")).collect();
        let expected = match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => "nothing".to_owned(),
        };
        Fault::new(Kind::Value { expected, found: format!("{variant:?}") })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Fault::new(Kind::UnknownKey { key: field.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::new(Kind::MissingKey(field))
    }
}

/// serde's names of types, in the words of someone who writes TOML.
fn in_words(expected: &str) -> String {
    let range = match expected {
        "u8" => Some((0, i128::from(u8::MAX))),
        "u16" => Some((0, i128::from(u16::MAX))),
        "u32" => Some((0, i128::from(u32::MAX))),
        // TOML's own whole numbers end there.
        "u64" | "usize" => Some((0, i128::from(i64::MAX))),
        "i8" => Some((i128::from(i8::MIN), i128::from(i8::MAX))),
        "i16" => Some((i128::from(i16::MIN), i128::from(i16::MAX))),
        "i32" => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
        _ => None,
    };
    match (range, expected) {
        (Some((least, max)), _) => format!("a whole number from {least} to {max}"),
        (_, "i64" | "isize") => "a whole number".to_owned(),
        (_, "f32" | "f64") => "a number".to_owned(),
        (_, "a boolean") => "true or false".to_owned(),
        (_, "a sequence") => "an array".to_owned(),
        (_, "a map") => "a table".to_owned(),
        (_, other) if other.starts_with("struct ") => "a table".to_owned(),
        (_, other) if other.starts_with("enum ") || other.ends_with(" enum") => "a string".to_owned(),
        (_, other) => other.to_owned(),
    }
}

/// A TOML value being read.
struct Reader(Value);

impl<'de> IntoDeserializer<'de, Fault> for Reader {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(truth) => visitor.visit_bool(truth),
            // No option is a date: where one stands unquoted, its text is meant.
            Value::Datetime(time) => visitor.visit_string(time.to_string()),
            Value::Array(array) => visitor.visit_seq(Elements { rest: array.into_iter(), index: 0 }),
            Value::Table(table) => visitor.visit_map(Entries { rest: table.into_iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(StringDeserializer::new(text)),
            Value::Table(table) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries { rest: table.into_iter(), value: None }))
            }
            other => {
                let Fault { kind, .. } = Fault::unknown_variant("", variants);
                let expected = match kind {
                    Kind::Value { expected, .. } => expected,
                    _ => String::new(),
                };
                Err(Fault::new(Kind::Value { expected, found: describe(&other) }))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Elements {
    rest: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(value) = self.rest.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Reader(value)).map(Some).map_err(|fault| fault.inside(format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries {
    rest: toml::map::IntoIter<String, Value>,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some((key.clone(), value));
        seed.deserialize(StringDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.value.take() else {
            return Err(Fault::custom("a value was read before its key"));
        };
        seed.deserialize(Reader(value)).map_err(|fault| fault.inside(format!(".{key}")))
    }
}
