//! Embeddings: looked up in the model, or written for a service that does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::encoded::{Encoded, EncodedTags, Looked};
use super::tags::pool;
use crate::app::OutFile;
use crate::app::embeddings::{having, write_field};
use crate::app::open::SavedModel;
use crate::graph::{Cross, EmbeddingTable, TableField};
use crate::onnx::{Builder, Element, Value};
use crate::ops::{OnnxExport, Op, TableValues};
use crate::train::Error;
use crate::train::run::folder::folder_name;
use xxhash_rust::xxh3::xxh3_64;

/// Gives an export the embeddings that the model's graph looks up.
pub(super) fn embed(export: &mut OnnxExport<'_>, read: &Encoded, saved: &SavedModel) {
    let graph = export.graph();
    for node in &graph.nodes {
        let Op::Embed(embed) = &node.op else { continue };
        let (number, table) = (embed.table, &graph.tables[embed.table]);
        export.onnx.set_scope(&node.name);
        let lookup =
            Lookup { number, table, values: &saved.state.tables[number].weights, read, parts: RefCell::default() };
        let value = if embed.longest == 0 {
            lookup.fields(&mut export.onnx)
        } else {
            lookup.tokens(&mut export.onnx, graph.with_target)
        };
        export.embeddings.insert((number, embed.longest > 0), value);
    }
}

/// A table that a batch's rows are looked up in.
struct Lookup<'a> {
    number: usize,
    table: &'a EmbeddingTable,
    values: &'a TableValues<f32>,
    read: &'a Encoded,
    /// Constants of fields' rows, by the first of these.
    parts: RefCell<HashMap<usize, Value>>,
}

