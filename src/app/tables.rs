//! Tables in memory in the place of a configuration's files.

use std::collections::BTreeMap;

use toml::{Table as TomlTable, Value};

use crate::config::Config;
use crate::data::{Inputs, SplitName, TABLE, Table};

/// Rows in memory to train on, in the place of those that `data.path` names. What a run writes of them is what it would of a
/// Parquet file's; only `data.path` is `<table>`, and nothing is cached.
#[derive(Clone, Debug)]
pub enum TrainingTables {
    /// All rows, divided as `[data.split]` says.
    Whole(Table),
    /// The rows of each split; this takes the place of `[data.split]`.
    Split(BTreeMap<SplitName, Table>),
}

impl TrainingTables {
    /// The tables as inputs, which the configuration then describes.
    pub(super) fn put_into(self, config: &mut Config) -> Inputs {
        config.data.insert("path".to_owned(), TABLE.into());
        config.synth = None;
        match self {
            Self::Whole(table) => Inputs::table(table),
            Self::Split(tables) => {
                // A split without a name is one that the data does not have.
                let name = |split| if tables.contains_key(&split) { split.name() } else { "" };
                let names = SplitName::ALL.map(|split| (split.name(), name(split)));
                let (inputs, column) = Inputs::split_tables(tables.clone());
                let named = [("by", "column"), ("column", &column)].into_iter().chain(names);
                let split: TomlTable = named.map(|(key, text)| (key.to_owned(), text.into())).collect();
                config.data.insert("split".to_owned(), Value::Table(split));
                inputs
            }
        }
    }
}
