//! What a field becomes: a vocabulary, moments or buckets, of what was counted over the train rows.

use std::cmp::Reverse;

use crate::data::encoded::encoder::Coding;
use crate::data::fit::basis::Basis;
use crate::data::fit::cross;
use crate::data::fit::spool::Block;
use crate::data::fit::tally::{Counts, Moments, Sample};
use crate::data::fit::values::{Hashing, Values};
use crate::data::fit::vocabulary::{Interner, Vocabulary};
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{FieldKind, FieldOptions, Schema, Transform};

/// How many buckets a field has whose options don't say.
const DEFAULT_BUCKETS: u32 = 20;

/// With fewer rows than this, nearly all values of a column may differ by chance.
const MANY_ROWS: u64 = 1000;

/// What is counted of a field over the train rows.
pub(super) enum Tally {
    /// How many are not missing; of values that are hashed, or looked up in another field's vocabulary.
    Hashed(u64),
    Counts(Counts),
    Moments(Moments, Option<Transform>),
    Sample(Sample),
}

impl Tally {
    pub(super) fn new(values: &Values, options: &FieldOptions) -> Self {
        match values {
            Values::Category { values, .. } => Tally::Counts(Counts::new(values.len() + 1)),
            Values::Cross(crossing) => Tally::Counts(Counts::new(crossing.len() + 1)),
            Values::Hash(_) | Values::Shared(_) => Tally::Hashed(0),
            Values::Number if options.kind == FieldKind::Bucket => Tally::Sample(Sample::default()),
            Values::Number => Tally::Moments(Moments::default(), options.transform),
        }
    }

    /// Counts the rows `train` of a block. `list` is the number of the field's lists, where it is one of tags.
    pub(super) fn add(&mut self, block: &Block, field: usize, list: Option<usize>, train: &[u32]) {
        if let Some(lists) = list.map(|list| &block.sequences[list]) {
            let starts = lists.starts();
            for &row in train {
                let row = row as usize;
                for &id in &lists.ids[starts[row]..][..lists.lengths[row] as usize] {
                    match self {
                        Tally::Counts(counts) => counts.add(id),
                        Tally::Hashed(count) => *count += u64::from(id > 0),
                        Tally::Moments(..) | Tally::Sample(_) => {}
                    }
                }
            }
            return;
        }
        let numbers = || train.iter().map(|row| block.numbers[field][*row as usize]).filter(|x| !x.is_nan());
        match self {
            Tally::Hashed(count) => {
                *count += train.iter().filter(|row| block.ids[field][**row as usize] > 0).count() as u64;
            }
            Tally::Counts(counts) => train.iter().for_each(|row| counts.add(block.ids[field][*row as usize])),
            Tally::Moments(moments, transform) => {
                numbers().for_each(|x| moments.add(Transform::of(*transform, x)));
            }
            Tally::Sample(sample) => numbers().for_each(|x| sample.add(x)),
        }
    }
}

/// What a column of the train split has that a user should know of, if anything.
pub(super) fn warning(name: &str, tally: &Tally, rows: u64, is_list: bool) -> Option<String> {
    let nothing = || Some(format!("column \"{name}\" has no value in the train split: it teaches the model nothing"));
    let one = || Some(format!("column \"{name}\" has one value only in the train split: it teaches the model nothing"));
    match tally {
        Tally::Hashed(0) => nothing(),
        Tally::Hashed(_) => None,
        Tally::Counts(counts) => {
            let (mut different, mut values) = (0, 0);
            for (_, count) in counts.in_order().filter(|(id, _)| *id > 0) {
                different += 1;
                values += count;
            }
            match different {
                0 => nothing(),
                _ if is_list => None,
                1 if values == rows && rows > 1 => one(),
                _ if rows >= MANY_ROWS && different * 10 >= rows * 9 => Some(format!(
                    "column \"{name}\" has {different} different values in {rows} train rows: what is learned of one is \
                     of no use for others; is it a feature, or the rows' own number?"
                )),
                _ => None,
            }
        }
        Tally::Moments(moments, _) if moments.count() == 0 => nothing(),
        Tally::Moments(moments, _) if moments.count() == rows && rows > 1 && moments.is_constant() => one(),
        Tally::Sample(sample) if sample.is_empty() => nothing(),
        _ => None,
    }
}

