//! A cell of a comparison: one run, where it is kept, and how far it has come.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Job, Variant};
use crate::config::Config;
use crate::train::Error;
use crate::train::run::folder::RunFolder;
use crate::train::run::result::RunResult;

/// A variant with a seed.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The variant.
    pub variant: &'a Variant,
    /// `train.seed`.
    pub seed: u64,
}

/// How far a cell has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is there.
    New,
    /// A run that was stopped.
    Begun,
    /// A run that was stopped for good, as others of its search did better.
    Pruned,
    /// A run with its result.
    Finished,
}

impl State {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            State::New => "to do",
            State::Begun => "begun",
            State::Pruned => "pruned",
            State::Finished => "finished",
        }
    }
}

impl Cell<'_> {
    /// Its folder, relative to the comparison's, with `/` on every system.
    pub fn folder(&self) -> String {
        format!("{}/seed-{}", self.variant.folder, self.seed)
    }

    /// Its run.
    pub fn run(&self, root: &Path) -> RunFolder {
        RunFolder::new(root.join(&self.variant.folder).join(format!("seed-{}", self.seed)))
    }

    /// The file beside its folder that holds its configuration.
    pub fn config_file(&self, root: &Path) -> PathBuf {
        root.join(&self.variant.folder).join(format!("seed-{}.toml", self.seed))
    }

    /// The file beside its folder that holds what it printed.
    pub fn log_file(&self, root: &Path) -> PathBuf {
        root.join(&self.variant.folder).join(format!("seed-{}.log", self.seed))
    }

    /// The file beside its folder that holds what it is judged by, where it may be pruned.
    pub fn pruning_file(&self, root: &Path) -> PathBuf {
        root.join(&self.variant.folder).join(format!("seed-{}.pruning.json", self.seed))
    }

    /// Its configuration.
    pub fn config(&self) -> Config {
        self.variant.with_seed(self.seed)
    }

    /// How far it has come.
    ///
    /// # Errors
    /// When its folder holds a run of another configuration, or files that cannot be read.
    pub fn state(&self, root: &Path) -> Result<State, Error> {
        State::of(&self.run(root), &self.config())
    }

    /// Its run, to be trained from `state` on.
    pub fn job(&self, root: &Path, state: State) -> Job {
        let (config_file, log) = (self.config_file(root), self.log_file(root));
        Job { run: self.run(root), config: self.config(), state, config_file, log }
    }
}

impl State {
    /// How far the run of a configuration has come.
    pub(super) fn of(run: &RunFolder, config: &Config) -> Result<State, Error> {
        if !run.config().is_file() {
            return Ok(State::New);
        }
        let before = Config::load(run.config(), &[])?;
        let changed = differences(&before, config)?;
        if !changed.is_empty() {
            let reason = format!(
                "was trained with another configuration ({}); put it back, or remove the folder to train this cell anew, \
                 or give another --out",
                changed.join(", ")
            );
            return Err(Error::Folder { folder: run.root().to_owned(), reason });
        }
        if !run.result().is_file() {
            return Ok(if run.pruned().is_file() { State::Pruned } else { State::Begun });
        }
        RunResult::load(&run.result())?;
        Ok(State::Finished)
    }
}

/// Keys with another value in `now`, as `key: before, now after`. What changes neither a run's rows nor its numbers is
/// not looked at.
fn differences(before: &Config, now: &Config) -> Result<Vec<String>, Error> {
    let (before, now) = (comparable(before)?, comparable(now)?);
    let mut changed = Vec::new();
    compare("", &Value::Table(before), &Value::Table(now), &mut changed);
    const SHOWN: usize = 5;
    if changed.len() > SHOWN {
        let more = changed.len() - SHOWN;
        changed.truncate(SHOWN);
        changed.push(format!("and {more} more"));
    }
    Ok(changed)
}

fn comparable(config: &Config) -> Result<Table, Error> {
    let mut config = config.clone();
    config.synth = None;
    config.train.checkpoint_steps = 0;
    config.train.eval_batch_size = 1;
    config.train.resident_mb = 0;
    config.data.remove("cache");
    let text = config.to_toml()?;
    text.parse().map_err(|error: toml::de::Error| Error::content(Path::new(config.file()), error.to_string()))
}

fn compare(key: &str, before: &Value, now: &Value, changed: &mut Vec<String>) {
    if let (Value::Table(before), Value::Table(now)) = (before, now) {
        let missing = Value::String("nothing".to_owned());
        let added = now.keys().filter(|key| !before.contains_key(*key));
        for part in before.keys().chain(added) {
            let key = if key.is_empty() { part.clone() } else { format!("{key}.{part}") };
            let (old, new) = (before.get(part).unwrap_or(&missing), now.get(part).unwrap_or(&missing));
            compare(&key, old, new, changed);
        }
    } else if before != now {
        changed.push(format!("{key}: {before}, now {now}"));
    }
}
