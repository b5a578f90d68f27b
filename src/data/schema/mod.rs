//! The `[data]` table: where the rows are, what each column means, how the rows are split.

pub(super) mod columns;
mod field;
pub(super) mod filter;
mod label;
pub(super) mod nulls;
pub(super) mod rules;
pub(super) mod value_type;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use field::{FieldKind, FieldOptions, Pooling, Transform};
pub use filter::Filter;
pub use label::Label;

use crate::data::schema::value_type::ValueType;

/// The `[data]` table of a run's TOML file.
///
/// ```
/// let schema: polyscene::data::Schema = toml::from_str(r#"
///     path = "clicks.csv"
///     label = "click"
///     scenario = "page"
///     aware = ["page", "hour"]
///     agnostic = ["user", "item", "price"]
///     [fields.price]
///     kind = "numeric"
///     [split]
///     by = "seed"
/// "#).unwrap();
/// assert!(schema.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// A file, a glob, or a folder (then every `.parquet`, `.csv` and `.tsv` file in it, sorted by name).
    pub path: String,
    /// The files' format.
    #[serde(default)]
    pub format: Format,
    /// What separates a CSV file's cells; by default a tab for `.tsv`, `.inter`, `.user` and `.item`, else a comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Which rows are used; all of them where there is none.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The column of labels.
    pub label: Label,
    /// The column of scenario names; without it all rows are of one scenario. To be a feature too, it must be named in
    /// `aware` or `agnostic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The scenarios whose rows are used, by name; all of them where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_scenarios: Vec<String>,
    /// Scenario-aware feature columns, each one embedding field.
    #[serde(default)]
    pub aware: Vec<String>,
    /// Scenario-agnostic feature columns, each one embedding field.
    #[serde(default)]
    pub agnostic: Vec<String>,
    /// Columns that hold a sequence per row, such as a history of items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence: Vec<SequenceColumn>,
    /// The column whose equal values are one user, for GAUC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The column of clicks, 0 or 1, where the label is a conversion, which only follows a click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<String>,
    /// The column of sample weights, numbers of at least 0: what a row counts in the loss and in all metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The column of true probabilities, where they are known (synthetic data).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<String>,
    /// How often a category must be seen in the train split to get a row of its own.
    #[serde(default = "one")]
    pub min_count: u64,
    /// Texts that stand for a missing value, in every column. Empty cells always do; where this is not given, so do the
    /// usual ones (`NULL`, `NA`, `nan`...) in columns of numbers, dates and booleans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_values: Option<Vec<String>>,
    /// What to do with a row that cannot be used.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// What to do with a row of a scenario that the train split does not have.
    #[serde(default, skip_serializing_if = "UnknownScenario::is_default")]
    pub unknown_scenario: UnknownScenario,
    /// Whether encoded columns are kept on disk for the next run.
    #[serde(default = "yes")]
    pub cache: bool,
    /// How rows are divided into train, valid and test.
    #[serde(default)]
    pub split: Split,
    /// Options of single fields, by column name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldOptions>,
}

impl Default for Schema {
    /// The table's defaults, with no path, no columns and so not yet valid.
    fn default() -> Self {
        Schema {
            path: String::new(),
            format: Format::Auto,
            delimiter: None,
            filter: None,
            label: "label".into(),
            scenario: Some("scenario".to_owned()),
            only_scenarios: Vec::new(),
            aware: Vec::new(),
            agnostic: Vec::new(),
            sequence: Vec::new(),
            user: None,
            click: None,
            weight: None,
            probability: None,
            min_count: 1,
            null_values: None,
            on_bad_row: OnBadRow::Fail,
            unknown_scenario: UnknownScenario::Fail,
            cache: true,
            split: Split::default(),
            fields: BTreeMap::new(),
        }
    }
}

/// The format of input files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// By each file's extension, or else its first bytes.
    #[default]
    Auto,
    /// Delimited text with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// What to do with a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// Stop, naming the first one.
    #[default]
    Fail,
    /// Leave it out and count it.
    Skip,
}

/// What to do with a row of a scenario that the train split does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownScenario {
    /// It is a bad row.
    #[default]
    Fail,
    /// Its probability is the mean of what the model predicts for it as a row of each trained scenario.
    Shared,
    /// Leave it out and count it.
    Skip,
}

impl UnknownScenario {
    fn is_default(&self) -> bool {
        *self == UnknownScenario::Fail
    }
}

