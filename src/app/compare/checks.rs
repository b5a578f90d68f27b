//! What is known to be wrong before anything is trained.

use std::path::{Path, PathBuf};

use super::individual::{self, Scenarios, scenarios_of};
use crate::app::open::{build_on, generate_missing, load_vocabularies, open_data, tell_warnings};
use crate::app::{Observer, StartingRun};
use crate::config::ConfigError;
use crate::data::{Dataset, nearest, suggestion};
use crate::train::comparison::{Cell, Comparison, ExperimentKind, Invalid, State, Variant};
use crate::train::run::result::RunResult;
use crate::train::{Error, check_rows};

/// Opens the data of variants that are still to be trained, each once, and builds their models: what cannot be trained
/// is known before anything runs. `scenarios` gets those of each individual variant, by its label.
pub(super) fn check_variants(
    comparison: &Comparison,
    bases: &[PathBuf],
    root: &Path,
    unfinished: &dyn Fn(&Variant) -> bool,
    scenarios: &mut Scenarios,
    observer: &mut Observer<'_>,
) -> Result<Vec<Invalid>, Error> {
    let mut invalid = Vec::new();
    let mut waiting: Vec<&Variant> = comparison.variants.iter().filter(|variant| unfinished(variant)).collect();
    while let Some(first) = waiting.first() {
        let table = first.config.data.clone();
        let train = first.config.train.clone();
        let of_table = |variant: &&Variant| {
            let other = &variant.config.train;
            let same_start = other.from == train.from && other.refit_numbers == train.refit_numbers;
            variant.config.data == table && same_start
        };
        let refused =
            |variant: &Variant, error: &Error| Invalid { label: variant.label.clone(), reason: error.to_string() };
        let own = waiting.iter().copied().filter(of_table);
        match open_of(first, bases, observer) {
            Ok(data) => {
                tell_warnings(&data, observer);
                invalid.extend(own.filter(|variant| !variant.individual).filter_map(|variant| {
                    check_variant(comparison.kind, variant, &data).err().map(|error| refused(variant, &error))
                }));
                // Those that are finished as well: a new model must not stand beside old ones of other data.
                let own = waiting.iter().copied().filter(of_table).filter(|variant| variant.individual);
                for variant in own {
                    match check_individual(comparison, variant, &data, bases, observer) {
                        Ok(names) => {
                            scenarios.insert(variant.label.clone(), names);
                        }
                        Err(reason) => invalid.push(Invalid { label: variant.label.clone(), reason }),
                    }
                }
                for variant in comparison.variants.iter().filter(of_table) {
                    check_same_data(comparison, variant, root, &data)?;
                }
            }
            // What is wrong for all is no fault of one.
            Err(error) if comparison.variants.iter().all(|variant| of_table(&variant)) => return Err(error),
            Err(error) => invalid.extend(own.map(|variant| refused(variant, &error))),
        }
        waiting.retain(|variant| !of_table(variant));
    }
    Ok(invalid)
}

/// Opens the data of a variant, generating it first where `[synth]` says how.
pub(super) fn open_of(variant: &Variant, bases: &[PathBuf], observer: &mut Observer<'_>) -> Result<Dataset, Error> {
    let schema = variant.config.schema()?;
    generate_missing(&variant.config, &schema, bases, observer)?;
    let from = StartingRun::of(&mut variant.config.clone(), bases)?;
    let basis = from.as_ref().map(StartingRun::basis);
    open_data(&schema, bases, basis.as_ref(), observer)
}

/// That a variant can be trained on this data.
pub(super) fn check_variant(kind: ExperimentKind, variant: &Variant, data: &Dataset) -> Result<(), Error> {
    let mut config = variant.config.clone();
    build_on(&mut config, data)?;
    check_rows(&config.train, &data.train, &data.valid)?;
    if kind == ExperimentKind::Sweep && data.valid.is_empty() {
        let expected = "validation rows, by which a sweep chooses";
        return Err(ConfigError::value(config.file(), "data.split", expected, "none").into());
    }
    Ok(())
}

/// The scenarios of an individual variant, all of which can be trained; or why not. The model is built for the first: what is
/// wrong with it is so for all.
fn check_individual(
    comparison: &Comparison,
    variant: &Variant,
    data: &Dataset,
    bases: &[PathBuf],
    observer: &mut Observer<'_>,
) -> Result<Vec<String>, String> {
    let cell = Cell { variant, seed: variant.seeds[0] };
    let names = scenarios_of(&cell, data)?;
    let mut first = || {
        let mut config = variant.config.clone();
        let mut schema = config.schema()?;
        schema.only_scenarios = names[..1].to_vec();
        config.set_data(&schema)?;
        let from = StartingRun::of(&mut config, bases)?;
        let basis = from.as_ref().map(StartingRun::basis);
        let data = open_data(&schema, bases, basis.as_ref(), observer)?;
        check_variant(comparison.kind, &Variant { config, ..variant.clone() }, &data)
    };
    first().map_err(|error: Error| error.to_string())?;
    Ok(names)
}

/// That a finished cell was trained on the data as it is now: one table must not be of two.
pub(super) fn check_same_data(
    comparison: &Comparison,
    variant: &Variant,
    root: &Path,
    data: &Dataset,
) -> Result<(), Error> {
    for cell in comparison.cells().iter().filter(|cell| cell.variant.label == variant.label) {
        if cell.state(root)? != State::Finished {
            continue;
        }
        let run = cell.run(root);
        let same = match variant.individual {
            true => individual::is_of(&RunResult::load(&run.result())?, data),
            false => load_vocabularies(&run)?.same_codes(&data.encoder),
        };
        if !same {
            let reason = "was trained on other data (its vocabularies or statistics have changed since); give another \
                          --out, or remove the folder to train this cell anew";
            return Err(Error::Folder { folder: run.root().to_owned(), reason: reason.to_owned() });
        }
        // One of each variant will do: vocabularies may be large.
        return Ok(());
    }
    Ok(())
}

/// That each label of `--only` is one of the configuration's.
pub(super) fn check_only(comparison: &Comparison, only: &[String]) -> Result<(), Error> {
    if let (Some(_), Some(label)) = (&comparison.search, only.first()) {
        let expected = "nothing, as each trial of a search follows from those before it";
        return Err(ConfigError::value("the command line", "--only", expected, &format!("\"{label}\"")).into());
    }
    let labels: Vec<&str> = comparison.variants.iter().map(|variant| variant.label.as_str()).collect();
    for label in only {
        if labels.contains(&label.as_str()) {
            continue;
        }
        let near = suggestion(nearest(label, labels.iter().copied()));
        let expected = format!("one of the labels {}{near}", labels.join(", "));
        return Err(ConfigError::value("the command line", "--only", &expected, &format!("\"{label}\"")).into());
    }
    Ok(())
}
