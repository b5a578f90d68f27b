//! The rules a schema must keep before any file is opened.

use std::collections::HashSet;

use crate::data::error::{Error, Result, nearest, suggestion};
use crate::data::schema::{FieldKind, FieldOptions, Pooling, Schema, SequenceColumn, Split};

/// The largest number of rows that one embedding table may have, so that all row numbers fit 32 bits.
const MAX_ROWS: u32 = 1 << 31;

/// The most values of a row of tags; and where the largest is taken, whose number half floats must tell from others'.
const MAX_TAGS: u32 = 1 << 16;
const MOST_OF_MAX: u32 = 1 << 11;

fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Schema(what.into()))
}

impl Schema {
    /// Checks the table against itself.
    ///
    /// # Errors
    /// [`Error::Schema`] names the first key that is wrong and the fix.
    pub fn validate(&self) -> Result<()> {
        let scenario = self.scenario.as_ref().map(|column| ("scenario", column));
        for (key, value) in [("path", &self.path), ("label", &self.label.column)].into_iter().chain(scenario) {
            if value.is_empty() {
                return wrong(format!(
                    "data.{key} is empty; name {}",
                    if key == "path" { "a file" } else { "a column" }
                ));
            }
        }
        if let Some(above) = self.label.above.filter(|above| !above.is_finite()) {
            return wrong(format!("data.label.above is {above}; give a number"));
        }
        if self.click.as_ref() == Some(&self.label.column) {
            let column = &self.label.column;
            return wrong(format!("data.label and data.click both name \"{column}\"; the label is the conversion"));
        }
        if self.scenario.as_ref() == Some(&self.label.column) {
            return wrong(format!("data.label and data.scenario both name \"{}\"", self.label.column));
        }
        if self.scenario.is_none() && !self.only_scenarios.is_empty() {
            return wrong("data.only_scenarios needs data.scenario, the column of scenario names");
        }
        if let Some(d) = self.delimiter
            && (!d.is_ascii() || matches!(d, '"' | '\n' | '\r' | '\0'))
        {
            return wrong(format!("data.delimiter is {d:?}; it must be one ASCII character, no quote and no line end"));
        }
        if self.min_count == 0 {
            return wrong("data.min_count is 0; it must be at least 1");
        }
        self.check_fields()?;
        for (name, options) in &self.fields {
            self.check_options(name, options)?;
        }
        let mut seen = HashSet::new();
        for sequence in &self.sequence {
            if !seen.insert(&sequence.column) {
                return wrong(format!("data.sequence names \"{}\" twice; remove one", sequence.column));
            }
            self.check_sequence(sequence)?;
        }
        self.check_split()
    }

    fn check_fields(&self) -> Result<()> {
        if self.field_names().next().is_none() {
            return wrong("data.aware is empty, and so is data.agnostic; name at least one feature column");
        }
        let mut seen = HashSet::new();
        for (key, names) in [("aware", &self.aware), ("agnostic", &self.agnostic)] {
            for name in names {
                if name.is_empty() {
                    return wrong(format!("data.{key} has an empty column name; remove it"));
                }
                if !seen.insert(name) {
                    return wrong(format!("data.{key} names \"{name}\", which is a field already; remove one"));
                }
                self.check_leak(&format!("data.{key}"), name)?;
            }
        }
        Ok(())
    }

    /// A feature may not be the label, nor anything that gives the label or the split away.
    fn check_leak(&self, key: &str, name: &str) -> Result<()> {
        if name == self.label.column {
            return wrong(format!(
                "{key} names the label \"{name}\" as a feature, which leaks it to the model; remove it"
            ));
        }
        if self.click.as_deref() == Some(name) {
            return wrong(format!(
                "{key} names \"{name}\", data.click's column, as a feature, which leaks it to the model; remove it"
            ));
        }
        if self.probability.as_deref() == Some(name) {
            return wrong(format!(
                "{key} names \"{name}\", data.probability's column, as a feature, which leaks the label; remove it"
            ));
        }
        if matches!(&self.split, Split::Column { column, .. } if column == name) {
            return wrong(format!("{key} names \"{name}\", the split's column, as a feature; remove it"));
        }
        Ok(())
    }

