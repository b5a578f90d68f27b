//! Training a model: a run from its configuration to its result, or on from its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::open::{DeviceOptions, load_vocabularies, open_config_on, open_device, tell_warnings};
use super::starting::Inherited;
use super::{Event, Observer, Opened, TrainingTables, TuningChoice, pretrained};
use crate::config::Config;
use crate::data::{self, Dataset, Encoder};
use crate::gpu::DeviceChoice;
use crate::ops::ModelState;
use crate::plan::{Executor, initial_state};
use crate::train::evaluation::analysis::{analyze, calibration, write};
use crate::train::evaluation::metrics::best_reachable;
use crate::train::evaluation::predict::{scenario_names, with_logits};
use crate::train::memory::peak_memory_bytes;
use crate::train::pruning::Pruning;
use crate::train::run::checkpoint::{Position, load_checkpoint, load_model};
use crate::train::run::folder::{RunFolder, write_json, write_text};
use crate::train::run::lock::FolderLock;
use crate::train::run::result::{RunResult, TrainingTime};
use crate::train::run::tensorboard;
use crate::train::{Ending, Error, TrainingLoop, check_rows, score, score_and_calibrate};

/// Trains the model of a configuration.
///
/// ```no_run
/// use polyscene::{Config, DeviceChoice, Trainer};
///
/// let config = Config::load("examples/synthetic.toml", &["train.epochs=2".to_owned()])?;
/// let trained = Trainer::new(config)
///     .device(DeviceChoice::Cpu)
///     .folder("runs/first")
///     .observer(|event| println!("{event}"))
///     .train()?;
/// println!("test AUC {:?}", trained.result.and_then(|result| result.test.auc));
/// # Ok::<(), polyscene::Error>(())
/// ```
pub struct Trainer<'a> {
    config: Config,
    tables: Option<TrainingTables>,
    device: DeviceChoice,
    folder: Option<PathBuf>,
    resume: bool,
    tuning: TuningChoice,
    pruning: Option<Pruning>,
    stop: Option<&'a AtomicBool>,
    observer: Box<Observer<'a>>,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Where it is kept.
    pub folder: RunFolder,
    /// How training ended.
    pub ending: Ending,
    /// How far it came.
    pub position: Position,
    /// What `result.json` holds; nothing where it was interrupted or pruned.
    pub result: Option<RunResult>,
}

