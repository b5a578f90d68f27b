//! Encoded rows: the form in which a split or a chunk is handed to training.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use crate::data::error::{Error, Result};

/// A column of values, in memory or in a memory-mapped file. It dereferences to a slice.
#[derive(Clone)]
pub struct Column<T>(Backing<T>);

#[derive(Clone)]
enum Backing<T> {
    Memory(Vec<T>),
    Mapped { map: Arc<Mmap>, bytes: Range<usize> },
}

impl<T: Pod> Column<T> {
    /// A view of `bytes` of a mapped file; `None` when they are out of the file, misaligned, or no whole number of values.
    pub(crate) fn mapped(map: &Arc<Mmap>, bytes: Range<usize>) -> Option<Column<T>> {
        bytemuck::try_cast_slice::<u8, T>(map.get(bytes.clone())?).ok()?;
        Some(Column(Backing::Mapped { map: map.clone(), bytes }))
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Column(Backing::Memory(values))
    }
}

impl<T: Pod> Deref for Column<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Backing::Memory(values) => values,
            // `mapped` has checked that the cast holds.
            Backing::Mapped { map, bytes } => bytemuck::cast_slice(&map[bytes.clone()]),
        }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self.0, Backing::Memory(_)) { "in memory" } else { "mapped" };
        write!(f, "Column({} values, {kind})", self.len())
    }
}

/// One column of lists, a sequence's or a field's of tags: for each row ids of the field whose vocabulary it has, and of tags
/// perhaps their weights.
#[derive(Debug, Clone)]
pub struct Sequence {
    offsets: Column<u64>,
    ids: Column<u32>,
    weights: Option<Column<f32>>,
}

impl Sequence {
    /// Items `ids`, of row i those at `offsets[i]..offsets[i + 1]`.
    pub fn new(offsets: impl Into<Column<u64>>, ids: impl Into<Column<u32>>) -> Sequence {
        Sequence { offsets: offsets.into(), ids: ids.into(), weights: None }
    }

    /// The same, its items with these weights.
    pub fn weighted(self, weights: impl Into<Column<f32>>) -> Sequence {
        Sequence { weights: Some(weights.into()), ..self }
    }

    /// Row i's items lie at `offsets[i]..offsets[i + 1]` of [`ids`](Sequence::ids). Shape `[len + 1]`, from 0.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// All rows' items, oldest first, as local ids of the shared field; 0 for unknown items.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Row `row`'s items.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.ids[self.range(row)]
    }

    /// The weights of row `row`'s items; `None` where items have none.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn weights(&self, row: usize) -> Option<&[f32]> {
        self.weights.as_ref().map(|weights| &weights[self.range(row)])
    }

    fn range(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The lists of the rows `from`, in that order.
    fn select(&self, from: impl Iterator<Item = usize>) -> Sequence {
        let (mut offsets, mut ids) = (vec![0u64], Vec::new());
        let mut weights = self.weights.as_ref().map(|_| Vec::new());
        for row in from {
            ids.extend_from_slice(self.row(row));
            if let Some(weights) = &mut weights {
                weights.extend_from_slice(self.weights(row).unwrap_or_default());
            }
            offsets.push(ids.len() as u64);
        }
        Sequence { offsets: offsets.into(), ids: ids.into(), weights: weights.map(Into::into) }
    }
}

/// Encoded rows of one split or one chunk, in file order.
#[derive(Debug, Clone)]
pub struct Rows {
    len: usize,
    ids: Column<u32>,
    values: Column<f32>,
    labels: Column<f32>,
    scenarios: Column<u32>,
    users: Option<Column<u64>>,
    clicks: Option<Column<f32>>,
    weights: Option<Column<f32>>,
    probabilities: Option<Column<f32>>,
    sequences: Vec<Sequence>,
}

