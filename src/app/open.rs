//! What use cases begin with: a configuration, its data and its model.

use std::path::{Component, Path, PathBuf};

use super::{Event, Observer, StartingRun, TrainingTables, TuningChoice, checked, pretrained, tuned, user_cache};
use crate::config::{Config, ConfigError, TrainOptions};
use crate::data::synthetic::generate_rows;
use crate::data::{self, Basis, Dataset, Encoder, Inputs, Schema};
use crate::gpu::{DeviceChoice, Gpu, OpenOptions};
use crate::graph::Graph;
use crate::ops::ModelState;
use crate::plan::{Executor, TrainingOptions};
use crate::train::Error;
use crate::train::model::{BuiltModel, OpenedExecutor, build, check_sequences, open_executor};
use crate::train::run::checkpoint::load_model;
use crate::train::run::folder::RunFolder;
use crate::tune::Tuned;

/// A configuration with its data and model.
#[derive(Debug)]
pub struct Opened {
    /// Every default written out; `data.path` absolute.
    pub config: Config,
    /// The data, encoded.
    pub data: Dataset,
    /// The model, built for the data's fields.
    pub model: BuiltModel,
    /// The run that training goes on from.
    pub from: Option<StartingRun>,
}

/// Folders in which a relative `data.path` is looked for: the configuration's own, then the current one. Data that
/// `[synth]` makes is in the first alone: what another folder has under this name may be made of other options.
pub(crate) fn bases(config: &Path, is_made: bool) -> Vec<PathBuf> {
    let beside = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let current = (!is_made).then(|| PathBuf::from("."));
    [beside.to_owned()].into_iter().chain(current).collect()
}

/// A file or folder as a path that means the same from any folder: in the first base in which it `is_there`, else in the current
/// folder.
pub(super) fn located(named: &Path, bases: &[PathBuf], is_there: impl Fn(&Path) -> bool) -> PathBuf {
    let found = bases.iter().map(|base| base.join(named)).find(|path| is_there(path));
    let path = found.unwrap_or_else(|| named.to_owned());
    std::path::absolute(&path).unwrap_or(path)
}

/// Opens a configuration's data (generating it first where `[synth]` says how) and builds its model.
///
/// # Errors
/// When the data cannot be read, the model's options do not fit, or memory does not hold the model.
pub fn open_config(config: Config, observer: &mut Observer<'_>) -> Result<Opened, Error> {
    open_config_on(config, None, observer)
}

/// As [`open_config`]; with tables, on these instead of the configuration's files.
pub(super) fn open_config_on(
    mut config: Config,
    tables: Option<TrainingTables>,
    observer: &mut Observer<'_>,
) -> Result<Opened, Error> {
    let tables = tables.map(|tables| tables.put_into(&mut config));
    if !config.left_out().is_empty() {
        observer(Event::KeysLeftOut(config.left_out()));
    }
    let mut schema = config.schema()?;
    let bases = bases(config.path(), config.synth.is_some());
    generate_missing(&config, &schema, &bases, observer)?;
    let runs = self::bases(config.path(), false);
    let from = StartingRun::of(&mut config, &runs)?;
    let basis = from.as_ref().map(StartingRun::basis);
    let data = match &tables {
        Some(inputs) => tell_opening(|progress| data::open_found(&schema, inputs, basis.as_ref(), progress), observer)?,
        None => open_data(&schema, &bases, basis.as_ref(), observer)?,
    };
    if tables.is_none() {
        schema.path = absolute(&schema.path, &bases);
    }
    pretrained::locate(&mut schema, &bases);
    config.set_data(&schema)?;
    let model = build_on(&mut config, &data)?;
    if !model.left_out.is_empty() {
        observer(Event::OptionsLeftOut { model: config.model_name(), options: &model.left_out });
    }
    Ok(Opened { config, data, model, from })
}

/// Builds the model of a configuration, one that can read the data's rows.
pub(super) fn build_on(config: &mut Config, data: &Dataset) -> Result<BuiltModel, Error> {
    let model = build(config, &data.encoder)?;
    for rows in [&data.train, &data.valid, &data.test] {
        check_sequences(&model, rows, &data.encoder)?;
    }
    Ok(model)
}

/// Opens data, going on from another run's encoder if there is one, telling how far that is and what was left out.
pub(super) fn open_data(
    schema: &Schema,
    bases: &[PathBuf],
    basis: Option<&Basis<'_>>,
    observer: &mut Observer<'_>,
) -> Result<Dataset, Error> {
    tell_opening(|progress| data::open_on(schema, bases, basis, progress), observer)
}

/// Opens data by `open`, telling how far that is and what was left out.
fn tell_opening(
    open: impl FnOnce(&mut dyn FnMut(data::Progress)) -> data::Result<Dataset>,
    observer: &mut Observer<'_>,
) -> Result<Dataset, Error> {
    let opened = open(&mut |progress| observer(Event::Opening(progress)));
    observer(Event::CountingEnded);
    let data = opened?;
    tell_filtered(data.filtered, "data.where", observer);
    tell_filtered(data.other_scenarios, "data.only_scenarios", observer);
    tell_skipped(&data.skipped, observer);
    Ok(data)
}

/// Tells which columns can teach a model nothing.
pub(super) fn tell_warnings(data: &Dataset, observer: &mut Observer<'_>) {
    for warning in &data.warnings {
        observer(Event::Warning(warning.to_string()));
    }
}

/// Tells how many rows a key left out.
pub(super) fn tell_filtered(rows: u64, by: &'static str, observer: &mut Observer<'_>) {
    if rows > 0 {
        observer(Event::Filtered { rows, by });
    }
}