impl Lookup<'_> {
    /// [N, fields · width].
    fn fields(&self, onnx: &mut Builder) -> Value {
        let (fields, width) = (&self.table.fields, self.table.width);
        let vectors = fields.iter().any(|field| self.vector(Looked::Field(field.source)).is_some());
        if vectors || self.table.tags().next().is_some() {
            let parts: Vec<Value> = fields.iter().map(|field| self.field(onnx, field)).collect();
            return onnx.concat(&parts, 1);
        }
        let rows: Vec<Value> = fields
            .iter()
            .map(|field| {
                let row = self.row(onnx, field, &self.read.ids[&field.source], false);
                onnx.unsqueeze(&row, 1)
            })
            .collect();
        let rows = onnx.concat(&rows, 1);
        let weights = self.rows(onnx, 0..self.table.rows());
        let mut looked = self.gather(onnx, &weights, &rows);
        if self.table.has_values() {
            let one = onnx.float(1.0);
            let factors: Vec<Value> = fields
                .iter()
                .map(|field| match self.read.factors.get(&field.source) {
                    Some(factor) => onnx.unsqueeze(factor, 1),
                    None => {
                        let ones = onnx.ints(&[1]);
                        let shape = onnx.concat(&[self.read.rows.clone(), ones], 0);
                        onnx.node("Expand", &[&one, &shape], &[])
                    }
                })
                .collect();
            let factors = onnx.concat(&factors, 1);
            let factors = onnx.unsqueeze(&factors, 2);
            looked = onnx.mul(&looked, &factors);
        }
        onnx.reshape(&looked, &[0, (fields.len() * width) as i64])
    }

    /// [N, width]: one field's, from elsewhere or from its own part of the table.
    fn field(&self, onnx: &mut Builder, field: &TableField) -> Value {
        if let Some(tags) = self.read.tags.get(&field.source) {
            return self.tags(onnx, field, tags);
        }
        if let Some(vector) = self.vector(Looked::Field(field.source)) {
            return vector.clone();
        }
        let row = self.row(onnx, field, &self.read.ids[&field.source], false);
        let offset = onnx.ints(&[field.offset as i64]);
        let row = onnx.node("Sub", &[&row, &offset], &[]);
        let weights = self.part(onnx, field);
        let looked = self.gather(onnx, &weights, &row);
        match self.read.factors.get(&field.source) {
            Some(factor) => {
                let factor = onnx.unsqueeze(factor, 1);
                onnx.mul(&looked, &factor)
            }
            None => looked,
        }
    }

    /// [N, width]: a field's tags, pooled.
    fn tags(&self, onnx: &mut Builder, field: &TableField, tags: &EncodedTags) -> Value {
        let looked = match (self.vector(Looked::Field(field.source)), &tags.ids) {
            (Some(vectors), _) => vectors.clone(),
            (None, Some(ids)) => {
                let own = field.tags.expect("a field of tags");
                let owner = &self.table.fields[own.rows_of];
                let row = self.row(onnx, owner, ids, true);
                let offset = onnx.ints(&[owner.offset as i64]);
                let row = onnx.node("Sub", &[&row, &offset], &[]);
                let part = self.part(onnx, owner);
                self.gather(onnx, &part, &row)
            }
            (None, None) => unreachable!("values are numbers or vectors"),
        };
        pool(onnx, tags, &looked)
    }

    /// A field's part of the table as a constant; the same one whoever asks.
    fn part(&self, onnx: &mut Builder, field: &TableField) -> Value {
        if let Some(known) = self.parts.borrow().get(&field.offset) {
            return known.clone();
        }
        let part = self.rows(onnx, field.offset..field.offset + field.rows);
        self.parts.borrow_mut().insert(field.offset, part.clone());
        part
    }

    /// [N, L, sequences · width], and with the row's own values as one place more.
    fn tokens(&self, onnx: &mut Builder, with_target: bool) -> Value {
        let (tokens, width) = (&self.table.tokens, self.table.width);
        let vectors: Vec<Value> =
            tokens.iter().filter_map(|token| self.vector(Looked::Sequence(token.sequence)).cloned()).collect();
        if vectors.len() == tokens.len() {
            let items = onnx.concat(&vectors, 2);
            if !with_target {
                return items;
            }
            let own: Vec<Value> =
                tokens.iter().map(|token| self.field(onnx, &self.table.fields[token.field])).collect();
            let own = onnx.concat(&own, 1);
            let own = onnx.unsqueeze(&own, 1);
            return onnx.concat(&[items, own], 1);
        }
        let rows: Vec<Value> = tokens
            .iter()
            .map(|token| {
                let field = &self.table.fields[token.field];
                let mut ids = self.read.items[&token.sequence].clone();
                if with_target {
                    let own = onnx.unsqueeze(&self.read.ids[&field.source], 1);
                    ids = onnx.concat(&[ids, own], 1);
                }
                let rows = self.row(onnx, field, &ids, true);
                onnx.unsqueeze(&rows, 2)
            })
            .collect();
        let rows = onnx.concat(&rows, 2);
        let weights = self.rows(onnx, 0..self.table.rows());
        let looked = self.gather(onnx, &weights, &rows);
        onnx.reshape(&looked, &[0, 0, (tokens.len() * width) as i64])
    }

    fn vector(&self, of: Looked) -> Option<&Value> {
        self.read.vectors.get(&(self.number, of))
    }

    /// The table's rows for ids of a field: of the rows' own, [N], or of items, [N, L].
    fn row(&self, onnx: &mut Builder, field: &TableField, ids: &Value, of_items: bool) -> Value {
        let each = match field.cross {
            Cross::None => {
                let offset = onnx.ints(&[field.offset as i64]);
                return if field.offset == 0 { ids.clone() } else { onnx.add(ids, &offset) };
            }
            Cross::Scenario { each } | Cross::Hashed { each } => each,
        };
        let scenarios = self.read.scenarios.as_ref().expect("fields are crossed where there are scenarios");
        let scenarios = if of_items { onnx.unsqueeze(scenarios, 1) } else { scenarios.clone() };
        let factor = onnx.ints(&[each as i64]);
        let first = onnx.mul(&scenarios, &factor);
        let crossed = onnx.add(&first, ids);
        if let Cross::Hashed { .. } = field.cross {
            // Of every scenario's every id the row: opset 17 cannot mix bits.
            let count = self.read.scenario_count * each;
            let rows: Vec<i64> =
                (0..count).map(|at| i64::from(field.row((at % each) as u32, (at / each) as u32))).collect();
            let rows = onnx.ints_of("hashed", &[count], &rows);
            return onnx.gather(&rows, &crossed);
        }
        let offset = onnx.ints(&[field.offset as i64]);
        onnx.add(&crossed, &offset)
    }

    /// Some rows as a constant, in the precision that they are stored in.
    fn rows(&self, onnx: &mut Builder, range: std::ops::Range<usize>) -> Value {
        let (width, dims) = (self.table.width, [range.len(), self.table.width]);
        let values = range.start * width..range.end * width;
        match self.values {
            TableValues::Full(all) => onnx.floats("rows", &dims, &all[values]),
            TableValues::Half(all) => onnx.halves("rows", &dims, &all[values]),
        }
    }

    fn gather(&self, onnx: &mut Builder, weights: &Value, rows: &Value) -> Value {
        let looked = onnx.gather(weights, rows);
        match self.values {
            TableValues::Full(_) => looked,
            TableValues::Half(_) => onnx.cast(&looked, Element::F32),
        }
    }
}

/// Writes the embeddings of all categories beside `out`, a file for each table and field: those that the model takes vectors
/// of. Returns their folder.
pub(super) fn write_apart(saved: &SavedModel, out: &Path) -> Result<PathBuf, Error> {
    let folder = out.with_extension("embeddings");
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder, "making"))?;
    for (number, table) in saved.model.prediction.tables.iter().enumerate() {
        for (field, info) in saved.encoder.fields().iter().enumerate() {
            let is_category = saved.encoder.codings()[field].is_category();
            if let (true, Some(at)) = (is_category, having(table, field)) {
                let file = folder.join(format!("{}.{}.parquet", table.name, file_name(&info.name)));
                write_field(saved, number, at, &OutFile::parquet(file))?;
            }
        }
    }
    Ok(folder)
}

/// A field's name where it can be a file's; else one made of it, which no other field has.
fn file_name(field: &str) -> String {
    let plain = folder_name(field);
    if plain == field { plain } else { format!("{plain}-{:08x}", xxh3_64(field.as_bytes()) as u32) }
}
