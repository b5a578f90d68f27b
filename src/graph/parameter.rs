//! Trainable state: dense parameters and embedding tables.

use super::TensorId;

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
    /// Whether every step makes it anew of other parameters: it is neither trained nor saved.
    pub derived: bool,
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
    /// Which column of the data's values multiplies the embedding (numeric fields).
    pub value: Option<usize>,
}

/// An embedding table: the rows of several fields one after another, all `width` wide.
#[derive(Clone, Debug)]
pub struct Table {
    /// Name in checkpoints.
    pub name: String,
    /// Values in a row.
    pub width: usize,
    /// The fields, in the order of the concatenated embedding.
    pub fields: Vec<TableField>,
    /// Standard deviation of the first values.
    pub deviation: f64,
}

impl Table {
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

    /// Whether any field is numeric.
    pub fn has_values(&self) -> bool {
        self.fields.iter().any(|field| field.value.is_some())
    }
}
