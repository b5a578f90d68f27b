//! Crosses: the values of two or three columns together as one category.

use crate::data::error::Result;
use crate::data::fit::evidence::Evidence;
use crate::data::fit::vocabulary::Interner;
use crate::data::read::checks::Checked;
use crate::data::read::reader::Chunk;
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;

/// What separates the parts of a cross, and what stands before one of the two within a part.
const SEPARATOR: char = '|';
const ESCAPE: char = '\\';

/// Appends a part as it stands in the text of a cross: no two different lists of parts have one text.
fn append(part: &[u8], out: &mut String) {
    for letter in String::from_utf8_lossy(part).chars() {
        if letter == SEPARATOR || letter == ESCAPE {
            out.push(ESCAPE);
        }
        out.push(letter);
    }
}

/// The parts of a cross's text.
pub(crate) fn parts_of(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let part = parts.len() - 1;
        match letter {
            SEPARATOR => parts.push(String::new()),
            ESCAPE => parts[part].extend(letters.next()),
            letter => parts[part].push(letter),
        }
    }
    parts
}

/// The values of the columns of a cross while the files are read, and which of them are there together.
pub(crate) struct Crossing {
    parts: Vec<Part>,
    /// Each as its parts' numbers, from 1, of four bytes.
    tuples: Interner,
}

#[derive(Default)]
struct Part {
    values: Interner,
    evidence: Evidence,
}

impl Crossing {
    pub(super) fn new(parts: usize) -> Crossing {
        Crossing { parts: (0..parts).map(|_| Part::default()).collect(), tuples: Interner::default() }
    }

    /// How many different tuples there are.
    pub(super) fn len(&self) -> usize {
        self.tuples.len()
    }

    /// The rows' tuples, numbered from 1; 0 where a part is missing.
    pub(super) fn encode(
        &mut self,
        plan: &WantedColumns,
        chunk: &Chunk,
        checked: &Checked,
        columns: &[usize],
    ) -> Result<Vec<u32>> {
        let mut of_parts = Vec::new();
        for (Part { values, evidence }, column) in self.parts.iter_mut().zip(columns) {
            evidence.hold_as(checked.value_type(plan, chunk, *column)?);
            of_parts.push(checked.codes(plan, chunk, *column, |cell| cell.map_or(0, |text| values.intern(text) + 1))?);
        }
        let mut key = Vec::new();
        let tuple = |row: usize| {
            key.clear();
            for numbers in &of_parts {
                if numbers[row] == 0 {
                    return 0;
                }
                key.extend_from_slice(&numbers[row].to_le_bytes());
            }
            self.tuples.intern(&key) + 1
        };
        Ok((0..checked.keep.len()).map(tuple).collect())
    }

    /// The numbers, from 1, of a tuple's parts.
    fn numbers(&self, tuple: u32) -> impl Iterator<Item = u32> {
        let bytes = self.tuples.get(tuple - 1);
        bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// What the values of each part are: as asked for, or what those of the given tuples allow.
    pub(super) fn types(
        &self,
        asked: &[Option<ValueType>],
        train: impl Iterator<Item = u32>,
        nulls: &Nulls,
    ) -> Vec<ValueType> {
        let mut evidence: Vec<Evidence> = self.parts.iter().map(|part| part.evidence.clone()).collect();
        let mut seen: Vec<Vec<bool>> = self.parts.iter().map(|part| vec![false; part.values.len() + 1]).collect();
        for tuple in train {
            for (part, number) in self.numbers(tuple).enumerate() {
                if !std::mem::replace(&mut seen[part][number as usize], true) {
                    evidence[part].add(self.parts[part].values.get(number - 1), nulls);
                }
            }
        }
        asked.iter().zip(evidence).map(|(asked, evidence)| asked.unwrap_or_else(|| evidence.decide())).collect()
    }

    /// The form of every part's values in a cross; none of those that stand for a missing one.
    pub(super) fn forms(self, types: &[ValueType], nulls: &Nulls) -> Forms {
        let mut room = String::new();
        let mut form = |value_type: ValueType, text: &[u8]| {
            let form = value_type.canonical(text, nulls, &mut room)?;
            let mut escaped = String::new();
            append(form, &mut escaped);
            Some(escaped)
        };
        let mut of_part = |(Part { values, .. }, value_type): (&Part, &ValueType)| {
            (0..values.len() as u32).map(|id| form(*value_type, values.get(id))).collect()
        };
        let forms = self.parts.iter().zip(types).map(&mut of_part).collect();
        Forms { crossing: self, forms }
    }
}

/// The tuples of a cross, each as one text.
pub(super) struct Forms {
    crossing: Crossing,
    /// Per part the form of each value.
    forms: Vec<Vec<Option<String>>>,
}

impl Forms {
    pub(super) fn len(&self) -> usize {
        self.crossing.len()
    }

    /// The text of a tuple, numbered from 1; `None` where a part stands for a missing value.
    pub(super) fn form<'a>(&self, tuple: u32, room: &'a mut String) -> Option<&'a [u8]> {
        room.clear();
        for (part, number) in self.crossing.numbers(tuple).enumerate() {
            if part > 0 {
                room.push(SEPARATOR);
            }
            room.push_str(self.forms[part][number as usize - 1].as_deref()?);
        }
        Some(room.as_bytes())
    }
}

/// The codes of the good rows' crosses, in their one form; of a row that lacks a part the code of `None`.
pub(crate) fn crossed(
    plan: &WantedColumns,
    chunk: &Chunk,
    checked: &Checked,
    columns: &[usize],
    types: &[ValueType],
    nulls: &Nulls,
    mut code: impl FnMut(Option<&[u8]>) -> u32,
) -> Result<Vec<u32>> {
    let mut crossing = Crossing::new(columns.len());
    let tuples = crossing.encode(plan, chunk, checked, columns)?;
    let (forms, mut room) = (crossing.forms(types, nulls), String::new());
    Ok(tuples.into_iter().map(|tuple| code(if tuple == 0 { None } else { forms.form(tuple, &mut room) })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_whatever_is_in_them() {
        let texts = ["", "a", "|", "\\", "a|b", "a\\|b", "\\\\|", "é|"];
        let mut seen = std::collections::HashSet::new();
        for first in texts {
            for second in texts {
                let mut text = String::new();
                append(first.as_bytes(), &mut text);
                text.push(SEPARATOR);
                append(second.as_bytes(), &mut text);
                assert_eq!(parts_of(&text), [first, second]);
                assert!(seen.insert(text));
            }
        }
    }
}
