//! Many runs of one question, trained one after another: models set against each other, a grid of options, or a search.

mod checks;
mod estimate;
mod folder;
mod individual;
mod resample;
mod search;

use std::path::{Path, PathBuf};

use self::checks::{check_only, check_variants};
use self::estimate::Estimate;
use self::folder::{begin, check_root, is_ours};
use self::individual::{Scenarios, train_parts};
use self::resample::resample;
use super::Event as AppEvent;
use super::open::{absolute, bases, located};
use super::train::write_report;
use crate::config::load_document;
use crate::gpu::DeviceChoice;
use crate::report::comparison::write_files;
use crate::train::Error;
use crate::train::comparison::{Cell, CellEnding, Comparison, State, Summaries, Variant, train_cell};
use crate::train::run::lock::FolderLock;

pub use crate::train::comparison::{ExperimentKind, Interrupt, Invalid};

/// A comparison or a sweep, read and checked: what is to be run, and where.
pub struct Experiment {
    comparison: Comparison,
    bases: Vec<PathBuf>,
    /// Folders in which a run to go on from is looked for.
    runs: Vec<PathBuf>,
    root: PathBuf,
    only: Vec<String>,
    scenarios: Scenarios,
}

/// Which runs, and where they are kept.
#[derive(Clone, Debug, Default)]
pub struct ExperimentOptions {
    /// Overrides of the configuration, as `key.path=value`.
    pub sets: Vec<String>,
    /// The folder of all runs and tables. Without: that of the resolved configuration, where this is one; else
    /// `runs/CONFIG`.
    pub out: Option<PathBuf>,
    /// Train only these labels' runs; all, where it is empty.
    pub only: Vec<String>,
}

/// How runs are trained.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The program whose `train` trains each run in a process of its own: one that calls [`crate::cli::run`].
    pub program: PathBuf,
    /// The device of all runs.
    pub device: DeviceChoice,
    /// How they are interrupted.
    pub interrupt: Interrupt,
}

/// What became of an experiment.
pub struct Compared {
    /// Of all runs that are finished.
    pub summaries: Summaries,
    /// The run that was interrupted, for people, if one was.
    pub interrupted: Option<String>,
    /// What became of runs that have no result.
    pub failed: Vec<String>,
}

/// A run as a list shows it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The variant's label.
    pub label: String,
    /// `train.seed`.
    pub seed: u64,
    /// Where it is kept, relative to the experiment's folder.
    pub folder: String,
    /// How far it has come, or what is wrong with its folder.
    pub state: Result<State, String>,
}

