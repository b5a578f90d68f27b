//! An earlier encoder that a new one goes on from: known values keep their rows, new ones get rows after them.

use xxhash_rust::xxh3::Xxh3;

use crate::data::encoded::encoder::{Coding, Encoder};
use crate::data::error::{Error, Result};
use crate::data::schema::{FieldKind, Schema};

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
            if !is_field || options.kind != FieldKind::Category || !coding.is_category() {
                continue;
            }
            if let (Coding::Hash(rows), Some(asked)) = (coding, options.hash)
                && *rows != asked
            {
                return Err(Error::Schema(format!(
                    "data.fields.{name}.hash: expected {rows}, which the run that training goes on from has, found {asked}"
                )));
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
                    (1..=known.len() as u32).filter_map(|row| known.value(row)).for_each(&mut text);
                }
                other => text(&format!("{other:?}")),
            }
        }
        hash.digest()
    }
}
