//! What a field becomes: a vocabulary, moments or buckets, of what was counted over the train rows.

use crate::data::encoded::encoder::Coding;
use crate::data::fit::basis::Basis;
use crate::data::fit::spool::Block;
use crate::data::fit::tally::{Counts, Moments, Sample};
use crate::data::fit::values::{Hashing, Values};
use crate::data::fit::vocabulary::{Interner, Vocabulary};
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{FieldKind, Schema};

/// How many buckets a field has whose options don't say.
const DEFAULT_BUCKETS: u32 = 20;

/// With fewer rows than this, nearly all values of a column may differ by chance.
const MANY_ROWS: u64 = 1000;

/// What is counted of a field over the train rows.
pub(super) enum Tally {
    /// How many are not missing.
    Hashed(u64),
    Counts(Counts),
    Moments(Moments),
    Sample(Sample),
}

impl Tally {
    pub(super) fn new(values: &Values, kind: FieldKind) -> Self {
        match values {
            Values::Category { values, .. } => Tally::Counts(Counts::new(values.len() + 1)),
            Values::Hash(_) => Tally::Hashed(0),
            Values::Number if kind == FieldKind::Bucket => Tally::Sample(Sample::default()),
            Values::Number => Tally::Moments(Moments::default()),
        }
    }

    pub(super) fn add(&mut self, block: &Block, field: usize, train: &[u32]) {
        let numbers = || train.iter().map(|row| block.numbers[field][*row as usize]).filter(|x| !x.is_nan());
        match self {
            Tally::Hashed(count) => {
                *count += train.iter().filter(|row| block.ids[field][**row as usize] > 0).count() as u64;
            }
            Tally::Counts(counts) => train.iter().for_each(|row| counts.add(block.ids[field][*row as usize])),
            Tally::Moments(moments) => numbers().for_each(|x| moments.add(x)),
            Tally::Sample(sample) => numbers().for_each(|x| sample.add(x)),
        }
    }
}

/// What a column of the train split has that a user should know of, if anything.
pub(super) fn warning(name: &str, tally: &Tally, rows: u64) -> Option<String> {
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
                1 if values == rows && rows > 1 => one(),
                _ if rows >= MANY_ROWS && different * 10 >= rows * 9 => Some(format!(
                    "column \"{name}\" has {different} different values in {rows} train rows: what is learned of one is \
                     of no use for others; is it a feature, or the rows' own number?"
                )),
                _ => None,
            }
        }
        Tally::Moments(moments) if moments.count() == 0 => nothing(),
        Tally::Moments(moments) if moments.count() == rows && rows > 1 && moments.is_constant() => one(),
        Tally::Sample(sample) if sample.is_empty() => nothing(),
        _ => None,
    }
}

/// What a field becomes.
pub(super) struct Finished {
    pub(super) coding: Coding,
    pub(super) value_type: ValueType,
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
    let number =
        |coding: Coding| Finished { coding, value_type: ValueType::Text, map: Vec::new(), missing: Vec::new() };
    match (values, tally) {
        (Values::Category { values, evidence }, Tally::Counts(counts)) => {
            let min_count = options.min_count.unwrap_or(schema.min_count);
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
            let known = match before {
                Some(Coding::Category(known)) => known.clone(),
                _ => Vocabulary::default(),
            };
            categories(&values, &counts, value_type, min_count, nulls, known)
        }
        (_, Tally::Moments(moments)) => number(match kept {
            Some(numeric @ Coding::Numeric { .. }) => numeric.clone(),
            _ => Coding::Numeric { mean: moments.mean(), std: moments.std() },
        }),
        (_, Tally::Sample(sample)) => {
            let asked = options.buckets.unwrap_or(DEFAULT_BUCKETS);
            number(match kept {
                Some(bucket @ Coding::Bucket { buckets, .. }) if *buckets == asked => bucket.clone(),
                _ => Coding::Bucket { edges: sample.edges(asked), buckets: asked },
            })
        }
        (Values::Hash(Hashing { rows, value_type, .. }), _) => Finished { value_type, ..number(Coding::Hash(rows)) },
        (Values::Category { .. } | Values::Number, Tally::Counts(_) | Tally::Hashed(_)) => {
            unreachable!("categories are counted, and numbers have moments or a sample")
        }
    }
}

/// The vocabulary of a column: what is known already, then its train values in their one form, the first seen first.
fn categories(
    values: &Interner,
    counts: &Counts,
    value_type: ValueType,
    min_count: u64,
    nulls: &Nulls,
    known: Vocabulary,
) -> Finished {
    let mut room = String::new();
    let mut vocabulary = known;
    let (mut map, mut missing) = (vec![0; values.len() + 1], Vec::new());
    let ids = 1..=values.len() as u32;
    // Mostly each text is its form, and a large vocabulary need not be there twice.
    if vocabulary.is_empty()
        && ids.clone().all(|id| value_type.canonical(values.get(id - 1), nulls, &mut room) == Some(values.get(id - 1)))
    {
        for (id, count) in counts.in_order().filter(|(id, count)| *id > 0 && *count >= min_count) {
            vocabulary.push(values.get(id - 1), count);
            map[id as usize] = vocabulary.len() as u32;
        }
        return Finished { coding: Coding::Category(vocabulary), value_type, map, missing };
    }
    // Each form once, with the counts of all texts that are written so.
    let mut forms = Interner::default();
    let mut form_counts: Vec<u64> = Vec::new();
    for (id, count) in counts.in_order().filter(|(id, _)| *id > 0) {
        let Some(form) = value_type.canonical(values.get(id - 1), nulls, &mut room) else { continue };
        let form = forms.intern(form) as usize;
        form_counts.resize(forms.len(), 0);
        form_counts[form] += count;
    }
    for (form, count) in form_counts.iter().enumerate() {
        let value = forms.get(form as u32);
        if !vocabulary.count_more(value, *count) && *count >= min_count {
            vocabulary.push(value, *count);
        }
    }
    drop(forms);
    for id in ids {
        match value_type.canonical(values.get(id - 1), nulls, &mut room) {
            Some(form) => map[id as usize] = vocabulary.row(form),
            None => missing.push(id),
        }
    }
    Finished { coding: Coding::Category(vocabulary), value_type, map, missing }
}
