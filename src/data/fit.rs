//! Fitting a schema: one pass over the files with provisional ids, then counting over the train rows.

use rayon::prelude::*;

use super::checks::{Checked, Skipped, check};
use super::columns::Plan;
use super::encoder::{Coding, Encoder, hashed};
use super::error::{Error, Result};
use super::open::{Phase, Progress};
use super::reader::{Chunk, Reader, TOLD};
use super::schema::{Kind, OnBadRow, Schema, Split, SplitName};
use super::split::{Assignment, by_seed, check_rows};
use super::spool::{Block, Spool};
use super::tally::{Counts, Moments, Sample};
use super::vocabulary::{Interner, Vocabulary};

/// How many buckets a field has whose options don't say.
const DEFAULT_BUCKETS: u32 = 20;

/// More distinct values than this are refused, so that provisional ids fit 32 bits with room for one more chunk.
const MOST_VALUES: usize = 4_000_000_000;

/// What the reading pass has gathered.
pub(super) struct Gathered {
    pub(super) spool: Spool,
    pub(super) skipped: Skipped,
    values: Vec<Values>,
    scenarios: Interner,
    times: Vec<f64>,
}

/// What is known of a field's values before they are counted.
enum Values {
    Category(Interner),
    Hash(u32),
    Number,
}

/// Reads all rows and gives them provisional ids.
pub(super) fn gather(
    schema: &Schema,
    plan: &Plan,
    mut reader: Reader,
    spool: Spool,
    total: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Gathered> {
    let values = schema.field_names().map(|name| {
        let options = schema.field_options(name);
        match (options.kind, options.hash) {
            (Kind::Category, Some(rows)) => Values::Hash(rows),
            (Kind::Category, None) => Values::Category(Interner::default()),
            _ => Values::Number,
        }
    });
    let mut gathered = Gathered {
        spool,
        skipped: Skipped::default(),
        values: values.collect(),
        scenarios: Interner::default(),
        times: Vec::new(),
    };
    let mut chunk = reader.next()?;
    while let Some(current) = chunk {
        // The next chunk is decoded while this one is encoded.
        let (next, block) = rayon::join(|| reader.next(), || gathered.encode(schema, plan, &current));
        gathered.spool.push(block?);
        chunk = next?;
        progress(Progress { phase: Phase::Reading, done: reader.bytes_done(), total, rows: gathered.spool.rows() });
    }
    Ok(gathered)
}

impl Gathered {
    fn encode(&mut self, schema: &Schema, plan: &Plan, chunk: &Chunk) -> Result<Block> {
        let checked = check(schema, plan, None, chunk)?;
        self.skipped.settle(schema.on_bad_row, chunk, &checked.faults)?;
        let names: Vec<&str> = schema.field_names().collect();
        let columns: Vec<FieldBlock> = self
            .values
            .par_iter_mut()
            .enumerate()
            .map(|(f, values)| values.encode(schema, plan, chunk, &checked, f, names[f]))
            .collect::<Result<_>>()?;
        let mut block = Block { sequences: vec![Default::default(); plan.sequences.len()], ..Block::default() };
        for FieldBlock { ids, sequences } in columns {
            block.ids.push(ids);
            for (k, lengths, ids) in sequences {
                block.sequences[k] = (lengths, ids);
            }
        }
        let scenarios = &mut self.scenarios;
        let scenario = |cell: Option<&[u8]>| scenarios.intern(cell.unwrap_or_default());
        block.scenarios = checked.codes(plan, chunk, plan.scenario, scenario)?;
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
                Values::Category(values) => Tally::Counts(Counts::new(values.len() + 1)),
                Values::Hash(_) => Tally::None,
                Values::Number if schema.field_options(name).kind == Kind::Bucket => Tally::Sample(Sample::default()),
                Values::Number => Tally::Moments(Moments::default()),
            })
            .collect();
        let mut sizes = Sizes::new(self.scenarios.len(), schema.sequence.len());
        let (mut done, total) = (0, self.spool.rows());
        self.spool.for_each(|block| {
            let splits = assignment.splits(block);
            let train: Vec<u32> = (0..block.len() as u32).filter(|row| splits[*row as usize] == 0).collect();
            tallies.par_iter_mut().enumerate().for_each(|(f, tally)| tally.add(block, f, &train));
            sizes.add(block, &splits);
            done += block.len() as u64;
            progress(Progress { phase: Phase::Counting, done, total, rows: done });
            Ok(())
        })?;
        sizes.check(schema)?;

        let (scenarios, scenario_map) = sizes.scenarios(schema, &self.scenarios, &mut self.skipped)?;
        let mut maps = Vec::new();
        let mut codings = Vec::new();
        for ((name, values), tally) in schema.field_names().zip(self.values).zip(tallies) {
            let (coding, map) = finish(schema, name, values, tally);
            codings.push(coding);
            maps.push(map);
        }
        let encoder = Encoder::new(schema.clone(), codings, scenarios);
        Ok(Fitted { encoder, spool: self.spool, skipped: self.skipped, assignment, maps, scenario_map, sizes })
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
        plan: &Plan,
        chunk: &Chunk,
        checked: &Checked,
        field: usize,
        name: &str,
    ) -> Result<FieldBlock> {
        let mut id = |text: &[u8]| match self {
            Values::Category(values) => values.intern(text) + 1,
            Values::Hash(rows) => hashed(text, *rows),
            Values::Number => 0,
        };
        if schema.field_options(name).kind != Kind::Category {
            return Ok(FieldBlock { ids: Vec::new(), sequences: Vec::new() });
        }
        let ids = checked.codes(plan, chunk, plan.fields[field], |cell| cell.map_or(0, &mut id))?;
        let mut sequences = Vec::new();
        for (k, sequence) in schema.sequence.iter().enumerate().filter(|(_, s)| s.vocabulary == name) {
            let (lengths, ids) = checked.sequences(plan, chunk, plan.sequences[k], sequence, &mut id)?;
            sequences.push((k, lengths, ids));
        }
        if matches!(self, Values::Category(values) if values.len() > MOST_VALUES) {
            return Err(Error::TooManyValues { column: name.to_owned() });
        }
        Ok(FieldBlock { ids, sequences })
    }
}

