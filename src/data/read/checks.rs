//! Checking a chunk's cells before any of them enters a vocabulary, and reading those of the good rows.

use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::ArrowError;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::data::error::{Error, Result, list};
use crate::data::fit::vocabulary::Interner;
use crate::data::read::cells::{Lists, Text, numbers, whole_limit};
use crate::data::read::csv_file::quoted;
use crate::data::read::faults::{Fault, Faults, MAX_MESSAGES};
use crate::data::read::lists::ItemLists;
use crate::data::read::reader::Chunk;
use crate::data::read::tag_checks::tag_faults;
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::{ValueType, WHOLE, is_rounded, truth};
use crate::data::schema::{FieldKind, OnBadRow, Schema, SequenceColumn, Split, UnknownScenario};

/// The bad rows that were left out, under `on_bad_row = "skip"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// What was wrong with the first few.
    pub messages: Vec<String>,
}

impl Skipped {
    /// Stops at a chunk's first row that the options do not let pass, or notes all that they leave out.
    pub(crate) fn settle_checked(
        &mut self,
        on_bad_row: OnBadRow,
        unknown_scenario: UnknownScenario,
        chunk: &Chunk,
        checked: &Checked,
    ) -> Result<()> {
        let new = &checked.new_scenarios;
        let leave_out = on_bad_row == OnBadRow::Skip || unknown_scenario == UnknownScenario::Skip;
        if let (Some(first), false) = (new.told.first(), leave_out)
            && checked.faults.rows.first().is_none_or(|row| *row as usize > first.row)
        {
            return Err(Error::UnknownScenario(Box::new(chunk.bad_row(first)?)));
        }
        self.settle(on_bad_row, chunk, &checked.faults)?;
        self.settle(OnBadRow::Skip, chunk, new)
    }

    /// Stops at a chunk's first bad row, or notes all of them.
    pub(crate) fn settle(&mut self, on_bad_row: OnBadRow, chunk: &Chunk, faults: &Faults) -> Result<()> {
        for fault in &faults.told {
            if on_bad_row == OnBadRow::Fail {
                return Err(Error::BadRow(Box::new(chunk.bad_row(fault)?)));
            }
            if self.messages.len() < MAX_MESSAGES {
                self.messages.push(chunk.bad_row(fault)?.to_string());
            }
        }
        self.count += faults.rows.len() as u64;
        Ok(())
    }
}

/// The checked columns of a chunk's good rows.
pub(crate) struct Checked {
    /// The good rows' indices in the chunk, ascending. All other columns here have one entry per good row.
    pub(crate) keep: Vec<u32>,
    /// The bad rows and what is wrong with the first of them.
    pub(crate) faults: Faults,
    /// Rows that are good but for their scenario, which the model does not know.
    pub(crate) new_scenarios: Faults,
    pub(crate) labels: Vec<f32>,
    pub(crate) clicks: Option<Vec<f32>>,
    pub(crate) weights: Option<Vec<f32>>,
    pub(crate) probabilities: Option<Vec<f32>>,
    /// Numbers of known scenarios; empty while they are still being collected.
    pub(crate) scenarios: Vec<u32>,
    /// 0, 1, 2 for train, valid and test; empty unless split by column.
    pub(crate) splits: Vec<u8>,
    /// Empty unless split by time.
    pub(crate) times: Vec<f64>,
    /// Per field its numbers, NaN where missing; empty for categories.
    pub(crate) numbers: Vec<Vec<f64>>,
}

/// What is known of the columns, when other files than those of the fit are read.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) scenarios: &'a Interner,
    pub(crate) scenario_type: ValueType,
    /// One per field.
    pub(crate) types: &'a [ValueType],
    /// Per field those of the columns that it crosses.
    pub(crate) part_types: &'a [Vec<ValueType>],
    pub(crate) unknown_scenario: UnknownScenario,
}

/// What a column's numbers must be.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Label,
    /// Numbers that labels are made of.
    Rating,
    Weight,
    Probability,
    Time,
    Feature,
}

