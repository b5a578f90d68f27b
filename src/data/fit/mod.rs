//! Fitting a schema: one pass over the files with provisional ids, then counting over the train rows.

pub(super) mod basis;
mod coding;
pub(super) mod cross;
pub(super) mod evidence;
pub(super) mod notes;
mod scenarios;
pub(super) mod spool;
mod tally;
mod values;
pub(super) mod vocabulary;

use rayon::prelude::*;

use crate::data::encoded::encoder::{Encoder, Fit, ONLY_SCENARIO};
use crate::data::error::Result;
use crate::data::fit::basis::Basis;
use crate::data::fit::coding::{Finished, Tally, finish, warning};
use crate::data::fit::evidence::Evidence;
use crate::data::fit::scenarios::{ScenarioNames, Sizes};
use crate::data::fit::spool::{Block, Spool};
use crate::data::fit::values::{FieldBlock, Values};
use crate::data::fit::vocabulary::Interner;
use crate::data::progress::{OpeningPhase, Progress};
use crate::data::read::checks::{Checked, Skipped, check};
use crate::data::read::filtering::filtered;
use crate::data::read::reader::{Chunk, Reader};
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::{Schema, Split};
use crate::data::split::choice::{Assignment, by_seed};

/// What the reading pass has gathered.
pub(super) struct Gathered {
    pub(super) spool: Spool,
    pub(super) skipped: Skipped,
    /// How many rows `data.where` left out.
    pub(super) filtered: u64,
    /// Per list how many rows have more values than are kept.
    cut: Vec<u64>,
    values: Vec<Values>,
    scenarios: Interner,
    scenario_evidence: Evidence,
    nulls: Nulls,
    times: Vec<f64>,
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
    let values = schema.field_names().zip(known.iter()).enumerate().map(|(field, (name, known))| {
        Values::new(schema.field_options(name), (field, schema.vocabulary_of(field)), known)
    });
    let mut gathered = Gathered {
        spool,
        skipped: Skipped::default(),
        filtered: 0,
        cut: vec![0; schema.lists()],
        values: values.collect(),
        scenarios: Interner::default(),
        scenario_evidence: Evidence::default(),
        nulls: Nulls::new(schema.null_values.as_deref()),
        times: Vec::new(),
    };
    let mut chunk = reader.next()?;
    while let Some(current) = chunk {
        // The next chunk is decoded while this one is encoded.
        let (next, block) = rayon::join(|| reader.next(), || gathered.encode(schema, plan, current));
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
            was_wrong |= values.teach(known);
        }
        was_wrong
    }

    fn encode(&mut self, schema: &Schema, plan: &WantedColumns, chunk: Chunk) -> Result<Block> {
        let (chunk, left_out) = filtered(schema, plan, &self.nulls, chunk)?;
        self.filtered += left_out;
        let chunk = &chunk;
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
        let mut block = Block { sequences: vec![Default::default(); self.cut.len()], ..Block::default() };
        for FieldBlock { ids, sequences } in columns {
            block.ids.push(ids);
            for (k, lists, cut) in sequences {
                block.sequences[k] = lists;
                self.cut[k] += cut;
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
        let Checked { keep, labels, clicks, weights, probabilities, splits, times, numbers, .. } = checked;
        block.splits = match &schema.split {
            Split::Seed { seed, valid, test } => {
                keep.iter().map(|k| by_seed(*seed, *valid, *test, chunk.number(*k))).collect()
            }
            _ => splits,
        };
        self.times.extend_from_slice(&times);
        Ok(Block { labels, clicks, weights, probabilities, times, numbers, ..block })
    }

    /// Counts over the train rows and fixes all vocabularies, statistics and scenarios, those of `basis` first.
    pub(super) fn fit(
        mut self,
        schema: &Schema,
        basis: Option<&Basis<'_>>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Fitted> {
        let assignment = Assignment::new(schema, &mut self.times);
        self.times = Vec::new();
        let mut tallies: Vec<Tally> = schema
            .field_names()
            .zip(&self.values)
            .map(|(name, values)| Tally::new(values, &schema.field_options(name)))
            .collect();
        let mut sizes = Sizes::new(self.scenarios.len(), schema.lists(), assignment.times());
        let (mut done, total) = (0, self.spool.rows());
        let known = basis.map(|basis| (basis.encoder.scenarios(), basis.encoder.scenario_type()));
        let names =
            |train_rows: &[u64]| ScenarioNames::new(&self.scenarios, train_rows, self.scenario_evidence.clone(), known);
        // The type of the scenarios' names is that of all train rows, whichever of these are used.
        let mut chosen = None;
        if !schema.only_scenarios.is_empty() {
            let mut train_rows = vec![0; self.scenarios.len()];
            self.spool.for_each(|block| {
                let splits = assignment.splits(block);
                let train = block.scenarios.iter().zip(splits.iter()).filter(|(_, split)| **split == 0);
                train.for_each(|(scenario, _)| train_rows[*scenario as usize] += 1);
                Ok(())
            })?;
            let names = names(&train_rows);
            chosen = Some((names.chosen(&schema.only_scenarios)?, names));
        }
        let lists: Vec<Option<usize>> = (0..self.values.len()).map(|field| schema.list_of(field)).collect();
        let is_chosen = |scenario: u32| chosen.as_ref().is_none_or(|(chosen, _)| chosen[scenario as usize]);
        let mut other_scenarios = 0;
        self.spool.for_each(|block| {
            let splits = assignment.splits(block);
            let is_used = |row: &u32| is_chosen(block.scenarios[*row as usize]);
            let used: Vec<u32> = (0..block.len() as u32).filter(is_used).collect();
            let train: Vec<u32> = used.iter().copied().filter(|row| splits[*row as usize] == 0).collect();
            tallies
                .par_iter_mut()
                .zip(&lists)
                .enumerate()
                .for_each(|(f, (tally, list))| tally.add(block, f, *list, &train));
            sizes.add(block, &splits, &used);
            other_scenarios += (block.len() - used.len()) as u64;
            done += block.len() as u64;
            progress(Progress { phase: OpeningPhase::Counting, done, total, rows: done });
            Ok(())
        })?;
        sizes.check(schema)?;

        let (chosen, names) = match chosen {
            Some((chosen, names)) => (Some(chosen), names),
            None => (None, names(&sizes.rows[0])),
        };
        let (scenarios, scenario_map) = sizes.scenarios(schema, &names, chosen.as_deref(), &mut self.skipped)?;
        let mut fit = Fit { scenarios, scenario_type: names.value_type, ..Fit::default() };
        let (mut maps, mut missing, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let train_rows = sizes.rows[0].iter().sum();
        for (((name, values), tally), list) in schema.field_names().zip(self.values).zip(tallies).zip(&lists) {
            warnings.extend(warning(name, &tally, train_rows, list.is_some()));
            warnings
                .extend(list.filter(|list| self.cut[*list] > 0).map(|list| cut_warning(schema, name, self.cut[list])));
            let Finished { coding, value_type, part_types, map, missing: nulls } =
                finish(schema, name, values, tally, &self.nulls, basis, &mut warnings);
            fit.codings.push(coding);
            fit.types.push(value_type);
            fit.part_types.push(part_types);
            maps.push(map);
            missing.push(nulls);
        }
        let encoder = Encoder::new(schema.clone(), fit);
        Ok(Fitted {
            encoder,
            spool: self.spool,
            skipped: self.skipped,
            filtered: self.filtered,
            other_scenarios,
            assignment,
            maps,
            missing,
            scenario_map,
            sizes,
            warnings,
        })
    }
}

/// That lists are longer than what is kept of them.
fn cut_warning(schema: &Schema, name: &str, cut: u64) -> String {
    let most = schema.field_options(name).most_tags();
    format!(
        "column \"{name}\" has more than {most} values in {cut} rows: the first {most} are kept (data.fields.{name}.max_length)"
    )
}

/// A fitted encoder with the rows that are still to be given their final ids.
pub(super) struct Fitted {
    pub(super) encoder: Encoder,
    pub(super) spool: Spool,
    pub(super) skipped: Skipped,
    /// How many rows `data.where` left out.
    pub(super) filtered: u64,
    /// How many rows `data.only_scenarios` left out.
    pub(super) other_scenarios: u64,
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
