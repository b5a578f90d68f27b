//! An encoder's two files: `encoder.toml` for people, `vocabularies.csv` for people and their tools.

use std::collections::HashSet;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::encoded::encoder::{Coding, Encoder, Fit};
use crate::data::error::{Error, Result};
use crate::data::fit::evidence::Evidence;
use crate::data::fit::vocabulary::Vocabulary;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{FieldKind, Schema, Transform};

/// The name of the file of everything but vocabularies.
pub(crate) const ENCODER: &str = "encoder.toml";
/// The name of the file of vocabularies: field, row, value, and how often the train split has it.
pub(crate) const VOCABULARIES: &str = "vocabularies.csv";

/// Version 1 knew no types: values were looked up by their text alone.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    scenarios: Vec<String>,
    #[serde(default)]
    scenario_type: ValueType,
    fields: Vec<SavedField>,
    schema: Schema,
}

#[derive(Serialize, Deserialize)]
struct SavedField {
    name: String,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    value_type: Option<ValueType>,
    /// What the values of the columns are that it crosses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    part_types: Vec<ValueType>,
    #[serde(flatten)]
    coding: SavedCoding,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "coding", rename_all = "lowercase")]
enum SavedCoding {
    Category {
        values: usize,
        /// Rows that other values are hashed to.
        #[serde(default, skip_serializing_if = "is_zero")]
        hash: u32,
    },
    Hash {
        rows: u32,
    },
    Numeric {
        mean: f64,
        std: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transform: Option<Transform>,
    },
    Bucket {
        buckets: u32,
        edges: Vec<f64>,
    },
    /// The schema says in whose rows.
    Shared,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Encoder {
    /// Writes `encoder.toml` and `vocabularies.csv` to a folder, which is made if need be.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let coding = |coding: &Coding| match coding {
            Coding::Category(vocabulary) => {
                SavedCoding::Category { values: vocabulary.len(), hash: vocabulary.hashed() }
            }
            Coding::Hash(rows) => SavedCoding::Hash { rows: *rows },
            Coding::Numeric { mean, std, transform } => {
                SavedCoding::Numeric { mean: *mean, std: *std, transform: *transform }
            }
            Coding::Bucket { edges, buckets } => SavedCoding::Bucket { buckets: *buckets, edges: edges.clone() },
            Coding::Shared(_) => SavedCoding::Shared,
        };
        let field = |(k, c): (usize, &Coding)| SavedField {
            name: self.fields()[k].name.clone(),
            value_type: c.is_category().then(|| self.value_type(k)),
            part_types: self.part_types(k).to_vec(),
            coding: coding(c),
        };
        let saved = Saved {
            version: VERSION,
            scenarios: self.scenarios().to_vec(),
            scenario_type: self.scenario_type(),
            fields: self.codings().iter().enumerate().map(field).collect(),
            schema: self.schema().clone(),
        };
        let path = dir.join(ENCODER);
        let text = toml::to_string(&saved).map_err(|e| Error::io(&path, std::io::Error::other(e)))?;
        fs::write(&path, text).map_err(|e| Error::io(&path, e))?;
        let path = dir.join(VOCABULARIES);
        self.save_vocabularies(&path).map_err(|e| Error::io(&path, e))
    }

    fn save_vocabularies(&self, path: &Path) -> std::io::Result<()> {
        let mut out = csv::Writer::from_writer(BufWriter::new(fs::File::create(path)?));
        out.write_record(["field", "row", "value", "count"])?;
        for (field, coding) in self.fields().iter().zip(self.codings()) {
            let Coding::Category(vocabulary) = coding else { continue };
            for row in vocabulary.rows() {
                let (row_text, count) = (row.to_string(), vocabulary.count(row).to_string());
                out.write_record([&field.name, &row_text, vocabulary.value(row).unwrap_or_default(), &count])?;
            }
        }
        out.into_inner().map_err(|e| e.into_error())?.flush()
    }

    /// Reads what [`Encoder::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when a file is not there, [`Error::Encoder`] when its content is not what was saved.
    pub fn load(dir: &Path) -> Result<Encoder> {
        let path = dir.join(ENCODER);
        let damaged = |what: String| Error::Encoder { path: path.clone(), what };
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let saved: Saved = toml::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if saved.version == 0 || saved.version > VERSION {
            return Err(damaged(format!(
                "version {} is newer than {VERSION}: it was written by another polyscene",
                saved.version
            )));
        }
        saved.schema.validate().map_err(|error| damaged(error.to_string()))?;
        let names: Vec<&str> = saved.schema.field_names().collect();
        if names != saved.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>() {
            return Err(damaged("the fields are not those of the schema".to_owned()));
        }
        let different: HashSet<&String> = saved.scenarios.iter().collect();
        if saved.scenarios.is_empty() || different.len() != saved.scenarios.len() {
            return Err(damaged("the scenarios are none, or one is there twice".to_owned()));
        }
        let hashed = saved.fields.iter().map(|field| match field.coding {
            SavedCoding::Category { hash, .. } => Vocabulary::hashing_to(hash),
            _ => Vocabulary::default(),
        });
        let mut vocabularies = load_vocabularies(&dir.join(VOCABULARIES), &names, hashed.collect())?;
        let mut fit = Fit { scenario_type: saved.scenario_type, ..Fit::default() };
        if saved.version == 1 {
            let names: Vec<&str> = saved.scenarios.iter().map(String::as_str).collect();
            // Results name them, so they stay as they are.
            fit.scenario_type = of_old_values(&names).filter(|(_, forms)| *forms == names).unwrap_or_default().0;
        }
        for (k, field) in saved.fields.iter().enumerate() {
            let options = saved.schema.field_options(&field.name);
            let of_categories = if options.kind == FieldKind::Tags { FieldKind::Tags } else { FieldKind::Category };
            let (coding, value_type, kind) = match &field.coding {
                SavedCoding::Category { values, .. } => {
                    let vocabulary = std::mem::take(&mut vocabularies[k]);
                    if vocabulary.len() != *values {
                        let found = vocabulary.len();
                        let what = format!("field \"{}\" has {values} values, but {VOCABULARIES} {found}", field.name);
                        return Err(damaged(what));
                    }
                    let (vocabulary, value_type) = match field.value_type {
                        Some(value_type) => (vocabulary, value_type),
                        None => typed(vocabulary),
                    };
                    (Coding::Category(vocabulary), value_type, of_categories)
                }
                SavedCoding::Hash { rows } => {
                    (Coding::Hash(*rows), field.value_type.unwrap_or_default(), of_categories)
                }
                SavedCoding::Numeric { mean, std, transform } => {
                    let coding = Coding::Numeric { mean: *mean, std: *std, transform: *transform };
                    (coding, ValueType::default(), FieldKind::Numeric)
                }
                SavedCoding::Bucket { buckets, edges } => (
                    Coding::Bucket { edges: edges.clone(), buckets: *buckets },
                    ValueType::default(),
                    FieldKind::Bucket,
                ),
                SavedCoding::Shared => {
                    (Coding::Shared(saved.schema.vocabulary_of(k)), ValueType::default(), FieldKind::Tags)
                }
            };
            let is_shared = matches!(coding, Coding::Shared(_));
            let edges_fit = !matches!(&coding, Coding::Bucket { edges, buckets } if edges.len() >= *buckets as usize);
            let parts_fit = field.part_types.len() == options.cross.len();
            if kind != options.kind
                || is_shared != options.vocabulary.is_some()
                || !edges_fit
                || !parts_fit
                || matches!(coding, Coding::Hash(0))
            {
                return Err(damaged(format!("field \"{}\" is not coded as the schema says", field.name)));
            }
            fit.codings.push(coding);
            fit.types.push(value_type);
            fit.part_types.push(field.part_types.clone());
        }
        fit.scenarios = saved.scenarios;
        Ok(Encoder::new(saved.schema, fit))
    }
}

