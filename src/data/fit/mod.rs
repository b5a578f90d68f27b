//! Fitting a schema: one pass over the files with provisional ids, then counting over the train rows.

pub(super) mod evidence;
pub(super) mod notes;
pub(super) mod spool;
pub(super) mod tally;
pub(super) mod vocabulary;

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::data::encoded::encoder::{Coding, Encoder, Fit, ONLY_SCENARIO, hashed};
use crate::data::error::{Error, Result};
use crate::data::fit::evidence::Evidence;
use crate::data::fit::spool::{Block, Spool};
use crate::data::fit::tally::{Counts, Moments, Sample};
use crate::data::fit::vocabulary::{Interner, Vocabulary};
use crate::data::progress::{OpeningPhase, Progress};
use crate::data::read::checks::{Checked, Skipped, check};
use crate::data::read::faults::MAX_MESSAGES;
use crate::data::read::reader::{Chunk, Reader};
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{FieldKind, OnBadRow, Schema, Split, SplitName, UnknownScenario};
use crate::data::split::choice::{Assignment, Times, by_seed, check_rows};

/// How many buckets a field has whose options don't say.
const DEFAULT_BUCKETS: u32 = 20;

/// More distinct values than this are refused, so that provisional ids fit 32 bits with room for one more chunk.
const MAX_VALUES: usize = 4_000_000_000;

/// What the reading pass has gathered.
pub(super) struct Gathered {
    pub(super) spool: Spool,
    pub(super) skipped: Skipped,
    values: Vec<Values>,
    scenarios: Interner,
    scenario_evidence: Evidence,
    nulls: Nulls,
    times: Vec<f64>,
}

/// What is known of a field's values before they are counted.
enum Values {
    Category { values: Interner, evidence: Evidence },
    Hash(Hashing),
    Number,
}

/// A field whose values are hashed as they are read, so that their type must be known by then.
struct Hashing {
    rows: u32,
    /// The type asked for, or the one that all values so far allow.
    value_type: ValueType,
    /// None where a type was asked for.
    evidence: Option<Evidence>,
    /// Whether a value was hashed.
    began: bool,
    /// Whether one was hashed as of a type that a later one does not allow.
    was_wrong: bool,
}

/// What is known of hashed fields' types from an earlier reading that had to be begun anew. One entry per field.
pub(super) type HashedTypes = Vec<Evidence>;

