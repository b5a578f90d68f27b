//! The run that another goes on from (`train.from`).

use std::path::{Path, PathBuf};

use super::open::{load_vocabularies, located};
use crate::config::{Config, ConfigError, TrainOptions};
use crate::data::{Basis, Encoder};
use crate::ops::ModelState;
use crate::train::Error;
use crate::train::model::{BuiltModel, build};
use crate::train::run::checkpoint::{load_checkpoint, load_model};
use crate::train::run::folder::RunFolder;
use crate::train::run::growth::{Learned, take_over};

/// A run to go on from: what of it is needed before there is a model.
#[derive(Debug)]
pub struct StartingRun {
    folder: RunFolder,
    config: Config,
    /// Its vocabularies, statistics and scenarios.
    pub encoder: Encoder,
    refit_numbers: bool,
}

/// What another run leaves to a new one.
pub(super) struct Inherited {
    pub(super) state: ModelState<f32>,
    /// Optimiser steps that its moments have seen.
    pub(super) steps: u64,
    /// In words, what does not fit.
    pub(super) told: Vec<String>,
}

impl StartingRun {
    /// The run that a configuration names, if it names one; its path in the configuration becomes absolute.
    pub(super) fn of(config: &mut Config, bases: &[PathBuf]) -> Result<Option<Self>, Error> {
        let Some(named) = config.train.from.clone() else { return Ok(None) };
        let path = located(&named, bases, Path::is_dir);
        let folder = RunFolder::open(&path)?;
        let before = Config::load(folder.config(), &[])?;
        if before.model_name() != config.model_name() {
            let expected = format!("\"{}\", the model of {}", before.model_name(), path.display());
            let found = format!("\"{}\"", config.model_name());
            return Err(ConfigError::value(config.file(), "model.name", &expected, &found).into());
        }
        config.train.from = Some(path);
        let encoder = load_vocabularies(&folder)?;
        Ok(Some(Self { folder, config: before, encoder, refit_numbers: config.train.refit_numbers }))
    }

    /// What the new data's encoder goes on from.
    pub(super) fn basis(&self) -> Basis<'_> {
        Basis { encoder: &self.encoder, refit_numbers: self.refit_numbers }
    }

    /// Where it is kept.
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// `first`, the first values of a model, with all that the run has learned: the weights of its best epoch and, unless they
    /// are to be fresh, its newest moments.
    pub(super) fn inherit(
        &self,
        model: &BuiltModel,
        encoder: &Encoder,
        now: &TrainOptions,
        first: ModelState<f32>,
    ) -> Result<Inherited, Error> {
        let fresh_moments = now.fresh_moments;
        let mut config = self.config.clone();
        let mut before = build(&mut config, &self.encoder)?;
        let name = config.model_name();
        if fresh_moments {
            before.graph.set_optimizers(now.optimizer, now.embedding_optimizer());
        } else {
            self.check_optimizers(now)?;
        }
        let best = load_model(&self.folder.model(), &before.graph, name)?;
        let (learned, steps) = if fresh_moments {
            (best, 0)
        } else {
            if !self.folder.checkpoint().is_file() {
                let path = self.folder.checkpoint();
                return Err(Error::content(
                    &path,
                    "is not there, and with it the moments; begin with new ones by --fresh-moments",
                ));
            }
            let (mut newest, position) = load_checkpoint(&self.folder.checkpoint(), &before.graph, name)?;
            newest.dense.weights = best.dense.weights;
            for (newest, best) in newest.tables.iter_mut().zip(best.tables) {
                newest.weights = best.weights;
            }
            (newest, position.steps_before + position.total_steps)
        };
        let mut state = first;
        let from = Learned { graph: &before.graph, state: &learned, scenarios: self.encoder.scenarios().len() };
        let told = take_over(from, &model.graph, encoder.scenarios().len(), &mut state);
        Ok(Inherited { state, steps, told })
    }

    /// That the optimisers are those whose moments the run has.
    fn check_optimizers(&self, now: &TrainOptions) -> Result<(), ConfigError> {
        let before = &self.config.train;
        let both = |options: &TrainOptions| {
            [("optimizer", options.optimizer), ("embedding_optimizer", options.embedding_optimizer())]
        };
        for ((key, before), (_, now)) in both(before).into_iter().zip(both(now)) {
            if before != now {
                let run = self.folder.root().display();
                let expected = format!("\"{}\", whose state {run} has, or --fresh-moments", before.name());
                let found = format!("\"{}\"", now.name());
                return Err(ConfigError::value("the configuration", &format!("train.{key}"), &expected, &found));
            }
        }
        Ok(())
    }
}