/// The columns that [`Rows::from_columns`] takes; F fields, V values per row, n rows.
#[derive(Debug, Clone, Default)]
pub struct RowColumns {
    /// Local ids per field, row-major `[n, F]`.
    pub ids: Column<u32>,
    /// Multipliers of numeric fields, row-major `[n, V]`.
    pub values: Column<f32>,
    /// 0 or 1 per row `[n]`; empty where labels are not known.
    pub labels: Column<f32>,
    /// Scenario numbers `[n]`.
    pub scenarios: Column<u32>,
    /// User hashes `[n]`.
    pub users: Option<Column<u64>>,
    /// Whether the row was clicked, 0 or 1 `[n]`.
    pub clicks: Option<Column<f32>>,
    /// Sample weights `[n]`.
    pub weights: Option<Column<f32>>,
    /// True probabilities `[n]`.
    pub probabilities: Option<Column<f32>>,
    /// The lists: those of sequences, then those of fields of tags.
    pub sequences: Vec<Sequence>,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl Rows {
    /// Rows of `fields` ids and `values` multipliers each; as many as there are scenarios.
    ///
    /// # Errors
    /// [`Error::Shape`] when the columns' lengths don't agree.
    pub fn from_columns(fields: usize, values: usize, columns: RowColumns) -> Result<Rows> {
        let len = columns.scenarios.len();
        let expect = |name: &str, found: usize, expected: usize| {
            if found == expected {
                return Ok(());
            }
            Err(Error::Shape(format!("{name} has {found} entries where {len} rows need {expected}")))
        };
        expect("ids", columns.ids.len(), len * fields)?;
        expect("values", columns.values.len(), len * values)?;
        if !columns.labels.is_empty() {
            expect("labels", columns.labels.len(), len)?;
        }
        if let Some(users) = &columns.users {
            expect("users", users.len(), len)?;
        }
        if let Some(clicks) = &columns.clicks {
            expect("clicks", clicks.len(), len)?;
        }
        if let Some(weights) = &columns.weights {
            expect("weights", weights.len(), len)?;
        }
        if let Some(probabilities) = &columns.probabilities {
            expect("probabilities", probabilities.len(), len)?;
        }
        for Sequence { offsets, ids, weights } in &columns.sequences {
            expect("a sequence's offsets", offsets.len(), len + 1)?;
            if weights.as_ref().is_some_and(|weights| weights.len() != ids.len()) {
                return Err(Error::Shape(format!("there is no weight for each of a list's {} ids", ids.len())));
            }
            if offsets[0] != 0 || offsets.windows(2).any(|w| w[0] > w[1]) || offsets[len] != ids.len() as u64 {
                return Err(Error::Shape(format!("a sequence's offsets don't rise from 0 to its {} ids", ids.len())));
            }
        }
        let RowColumns { ids, values, labels, scenarios, users, clicks, weights, probabilities, sequences } = columns;
        Ok(Rows { len, ids, values, labels, scenarios, users, clicks, weights, probabilities, sequences })
    }

    /// The rows at `chosen`, in that order.
    ///
    /// # Errors
    /// None that these rows' own columns do not already have.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, chosen: &[usize]) -> Result<Rows> {
        fn pick<T: Pod>(column: &Column<T>, width: usize, chosen: &[usize]) -> Column<T> {
            chosen
                .iter()
                .flat_map(|row| column[row * width..(row + 1) * width].iter().copied())
                .collect::<Vec<T>>()
                .into()
        }
        let width = |length: usize| length.checked_div(self.len).unwrap_or(0);
        let (fields, values) = (width(self.ids.len()), width(self.values.len()));
        let sequence = |sequence: &Sequence| sequence.select(chosen.iter().copied());
        let columns = RowColumns {
            ids: pick(&self.ids, fields, chosen),
            values: pick(&self.values, values, chosen),
            labels: if self.labels.is_empty() { Column::default() } else { pick(&self.labels, 1, chosen) },
            scenarios: pick(&self.scenarios, 1, chosen),
            users: self.users.as_ref().map(|users| pick(users, 1, chosen)),
            clicks: self.clicks.as_ref().map(|clicks| pick(clicks, 1, chosen)),
            weights: self.weights.as_ref().map(|weights| pick(weights, 1, chosen)),
            probabilities: self.probabilities.as_ref().map(|p| pick(p, 1, chosen)),
            sequences: self.sequences.iter().map(sequence).collect(),
        };
        Rows::from_columns(fields, values, columns)
    }

    /// These rows, each with one field's value of another row: row i has that of row `from[i]`. `value` is the field's column of
    /// [`values`](Rows::values), where it has one.
    ///
    /// # Panics
    /// If there is no such field, column or row.
    pub fn with_field_from(&self, field: usize, value: Option<usize>, from: &[u32]) -> Rows {
        fn moved<T: Pod>(column: &Column<T>, width: usize, at: usize, from: &[u32]) -> Column<T> {
            let mut moved = column.to_vec();
            moved.iter_mut().skip(at).step_by(width).zip(from).for_each(|(own, &row)| {
                *own = column[row as usize * width + at];
            });
            moved.into()
        }
        if self.is_empty() {
            return self.clone();
        }
        let ids = moved(&self.ids, self.ids.len() / self.len, field, from);
        let values = match value {
            Some(value) => moved(&self.values, self.values.len() / self.len, value, from),
            None => self.values.clone(),
        };
        Rows { ids, values, ..self.clone() }
    }

