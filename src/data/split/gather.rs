//! From fitted blocks to the three splits' final rows.

use std::fs::File;
use std::io;

use rayon::prelude::*;

use crate::data::encoded::encoder::Coding;
use crate::data::encoded::rows::Rows;
use crate::data::encoded::tensors::{Part, Shape, TensorFile, collect};
use crate::data::encoded::unknown::{Tally, UnknownValues};
use crate::data::error::Result;
use crate::data::fit::Fitted;
use crate::data::fit::spool::Block;
use crate::data::read::lists::ItemLists;

impl Fitted {
    /// The shape of split 0, 1 or 2.
    pub(crate) fn shape(&self, split: usize) -> Shape {
        let (rows, items) = self.sizes.of(split);
        let schema = self.encoder.schema();
        Shape {
            rows: rows as usize,
            fields: self.encoder.fields().len(),
            values: self.encoder.value_count(),
            users: schema.user.is_some(),
            clicks: schema.click.is_some(),
            weights: schema.weight.is_some(),
            probabilities: schema.probability.is_some(),
            items: items.into_iter().map(|n| n as usize).collect(),
            weighted: self.encoder.weighted_lists(),
        }
    }

    /// The rows of a block that are in a split.
    fn rows_of(&self, block: &Block, splits: &[u8], split: usize) -> Vec<usize> {
        let is_here =
            |row: &usize| splits[*row] as usize == split && self.scenario_map[block.scenarios[*row] as usize].is_some();
        (0..block.len()).filter(is_here).collect()
    }

    /// Visits all rows with their final ids: split, rows.
    fn for_each_part(&self, mut each: impl FnMut(usize, Part) -> Result<()>) -> Result<()> {
        self.spool.for_each(|block| {
            let splits = self.assignment.splits(block);
            for split in 0..3 {
                let rows = self.rows_of(block, &splits, split);
                if !rows.is_empty() {
                    each(split, self.part(block, &rows))?;
                }
            }
            Ok(())
        })
    }

    /// Counts what is missing or unknown in the given rows of a block: by field, then by sequence.
    fn count(&self, block: &Block, rows: &[usize], tallies: &mut Vec<Tally>) {
        let width = self.encoder.fields().len();
        tallies.resize_with(width + self.encoder.sequences().len(), Tally::default);
        let (of_fields, of_sequences) = tallies.split_at_mut(width);
        let count = |field: usize, id: u32, tally: &mut Tally| match self.encoder.codings()[field] {
            _ if id == 0 || self.missing[field].binary_search(&id).is_ok() => tally.missing(),
            Coding::Category(_) if self.maps[field][id as usize] == 0 => tally.unnamed(),
            _ => tally.known(),
        };
        let count_lists = |list: usize, field: usize, tally: &mut Tally| {
            let lists = &block.sequences[list];
            let starts = lists.starts();
            for row in rows {
                let own = &lists.ids[starts[*row]..][..lists.lengths[*row] as usize];
                own.iter().for_each(|id| count(field, *id, tally));
            }
        };
        of_fields.par_iter_mut().enumerate().for_each(|(f, tally)| match self.encoder.codings()[f].is_category() {
            _ if self.encoder.fields()[f].tags.is_some() => {
                let tags = self.encoder.fields()[f].tags.expect("a field of tags");
                count_lists(tags.list, tags.rows_of, tally);
            }
            true => rows.iter().for_each(|row| count(f, block.ids[f][*row], tally)),
            false => rows.iter().for_each(|row| match block.numbers[f][*row].is_nan() {
                true => tally.missing(),
                false => tally.known(),
            }),
        });
        for (k, tally) in of_sequences.iter_mut().enumerate() {
            count_lists(k, self.encoder.sequences()[k].field, tally);
        }
    }

