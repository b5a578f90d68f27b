//! A trained model, reopened from its folder.

use std::path::PathBuf;

use super::open::{DeviceOptions, SavedModel, load_saved, open_data, open_device};
use super::{Event, Observer, TuningChoice};
use crate::config::{Config, ConfigError, TrainOptions};
use crate::data::{self, Basis, EncodedChunk, Encoder, Inputs, Rows, Scan, Schema, SplitName, Table};
use crate::gpu::DeviceChoice;
use crate::plan::Executor;
use crate::train::Error;
use crate::train::evaluation::predict::{Predictions, predict};
use crate::train::model::{BuiltModel, check_sequences};
use crate::train::run::folder::RunFolder;

/// Rows that one read of a file brings in.
const CHUNK_ROWS: usize = 65_536;

/// How a run is opened.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where its model is put.
    pub device: DeviceChoice,
    /// Overrides of its configuration, as `key.path=value`.
    pub sets: Vec<String>,
}

/// Rows that are not a run's own, with the same columns.
#[derive(Clone, Debug)]
pub enum NewData {
    /// A file, glob or folder.
    Path(String),
    /// A table in memory.
    Table(Table),
}

impl NewData {
    pub(super) fn inputs(&self, schema: &Schema) -> Result<Inputs, Error> {
        match self {
            Self::Path(path) => find(schema, path),
            Self::Table(table) => Ok(Inputs::table(table.clone())),
        }
    }
}

/// The best model of a run, on a device, with all that is needed to read rows as it was trained on them.
pub struct Run {
    pub(super) folder: RunFolder,
    pub(super) config: Config,
    pub(super) schema: Schema,
    pub(super) encoder: Encoder,
    pub(super) model: BuiltModel,
    pub(super) executor: Box<dyn Executor>,
}

impl Run {
    /// Opens the run of a folder that training has written, on the best device there is.
    ///
    /// # Errors
    /// When the folder holds no run, one of its files is damaged, or the device has no room for the model.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_with(folder, &RunOptions::default(), &mut |_| ())
    }

    /// As [`Run::open`], with a device and overrides of one's own.
    ///
    /// # Errors
    /// As [`Run::open`]; when an override does not fit.
    pub fn open_with(
        folder: impl Into<PathBuf>,
        options: &RunOptions,
        observer: &mut Observer<'_>,
    ) -> Result<Self, Error> {
        Self::open_folder(RunFolder::open(folder)?, options, observer)
    }

    fn open_folder(folder: RunFolder, options: &RunOptions, observer: &mut Observer<'_>) -> Result<Self, Error> {
        let SavedModel { config, encoder, model, state } = load_saved(&folder, &options.sets)?;
        let schema = config.schema()?;
        // Nothing will be trained: what a step takes must not keep a small device from predicting.
        let train = TrainOptions { batch_size: 1, ..config.train.clone() };
        // Nor is it worth a trial of kernels.
        let device = DeviceOptions { device: &options.device, tuning: &TuningChoice::Off, recorded: None };
        let (executor, _) = open_device(device, &model, &train, || state, observer)?;
        Ok(Self { folder, config, schema, encoder, model, executor })
    }

    /// Where it is kept.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its vocabularies and statistics.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// A split of the data that it was trained on.
    ///
    /// # Errors
    /// When the data cannot be read, or is not what it was.
    pub fn rows(&self, split: SplitName, observer: &mut Observer<'_>) -> Result<Rows, Error> {
        // A run that went on from another has the other's values first; its own encoder knows them.
        let basis = Basis { encoder: &self.encoder, refit_numbers: false };
        let basis = self.config.train.from.is_some().then_some(&basis);
        let opened = open_data(&self.schema, &[], basis, observer)?;
        if !opened.encoder.same_codes(&self.encoder) {
            return Err(ConfigError::value(
                &self.schema.path,
                "data.path",
                "the data the run was trained on (its vocabularies have changed since); score the new file with --data",
                "other data",
            )
            .into());
        }
        Ok(match split {
            SplitName::Train => opened.train,
            SplitName::Valid => opened.valid,
            SplitName::Test => opened.test,
        })
    }

    /// The logits of rows that [`Run::rows`] or a scan with [`Run::encoder`] gave, in their order.
    ///
    /// # Errors
    /// When the model cannot read the rows' sequences, or the device fails.
    pub fn logits(&mut self, rows: &Rows) -> Result<Vec<f32>, Error> {
        Ok(self.predictions(rows)?.logits)
    }

    /// As [`Run::logits`], with those of the model's [`heads`](crate::graph::Graph::heads).
    ///
    /// # Errors
    /// As [`Run::logits`].
    pub fn predictions(&mut self, rows: &Rows) -> Result<Predictions, Error> {
        predictions(self.executor.as_mut(), &self.model, rows, &self.encoder)
    }

    /// Tells of a file's values that the model does not know, or knows less of than of its own validation rows.
    pub(super) fn tell_unknown(&self, found: &[data::UnknownValues], observer: &mut Observer<'_>) {
        let before = super::unknown::of_validation(&self.folder);
        for warning in super::unknown::warnings(&self.encoder, found, &before) {
            observer(Event::Warning(warning));
        }
    }
}

