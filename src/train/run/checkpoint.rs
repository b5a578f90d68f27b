//! Models and checkpoints as safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use memmap2::Mmap;
use safetensors::tensor::Dtype;
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::graph::{Graph, Parameter, ParameterRole};
use crate::ops::{DenseState, ModelState, TableState};
use crate::train::Error;
use crate::train::run::folder::write_whole;

/// Where a run stands, beside its weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs that are finished.
    pub epoch: u32,
    /// Steps taken of the next one.
    pub step: u64,
    /// Optimiser steps taken in all.
    pub total_steps: u64,
    /// Sums of the loss terms over the steps of the unfinished epoch.
    pub loss_sums: Vec<f64>,
    /// The best validation metric so far.
    pub best: Option<f64>,
    /// The epoch it was reached after, from 1.
    pub best_epoch: u32,
    /// Epochs since.
    pub epochs_without_gain: u32,
    /// Whether training has ended: all epochs done, or stopped early.
    pub finished: bool,
}

/// The moments' prefixes in checkpoints.
const PREFIXES: [&str; 3] = ["", "adam.first.", "adam.second."];

/// Whether a parameter has values under a prefix: only what is trained has moments.
fn is_saved(parameter: &Parameter, prefix: &str) -> bool {
    match parameter.role {
        ParameterRole::Trained => true,
        ParameterRole::State => prefix.is_empty(),
        ParameterRole::Derived => false,
    }
}

struct Floats<'a> {
    shape: Vec<usize>,
    values: &'a [f32],
}

/// Names, shapes and values of all of a state's tensors: weights, and with `moments` Adam's too. A table is stored
/// field by field.
fn tensors<'a>(graph: &Graph, state: &'a ModelState<f32>, moments: bool) -> Vec<(String, Floats<'a>)> {
    let mut all = Vec::new();
    for (which, prefix) in PREFIXES.iter().enumerate().take(if moments { 3 } else { 1 }) {
        let dense = [&state.dense.weights, &state.dense.first, &state.dense.second][which];
        for (parameter, values) in
            graph.parameters.iter().zip(dense).filter(|(parameter, _)| is_saved(parameter, prefix))
        {
            let shape = vec![parameter.rows, parameter.cols];
            all.push((format!("{prefix}{}", parameter.name), Floats { shape, values }));
        }
        for (table, state) in graph.tables.iter().zip(&state.tables) {
            let values = [&state.weights, &state.first, &state.second][which];
            for field in &table.fields {
                let values = &values[field.offset * table.width..][..field.rows * table.width];
                let shape = vec![field.rows, table.width];
                all.push((format!("{prefix}{}.{}", table.name, field.name), Floats { shape, values }));
            }
        }
    }
    all
}

