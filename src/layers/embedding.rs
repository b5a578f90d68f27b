//! Embeddings of a sample's fields.

use crate::graph::{Graph, Table, TableField, TensorId};
use crate::ops::{Affine, Embed};

/// A field of the data, as a model sees it.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its column of the data's ids.
    pub source: usize,
    /// Rows of its embedding, the unknown row 0 included.
    pub rows: usize,
    /// Its column of the data's values, for numeric fields.
    pub value: Option<usize>,
}

/// The embeddings of several fields, side by side in their order.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingSet {
    /// All embeddings [B, fields·width].
    pub all: TensorId,
    /// Width of one field's.
    pub width: usize,
    /// How many fields.
    pub fields: usize,
}

impl EmbeddingSet {
    /// A new table called `name` with rows for `fields`, looked up; first values N(0, `deviation`²).
    pub fn new(graph: &mut Graph, name: &str, fields: &[Field], width: usize, deviation: f64) -> Self {
        let first_column = graph.tables.iter().map(|table| table.fields.len()).sum::<usize>();
        let mut offset = 0;
        let fields: Vec<TableField> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let placed = TableField {
                    name: field.name.clone(),
                    source: field.source,
                    column: first_column + index,
                    offset,
                    rows: field.rows,
                    value: field.value,
                };
                offset += field.rows;
                placed
            })
            .collect();
        let count = fields.len();
        let table = graph.table(Table { name: name.to_owned(), width, fields, deviation });
        let all = graph.add_one(name, Embed { table, fields: count, width }, &[]);
        Self { all, width, fields: count }
    }

    /// The embeddings of the fields `first..first + count`.
    pub fn slice(&self, graph: &mut Graph, name: &str, first: usize, count: usize) -> TensorId {
        if count == self.fields {
            return self.all;
        }
        Affine::slice(graph, name, self.all, first * self.width, count * self.width)
    }
}