/// Reads all rows and gives them provisional ids. `None` when the files must be read again, as a hashed field's values
/// turned out to be of another type than the first ones; `known` then says what was learned.
pub(super) fn gather(
    schema: &Schema,
    plan: &WantedColumns,
    mut reader: Reader,
    spool: Spool,
    total: u64,
    known: &mut HashedTypes,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Gathered>> {
    known.resize_with(plan.fields.len(), Evidence::default);
    let values = schema.field_names().zip(known.iter()).map(|(name, known)| {
        let options = schema.field_options(name);
        match (options.kind, options.hash) {
            (FieldKind::Category, Some(rows)) => Values::Hash(Hashing {
                rows,
                value_type: options.value_type.unwrap_or_else(|| known.decide()),
                evidence: options.value_type.is_none().then(|| known.clone()),
                began: false,
                was_wrong: false,
            }),
            (FieldKind::Category, None) => {
                Values::Category { values: Interner::default(), evidence: Evidence::default() }
            }
            _ => Values::Number,
        }
    });
    let mut gathered = Gathered {
        spool,
        skipped: Skipped::default(),
        values: values.collect(),
        scenarios: Interner::default(),
        scenario_evidence: Evidence::default(),
        nulls: Nulls::new(schema.null_values.as_deref()),
        times: Vec::new(),
    };
    let mut chunk = reader.next()?;
    while let Some(current) = chunk {
        // The next chunk is decoded while this one is encoded.
        let (next, block) = rayon::join(|| reader.next(), || gathered.encode(schema, plan, &current));
        gathered.spool.push(block?);
        if gathered.must_begin_anew(known) {
            return Ok(None);
        }
        chunk = next?;
        progress(Progress {
            phase: OpeningPhase::Reading,
            done: reader.bytes_done(),
            total,
            rows: gathered.spool.rows(),
        });
    }
    Ok(Some(gathered))
}

impl Gathered {
    /// Whether a hashed field was misunderstood; what is known of such fields by now goes to `known`.
    fn must_begin_anew(&mut self, known: &mut HashedTypes) -> bool {
        let mut was_wrong = false;
        for (values, known) in self.values.iter_mut().zip(known) {
            if let Values::Hash(Hashing { evidence: Some(evidence), was_wrong: wrong, .. }) = values {
                was_wrong |= *wrong;
                known.clone_from(evidence);
            }
        }
        was_wrong
    }

    fn encode(&mut self, schema: &Schema, plan: &WantedColumns, chunk: &Chunk) -> Result<Block> {
        let checked = check(schema, plan, None, &self.nulls, chunk)?;
        self.skipped.settle(schema.on_bad_row, chunk, &checked.faults)?;
        let names: Vec<&str> = schema.field_names().collect();
        let nulls = &self.nulls;
        let columns: Vec<FieldBlock> = self
            .values
            .par_iter_mut()
            .enumerate()
            .map(|(f, values)| values.encode(schema, plan, chunk, &checked, (f, names[f]), nulls))
            .collect::<Result<_>>()?;
        let mut block = Block { sequences: vec![Default::default(); plan.sequences.len()], ..Block::default() };
        for FieldBlock { ids, sequences } in columns {
            block.ids.push(ids);
            for (k, lengths, ids) in sequences {
                block.sequences[k] = (lengths, ids);
            }
        }
        let scenarios = &mut self.scenarios;
        block.scenarios = match plan.scenario {
            Some(column) => {
                self.scenario_evidence.hold_as(checked.value_type(plan, chunk, column)?);
                checked.codes(plan, chunk, column, |cell| scenarios.intern(cell.unwrap_or_default()))?
            }
            None => vec![scenarios.intern(ONLY_SCENARIO.as_bytes()); checked.keep.len()],
        };
        block.users = checked.users(plan, chunk)?;
        let Checked { keep, labels, probabilities, splits, times, numbers, .. } = checked;
        block.splits = match &schema.split {
            Split::Seed { seed, valid, test } => {
                keep.iter().map(|k| by_seed(*seed, *valid, *test, chunk.first + u64::from(*k))).collect()
            }
            _ => splits,
        };
        self.times.extend_from_slice(&times);
        Ok(Block { labels, probabilities, times, numbers, ..block })
    }

    /// Counts over the train rows and fixes all vocabularies, statistics and scenarios.
    pub(super) fn fit(mut self, schema: &Schema, progress: &mut dyn FnMut(Progress)) -> Result<Fitted> {
        let assignment = Assignment::new(schema, &mut self.times);
        self.times = Vec::new();
        let mut tallies: Vec<Tally> = schema
            .field_names()
            .zip(&self.values)
            .map(|(name, values)| match values {
                Values::Category { values, .. } => Tally::Counts(Counts::new(values.len() + 1)),
                Values::Hash(_) => Tally::Hashed(0),
                Values::Number if schema.field_options(name).kind == FieldKind::Bucket => {
                    Tally::Sample(Sample::default())
                }
                Values::Number => Tally::Moments(Moments::default()),
            })
            .collect();
        let mut sizes = Sizes::new(self.scenarios.len(), schema.sequence.len(), assignment.times());
        let (mut done, total) = (0, self.spool.rows());
        self.spool.for_each(|block| {
            let splits = assignment.splits(block);
            let train: Vec<u32> = (0..block.len() as u32).filter(|row| splits[*row as usize] == 0).collect();
            tallies.par_iter_mut().enumerate().for_each(|(f, tally)| tally.add(block, f, &train));
            sizes.add(block, &splits);
            done += block.len() as u64;
            progress(Progress { phase: OpeningPhase::Counting, done, total, rows: done });
            Ok(())
        })?;
        sizes.check(schema)?;

        let names = ScenarioNames::new(&self.scenarios, &sizes.rows[0], self.scenario_evidence);
        let (scenarios, scenario_map) = sizes.scenarios(schema, &names, &mut self.skipped)?;
        let mut fit = Fit { scenarios, scenario_type: names.value_type, ..Fit::default() };
        let (mut maps, mut missing, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let train_rows = sizes.rows[0].iter().sum();
        for ((name, values), tally) in schema.field_names().zip(self.values).zip(tallies) {
            warnings.extend(warning(name, &tally, train_rows));
            let Finished { coding, value_type, map, missing: nulls } =
                finish(schema, name, values, tally, &self.nulls, &mut warnings);
            fit.codings.push(coding);
            fit.types.push(value_type);
            maps.push(map);
            missing.push(nulls);
        }
        let encoder = Encoder::new(schema.clone(), fit);
        Ok(Fitted {
            encoder,
            spool: self.spool,
            skipped: self.skipped,
            assignment,
            maps,
            missing,
            scenario_map,
            sizes,
            warnings,
        })
    }
}

/// One field's part of a block.
struct FieldBlock {
    ids: Vec<u32>,
    /// The sequence columns that share the field's vocabulary: position, lengths, ids.
    sequences: Vec<(usize, Vec<u32>, Vec<u32>)>,
}

impl Values {
    fn encode(
        &mut self,
        schema: &Schema,
        plan: &WantedColumns,
        chunk: &Chunk,
        checked: &Checked,
        (field, name): (usize, &str),
        nulls: &Nulls,
    ) -> Result<FieldBlock> {
        if schema.field_options(name).kind != FieldKind::Category {
            return Ok(FieldBlock { ids: Vec::new(), sequences: Vec::new() });
        }
        let column = plan.fields[field];
        let container = checked.value_type(plan, chunk, column)?;
        match self {
            Values::Category { evidence, .. } => evidence.hold_as(container),
            Values::Hash(hashing) => hashing.learn(container, plan, chunk, checked, column, nulls)?,
            Values::Number => {}
        }
        let mut room = String::new();
        let mut id = |text: &[u8]| match self {
            Values::Category { values, .. } => values.intern(text) + 1,
            Values::Hash(hashing) => {
                hashing.began = true;
                hashing.value_type.canonical(text, nulls, &mut room).map_or(0, |text| hashed(text, hashing.rows))
            }
            Values::Number => 0,
        };
        let ids = checked.codes(plan, chunk, column, |cell| cell.map_or(0, &mut id))?;
        let mut sequences = Vec::new();
        for (k, sequence) in schema.sequence.iter().enumerate().filter(|(_, s)| s.vocabulary == name) {
            let (lengths, ids) = checked.sequences(plan, chunk, plan.sequences[k], sequence, &mut id)?;
            sequences.push((k, lengths, ids));
        }
        if matches!(self, Values::Category { values, .. } if values.len() > MAX_VALUES) {
            return Err(Error::TooManyValues { column: name.to_owned() });
        }
        Ok(FieldBlock { ids, sequences })
    }
}

impl Hashing {
    /// Learns the type of the values from a chunk, before these are hashed.
    fn learn(
        &mut self,
        container: ValueType,
        plan: &WantedColumns,
        chunk: &Chunk,
        checked: &Checked,
        column: usize,
        nulls: &Nulls,
    ) -> Result<()> {
        let Some(evidence) = &mut self.evidence else { return Ok(()) };
        evidence.hold_as(container);
        checked.codes(plan, chunk, column, |cell| evidence.add(cell.unwrap_or_default(), nulls))?;
        let value_type = evidence.decide();
        self.was_wrong = self.began && value_type != self.value_type;
        self.value_type = value_type;
        Ok(())
    }
}

/// What is counted of a field over the train rows.
enum Tally {
    /// How many are not missing.
    Hashed(u64),
    Counts(Counts),
    Moments(Moments),
    Sample(Sample),
}

impl Tally {
    fn add(&mut self, block: &Block, field: usize, train: &[u32]) {
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
fn warning(name: &str, tally: &Tally, rows: u64) -> Option<String> {
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

/// With fewer rows than this, nearly all values of a column may differ by chance.
const MANY_ROWS: u64 = 1000;

/// What a field becomes.
struct Finished {
    coding: Coding,
    value_type: ValueType,
    /// The final ids of provisional ones; empty where they are final.
    map: Vec<u32>,
    /// The provisional ids, ascending, of texts that stand for a missing value.
    missing: Vec<u32>,
}

fn finish(
    schema: &Schema,
    name: &str,
    values: Values,
    tally: Tally,
    nulls: &Nulls,
    warnings: &mut Vec<String>,
) -> Finished {
    let options = schema.field_options(name);
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
            categories(&values, &counts, value_type, min_count, nulls)
        }
        (_, Tally::Moments(moments)) => number(Coding::Numeric { mean: moments.mean(), std: moments.std() }),
        (_, Tally::Sample(sample)) => {
            let buckets = options.buckets.unwrap_or(DEFAULT_BUCKETS);
            number(Coding::Bucket { edges: sample.edges(buckets), buckets })
        }
        (Values::Hash(Hashing { rows, value_type, .. }), _) => Finished { value_type, ..number(Coding::Hash(rows)) },
        (Values::Category { .. } | Values::Number, Tally::Counts(_) | Tally::Hashed(_)) => {
            unreachable!("categories are counted, and numbers have moments or a sample")
        }
    }
}

/// The vocabulary of a column: its train values in their one form, the first seen first.
fn categories(values: &Interner, counts: &Counts, value_type: ValueType, min_count: u64, nulls: &Nulls) -> Finished {
    let mut room = String::new();
    let mut vocabulary = Vocabulary::default();
    let (mut map, mut missing) = (vec![0; values.len() + 1], Vec::new());
    let ids = 1..=values.len() as u32;
    // Mostly each text is its form, and a large vocabulary need not be there twice.
    if ids.clone().all(|id| value_type.canonical(values.get(id - 1), nulls, &mut room) == Some(values.get(id - 1))) {
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
    for (form, count) in form_counts.iter().enumerate().filter(|(_, count)| **count >= min_count) {
        vocabulary.push(forms.get(form as u32), *count);
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

/// The scenarios that rows have, in the one form of their type.
struct ScenarioNames {
    value_type: ValueType,
    /// Of each provisional number.
    names: Vec<String>,
}

impl ScenarioNames {
    /// `train_rows` says how many train rows each provisional scenario has: they decide the type.
    fn new(seen: &Interner, train_rows: &[u64], mut evidence: Evidence) -> ScenarioNames {
        // Here a text that stands for a missing number is a name.
        let nulls = Nulls::new(Some(&[]));
        let ids = 0..seen.len() as u32;
        ids.clone().filter(|id| train_rows[*id as usize] > 0).for_each(|id| evidence.add(seen.get(id), &nulls));
        let (value_type, mut room) = (evidence.decide(), String::new());
        let name = |id: u32| {
            let text = seen.get(id);
            let form = value_type.canonical(text, &nulls, &mut room).unwrap_or(text);
            String::from_utf8_lossy(form).into_owned()
        };
        ScenarioNames { value_type, names: ids.map(name).collect() }
    }
}

/// How many rows and sequence items each split has of each scenario.
pub(super) struct Sizes {
    /// `[split][scenario]`
    rows: [Vec<u64>; 3],
    /// `[split][sequence][scenario]`
    items: [Vec<Vec<u64>>; 3],
    /// Train rows of label 0 and 1.
    classes: [u64; 2],
    /// What the rows' times allow, where the schema splits by time.
    times: Times,
}

impl Sizes {
    fn new(scenarios: usize, sequences: usize, times: Times) -> Sizes {
        let zeros = || vec![0; scenarios];
        Sizes {
            rows: std::array::from_fn(|_| zeros()),
            items: std::array::from_fn(|_| (0..sequences).map(|_| zeros()).collect()),
            classes: [0; 2],
            times,
        }
    }

    fn add(&mut self, block: &Block, splits: &[u8]) {
        for (row, split) in splits.iter().enumerate() {
            let (split, scenario) = (*split as usize, block.scenarios[row] as usize);
            self.rows[split][scenario] += 1;
            if split == 0 {
                self.classes[usize::from(block.labels[row] != 0.0)] += 1;
            }
            for (items, (lengths, _)) in self.items[split].iter_mut().zip(&block.sequences) {
                items[scenario] += u64::from(lengths[row]);
            }
        }
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        check_rows(schema, &self.times, std::array::from_fn(|s| self.rows[s].iter().sum()))?;
        match self.classes {
            [0, rows] => Err(Error::OneClass { label: 1, rows }),
            [rows, 0] => Err(Error::OneClass { label: 0, rows }),
            _ => Ok(()),
        }
    }

    /// The train split's scenarios, sorted, and the final numbers of the provisional ones. What becomes of rows of other
    /// scenarios the schema says; where they are left out, their number is none.
    fn scenarios(
        &mut self,
        schema: &Schema,
        names: &ScenarioNames,
        skipped: &mut Skipped,
    ) -> Result<(Vec<String>, Vec<Option<u32>>)> {
        let names = &names.names;
        let trained: HashSet<&str> =
            names.iter().zip(&self.rows[0]).filter(|(_, rows)| **rows > 0).map(|(name, _)| name.as_str()).collect();
        let mut sorted: Vec<&str> = trained.iter().copied().collect();
        if sorted.iter().all(|name| name.parse::<i64>().is_ok()) {
            sorted.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
        } else {
            sorted.sort_unstable();
        }
        let numbers: HashMap<&str, u32> = sorted.iter().zip(0..).map(|(name, number)| (*name, number)).collect();
        let mut map = Vec::new();
        for (id, name) in names.iter().enumerate() {
            let number = numbers.get(name.as_str()).copied();
            let is_shared = schema.unknown_scenario == UnknownScenario::Shared;
            map.push(number.or(is_shared.then_some(sorted.len() as u32)));
            if number.is_none() && !is_shared {
                self.leave_out(schema, id, name, skipped)?;
            }
        }
        check_rows(schema, &self.times, std::array::from_fn(|s| self.rows[s].iter().sum()))?;
        Ok((sorted.into_iter().map(str::to_owned).collect(), map))
    }

    /// Counts the rows of a scenario without train rows as left out, where the schema allows it.
    fn leave_out(&mut self, schema: &Schema, id: usize, name: &str, skipped: &mut Skipped) -> Result<()> {
        for (s, split) in SplitName::ALL.into_iter().enumerate() {
            let rows = std::mem::take(&mut self.rows[s][id]);
            self.items[s].iter_mut().for_each(|items| items[id] = 0);
            if rows == 0 {
                continue;
            }
            if schema.unknown_scenario != UnknownScenario::Skip && schema.on_bad_row == OnBadRow::Fail {
                return Err(Error::UntrainedScenario { scenario: name.to_owned(), split, rows });
            }
            skipped.count += rows;
            if skipped.messages.len() < MAX_MESSAGES {
                skipped.messages.push(format!("{rows} rows of {split}: scenario \"{name}\" is not in train"));
            }
        }
        Ok(())
    }

    /// A split's rows, and the items of each of its sequence columns.
    pub(super) fn of(&self, split: usize) -> (u64, Vec<u64>) {
        (self.rows[split].iter().sum(), self.items[split].iter().map(|items| items.iter().sum()).collect())
    }
}

/// A fitted encoder with the rows that are still to be given their final ids.
pub(super) struct Fitted {
    pub(super) encoder: Encoder,
    pub(super) spool: Spool,
    pub(super) skipped: Skipped,
    pub(super) assignment: Assignment,
    /// Per field the final ids of provisional ones; empty where they are final.
    pub(super) maps: Vec<Vec<u32>>,
    /// Per field the provisional ids, ascending, of texts that stand for a missing value.
    pub(super) missing: Vec<Vec<u32>>,
    /// The final numbers of provisional scenarios; none for scenarios whose rows are left out.
    pub(super) scenario_map: Vec<Option<u32>>,
    pub(super) sizes: Sizes,
    /// What a user should know of the train rows' columns.
    pub(super) warnings: Vec<String>,
}