/// Writes a safetensors file. The crate's own writer keeps metadata in a random order, and renames a file of its own
/// into place, one that was not made durable.
fn write(file: &mut File, metadata: &[(&str, &str)], tensors: &[(String, Floats<'_>)]) -> std::io::Result<()> {
    let metadata: Map<String, Value> = metadata.iter().map(|&(key, text)| (key.to_owned(), text.into())).collect();
    let mut header = Map::from_iter([("__metadata__".to_owned(), metadata.into())]);
    let mut start = 0;
    for (name, Floats { shape, values }) in tensors {
        let end = start + 4 * values.len();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
        start = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    // The format wants numbers to begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (_, Floats { values, .. }) in tensors {
        if cfg!(target_endian = "little") {
            out.write_all(bytemuck::cast_slice(values))?;
        } else {
            values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
        }
    }
    out.flush()
}

/// Writes a model's weights.
///
/// # Errors
/// When the file cannot be written.
pub fn save_model(path: &Path, graph: &Graph, state: &ModelState<f32>, model: &str) -> Result<(), Error> {
    let metadata = [("format", "polyscene"), ("model", model)];
    write_whole(path, |file| write(file, &metadata, &tensors(graph, state, false)))
}

/// Writes weights, moments and position: all that is needed to go on as if nothing had happened.
///
/// # Errors
/// When the file cannot be written.
pub fn save_checkpoint(
    path: &Path,
    graph: &Graph,
    state: &ModelState<f32>,
    model: &str,
    position: &Position,
) -> Result<(), Error> {
    let position = serde_json::to_string(position).map_err(|error| Error::content(path, error.to_string()))?;
    let metadata = [("format", "polyscene"), ("model", model), ("position", &position)];
    write_whole(path, |file| write(file, &metadata, &tensors(graph, state, true)))
}

/// Values of several tensors.
type Lists = Vec<Vec<f32>>;

/// Reads weights into a state of `graph`'s shapes; moments are zero.
///
/// # Errors
/// When the file is missing, cut off, or of another model or other data.
pub fn load_model(path: &Path, graph: &Graph, model: &str) -> Result<ModelState<f32>, Error> {
    let (state, _) = load(path, graph, model, false)?;
    Ok(state)
}

/// Reads what [`save_checkpoint`] wrote.
///
/// # Errors
/// As [`load_model`].
pub fn load_checkpoint(path: &Path, graph: &Graph, model: &str) -> Result<(ModelState<f32>, Position), Error> {
    let (state, metadata) = load(path, graph, model, true)?;
    let position = metadata
        .get("position")
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| Error::content(path, "is a model, not a checkpoint: it does not say where training stood"))?;
    Ok((state, position))
}

fn load(
    path: &Path,
    graph: &Graph,
    model: &str,
    moments: bool,
) -> Result<(ModelState<f32>, HashMap<String, String>), Error> {
    let file = File::open(path).map_err(Error::file(path, "reading"))?;
    // SAFETY: the map is read once, below, and a file of ours is never changed in place but replaced.
    let bytes = unsafe { Mmap::map(&file) }.map_err(Error::file(path, "reading"))?;
    let broken = |error: SafeTensorError| {
        Error::content(path, format!("is cut off or damaged ({error}); restore it from a copy, or train again"))
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    match metadata.get("model") {
        Some(found) if found == model => {}
        Some(found) => {
            let reason = format!("is of model \"{found}\", not \"{model}\"; use the folder of a {model} run");
            return Err(Error::content(path, reason));
        }
        None => return Err(Error::content(path, "was not written by polyscene (it names no model)")),
    }
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let read = |name: &str, rows: usize, cols: usize| -> Result<Vec<f32>, Error> {
        let other = |found: &str| {
            Error::content(
                path,
                format!(
                    "{name} is {found}, and the configuration and data make it {rows}×{cols}: the file is of another model or other data"
                ),
            )
        };
        let tensor = file.tensor(name).map_err(|_| other("missing"))?;
        if tensor.shape() != [rows, cols] || tensor.dtype() != Dtype::F32 {
            return Err(other(&format!("{:?} of {:?}", tensor.dtype(), tensor.shape())));
        }
        Ok(tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    };
    let part = |prefix: &str| -> Result<(Lists, Lists), Error> {
        let dense = graph.parameters.iter().map(|p| match is_saved(p, prefix) {
            true => read(&format!("{prefix}{}", p.name), p.rows, p.cols),
            false => Ok(vec![0.0; p.rows * p.cols]),
        });
        let tables = graph.tables.iter().map(|table| {
            let mut values = Vec::with_capacity(table.len());
            for field in &table.fields {
                values.extend(read(&format!("{prefix}{}.{}", table.name, field.name), field.rows, table.width)?);
            }
            Ok(values)
        });
        Ok((dense.collect::<Result<_, _>>()?, tables.collect::<Result<_, Error>>()?))
    };
    let zeros = |like: &[Vec<f32>]| like.iter().map(|values| vec![0.0; values.len()]).collect::<Vec<_>>();
    let (weights, tables) = part(PREFIXES[0])?;
    let ((first, table_first), (second, table_second)) = if moments {
        (part(PREFIXES[1])?, part(PREFIXES[2])?)
    } else {
        ((zeros(&weights), zeros(&tables)), (zeros(&weights), zeros(&tables)))
    };
    let tables = tables.into_iter().zip(table_first).zip(table_second);
    let state = ModelState {
        dense: DenseState { weights, first, second },
        tables: tables.map(|((weights, first), second)| TableState { weights, first, second }).collect(),
    };
    Ok((state, metadata))
}