/// What happens while an experiment runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum CompareEvent<'a> {
    /// Of opening data and writing tables.
    App(AppEvent<'a>),
    /// All is checked, and runs begin.
    Starting {
        /// What is compared.
        comparison: &'a Comparison,
        /// The folder of all runs.
        root: &'a Path,
    },
    /// A combination was drawn that cannot be trained, and another is drawn for it.
    Skipped(&'a Invalid),
    /// A run begins.
    RunStart {
        /// Which one, for people.
        position: &'a str,
        /// How many seconds the rest takes, where there is anything to go by.
        seconds_left: Option<f64>,
    },
    /// A run says a line.
    RunSaid {
        /// Which one.
        position: &'a str,
        /// The line.
        line: &'a str,
        /// As in [`CompareEvent::RunStart`].
        seconds_left: Option<f64>,
    },
    /// A run's AUC on resamples of the test rows is found: this run's, for people.
    Resampling(&'a str),
    /// A run ended.
    RunEnd,
    /// Without a result, for this reason.
    RunFailed(&'a str),
}

/// Called with every [`CompareEvent`].
pub type CompareObserver<'a> = dyn FnMut(CompareEvent<'_>) + 'a;

impl Experiment {
    /// Reads the file at `config`.
    ///
    /// # Errors
    /// When the configuration is at fault, a label is unknown, or the folder holds something else.
    pub fn open(
        kind: ExperimentKind,
        config: &Path,
        options: ExperimentOptions,
        observer: &mut CompareObserver<'_>,
    ) -> Result<Self, Error> {
        let ExperimentOptions { sets, out, only } = options;
        let (document, _) = load_document(config, &sets)?;
        let bases = self::bases(config, document.contains_key("synth"));
        let mut comparison = Comparison::load(kind, config, &sets, &|path| absolute(path, &bases))?;
        let runs = self::bases(config, false);
        if !comparison.left_out.is_empty() {
            observer(CompareEvent::App(AppEvent::KeysLeftOut(&comparison.left_out)));
        }
        check_only(&comparison, &only)?;
        let root = out.unwrap_or_else(|| default_root(kind, config));
        check_root(kind, &root)?;
        if comparison.search.is_some() {
            comparison.read_trials(&root, &|path| absolute(path, &bases))?;
        }
        comparison.variants.iter_mut().for_each(|variant| locate_start(variant, &runs));
        Ok(Self { comparison, bases, runs, root, only, scenarios: Scenarios::new() })
    }

    /// What is compared.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// The folder of all runs and tables.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn wanted(&self) -> Vec<Cell<'_>> {
        let wants = |cell: &Cell<'_>| self.only.is_empty() || self.only.contains(&cell.variant.label);
        self.comparison.cells().into_iter().filter(wants).collect()
    }

    /// The runs, and how far each has come.
    pub fn list(&self) -> Vec<Listed> {
        let list = |cell: &Cell<'_>| Listed {
            label: cell.variant.label.clone(),
            seed: cell.seed,
            folder: cell.folder(),
            state: cell.state(&self.root).map_err(|error| error.to_string()),
        };
        self.wanted().iter().map(list).collect()
    }

    /// Trains what is not finished yet, and writes the tables. A run that fails does not keep the others from being trained.
    ///
    /// # Errors
    /// When something is known to be wrong before anything is trained, or a file cannot be written.
    pub fn run(&mut self, runner: &Runner, observer: &mut CompareObserver<'_>) -> Result<Compared, Error> {
        let searches = self.comparison.search.is_some();
        if !searches {
            self.comparison.settle(Vec::new())?;
        }
        // A folder that is there may have another process in it; one that is not is made once it is known to be needed.
        let lock = self.root.is_dir().then(|| FolderLock::take(&self.root)).transpose()?;
        let known = if searches { Some(self.check_space(observer)?) } else { None };
        if known.is_none() {
            let (invalid, scenarios) = self.check(observer)?;
            self.scenarios = scenarios;
            self.comparison.settle(invalid)?;
        }
        let _lock = begin(&self.comparison, &self.root, lock)?;
        observer(CompareEvent::Starting { comparison: &self.comparison, root: &self.root });
        let mut failed = Vec::new();
        let mut interrupted = match known {
            Some(known) => self.search(&known, runner, &mut failed, observer)?,
            None => self.train(runner, &mut failed, observer)?,
        };
        if interrupted.is_none() {
            interrupted = resample(&self.comparison, &self.root, runner, &mut failed, observer)?;
        }
        let summaries = write_files(&self.comparison, &self.root)?;
        if summaries.standings.iter().any(|standing| standing.seeds[0] > 0) {
            write_report(&self.root, &mut |event| observer(CompareEvent::App(event)));
        }
        Ok(Compared { summaries, interrupted, failed })
    }

    /// What is known to be wrong with variants that have unfinished runs, and the scenarios of those that are individual.
    fn check(&self, observer: &mut CompareObserver<'_>) -> Result<(Vec<Invalid>, Scenarios), Error> {
        let cells = self.comparison.cells();
        let state = |cell: &Cell<'_>| Ok((cell.variant.label.clone(), cell.state(&self.root)?));
        let states = cells.iter().map(state).collect::<Result<Vec<_>, Error>>()?;
        let unfinished = |variant: &Variant| {
            states.iter().any(|(label, state)| *label == variant.label && *state != State::Finished)
        };
        let mut scenarios = Scenarios::new();
        let observer = &mut |event: AppEvent<'_>| observer(CompareEvent::App(event));
        let invalid = check_variants(&self.comparison, &self.bases, &self.root, &unfinished, &mut scenarios, observer)?;
        Ok((invalid, scenarios))
    }

    /// Trains all wanted runs that are not finished; says in which one it was interrupted, if it was.
    fn train(
        &self,
        runner: &Runner,
        failed: &mut Vec<String>,
        observer: &mut CompareObserver<'_>,
    ) -> Result<Option<String>, Error> {
        let Runner { program, device, interrupt } = runner;
        let device = ["--device".to_owned(), device.to_string()];
        let wanted = self.wanted();
        let mut estimate = Estimate::new(&self.comparison, &self.root)?;
        for (number, cell) in wanted.iter().enumerate() {
            let state = cell.state(&self.root)?;
            if state == State::Finished {
                continue;
            }
            let (label, seed) = (&cell.variant.label, cell.seed);
            let position = format!("run {} of {}: {label}, seed {seed}", number + 1, wanted.len());
            if interrupt.is_set() {
                return Ok(Some(position));
            }
            let left = wanted[number..].iter().filter(|cell| !cell.run(&self.root).result().is_file());
            estimate.begin(&left.map(|cell| cell.variant.label.as_str()).collect::<Vec<_>>());
            observer(CompareEvent::RunStart { position: &position, seconds_left: estimate.seconds_left() });
            let mut said = |line: &str| {
                observer(CompareEvent::RunSaid { position: &position, line, seconds_left: estimate.seconds_left() });
            };
            let ending = match self.scenarios.get(label) {
                Some(scenarios) => train_parts(cell, scenarios, &self.root, runner, &mut said),
                None => train_cell(&cell.job(&self.root, state), program, &device, interrupt, &mut said),
            };
            observer(CompareEvent::RunEnd);
            match ending? {
                CellEnding::Finished => {
                    estimate.end(label);
                    write_files(&self.comparison, &self.root)?;
                }
                CellEnding::Interrupted => return Ok(Some(position)),
                // Only searches prune.
                CellEnding::Pruned => {}
                CellEnding::Failed(reason) | CellEnding::Diverged(reason) => {
                    observer(CompareEvent::RunFailed(&reason));
                    let log = cell.log_file(&self.root);
                    failed.push(format!("{label}, seed {seed}: {reason} (all that it said: {})", log.display()));
                }
            }
        }
        Ok(None)
    }
}

/// Where the run is that a variant's go on from.
fn locate_start(variant: &mut Variant, runs: &[PathBuf]) {
    if let Some(from) = &mut variant.config.train.from {
        *from = located(from, runs, Path::is_dir);
    }
}

/// The folder of the resolved configuration, where `config` is one; else one named after the file.
fn default_root(kind: ExperimentKind, config: &Path) -> PathBuf {
    let beside = config.parent().unwrap_or(Path::new(""));
    if config.file_name().is_some_and(|name| name == kind.file()) && is_ours(kind, beside) {
        return if beside == Path::new("") { PathBuf::from(".") } else { beside.to_owned() };
    }
    let stem = config.file_stem().map_or_else(|| "comparison".into(), |stem| stem.to_string_lossy());
    Path::new("runs").join(stem.as_ref())
}
