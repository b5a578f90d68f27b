//! What several commands begin with: reading a configuration, opening its data, reopening a run.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;

use super::progress::{OpeningBars, counted};
use crate::data::synthetic::generate_rows;
use crate::data::{self, Dataset, Encoder, Inputs, Schema};
use crate::gpu::DeviceChoice;
use crate::ops::ModelState;
use crate::plan::Executor;
use crate::train::Error;
use crate::train::checkpoint::load_model;
use crate::train::config::{Config, ConfigError, TrainOptions};
use crate::train::folder::RunFolder;
use crate::train::model::{BuiltModel, OpenedExecutor, build, check_sequences, open_executor};

/// A configuration with its data and model.
pub(super) struct Opened {
    /// Every default written out; `data.path` absolute.
    pub(super) config: Config,
    pub(super) data: Dataset,
    pub(super) model: BuiltModel,
}

/// Folders in which a relative `data.path` is looked for: the configuration's own, then the current one.
pub(super) fn bases(config: &Path) -> Vec<PathBuf> {
    let beside = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    vec![beside.to_owned(), PathBuf::from(".")]
}

/// Reads a configuration, opens its data (generating it first where `[synth]` says how) and builds its model.
pub(super) fn open_config(path: &Path, sets: &[String]) -> Result<Opened, Error> {
    let mut config = Config::load(path, sets)?;
    report_left_out(config.left_out());
    let mut schema: Schema = config.data()?;
    let bases = bases(path);
    generate_missing(&config, &schema, &bases)?;
    let data = open(&schema, &bases)?;
    schema.path = absolute(&schema.path, &bases);
    config.set_data(&schema)?;
    let model = build_on(&mut config, &data)?;
    if !model.left_out.is_empty() {
        note!("left out, as {} has no such option: model.{}", config.model_name(), model.left_out.join(", model."));
    }
    Ok(Opened { config, data, model })
}

/// Builds the model of a configuration, one that can read the data's rows.
pub(super) fn build_on(config: &mut Config, data: &Dataset) -> Result<BuiltModel, Error> {
    let model = build(config, &data.encoder)?;
    for rows in [&data.train, &data.valid, &data.test] {
        check_sequences(&model, rows, &data.encoder)?;
    }
    Ok(model)
}

/// Opens data behind progress bars, and says what was left out.
pub(super) fn open(schema: &Schema, bases: &[PathBuf]) -> Result<Dataset, Error> {
    let mut bars = OpeningBars::default();
    let opened = data::open(schema, bases, &mut |progress| bars.show(progress));
    bars.end();
    let data = opened?;
    report_skipped(&data.skipped);
    Ok(data)
}

/// Says which keys of the file an override made meaningless.
pub(super) fn report_left_out(keys: &[String]) {
    if !keys.is_empty() {
        note!("left out, as what was chosen instead has no such option: {}", keys.join(", "));
    }
}

/// Says which columns can teach a model nothing.
pub(super) fn report_warnings(data: &Dataset) {
    for warning in &data.warnings {
        note!("warning: {warning}");
    }
}

/// Says which bad rows were left out.
pub(super) fn report_skipped(skipped: &data::Skipped) {
    if skipped.count > 0 {
        let rows = if skipped.count == 1 { "row" } else { "rows" };
        note!("{} bad {rows} skipped, the first:", skipped.count);
        for message in &skipped.messages {
            note!("  {message}");
        }
    }
}

/// Generates data that is not there, where `[synth]` says how.
pub(super) fn generate_missing(config: &Config, schema: &Schema, bases: &[PathBuf]) -> Result<(), Error> {
    let Some(options) = &config.synth else { return Ok(()) };
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
    note!("{} is not there: generating it from [synth]", path.display());
    let bar = counted(options.rows, "generating");
    let made = generate_rows(options, &path, &mut |rows| bar.set_position(rows));
    bar.finish_and_clear();
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
pub(super) fn absolute(path: &str, bases: &[PathBuf]) -> String {
    let found =
        bases.iter().find(|base| Inputs::find(path, data::Format::Parquet, None, std::slice::from_ref(base)).is_ok());
    let joined = found.unwrap_or(&bases[0]).join(path);
    plain(&std::path::absolute(&joined).unwrap_or(joined)).to_string_lossy().into_owned()
}

/// The files a command was given beside a run: their names tell how they are written, else the run's schema does.
pub(super) fn find_inputs(path: &str, schema: &Schema) -> Result<Inputs, Error> {
    Ok(match Inputs::find(path, data::Format::Auto, schema.delimiter, &[]) {
        Err(data::Error::UnknownFormat { .. }) => Inputs::find(path, schema.format, schema.delimiter, &[])?,
        // Not the configuration's path but the command line's.
        Err(data::Error::NoFiles { what, near, .. }) => {
            let near = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            return Err(data::Error::Schema(format!("--data: {what}{near}")).into());
        }
        found => found?,
    })
}

/// A trained model on a device.
pub(super) struct Trained {
    pub(super) folder: RunFolder,
    pub(super) config: Config,
    pub(super) encoder: Encoder,
    pub(super) model: BuiltModel,
    pub(super) executor: Box<dyn Executor>,
}

/// Opens a device and puts a model there; says where evaluations need smaller batches than they were to have.
pub(super) fn open_device(
    choice: &DeviceChoice,
    model: &BuiltModel,
    options: &TrainOptions,
    state: impl FnOnce() -> ModelState<f32>,
) -> Result<Box<dyn Executor>, Error> {
    let OpenedExecutor { executor, eval_batch_size } = open_executor(choice, model, options, state)?;
    if eval_batch_size < options.eval_batch_size as usize {
        note!(
            "rows are scored {eval_batch_size} at a time: {} has no room for train.eval_batch_size = {}",
            executor.device(),
            options.eval_batch_size
        );
    }
    Ok(executor)
}

/// Reopens a run's best model.
pub(super) fn reopen(run: &Path, sets: &[String], device: &DeviceChoice) -> Result<Trained, Error> {
    let folder = RunFolder::open(run)?;
    let mut config = Config::load(&folder.config(), sets)?;
    let encoder = load_vocabularies(&folder)?;
    let model = build(&mut config, &encoder)?;
    let state = load_model(&folder.model(), &model.graph, config.model_name())?;
    // Nothing will be trained: what a step takes must not keep a small device from predicting.
    let options = TrainOptions { batch_size: 1, ..config.train.clone() };
    let executor = open_device(device, &model, &options, || state)?;
    Ok(Trained { folder, config, encoder, model, executor })
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

/// Prints a value as JSON on standard output.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("as JSON")?;
    print_line(&text)
}

/// Prints a line on standard output. Unlike `println!` it does not panic when nobody reads it.
pub(super) fn print_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}
