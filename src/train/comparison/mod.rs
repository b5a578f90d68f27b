//! Many runs of one question: models × seeds (`[compare]`), or a grid of options × seeds (`[sweep]`).
//!
//! A *variant* is a model with options of its own, a *cell* is a variant with a seed, and each cell is an ordinary run:
//! a folder `OUT/VARIANT/seed-N`, trained by a process of its own; of an individual variant one such run for each scenario,
//! within that folder. What is finished is never trained again.

mod cell;
mod child;
mod individual;
mod outcome;
mod resampled;
mod search;
mod sections;
mod summary;
mod sweep;
mod variant;

use std::path::Path;

use toml::{Table, Value};

use super::Error;
use crate::config::{ConfigError, load_document};
use crate::train::evaluation::bootstrap::Bootstrap;

pub use cell::{Cell, State};
pub use child::{CellEnding, Interrupt, Job, train_cell};
pub use individual::together;
pub use outcome::CellOutcome;
pub use resampled::CellResamples;
pub use search::{Search, Searched, TRIALS, Trial, TrialState};
pub use sections::ExperimentKind;
pub use summary::{Costs, Score, Scores, Standing, Summaries, summarise};
pub use sweep::SweepMethod;
pub use variant::Variant;

/// What is to be run, and how its results are to be set against each other.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Whether models are compared or a grid is searched.
    pub kind: ExperimentKind,
    /// What is compared, in the file's order; of a search the trials that were drawn.
    pub variants: Vec<Variant>,
    /// The label that RelaImpr refers to; a sweep has none.
    pub baseline: Option<String>,
    /// How a sweep draws its combinations, where they are not those of a grid.
    pub search: Option<Search>,
    /// How test rows are resampled, for intervals of the variants' AUC less the baseline's; not at all without.
    pub bootstrap: Option<Bootstrap>,
    /// Variants that cannot be trained, with the reason: for a sweep to skip or to refuse.
    pub invalid: Vec<Invalid>,
    /// Whether a sweep goes on without them.
    pub skip_invalid: bool,
    /// Variants that were left out for that reason.
    pub skipped: Vec<Invalid>,
    /// Keys of the file that an override made meaningless by another choice.
    pub left_out: Vec<String>,
    /// The file that it was read from, for messages.
    pub file: String,
    /// The file as it was resolved.
    resolved: Table,
}

/// A variant that cannot be trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Its label.
    pub label: String,
    /// Why.
    pub reason: String,
}

impl Comparison {
    /// Reads the file at `path`, with `sets` applied to all variants. `locate` makes a `data.path` absolute.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown or a value out of range, labels or seeds repeat, or a variant's
    /// configuration is wrong. A sweep's wrong variants are no error yet: they are in `invalid`.
    pub fn load(
        kind: ExperimentKind,
        path: &Path,
        sets: &[String],
        locate: &dyn Fn(&str) -> String,
    ) -> Result<Comparison, Error> {
        let file = path.display().to_string();
        let (document, left_out) = load_document(path, sets)?;
        let read = sections::read(kind, document, &file).map_err(|error| error.blame(sets))?;
        sections::check_sets(&read, sets)?;
        let mut search = read.search.clone();
        if let Some(search) = &mut search {
            search.begin_with(&read.base, sets);
        }
        let mut comparison = Comparison {
            kind,
            variants: Vec::new(),
            baseline: None,
            search,
            bootstrap: read.bootstrap,
            invalid: Vec::new(),
            skip_invalid: read.skip_invalid,
            skipped: Vec::new(),
            left_out,
            resolved: Table::new(),
            file,
        };
        let wanted = match &read.search {
            Some(search) => search.models(),
            None => read.entries.iter().map(|entry| entry.name.as_str()).collect(),
        };
        let shared = variant::Shared { document: &read.base, sets, names: &wanted, locate, file: &comparison.file };
        shared.check_options()?;
        for entry in &read.entries {
            match shared.variant(entry) {
                Ok(variant) => comparison.variants.push(variant),
                Err(error) if kind == ExperimentKind::Sweep => {
                    let invalid = Invalid { label: entry.label.clone(), reason: error.to_string() };
                    comparison.invalid.push(invalid);
                }
                Err(error) => return Err(error),
            }
        }
        if kind == ExperimentKind::Compare {
            let (baseline, ours) = sections::roles(&read, &comparison.file).map_err(|error| error.blame(sets))?;
            for variant in &mut comparison.variants {
                variant.ours = ours.contains(&variant.label);
            }
            comparison.baseline = Some(baseline);
            resampled::check(&comparison).map_err(|error| error.blame(sets))?;
        }
        if comparison.search.is_some() && !comparison.skip_invalid {
            comparison.edges(locate).into_iter().try_for_each(|edge| edge.map(drop))?;
        }
        comparison.resolved = comparison.resolve(read, locate)?;
        Ok(comparison)
    }