impl<'a> Trainer<'a> {
    /// To train the model of `config` on the best device there is, in a new folder `runs/FILE-MODEL` named after the
    /// configuration's file and its model, with a number where that is taken.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            tables: None,
            device: DeviceChoice::Auto,
            folder: None,
            resume: false,
            tuning: TuningChoice::Auto,
            pruning: None,
            stop: None,
            observer: Box::new(|_| ()),
        }
    }

    /// What to train on instead of the files that the configuration names, which then needs no `data.path`.
    pub fn tables(self, tables: TrainingTables) -> Self {
        Self { tables: Some(tables), ..self }
    }

    /// Where to train.
    pub fn device(self, device: DeviceChoice) -> Self {
        Self { device, ..self }
    }

    /// Where to keep the run.
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Whether to go on from the folder's checkpoint; without a folder, in the newest of the default names.
    pub fn resume(self, resume: bool) -> Self {
        Self { resume, ..self }
    }

    /// Where the choice of a GPU's kernels comes from.
    pub fn tuning(self, tuning: TuningChoice) -> Self {
        Self { tuning, ..self }
    }

    /// The rule and the other runs by which the run is stopped, where it is one of a search; it then has no result.
    pub fn pruning(self, pruning: Option<Pruning>) -> Self {
        Self { pruning, ..self }
    }

    /// Once `stop` is set, by a signal's handler or another thread, training ends after the steps that are under way and
    /// writes a checkpoint.
    pub fn stop(self, stop: &'a AtomicBool) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Whom to tell of everything that happens.
    pub fn observer(self, observer: impl FnMut(Event<'_>) + 'a) -> Self {
        Self { observer: Box::new(observer), ..self }
    }

    /// Trains, scores the best weights on the test rows, and writes the run's files.
    ///
    /// # Errors
    /// When the configuration or the data is at fault, the folder holds something else, a device or a file fails, or a loss
    /// is not a number. What was trained until then is in the folder's checkpoint.
    pub fn train(self) -> Result<Trained, Error> {
        let Self { config, tables, device, folder: asked, resume, tuning, pruning, stop, mut observer } = self;
        let observer = observer.as_mut();
        let opened = open_config_on(config, tables, observer)?;
        let Opened { config, data, model, .. } = &opened;
        tell_warnings(data, observer);
        // What keeps a run from starting must not leave a folder in the next one's way.
        check_rows(&config.train, &data.train, &data.valid)?;
        let place = Place { asked: asked.as_deref(), resume, config };
        let folder = place.choose()?;
        let name = config.model_name();
        let resumed = resume && folder.can_resume();
        let lock = resumed.then(|| FolderLock::take(folder.root())).transpose()?;
        if resumed {
            check_same_config(&folder, config)?;
        }
        // A run that was stopped before its first checkpoint has nothing to go on from: it starts again.
        let resumed = resumed && folder.checkpoint().is_file();
        let (state, position) = if resumed {
            check_same_data(&folder, data)?;
            let (state, position) = load_checkpoint(&folder.checkpoint(), &model.graph, name)?;
            observer(Event::Resuming(&position));
            (Some(state), position)
        } else {
            (None, Position::default())
        };
        let (state, position) = if resumed { (state, position) } else { inherited(&opened, position, observer)? };
        let first_state = || state.unwrap_or_else(|| initial_state(&model.graph, config.train.seed));
        let recorded = folder.tuning();
        let device =
            DeviceOptions { device: &device, tuning: &tuning, recorded: resumed.then_some(recorded.as_path()) };
        let (mut executor, tuned) = open_device(device, model, &config.train, first_state, observer)?;
        let (before, now) = (&position.arithmetic, executor.arithmetic());
        if !before.is_empty() && *before != now {
            observer(Event::Warning(format!(
                "the run goes on with other arithmetic ({before} before, {now} now): to the last bit, what follows is not what \
                 it would have been there"
            )));
        }
        let position = Position { arithmetic: now, ..position };
        let (folder, _lock) = place.make(folder, lock)?;
        write_text(&folder.config(), &config.to_toml()?)?;
        // What was used on a GPU stays for when the run goes on there.
        if let Some(tuned) = &tuned {
            write_json(&folder.tuning(), tuned)?;
        }
        if !resumed {
            save_vocabularies(&folder, &data.encoder)?;
        }
        // Who trains it has it go on.
        remove_if_there(&folder.pruned())?;
        observer(Event::Starting { device: executor.device(), config, data, model, folder: &folder });
        let never = AtomicBool::new(false);
        let training = TrainingLoop::new(&config.train, name, model, data, &folder, executor.as_mut());
        let mut training = training.from(position).pruned_by(pruning.as_ref());
        let ending = training.run(stop.unwrap_or(&never), &mut |event| observer(Event::Training(event)));
        let position = training.into_position();
        observer(Event::TrainingEnded);
        let ending = ending?;
        let result = match ending {
            Ending::Interrupted | Ending::Pruned => None,
            _ => Some(finish(&opened, &folder, executor.as_mut(), &position, observer)?),
        };
        Ok(Trained { folder, ending, position, result })
    }
}

/// What a run begins with where that is more than first values: pretrained vectors, and what another run has learned.
fn inherited(
    opened: &Opened,
    position: Position,
    observer: &mut Observer<'_>,
) -> Result<(Option<ModelState<f32>>, Position), Error> {
    let Opened { config, data, model, from } = opened;
    let schema = config.schema()?;
    if from.is_none() && schema.fields.values().all(|options| options.pretrained.is_none()) {
        return Ok((None, position));
    }
    let mut state = initial_state(&model.graph, config.train.seed);
    pretrained::apply(&schema, &data.encoder, &model.graph, &mut state, observer)?;
    let Some(from) = from else { return Ok((Some(state), position)) };
    let Inherited { state, steps, told } = from.inherit(model, &data.encoder, &config.train, state)?;
    observer(Event::GoingOn { from, data, told: &told });
    Ok((Some(state), Position { steps_before: steps, ..position }))
}

/// Scores the best weights on the test rows, and writes what a finished run has.
fn finish(
    opened: &Opened,
    folder: &RunFolder,
    executor: &mut dyn Executor,
    position: &Position,
    observer: &mut Observer<'_>,
) -> Result<RunResult, Error> {
    let Opened { config, data, model, .. } = opened;
    let best = load_model(&folder.model(), &model.graph, config.model_name())?;
    executor.set_state(&best)?;
    let started = Instant::now();
    let (test, reliability) = score_and_calibrate(executor, model, &data.test, &data.encoder)?;
    let seconds = started.elapsed().as_secs_f64();
    let valid = (!data.valid.is_empty()).then(|| score(executor, model, &data.valid, &data.encoder)).transpose()?;
    let reachable = data.test.probabilities().map(|probabilities| {
        let names = scenario_names(&data.encoder, data.test.scenarios());
        best_reachable(probabilities, &with_logits(&data.test, probabilities), &names)
    });
    let time = TrainingTime::of(folder)?;
    let result = RunResult {
        model: config.model_name().to_owned(),
        device: executor.device(),
        seed: config.train.seed,
        epochs: position.epoch,
        best_epoch: position.best_epoch,
        steps: position.total_steps,
        parameters: model.graph.trained_values(),
        embedding_rows: model.graph.tables.iter().map(|table| table.rows()).sum(),
        embedding_parameters: model.graph.tables.iter().map(|table| table.len()).sum(),
        train_seconds: time.seconds,
        train_rows_per_second: time.rows_per_second,
        peak_memory_bytes: peak_memory_bytes(),
        device_memory_bytes: executor.device_bytes(),
        test_rows_per_second: data.test.len() as f64 / seconds,
        test,
        valid,
        valid_values: data.valid_values.clone(),
        best_reachable: reachable,
    };
    write(folder.root(), &[calibration(&reliability)])?;
    tensorboard::append_outcome(&folder.events(), position.best_steps, &result.test, result.test_rows_per_second)?;
    observer(Event::Tested(&result));
    let tables = analyze(model, best, &config.train, &data.test, &data.encoder)?;
    if !tables.is_empty() {
        write(&folder.analysis(), &tables)?;
    }
    // The last of what a run must have: with it, the run is finished.
    write_json(&folder.result(), &result)?;
    write_report(folder.root(), observer);
    observer(Event::Finished(folder));
    Ok(result)
}

/// Writes the page of a folder, where this build can. What the page is of is whole without it, and `report` makes it again.
pub(super) fn write_report(folder: &Path, observer: &mut Observer<'_>) {
    #[cfg(feature = "report")]
    if let Err(error) = crate::report::html::write_report(folder) {
        observer(Event::Warning(format!("no report: {error}")));
    }
    #[cfg(not(feature = "report"))]
    let _ = (folder, observer);
}

/// The folder of a run: the one asked for, or one of the default names.
struct Place<'a> {
    asked: Option<&'a Path>,
    resume: bool,
    config: &'a Config,
}

