//! The fitted schema: what turns a row's cells into numbers, the same way in training and in prediction.

use crate::data::encoded::info::{FieldInfo, FieldRole, SequenceInfo, TagsInfo};
use crate::data::encoded::rows::{RowColumns, Rows};
use crate::data::encoded::tensors::sequence;
use crate::data::encoded::unknown::{Tally, UnknownValues, near_miss};
use crate::data::error::Result;
use crate::data::fit::cross::crossed;
use crate::data::fit::vocabulary::{Interner, Vocabulary, hashed};
use crate::data::read::checks::{Checked, Known};
use crate::data::read::lists::ItemLists;
use crate::data::read::reader::Chunk;
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{Schema, Transform};
use rayon::prelude::*;

/// How a field's values become embedding rows.
#[derive(Debug, Clone)]
pub(crate) enum Coding {
    Category(Vocabulary),
    /// This many rows after row 0.
    Hash(u32),
    Numeric {
        /// Of the transformed numbers.
        mean: f64,
        std: f64,
        transform: Option<Transform>,
    },
    /// A value's bucket is the number of edges that are not above it.
    Bucket {
        edges: Vec<f64>,
        buckets: u32,
    },
    /// Tags in the rows of the field of this number.
    Shared(usize),
}

impl Coding {
    pub(crate) fn is_category(&self) -> bool {
        matches!(self, Coding::Category(_) | Coding::Hash(_))
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Coding::Category(vocabulary) => 1 + vocabulary.hashed() as usize + vocabulary.len(),
            Coding::Hash(rows) => 1 + *rows as usize,
            Coding::Numeric { .. } => 2,
            Coding::Bucket { buckets, .. } => 1 + *buckets as usize,
            Coding::Shared(_) => 0,
        }
    }

    /// The embedding row of a category's text; 0 when it is missing or unknown.
    #[inline]
    pub(crate) fn category(&self, cell: Option<&[u8]>) -> u32 {
        match (self, cell) {
            (Coding::Category(vocabulary), Some(text)) => vocabulary.row_or_hash(text),
            (Coding::Hash(rows), Some(text)) => hashed(text, *rows),
            _ => 0,
        }
    }

    /// The embedding row and multiplier of a number, NaN when it is missing.
    #[inline]
    pub(crate) fn number(&self, x: f64) -> (u32, f32) {
        match self {
            _ if x.is_nan() => (0, 1.0),
            Coding::Numeric { mean, std, transform } => (1, ((Transform::of(*transform, x) - mean) / std) as f32),
            Coding::Bucket { edges, .. } => (1 + edges.partition_point(|edge| *edge <= x) as u32, 1.0),
            _ => (0, 1.0),
        }
    }
}

/// How a column's cells are looked up, and what was found so far.
pub(crate) struct Lookup<'e> {
    coding: &'e Coding,
    value_type: ValueType,
    nulls: &'e Nulls,
    room: String,
    pub(crate) tally: Tally,
}

impl Lookup<'_> {
    /// The embedding row of a cell.
    #[inline]
    pub(crate) fn row(&mut self, cell: Option<&[u8]>) -> u32 {
        let Some(text) = cell.and_then(|text| self.value_type.canonical(text, self.nulls, &mut self.room)) else {
            self.tally.missing();
            return 0;
        };
        let row = self.coding.category(Some(text));
        let is_hashed = match self.coding {
            Coding::Hash(_) => true,
            Coding::Category(known) => row <= known.hashed(),
            _ => false,
        };
        if row > 0 && (!is_hashed || self.value_type == ValueType::Text || self.value_type.holds(text)) {
            self.tally.known();
        } else {
            self.tally.unknown(text);
        }
        row
    }

    /// The embedding row of a value in its one form.
    #[inline]
    pub(crate) fn row_of_form(&mut self, form: Option<&[u8]>) -> u32 {
        let row = self.coding.category(form);
        match form {
            None => self.tally.missing(),
            Some(_) if row > 0 => self.tally.known(),
            Some(form) => self.tally.unknown(form),
        }
        row
    }
}

