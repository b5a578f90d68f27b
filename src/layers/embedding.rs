//! Embeddings of a sample's fields.

use crate::graph::{Cross, EmbeddingTable, Graph, Optimizer, Precision, TableField, Tags, TensorId, TokenField};
use crate::ops::{Affine, Embed, argmax_width};

/// A field of the data, as a model sees it.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its column of the data's ids.
    pub source: usize,
    /// Rows of its embedding, the unknown row 0 included.
    pub rows: usize,
    /// Whether each scenario has rows of its own among these.
    pub cross: Cross,
    /// Its column of the data's values, for numeric fields.
    pub value: Option<usize>,
    /// Its values, where a sample has any number of them.
    pub tags: Option<Tags>,
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
    /// Number of the table.
    pub table: usize,
}

impl EmbeddingSet {
    /// A new table called `name` with rows for `fields`, looked up, those of tags pooled; first values N(0, `deviation`²).
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
                    cross: field.cross,
                    value: field.value,
                    frozen: false,
                    tags: field.tags,
                };
                offset += field.rows;
                placed
            })
            .collect();
        let count = fields.len();
        let table = graph.table(EmbeddingTable {
            name: name.to_owned(),
            width,
            fields,
            tokens: Vec::new(),
            deviation,
            precision: Precision::F32,
            optimizer: Optimizer::Adam,
        });
        let argmax = argmax_width(&graph.tables[table]);
        let all = graph.add_one(name, Embed { table, fields: count, width, longest: 0, argmax }, &[]);
        Self { all, width, fields: count, table }
    }

    /// The embeddings of sequences' items [T, sequences·width], in the rows of the fields that they share. To be called
    /// once.
    pub fn tokens(&self, graph: &mut Graph, name: &str, tokens: Vec<TokenField>) -> TensorId {
        let op =
            Embed { table: self.table, fields: tokens.len(), width: self.width, longest: graph.longest, argmax: 0 };
        graph.tables[self.table].tokens = tokens;
        graph.add_one(name, op, &[])
    }

    /// The embeddings of the fields `first..first + count`.
    pub fn slice(&self, graph: &mut Graph, name: &str, first: usize, count: usize) -> TensorId {
        if count == self.fields {
            return self.all;
        }
        Affine::slice(graph, name, self.all, first * self.width, count * self.width)
    }
}
