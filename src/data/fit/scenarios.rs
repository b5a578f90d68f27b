//! The scenarios of the train rows, and how many rows each split has of each.

use std::collections::{HashMap, HashSet};

use crate::data::error::{Error, Result, list, nearest, suggestion};
use crate::data::fit::evidence::Evidence;
use crate::data::fit::spool::Block;
use crate::data::fit::vocabulary::Interner;
use crate::data::read::checks::Skipped;
use crate::data::read::faults::MAX_MESSAGES;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;
use crate::data::schema::{OnBadRow, Schema, SplitName, UnknownScenario};
use crate::data::split::choice::{Times, check_rows};

/// The scenarios that rows have, in the one form of their type.
pub(super) struct ScenarioNames {
    pub(super) value_type: ValueType,
    /// Of each provisional number.
    names: Vec<String>,
    /// Those that have a number already.
    known: Vec<String>,
}

impl ScenarioNames {
    /// `train_rows` says how many train rows each provisional scenario has: they decide the type, unless scenarios of one
    /// are known already.
    pub(super) fn new(
        seen: &Interner,
        train_rows: &[u64],
        mut evidence: Evidence,
        known: Option<(&[String], ValueType)>,
    ) -> ScenarioNames {
        // Here a text that stands for a missing number is a name.
        let nulls = Nulls::new(Some(&[]));
        let ids = 0..seen.len() as u32;
        ids.clone().filter(|id| train_rows[*id as usize] > 0).for_each(|id| evidence.add(seen.get(id), &nulls));
        let (known, value_type) = known.unwrap_or_else(|| (&[], evidence.decide()));
        let mut room = String::new();
        let name = |id: u32| {
            let text = seen.get(id);
            let form = value_type.canonical(text, &nulls, &mut room).unwrap_or(text);
            String::from_utf8_lossy(form).into_owned()
        };
        ScenarioNames { value_type, names: ids.map(name).collect(), known: known.to_vec() }
    }

    /// Which provisional numbers are those of the scenarios that are asked for.
    ///
    /// # Errors
    /// When a name is no row's.
    pub(super) fn chosen(&self, asked: &[String]) -> Result<Vec<bool>> {
        let (nulls, mut room) = (Nulls::new(Some(&[])), String::new());
        let mut forms = Vec::new();
        for name in asked {
            let form = self.value_type.canonical(name.as_bytes(), &nulls, &mut room).unwrap_or(name.as_bytes());
            let form = String::from_utf8_lossy(form).into_owned();
            if !self.names.contains(&form) {
                let near = suggestion(nearest(&form, self.names.iter().map(String::as_str)));
                let mut names: Vec<&String> = self.names.iter().collect();
                names.sort();
                names.dedup();
                return Err(Error::Schema(format!(
                    "data.only_scenarios (--scenario) names \"{name}\", which no row has{near}; the scenarios are: {}",
                    list(names.into_iter())
                )));
            }
            forms.push(form);
        }
        Ok(self.names.iter().map(|name| forms.contains(name)).collect())
    }
}

/// How many rows and sequence items each split has of each scenario.
pub(in crate::data) struct Sizes {
    /// `[split][scenario]`
    pub(super) rows: [Vec<u64>; 3],
    /// `[split][sequence][scenario]`
    items: [Vec<Vec<u64>>; 3],
    /// Train rows of label 0 and 1.
    classes: [u64; 2],
    /// What the rows' times allow, where the schema splits by time.
    times: Times,
}

impl Sizes {
    pub(super) fn new(scenarios: usize, sequences: usize, times: Times) -> Sizes {
        let zeros = || vec![0; scenarios];
        Sizes {
            rows: std::array::from_fn(|_| zeros()),
            items: std::array::from_fn(|_| (0..sequences).map(|_| zeros()).collect()),
            classes: [0; 2],
            times,
        }
    }

    /// Counts the rows of a block that are used.
    pub(super) fn add(&mut self, block: &Block, splits: &[u8], used: &[u32]) {
        for row in used.iter().map(|row| *row as usize) {
            let (split, scenario) = (splits[row] as usize, block.scenarios[row] as usize);
            self.rows[split][scenario] += 1;
            if split == 0 {
                self.classes[usize::from(block.labels[row] != 0.0)] += 1;
            }
            for (items, lists) in self.items[split].iter_mut().zip(&block.sequences) {
                items[scenario] += u64::from(lists.lengths[row]);
            }
        }
    }

    pub(super) fn check(&self, schema: &Schema) -> Result<()> {
        check_rows(schema, &self.times, std::array::from_fn(|s| self.rows[s].iter().sum())).map_err(
            |error| match error {
                Error::EmptySplit { split, why } if !schema.only_scenarios.is_empty() => {
                    let why = format!("{why}; these are the rows of data.only_scenarios (--scenario) alone");
                    Error::EmptySplit { split, why }
                }
                other => other,
            },
        )?;
        match self.classes {
            [0, rows] => Err(Error::OneClass { label: 1, rows }),
            [rows, 0] => Err(Error::OneClass { label: 0, rows }),
            _ => Ok(()),
        }
    }

    /// The scenarios: those known before, then the train split's others, sorted; and the final numbers of the provisional ones. What becomes of rows of other
    /// scenarios the schema says; where they are left out, their number is none.
    pub(super) fn scenarios(
        &mut self,
        schema: &Schema,
        names: &ScenarioNames,
        chosen: Option<&[bool]>,
        skipped: &mut Skipped,
    ) -> Result<(Vec<String>, Vec<Option<u32>>)> {
        let ScenarioNames { names, known, .. } = names;
        let mut trained: HashSet<&str> =
            names.iter().zip(&self.rows[0]).filter(|(_, rows)| **rows > 0).map(|(name, _)| name.as_str()).collect();
        trained.retain(|name| !known.iter().any(|known| known == name));
        let mut sorted: Vec<&str> = trained.into_iter().collect();
        if sorted.iter().all(|name| name.parse::<i64>().is_ok()) {
            sorted.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
        } else {
            sorted.sort_unstable();
        }
        let sorted: Vec<&str> = known.iter().map(String::as_str).chain(sorted).collect();
        let numbers: HashMap<&str, u32> = sorted.iter().zip(0..).map(|(name, number)| (*name, number)).collect();
        let mut map = Vec::new();
        for (id, name) in names.iter().enumerate() {
            if chosen.is_some_and(|chosen| !chosen[id]) {
                map.push(None);
                continue;
            }
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
    pub(in crate::data) fn of(&self, split: usize) -> (u64, Vec<u64>) {
        (self.rows[split].iter().sum(), self.items[split].iter().map(|items| items.iter().sum()).collect())
    }
}