/// The fitted schema: vocabularies, statistics and scenario names.
///
/// It is saved with a run ([`Encoder::save`]) so that prediction encodes other files in the same way.
#[derive(Debug, Clone)]
pub struct Encoder {
    schema: Schema,
    fields: Vec<FieldInfo>,
    sequences: Vec<SequenceInfo>,
    codings: Vec<Coding>,
    /// Per field what its values are; text for fields of numbers.
    types: Vec<ValueType>,
    /// Per field what the values of the columns are that it crosses; none where it is a column itself.
    part_types: Vec<Vec<ValueType>>,
    scenarios: Vec<String>,
    scenario_numbers: Interner,
    scenario_type: ValueType,
    nulls: Nulls,
    value_count: usize,
}

/// What fitting decides of the columns, besides the schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fit {
    /// One entry per field of the schema, aware first.
    pub(crate) codings: Vec<Coding>,
    /// Likewise.
    pub(crate) types: Vec<ValueType>,
    /// Likewise.
    pub(crate) part_types: Vec<Vec<ValueType>>,
    pub(crate) scenarios: Vec<String>,
    pub(crate) scenario_type: ValueType,
}

/// The name of the one scenario of data without scenarios.
pub(crate) const ONLY_SCENARIO: &str = "all rows";

impl Encoder {
    pub(crate) fn new(schema: Schema, fit: Fit) -> Encoder {
        let Fit { codings, types, part_types, scenarios, scenario_type } = fit;
        let mut value_count = 0;
        let fields: Vec<FieldInfo> = schema
            .field_names()
            .zip(&codings)
            .enumerate()
            .map(|(k, (name, coding))| {
                let value_index = matches!(coding, Coding::Numeric { .. }).then_some(value_count);
                value_count += usize::from(value_index.is_some());
                let role = if k < schema.aware.len() { FieldRole::Aware } else { FieldRole::Agnostic };
                let tags = schema.list_of(k).map(|list| {
                    let options = schema.field_options(name);
                    TagsInfo {
                        list,
                        rows_of: schema.vocabulary_of(k),
                        max_length: options.most_tags(),
                        pooling: options.pooling.unwrap_or_default(),
                        weighted: options.weights.is_some(),
                    }
                });
                FieldInfo { name: name.to_owned(), role, rows: coding.rows(), value_index, tags }
            })
            .collect();
        let sequences = schema
            .sequence
            .iter()
            .filter_map(|s| {
                let field = fields.iter().position(|f| f.name == s.vocabulary)?;
                Some(SequenceInfo { name: s.column.clone(), field, max_length: s.max_length })
            })
            .collect();
        let mut scenario_numbers = Interner::default();
        for name in &scenarios {
            scenario_numbers.intern(name.as_bytes());
        }
        let nulls = Nulls::new(schema.null_values.as_deref());
        Encoder {
            schema,
            fields,
            sequences,
            codings,
            types,
            part_types,
            scenarios,
            scenario_numbers,
            scenario_type,
            nulls,
            value_count,
        }
    }

    /// The schema that was fitted.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The embedding fields: aware in the schema's order, then agnostic.
    pub fn fields(&self) -> &[FieldInfo] {
        &self.fields
    }

    /// The sequence columns in the schema's order.
    pub fn sequences(&self) -> &[SequenceInfo] {
        &self.sequences
    }

    /// The field whose ids a list has, by the list's number: sequences, then fields of tags.
    pub(crate) fn field_of_list(&self, list: usize) -> usize {
        let of_tags = || self.fields.iter().filter_map(|field| field.tags).find(|tags| tags.list == list);
        match self.sequences.get(list) {
            Some(sequence) => sequence.field,
            None => of_tags().map_or(0, |tags| tags.rows_of),
        }
    }

    /// For each list whether its items have weights.
    pub(crate) fn weighted_lists(&self) -> Vec<bool> {
        let of_tags = self.fields.iter().filter_map(|field| field.tags).map(|tags| tags.weighted);
        self.sequences.iter().map(|_| false).chain(of_tags).collect()
    }

    /// The scenarios' names, sorted: by number where all are whole numbers, else by text.
    pub fn scenarios(&self) -> &[String] {
        &self.scenarios
    }

    /// How many numeric fields there are: the columns of [`Rows::values`].
    pub fn value_count(&self) -> usize {
        self.value_count
    }

    /// A field's vocabulary; `None` when it is hashed, numeric or not there.
    pub fn vocabulary(&self, field: usize) -> Option<&Vocabulary> {
        match self.codings.get(field) {
            Some(Coding::Category(vocabulary)) => Some(vocabulary),
            _ => None,
        }
    }

