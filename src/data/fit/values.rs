//! A field's values while the files are read: provisional ids, and what shows their type.

use crate::data::error::{Error, Result};
use crate::data::fit::cross::Crossing;
use crate::data::fit::evidence::Evidence;
use crate::data::fit::vocabulary::{Interner, hashed};
use crate::data::read::checks::Checked;
use crate::data::read::lists::ItemLists;
use crate::data::read::reader::Chunk;
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{FieldKind, FieldOptions, Schema};

/// More distinct values than this are refused, so that provisional ids fit 32 bits with room for one more chunk.
const MAX_VALUES: usize = 4_000_000_000;

/// What is known of a field's values before they are counted.
pub(super) enum Values {
    Category {
        values: Interner,
        evidence: Evidence,
    },
    Hash(Hashing),
    Cross(Crossing),
    Number,
    /// Tags that are looked up in the vocabulary of the field of this number, which also reads them.
    Shared(usize),
}

/// A field whose values are hashed as they are read, so that their type must be known by then.
pub(super) struct Hashing {
    pub(super) rows: u32,
    /// The type asked for, or the one that all values so far allow.
    pub(super) value_type: ValueType,
    /// None where a type was asked for.
    evidence: Option<Evidence>,
    /// Whether a value was hashed.
    began: bool,
    /// Whether one was hashed as of a type that a later one does not allow.
    was_wrong: bool,
}

/// One field's part of a block.
pub(super) struct FieldBlock {
    pub(super) ids: Vec<u32>,
    /// The lists that share the field's vocabulary, its own included: number, lists, how many were cut.
    pub(super) sequences: Vec<(usize, ItemLists, u64)>,
}

impl Values {
    /// Of field number `field`, whose values are looked up in the vocabulary of `vocabulary`. `known` is what an earlier reading
    /// of the same files learned of the values' type.
    pub(super) fn new(options: FieldOptions, (field, vocabulary): (usize, usize), known: &Evidence) -> Self {
        if vocabulary != field {
            return Values::Shared(vocabulary);
        }
        if !options.cross.is_empty() {
            return Values::Cross(Crossing::new(options.cross.len()));
        }
        match (options.kind, options.hash.filter(|_| !options.has_vocabulary())) {
            (FieldKind::Category | FieldKind::Tags, Some(rows)) => Values::Hash(Hashing {
                rows,
                value_type: options.value_type.unwrap_or_else(|| known.decide()),
                evidence: options.value_type.is_none().then(|| known.clone()),
                began: false,
                was_wrong: false,
            }),
            (FieldKind::Category | FieldKind::Tags, None) => {
                Values::Category { values: Interner::default(), evidence: Evidence::default() }
            }
            _ => Values::Number,
        }
    }

    /// Tells `known` what was learned of a hashed field's type; whether values were hashed as of a wrong one.
    pub(super) fn teach(&self, known: &mut Evidence) -> bool {
        let Values::Hash(Hashing { evidence: Some(evidence), was_wrong, .. }) = self else { return false };
        known.clone_from(evidence);
        *was_wrong
    }

    pub(super) fn encode(
        &mut self,
        schema: &Schema,
        plan: &WantedColumns,
        chunk: &Chunk,
        checked: &Checked,
        (field, name): (usize, &str),
        nulls: &Nulls,
    ) -> Result<FieldBlock> {
        let options = schema.field_options(name);
        if !options.kind.is_of_categories() || matches!(self, Values::Shared(_)) {
            return Ok(FieldBlock { ids: Vec::new(), sequences: Vec::new() });
        }
        if let Values::Cross(crossing) = self {
            let ids = crossing.encode(plan, chunk, checked, &plan.parts[field])?;
            if crossing.len() > MAX_VALUES {
                return Err(Error::TooManyValues { column: name.to_owned() });
            }
            return Ok(FieldBlock { ids, sequences: Vec::new() });
        }
        let column = plan.fields[field];
        let is_list = options.kind == FieldKind::Tags;
        let container = match is_list {
            true => checked.tag_values(plan, chunk, column, &options, nulls, |_| {})?,
            false => checked.value_type(plan, chunk, column)?,
        };
        match self {
            Values::Category { evidence, .. } => evidence.hold_as(container),
            Values::Hash(hashing) => hashing.learn(container, |add| {
                if is_list {
                    checked.tag_values(plan, chunk, column, &options, nulls, |item| add(item, nulls)).map(|_| ())
                } else {
                    checked.codes(plan, chunk, column, |cell| add(cell.unwrap_or_default(), nulls)).map(|_| ())
                }
            })?,
            Values::Cross(_) | Values::Number | Values::Shared(_) => {}
        }
        let mut room = String::new();
        let mut id = |text: &[u8]| match self {
            Values::Category { values, .. } => values.intern(text) + 1,
            Values::Hash(hashing) => {
                hashing.began = true;
                hashing.value_type.canonical(text, nulls, &mut room).map_or(0, |text| hashed(text, hashing.rows))
            }
            Values::Cross(_) | Values::Number | Values::Shared(_) => 0,
        };
        let ids = match is_list {
            true => Vec::new(),
            false => checked.codes(plan, chunk, column, |cell| cell.map_or(0, &mut id))?,
        };
        let mut sequences = Vec::new();
        for (k, sequence) in schema.sequence.iter().enumerate().filter(|(_, s)| s.vocabulary == name) {
            sequences.push((k, checked.sequences(plan, chunk, plan.sequences[k], sequence, &mut id)?, 0));
        }
        for (k, (number, tags)) in schema.tag_fields().enumerate() {
            if schema.vocabulary_of(number) == field {
                let options = schema.field_options(tags);
                let (lists, cut) = checked.tags(plan, chunk, plan.tags[k], &options, nulls, &mut id)?;
                sequences.push((schema.sequence.len() + k, lists, cut));
            }
        }
        if matches!(self, Values::Category { values, .. } if values.len() > MAX_VALUES) {
            return Err(Error::TooManyValues { column: name.to_owned() });
        }
        Ok(FieldBlock { ids, sequences })
    }
}

impl Hashing {
    /// Learns the type of the values from a chunk, which `read` calls its argument for, before these are hashed.
    fn learn(
        &mut self,
        container: ValueType,
        read: impl FnOnce(&mut dyn FnMut(&[u8], &Nulls)) -> Result<()>,
    ) -> Result<()> {
        let Some(evidence) = &mut self.evidence else { return Ok(()) };
        evidence.hold_as(container);
        read(&mut |value, nulls| evidence.add(value, nulls))?;
        let value_type = evidence.decide();
        self.was_wrong = self.began && value_type != self.value_type;
        self.value_type = value_type;
        Ok(())
    }
}
