//! Models and checkpoints as safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;
use safetensors::tensor::Dtype;
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cpu::nearest_half;
use crate::graph::{EmbeddingTable, Graph, Optimizer, ParameterRole, Precision};
use crate::ops::{ModelState, TableValues};
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
    /// Optimiser steps that the moments had seen before the run began, where it goes on from another.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps_before: u64,
    /// Sums of the loss terms over the steps since the last evaluation.
    pub loss_sums: Vec<f64>,
    /// The best validation metric so far.
    pub best: Option<f64>,
    /// The epoch it was reached in, from 1.
    pub best_epoch: u32,
    /// After how many steps it was reached.
    #[serde(default)]
    pub best_steps: u64,
    /// Evaluations since.
    pub epochs_without_gain: u32,
    /// Whether training has ended: all epochs done, or stopped early.
    pub finished: bool,
    /// What the last steps were computed on ([`Executor::arithmetic`](crate::plan::Executor::arithmetic)); empty where nothing
    /// was yet.
    #[serde(default)]
    pub arithmetic: String,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The prefix in checkpoints of what an optimiser keeps: first moments, and second moments or sums of squares.
fn prefixes(optimizer: Optimizer) -> [&'static str; 2] {
    match optimizer {
        Optimizer::Adam => ["adam.first.", "adam.second."],
        Optimizer::Adagrad | Optimizer::RowwiseAdagrad => ["", "adagrad.sum."],
        Optimizer::Sgd => [""; 2],
    }
}

/// A tensor to be written.
struct Floats<'a> {
    shape: Vec<usize>,
    values: Values<'a>,
}

/// Its values, as they are stored.
#[derive(Clone, Copy)]
enum Values<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl<'a> Values<'a> {
    fn of_table(values: &'a TableValues<f32>, range: Range<usize>) -> Self {
        match values {
            TableValues::Full(values) => Self::F32(&values[range]),
            TableValues::Half(values) => Self::F16(&values[range]),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32(values) => size_of_val(values),
            Self::F16(values) => size_of_val(values),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::F16(_) => "F16",
        }
    }
}

/// Names, shapes and values of all of a state's tensors: weights, and with `moments` what the optimisers keep of what is
/// trained. A table is stored field by field. Halves come last, so that wider numbers begin at multiples of their size, as
/// readers of the format want them to.
fn tensors<'a>(graph: &Graph, state: &'a ModelState<f32>, moments: bool) -> Vec<(String, Floats<'a>)> {
    let mut all = Vec::new();
    let mut take = |name: String, shape: [usize; 2], values: Values<'a>| {
        all.push((name, Floats { shape: shape.to_vec(), values }));
    };
    for (parameter, values) in graph.parameters.iter().zip(&state.dense.weights) {
        if parameter.role != ParameterRole::Derived {
            take(parameter.name.clone(), [parameter.rows, parameter.cols], Values::F32(values));
        }
    }
    for (table, state) in graph.tables.iter().zip(&state.tables) {
        for field in table.stored_fields() {
            let range = field.offset * table.width..(field.offset + field.rows) * table.width;
            let values = Values::of_table(&state.weights, range);
            take(format!("{}.{}", table.name, field.name), [field.rows, table.width], values);
        }
    }
    for moment in if moments { 0..2 } else { 0..0 } {
        let lists = [&state.dense.first, &state.dense.second][moment];
        let trained = graph.parameters.iter().zip(lists).filter(|(p, _)| p.role == ParameterRole::Trained);
        for (parameter, values) in trained.filter(|(_, values)| !values.is_empty()) {
            let name = format!("{}{}", prefixes(graph.optimizer)[moment], parameter.name);
            take(name, [parameter.rows, parameter.cols], Values::F32(values));
        }
        for (table, state) in graph.tables.iter().zip(&state.tables) {
            let (width, prefix) = (table.optimizer.kept(table.width)[moment], prefixes(table.optimizer)[moment]);
            for field in table.stored_fields().filter(|_| width > 0) {
                let values =
                    &[&state.first, &state.second][moment][field.offset * width..(field.offset + field.rows) * width];
                take(format!("{prefix}{}.{}", table.name, field.name), [field.rows, width], Values::F32(values));
            }
        }
    }
    all.sort_by_key(|(_, floats)| matches!(floats.values, Values::F16(_)));
    all
}

