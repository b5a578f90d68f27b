//! Cells of any columns as texts, beside encoded rows: what rows are told apart by that is no feature of a model.

use crate::data::encoded::encoder::Encoder;
use crate::data::encoded::scan::EncodedChunk;
use crate::data::error::{Error, Result};
use crate::data::fit::spool::Block;
use crate::data::fit::vocabulary::Interner;
use crate::data::progress::{OpeningPhase, Progress};
use crate::data::read::cells::Text;
use crate::data::read::checks::check;
use crate::data::read::filtering::filtered;
use crate::data::read::inputs::Inputs;
use crate::data::read::reader::Reader;
use crate::data::schema::columns::{Use, Wanted, WantedColumns, check_type, locate};
use crate::data::schema::nulls::Nulls;
use crate::data::schema::{Split, SplitName, UnknownScenario};
use crate::data::split::choice::{Assignment, by_seed};

/// Rows that one read brings in.
const CHUNK_ROWS: usize = 1 << 16;

/// The cells of one column.
#[derive(Debug, Clone)]
pub struct CellColumn {
    /// The column's name.
    pub name: String,
    values: Interner,
    codes: Vec<u32>,
}

/// The code of a missing value.
const MISSING: u32 = u32::MAX;

impl CellColumn {
    fn new(name: &str) -> CellColumn {
        CellColumn { name: name.to_owned(), values: Interner::default(), codes: Vec::new() }
    }

    /// A column of these cells, of which empty ones are missing.
    #[cfg(test)]
    pub(crate) fn of(name: &str, cells: &[&str]) -> CellColumn {
        let mut column = CellColumn::new(name);
        let text = Text::String(arrow_array::StringArray::from(cells.to_vec()));
        column.add(&text, 0..cells.len(), &Nulls::default());
        column
    }

    /// For each row the number of its value, less than [`CellColumn::len`]; none where it is missing.
    pub fn codes(&self) -> impl Iterator<Item = Option<usize>> {
        self.codes.iter().map(|&code| (code != MISSING).then_some(code as usize))
    }

    /// How many different values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no row has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A value as it is written; numbers, dates and booleans in the one form of their type.
    ///
    /// # Panics
    /// When there is no such value.
    pub fn value(&self, code: usize) -> String {
        String::from_utf8_lossy(self.values.get(code as u32)).into_owned()
    }

    fn add(&mut self, text: &Text, rows: impl Iterator<Item = usize>, nulls: &Nulls) {
        let Self { values, codes, .. } = self;
        text.for_each(rows, |cell| {
            let cell = cell.map(<[u8]>::trim_ascii).filter(|cell| !cell.is_empty() && !nulls.is_given(cell));
            codes.push(cell.map_or(MISSING, |cell| values.intern(cell)));
        });
    }

    fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        self.codes.retain(|_| kept.next().copied().unwrap_or_default());
    }
}

/// Gathers columns of scanned chunks, for the rows that were kept.
#[derive(Debug, Clone)]
pub struct CellReader {
    wanted: Vec<Wanted>,
    nulls: Nulls,
    columns: Vec<CellColumn>,
}

impl CellReader {
    /// Of the columns of these names. `key` is what names them, for messages.
    pub fn new(encoder: &Encoder, columns: &[String], key: &str) -> CellReader {
        CellReader {
            wanted: columns.iter().map(|name| wanted(name, key)).collect(),
            nulls: encoder.nulls().clone(),
            columns: columns.iter().map(|name| CellColumn::new(name)).collect(),
        }
    }

    /// Adds a chunk's rows behind those that are there.
    ///
    /// # Errors
    /// When the chunk's file has no such column, or its cells are not one value per row.
    pub fn add(&mut self, chunk: &EncodedChunk) -> Result<()> {
        let schema = chunk.batch.schema();
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let places = locate(&self.wanted, &names, &chunk.path)?;
        for ((wanted, place), column) in self.wanted.iter().zip(places).zip(&mut self.columns) {
            let Some(array) = place.map(|place| chunk.batch.column(place)) else { continue };
            check_type(wanted, array.data_type(), &chunk.path)?;
            let text = Text::of(array).map_err(|error| Error::Shape(error.to_string()))?;
            column.add(&text, chunk.kept.iter().map(|row| *row as usize), &self.nulls);
        }
        Ok(())
    }