    /// The given rows of a block with their final ids.
    fn part(&self, block: &Block, rows: &[usize]) -> Part {
        /// So few rows that their ids stay in the processor's nearest cache while field after field is filled in.
        const TILE: usize = 512;
        let width = self.encoder.fields().len();
        let value_count = self.encoder.value_count();
        let mut ids = vec![0; rows.len() * width];
        ids.par_chunks_mut(TILE * width).zip(rows.par_chunks(TILE)).for_each(|(ids, rows)| {
            for (f, coding) in self.encoder.codings().iter().enumerate() {
                // Of tags the lists tell.
                if self.encoder.fields()[f].tags.is_some() {
                    continue;
                }
                let here = ids[f..].iter_mut().step_by(width).zip(rows);
                let (column, numbers, map) = (&block.ids[f], &block.numbers[f], &self.maps[f]);
                match coding {
                    Coding::Category(_) => here.for_each(|(id, row)| *id = map[column[*row] as usize]),
                    Coding::Hash(_) => here.for_each(|(id, row)| *id = column[*row]),
                    _ => here.for_each(|(id, row)| *id = coding.number(numbers[*row]).0),
                }
            }
        });
        let mut values = vec![1.0; rows.len() * value_count];
        for (f, (field, coding)) in self.encoder.fields().iter().zip(self.encoder.codings()).enumerate() {
            if let Some(k) = field.value_index {
                for (value, row) in values[k..].iter_mut().step_by(value_count).zip(rows) {
                    *value = coding.number(block.numbers[f][*row]).1;
                }
            }
        }
        Part {
            ids,
            values,
            labels: rows.iter().map(|row| block.labels[*row]).collect(),
            // Rows of scenarios without a number were filtered out.
            scenarios: rows.iter().filter_map(|row| self.scenario_map[block.scenarios[*row] as usize]).collect(),
            users: block.users.iter().flat_map(|users| rows.iter().map(|row| users[*row])).collect(),
            clicks: block.clicks.iter().flat_map(|w| rows.iter().map(|row| w[*row])).collect(),
            weights: block.weights.iter().flat_map(|w| rows.iter().map(|row| w[*row])).collect(),
            probabilities: block.probabilities.iter().flat_map(|p| rows.iter().map(|row| p[*row])).collect(),
            sequences: (0..block.sequences.len()).map(|k| self.sequence(block, k, rows)).collect(),
        }
    }

    fn sequence(&self, block: &Block, list: usize, rows: &[usize]) -> ItemLists {
        let all = &block.sequences[list];
        let starts = all.starts();
        let field = self.encoder.field_of_list(list);
        let map = &self.maps[field];
        let mut lists = ItemLists::default();
        for row in rows {
            let range = starts[*row]..starts[*row] + all.lengths[*row] as usize;
            let items = &all.ids[range.clone()];
            match self.encoder.codings()[field] {
                Coding::Category(_) => lists.ids.extend(items.iter().map(|id| map[*id as usize])),
                _ => lists.ids.extend(items),
            }
            lists.weights.extend(all.weights.get(range).unwrap_or_default());
            lists.lengths.push(all.lengths[*row]);
        }
        lists
    }

    /// All three splits in memory. `progress` is called with the rows done so far.
    pub(crate) fn in_memory(&self, progress: &mut dyn FnMut(u64)) -> Result<[Rows; 3]> {
        let mut parts: [Vec<Part>; 3] = Default::default();
        let mut done = 0;
        self.for_each_part(|split, part| {
            done += part.labels.len() as u64;
            progress(done);
            parts[split].push(part);
            Ok(())
        })?;
        let [train, valid, test] = parts;
        Ok([collect(&self.shape(0), train)?, collect(&self.shape(1), valid)?, collect(&self.shape(2), test)?])
    }

    /// What is missing or unknown in the validation rows, by column.
    pub(crate) fn valid_values(&self) -> Result<Vec<UnknownValues>> {
        let mut tallies = Vec::new();
        self.spool.for_each(|block| {
            let splits = self.assignment.splits(block);
            self.count(block, &self.rows_of(block, &splits, 1), &mut tallies);
            Ok(())
        })?;
        Ok(self.encoder.unknown_values(&tallies))
    }

    /// Writes all three splits to the given files; gives them back with each tensor's name and hash.
    ///
    /// # Errors
    /// The outer error is one of reading, the inner one of writing: a full disk.
    pub(crate) fn in_files(&self, files: [File; 3], progress: &mut dyn FnMut(u64)) -> Result<io::Result<InFiles>> {
        let opened: io::Result<Vec<TensorFile>> =
            files.into_iter().enumerate().map(|(k, file)| TensorFile::new(file, self.shape(k))).collect();
        let mut written = match opened {
            Ok(files) => files,
            Err(e) => return Ok(Err(e)),
        };
        let mut failed = None;
        let mut done = 0;
        self.for_each_part(|split, part| {
            if failed.is_none() {
                failed = written[split].append(&part).err();
                done += part.labels.len() as u64;
                progress(done);
            }
            Ok(())
        })?;
        Ok(match failed {
            Some(e) => Err(e),
            None => written.into_iter().map(TensorFile::finish).collect(),
        })
    }
}

/// Per split its file, and each tensor's name and hash.
pub(crate) type InFiles = Vec<(File, Vec<(String, u64)>)>;