/// What is counted of a field over the train rows.
enum Tally {
    None,
    Counts(Counts),
    Moments(Moments),
    Sample(Sample),
}

impl Tally {
    fn add(&mut self, block: &Block, field: usize, train: &[u32]) {
        let numbers = || train.iter().map(|row| block.numbers[field][*row as usize]).filter(|x| !x.is_nan());
        match self {
            Tally::None => {}
            Tally::Counts(counts) => train.iter().for_each(|row| counts.add(block.ids[field][*row as usize])),
            Tally::Moments(moments) => numbers().for_each(|x| moments.add(x)),
            Tally::Sample(sample) => numbers().for_each(|x| sample.add(x)),
        }
    }
}

/// A field's final coding, and the final ids of its provisional ones (empty where they are final).
fn finish(schema: &Schema, name: &str, values: Values, tally: Tally) -> (Coding, Vec<u32>) {
    let options = schema.field_options(name);
    match (values, tally) {
        (Values::Category(values), Tally::Counts(counts)) => {
            let min_count = options.min_count.unwrap_or(schema.min_count);
            let mut vocabulary = Vocabulary::default();
            let mut map = vec![0; values.len() + 1];
            for (id, count) in counts.in_order() {
                if id > 0 && count >= min_count {
                    vocabulary.push(values.get(id - 1), count);
                    map[id as usize] = vocabulary.len() as u32;
                }
            }
            (Coding::Category(vocabulary), map)
        }
        (_, Tally::Moments(moments)) => (Coding::Numeric { mean: moments.mean(), std: moments.std() }, Vec::new()),
        (_, Tally::Sample(sample)) => {
            let buckets = options.buckets.unwrap_or(DEFAULT_BUCKETS);
            (Coding::Bucket { edges: sample.edges(buckets), buckets }, Vec::new())
        }
        (values, _) => (Coding::Hash(if let Values::Hash(rows) = values { rows } else { 1 }), Vec::new()),
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
}

impl Sizes {
    fn new(scenarios: usize, sequences: usize) -> Sizes {
        let zeros = || vec![0; scenarios];
        Sizes {
            rows: std::array::from_fn(|_| zeros()),
            items: std::array::from_fn(|_| (0..sequences).map(|_| zeros()).collect()),
            classes: [0; 2],
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
        check_rows(schema, std::array::from_fn(|s| self.rows[s].iter().sum()))?;
        match self.classes {
            [0, rows] => Err(Error::OneClass { label: 1, rows }),
            [rows, 0] => Err(Error::OneClass { label: 0, rows }),
            _ => Ok(()),
        }
    }

    /// The train split's scenarios, sorted, and the final numbers of the provisional ones. Rows of other scenarios
    /// are an error or skipped; their number is then none.
    fn scenarios(
        &mut self,
        schema: &Schema,
        seen: &Interner,
        skipped: &mut Skipped,
    ) -> Result<(Vec<String>, Vec<Option<u32>>)> {
        let name = |id: usize| String::from_utf8_lossy(seen.get(id as u32)).into_owned();
        let mut trained: Vec<(String, usize)> = Vec::new();
        for id in 0..seen.len() {
            if self.rows[0][id] > 0 {
                trained.push((name(id), id));
                continue;
            }
            for (s, split) in SplitName::ALL.into_iter().enumerate() {
                let rows = std::mem::take(&mut self.rows[s][id]);
                self.items[s].iter_mut().for_each(|items| items[id] = 0);
                if rows == 0 {
                    continue;
                }
                let error = Error::UntrainedScenario { scenario: name(id), split, rows };
                if schema.on_bad_row == OnBadRow::Fail {
                    return Err(error);
                }
                skipped.count += rows;
                if skipped.messages.len() < TOLD {
                    skipped.messages.push(format!("{rows} rows of {split}: scenario \"{}\" is not in train", name(id)));
                }
            }
        }
        check_rows(schema, std::array::from_fn(|s| self.rows[s].iter().sum()))?;
        if trained.iter().all(|(name, _)| name.parse::<i64>().is_ok()) {
            trained.sort_by_key(|(name, _)| name.parse::<i64>().unwrap_or_default());
        } else {
            trained.sort();
        }
        let mut map = vec![None; seen.len()];
        for (number, (_, id)) in trained.iter().enumerate() {
            map[*id] = Some(number as u32);
        }
        Ok((trained.into_iter().map(|(name, _)| name).collect(), map))
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
    /// The final numbers of provisional scenarios; none for scenarios whose rows are left out.
    pub(super) scenario_map: Vec<Option<u32>>,
    pub(super) sizes: Sizes,
}