impl Rule {
    fn expected(self) -> &'static str {
        match self {
            Rule::Label => "0 or 1",
            Rule::Rating => "a finite number",
            Rule::Weight => "a weight of at least 0, finite in single precision",
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
            Rule::Weight => (0.0..=f64::from(f32::MAX)).contains(&x),
            Rule::Rating | Rule::Time => x.is_finite(),
            Rule::Feature => !x.is_infinite(),
        }
    }
}

/// One column to check.
#[derive(Clone, Copy)]
enum Check<'a> {
    Number(Rule),
    Scenario(Option<Known<'a>>),
    Split([&'a str; 3]),
    /// Categories that must be of this type, if one is asked for, and whose whole numbers no float may have rounded.
    Category {
        must_be: Option<ValueType>,
        whole: bool,
    },
}

/// A checked column over all rows of the chunk.
enum Cells {
    Numbers(Vec<f64>),
    Codes(Vec<u32>),
    Fine,
}

/// The code of a scenario that the model does not know, where such rows are not scored.
const NOT_SCORED: u32 = u32::MAX;

/// Checks all columns of a chunk that can make a row bad. Scenarios are looked up in `known`, where given.
pub(crate) fn check(
    schema: &Schema,
    plan: &WantedColumns,
    known: Option<Known>,
    nulls: &Nulls,
    chunk: &Chunk,
) -> Result<Checked> {
    let mut jobs: Vec<(usize, Check)> = Vec::new();
    let rule = if schema.label.above.is_some() { Rule::Rating } else { Rule::Label };
    jobs.extend(plan.label.map(|column| (column, Check::Number(rule))));
    jobs.extend(plan.scenario.map(|column| (column, Check::Scenario(known))));
    jobs.extend(plan.split.and_then(|column| match &schema.split {
        Split::Column { train, valid, test, .. } => Some((column, Check::Split([train, valid, test]))),
        Split::Time { .. } => Some((column, Check::Number(Rule::Time))),
        Split::Seed { .. } => None,
    }));
    jobs.extend(plan.click.map(|column| (column, Check::Number(Rule::Label))));
    jobs.extend(plan.weight.map(|column| (column, Check::Number(Rule::Weight))));
    let probability = plan.probability.filter(|p| chunk.column(*p).is_some());
    jobs.extend(probability.map(|column| (column, Check::Number(Rule::Probability))));
    for (f, (name, column)) in schema.field_names().zip(&plan.fields).enumerate() {
        let options = schema.field_options(name);
        if options.kind == FieldKind::Tags {
            continue;
        }
        if options.kind != FieldKind::Category {
            jobs.push((*column, Check::Number(Rule::Feature)));
            continue;
        }
        let is_whole = |value_type: ValueType| matches!(value_type, ValueType::Integer | ValueType::Digits(_));
        for (k, (part, column)) in options.cross.iter().zip(&plan.parts[f]).enumerate() {
            let asked = schema.asked_type(part);
            let whole = known.map_or(asked, |known| Some(known.part_types[f][k])).is_none_or(is_whole);
            let must_be = asked.filter(|value_type| known.is_none() && *value_type != ValueType::Text);
            if whole || must_be.is_some() {
                jobs.push((*column, Check::Category { must_be, whole }));
            }
        }
        if !options.cross.is_empty() {
            continue;
        }
        let whole = known.map_or(options.value_type, |known| Some(known.types[f])).is_none_or(is_whole);
        // While fitting, a value of another type than the one asked for is a fault; later it is an unknown value.
        let must_be = options.value_type.filter(|value_type| known.is_none() && *value_type != ValueType::Text);
        if whole || must_be.is_some() {
            jobs.push((*column, Check::Category { must_be, whole }));
        }
    }
    let done: Vec<(Cells, Faults)> = jobs
        .par_iter()
        .map(|(column, check)| {
            let name = &plan.wanted[*column].name;
            with_column(plan, chunk, *column, |array| run(name, *check, nulls, known.is_some(), array))
        })
        .collect::<Result<_>>()?;

    let numbers = |wanted: Option<usize>| {
        jobs.iter().zip(&done).find_map(|((column, _), (cells, _))| match cells {
            Cells::Numbers(numbers) if Some(*column) == wanted => Some(numbers),
            _ => None,
        })
    };
    let unclicked = match (numbers(plan.label), plan.click, numbers(plan.click)) {
        (Some(labels), Some(column), Some(clicks)) => {
            let name = &plan.wanted[column].name;
            with_column(plan, chunk, column, |array| Ok(without_click(schema, name, array, labels, clicks)))?
        }
        _ => Faults::default(),
    };
    let of_tags: Vec<Faults> = schema
        .tag_fields()
        .zip(&plan.tags)
        .map(|((_, name), columns)| {
            let options = schema.field_options(name);
            let must_be = options.value_type.filter(|kind| known.is_none() && *kind != ValueType::Text);
            tag_faults(name, &options, plan, chunk, *columns, must_be, nulls)
        })
        .collect::<Result<_>>()?;
    let of_columns = done.iter().map(|(_, faults)| faults).chain([&unclicked]).chain(&of_tags);
    let faults = Faults::merged(std::iter::once(&chunk.faults).chain(of_columns));
    let scenarios = jobs.iter().zip(&done).find(|((column, _), _)| Some(*column) == plan.scenario);
    let new_scenarios = match (scenarios, known) {
        (Some(((column, _), (Cells::Codes(codes), _))), Some(known)) => with_column(plan, chunk, *column, |array| {
            Ok(new_scenarios(&plan.wanted[*column].name, array, codes, known.scenarios, &faults))
        })?,
        _ => Faults::default(),
    };
    let mut bad = [&faults.rows[..], &new_scenarios.rows[..]].concat();
    bad.sort_unstable();
    let keep = good_rows(chunk.len(), &bad);
    let mut checked = Checked {
        faults,
        new_scenarios,
        labels: Vec::new(),
        clicks: None,
        weights: None,
        probabilities: None,
        scenarios: Vec::new(),
        splits: Vec::new(),
        times: Vec::new(),
        numbers: vec![Vec::new(); plan.fields.len()],
        keep,
    };
    for ((column, _), (cells, _)) in jobs.iter().zip(done) {
        checked.take(schema, plan, *column, cells);
    }
    if plan.scenario.is_none() {
        checked.scenarios = vec![0; checked.keep.len()];
    }
    Ok(checked)
}

impl Checked {
    /// Stores the good rows' cells of one column.
    fn take(&mut self, schema: &Schema, plan: &WantedColumns, column: usize, cells: Cells) {
        let keep = &self.keep;
        match cells {
            Cells::Fine => {}
            Cells::Codes(codes) if Some(column) == plan.scenario => {
                self.scenarios = keep.iter().filter_map(|k| codes.get(*k as usize).copied()).collect();
            }
            Cells::Codes(codes) => self.splits = keep.iter().map(|k| codes[*k as usize] as u8).collect(),
            Cells::Numbers(all) => {
                let good = || keep.iter().map(|k| all[*k as usize]);
                if Some(column) == plan.label {
                    self.labels = good().map(|x| schema.label.of(x)).collect();
                } else if Some(column) == plan.click {
                    self.clicks = Some(good().map(|x| x as f32).collect());
                } else if Some(column) == plan.weight {
                    self.weights = Some(good().map(|x| x as f32).collect());
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

    /// What the chunk's file says that a column's values are.
    pub(crate) fn value_type(&self, plan: &WantedColumns, chunk: &Chunk, column: usize) -> Result<ValueType> {
        with_column(plan, chunk, column, |array| Ok(Text::of(&array.slice(0, 0))?.value_type()))
    }

    /// The good rows' codes of a text column.
    pub(crate) fn codes<T>(
        &self,
        plan: &WantedColumns,
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
    pub(crate) fn users(&self, plan: &WantedColumns, chunk: &Chunk) -> Result<Option<Vec<u64>>> {
        let column = plan.user.filter(|u| chunk.column(*u).is_some());
        column.map(|u| self.codes(plan, chunk, u, |cell| cell.map_or(0, xxh3_64))).transpose()
    }

    /// The good rows' sequences: their lengths and all their items' ids.
    pub(crate) fn sequences(
        &self,
        plan: &WantedColumns,
        chunk: &Chunk,
        column: usize,
        sequence: &SequenceColumn,
        id: impl FnMut(&[u8]) -> u32,
    ) -> Result<ItemLists> {
        with_column(plan, chunk, column, |array| {
            let (mut lengths, mut ids) = (Vec::with_capacity(self.keep.len()), Vec::new());
            let rows = self.keep.iter().map(|k| *k as usize);
            let SequenceColumn { separator, max_length, .. } = sequence;
            Lists::of(array)?.encode(rows, separator, *max_length, id, &mut lengths, &mut ids);
            Ok(ItemLists { lengths, ids, weights: Vec::new() })
        })
    }
}

/// Reads a column that must be there, and gives Arrow's errors the column's name.
pub(super) fn with_column<T>(
    plan: &WantedColumns,
    chunk: &Chunk,
    column: usize,
    read: impl FnOnce(&ArrayRef) -> Result<T, ArrowError>,
) -> Result<T> {
    let wanted = &plan.wanted[column];
    let error = |found: String| Error::ColumnType {
        path: chunk.path().to_path_buf(),
        column: wanted.name.clone(),
        key: wanted.key.clone(),
        expected: "other cells",
        found,
    };
    let array = chunk.column(column).ok_or_else(|| error("absent".to_owned()))?;
    read(array).map_err(|e| error(format!("{} ({e})", array.data_type())))
}

fn run(name: &str, check: Check, nulls: &Nulls, typed: bool, array: &ArrayRef) -> Result<(Cells, Faults), ArrowError> {
    match check {
        Check::Number(rule) => {
            let mut not_numbers = Vec::new();
            let cells = numbers(array, rule == Rule::Time, nulls, |row| not_numbers.push(row))?;
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
            let is_cell =
                |name: &str| name.as_bytes() == cell || truth(name.as_bytes()).is_some_and(|t| truth(cell) == Some(t));
            let found = names.iter().position(|name| is_cell(name)).map(|k| k as u32);
            found.ok_or_else(|| {
                let names = names.iter().filter(|n| !n.is_empty()).map(|n| format!("\"{n}\""));
                format!("one of {}", list(names))
            })
        }),
        Check::Scenario(None) => {
            let given = |cell: &[u8]| if nulls.is_given(cell) { Err("a value".to_owned()) } else { Ok(0) };
            let (_, faults) = text_codes(name, array, given)?;
            Ok((Cells::Codes(Vec::new()), faults))
        }
        Check::Scenario(Some(Known { scenarios, scenario_type, unknown_scenario, .. })) => {
            let mut room = String::new();
            text_codes(name, array, |cell| {
                if nulls.is_given(cell) {
                    return Err("a value".to_owned());
                }
                // A scenario is called NULL if the train rows called it so.
                let form = scenario_type.canonical(cell, nulls, &mut room).unwrap_or(cell);
                scenarios.find(form).map_or_else(
                    || match unknown_scenario {
                        UnknownScenario::Shared => Ok(scenarios.len() as u32),
                        UnknownScenario::Skip | UnknownScenario::Fail => Ok(NOT_SCORED),
                    },
                    Ok,
                )
            })
        }
        Check::Category { must_be, whole } => {
            Ok((Cells::Fine, category_faults(name, array, nulls, must_be, whole, whole && typed)?))
        }
    }
}

/// Rows with a conversion and no click before it.
fn without_click(schema: &Schema, name: &str, array: &ArrayRef, labels: &[f64], clicks: &[f64]) -> Faults {
    let mut faults = Faults::default();
    for (row, (label, click)) in labels.iter().zip(clicks).enumerate() {
        if schema.label.of(*label) == 1.0 && *click == 0.0 {
            let label = &schema.label.column;
            faults.add(row, || fault(name, array, row, format!("1, as \"{label}\" says that the row converted")));
        }
    }
    faults
}

/// The cells of a column of categories that are not of the type that the schema asks for, and with `whole` the whole
/// numbers of floats that may have lost digits: in columns of floats, and with `in_text` in those of text too.
fn category_faults(
    name: &str,
    array: &ArrayRef,
    nulls: &Nulls,
    must_be: Option<ValueType>,
    whole: bool,
    in_text: bool,
) -> Result<Faults, ArrowError> {
    let text = Text::of(array)?;
    let limit = if whole { whole_limit(array.data_type()) } else { None };
    let in_text = in_text && text.value_type() == ValueType::Text;
    let mut faults = Faults::default();
    if must_be.is_none() && limit.is_none() && !in_text {
        return Ok(faults);
    }
    let number = |cell: &[u8]| std::str::from_utf8(cell).ok()?.parse::<f64>().ok();
    let is_beyond = |cell: &[u8], limit: f64| number(cell).is_some_and(|x| x.fract() == 0.0 && x.abs() > limit);
    let mut row = 0;
    text.for_each(0..array.len(), |cell| {
        let cell = cell.map(|cell| cell.trim_ascii()).filter(|cell| !cell.is_empty() && !nulls.is_null(cell));
        if let Some(cell) = cell {
            let beyond = limit.filter(|limit| is_beyond(cell, *limit));
            if let Some(limit) = beyond.or_else(|| (in_text && is_rounded(cell)).then_some(WHOLE)) {
                faults.add(row, || rounded(name, array, row, limit));
            } else if let Some(must_be) = must_be.filter(|must_be| !must_be.holds(cell)) {
                let expected = format!("{}, as data.fields.{name}.type says", must_be.in_words());
                faults.add(row, || fault(name, array, row, expected));
            }
        }
        row += 1;
    });
    Ok(faults)
}

/// A whole number that a float may have changed.
fn rounded(name: &str, array: &ArrayRef, row: usize, limit: f64) -> Fault {
    let expected = format!(
        "whole numbers up to {limit} in a column of floats, which beyond it cannot tell neighbours apart (write integers or \
         text; where the values are measurements, data.fields.{name}.type = \"float\")"
    );
    fault(name, array, row, expected)
}

/// The rows of scenarios that are not known, but for those with faults.
fn new_scenarios(name: &str, array: &ArrayRef, codes: &[u32], known: &Interner, faults: &Faults) -> Faults {
    let mut new = Faults::default();
    for (row, _) in codes.iter().enumerate().filter(|(_, code)| **code == NOT_SCORED) {
        if faults.rows.binary_search(&(row as u32)).is_err() {
            new.add(row, || {
                let names = (0..known.len() as u32).map(|id| String::from_utf8_lossy(known.get(id)));
                fault(name, array, row, format!("a scenario that the model was trained on ({})", list(names)))
            });
        }
    }
    new
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

pub(super) fn fault(name: &str, array: &ArrayRef, row: usize, expected: String) -> Fault {
    Fault { row, column: Some(name.to_owned()), expected, found: found(array, row) }
}

/// A cell as messages show it.
fn found(array: &ArrayRef, row: usize) -> String {
    let text = array_value_to_string(array, row).unwrap_or_default();
    if array.is_null(row) || text.is_empty() { "nothing".to_owned() } else { quoted(&text) }
}

fn good_rows(len: usize, bad: &[u32]) -> Vec<u32> {
    let mut bad = bad.iter().peekable();
    (0..len as u32).filter(|row| bad.next_if_eq(&row).is_none()).collect()
}
