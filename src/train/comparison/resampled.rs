//! `bootstrap.json` of a cell: its AUC on resamples of the test rows, which the bootstrap of differences needs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Cell, Comparison, State};
use crate::config::ConfigError;
use crate::train::Error;
use crate::train::evaluation::bootstrap::{Bootstrap, ResampledAuc, Unit};
use crate::train::run::folder::write_json;

/// The most resamples.
const MOST: u64 = 100_000;

/// What `compare.bootstrap` and `compare.bootstrap_by` ask for.
pub(super) fn options(
    resamples: Option<u64>,
    unit: Option<Unit>,
    file: &str,
) -> Result<Option<Bootstrap>, ConfigError> {
    let resamples = resamples.unwrap_or(0);
    if resamples > MOST {
        let expected = format!("at most {MOST} resamples (0 for none)");
        return Err(ConfigError::value(file, "compare.bootstrap", &expected, &resamples.to_string()));
    }
    if resamples == 0 && unit.is_some() {
        let message = "has no effect without compare.bootstrap, a number of resamples; set that, or remove this key";
        let (origin, key) = (file.to_owned(), "compare.bootstrap_by".to_owned());
        return Err(ConfigError::Other { origin, key, message: message.to_owned() });
    }
    let options = Bootstrap { resamples: resamples as usize, unit, seed: 0 };
    Ok((resamples > 0).then_some(options))
}

/// That there is something to set against the baseline, and that users can be drawn, where that is asked for.
pub(super) fn check(comparison: &Comparison) -> Result<(), ConfigError> {
    if comparison.bootstrap.is_some() && comparison.variants.len() < 2 {
        let message = "has no effect with one model, which is the baseline; add another, or remove this key";
        let (origin, key) = (comparison.file.clone(), "compare.bootstrap".to_owned());
        return Err(ConfigError::Other { origin, key, message: message.to_owned() });
    }
    if comparison.bootstrap.is_none_or(|options| options.unit != Some(Unit::Users)) {
        return Ok(());
    }
    match comparison.variants.iter().find(|variant| !variant.config.data.contains_key("user")) {
        Some(variant) => {
            let expected = "\"rows\", or data.user, the column of users";
            let found = format!("\"users\", which {} has not", variant.label);
            Err(ConfigError::value(&comparison.file, "compare.bootstrap_by", expected, &found))
        }
        None => Ok(()),
    }
}

/// `bootstrap.json` in a cell's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellResamples {
    /// A hash of the `result.json` beside it: that of another training is of another model.
    result: String,
    /// What was to be drawn, if that was said.
    asked: Option<Unit>,
    /// What the draws are a function of.
    seed: u64,
    /// What came of it.
    #[serde(flatten)]
    pub auc: ResampledAuc,
}

impl Cell<'_> {
    fn resamples_file(&self, root: &Path) -> PathBuf {
        self.run(root).root().join("bootstrap.json")
    }

    fn result_hash(&self, root: &Path) -> Result<String, Error> {
        let path = self.run(root).result();
        let bytes = std::fs::read(&path).map_err(Error::file(&path, "reading"))?;
        Ok(format!("{:016x}", xxh3_64(&bytes)))
    }

    /// Its AUC on resamples, where they were drawn by these options, of the run that is there now.
    ///
    /// # Errors
    /// When its result cannot be read.
    pub fn resamples(&self, root: &Path, options: &Bootstrap) -> Result<Option<ResampledAuc>, Error> {
        // What cannot be read is drawn anew.
        let text = std::fs::read_to_string(self.resamples_file(root)).unwrap_or_default();
        let Ok(kept) = serde_json::from_str::<CellResamples>(&text) else { return Ok(None) };
        let is_asked =
            (kept.asked, kept.seed, kept.auc.resampled.len()) == (options.unit, options.seed, options.resamples);
        Ok((is_asked && kept.result == self.result_hash(root)?).then_some(kept.auc))
    }

    /// Keeps its AUC on resamples.
    ///
    /// # Errors
    /// When its result cannot be read, or the file cannot be written.
    pub fn keep_resamples(&self, root: &Path, options: &Bootstrap, auc: ResampledAuc) -> Result<(), Error> {
        let kept = CellResamples { result: self.result_hash(root)?, asked: options.unit, seed: options.seed, auc };
        write_json(&self.resamples_file(root), &kept)
    }
}

impl Comparison {
    /// The finished cells whose AUC on resamples is wanted and not there: those of the baseline and of others at seeds that
    /// both have.
    ///
    /// # Errors
    /// As [`Cell::state`].
    pub fn unsampled(&self, root: &Path) -> Result<Vec<Cell<'_>>, Error> {
        let (Some(options), Some(baseline)) = (&self.bootstrap, &self.baseline) else { return Ok(Vec::new()) };
        let mut finished = Vec::new();
        for cell in self.cells() {
            // The models of an individual label have the rows of one scenario each.
            if !cell.variant.individual && cell.state(root)? == State::Finished {
                finished.push(cell);
            }
        }
        let is_baseline = |cell: &Cell<'_>| cell.variant.label == *baseline;
        let has_partner = |cell: &Cell<'_>| {
            finished.iter().any(|other| other.seed == cell.seed && is_baseline(other) != is_baseline(cell))
        };
        let mut wanted = Vec::new();
        for cell in finished.iter().filter(|cell| has_partner(cell)) {
            if cell.resamples(root, options)?.is_none() {
                wanted.push(*cell);
            }
        }
        Ok(wanted)
    }
}