/// What a field becomes.
pub(super) struct Finished {
    pub(super) coding: Coding,
    pub(super) value_type: ValueType,
    /// What the values of the columns are that it crosses.
    pub(super) part_types: Vec<ValueType>,
    /// The final ids of provisional ones; empty where they are final.
    pub(super) map: Vec<u32>,
    /// The provisional ids, ascending, of texts that stand for a missing value.
    pub(super) missing: Vec<u32>,
}

pub(super) fn finish(
    schema: &Schema,
    name: &str,
    values: Values,
    tally: Tally,
    nulls: &Nulls,
    basis: Option<&Basis<'_>>,
    warnings: &mut Vec<String>,
) -> Finished {
    let options = schema.field_options(name);
    let before = basis.and_then(|basis| basis.coding(name));
    let kept = before.filter(|_| basis.is_some_and(|basis| !basis.refit_numbers));
    let number = |coding: Coding| Finished {
        coding,
        value_type: ValueType::Text,
        part_types: Vec::new(),
        map: Vec::new(),
        missing: Vec::new(),
    };
    // A cross is hashed as it is counted, by its columns' types.
    let kept_values = match options.has_vocabulary() {
        true => Kept { min_count: options.min_count.unwrap_or(schema.min_count), top: options.top },
        false => Kept { min_count: u64::MAX, top: None },
    };
    let known = || match before {
        Some(Coding::Category(known)) => known.clone(),
        _ => Vocabulary::hashing_to(options.hash.unwrap_or(0)),
    };
    match (values, tally) {
        (Values::Category { values, evidence }, Tally::Counts(counts)) => {
            let value_type = options.value_type.unwrap_or_else(|| {
                let mut evidence = evidence;
                counts.in_order().filter(|(id, _)| *id > 0).for_each(|(id, _)| evidence.add(values.get(id - 1), nulls));
                if evidence.is_rounded() {
                    warnings.push(format!(
                        "column \"{name}\" has whole numbers beyond 9007199254740992 that are written as floats, which \
                         cannot tell neighbours apart: write them as integers or text"
                    ));
                }
                evidence.decide()
            });
            categories(&Forms::Column { values: &values, value_type, nulls }, &counts, value_type, kept_values, known())
        }
        (Values::Cross(crossing), Tally::Counts(counts)) => {
            let part_types = match basis.and_then(|basis| basis.part_types(name)) {
                Some(types) => types.to_vec(),
                None => {
                    let asked: Vec<_> = options.cross.iter().map(|part| schema.asked_type(part)).collect();
                    let train = counts.in_order().map(|(id, _)| id).filter(|id| *id > 0);
                    crossing.types(&asked, train, nulls)
                }
            };
            let forms = crossing.forms(&part_types, nulls);
            let finished = categories(&Forms::Cross(&forms), &counts, ValueType::Text, kept_values, known());
            Finished { part_types, ..finished }
        }
        (_, Tally::Moments(moments, transform)) => number(match kept {
            Some(numeric @ Coding::Numeric { .. }) => numeric.clone(),
            _ => Coding::Numeric { mean: moments.mean(), std: moments.std(), transform },
        }),
        (_, Tally::Sample(sample)) => {
            let asked = options.buckets.unwrap_or(DEFAULT_BUCKETS);
            if let Some(edges) = options.boundaries {
                let buckets = edges.len() as u32 + 1;
                return number(Coding::Bucket { edges, buckets });
            }
            number(match kept {
                Some(bucket @ Coding::Bucket { buckets, .. }) if *buckets == asked => bucket.clone(),
                _ => Coding::Bucket { edges: sample.edges(asked), buckets: asked },
            })
        }
        (Values::Shared(field), _) => number(Coding::Shared(field)),
        (Values::Hash(Hashing { rows, value_type, .. }), _) => Finished { value_type, ..number(Coding::Hash(rows)) },
        (Values::Category { .. } | Values::Cross(_) | Values::Number, Tally::Counts(_) | Tally::Hashed(_)) => {
            unreachable!("categories are counted, and numbers have moments or a sample")
        }
    }
}

