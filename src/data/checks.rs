//! Checking a chunk's cells before any of them enters a vocabulary, and reading those of the good rows.

use arrow::array::{Array, ArrayRef};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::cells::{Lists, Text, numbers};
use super::columns::Plan;
use super::csv_file::quoted;
use super::error::{Error, Result, list};
use super::reader::{Chunk, Fault, Faults, TOLD};
use super::schema::{Kind, OnBadRow, Schema, SequenceColumn, Split};
use super::vocabulary::Interner;

/// The bad rows that were left out, under `on_bad_row = "skip"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// What was wrong with the first few.
    pub messages: Vec<String>,
}

impl Skipped {
    /// Stops at a chunk's first bad row, or notes all of them.
    pub(super) fn settle(&mut self, on_bad_row: OnBadRow, chunk: &Chunk, faults: &Faults) -> Result<()> {
        for fault in &faults.told {
            if on_bad_row == OnBadRow::Fail {
                return Err(Error::BadRow(Box::new(chunk.bad_row(fault)?)));
            }
            if self.messages.len() < TOLD {
                self.messages.push(chunk.bad_row(fault)?.to_string());
            }
        }
        self.count += faults.rows.len() as u64;
        Ok(())
    }
}

/// The checked columns of a chunk's good rows.
pub(super) struct Checked {
    /// The good rows' indices in the chunk, ascending. All other columns here have one entry per good row.
    pub(super) keep: Vec<u32>,
    /// The bad rows and what is wrong with the first of them.
    pub(super) faults: Faults,
    pub(super) labels: Vec<f32>,
    pub(super) probabilities: Option<Vec<f32>>,
    /// Numbers of known scenarios; empty while they are still being collected.
    pub(super) scenarios: Vec<u32>,
    /// 0, 1, 2 for train, valid and test; empty unless split by column.
    pub(super) splits: Vec<u8>,
    /// Empty unless split by time.
    pub(super) times: Vec<f64>,
    /// Per field its numbers, NaN where missing; empty for categories.
    pub(super) numbers: Vec<Vec<f64>>,
}

/// What a column's numbers must be.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Label,
    Probability,
    Time,
    Feature,
}

impl Rule {
    fn expected(self) -> &'static str {
        match self {
            Rule::Label => "0 or 1",
            Rule::Probability => "a probability from 0 to 1",
            Rule::Time => "a number, date or time",
            Rule::Feature => "a finite number or nothing",
        }
    }

    /// `x` is NaN where the cell is missing.
    fn holds(self, x: f64) -> bool {
        match self {
            Rule::Label => x == 0.0 || x == 1.0,
            Rule::Probability => (0.0..=1.0).contains(&x),
            Rule::Time => x.is_finite(),
            Rule::Feature => !x.is_infinite(),
        }
    }
}