impl Place<'_> {
    /// The folder asked for, or the next free one.
    fn choose(&self) -> Result<RunFolder, Error> {
        if let Some(asked) = self.asked {
            let folder = RunFolder::new(asked);
            let reason = if folder.holds_run() && !self.resume {
                "already holds a run; go on with --resume, or give another --out"
            } else if folder.is_begun() && !self.resume {
                "holds a run that was stopped before its first checkpoint; start it again with --resume, or give another \
                 --out"
            } else if folder.is_taken() && !folder.can_resume() {
                "holds files that are not a run's (a config.toml without a model); give another --out"
            } else if !folder.is_taken() && self.resume {
                "holds no run to resume; leave --resume out to start one"
            } else {
                return Ok(folder);
            };
            return Err(Error::Folder { folder: asked.to_owned(), reason: reason.to_owned() });
        }
        if !self.resume {
            let free = self.numbered().find(|folder| !folder.is_taken());
            return Ok(free.unwrap_or_else(|| unreachable!("numbers do not end")));
        }
        let newest = self.numbered().take_while(RunFolder::is_taken).filter(RunFolder::can_resume).last();
        newest.ok_or_else(|| Error::Folder {
            folder: Path::new("runs").join(self.base_name()),
            reason: "holds no run to resume; name its folder with --out, or leave --resume out to start one".to_owned(),
        })
    }

    /// The names that runs of the configuration get by default, in order.
    fn numbered(&self) -> impl Iterator<Item = RunFolder> + use<> {
        let base = self.base_name();
        (1..).map(move |number| {
            let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            RunFolder::new(Path::new("runs").join(name))
        })
    }

    fn base_name(&self) -> String {
        let stem = self.config.path().file_stem();
        let stem = stem.map_or_else(|| "run".into(), |stem| stem.to_string_lossy());
        format!("{stem}-{}", self.config.model_name())
    }

    /// Makes the chosen folder and locks it, if it is not locked yet. Of several runs that begin together each takes a
    /// default name of its own, and only one takes a name that was asked for.
    fn make(&self, chosen: RunFolder, lock: Option<FolderLock>) -> Result<(RunFolder, FolderLock), Error> {
        if self.asked.is_none() && !self.resume {
            for folder in self.numbered() {
                if folder.claim()? {
                    let lock = FolderLock::take(folder.root())?;
                    return Ok((folder, lock));
                }
            }
        }
        chosen.make()?;
        let lock = match lock {
            Some(lock) => lock,
            None => {
                let lock = FolderLock::take(chosen.root())?;
                // Another run may have begun and ended since the folder was chosen.
                self.choose()?;
                lock
            }
        };
        chosen.clear();
        Ok((chosen, lock))
    }
}

