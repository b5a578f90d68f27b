//! Trainable state: dense parameters and embedding tables.

use serde::{Deserialize, Serialize};

use super::{Optimizer, TensorId};
use crate::data::Pooling;

/// Distribution of a parameter's first values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// Uniform in ±√(6 / (rows + cols)) (Glorot and Bengio 2010).
    GlorotUniform,
    /// The same for a stack of matrices, each with so many inputs and outputs.
    GlorotUniformOf {
        /// Columns of one.
        inputs: usize,
        /// Rows of one.
        outputs: usize,
    },
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Normal with this mean and standard deviation.
    NormalAround(f64, f64),
    /// All this value.
    Constant(f64),
}

/// A dense parameter, stored row-major as rows × cols.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in checkpoints, such as `backbone.0.weight`.
    pub name: String,
    /// Rows: a weight's outputs.
    pub rows: usize,
    /// Columns: a weight's inputs.
    pub cols: usize,
    /// First values.
    pub init: Init,
    /// The tensor that stands for it.
    pub tensor: TensorId,
    /// How it changes.
    pub role: ParameterRole,
    /// Whether training leaves it as it is all the same.
    pub frozen: bool,
}

impl Parameter {
    /// Whether steps move it by its gradient.
    pub fn is_trained(&self) -> bool {
        self.role == ParameterRole::Trained && !self.frozen
    }
}

/// How a parameter changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRole {
    /// By its gradient.
    Trained,
    /// Every step makes it anew of other parameters; it is not saved.
    Derived,
    /// Steps leave something in it for later ones and for predictions, such as a running mean; it has no gradient.
    State,
}

/// One field's slice of an embedding table.
#[derive(Clone, Debug)]
pub struct TableField {
    /// The field's name; its rows are saved as `TABLE.NAME`.
    pub name: String,
    /// Which column of the data's ids feeds it.
    pub source: usize,
    /// Its column among the lookups of all tables, as a step sees them.
    pub column: usize,
    /// First row in the table.
    pub offset: usize,
    /// Rows, the unknown row 0 included.
    pub rows: usize,
    /// How its ids are crossed with the scenario.
    pub cross: Cross,
    /// Which column of the data's values multiplies the embedding (numeric fields).
    pub value: Option<usize>,
    /// Whether training leaves its rows as they are.
    pub frozen: bool,
    /// What its values are, where a sample has any number of them: then no id feeds it.
    pub tags: Option<Tags>,
}

/// The values of a field of which a sample has any number, pooled to one embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    /// The field in whose rows they are looked up: the same, or one whose values they share. Then it has no rows itself.
    pub rows_of: usize,
    /// Their number among the data's lists.
    pub list: usize,
    /// The most of a sample.
    pub longest: usize,
    /// What becomes of their embeddings.
    pub pooling: Pooling,
}

/// Whether a field has rows of its own for each scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cross {
    /// All scenarios share its rows.
    #[default]
    None,
    /// Scenario s has the rows from s · `each` on.
    Scenario {
        /// Rows of one scenario.
        each: usize,
    },
    /// The same, hashed to fewer rows.
    Hashed {
        /// Rows of one scenario, were they not hashed.
        each: usize,
    },
}

impl TableField {
    /// The row of the table for an id in a scenario.
    pub fn row(&self, id: u32, scenario: u32) -> u32 {
        let row = match self.cross {
            Cross::None => id,
            Cross::Scenario { each } => scenario * each as u32 + id,
            Cross::Hashed { each } => pcg((scenario * each as u32).wrapping_add(id)) % self.rows as u32,
        };
        self.offset as u32 + row
    }
}

/// Mixes the bits of a number: PCG-RXS-M-XS (O'Neill 2014; Jarzynski and Olano 2020). The same in
/// `shaders/common/random.wgsl`.
pub fn pcg(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// A sequence whose items are looked up in the rows of one of a table's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenField {
    /// The field's number in the table.
    pub field: usize,
    /// The sequence's number in the data.
    pub sequence: usize,
}

/// How the values of an embedding table are stored. Whatever it is, a step computes with them in single precision, and
/// what the optimiser keeps of them is in it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As computed: IEEE 754 binary32.
    #[default]
    F32,
    /// In half the bytes: IEEE 754 binary16. What a step leaves is rounded at random to one of the two nearest halves, so
    /// that it is right on average, however small the step (Gupta et al. 2015).
    F16,
}

impl Precision {
    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// The precision of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::F32, Self::F16].into_iter().find(|precision| precision.name() == name)
    }

    /// Bytes of a value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// An embedding table: the rows of several fields one after another, all `width` wide.
#[derive(Clone, Debug)]
pub struct EmbeddingTable {
    /// Name in checkpoints.
    pub name: String,
    /// Values in a row.
    pub width: usize,
    /// The fields, in the order of the concatenated embedding.
    pub fields: Vec<TableField>,
    /// Sequences that read its rows, in the order of a token's concatenated embedding.
    pub tokens: Vec<TokenField>,
    /// Standard deviation of the first values.
    pub deviation: f64,
    /// How its values are stored.
    pub precision: Precision,
    /// What moves its rows.
    pub optimizer: Optimizer,
}

impl EmbeddingTable {
    /// All fields' rows together.
    pub fn rows(&self) -> usize {
        self.fields.last().map_or(0, |field| field.offset + field.rows)
    }

    /// Values: rows × width.
    pub fn len(&self) -> usize {
        self.rows() * self.width
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields that have rows: all but those whose tags are looked up in another's.
    pub fn stored_fields(&self) -> impl Iterator<Item = &TableField> {
        self.fields.iter().filter(|field| field.rows > 0)
    }

    /// The fields of tags, with their numbers.
    pub fn tags(&self) -> impl Iterator<Item = (usize, Tags)> + '_ {
        self.fields.iter().enumerate().filter_map(|(number, field)| Some((number, field.tags?)))
    }

    /// The most values that a sample has in all fields of tags.
    pub fn longest_tags(&self) -> usize {
        self.tags().map(|(_, tags)| tags.longest).sum()
    }

    /// Whether any field is numeric.
    pub fn has_values(&self) -> bool {
        self.fields.iter().any(|field| field.value.is_some())
    }
}
