//! `polyscene models`.

use super::exit::Done;
use super::opened::print_line;
use crate::models::{self, Model, Visitor};
use crate::report::table::{TableStyle, draw};

/// A model's line and its options with their defaults.
struct Describe;

impl Visitor for Describe {
    type Output = anyhow::Result<String>;

    fn visit<M: Model>(self) -> Self::Output {
        let defaults = toml::Table::try_from(M::default())?;
        let lines: Vec<Vec<String>> = M::OPTIONS
            .iter()
            .map(|(name, meaning)| {
                let default = defaults.get(*name).map_or_else(String::new, toml::Value::to_string);
                vec![(*name).to_owned(), default, (*meaning).to_owned()]
            })
            .collect();
        let table = draw(&["option", "default", "meaning"], &lines, TableStyle::Plain);
        Ok(format!("{}: {}\n{table}", M::NAME, M::SUMMARY))
    }
}

pub(super) fn run() -> anyhow::Result<Done> {
    for (i, name) in models::NAMES.iter().enumerate() {
        if i > 0 {
            print_line("")?;
        }
        if let Some(text) = models::visit(name, Describe) {
            print_line(&text?)?;
        }
    }
    Ok(Done::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_described_and_every_description_is_an_option() {
        struct Check;
        impl Visitor for Check {
            type Output = ();
            fn visit<M: Model>(self) {
                let known = toml::Table::try_from(M::default()).unwrap();
                let described: Vec<&str> = M::OPTIONS.iter().map(|(name, _)| *name).collect();
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                assert_eq!(described, known, "{}", M::NAME);
            }
        }
        for name in models::NAMES {
            models::visit(name, Check).unwrap();
        }
    }
}