    /// What a field's values are; text where it is numeric or not there.
    pub fn value_type(&self, field: usize) -> ValueType {
        self.types.get(field).copied().unwrap_or_default()
    }

    /// What the values of the columns are that a field crosses; none where it is a column itself.
    pub(crate) fn part_types(&self, field: usize) -> &[ValueType] {
        &self.part_types[field]
    }

    /// What the scenarios' names are.
    pub(crate) fn scenario_type(&self) -> ValueType {
        self.scenario_type
    }

    /// Whether the other gives every row the same scenario, ids and values, so that one's model is the other's.
    pub fn same_codes(&self, other: &Encoder) -> bool {
        let same = |pair: (&Coding, &Coding)| match pair {
            (Coding::Category(a), Coding::Category(b)) => {
                a.rows() == b.rows() && a.rows().all(|row| a.value(row) == b.value(row))
            }
            (Coding::Hash(a), Coding::Hash(b)) => a == b,
            (Coding::Numeric { mean, std, transform }, Coding::Numeric { mean: m, std: s, transform: t }) => {
                mean == m && std == s && transform == t
            }
            (Coding::Bucket { edges, buckets }, Coding::Bucket { edges: e, buckets: b }) => edges == e && buckets == b,
            (Coding::Shared(a), Coding::Shared(b)) => a == b,
            _ => false,
        };
        self.scenarios == other.scenarios
            && self.fields == other.fields
            && self.types == other.types
            && self.part_types == other.part_types
            && self.codings.iter().zip(&other.codings).all(same)
    }

    pub(crate) fn codings(&self) -> &[Coding] {
        &self.codings
    }

    pub(crate) fn nulls(&self) -> &Nulls {
        &self.nulls
    }

