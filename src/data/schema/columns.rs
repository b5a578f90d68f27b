//! Which columns a schema needs from a file, and where the file has them.

use std::collections::HashMap;
use std::path::Path;

use arrow_schema::DataType;

use crate::data::error::{Error, MissingColumn, Result, nearest};
use crate::data::schema::{FieldKind, Filter, Schema, Split};

/// What a column is used for, which decides the types it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// One value per row, taken by its text.
    Text,
    /// One number per row.
    Number,
    /// One number, date or time per row.
    Time,
    /// A list per row.
    List,
    /// A list per row, or a text that is cut into one, as the schema says.
    Tags { separated: bool },
    /// The same, of numbers.
    TagWeights { separated: bool },
}

impl Use {
    /// Whether it is one of a field of tags.
    pub(crate) fn is_of_tags(self) -> bool {
        matches!(self, Use::Tags { .. } | Use::TagWeights { .. })
    }
}

/// One column that a schema names for one use.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// The schema's key, for messages.
    pub(crate) key: String,
    pub(crate) r#use: Use,
    pub(crate) required: bool,
}

/// All wanted columns, and each use's position in that list. A column with two uses is wanted twice.
#[derive(Debug, Clone)]
pub(crate) struct WantedColumns {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) scenario: Option<usize>,
    pub(crate) label: Option<usize>,
    pub(crate) split: Option<usize>,
    pub(crate) user: Option<usize>,
    pub(crate) click: Option<usize>,
    pub(crate) weight: Option<usize>,
    pub(crate) probability: Option<usize>,
    /// Aware, then agnostic fields.
    pub(crate) fields: Vec<usize>,
    /// Per field the columns that it crosses, the first of which stands in `fields`; none where it is a column itself.
    pub(crate) parts: Vec<Vec<usize>>,
    pub(crate) sequences: Vec<usize>,
    /// For each field of tags its values, and their weights.
    pub(crate) tags: Vec<(usize, Option<usize>)>,
    /// Those of the filter's conditions; none where rows are not filtered.
    pub(crate) filter: Vec<usize>,
}

impl WantedColumns {
    /// What fitting needs: everything that the schema names.
    pub(crate) fn to_fit(schema: &Schema) -> WantedColumns {
        let mut plan = WantedColumns::of(schema, true, true);
        plan.split = match &schema.split {
            Split::Column { column, .. } => Some(plan.want(column, "data.split.column", Use::Text, true)),
            Split::Time { column, .. } => Some(plan.want(column, "data.split.column", Use::Time, true)),
            Split::Seed { .. } => None,
        };
        plan
    }

    /// What a scan with saved vocabularies needs: the features, and where asked for the label and what rows are filtered
    /// by. The columns that only metrics read are taken where a file has them.
    pub(crate) fn to_scan(schema: &Schema, need_label: bool) -> WantedColumns {
        WantedColumns::of(schema, need_label, false)
    }

