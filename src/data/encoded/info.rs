//! What models know of the encoded columns.

use crate::data::schema::Pooling;

/// Whether a field tells scenarios apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldRole {
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
    pub role: FieldRole,
    /// Embedding rows, row 0 (missing and unknown values) included.
    pub rows: usize,
    /// `Some(k)`: column k of [`Rows::values`](crate::data::Rows::values) multiplies the embedding.
    pub value_index: Option<usize>,
    /// Its values, where a row has any number of them; then its column of [`Rows::ids`](crate::data::Rows::ids) is 0, and it has no rows where its values
    /// share another field's.
    pub tags: Option<TagsInfo>,
}

/// The values of a field of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagsInfo {
    /// Which of [`Rows::sequences`](crate::data::Rows::sequences) has them.
    pub list: usize,
    /// The field whose ids they are, a position in [`Encoder::fields`](crate::data::Encoder::fields): this one, or the one whose vocabulary it shares.
    pub rows_of: usize,
    /// The most values that a row keeps.
    pub max_length: usize,
    /// What their embeddings become.
    pub pooling: Pooling,
    /// Whether they have weights.
    pub weighted: bool,
}

/// One sequence column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceInfo {
    /// The column's name.
    pub name: String,
    /// The field whose ids the items are, a position in [`Encoder::fields`](crate::data::Encoder::fields).
    pub field: usize,
    /// The most items that a row keeps.
    pub max_length: usize,
}