/// As [`Run::predictions`].
fn predictions(
    executor: &mut dyn Executor,
    model: &BuiltModel,
    rows: &Rows,
    encoder: &Encoder,
) -> Result<Predictions, Error> {
    check_sequences(model, rows, encoder)?;
    predict(executor, model, rows, encoder)
}

/// Another file, glob or folder. Its name tells how it is written, else the run's schema does.
fn find(schema: &Schema, path: &str) -> Result<Inputs, Error> {
    Ok(match Inputs::find(path, data::Format::Auto, schema.delimiter, &[]) {
        Err(data::Error::UnknownFormat { .. }) => Inputs::find(path, schema.format, schema.delimiter, &[])?,
        // Not the configuration's path but the caller's.
        Err(data::Error::NoFiles { what, near, .. }) => {
            let near = data::suggestion(near.as_deref());
            return Err(data::Error::Schema(format!("--data: {what}{near}")).into());
        }
        found => found?,
    })
}

/// Waits for the first of other data, where that is not on this machine.
pub(super) fn wait_for_first(inputs: &Inputs, observer: &mut Observer<'_>) -> Result<(), Error> {
    let waited = inputs.wait_for_first(&mut |progress| observer(Event::Opening(progress)));
    observer(Event::CountingEnded);
    Ok(waited?)
}

/// Reads other data as a run's own is read, chunk by chunk.
pub(super) fn scan<'e>(
    encoder: &'e Encoder,
    schema: &Schema,
    inputs: &Inputs,
    labelled: bool,
    observer: &mut Observer<'_>,
) -> Result<Scan<'e>, Error> {
    wait_for_first(inputs, observer)?;
    let scan = data::scan(encoder, inputs, labelled, CHUNK_ROWS)?;
    Ok(scan.on_bad_row(schema.on_bad_row).unknown_scenario(schema.unknown_scenario))
}

/// Gives `each` all chunks of a scan with their predictions, telling how far that is.
pub(super) fn score(
    executor: &mut dyn Executor,
    model: &BuiltModel,
    scan: &mut Scan<'_>,
    what: &'static str,
    observer: &mut Observer<'_>,
    mut each: impl FnMut(EncodedChunk, &Predictions) -> Result<(), Error>,
) -> Result<(), Error> {
    observer(Event::Counting { what, total: scan.bytes().1 });
    let encoder = scan.encoder();
    let mut score_all = || {
        let mut next = scan.next().transpose()?;
        while let Some(chunk) = next {
            let (done, total) = scan.bytes();
            // The next chunk is read and encoded while this one is scored.
            let mut following = None;
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| following = scan.next());
                let predictions = predictions(executor, model, &chunk.rows, encoder)?;
                each(chunk, &predictions)
            })?;
            observer(Event::Counted { done, total });
            next = following.transpose()?;
        }
        Ok(())
    };
    let scored = score_all();
    observer(Event::CountingEnded);
    scored
}