/// Tells which bad rows were left out.
pub(super) fn tell_skipped(skipped: &data::Skipped, observer: &mut Observer<'_>) {
    if skipped.count > 0 {
        observer(Event::Skipped(skipped));
    }
}

/// Generates data that is not there, where `[synth]` says how.
pub(super) fn generate_missing(
    config: &Config,
    schema: &Schema,
    bases: &[PathBuf],
    observer: &mut Observer<'_>,
) -> Result<(), Error> {
    let Some(options) = &config.synth else { return Ok(()) };
    // Nothing is ever written there.
    if data::is_url(&schema.path) {
        return Ok(());
    }
    // Whatever else is wrong with what is there, reading it says so.
    let missing = Inputs::find(&schema.path, schema.format, schema.delimiter, bases);
    if !matches!(missing, Err(data::Error::NoFiles { .. })) {
        return Ok(());
    }
    let path = plain(&bases[0].join(&schema.path));
    let is_parquet = path.extension().is_some_and(|extension| extension == "parquet" || extension == "pq");
    if !is_parquet || path.exists() || schema.path.contains(['*', '?', '[']) {
        let expected = "a file that is there, or the name of one that [synth] can write, such as \"data.parquet\"";
        let found = format!("\"{}\"", schema.path);
        return Err(ConfigError::value(config.file(), "data.path", expected, &found).into());
    }
    observer(Event::Generating { path: &path });
    observer(Event::Counting { what: "generating", total: options.rows });
    let made = generate_rows(options, &path, &mut |done| observer(Event::Counted { done, total: options.rows }));
    observer(Event::CountingEnded);
    made?;
    Ok(())
}

/// The path without `.` and without steps into a folder and out of it again: `examples/../runs` is `runs`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            // Out of a link's folder the way may lead elsewhere.
            Component::ParentDir
                if matches!(plain.components().next_back(), Some(Component::Normal(_))) && !plain.is_symlink() =>
            {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// `path` as a path that means the same from any folder. Globs and folders too: the first base that has a match.
/// A URL does already.
pub(super) fn absolute(path: &str, bases: &[PathBuf]) -> String {
    if data::is_url(path) {
        return path.to_owned();
    }
    let found =
        bases.iter().find(|base| Inputs::find(path, data::Format::Parquet, None, std::slice::from_ref(base)).is_ok());
    let joined = found.unwrap_or(&bases[0]).join(path);
    plain(&std::path::absolute(&joined).unwrap_or(joined)).to_string_lossy().into_owned()
}

/// How a device is opened to train: with what earlier processes have compiled for it.
pub fn open_options() -> OpenOptions {
    OpenOptions { pipelines: user_cache::file("pipelines"), ..OpenOptions::default() }
}

/// Which device, and which kernels there.
pub(super) struct DeviceOptions<'a> {
    pub(super) device: &'a DeviceChoice,
    pub(super) tuning: &'a TuningChoice,
    /// Where an earlier part of the run may have written which kernels it used.
    pub(super) recorded: Option<&'a Path>,
}

/// Opens a device and puts a model there; tells where evaluations need smaller batches than they were to have. The kernels
/// that the device got, where it is not the CPU.
pub(super) fn open_device(
    DeviceOptions { device, tuning, recorded }: DeviceOptions<'_>,
    model: &BuiltModel,
    options: &TrainOptions,
    state: impl FnOnce() -> ModelState<f32>,
    observer: &mut Observer<'_>,
) -> Result<(Box<dyn Executor>, Option<Tuned>), Error> {
    let tune = |gpu: &Gpu, graph: &Graph, options: &TrainingOptions| {
        let kept = match (tuning, recorded) {
            (TuningChoice::Auto, Some(path)) => tuned::recorded(path, gpu, observer)?,
            _ => None,
        };
        kept.map_or_else(|| tuned::choose(tuning, gpu, graph, options, observer), Ok)
    };
    let open = open_options();
    let OpenedExecutor { executor, eval_batch_size, adapter, tuned } =
        open_executor(device, model, options, open, tune, state)?;
    if let Some(advice) = adapter.as_ref().and_then(checked::advice) {
        observer(Event::Warning(advice));
    }
    if eval_batch_size < options.eval_batch_size as usize {
        let (asked, device) = (options.eval_batch_size, executor.device());
        observer(Event::SmallerBatches { rows: eval_batch_size, asked, device });
    }
    Ok((executor, tuned))
}

/// What a run's folder keeps of its model.
pub(super) struct SavedModel {
    pub(super) config: Config,
    pub(super) encoder: Encoder,
    pub(super) model: BuiltModel,
    /// The best weights.
    pub(super) state: ModelState<f32>,
}

/// Reads a run's model, with overrides of its configuration.
pub(super) fn load_saved(folder: &RunFolder, sets: &[String]) -> Result<SavedModel, Error> {
    let mut config = Config::load(folder.config(), sets)?;
    let encoder = load_vocabularies(folder)?;
    let model = build(&mut config, &encoder)?;
    let state = load_model(&folder.model(), &model.graph, config.model_name())?;
    Ok(SavedModel { config, encoder, model, state })
}

/// The vocabularies and statistics of a run.
pub(super) fn load_vocabularies(folder: &RunFolder) -> Result<Encoder, Error> {
    const FIX: &str = "restore the run's vocabularies from a copy, or train again";
    Encoder::load(&folder.vocabularies()).map_err(|error| match error {
        // Faults of the run's folder, not of the data.
        data::Error::Io { path, source } => Error::content(&path, format!("{source}; {FIX}")),
        data::Error::Encoder { path, what } => Error::content(&path, format!("{what}; {FIX}")),
        other => other.into(),
    })
}
