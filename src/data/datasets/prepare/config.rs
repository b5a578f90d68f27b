//! The configuration that trains on what was prepared.

use toml::{Table, Value};

use crate::data::error::{Error, Result};
use crate::data::schema::Schema;

/// The file beside the configuration that holds the rows.
pub(crate) const DATA: &str = "data.parquet";

/// A run's configuration.
pub(crate) struct RunConfig {
    /// What the rows are, in sentences; each line becomes a comment.
    pub(crate) about: String,
    /// Its path is [`DATA`] whatever it says.
    pub(crate) schema: Schema,
    /// The `[model]` section: name and the options of the paper.
    pub(crate) model: &'static str,
    /// The `[train]` section.
    pub(crate) train: &'static str,
}

impl RunConfig {
    /// The configuration as TOML.
    pub(crate) fn text(&self) -> Result<String> {
        let schema = Schema { path: DATA.to_owned(), ..self.schema.clone() };
        schema.validate()?;
        let wrong = |error: String| Error::Shape(format!("the configuration of prepared data: {error}"));
        let mut data = Table::try_from(&schema).map_err(|error| wrong(error.to_string()))?;
        // What is as it would be without being said.
        for (key, value) in Table::try_from(Schema::default()).map_err(|error| wrong(error.to_string()))? {
            let needed = ["path", "label", "scenario", "aware", "agnostic", "split"].contains(&key.as_str());
            if !needed && data.get(&key) == Some(&value) {
                data.remove(&key);
            }
        }
        let mut text = String::new();
        for line in self.about.lines() {
            text.push_str(format!("# {line}").trim_end());
            text.push('\n');
        }
        let section = Table::from_iter([("data".to_owned(), Value::Table(data))]);
        let section = toml::to_string(&section).map_err(|error| wrong(error.to_string()))?;
        text.push_str(&format!("\n{section}\n[model]\n{}\n[train]\n{}", self.model, self.train));
        Ok(text)
    }
}
