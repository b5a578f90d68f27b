//! A trained model as an ONNX file, which takes the data's own columns.

mod columns;
mod crosses;
mod embeddings;
mod encoded;
mod spread;
mod tags;

use std::io::Write;
use std::path::PathBuf;

use super::open::{SavedModel, load_saved};
use crate::config::ConfigError;
use crate::data::UnknownScenario;
use crate::onnx::{Builder, Dim, Element, Value, Weights};
use crate::ops::{OnnxExport, Operation};
use crate::plan::Plan;
use crate::train::Error;
use crate::train::run::folder::{RunFolder, write_whole};
use columns::Columns;
use spread::Spread;

/// What a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnnxInputs {
    /// The data's columns as they are: texts, integers, numbers and lists. Vocabularies and statistics are in the model.
    #[default]
    Raw,
    /// What the encoder makes of them: the numbers of embedding rows, and standardised numbers.
    Encoded,
}

/// Where the embeddings of categories are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnnxEmbeddings {
    /// In the model.
    #[default]
    Inside,
    /// In files of their own, for a service that looks them up; the model takes vectors.
    External,
}

/// Which run is exported, and how.
#[derive(Clone, Debug)]
pub struct OnnxOptions {
    /// The run's folder.
    pub run: PathBuf,
    /// The file to write.
    pub out: PathBuf,
    /// What the model takes.
    pub inputs: OnnxInputs,
    /// Where the embeddings of categories are.
    pub embeddings: OnnxEmbeddings,
    /// Where weights are written.
    pub weights: Weights,
}

/// An input of an exported model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxInput {
    /// Its name: mostly a column's.
    pub name: String,
    /// What its values are.
    pub element: Element,
    /// Its shape.
    pub dims: Vec<Dim>,
    /// What it holds, in words.
    pub what: String,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct ExportedOnnx {
    /// What the model takes; every input is needed.
    pub inputs: Vec<OnnxInput>,
    /// What it gives, a number of each row.
    pub outputs: Vec<String>,
    /// The file of weights beside the model, where there is one: it is read from the same folder.
    pub weights: Option<PathBuf>,
    /// The folder of embeddings, where they are external.
    pub embeddings: Option<PathBuf>,
}

/// What every model gives.
const OUTPUTS: [&str; 2] = ["logit", "probability"];

/// The rows of a batch, and the places of their sequences, as dimensions are called.
const ROWS: &str = "N";
const PLACES: &str = "L";

/// Writes a trained model as an ONNX file (opset 17, `ai.onnx.ml` 3): its inputs are the data's columns, its outputs `logit`
/// and `probability`, \[N\] each, and of entire-space models the probabilities `ctr` and `cvr`.
///
/// # Errors
/// When the folder holds no run, a column cannot be an input (hashed ones, with [`OnnxInputs::Raw`]), the model is larger than
/// the format allows, or a file cannot be written.
pub fn export_onnx(options: &OnnxOptions) -> Result<ExportedOnnx, Error> {
    let folder = RunFolder::open(&options.run)?;
    let saved = load_saved(&folder, &[])?;
    let run = options.run.display().to_string();
    let (model, inputs) = write_model(&saved, options, &run)?;

    let beside = PathBuf::from(format!("{}.data", options.out.display()));
    let name = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let doc = format!("{}, trained by polyscene", saved.config.model_name());
    let written = model.finish(&doc, options.weights, &name).map_err(|length| {
        let expected = "a model of at most 2 GiB, embeddings and other weights not counted; with --inputs encoded there are no \
                        vocabularies in it";
        ConfigError::value(&run, "--out", expected, &format!("{length} bytes"))
    })?;
    let embeddings = match options.embeddings {
        OnnxEmbeddings::Inside => None,
        OnnxEmbeddings::External => Some(embeddings::write_apart(&saved, &options.out)?),
    };
    // Before the model, which would not be whole without it.
    let weights = written.has_weights_apart().then_some(beside);
    if let Some(path) = &weights {
        write_whole(path, |file| written.write_weights(file))?;
    }
    write_whole(&options.out, |file| file.write_all(&written.model))?;
    let heads = saved.model.prediction.heads.iter().map(|(name, _)| name.clone());
    let outputs = OUTPUTS.map(str::to_owned).into_iter().chain(heads).collect();
    Ok(ExportedOnnx { inputs, outputs, weights, embeddings })
}

/// The model's graph of nodes, and its inputs.
fn write_model(saved: &SavedModel, options: &OnnxOptions, run: &str) -> Result<(Builder, Vec<OnnxInput>), Error> {
    let graph = Plan::inference(&saved.model.prediction, 1).graph;
    let encoder = &saved.encoder;
    let mut onnx = Builder::new(saved.config.model_name());
    let mut columns = Columns::new(&mut onnx, &graph, encoder, options, run);
    let mut read = columns.read()?;
    let inputs = columns.inputs();

    let (known, rows) = (read.scenarios.clone(), read.rows.clone());
    let shared = encoder.schema().unknown_scenario == UnknownScenario::Shared;
    let spread = match &known {
        Some(scenarios) if shared => Some(Spread::new(&mut onnx, scenarios, &rows, encoder.scenarios().len())),
        _ => None,
    };
    if let Some(spread) = &spread {
        read.spread(&mut onnx, spread);
    } else if let Some(scenarios) = &mut read.scenarios {
        // Others give no number in the end.
        let zero = onnx.ints(&[0]);
        *scenarios = onnx.node("Max", &[scenarios, &zero], &[]);
    }

    let mut export = OnnxExport::new(onnx, &graph, &saved.state.dense.weights, read.rows.clone());
    export.scenarios = read.scenarios.clone();
    export.tokens = read.tokens(&mut export.onnx, &graph);
    embeddings::embed(&mut export, &read, saved);
    for node in &graph.nodes {
        export.onnx.set_scope(&node.name);
        node.op.onnx(node, &mut export);
    }
    let main = export.value(graph.logits.expect("a model sets its logits"));
    let heads: Vec<Value> = graph.heads.iter().map(|(_, head)| export.value(*head)).collect();
    let mut onnx = export.onnx;
    onnx.set_scope("");
    let of_rows = |onnx: &mut Builder, logits: &Value| {
        let logits = onnx.squeeze(logits, 1);
        match (&spread, &known) {
            (Some(spread), _) => spread.means(onnx, &logits),
            (None, Some(scenarios)) => {
                let (zero, nan) = (onnx.ints(&[0]), onnx.float(f32::NAN));
                let is_new = onnx.node("Less", &[scenarios, &zero], &[]);
                onnx.select(&is_new, &nan, &logits)
            }
            (None, None) => logits,
        }
    };
    let logits = of_rows(&mut onnx, &main);
    let dims = [Dim::named(ROWS)];
    let probability = onnx.sigmoid(&logits);
    let unknown =
        if known.is_some() && !shared { "; not a number in scenarios that the run does not know" } else { "" };
    onnx.output(OUTPUTS[0], &logits, Element::F32, &dims, &format!("log(p / (1 − p)){unknown}"));
    onnx.output(OUTPUTS[1], &probability, Element::F32, &dims, &format!("p of label 1{unknown}"));
    for ((name, _), logits) in graph.heads.iter().zip(&heads) {
        let logits = of_rows(&mut onnx, logits);
        let probability = onnx.sigmoid(&logits);
        onnx.output(name, &probability, Element::F32, &dims, &format!("p of the model's {name}{unknown}"));
    }
    Ok((onnx, inputs))
}
