//! Which columns a trained model relies on.

use super::{Event, Observer, Run};
use crate::config::ConfigError;
use crate::data::SplitName;
use crate::train::Error;
use crate::train::evaluation::importance::{Importance, ImportanceOptions, importance};
use crate::train::model::check_sequences;
use crate::train::run::folder::write_json;

impl Run {
    /// What the model loses when a column's values are dealt out anew among the rows of a split, `repeats` times for each column;
    /// kept as `importance.json` in the run's folder. Without a seed, the run's own decides who gets which value.
    ///
    /// # Errors
    /// As [`Run::rows`]; when the split has no rows, the device fails, or the file cannot be written.
    pub fn importance(
        &mut self,
        split: SplitName,
        repeats: usize,
        seed: Option<u64>,
        observer: &mut Observer<'_>,
    ) -> Result<Importance, Error> {
        let rows = self.rows(split, observer)?;
        if rows.is_empty() {
            let expected = "a split with rows";
            return Err(ConfigError::value(
                "the command line",
                "--split",
                expected,
                &format!("{split}, which has none"),
            )
            .into());
        }
        let Self { encoder, model, executor, config, folder, .. } = self;
        check_sequences(model, &rows, encoder)?;
        let options = ImportanceOptions { split, repeats, seed: seed.unwrap_or(config.train.seed) };
        let mut begun = false;
        let found = importance(executor.as_mut(), model, &rows, encoder, &options, &mut |done, total| {
            if !std::mem::replace(&mut begun, true) {
                observer(Event::Counting { what: "permuting", total });
            }
            observer(Event::Counted { done, total });
        });
        observer(Event::CountingEnded);
        let found = found?;
        let path = folder.importance();
        write_json(&path, &found)?;
        observer(Event::Wrote { what: "importance", path });
        Ok(found)
    }
}
