//! An earlier encoder that a new one goes on from: known values keep their rows, new ones get rows after them.

use xxhash_rust::xxh3::Xxh3;

use crate::data::encoded::encoder::{Coding, Encoder};
use crate::data::error::{Error, Result};
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{FieldKind, FieldOptions, Schema, Transform};

/// The encoder of an earlier run, and what of it is to be fitted anew.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// Its vocabularies, types and scenarios stay, and grow by what is new; counts go on.
    pub encoder: &'a Encoder,
    /// Whether means, deviations and bucket edges are those of the new train rows; else they stay as well.
    pub refit_numbers: bool,
}

impl Basis<'_> {
    /// What a field was, if it was one.
    pub(super) fn coding(&self, name: &str) -> Option<&Coding> {
        let field = self.encoder.fields().iter().position(|field| field.name == name)?;
        Some(&self.encoder.codings()[field])
    }

    /// What the values were of the columns that a field crosses.
    pub(super) fn part_types(&self, name: &str) -> Option<&[ValueType]> {
        let field = self.encoder.fields().iter().position(|field| field.name == name)?;
        Some(self.encoder.part_types(field)).filter(|types| !types.is_empty())
    }

    /// The schema with the types that categories have had.
    ///
    /// # Errors
    /// When it asks for other types, or for another number of hashed rows.
    pub(crate) fn typed(&self, schema: &Schema) -> Result<Schema> {
        let mut typed = schema.clone();
        for (number, field) in self.encoder.fields().iter().enumerate() {
            let (name, coding) = (&field.name, &self.encoder.codings()[number]);
            let mut options = schema.field_options(name);
            let is_field = schema.field_names().any(|known| known == name);
            if is_field {
                self.check_numbers(name, &options, coding)?;
            }
            if !is_field || !options.kind.is_of_categories() || !coding.is_category() || options.vocabulary.is_some() {
                continue;
            }
            let cross = self.encoder.schema().field_options(name).cross;
            if cross != options.cross {
                return Err(Error::Schema(format!(
                    "data.fields.{name}.cross: expected {cross:?}, which the run that training goes on from has, found {:?}",
                    options.cross
                )));
            }
            // Known values stay where they are, which is after the rows that others are hashed to.
            if let Coding::Category(known) = coding
                && (known.hashed() > 0 || options.has_vocabulary())
                && known.hashed() != options.hash.unwrap_or(0)
            {
                return Err(Error::Schema(format!(
                    "data.fields.{name}.hash: expected {}, which the run that training goes on from has",
                    if known.hashed() == 0 { "none".to_owned() } else { known.hashed().to_string() }
                )));
            }
            if let (Coding::Hash(rows), Some(asked)) = (coding, options.hash)
                && *rows != asked
            {
                return Err(Error::Schema(format!(
                    "data.fields.{name}.hash: expected {rows}, which the run that training goes on from has, found {asked}"
                )));
            }
            if !options.cross.is_empty() {
                continue;
            }
            let value_type = self.encoder.value_type(number);
            match options.value_type {
                Some(asked) if asked != value_type => {
                    return Err(Error::Schema(format!(
                        "data.fields.{name}.type: expected \"{value_type}\", which the run that training goes on from \
                         has, found \"{asked}\""
                    )));
                }
                _ => options.value_type = Some(value_type),
            }
            typed.fields.insert(name.clone(), options);
        }
        Ok(typed)
    }

    /// That a number's embedding goes on to be of the same numbers.
    fn check_numbers(&self, name: &str, options: &FieldOptions, coding: &Coding) -> Result<()> {
        let key = format!("data.fields.{name}");
        let other = |what: String| {
            let run = "which the run that training goes on from has";
            Err(Error::Schema(format!("{key}{what}, {run}; set it so, or train.refit_numbers = true")))
        };
        match (coding, options.kind) {
            _ if self.refit_numbers => Ok(()),
            (Coding::Numeric { transform, .. }, FieldKind::Numeric) if *transform != options.transform => {
                other(match transform {
                    Some(Transform::Log) => ".transform: expected \"log\"".to_owned(),
                    None => ".transform: expected none".to_owned(),
                })
            }
            (Coding::Bucket { edges, .. }, FieldKind::Bucket)
                if options.boundaries.as_ref().is_some_and(|asked| asked != edges) =>
            {
                other(format!(".boundaries: expected {edges:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Changes with everything that changes what rows are encoded to.
    pub(crate) fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        let mut text = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        text(if self.refit_numbers { "refit" } else { "kept" });
        text(&self.encoder.scenario_type().to_string());
        self.encoder.scenarios().iter().for_each(|name| text(name));
        for (number, coding) in self.encoder.codings().iter().enumerate() {
            text(&self.encoder.fields()[number].name);
            text(&self.encoder.value_type(number).to_string());
            match coding {
                Coding::Category(known) => {
                    text(&format!("{} {:?}", known.hashed(), self.encoder.part_types(number)));
                    known.rows().filter_map(|row| known.value(row)).for_each(&mut text);
                }
                other => text(&format!("{other:?}")),
            }
        }
        hash.digest()
    }
}