/// A column that holds a sequence of another field's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceColumn {
    /// The column: a list in Parquet, or text cut at `separator`.
    pub column: String,
    /// What separates the items of a text.
    #[serde(default = "bar")]
    pub separator: String,
    /// The category field whose vocabulary the items share.
    pub vocabulary: String,
    /// How many items are kept, the last ones.
    #[serde(default = "fifty")]
    pub max_length: usize,
}

/// How rows are divided into train, valid and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
pub enum Split {
    /// By a column's value. An empty name means that the data has no such split.
    Column {
        /// The column.
        column: String,
        /// Its value in train rows.
        #[serde(default = "train_name")]
        train: String,
        /// Its value in validation rows.
        #[serde(default = "valid_name")]
        valid: String,
        /// Its value in test rows.
        #[serde(default = "test_name")]
        test: String,
    },
    /// By time: the latest rows are test, those before valid. Equal stamps stay together.
    Time {
        /// A column of numbers, dates or times.
        column: String,
        /// The share of validation rows.
        #[serde(default = "tenth")]
        valid: f64,
        /// The share of test rows.
        #[serde(default = "tenth")]
        test: f64,
    },
    /// At random, by a hash of the row's number and the seed.
    Seed {
        /// Another seed gives another split.
        #[serde(default)]
        seed: u64,
        /// The share of validation rows.
        #[serde(default = "tenth")]
        valid: f64,
        /// The share of test rows.
        #[serde(default = "tenth")]
        test: f64,
    },
}

impl Default for Split {
    fn default() -> Self {
        Split::Seed { seed: 0, valid: tenth(), test: tenth() }
    }
}

/// One of the three parts of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    /// The rows that are learned from.
    Train,
    /// The rows that decide when to stop.
    Valid,
    /// The rows that are reported on.
    Test,
}

impl SplitName {
    /// All three, in order.
    pub const ALL: [SplitName; 3] = [SplitName::Train, SplitName::Valid, SplitName::Test];

    /// Its name, as a split column has it by default.
    pub fn name(self) -> &'static str {
        match self {
            SplitName::Train => "train",
            SplitName::Valid => "valid",
            SplitName::Test => "test",
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Schema {
    /// Whether a field is a column, and no cross of columns.
    pub(crate) fn is_column(&self, field: &str) -> bool {
        self.fields.get(field).is_none_or(|options| options.cross.is_empty())
    }

    /// The type that a column of categories must have, where the schema says.
    pub(crate) fn asked_type(&self, column: &str) -> Option<ValueType> {
        let is_field = self.is_column(column) && self.field_names().any(|field| field == column);
        self.fields.get(column).filter(|_| is_field).and_then(|options| options.value_type)
    }

    /// The options of a field, defaults where the schema names none.
    pub fn field_options(&self, name: &str) -> FieldOptions {
        self.fields.get(name).cloned().unwrap_or_default()
    }

    /// The fields of tags, each with its number among all fields. Their lists are numbered in this order, after the sequences'.
    pub(crate) fn tag_fields(&self) -> impl Iterator<Item = (usize, &str)> {
        let of_tags = |name: &str| self.fields.get(name).is_some_and(|options| options.kind == FieldKind::Tags);
        self.field_names().enumerate().filter(move |(_, name)| of_tags(name))
    }

    /// How many columns hold lists: sequences and fields of tags.
    pub(crate) fn lists(&self) -> usize {
        self.sequence.len() + self.tag_fields().count()
    }

    /// The number of a field's list, if it is one of tags.
    pub(crate) fn list_of(&self, field: usize) -> Option<usize> {
        self.tag_fields().position(|(number, _)| number == field).map(|tags| self.sequence.len() + tags)
    }

    /// The field in whose vocabulary the values of a field are looked up: itself, but for tags that share another's.
    pub(crate) fn vocabulary_of(&self, field: usize) -> usize {
        let mut names = self.field_names();
        let own = names.nth(field).and_then(|name| self.fields.get(name)?.vocabulary.as_deref());
        own.and_then(|shared| self.field_names().position(|name| name == shared)).unwrap_or(field)
    }

    /// All feature columns: aware in the schema's order, then agnostic.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.aware.iter().chain(&self.agnostic).map(String::as_str)
    }
}

fn one() -> u64 {
    1
}
fn yes() -> bool {
    true
}
fn bar() -> String {
    "|".to_owned()
}
fn fifty() -> usize {
    50
}
fn tenth() -> f64 {
    0.1
}
fn train_name() -> String {
    "train".to_owned()
}
fn valid_name() -> String {
    "valid".to_owned()
}
fn test_name() -> String {
    "test".to_owned()
}