/// Provisional ids, from 1, and the one form of what each stands for.
enum Forms<'a> {
    Column { values: &'a Interner, value_type: ValueType, nulls: &'a Nulls },
    Cross(&'a cross::Forms),
}

impl Forms<'_> {
    fn len(&self) -> usize {
        match self {
            Forms::Column { values, .. } => values.len(),
            Forms::Cross(forms) => forms.len(),
        }
    }

    /// The form of an id; `None` where it stands for a missing value.
    #[inline]
    fn of<'a>(&'a self, id: u32, room: &'a mut String) -> Option<&'a [u8]> {
        match self {
            Forms::Column { values, value_type, nulls } => value_type.canonical(values.get(id - 1), nulls, room),
            Forms::Cross(forms) => forms.form(id, room),
        }
    }

    /// Whether each text is its form, as mostly it is.
    fn are_texts(&self) -> bool {
        let Forms::Column { values, .. } = self else { return false };
        let mut room = String::new();
        (1..=values.len() as u32).all(|id| self.of(id, &mut room) == Some(values.get(id - 1)))
    }
}

/// Which values get a row of their own.
#[derive(Clone, Copy)]
struct Kept {
    min_count: u64,
    top: Option<u32>,
}

impl Kept {
    /// Of values in the order in which they were first seen those that are kept, in the same order; `known` have rows already.
    /// Of equally common ones the first seen goes first.
    fn of(self, counts: impl Iterator<Item = (u32, u64)>, known: usize) -> Vec<(u32, u64)> {
        let mut kept: Vec<(u32, u64)> = counts.filter(|(_, count)| *count >= self.min_count).collect();
        if let Some(top) = self.top {
            let room = (top as usize).saturating_sub(known);
            if kept.len() > room {
                let mut order: Vec<usize> = (0..kept.len()).collect();
                order.sort_by_key(|at| (Reverse(kept[*at].1), *at));
                order.truncate(room);
                order.sort_unstable();
                kept = order.into_iter().map(|at| kept[at]).collect();
            }
        }
        kept
    }
}

/// The vocabulary of a column: what is known already, then its train values in their one form, the first seen first.
fn categories(forms: &Forms<'_>, counts: &Counts, value_type: ValueType, kept: Kept, known: Vocabulary) -> Finished {
    let mut room = String::new();
    let mut vocabulary = known;
    let (mut map, mut missing) = (vec![0; forms.len() + 1], Vec::new());
    let seen = || counts.in_order().filter(|(id, _)| *id > 0);
    // A large vocabulary need not be there twice.
    if vocabulary.is_empty()
        && let Forms::Column { values, .. } = forms
        && forms.are_texts()
    {
        for (id, count) in kept.of(seen(), 0) {
            vocabulary.push(values.get(id - 1), count);
        }
    } else {
        // Each form once, with the counts of all texts that are written so.
        let mut distinct = Interner::default();
        let mut form_counts: Vec<u64> = Vec::new();
        for (id, count) in seen() {
            let Some(form) = forms.of(id, &mut room) else { continue };
            let form = distinct.intern(form) as usize;
            form_counts.resize(distinct.len(), 0);
            form_counts[form] += count;
        }
        let before = vocabulary.len();
        let mut new = Vec::new();
        for (form, count) in form_counts.iter().enumerate() {
            if !vocabulary.count_more(distinct.get(form as u32), *count) {
                new.push((form as u32, *count));
            }
        }
        for (form, count) in kept.of(new.into_iter(), before) {
            vocabulary.push(distinct.get(form), count);
        }
    }
    for id in 1..=forms.len() as u32 {
        match forms.of(id, &mut room) {
            Some(form) => map[id as usize] = vocabulary.row_or_hash(form),
            None => missing.push(id),
        }
    }
    Finished { coding: Coding::Category(vocabulary), value_type, part_types: Vec::new(), map, missing }
}
