//! Events, as observers receive them.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use super::StartingRun;
use crate::config::Config;
use crate::data::{Dataset, Progress, Skipped};
use crate::models::CROSS_ENTROPY;
use crate::train::LoopEvent;
use crate::train::model::BuiltModel;
use crate::train::pruning::Pruned;
use crate::train::run::checkpoint::Position;
use crate::train::run::epoch::EpochRecord;
use crate::train::run::folder::RunFolder;
use crate::train::run::result::RunResult;

/// Called with every [`Event`].
pub type Observer<'a> = dyn FnMut(Event<'_>) + 'a;

/// Something that happened, or how far the work is.
///
/// As text it is a line for people, or several; empty for what only moves a progress bar.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Keys of the configuration that an override made meaningless by another choice.
    KeysLeftOut(&'a [String]),
    /// Options of the configuration's model that the model which replaces it does not have.
    OptionsLeftOut {
        /// The model that is trained.
        model: &'a str,
        /// Their names.
        options: &'a [String],
    },
    /// Data that is not there is to be generated.
    Generating {
        /// The file.
        path: &'a Path,
    },
    /// How far opening the data is.
    Opening(Progress),
    /// Bad rows were left out.
    Skipped(&'a Skipped),
    /// Rows were left out as the configuration says.
    Filtered {
        /// How many.
        rows: u64,
        /// The key that says so.
        by: &'static str,
    },
    /// Something that may be a mistake.
    Warning(String),
    /// Rows are scored in smaller batches than `train.eval_batch_size`, which the device has no room for.
    SmallerBatches {
        /// Rows at a time.
        rows: usize,
        /// What was asked for.
        asked: u32,
        /// The device.
        device: String,
    },
    /// A run goes on from its checkpoint.
    Resuming(&'a Position),
    /// Rows of a field begin with vectors from elsewhere.
    Pretrained {
        /// The field.
        field: &'a str,
        /// How many of its values have one.
        known: usize,
        /// How many values it has.
        all: usize,
        /// The file.
        path: &'a Path,
    },
    /// A run goes on from another one.
    GoingOn {
        /// The other.
        from: &'a StartingRun,
        /// The data, with its grown vocabularies.
        data: &'a Dataset,
        /// What does not fit, a line each.
        told: &'a [String],
    },
    /// All is ready, and training begins.
    Starting {
        /// The device, for people.
        device: String,
        /// The configuration, every default written out.
        config: &'a Config,
        /// The data.
        data: &'a Dataset,
        /// The model.
        model: &'a BuiltModel,
        /// Where the run is kept.
        folder: &'a RunFolder,
    },
    /// What the training loop tells.
    Training(LoopEvent<'a>),
    /// Training ended, or failed.
    TrainingEnded,
    /// The best weights were scored on the test rows.
    Tested(&'a RunResult),
    /// The run is whole.
    Finished(&'a RunFolder),
    /// Counted work begins.
    Counting {
        /// What is done.
        what: &'static str,
        /// How much there is of it: rows, or bytes read.
        total: u64,
    },
    /// So much of the counted work is done.
    Counted {
        /// Of the total.
        done: u64,
        /// Which may have become another.
        total: u64,
    },
    /// The counted work ended.
    CountingEnded,
    /// A file or folder was written.
    Wrote {
        /// What it is.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
}

impl Display for Event<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeysLeftOut(keys) => {
                write!(f, "left out, as what was chosen instead has no such option: {}", keys.join(", "))
            }
            Self::OptionsLeftOut { model, options } => {
                write!(f, "left out, as {model} has no such option: model.{}", options.join(", model."))
            }
            Self::Generating { path } => write!(f, "{} is not there: generating it from [synth]", path.display()),
            Self::Skipped(Skipped { count, messages }) => {
                let rows = if *count == 1 { "row" } else { "rows" };
                write!(f, "{count} bad {rows} skipped, the first:")?;
                messages.iter().try_for_each(|message| write!(f, "\n  {message}"))
            }
            Self::Filtered { rows, by } => {
                write!(f, "{rows} {} left out by {by}", if *rows == 1 { "row" } else { "rows" })
            }
            Self::Warning(text) => write!(f, "warning: {text}"),
            Self::SmallerBatches { rows, asked, device } => {
                write!(f, "rows are scored {rows} at a time: {device} has no room for train.eval_batch_size = {asked}")
            }
            Self::Resuming(Position { epoch, step, .. }) => write!(f, "resuming after epoch {epoch}, step {step}"),
            Self::Pretrained { field, known, all, path } => {
                write!(f, "{known} of {all} values of {field} begin with vectors of {}", path.display())
            }
            Self::GoingOn { from, data, told } => write_going_on(f, from, data, told),
            Self::Starting { device, config, data, model, folder } => {
                let parameters = model.graph.trained_values();
                let embeddings: usize = model.graph.tables.iter().map(|table| table.len()).sum();
                let name = config.model_name();
                writeln!(f, "device   {device}")?;
                writeln!(f, "model    {name}: {parameters} dense parameters, {embeddings} in embeddings")?;
                let [train, valid, test] = [&data.train, &data.valid, &data.test].map(|rows| rows.len());
                let scenarios = data.encoder.scenarios().len();
                writeln!(f, "data     {train} train, {valid} valid, {test} test rows, {scenarios} scenarios")?;
                write!(f, "folder   {}", folder.root().display())
            }
            Self::Training(LoopEvent::EpochEnd(record) | LoopEvent::Evaluated(record)) => write_epoch(f, record),
            Self::Training(LoopEvent::Pruned(pruned)) => {
                let Pruned { valid_auc, needed, .. } = pruned;
                write!(
                    f,
                    "pruned {pruned}: its best valid AUC is {valid_auc:.4}, and {needed:.4} would have let it go on"
                )
            }
            Self::Finished(folder) => write!(f, "the run is in {}", folder.root().display()),
            Self::Wrote { what, path } => write!(f, "{what} in {}", path.display()),
            Self::Opening(_)
            | Self::Training(_)
            | Self::TrainingEnded
            | Self::Tested(_)
            | Self::Counting { .. }
            | Self::Counted { .. }
            | Self::CountingEnded => Ok(()),
        }
    }
}

/// What is new since another run, and what of it does not fit.
fn write_going_on(f: &mut Formatter<'_>, from: &StartingRun, data: &Dataset, told: &[String]) -> fmt::Result {
    write!(f, "going on from {}", from.folder().display())?;
    let (before, now) = (&from.encoder, &data.encoder);
    let new = &now.scenarios()[before.scenarios().len()..];
    if !new.is_empty() {
        write!(f, "\n  new scenarios: {}", new.join(", "))?;
    }
    let grown: Vec<String> = now
        .fields()
        .iter()
        .filter_map(|field| {
            let known = before.fields().iter().find(|known| known.name == field.name)?;
            let more = field.rows.checked_sub(known.rows).filter(|more| *more > 0)?;
            Some(format!("{} {more}", field.name))
        })
        .collect();
    if !grown.is_empty() {
        write!(f, "\n  new values: {}", grown.join(", "))?;
    }
    told.iter().try_for_each(|line| write!(f, "\n  {line}"))
}

/// The means of an epoch's losses: the cross entropy, and beside it what else was minimised, as it is before its
/// coefficient, which may grow during training; then how good the model is on validation rows.
fn write_epoch(f: &mut Formatter<'_>, record: &EpochRecord) -> fmt::Result {
    let number = |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.4}"));
    let terms = record.train.iter().filter(|(name, _)| *name != "loss").map(|(name, mean)| {
        let name = if name == CROSS_ENTROPY { "LogLoss" } else { name };
        format!("{name} {}", number(mean.as_f64()))
    });
    let step = if record.unfinished { format!("step {}  ", record.steps) } else { String::new() };
    write!(f, "epoch {:<3} {step}train {}", record.epoch, terms.collect::<Vec<_>>().join("  "))?;
    if let Some(valid) = &record.valid {
        write!(f, "  valid AUC {}  LogLoss {}", number(valid.auc), number(valid.logloss))?;
        for (name, tower) in [("CTR", &valid.ctr), ("CVR", &valid.cvr)] {
            if let Some(tower) = tower {
                write!(f, "  {name} AUC {}", number(tower.auc))?;
            }
        }
    }
    write!(f, "  {:.0} rows/s", record.train_rows_per_second)?;
    if let Some(speed) = record.valid_rows_per_second {
        write!(f, " (evaluation {speed:.0})")?;
    }
    f.write_str(if record.best { "  best" } else { "" })
}