    /// Takes variants out that cannot be trained, or refuses to go on.
    ///
    /// # Errors
    /// When there are any and `skip_invalid` is not set, or when none is left.
    pub fn settle(&mut self, mut invalid: Vec<Invalid>) -> Result<(), Error> {
        self.variants.retain(|variant| !invalid.iter().any(|other| other.label == variant.label));
        self.skipped.append(&mut self.invalid);
        self.skipped.append(&mut invalid);
        if self.skipped.is_empty() || (self.skip_invalid && !self.variants.is_empty()) {
            return Ok(());
        }
        const SHOWN: usize = 10;
        let mut message = format!("{} of {} ", self.skipped.len(), self.skipped.len() + self.variants.len());
        message += match self.kind {
            ExperimentKind::Compare => "models cannot be trained:",
            ExperimentKind::Sweep => "combinations cannot be trained:",
        };
        for Invalid { label, reason } in self.skipped.iter().take(SHOWN) {
            message += &format!("\n  {label}: {reason}");
        }
        if self.skipped.len() > SHOWN {
            message += &format!("\n  and {} more", self.skipped.len() - SHOWN);
        }
        if self.kind == ExperimentKind::Sweep && !self.variants.is_empty() {
            message += "\nto run the others: sweep.skip_invalid = true";
        }
        Err(ConfigError::Other { origin: self.file.clone(), key: self.kind.section().to_owned(), message }.into())
    }

    /// The cells in the order in which they run: each seed over all variants, so that a table of part of them is fair.
    pub fn cells(&self) -> Vec<Cell<'_>> {
        let max = self.variants.iter().map(|variant| variant.seeds.len()).max().unwrap_or(0);
        let of_turn = |turn: usize| {
            let seeds = self.variants.iter().map(move |variant| (variant, variant.seeds.get(turn)));
            seeds.filter_map(|(variant, seed)| Some(Cell { variant, seed: *seed? }))
        };
        (0..max).flat_map(of_turn).collect()
    }

    /// The file as it was resolved, as TOML: overrides applied, seeds, labels and roles written out.
    ///
    /// # Errors
    /// When a value is beyond what TOML can hold.
    pub fn to_toml(&self) -> Result<String, Error> {
        let text = toml::to_string(&self.resolved);
        Ok(text.map_err(|error| ConfigError::unwritable("the configuration", &error))?)
    }

    /// The file with the section as it was understood.
    fn resolve(&self, read: sections::Read, locate: &dyn Fn(&str) -> String) -> Result<Table, Error> {
        let mut base = read.base;
        if let Some(Value::Table(data)) = base.get_mut("data")
            && let Some(Value::String(path)) = data.get_mut("path")
        {
            *path = locate(path);
        }
        let seeds = |seeds: &[u64]| -> Result<Value, ConfigError> {
            Value::try_from(seeds).map_err(|error| ConfigError::unwritable("seeds", &error))
        };
        let mut section = read.section;
        if let Some(baseline) = &self.baseline {
            let ours = self.variants.iter().filter(|variant| variant.ours);
            section.insert("baseline".to_owned(), baseline.clone().into());
            let ours: Vec<Value> = ours.map(|variant| variant.label.clone().into()).collect();
            section.insert("ours".to_owned(), ours.into());
            let mut models = Vec::new();
            for variant in &self.variants {
                let mut model = Table::new();
                model.insert("name".to_owned(), variant.config.model_name().into());
                model.insert("label".to_owned(), variant.label.clone().into());
                model.insert("seeds".to_owned(), seeds(&variant.seeds)?);
                let settings = variant.settings.iter().map(|(key, value)| (key.clone(), value.clone()));
                model.insert("set".to_owned(), Value::Table(settings.collect()));
                if variant.individual {
                    model.insert("individual".to_owned(), true.into());
                }
                models.push(Value::Table(model));
            }
            section.insert("models".to_owned(), models.into());
        }
        if self.kind == ExperimentKind::Sweep {
            let own = read.entries.first().map(|entry| entry.seeds.clone());
            let own = own.or(self.search.as_ref().map(|search| vec![search.seed()])).unwrap_or_default();
            section.insert("seeds".to_owned(), seeds(&own)?);
            section.insert("skip_invalid".to_owned(), self.skip_invalid.into());
        }
        base.insert(self.kind.section().to_owned(), Value::Table(section));
        Ok(base)
    }
}

#[cfg(test)]
mod tests;
