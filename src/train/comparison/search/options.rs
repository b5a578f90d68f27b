//! What `[sweep]` says of a search.

use std::collections::BTreeMap;

use toml::Table;

use super::Search;
use super::space::Space;
use crate::config::ConfigError;
use crate::train::comparison::sections::{other, seeds};
use crate::train::comparison::sweep::{PruningName, SweepMethod, SweepSection};
use crate::train::pruning::PruningRule;

/// The most trials of a search: each takes a look at all before it.
const MAX_TRIALS: u64 = 10_000;
/// Trials at random before the estimator begins, as in Optuna.
const STARTUP_TRIALS: u64 = 10;
/// Runs that must have come so far before one is pruned by the median, as in Optuna.
const WARMUP_TRIALS: u64 = 5;
/// η, as in Optuna.
const REDUCTION: u64 = 4;

impl Search {
    /// Reads what `[sweep]` says of it; `model` is the file's.
    pub(in crate::train::comparison) fn read(
        section: &SweepSection,
        model: Option<&str>,
        file: &str,
    ) -> Result<Self, ConfigError> {
        let method = section.method;
        let no_effect = |key: &str, why: &str| other(file, &format!("sweep.{key}"), format!("has no effect {why}"));
        if !section.grid.is_empty() {
            let why = format!(
                "with sweep.method = \"{}\", which draws from [sweep.space]; put its keys there",
                method.name()
            );
            return Err(no_effect("grid", &why));
        }
        let space = Space::read(&section.space, &section.together, file)?;
        if model.is_none() && space.values("model.name").next().is_none() {
            return Err(ConfigError::missing(file, "model", "name"));
        }
        let found = seeds(section.seeds.as_ref().or(Some(&1.into())), "sweep.seeds", file)?;
        let &[seed] = &found[..] else {
            let expected =
                "one seed, such as 1 or [7], as each trial is one run (compare the best with others over several)";
            return Err(ConfigError::value(file, "sweep.seeds", expected, &format!("{} seeds", found.len())));
        };
        let Some(trials) = section.trials else {
            return Err(ConfigError::missing(file, "sweep", "trials"));
        };
        if !(1..=MAX_TRIALS).contains(&trials) {
            let expected = format!("a whole number from 1 to {MAX_TRIALS}");
            return Err(ConfigError::value(file, "sweep.trials", &expected, &trials.to_string()));
        }
        if let Some(count) = space.count().filter(|&count| trials > count) {
            let expected = format!(
                "at most {count}, all combinations there are (sweep.method = \"grid\" trains lists of values all)"
            );
            return Err(ConfigError::value(file, "sweep.trials", &expected, &trials.to_string()));
        }
        if let Some(hours) = section.hours.filter(|hours| !(*hours > 0.0 && hours.is_finite())) {
            return Err(ConfigError::value(file, "sweep.hours", "a number above 0", &hours.to_string()));
        }
        let startup_trials = section.startup_trials.unwrap_or(STARTUP_TRIALS);
        if method == SweepMethod::Random && section.startup_trials.is_some() {
            return Err(no_effect(
                "startup_trials",
                "with sweep.method = \"random\", as all trials are drawn at random",
            ));
        }
        if method == SweepMethod::Tpe && !(1..trials).contains(&startup_trials) {
            let expected = format!(
                "a whole number from 1 to below sweep.trials, which is {trials} (so many are drawn at random before the estimator \
                 begins; to draw all so, sweep.method = \"random\")"
            );
            let key = if section.startup_trials.is_some() {
                "sweep.startup_trials"
            } else {
                "sweep.startup_trials (by default)"
            };
            return Err(ConfigError::value(file, key, &expected, &startup_trials.to_string()));
        }
        Ok(Self {
            method,
            trials: trials as usize,
            hours: section.hours,
            pruning: pruning(section, file)?,
            startup_trials: startup_trials as usize,
            sampler_seed: section.sampler_seed.unwrap_or(0),
            seed,
            space,
            model: model.map(str::to_owned),
            base: Table::new(),
            sets: Vec::new(),
            failed: BTreeMap::new(),
            untrainable: Vec::new(),
        })
    }
}

fn pruning(section: &SweepSection, file: &str) -> Result<Option<PruningRule>, ConfigError> {
    let rule = section.pruning.unwrap_or(PruningName::None);
    let options = [
        ("warmup_trials", section.warmup_trials.is_some(), &[PruningName::Median][..]),
        ("warmup_epochs", section.warmup_epochs.is_some(), &[PruningName::Median, PruningName::Halving]),
        ("reduction", section.reduction.is_some(), &[PruningName::Halving]),
    ];
    for (key, there, of) in options {
        if there && !of.contains(&rule) {
            let names: Vec<&str> =
                of.iter().map(|rule| if *rule == PruningName::Median { "\"median\"" } else { "\"halving\"" }).collect();
            let message = format!("has no effect without sweep.pruning = {}", names.join(" or "));
            return Err(other(file, &format!("sweep.{key}"), message));
        }
    }
    let epochs = section.warmup_epochs.unwrap_or(1.0);
    let least = if rule == PruningName::Halving { "above 0" } else { "from 0 on" };
    if !epochs.is_finite() || epochs < 0.0 || (rule == PruningName::Halving && epochs == 0.0) {
        let expected = format!("a number of epochs {least}");
        return Err(ConfigError::value(file, "sweep.warmup_epochs", &expected, &epochs.to_string()));
    }
    let reduction = section.reduction.unwrap_or(REDUCTION);
    if reduction < 2 {
        let expected = "a whole number from 2 on (of so many runs one goes on)";
        return Err(ConfigError::value(file, "sweep.reduction", expected, &reduction.to_string()));
    }
    Ok(match rule {
        PruningName::None => None,
        PruningName::Median => {
            let warmup_trials = section.warmup_trials.unwrap_or(WARMUP_TRIALS) as usize;
            Some(PruningRule::Median { warmup_trials, warmup_epochs: epochs })
        }
        PruningName::Halving => Some(PruningRule::Halving { reduction: reduction as usize, warmup_epochs: epochs }),
    })
}