    fn check_options(&self, name: &str, options: &FieldOptions) -> Result<()> {
        let key = format!("data.fields.{name}");
        if !self.field_names().any(|f| f == name) {
            let near = nearest(name, self.field_names());
            return wrong(format!("{key}: no field of that name in data.aware or data.agnostic{}", suggestion(near)));
        }
        self.check_tags(name, options)?;
        let category = options.kind.is_of_categories();
        match options {
            FieldOptions { buckets: Some(_), kind, .. } if *kind != FieldKind::Bucket => {
                wrong(format!("{key}.buckets needs {key}.kind = \"bucket\""))
            }
            FieldOptions { buckets: Some(n), .. } if !(2..MAX_ROWS).contains(n) => {
                wrong(format!("{key}.buckets is {n}; at least 2 are needed"))
            }
            FieldOptions { transform: Some(_), kind: FieldKind::Bucket, .. } => {
                wrong(format!("{key}.transform: buckets are cut at the same values with and without it; remove it"))
            }
            FieldOptions { transform: Some(_), kind, .. } if *kind != FieldKind::Numeric => {
                wrong(format!("{key}.transform needs {key}.kind = \"numeric\""))
            }
            FieldOptions { boundaries: Some(_), kind, .. } if *kind != FieldKind::Bucket => {
                wrong(format!("{key}.boundaries needs {key}.kind = \"bucket\""))
            }
            FieldOptions { boundaries: Some(_), buckets: Some(_), .. } => {
                wrong(format!("{key}: boundaries say how many buckets there are; remove buckets"))
            }
            FieldOptions { boundaries: Some(edges), .. }
                if edges.is_empty()
                    || edges.len() >= MAX_ROWS as usize
                    || edges.iter().any(|edge| !edge.is_finite())
                    || edges.windows(2).any(|pair| pair[0] >= pair[1]) =>
            {
                wrong(format!(
                    "{key}.boundaries: expected numbers, each larger than the one before, such as [0, 1, 10]"
                ))
            }
            FieldOptions { hash: Some(_), .. } if !category => wrong(format!("{key}.hash is for categories only")),
            FieldOptions { hash: Some(n), .. } if !(1..MAX_ROWS).contains(n) => {
                wrong(format!("{key}.hash is {n}; it is a number of rows from 1 to {}", MAX_ROWS - 1))
            }
            FieldOptions { value_type: Some(_), .. } if !category => {
                wrong(format!("{key}.type is for categories only"))
            }
            FieldOptions { min_count: Some(_), .. } if !category => {
                wrong(format!("{key}.min_count is for categories only"))
            }
            FieldOptions { top: Some(_), .. } if !category => wrong(format!("{key}.top is for categories only")),
            FieldOptions { top: Some(n), .. } if !(1..MAX_ROWS).contains(n) => {
                wrong(format!("{key}.top is {n}; it is a number of values from 1 to {}", MAX_ROWS - 1))
            }
            FieldOptions { pretrained: Some(_), .. } if !category => {
                wrong(format!("{key}.pretrained is for categories only"))
            }
            FieldOptions { pretrained: Some(_), .. } if !options.has_vocabulary() => {
                wrong(format!("{key}: hashed values share rows, so pretrained has no meaning; remove one"))
            }
            FieldOptions { min_count: Some(0), .. } => wrong(format!("{key}.min_count is 0; it must be at least 1")),
            FieldOptions { cross, .. } if !cross.is_empty() => self.check_cross(name, options),
            _ => Ok(()),
        }
    }

