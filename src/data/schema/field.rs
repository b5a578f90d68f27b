//! Options of single fields.

use serde::{Deserialize, Serialize};

use crate::data::schema::value_type::ValueType;

/// How many values of a row of tags are kept where the options don't say.
const DEFAULT_MOST_TAGS: usize = 50;

/// Options of one field; what is absent takes its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldOptions {
    /// How a value becomes an embedding row.
    #[serde(default)]
    pub kind: FieldKind,
    /// For categories: what the values are, where the files do not tell or would be understood wrongly.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub value_type: Option<ValueType>,
    /// For `kind = "bucket"`: how many quantile buckets (20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
    /// For `kind = "bucket"`: the values at which a new bucket begins, instead of quantiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<Vec<f64>>,
    /// For `kind = "numeric"`: what is standardised instead of the value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// For categories: overrides the schema's `min_count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u64>,
    /// For categories: how many of the commonest values of the train split get a row of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<u32>,
    /// For categories: the columns whose values together are the field's, which is no column itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross: Vec<String>,
    /// For categories: this many rows that values are hashed to; beside `top` or `min_count` those values that have no row of
    /// their own, else all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<u32>,
    /// For categories: a Parquet or CSV file of values and the vectors that their embeddings begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// For `kind = "tags"`: what separates the values of a text; a column of lists needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// For `kind = "tags"`: what the embeddings of a row's values become (their mean).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// For `kind = "tags"`: a column of as many numbers of at least 0, what each value counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// For `kind = "tags"`: how many values of a row are kept, the first ones (50).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// For `kind = "tags"`: the field whose vocabulary and embedding rows the values share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<String>,
}

/// What the embeddings of a row's values become; of none it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean: Σ w e / Σ w where values have weights.
    #[default]
    Mean,
    /// Their sum: Σ w e where values have weights.
    Sum,
    /// In each column the largest; the gradient goes to the first value that has it.
    Max,
}

impl FieldOptions {
    /// How many values of a row of tags are kept.
    pub(crate) fn most_tags(&self) -> usize {
        self.max_length.map_or(DEFAULT_MOST_TAGS, |length| length as usize)
    }

    /// Whether some values of a category have rows of their own.
    pub(crate) fn has_vocabulary(&self) -> bool {
        self.hash.is_none() || self.top.is_some() || self.min_count.is_some()
    }
}

/// What becomes of a number before it is standardised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// sign(x) · ln(1 + |x|): the logarithm of large numbers, the number itself near 0, odd.
    Log,
}

impl Transform {
    /// Of a number, or the number itself where there is no transform.
    #[inline]
    pub(crate) fn of(transform: Option<Transform>, x: f64) -> f64 {
        match transform {
            Some(Transform::Log) => x.abs().ln_1p().copysign(x),
            None => x,
        }
    }
}

/// How a field's value becomes an embedding row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// One row per value.
    #[default]
    Category,
    /// One row, multiplied by the value standardised over the train split.
    Numeric,
    /// One row per quantile bucket of the train split.
    Bucket,
    /// A list per row, of any number of values with a row each, pooled to one embedding.
    Tags,
}

impl FieldKind {
    /// Whether values have rows of their own.
    pub(crate) fn is_of_categories(self) -> bool {
        matches!(self, FieldKind::Category | FieldKind::Tags)
    }
}
