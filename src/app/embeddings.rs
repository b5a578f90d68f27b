//! The rows of an embedding table, written with the values that they stand for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};

use super::open::{SavedModel, load_saved};
use super::{FileKind, OutFile};
use crate::config::ConfigError;
use crate::data::{self, nearest, suggestion};
use crate::graph::{Cross, EmbeddingTable};
use crate::train::Error;
use crate::train::run::folder::RunFolder;

/// Rows that are written at a time.
const ROWS: usize = 16_384;

/// Whose rows are written, and where to.
#[derive(Clone, Debug)]
pub struct EmbeddingExport {
    /// The run's folder.
    pub run: PathBuf,
    /// The field.
    pub field: String,
    /// Which of the tables that have the field; the widest where nothing is said.
    pub table: Option<String>,
    /// The file to write.
    pub out: OutFile,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct ExportedEmbeddings {
    /// The table's name.
    pub table: String,
    /// Values of a vector.
    pub width: usize,
    /// Rows of the file.
    pub rows: usize,
}

/// Writes the embeddings of a field of a trained model: a row for each row of its table, with the columns `id`, `value` (none
/// for id 0, which missing and unknown values share, and where hashing or numbers give ids), `scenario` where each scenario
/// has vectors of its own, and `vector`; in CSV `vector_0`, `vector_1` and so on.
///
/// # Errors
/// When the folder holds no run, its model has no such field or table, or the file cannot be written.
pub fn write_embeddings(export: &EmbeddingExport) -> Result<ExportedEmbeddings, Error> {
    let folder = RunFolder::open(&export.run)?;
    let saved = load_saved(&folder, &[])?;
    let (encoder, graph) = (&saved.encoder, &saved.model.graph);
    let names: Vec<&str> = encoder.fields().iter().map(|field| field.name.as_str()).collect();
    let Some(source) = names.iter().position(|name| *name == export.field) else {
        return Err(no_such(&export.run, "--field", &export.field, &names));
    };
    if let Some(tags) = encoder.fields()[source].tags.filter(|tags| tags.rows_of != source) {
        let owner = names[tags.rows_of];
        let expected = format!("\"{owner}\", whose rows \"{}\" shares", export.field);
        let found = format!("\"{}\"", export.field);
        return Err(ConfigError::value(&export.run.display().to_string(), "--field", &expected, &found).into());
    }
    let found: Vec<(usize, usize)> =
        graph.tables.iter().enumerate().filter_map(|(i, table)| Some((i, having(table, source)?))).collect();
    let tables: Vec<&str> = found.iter().map(|&(i, _)| graph.tables[i].name.as_str()).collect();
    let chosen = match &export.table {
        Some(name) => tables.iter().position(|table| table == name),
        // Of several as wide as each other, the first.
        None => (0..found.len()).rev().max_by_key(|&at| graph.tables[found[at].0].width),
    };
    let Some(chosen) = chosen else {
        return Err(no_such(&export.run, "--table", export.table.as_deref().unwrap_or_default(), &tables));
    };
    let (number, field) = found[chosen];
    let rows = write_field(&saved, number, field, &export.out)?;
    let table = &graph.tables[number];
    Ok(ExportedEmbeddings { table: table.name.clone(), width: table.width, rows })
}

/// The number, among a table's fields, of a field of the data.
pub(super) fn having(table: &EmbeddingTable, source: usize) -> Option<usize> {
    table.fields.iter().position(|field| field.source == source)
}

/// Writes the rows of a table's field, as [`write_embeddings`] says; returns how many.
pub(super) fn write_field(saved: &SavedModel, number: usize, field: usize, out: &OutFile) -> Result<usize, Error> {
    let encoder = &saved.encoder;
    let table = &saved.model.graph.tables[number];
    let field = &table.fields[field];
    let source = field.source;
    let values = &saved.state.tables[number].weights;

    let ids = encoder.fields()[source].rows;
    let scenarios: &[String] = if field.cross == Cross::None { &[] } else { encoder.scenarios() };
    let rows = ids * scenarios.len().max(1);
    let mut next = 0;
    out.write(|is_first| {
        let range = next..(next + ROWS).min(rows);
        if range.is_empty() && !is_first {
            return Ok(None);
        }
        next = range.end;
        let mut vectors = vec![0.0; range.len() * table.width];
        for (row, vector) in range.clone().zip(vectors.chunks_mut(table.width)) {
            let first = field.row((row % ids) as u32, (row / ids) as u32) as usize * table.width;
            values.copy_to(first, vector);
        }
        let value = |row: usize| encoder.vocabulary(source).and_then(|known| known.value((row % ids) as u32));
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("id".to_owned(), Arc::new(range.clone().map(|row| (row % ids) as u32).collect::<UInt32Array>())),
            ("value".to_owned(), Arc::new(range.clone().map(value).collect::<StringArray>())),
        ];
        if !scenarios.is_empty() {
            let names = range.map(|row| Some(scenarios[row / ids].as_str()));
            columns.push(("scenario".to_owned(), Arc::new(names.collect::<StringArray>())));
        }
        columns.extend(vector_columns(vectors, table.width, out.kind()));
        batch(columns).map(Some)
    })?;
    Ok(rows)
}

/// A list, or where the file can hold none, a column for each value.
fn vector_columns(vectors: Vec<f32>, width: usize, kind: FileKind) -> Vec<(String, ArrayRef)> {
    match kind {
        FileKind::Parquet => {
            let item = Arc::new(Field::new("item", DataType::Float32, false));
            let values = Arc::new(Float32Array::from(vectors));
            vec![("vector".to_owned(), Arc::new(FixedSizeListArray::new(item, width as i32, values, None)))]
        }
        FileKind::Csv => {
            let column = |at: usize| vectors.iter().skip(at).step_by(width).copied().collect::<Vec<f32>>();
            (0..width)
                .map(|at| (format!("vector_{at}"), Arc::new(Float32Array::from(column(at))) as ArrayRef))
                .collect()
        }
    }
}

fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, Error> {
    let field = |(name, column): &(String, ArrayRef)| Field::new(name, column.data_type().clone(), name == "value");
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let batch = RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect());
    Ok(batch.map_err(|error| data::Error::Shape(error.to_string()))?)
}

fn no_such(run: &Path, option: &str, given: &str, known: &[&str]) -> Error {
    let expected = format!("one of {}", known.join(", "));
    let found = format!("\"{given}\"{}", suggestion(nearest(given, known.iter().copied())));
    ConfigError::value(&run.display().to_string(), option, &expected, &found).into()
}