    /// The options that a field of tags has and others have not, and the other way round.
    fn check_tags(&self, name: &str, options: &FieldOptions) -> Result<()> {
        let key = format!("data.fields.{name}");
        let FieldOptions { separator, pooling, weights, max_length, vocabulary, .. } = options;
        if options.kind != FieldKind::Tags {
            let given = [
                ("separator", separator.is_some()),
                ("pooling", pooling.is_some()),
                ("weights", weights.is_some()),
                ("max_length", max_length.is_some()),
                ("vocabulary", vocabulary.is_some()),
            ];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((option, _)) => wrong(format!("{key}.{option} needs {key}.kind = \"tags\"")),
                None => Ok(()),
            };
        }
        if !options.cross.is_empty() {
            return wrong(format!("{key}: a cross is one category and has no tags; remove cross or kind = \"tags\""));
        }
        if separator.as_deref() == Some("") {
            return wrong(format!("{key}.separator is empty; name what separates the values, such as \"|\""));
        }
        let most = if *pooling == Some(Pooling::Max) { MOST_OF_MAX } else { MAX_TAGS };
        if let Some(length) = max_length.filter(|length| !(1..=most).contains(length)) {
            let which = if *pooling == Some(Pooling::Max) { " with pooling = \"max\"" } else { "" };
            return wrong(format!("{key}.max_length is {length}; it must be from 1 to {most}{which}"));
        }
        if let Some(column) = weights {
            if *pooling == Some(Pooling::Max) {
                return wrong(format!("{key}.weights have no meaning for pooling = \"max\"; remove one"));
            }
            if column.is_empty() || column == name {
                return wrong(format!("{key}.weights: expected another column than the values', found \"{column}\""));
            }
            self.check_leak(&format!("{key}.weights"), column)?;
        }
        if self.scenario.as_deref() == Some(name) || self.user.as_deref() == Some(name) {
            return wrong(format!("{key}: data.scenario and data.user have one value per row, and tags are lists"));
        }
        match vocabulary {
            Some(shared) => self.check_shared(name, options, shared),
            None => Ok(()),
        }
    }

    /// That a field of tags can share the rows of another field.
    fn check_shared(&self, name: &str, options: &FieldOptions, shared: &str) -> Result<()> {
        let key = format!("data.fields.{name}");
        let FieldOptions { value_type, min_count, top, hash, pretrained, .. } = options;
        let given = [
            ("type", value_type.is_some()),
            ("min_count", min_count.is_some()),
            ("top", top.is_some()),
            ("hash", hash.is_some()),
            ("pretrained", pretrained.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return wrong(format!(
                "{key}.{option}: \"{shared}\", whose vocabulary it shares, says that; remove it here"
            ));
        }
        if !self.field_names().any(|field| field == shared) {
            let near = nearest(shared, self.field_names());
            return wrong(format!(
                "{key}.vocabulary: \"{shared}\" is no field of data.aware or data.agnostic{}",
                suggestion(near)
            ));
        }
        let other = self.field_options(shared);
        if shared == name || other.vocabulary.is_some() {
            return wrong(format!("{key}.vocabulary: \"{shared}\" has no vocabulary of its own"));
        }
        if !other.kind.is_of_categories() {
            return wrong(format!("{key}.vocabulary: \"{shared}\" must be a field of categories or tags"));
        }
        if !self.is_column(shared) {
            return wrong(format!("{key}.vocabulary: \"{shared}\" is a cross, whose values no list has"));
        }
        Ok(())
    }

    fn check_cross(&self, name: &str, options: &FieldOptions) -> Result<()> {
        let key = format!("data.fields.{name}");
        let FieldOptions { cross, kind, value_type, .. } = options;
        if *kind != FieldKind::Category {
            return wrong(format!("{key}.cross is for categories only"));
        }
        if value_type.is_some() {
            return wrong(format!("{key}.type: a cross has the types of its columns; remove one"));
        }
        if !(2..=3).contains(&cross.len()) {
            return wrong(format!("{key}.cross: expected two or three columns, found {}", cross.len()));
        }
        for (number, part) in cross.iter().enumerate() {
            if part.is_empty() {
                return wrong(format!("{key}.cross has an empty column name"));
            }
            if cross[..number].contains(part) {
                return wrong(format!("{key}.cross names \"{part}\" twice; remove one"));
            }
            if part == name || !self.is_column(part) {
                return wrong(format!("{key}.cross names \"{part}\", which is a cross and no column"));
            }
            if self.sequence.iter().any(|sequence| sequence.column == *part) {
                return wrong(format!("{key}.cross names \"{part}\", which is a sequence"));
            }
            if self.tag_fields().any(|(_, tags)| tags == part) {
                return wrong(format!("{key}.cross names \"{part}\", which is a field of tags"));
            }
            self.check_leak(&format!("{key}.cross"), part)?;
        }
        Ok(())
    }

    fn check_sequence(&self, sequence: &SequenceColumn) -> Result<()> {
        let SequenceColumn { column, separator, vocabulary, max_length } = sequence;
        let key = format!("data.sequence \"{column}\"");
        if column.is_empty() {
            return wrong("data.sequence has an empty column name");
        }
        if self.field_names().any(|f| f == column) {
            return wrong(format!("{key} is a field too; remove it from data.aware or data.agnostic"));
        }
        self.check_leak("data.sequence", column)?;
        if separator.is_empty() {
            return wrong(format!("{key}: separator is empty; name what separates the items, such as \"|\""));
        }
        if *max_length == 0 {
            return wrong(format!("{key}: max_length is 0; it must be at least 1"));
        }
        if !self.field_names().any(|f| f == vocabulary) {
            let near = nearest(vocabulary, self.field_names());
            return wrong(format!(
                "{key}: vocabulary \"{vocabulary}\" is no field of data.aware or data.agnostic{}",
                suggestion(near)
            ));
        }
        if self.field_options(vocabulary).kind != FieldKind::Category {
            return wrong(format!("{key}: vocabulary \"{vocabulary}\" must be a field of categories"));
        }
        if !self.is_column(vocabulary) {
            return wrong(format!("{key}: vocabulary \"{vocabulary}\" is a cross, whose values no list has"));
        }
        Ok(())
    }

    fn check_split(&self) -> Result<()> {
        match &self.split {
            Split::Column { column, train, valid, test } => {
                if column.is_empty() {
                    return wrong("data.split.column is empty; name the column that holds the split");
                }
                if train.is_empty() {
                    return wrong("data.split.train is empty; name the split column's value for train rows");
                }
                if train == valid || train == test || (valid == test && !valid.is_empty()) {
                    return wrong("data.split: train, valid and test must be different values");
                }
                if *column == self.label.column {
                    return wrong("data.split.column names the label");
                }
                Ok(())
            }
            Split::Time { column, valid, test } => {
                if column.is_empty() {
                    return wrong("data.split.column is empty; name the column of times");
                }
                check_fractions(*valid, *test)
            }
            Split::Seed { seed, valid, test } => {
                if i64::try_from(*seed).is_err() {
                    return wrong(format!("data.split.seed is {seed}; the largest that TOML can hold is {}", i64::MAX));
                }
                check_fractions(*valid, *test)
            }
        }
    }
}

fn check_fractions(valid: f64, test: f64) -> Result<()> {
    for (key, share) in [("valid", valid), ("test", test)] {
        if !(0.0..1.0).contains(&share) {
            return wrong(format!("data.split.{key} is {share}; it is a share of the rows, from 0 to less than 1"));
        }
    }
    if valid + test >= 1.0 {
        return wrong(format!("data.split: valid {valid} and test {test} leave no rows for train"));
    }
    Ok(())
}