/// The type of values that a run of version 1 has kept, and their one form; `None` where two would become one.
fn of_old_values(values: &[&str]) -> Option<(ValueType, Vec<String>)> {
    let nulls = Nulls::default();
    let mut evidence = Evidence::default();
    evidence.hold_as(ValueType::Text);
    values.iter().for_each(|value| evidence.add(value.as_bytes(), &nulls));
    let (value_type, mut room) = (evidence.decide(), String::new());
    let forms: Option<Vec<String>> = values
        .iter()
        .map(|value| {
            let form = value_type.canonical(value.as_bytes(), &nulls, &mut room)?;
            Some(String::from_utf8_lossy(form).into_owned())
        })
        .collect();
    let forms = forms?;
    let different: HashSet<&String> = forms.iter().collect();
    (different.len() == values.len()).then_some((value_type, forms))
}

/// An old run's vocabulary with the type that its values have.
fn typed(vocabulary: Vocabulary) -> (Vocabulary, ValueType) {
    let rows = 1..=vocabulary.len() as u32;
    let values: Vec<&str> = rows.clone().filter_map(|row| vocabulary.value(row)).collect();
    let Some((value_type, forms)) = of_old_values(&values).filter(|(_, forms)| forms.len() == vocabulary.len()) else {
        return (vocabulary, ValueType::Text);
    };
    let mut typed = Vocabulary::default();
    for (form, row) in forms.iter().zip(rows) {
        typed.push(form.as_bytes(), vocabulary.count(row));
    }
    (typed, value_type)
}

/// Adds its values to each field's vocabulary.
fn load_vocabularies(path: &Path, names: &[&str], mut vocabularies: Vec<Vocabulary>) -> Result<Vec<Vocabulary>> {
    let damaged = |what: String| Error::Encoder { path: path.to_owned(), what };
    let file = fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 18).from_reader(file);
    let mut record = csv::StringRecord::new();
    let mut field = 0;
    while reader.read_record(&mut record).map_err(|e| damaged(e.to_string()))? {
        let wrong = || damaged(format!("the entry {record:?} is out of place; the file was changed or cut"));
        let (Some(name), Some(row), Some(value), Some(count)) =
            (record.get(0), record.get(1), record.get(2), record.get(3))
        else {
            return Err(wrong());
        };
        // Fields come one after another, so the search is seldom needed.
        if names.get(field) != Some(&name) {
            field = names.iter().position(|n| *n == name).ok_or_else(wrong)?;
        }
        let vocabulary = &mut vocabularies[field];
        let in_order = row.parse() == Ok(vocabulary.hashed() as usize + vocabulary.len() + 1);
        if !in_order || !vocabulary.push(value.as_bytes(), count.parse().map_err(|_| wrong())?) {
            return Err(wrong());
        }
    }
    Ok(vocabularies)
}
