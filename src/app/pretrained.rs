//! Vectors from elsewhere that embeddings begin with (`data.fields.NAME.pretrained`).

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::open::located;
use super::{Event, Observer};
use crate::config::ConfigError;
use crate::data::Vocabulary;
use crate::data::{Encoder, Schema};
use crate::graph::{Cross, EmbeddingTable, Graph};
use crate::ops::ModelState;
use crate::train::Error;

/// The columns of such a file, as `polyscene embeddings` writes them too.
const VALUE: &str = "value";
const VECTOR: &str = "vector";

/// Makes the paths of pretrained vectors mean the same from any folder: each in the first base that has it.
pub(super) fn locate(schema: &mut Schema, bases: &[PathBuf]) {
    for path in schema.fields.values_mut().filter_map(|options| options.pretrained.as_mut()) {
        *path = located(Path::new(&*path), bases, Path::is_file).to_string_lossy().into_owned();
    }
}

/// Gives the rows of all fields with pretrained vectors these, in every table of their width.
pub(super) fn apply(
    schema: &Schema,
    encoder: &Encoder,
    graph: &Graph,
    state: &mut ModelState<f32>,
    observer: &mut Observer<'_>,
) -> Result<(), Error> {
    for (source, field) in encoder.fields().iter().enumerate() {
        let Some(path) = schema.field_options(&field.name).pretrained else { continue };
        let path = Path::new(&path);
        let key = format!("data.fields.{}.pretrained", field.name);
        let rows = read(path, encoder, source)?;
        let Some((_, first)) = rows.first() else {
            let expected = format!("a file with values that column \"{}\" has", field.name);
            return Err(ConfigError::value(&path.display().to_string(), &key, &expected, "none of them").into());
        };
        let width = first.len();
        let mut tables = 0;
        for (table, state) in graph.tables.iter().zip(&mut state.tables).filter(|(table, _)| table.width == width) {
            for placed in table.fields.iter().filter(|placed| placed.source == source) {
                if let Cross::Hashed { .. } = placed.cross {
                    let expected = "a field whose rows are not hashed (model.specific = \"per-scenario\")";
                    return Err(ConfigError::value(&path.display().to_string(), &key, expected, "hashed rows").into());
                }
                let scenarios = placed.rows / field.rows;
                for (scenario, (id, vector)) in
                    (0..scenarios as u32).flat_map(|scenario| rows.iter().map(move |row| (scenario, row)))
                {
                    state.weights.set(placed.row(*id, scenario) as usize * width, vector);
                }
                tables += 1;
            }
        }
        if tables == 0 {
            let has = |table: &&EmbeddingTable| table.fields.iter().any(|placed| placed.source == source);
            let widths: Vec<String> = graph.tables.iter().filter(has).map(|table| table.width.to_string()).collect();
            let expected =
                format!("vectors of {} values, as the model's embeddings have (model.width)", widths.join(" or "));
            return Err(
                ConfigError::value(&path.display().to_string(), &key, &expected, &format!("{width} values")).into()
            );
        }
        let (known, all) =
            (rows.iter().filter(|(id, _)| *id > 0).count(), encoder.vocabulary(source).map_or(0, Vocabulary::len));
        observer(Event::Pretrained { field: &field.name, known, all, path });
    }
    Ok(())
}

/// Ids of a field and their vectors, all equally long. What is no value of the field is passed over.
fn read(path: &Path, encoder: &Encoder, field: usize) -> Result<Vec<(u32, Vec<f32>)>, Error> {
    let mut rows: Vec<(u32, Vec<f32>)> = Vec::new();
    let mut lookup = encoder.lookup(field);
    let mut number = 0;
    let mut add = |value: Option<&str>, vector: Vec<f32>| -> Result<(), Error> {
        number += 1;
        let width = rows.first().map_or(vector.len(), |(_, first)| first.len());
        let fault = |what: String| Error::content(path, format!("row {number}: {what}"));
        if vector.is_empty() || vector.len() != width {
            return Err(fault(format!("expected a vector of {} values, found {}", width.max(1), vector.len())));
        }
        if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
            return Err(fault(format!("expected numbers in \"{VECTOR}\", found {value}")));
        }
        let value = value.filter(|value| !value.is_empty());
        let id = lookup.row(value.map(str::as_bytes));
        // The row of missing values is one only where the file says so, and rows that values share are no value's.
        let is_own = encoder.vocabulary(field).is_some_and(|known| known.value(id).is_some());
        if is_own || value.is_none() {
            rows.push((id, vector));
        }
        Ok(())
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => read_csv(path, &mut add)?,
        _ => read_parquet(path, &mut add)?,
    }
    Ok(rows)
}

type Add<'a> = dyn FnMut(Option<&str>, Vec<f32>) -> Result<(), Error> + 'a;

fn no_columns(path: &Path, found: impl Iterator<Item = String>) -> Error {
    let found = found.collect::<Vec<_>>().join(", ");
    Error::content(
        path,
        format!(
            "expected columns \"{VALUE}\" and \"{VECTOR}\" (in CSV \"{VECTOR}_0\", \"{VECTOR}_1\" and so on), found {found}"
        ),
    )
}

fn read_csv(path: &Path, add: &mut Add<'_>) -> Result<(), Error> {
    let fault = |error: csv::Error| Error::content(path, error.to_string());
    let mut reader = csv::Reader::from_path(path).map_err(fault)?;
    let header = reader.headers().map_err(fault)?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let vector: Vec<usize> = (0..).map_while(|at| place(&format!("{VECTOR}_{at}"))).collect();
    let (Some(value), false) = (place(VALUE), vector.is_empty()) else {
        return Err(no_columns(path, header.iter().map(str::to_owned)));
    };
    for record in reader.records() {
        let record = record.map_err(fault)?;
        let number = |&at: &usize| -> Result<f32, Error> {
            let text = record.get(at).unwrap_or_default();
            text.trim().parse().map_err(|_| {
                let line = record.position().map_or(0, csv::Position::line);
                Error::content(
                    path,
                    format!("line {line}, column \"{}\": expected a number, found \"{text}\"", &header[at]),
                )
            })
        };
        let vector: Vec<f32> = vector.iter().map(number).collect::<Result<_, _>>()?;
        add(record.get(value), vector)?;
    }
    Ok(())
}

fn read_parquet(path: &Path, add: &mut Add<'_>) -> Result<(), Error> {
    let file = File::open(path).map_err(Error::file(path, "reading"))?;
    let fault = |error: &dyn std::fmt::Display| Error::content(path, error.to_string());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fault(&error))?;
    let reader = reader.build().map_err(|error| fault(&error))?;
    let list = DataType::List(Field::new("item", DataType::Float32, true).into());
    for batch in reader {
        let batch: RecordBatch = batch.map_err(|error| fault(&error))?;
        let names = |schema: &ArrowSchema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let (Some(values), Some(vectors)) = (batch.column_by_name(VALUE), batch.column_by_name(VECTOR)) else {
            return Err(no_columns(path, names(&batch.schema()).into_iter()));
        };
        let values = cast(values, &DataType::Utf8).map_err(|error| fault(&error))?;
        let vectors = cast(vectors, &list).map_err(|error| fault(&error))?;
        let (values, vectors) = (values.as_string::<i32>(), vectors.as_list::<i32>());
        for row in 0..batch.num_rows() {
            let vector = vectors.value(row);
            let vector = vector.as_primitive::<Float32Type>();
            let numbers = vector.iter().map(|number| number.unwrap_or(f32::NAN)).collect();
            add(values.is_valid(row).then(|| values.value(row)), numbers)?;
        }
    }
    Ok(())
}