    fn of(schema: &Schema, label: bool, metrics: bool) -> WantedColumns {
        let mut plan = WantedColumns {
            wanted: Vec::new(),
            scenario: None,
            label: None,
            split: None,
            user: None,
            click: None,
            weight: None,
            probability: None,
            fields: Vec::new(),
            parts: Vec::new(),
            sequences: Vec::new(),
            tags: Vec::new(),
            filter: Vec::new(),
        };
        // Faults of one row are reported in this order.
        plan.label = label.then(|| plan.want(&schema.label.column, "data.label", Use::Number, true));
        let scenario = schema.scenario.as_ref();
        plan.scenario = scenario.map(|s| plan.want(s, "data.scenario", Use::Text, true));
        let user = schema.user.as_ref();
        plan.user = user.map(|u| plan.want(u, "data.user", Use::Text, metrics));
        // Metrics without these would be others, in silence.
        let click = schema.click.as_ref().filter(|_| label);
        plan.click = click.map(|c| plan.want(c, "data.click", Use::Number, true));
        let weight = schema.weight.as_ref().filter(|_| label);
        plan.weight = weight.map(|w| plan.want(w, "data.weight", Use::Number, true));
        let probability = schema.probability.as_ref();
        plan.probability = probability.map(|p| plan.want(p, "data.probability", Use::Number, metrics));
        for (key, names) in [("data.aware", &schema.aware), ("data.agnostic", &schema.agnostic)] {
            for name in names {
                let options = schema.field_options(name);
                let key_of_cross = format!("data.fields.{name}.cross");
                let parts: Vec<usize> =
                    options.cross.iter().map(|part| plan.want(part, &key_of_cross, Use::Text, true)).collect();
                plan.parts.push(parts.clone());
                if let Some(first) = parts.first() {
                    plan.fields.push(*first);
                    continue;
                }
                let separated = options.separator.is_some();
                let (r#use, own_key) = match options.kind {
                    FieldKind::Category => (Use::Text, key.to_owned()),
                    FieldKind::Numeric | FieldKind::Bucket => (Use::Number, key.to_owned()),
                    FieldKind::Tags => (Use::Tags { separated }, format!("data.fields.{name}")),
                };
                let column = plan.want(name, &own_key, r#use, true);
                plan.fields.push(column);
                if options.kind == FieldKind::Tags {
                    let key = format!("data.fields.{name}.weights");
                    let weights = options.weights.as_ref();
                    let weights = weights.map(|column| plan.want(column, &key, Use::TagWeights { separated }, true));
                    plan.tags.push((column, weights));
                }
            }
        }
        for sequence in &schema.sequence {
            let column = plan.want(&sequence.column, "data.sequence", Use::List, true);
            plan.sequences.push(column);
        }
        // Rows to predict are all wanted.
        for condition in schema.filter.iter().filter(|_| label).flat_map(Filter::conditions) {
            let column = plan.want(&condition.column, "data.where", Use::Text, true);
            plan.filter.push(column);
        }
        plan
    }

    fn want(&mut self, name: &str, key: &str, r#use: Use, required: bool) -> usize {
        self.wanted.push(Wanted { name: name.to_owned(), key: key.to_owned(), r#use, required });
        self.wanted.len() - 1
    }
}

/// Finds the wanted columns among a file's: per wanted column its index in the file, `None` for an absent optional one.
///
/// RecBole's headers carry a type after a colon (`user_id:token`); the part before it serves as a name too.
pub(crate) fn locate(wanted: &[Wanted], names: &[String], path: &Path) -> Result<Vec<Option<usize>>> {
    let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
    for (k, name) in names.iter().enumerate() {
        index.entry(name).or_default().push(k);
    }
    for (k, name) in names.iter().enumerate() {
        if let Some((short, "token" | "token_seq" | "float" | "float_seq")) = name.split_once(':') {
            index.entry(short).or_insert_with(|| vec![k]);
        }
    }
    wanted
        .iter()
        .map(|w| match index.get(w.name.as_str()).map(Vec::as_slice) {
            Some([one]) => Ok(Some(*one)),
            Some(_) => Err(Error::ColumnTwice { path: path.to_owned(), column: w.name.clone(), key: w.key.clone() }),
            None if !w.required => Ok(None),
            None => Err(missing(w, names, path)),
        })
        .collect()
}

fn missing(wanted: &Wanted, names: &[String], path: &Path) -> Error {
    let hint = match names {
        [only] => [(';', ";"), ('\t', "\\t"), ('|', "|"), (',', ",")]
            .iter()
            .find(|(d, _)| only.contains(*d))
            .map(|(_, d)| format!("; if \"{d}\" separates them, set data.delimiter = \"{d}\""))
            .unwrap_or_default(),
        _ => String::new(),
    };
    Error::MissingColumn(Box::new(MissingColumn {
        path: path.to_owned(),
        column: wanted.name.clone(),
        key: wanted.key.clone(),
        near: nearest(&wanted.name, names.iter().map(String::as_str)).map(str::to_owned),
        columns: names.to_vec(),
        hint,
    }))
}

/// Checks that a column's type can serve its use.
pub(crate) fn check_type(wanted: &Wanted, found: &DataType, path: &Path) -> Result<()> {
    let (fits, expected) = match wanted.r#use {
        Use::Text => (is_text(found), "one value per row (text, a number, a boolean, a date)"),
        Use::Number => (is_number(found) || is_string(found), "one number per row"),
        Use::Time => (is_number(found) || is_string(found) || found.is_temporal(), "one number, date or time per row"),
        Use::List => (is_list(found) || is_string(found), "a list per row, or text with separators"),
        Use::Tags { separated: true } => (
            is_string(found) || *found == DataType::Null,
            "text, as it has a separator (a column of lists needs none; remove it)",
        ),
        Use::Tags { separated: false } => (
            is_list(found),
            "a list per row; of text it must know what separates the values: give it a separator, such as separator = \"|\"",
        ),
        Use::TagWeights { separated: true } => {
            (is_string(found) || *found == DataType::Null, "text with the separator of the values")
        }
        Use::TagWeights { separated: false } => (is_list_of(found, is_number), "a list of numbers per row"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::ColumnType {
        path: path.to_owned(),
        column: wanted.name.clone(),
        key: wanted.key.clone(),
        expected,
        found: found.to_string(),
    })
}

fn is_string(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        DataType::Dictionary(_, value) => is_string(value),
        _ => false,
    }
}

fn is_number(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, value) => is_number(value),
        // A column of nulls only is one of missing values.
        DataType::Null | DataType::Boolean => true,
        other => other.is_numeric(),
    }
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, value) => is_text(value),
        other => is_string(other) || is_number(other) || other.is_temporal(),
    }
}

fn is_list(found: &DataType) -> bool {
    is_list_of(found, is_text)
}

fn is_list_of(found: &DataType, fits: fn(&DataType) -> bool) -> bool {
    match found {
        // As of other columns: nulls only are missing values, here empty lists.
        DataType::Null => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => fits(item.data_type()),
        _ => false,
    }
}
