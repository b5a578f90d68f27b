//! The native half of the Python package `polyscene`: arguments in, the engine's own functions, results out. Its other half, in
//! `package/polyscene/`, is what users see.

mod config;
mod errors;
mod observing;
mod tables;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use polyscene::app::export::{OnnxEmbeddings, OnnxInputs, OnnxOptions, export_onnx as export};
use polyscene::config::set_argument;
use polyscene::data::is_url;
use polyscene::onnx::Weights;
use polyscene::train::run::folder::RunFolder;
use polyscene::{Config, DeviceChoice, Ending, Run, RunOptions, SplitName, Trained, Trainer};
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;

use crate::errors::exception;
use crate::observing::observe;
use crate::tables::{Predictions, TrainingData, new_data, training_data};

/// As JSON, whose numbers are read back as the same numbers.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unreachable!("what a run's files hold is JSON: {error}"))
}

/// What Python's own reader makes of JSON.
fn from_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}

fn device_choice(py: Python<'_>, device: &str) -> PyResult<DeviceChoice> {
    device.parse().map_err(|error: polyscene::gpu::Error| exception(py, error.into()))
}

/// Trains, and gives the run's folder.
#[pyfunction]
#[pyo3(signature = (config, data, *, overrides, out, device, tuning, resume, callback))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python function")]
fn train(
    py: Python<'_>,
    config: &Bound<'_, PyAny>,
    data: Option<&Bound<'_, PyAny>>,
    overrides: &Bound<'_, PyDict>,
    out: Option<PathBuf>,
    device: &str,
    tuning: &str,
    resume: bool,
    callback: Option<Py<PyAny>>,
) -> PyResult<PathBuf> {
    let device = device_choice(py, device)?;
    let tuning = tuning.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
    let tables = match data.map(training_data).transpose()? {
        Some(TrainingData::Path(path)) => {
            // Relative to where Python is, not to the configuration.
            let path = match std::path::absolute(&path) {
                Ok(absolute) if !is_url(&path) => absolute.to_string_lossy().into_owned(),
                _ => path,
            };
            overrides.set_item("data.path", path)?;
            None
        }
        Some(TrainingData::Tables(tables)) => Some(tables),
        None => None,
    };
    let config = config::read(config, overrides)?;
    let (trained, raised) = observe(py, callback.as_ref(), |teller| {
        let mut trainer = Trainer::new(config).device(device).tuning(tuning).resume(resume).stop(teller.stop());
        if let Some(tables) = tables {
            trainer = trainer.tables(tables);
        }
        if let Some(out) = out {
            trainer = trainer.folder(out);
        }
        trainer.observer(|event| teller.tell(event)).train()
    })?;
    match raised {
        Some(raised) => Err(interrupted(py, raised, &trained)),
        None => Ok(trained.folder.root().to_owned()),
    }
}

/// What was raised while a model was trained; Ctrl-C says how to go on.
fn interrupted(py: Python<'_>, raised: PyErr, trained: &Trained) -> PyErr {
    if trained.ending != Ending::Interrupted || !raised.is_instance_of::<PyKeyboardInterrupt>(py) {
        return raised;
    }
    let (epoch, step) = (trained.position.epoch + 1, trained.position.step);
    let folder = trained.folder.root().display();
    PyKeyboardInterrupt::new_err(format!(
        "stopped in epoch {epoch} after step {step}; a checkpoint was written. Go on with out=\"{folder}\", resume=True"
    ))
}

