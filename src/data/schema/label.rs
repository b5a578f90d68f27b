//! What a row's label is made of.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The column of labels: its name, `"click"`, for labels of 0 and 1; `{ column = "rating", above = 3 }` for numbers, of which
/// those above the threshold are positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The column.
    pub column: String,
    /// Rows with a larger number are positive, all others negative. Without it numbers are 0 or 1.
    pub above: Option<f64>,
}

impl Label {
    /// The label of a number in the column.
    pub(crate) fn of(&self, number: f64) -> f32 {
        self.above.map_or(number as f32, |above| f32::from(u8::from(number > above)))
    }
}

impl From<&str> for Label {
    /// A column of zeros and ones.
    fn from(column: &str) -> Self {
        Label { column: column.to_owned(), above: None }
    }
}

/// The table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Threshold {
    column: String,
    above: f64,
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.above {
            Some(above) => Threshold { column: self.column.clone(), above }.serialize(serializer),
            None => serializer.serialize_str(&self.column),
        }
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Label;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a column's name, or { column = \"...\", above = ... } for a column of numbers")
            }

            fn visit_str<E: de::Error>(self, column: &str) -> Result<Label, E> {
                Ok(column.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Label, A::Error> {
                let Threshold { column, above } = Threshold::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Label { column, above: Some(above) })
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}
