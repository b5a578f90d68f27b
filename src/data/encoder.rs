//! The fitted schema: what turns a row's cells into numbers, the same way in training and in prediction.

use super::checks::Checked;
use super::columns::Plan;
use super::error::Result;
use super::reader::Chunk;
use super::rows::{RowColumns, Rows};
use super::schema::Schema;
use super::vocabulary::{Interner, Vocabulary};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

/// Whether a field tells scenarios apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Named in `data.aware`.
    Aware,
    /// Named in `data.agnostic`.
    Agnostic,
}

/// One embedding field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    /// The column's name.
    pub name: String,
    /// Whether it tells scenarios apart.
    pub role: Role,
    /// Embedding rows, row 0 (missing and unknown values) included.
    pub rows: usize,
    /// `Some(k)`: column k of [`Rows::values`] multiplies the embedding.
    pub value_index: Option<usize>,
}

/// One sequence column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceInfo {
    /// The column's name.
    pub name: String,
    /// The field whose ids the items are, a position in [`Encoder::fields`].
    pub field: usize,
    /// The most items that a row keeps.
    pub max_length: usize,
}

/// How a field's values become embedding rows.
#[derive(Debug, Clone)]
pub(super) enum Coding {
    Category(Vocabulary),
    /// This many rows after row 0.
    Hash(u32),
    Numeric {
        mean: f64,
        std: f64,
    },
    /// A value's bucket is the number of edges that are not above it.
    Bucket {
        edges: Vec<f64>,
        buckets: u32,
    },
}

impl Coding {
    pub(super) fn rows(&self) -> usize {
        match self {
            Coding::Category(vocabulary) => 1 + vocabulary.len(),
            Coding::Hash(rows) => 1 + *rows as usize,
            Coding::Numeric { .. } => 2,
            Coding::Bucket { buckets, .. } => 1 + *buckets as usize,
        }
    }

    /// The embedding row of a category's text; 0 when it is missing or unknown.
    #[inline]
    pub(super) fn category(&self, cell: Option<&[u8]>) -> u32 {
        match (self, cell) {
            (Coding::Category(vocabulary), Some(text)) => vocabulary.row(text),
            (Coding::Hash(rows), Some(text)) => hashed(text, *rows),
            _ => 0,
        }
    }

    /// The embedding row and multiplier of a number, NaN when it is missing.
    #[inline]
    pub(super) fn number(&self, x: f64) -> (u32, f32) {
        match self {
            _ if x.is_nan() => (0, 1.0),
            Coding::Numeric { mean, std } => (1, ((x - mean) / std) as f32),
            Coding::Bucket { edges, .. } => (1 + edges.partition_point(|edge| *edge <= x) as u32, 1.0),
            _ => (0, 1.0),
        }
    }
}

/// The row that hashing gives to a text: one of `rows` after row 0.
#[inline]
pub(super) fn hashed(text: &[u8], rows: u32) -> u32 {
    1 + (xxh3_64(text) % u64::from(rows)) as u32
}

/// The fitted schema: vocabularies, statistics and scenario names.
///
/// It is saved with a run ([`Encoder::save`]) so that prediction encodes other files in the same way.
#[derive(Debug, Clone)]
pub struct Encoder {
    schema: Schema,
    fields: Vec<FieldInfo>,
    sequences: Vec<SequenceInfo>,
    codings: Vec<Coding>,
    scenarios: Vec<String>,
    scenario_numbers: Interner,
    value_count: usize,
}

impl Encoder {
    /// `codings` has one entry per field of the schema, aware first.
    pub(super) fn new(schema: Schema, codings: Vec<Coding>, scenarios: Vec<String>) -> Encoder {
        let mut value_count = 0;
        let fields: Vec<FieldInfo> = schema
            .field_names()
            .zip(&codings)
            .enumerate()
            .map(|(k, (name, coding))| {
                let value_index = matches!(coding, Coding::Numeric { .. }).then_some(value_count);
                value_count += usize::from(value_index.is_some());
                let role = if k < schema.aware.len() { Role::Aware } else { Role::Agnostic };
                FieldInfo { name: name.to_owned(), role, rows: coding.rows(), value_index }
            })
            .collect();
        let sequences = schema
            .sequence
            .iter()
            .filter_map(|s| {
                let field = fields.iter().position(|f| f.name == s.vocabulary)?;
                Some(SequenceInfo { name: s.column.clone(), field, max_length: s.max_length })
            })
            .collect();
        let mut scenario_numbers = Interner::default();
        for name in &scenarios {
            scenario_numbers.intern(name.as_bytes());
        }
        Encoder { schema, fields, sequences, codings, scenarios, scenario_numbers, value_count }
    }