/// A resumed run must be the same run: only how long it goes on may change.
fn check_same_config(folder: &RunFolder, config: &Config) -> Result<(), Error> {
    let mut before = Config::load(folder.config(), &[])?;
    let mut now = config.clone();
    for config in [&mut before, &mut now] {
        config.synth = None;
        if !config.train.schedule.ends_with_the_run() {
            config.train.epochs = 0;
        }
        config.train.patience = 0;
        config.train.checkpoint_steps = 0;
        config.train.eval_batch_size = 1;
        config.train.resident_mb = 0;
        config.data.remove("cache");
    }
    if before == now {
        return Ok(());
    }
    let sections =
        [("data", before.data != now.data), ("model", before.model != now.model), ("train", before.train != now.train)];
    let changed: Vec<&str> = sections.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect();
    let of_epochs = match before.train.schedule.ends_with_the_run() && before.train.epochs != now.train.epochs {
        true => format!(" its learning rate falls until epoch {} by train.schedule;", before.train.epochs),
        false => String::new(),
    };
    Err(Error::Folder {
        folder: folder.root().to_owned(),
        reason: format!(
            "was trained with another [{}];{of_epochs} to go on, give the configuration of its config.toml (only train.epochs, \
             train.patience, train.checkpoint_steps, train.eval_batch_size and train.resident_mb may change)",
            changed.join("] and [")
        ),
    })
}

/// Weights belong to the vocabularies they were trained with.
fn check_same_data(folder: &RunFolder, data: &Dataset) -> Result<(), Error> {
    if load_vocabularies(folder)?.same_codes(&data.encoder) {
        return Ok(());
    }
    let reason = "was trained on other data (its vocabularies or statistics have changed since); start a new run by \
                  another --out";
    Err(Error::Folder { folder: folder.root().to_owned(), reason: reason.to_owned() })
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path, "removing")(error)),
        _ => Ok(()),
    }
}

fn save_vocabularies(folder: &RunFolder, encoder: &Encoder) -> Result<(), Error> {
    encoder.save(&folder.vocabularies()).map_err(|error| match error {
        // A fault of the run's folder, not of the data.
        data::Error::Io { path, source } => Error::file(&path, "writing")(source),
        other => other.into(),
    })
}