/// Writes a safetensors file. The crate's own writer keeps metadata in a random order, and renames a file of its own
/// into place, one that was not made durable.
fn write(file: &mut File, metadata: &[(&str, &str)], tensors: &[(String, Floats<'_>)]) -> std::io::Result<()> {
    let metadata: Map<String, Value> = metadata.iter().map(|&(key, text)| (key.to_owned(), text.into())).collect();
    let mut header = Map::from_iter([("__metadata__".to_owned(), metadata.into())]);
    let mut start = 0;
    for (name, Floats { shape, values }) in tensors {
        let end = start + values.bytes();
        header.insert(name.clone(), json!({ "dtype": values.name(), "shape": shape, "data_offsets": [start, end] }));
        start = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    // The format wants numbers to begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (_, Floats { values, .. }) in tensors {
        match values {
            Values::F32(values) if cfg!(target_endian = "little") => out.write_all(bytemuck::cast_slice(values))?,
            Values::F16(values) if cfg!(target_endian = "little") => {
                out.write_all(bytemuck::cast_slice(values.reinterpret_cast()))?;
            }
            Values::F32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?,
            Values::F16(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?,
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

/// Reads weights into a state of `graph`'s shapes; moments are zero. Tables become what the graph stores: halves are read
/// exactly as f32, and f32 as the nearest halves.
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
/// As [`load_model`], and where tables are not stored as the graph stores them: training could not go on as if nothing had
/// happened.
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
    let find = |name: &str, rows: usize, cols: usize| -> Result<(Dtype, &[u8]), Error> {
        let other = |found: &str| {
            Error::content(
                path,
                format!(
                    "{name} is {found}, and the configuration and data make it {rows}×{cols}: the file is of another model or other data"
                ),
            )
        };
        let tensor = file.tensor(name).map_err(|_| other("missing"))?;
        if tensor.shape() != [rows, cols] || !matches!(tensor.dtype(), Dtype::F32 | Dtype::F16) {
            return Err(other(&format!("{:?} of {:?}", tensor.dtype(), tensor.shape())));
        }
        Ok((tensor.dtype(), tensor.data()))
    };
    let mut weights = Vec::new();
    for p in &graph.parameters {
        weights.push(match p.role {
            ParameterRole::Trained | ParameterRole::State => {
                let (dtype, bytes) = find(&p.name, p.rows, p.cols)?;
                floats(dtype, bytes).collect()
            }
            ParameterRole::Derived => vec![0.0; p.rows * p.cols],
        });
    }
    let table = |table: &EmbeddingTable| -> Result<TableValues<f32>, Error> {
        let mut values = TableValues::zeros(table.len(), table.precision);
        for field in table.stored_fields() {
            let name = format!("{}.{}", table.name, field.name);
            let (dtype, bytes) = find(&name, field.rows, table.width)?;
            let stored = if dtype == Dtype::F16 { Precision::F16 } else { Precision::F32 };
            if moments && stored != table.precision {
                let [found, expected] = [stored, table.precision].map(Precision::name);
                return Err(Error::content(
                    path,
                    format!(
                        "{name} is {dtype:?}, of a run with train.embedding_precision = \"{found}\", and the \
                         configuration says \"{expected}\"; set it to \"{found}\" to go on with this run, or start \
                         another"
                    ),
                ));
            }
            read_into(&mut values, field.offset * table.width, dtype, bytes);
        }
        Ok(values)
    };
    let tables = graph.tables.iter().map(table).collect::<Result<_, _>>()?;
    let mut state = ModelState::before_training(graph, weights, tables);
    for moment in if moments { 0..2 } else { 0..0 } {
        let lists = match moment {
            0 => &mut state.dense.first,
            _ => &mut state.dense.second,
        };
        let trained = graph.parameters.iter().zip(lists).filter(|(p, _)| p.role == ParameterRole::Trained);
        for (p, values) in trained.filter(|(_, values)| !values.is_empty()) {
            let name = format!("{}{}", prefixes(graph.optimizer)[moment], p.name);
            let (dtype, bytes) = find(&name, p.rows, p.cols)?;
            values.iter_mut().zip(floats(dtype, bytes)).for_each(|(to, value)| *to = value);
        }
        for (table, state) in graph.tables.iter().zip(&mut state.tables) {
            let (width, prefix) = (table.optimizer.kept(table.width)[moment], prefixes(table.optimizer)[moment]);
            let values = [&mut state.first, &mut state.second].into_iter().nth(moment).expect("two of them");
            for field in table.stored_fields().filter(|_| width > 0) {
                let name = format!("{prefix}{}.{}", table.name, field.name);
                let (dtype, bytes) = find(&name, field.rows, width)?;
                let values = &mut values[field.offset * width..];
                values.iter_mut().zip(floats(dtype, bytes)).for_each(|(to, value)| *to = value);
            }
        }
    }
    Ok((state, metadata))
}

/// The numbers of a tensor.
fn floats(dtype: Dtype, bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    let size = if dtype == Dtype::F16 { size_of::<f16>() } else { size_of::<f32>() };
    bytes.chunks_exact(size).map(|b| match *b {
        [a, b] => f16::from_le_bytes([a, b]).to_f32(),
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
        _ => unreachable!("chunks of two or four bytes"),
    })
}

/// Writes a tensor's numbers to a table, from number `first` on.
fn read_into(values: &mut TableValues<f32>, first: usize, dtype: Dtype, bytes: &[u8]) {
    match values {
        TableValues::Full(values) => {
            values[first..].iter_mut().zip(floats(dtype, bytes)).for_each(|(to, value)| *to = value);
        }
        // As they are: by way of f32, bits of a NaN could change.
        TableValues::Half(values) if dtype == Dtype::F16 => {
            let halves = bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]));
            values[first..].iter_mut().zip(halves).for_each(|(to, half)| *to = half);
        }
        TableValues::Half(values) => {
            values[first..].iter_mut().zip(floats(dtype, bytes)).for_each(|(to, value)| *to = nearest_half(value));
        }
    }
}