    /// The schema that was fitted.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The embedding fields: aware in the schema's order, then agnostic.
    pub fn fields(&self) -> &[FieldInfo] {
        &self.fields
    }

    /// The sequence columns in the schema's order.
    pub fn sequences(&self) -> &[SequenceInfo] {
        &self.sequences
    }

    /// The scenarios' names, sorted: by number where all are whole numbers, else by text.
    pub fn scenarios(&self) -> &[String] {
        &self.scenarios
    }

    /// How many numeric fields there are: the columns of [`Rows::values`].
    pub fn value_count(&self) -> usize {
        self.value_count
    }

    /// A field's vocabulary; `None` when it is hashed, numeric or not there.
    pub fn vocabulary(&self, field: usize) -> Option<&Vocabulary> {
        match self.codings.get(field) {
            Some(Coding::Category(vocabulary)) => Some(vocabulary),
            _ => None,
        }
    }

    /// Whether the other gives every row the same scenario, ids and values, so that one's model is the other's.
    pub fn same_codes(&self, other: &Encoder) -> bool {
        let values = |vocabulary: &Vocabulary| vocabulary.len() as u32;
        let same = |pair: (&Coding, &Coding)| match pair {
            (Coding::Category(a), Coding::Category(b)) => {
                values(a) == values(b) && (1..=values(a)).all(|row| a.value(row) == b.value(row))
            }
            (Coding::Hash(a), Coding::Hash(b)) => a == b,
            (Coding::Numeric { mean, std }, Coding::Numeric { mean: m, std: s }) => mean == m && std == s,
            (Coding::Bucket { edges, buckets }, Coding::Bucket { edges: e, buckets: b }) => edges == e && buckets == b,
            _ => false,
        };
        self.scenarios == other.scenarios
            && self.fields == other.fields
            && self.codings.iter().zip(&other.codings).all(same)
    }

    pub(super) fn codings(&self) -> &[Coding] {
        &self.codings
    }

    pub(super) fn scenario_numbers(&self) -> &Interner {
        &self.scenario_numbers
    }

    /// The same vocabularies under a schema that differs only in what does not touch them.
    pub(super) fn with_schema(mut self, schema: &Schema) -> Encoder {
        self.schema = schema.clone();
        self
    }

    /// Encodes a chunk's good rows.
    pub(super) fn encode(&self, plan: &Plan, chunk: &Chunk, checked: Checked) -> Result<Rows> {
        let (rows, width) = (checked.keep.len(), self.fields.len());
        let columns: Vec<Vec<u32>> = (0..width)
            .into_par_iter()
            .map(|f| match &self.codings[f] {
                coding @ (Coding::Category(_) | Coding::Hash(_)) => {
                    checked.codes(plan, chunk, plan.fields[f], |cell| coding.category(cell))
                }
                coding => Ok(checked.numbers[f].iter().map(|x| coding.number(*x).0).collect()),
            })
            .collect::<Result<_>>()?;
        let mut ids = vec![0; rows * width];
        let mut values = vec![1.0; rows * self.value_count];
        for (f, column) in columns.iter().enumerate() {
            for (row, id) in column.iter().enumerate() {
                ids[row * width + f] = *id;
            }
            if let Some(k) = self.fields[f].value_index {
                for (row, x) in checked.numbers[f].iter().enumerate() {
                    values[row * self.value_count + k] = self.codings[f].number(*x).1;
                }
            }
        }
        let mut sequences = Vec::new();
        for ((info, options), column) in self.sequences.iter().zip(&self.schema.sequence).zip(&plan.sequences) {
            let coding = &self.codings[info.field];
            let (lengths, ids) =
                checked.sequences(plan, chunk, *column, options, |item| coding.category(Some(item)))?;
            let mut offsets = vec![0u64];
            offsets.extend(lengths.iter().scan(0, |end, n| {
                *end += u64::from(*n);
                Some(*end)
            }));
            sequences.push((offsets.into(), ids.into()));
        }
        let users = checked.users(plan, chunk)?.map(Into::into);
        let Checked { labels, probabilities, scenarios, .. } = checked;
        let columns = RowColumns {
            ids: ids.into(),
            values: values.into(),
            labels: labels.into(),
            scenarios: scenarios.into(),
            users,
            probabilities: probabilities.map(Into::into),
            sequences,
        };
        Rows::from_columns(width, self.value_count, columns)
    }
}