/// One column to check.
#[derive(Clone, Copy)]
enum Check<'a> {
    Number(Rule),
    Scenario(Option<&'a Interner>),
    Split([&'a str; 3]),
}

/// A checked column over all rows of the chunk.
enum Cells {
    Numbers(Vec<f64>),
    Codes(Vec<u32>),
}

/// Checks all columns of a chunk that can make a row bad. Scenarios are looked up in `known`, where given.
pub(super) fn check(schema: &Schema, plan: &Plan, known: Option<&Interner>, chunk: &Chunk) -> Result<Checked> {
    let mut jobs: Vec<(usize, Check)> = Vec::new();
    jobs.extend(plan.label.map(|column| (column, Check::Number(Rule::Label))));
    jobs.push((plan.scenario, Check::Scenario(known)));
    jobs.extend(plan.split.and_then(|column| match &schema.split {
        Split::Column { train, valid, test, .. } => Some((column, Check::Split([train, valid, test]))),
        Split::Time { .. } => Some((column, Check::Number(Rule::Time))),
        Split::Seed { .. } => None,
    }));
    let probability = plan.probability.filter(|p| chunk.column(*p).is_some());
    jobs.extend(probability.map(|column| (column, Check::Number(Rule::Probability))));
    for (name, column) in schema.field_names().zip(&plan.fields) {
        if schema.field_options(name).kind != Kind::Category {
            jobs.push((*column, Check::Number(Rule::Feature)));
        }
    }
    let done: Vec<(Cells, Faults)> = jobs
        .par_iter()
        .map(|(column, check)| {
            let name = &plan.wanted[*column].name;
            with_column(plan, chunk, *column, |array| run(name, *check, array))
        })
        .collect::<Result<_>>()?;

    let faults = Faults::merged(std::iter::once(&chunk.faults).chain(done.iter().map(|(_, faults)| faults)));
    let keep = good_rows(chunk.len(), &faults.rows);
    let mut checked = Checked {
        faults,
        labels: Vec::new(),
        probabilities: None,
        scenarios: Vec::new(),
        splits: Vec::new(),
        times: Vec::new(),
        numbers: vec![Vec::new(); plan.fields.len()],
        keep,
    };
    for ((column, _), (cells, _)) in jobs.iter().zip(done) {
        checked.take(plan, *column, cells);
    }
    Ok(checked)
}

impl Checked {
    /// Stores the good rows' cells of one column.
    fn take(&mut self, plan: &Plan, column: usize, cells: Cells) {
        let keep = &self.keep;
        match cells {
            Cells::Codes(codes) if column == plan.scenario => {
                self.scenarios = keep.iter().filter_map(|k| codes.get(*k as usize).copied()).collect();
            }
            Cells::Codes(codes) => self.splits = keep.iter().map(|k| codes[*k as usize] as u8).collect(),
            Cells::Numbers(all) => {
                let good = || keep.iter().map(|k| all[*k as usize]);
                if Some(column) == plan.label {
                    self.labels = good().map(|x| x as f32).collect();
                } else if Some(column) == plan.probability {
                    self.probabilities = Some(good().map(|x| x as f32).collect());
                } else if Some(column) == plan.split {
                    self.times = good().collect();
                } else if let Some(field) = plan.fields.iter().position(|f| *f == column) {
                    self.numbers[field] = good().collect();
                }
            }
        }
    }

    /// The good rows' codes of a text column.
    pub(super) fn codes<T>(
        &self,
        plan: &Plan,
        chunk: &Chunk,
        column: usize,
        mut code: impl FnMut(Option<&[u8]>) -> T,
    ) -> Result<Vec<T>> {
        with_column(plan, chunk, column, |array| {
            let mut codes = Vec::with_capacity(self.keep.len());
            Text::of(array)?.for_each(self.keep.iter().map(|k| *k as usize), |cell| codes.push(code(cell)));
            Ok(codes)
        })
    }

    /// The good rows' hashes of the user column; `None` where the chunk has no such column.
    pub(super) fn users(&self, plan: &Plan, chunk: &Chunk) -> Result<Option<Vec<u64>>> {
        let column = plan.user.filter(|u| chunk.column(*u).is_some());
        column.map(|u| self.codes(plan, chunk, u, |cell| cell.map_or(0, xxh3_64))).transpose()
    }

    /// The good rows' sequences: their lengths and all their items' ids.
    pub(super) fn sequences(
        &self,
        plan: &Plan,
        chunk: &Chunk,
        column: usize,
        sequence: &SequenceColumn,
        id: impl FnMut(&[u8]) -> u32,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        with_column(plan, chunk, column, |array| {
            let (mut lengths, mut ids) = (Vec::with_capacity(self.keep.len()), Vec::new());
            let rows = self.keep.iter().map(|k| *k as usize);
            let SequenceColumn { separator, max_length, .. } = sequence;
            Lists::of(array)?.encode(rows, separator, *max_length, id, &mut lengths, &mut ids);
            Ok((lengths, ids))
        })
    }
}

/// Reads a column that must be there, and gives Arrow's errors the column's name.
fn with_column<T>(
    plan: &Plan,
    chunk: &Chunk,
    column: usize,
    read: impl FnOnce(&ArrayRef) -> Result<T, ArrowError>,
) -> Result<T> {
    let wanted = &plan.wanted[column];
    let error = |found: String| Error::ColumnType {
        path: chunk.path.to_path_buf(),
        column: wanted.name.clone(),
        key: wanted.key.clone(),
        expected: "other cells",
        found,
    };
    let array = chunk.column(column).ok_or_else(|| error("absent".to_owned()))?;
    read(array).map_err(|e| error(format!("{} ({e})", array.data_type())))
}

fn run(name: &str, check: Check, array: &ArrayRef) -> Result<(Cells, Faults), ArrowError> {
    match check {
        Check::Number(rule) => {
            let mut not_numbers = Vec::new();
            let cells = numbers(array, rule == Rule::Time, |row| not_numbers.push(row))?;
            let mut not_numbers = not_numbers.into_iter().peekable();
            let mut faults = Faults::default();
            for (row, x) in cells.iter().enumerate() {
                let no_number = not_numbers.next_if_eq(&row).is_some();
                if no_number || !rule.holds(*x) {
                    faults.add(row, || fault(name, array, row, rule.expected().to_owned()));
                }
            }
            Ok((Cells::Numbers(cells), faults))
        }
        Check::Split(names) => text_codes(name, array, |cell| {
            let found = names.iter().position(|n| n.as_bytes() == cell).map(|k| k as u32);
            found.ok_or_else(|| {
                let names = names.iter().filter(|n| !n.is_empty()).map(|n| format!("\"{n}\""));
                format!("one of {}", list(names))
            })
        }),
        Check::Scenario(None) => {
            let (_, faults) = text_codes(name, array, |_| Ok(0))?;
            Ok((Cells::Codes(Vec::new()), faults))
        }
        Check::Scenario(Some(known)) => text_codes(name, array, |cell| {
            known.find(cell).ok_or_else(|| {
                let names = (0..known.len() as u32).map(|id| String::from_utf8_lossy(known.get(id)));
                format!("a scenario that the model was trained on ({})", list(names))
            })
        }),
    }
}

/// Codes a text column none of whose cells may be missing.
fn text_codes(
    name: &str,
    array: &ArrayRef,
    mut code: impl FnMut(&[u8]) -> Result<u32, String>,
) -> Result<(Cells, Faults), ArrowError> {
    let mut codes = Vec::with_capacity(array.len());
    let mut faults = Faults::default();
    Text::of(array)?.for_each(0..array.len(), |cell| {
        let row = codes.len();
        let found = cell.map_or_else(|| Err("a value".to_owned()), &mut code);
        codes.push(found.unwrap_or_else(|expected| {
            faults.add(row, || fault(name, array, row, expected));
            0
        }));
    });
    Ok((Cells::Codes(codes), faults))
}

fn fault(name: &str, array: &ArrayRef, row: usize, expected: String) -> Fault {
    let text = array_value_to_string(array, row).unwrap_or_default();
    let found = if array.is_null(row) || text.is_empty() { "nothing".to_owned() } else { quoted(&text) };
    Fault { row, column: Some(name.to_owned()), expected, found }
}

fn good_rows(len: usize, bad: &[u32]) -> Vec<u32> {
    let mut bad = bad.iter().peekable();
    (0..len as u32).filter(|row| bad.next_if_eq(&row).is_none()).collect()
}