    /// The columns.
    pub fn finish(self) -> Vec<CellColumn> {
        self.columns
    }
}

fn wanted(name: &str, key: &str) -> Wanted {
    Wanted { name: name.to_owned(), key: key.to_owned(), r#use: Use::Text, required: true }
}

/// The cells of columns for the rows of one split of a data set, in the order in which [`open`](crate::data::open()) gives them,
/// with their labels. `encoder` is the data set's own; `key` is what names the columns, for messages.
///
/// The files are read anew: encoded rows do not have what no model reads.
///
/// # Errors
/// When the files cannot be read, or lack a column.
pub fn split_cells(
    encoder: &Encoder,
    inputs: &Inputs,
    split: SplitName,
    columns: &[String],
    key: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Vec<CellColumn>, Vec<f32>)> {
    let schema = encoder.schema();
    let mut plan = WantedColumns::to_fit(schema);
    let first = plan.wanted.len();
    plan.wanted.extend(columns.iter().map(|name| wanted(name, key)));
    inputs.wait_for_first(progress)?;
    let mut reader = Reader::new(inputs, &plan.wanted, false, CHUNK_ROWS);
    let mut found: Vec<CellColumn> = columns.iter().map(|name| CellColumn::new(name)).collect();
    let (mut whole, mut is_scored, mut labels) = (Block::default(), Vec::new(), Vec::new());
    while let Some(chunk) = reader.next()? {
        let (chunk, _) = filtered(schema, &plan, encoder.nulls(), chunk)?;
        let checked = check(schema, &plan, None, encoder.nulls(), &chunk)?;
        let rows = || checked.keep.iter().map(|row| *row as usize);
        for (number, column) in found.iter_mut().enumerate() {
            let Some(array) = chunk.column(first + number) else { continue };
            let text = Text::of(array).map_err(|error| Error::Shape(error.to_string()))?;
            column.add(&text, rows(), encoder.nulls());
        }
        is_scored.extend(match plan.scenario {
            Some(column) if schema.unknown_scenario != UnknownScenario::Shared => {
                let known = encoder.known();
                let mut room = String::new();
                checked.codes(&plan, &chunk, column, |cell| {
                    let cell = cell.unwrap_or_default();
                    let form = known.scenario_type.canonical(cell, encoder.nulls(), &mut room).unwrap_or(cell);
                    known.scenarios.find(form).is_some()
                })?
            }
            _ => vec![true; checked.keep.len()],
        });
        whole.splits.extend(match &schema.split {
            Split::Seed { seed, valid, test } => {
                checked.keep.iter().map(|row| by_seed(*seed, *valid, *test, chunk.number(*row))).collect()
            }
            _ => checked.splits,
        });
        whole.times.extend(checked.times);
        labels.extend(checked.labels);
        progress(Progress {
            phase: OpeningPhase::Reading,
            done: reader.bytes_done(),
            total: inputs.bytes(),
            rows: labels.len() as u64,
        });
    }
    let number = SplitName::ALL.iter().position(|known| *known == split).unwrap_or_default();
    let assignment = Assignment::new(schema, &mut whole.times.clone());
    let splits = assignment.splits(&whole);
    let kept: Vec<bool> =
        splits.iter().zip(&is_scored).map(|(&own, &is_scored)| usize::from(own) == number && is_scored).collect();
    found.iter_mut().for_each(|column| column.keep(&kept));
    let mut is_kept = kept.iter();
    labels.retain(|_| is_kept.next().copied().unwrap_or_default());
    Ok((found, labels))
}