    /// These rows, each with these lists of another row, as in [`Rows::with_field_from`].
    ///
    /// # Panics
    /// If there is no such row or list.
    pub fn with_lists_from(&self, lists: Range<usize>, from: &[u32]) -> Rows {
        let mut sequences = self.sequences.clone();
        for list in &mut sequences[lists] {
            *list = list.select(from.iter().map(|&row| row as usize));
        }
        Rows { sequences, ..self.clone() }
    }

    /// These rows, each with the scenario's number of another row, as in [`Rows::with_field_from`].
    ///
    /// # Panics
    /// If there is no such row.
    pub fn with_scenarios_from(&self, from: &[u32]) -> Rows {
        let scenarios = from.iter().map(|&row| self.scenarios[row as usize]).collect::<Vec<u32>>().into();
        Rows { scenarios, ..self.clone() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Local ids, row-major `[len, F]`: each row has one id per field of [`Encoder::fields`](crate::data::Encoder::fields),
    /// less than that field's number of rows.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Multipliers of numeric fields' embeddings, row-major `[len, value_count]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Labels, 0 or 1, `[len]`; empty for chunks scanned without labels.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// Scenario numbers, positions in [`Encoder::scenarios`](crate::data::Encoder::scenarios), `[len]`;
    /// [`Encoder::new_scenario`](crate::data::Encoder::new_scenario) for scenarios that the train split does not have.
    pub fn scenarios(&self) -> &[u32] {
        &self.scenarios
    }

    /// The xxh3 hash of each row's user `[len]`, 0 where it is missing; `None` without a user column.
    pub fn users(&self) -> Option<&[u64]> {
        self.users.as_deref()
    }

    /// Whether each row was clicked `[len]`, 0 or 1; `None` without such a column.
    pub fn clicks(&self) -> Option<&[f32]> {
        self.clicks.as_deref()
    }

    /// Each row's weight `[len]`, at least 0; `None` without such a column.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// Each row's true probability `[len]`; `None` without such a column.
    pub fn probabilities(&self) -> Option<&[f32]> {
        self.probabilities.as_deref()
    }

    /// The lists: those of the sequence columns in the schema's order, then those of the fields of tags in the fields'.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_other_rows_and_all_else_stays() {
        let columns = RowColumns {
            ids: vec![1, 10, 2, 20, 3, 30].into(),
            values: vec![0.1, 0.2, 0.3].into(),
            labels: vec![0.0, 1.0, 0.0].into(),
            scenarios: vec![0, 1, 2].into(),
            sequences: vec![
                Sequence::new(vec![0, 2, 2, 3], vec![7, 8, 9]),
                Sequence::new(vec![0, 1, 1, 3], vec![4, 5, 6]).weighted(vec![0.1, 0.2, 0.3]),
            ],
            ..RowColumns::default()
        };
        let rows = Rows::from_columns(2, 1, columns).unwrap();
        let from = [2, 0, 1];
        let moved = rows.with_field_from(1, Some(0), &from);
        assert_eq!((moved.ids(), moved.values()), (&[1, 30, 2, 10, 3, 20][..], &[0.3, 0.1, 0.2][..]));
        assert_eq!((moved.labels(), moved.scenarios()), (rows.labels(), rows.scenarios()));
        assert_eq!(rows.with_field_from(0, None, &from).values(), rows.values());
        let moved = rows.with_lists_from(0..1, &from);
        assert_eq!([0, 1, 2].map(|row| moved.sequences()[0].row(row).to_vec()), [vec![9], vec![7, 8], vec![]]);
        assert_eq!(moved.sequences()[1].ids(), rows.sequences()[1].ids());
        let tags = rows.with_lists_from(1..2, &from).sequences()[1].clone();
        assert_eq!([0, 1, 2].map(|row| tags.row(row).to_vec()), [vec![5, 6], vec![4], vec![]]);
        assert_eq!((tags.weights(0), tags.weights(1)), (Some(&[0.2, 0.3][..]), Some(&[0.1][..])));
        assert_eq!(moved.ids(), rows.ids());
        assert_eq!(rows.with_scenarios_from(&from).scenarios(), [2, 0, 1]);
    }
}