    /// What checks of other files' cells need to know.
    pub(crate) fn known(&self) -> Known<'_> {
        Known {
            scenarios: &self.scenario_numbers,
            scenario_type: self.scenario_type,
            types: &self.types,
            part_types: &self.part_types,
            unknown_scenario: self.schema.unknown_scenario,
        }
    }

    /// A new lookup of a field's categories.
    pub(crate) fn lookup(&self, field: usize) -> Lookup<'_> {
        let (coding, value_type) = (&self.codings[field], self.types[field]);
        Lookup { coding, value_type, nulls: &self.nulls, room: String::new(), tally: Tally::default() }
    }

    /// The columns whose values are counted: the fields', then the sequences'.
    fn counted_columns(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str()).chain(self.sequences.iter().map(|s| s.name.as_str()))
    }

    /// What [`Encoder::encode`] counted, by column.
    pub(crate) fn unknown_values(&self, tallies: &[Tally]) -> Vec<UnknownValues> {
        self.counted_columns().zip(tallies).map(|(column, tally)| tally.finish(column)).collect()
    }

    /// The number of rows whose scenario the train split does not have: one more than its scenarios' numbers. Such rows
    /// are there with `data.unknown_scenario = "shared"` only.
    pub fn new_scenario(&self) -> u32 {
        self.scenarios.len() as u32
    }

    /// What a column of another file has that this encoder does not know, in words: what is likely to be wrong.
    pub fn explain(&self, unknown: &UnknownValues) -> String {
        let of_field = self.fields.iter().position(|field| field.name == unknown.column);
        let of_sequence = self.sequences.iter().find(|sequence| sequence.name == unknown.column);
        let of_field = of_field.map(|field| self.schema.vocabulary_of(field));
        let Some(field) = of_field.or(of_sequence.map(|sequence| sequence.field)) else { return String::new() };
        let (texts, value_type) = (unknown.commonest.iter().map(|(text, _)| text.as_str()), self.types[field]);
        if value_type != ValueType::Text && texts.clone().any(|text| !value_type.holds(text.as_bytes())) {
            return format!(
                "the run knows {}: is this the same column, written in the same way?",
                value_type.in_words()
            );
        }
        let misses = self.vocabulary(field).and_then(|known| texts.clone().find_map(|text| near_miss(text, known)));
        match misses {
            Some(what) => format!("known values are there with {what}: write them as the training data has them"),
            None if unknown.unknown == unknown.values - unknown.missing => {
                let known = self.vocabulary(field).and_then(|known| known.value(*known.rows().start()));
                let known = known.map_or_else(String::new, |value| format!(" (such as {value:?})"));
                format!("none of the values is one that the run knows{known}: is this the same column?")
            }
            None => "they are new since training: train on newer data, or hash the field".to_owned(),
        }
    }

    /// The same vocabularies under a schema that differs only in what does not touch them.
    pub(crate) fn with_schema(mut self, schema: &Schema) -> Encoder {
        self.schema = schema.clone();
        self
    }

    /// Encodes a chunk's good rows, and adds what was missing or unknown to `tallies`: one for each field, then for each
    /// sequence.
    pub(crate) fn encode(
        &self,
        plan: &WantedColumns,
        chunk: &Chunk,
        checked: Checked,
        tallies: &mut Vec<Tally>,
    ) -> Result<Rows> {
        let (rows, width) = (checked.keep.len(), self.fields.len());
        tallies.resize_with(width + self.sequences.len(), Tally::default);
        let (of_fields, of_sequences) = tallies.split_at_mut(width);
        let columns: Vec<(Vec<u32>, Option<ItemLists>)> = of_fields
            .par_iter_mut()
            .enumerate()
            .map(|(f, tally)| match &self.codings[f] {
                _ if self.fields[f].tags.is_some() => {
                    let (tags, options) = (self.fields[f].tags, self.schema.field_options(&self.fields[f].name));
                    let TagsInfo { list, rows_of, .. } = tags.expect("a field of tags");
                    let mut lookup = self.lookup(rows_of);
                    let columns = plan.tags[list - self.sequences.len()];
                    let of_item = |item: &[u8]| lookup.row(Some(item));
                    let (lists, _) = checked.tags(plan, chunk, columns, &options, &self.nulls, of_item)?;
                    tally.merge(lookup.tally);
                    Ok((vec![0; rows], Some(lists)))
                }
                Coding::Category(_) | Coding::Hash(_) => {
                    let mut lookup = self.lookup(f);
                    let codes = match &plan.parts[f][..] {
                        [] => checked.codes(plan, chunk, plan.fields[f], |cell| lookup.row(cell))?,
                        parts => crossed(plan, chunk, &checked, parts, &self.part_types[f], &self.nulls, |form| {
                            lookup.row_of_form(form)
                        })?,
                    };
                    tally.merge(lookup.tally);
                    Ok((codes, None))
                }
                coding => {
                    for x in &checked.numbers[f] {
                        if x.is_nan() { tally.missing() } else { tally.known() }
                    }
                    Ok((checked.numbers[f].iter().map(|x| coding.number(*x).0).collect(), None))
                }
            })
            .collect::<Result<_>>()?;
        let mut ids = vec![0; rows * width];
        let mut values = vec![1.0; rows * self.value_count];
        for (f, (column, _)) in columns.iter().enumerate() {
            for (row, id) in column.iter().enumerate() {
                ids[row * width + f] = *id;
            }
            if let Some(k) = self.fields[f].value_index {
                for (row, x) in checked.numbers[f].iter().enumerate() {
                    values[row * self.value_count + k] = self.codings[f].number(*x).1;
                }
            }
        }
        let mut sequences = Vec::new();
        let sequence_columns = self.sequences.iter().zip(&self.schema.sequence).zip(&plan.sequences);
        for (((info, options), column), tally) in sequence_columns.zip(of_sequences) {
            let mut lookup = self.lookup(info.field);
            let lists = checked.sequences(plan, chunk, *column, options, |item| lookup.row(Some(item)))?;
            tally.merge(lookup.tally);
            sequences.push(sequence(lists, false));
        }
        let tags = columns.into_iter().zip(&self.fields).filter_map(|((_, lists), field)| Some((lists?, field.tags?)));
        sequences.extend(tags.map(|(lists, tags)| sequence(lists, tags.weighted)));
        let users = checked.users(plan, chunk)?.map(Into::into);
        let Checked { labels, clicks, weights, probabilities, scenarios, .. } = checked;
        let columns = RowColumns {
            ids: ids.into(),
            values: values.into(),
            labels: labels.into(),
            scenarios: scenarios.into(),
            users,
            clicks: clicks.map(Into::into),
            weights: weights.map(Into::into),
            probabilities: probabilities.map(Into::into),
            sequences,
        };
        Rows::from_columns(width, self.value_count, columns)
    }
}