/// A run's model on a device.
#[pyclass(frozen, module = "polyscene._native")]
struct Model {
    run: Mutex<Run>,
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (path, *, device, batch_size))]
    fn new(py: Python<'_>, path: PathBuf, device: &str, batch_size: Option<i64>) -> PyResult<Self> {
        let device = device_choice(py, device)?;
        let sets = batch_size.map(|rows| set_argument("train.eval_batch_size", &rows.into()));
        let options = RunOptions { device, sets: sets.into_iter().collect() };
        let opened = observe(py, None, |teller| Run::open_with(path, &options, &mut |event| teller.tell(event)))?;
        let run = settled(opened)?;
        Ok(Self { run: Mutex::new(run) })
    }

    /// The probabilities of a table's rows, or a file's.
    #[pyo3(signature = (data, *, max_unknown))]
    fn predict(&self, py: Python<'_>, data: &Bound<'_, PyAny>, max_unknown: Option<f64>) -> PyResult<Predictions> {
        check_share(max_unknown)?;
        let data = new_data(data)?;
        let predicted = observe(py, None, |teller| {
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            run.probabilities(&data, max_unknown, &mut |event| teller.tell(event))
        })?;
        let (array, predicted) = settled(predicted)?;
        Ok(Predictions { array, summary: to_json(&predicted) })
    }

    /// Metrics of a table's rows, of a file's, or of a split of the run's own, as JSON.
    #[pyo3(signature = (data, *, split, max_unknown))]
    fn evaluate(
        &self,
        py: Python<'_>,
        data: Option<&Bound<'_, PyAny>>,
        split: &str,
        max_unknown: Option<f64>,
    ) -> PyResult<String> {
        check_share(max_unknown)?;
        let Some(split) = SplitName::ALL.into_iter().find(|known| known.name() == split) else {
            return Err(PyValueError::new_err(format!("split: expected train, valid or test, found {split:?}")));
        };
        let data = data.map(new_data).transpose()?;
        let evaluated = observe(py, None, |teller| {
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            let mut observer = |event: polyscene::Event<'_>| teller.tell(event);
            match &data {
                Some(data) => run.evaluate_data(data, max_unknown, &mut observer),
                None => run.evaluate(split, &mut observer),
            }
        })?;
        Ok(to_json(&settled(evaluated)?))
    }
}

/// What came of work that nothing is kept of where it was interrupted.
fn settled<T>((value, raised): (T, Option<PyErr>)) -> PyResult<T> {
    raised.map_or(Ok(value), Err)
}

fn check_share(share: Option<f64>) -> PyResult<()> {
    match share {
        Some(share) if !(0.0..=1.0).contains(&share) => Err(PyValueError::new_err(format!(
            "max_unknown: expected a share from 0 to 1, such as 0.05, found {share}"
        ))),
        _ => Ok(()),
    }
}

/// Fails where a folder holds no run.
#[pyfunction]
fn check_run(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    RunFolder::open(path).map(|_| ()).map_err(|error| exception(py, error))
}

/// The sections of a run's configuration, as JSON.
#[pyfunction]
fn read_config(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let config = Config::load(path.join("config.toml"), &[]).map_err(polyscene::Error::from);
    let text = config.and_then(|config| Ok(config.to_toml()?)).map_err(|error| exception(py, error))?;
    let table: toml::Table = text.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
    Ok(to_json(&table))
}

/// Writes a run's model as an ONNX file. What the model takes: of each input its name, its elements' type, its shape and what it
/// holds; then the files of weights and the folder of embeddings beside it, where there are any.
#[pyfunction]
#[pyo3(signature = (path, out, *, inputs, embeddings, external_data))]
#[expect(clippy::type_complexity, reason = "a Python tuple")]
fn export_onnx(
    py: Python<'_>,
    path: PathBuf,
    out: PathBuf,
    inputs: &str,
    embeddings: &str,
    external_data: bool,
) -> PyResult<(Vec<(String, String, Vec<String>, String)>, Option<PathBuf>, Option<PathBuf>)> {
    let unknown = |name: &str, expected: &str, found: &str| {
        Err(PyValueError::new_err(format!("{name}: expected {expected}, found {found:?}")))
    };
    let inputs = match inputs {
        "raw" => OnnxInputs::Raw,
        "encoded" => OnnxInputs::Encoded,
        other => return unknown("inputs", "raw or encoded", other),
    };
    let embeddings = match embeddings {
        "inside" => OnnxEmbeddings::Inside,
        "external" => OnnxEmbeddings::External,
        other => return unknown("embeddings", "inside or external", other),
    };
    if out.extension().is_none_or(|extension| extension != "onnx") {
        return unknown("out", "a name that ends in .onnx", &out.display().to_string());
    }
    let weights = if external_data { Weights::Apart } else { Weights::Within };
    let options = OnnxOptions { run: path, out, inputs, embeddings, weights };
    let exported = py.detach(|| export(&options)).map_err(|error| exception(py, error))?;
    let taken = exported.inputs.into_iter().map(|input| {
        let dims = input.dims.iter().map(ToString::to_string).collect();
        (input.name, input.element.to_string(), dims, input.what)
    });
    Ok((taken.collect(), exported.weights, exported.embeddings))
}

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{Model, Predictions, check_run, export_onnx, read_config, train};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
