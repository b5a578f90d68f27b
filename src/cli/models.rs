//! `polyscene models`.

use super::exit::Done;
use super::print::print_line;
use crate::models::{self, ModelEntry};
use crate::report::table::{TableStyle, draw};

/// A model's line and its options with their defaults.
fn describe(model: &ModelEntry) -> anyhow::Result<String> {
    let defaults = toml::Table::try_from(model.defaults()?)?;
    let lines: Vec<Vec<String>> = model
        .options
        .iter()
        .map(|(name, meaning)| {
            let default = defaults.get(*name).map_or_else(String::new, toml::Value::to_string);
            vec![(*name).to_owned(), default, (*meaning).to_owned()]
        })
        .collect();
    let table = draw(&["option", "default", "meaning"], &lines, TableStyle::Plain);
    Ok(format!("{}: {}\n{table}", model.name, model.summary))
}

pub(super) fn run() -> anyhow::Result<Done> {
    for (i, model) in models::all().iter().enumerate() {
        if i > 0 {
            print_line("")?;
        }
        print_line(&describe(model)?)?;
    }
    Ok(Done::All)
}
