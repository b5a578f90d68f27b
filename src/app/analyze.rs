//! What a model's paper looks into, scenario by scenario.

use super::{Observer, Run};
use crate::config::ConfigError;
use crate::data::SplitName;
use crate::train::Error;
use crate::train::evaluation::analysis::{AnalysisTable, analyze};

impl Run {
    /// The tables of the model's probes on a split of the run's own data; probes are computed on the CPU.
    ///
    /// # Errors
    /// As [`Run::rows`]; when the model has nothing that its paper looks into.
    pub fn analyze(&mut self, split: SplitName, observer: &mut Observer<'_>) -> Result<Vec<AnalysisTable>, Error> {
        let rows = self.rows(split, observer)?;
        let state = self.executor.state()?;
        let tables = analyze(&self.model, state, &self.config.train, &rows, &self.encoder)?;
        if tables.is_empty() {
            let expected = "a model that its paper looks into: mi-dpg, optmsm, or saml with its mutual units";
            let found = format!("\"{}\", of which there is nothing to show", self.config.model_name());
            return Err(ConfigError::value(self.config.file(), "model.name", expected, &found).into());
        }
        Ok(tables)
    }
}
