//! Columns of tags: lists of which the first values count, perhaps with weights.

use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;

use crate::data::read::cells::{Lists, Text, numbers};
use crate::data::schema::FieldOptions;
use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::ValueType;

/// The lists of some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ItemLists {
    /// How many items each row has.
    pub(crate) lengths: Vec<u32>,
    /// All rows' items.
    pub(crate) ids: Vec<u32>,
    /// Their weights, one for each; empty where they have none.
    pub(crate) weights: Vec<f32>,
}

impl ItemLists {
    /// Where each row's items begin.
    pub(crate) fn starts(&self) -> Vec<usize> {
        let begin = |end: &mut usize, length: &u32| {
            *end += *length as usize;
            Some(*end - *length as usize)
        };
        self.lengths.iter().scan(0, begin).collect()
    }

    /// Adds those of more rows.
    pub(crate) fn extend(&mut self, more: ItemLists) {
        self.lengths.extend(more.lengths);
        self.ids.extend(more.ids);
        self.weights.extend(more.weights);
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * (self.lengths.len() + self.ids.len() + self.weights.len())
    }
}

/// What is wrong with the weights of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightFault {
    /// There are not as many as there are values, which are so many.
    Count(usize),
    /// One is no number of at least 0 that single precision holds.
    Value,
}

/// A column of tags, and that of their weights.
pub(crate) struct TagColumn<'a> {
    values: Lists,
    weights: Option<Weights>,
    separator: &'a str,
    most: usize,
    nulls: &'a Nulls,
}

/// Lists of numbers, NaN where there is none.
enum Weights {
    List(arrow_array::ListArray, Vec<f64>),
    Separated(Text),
}

impl<'a> TagColumn<'a> {
    /// # Errors
    /// Arrow's, for types that [`check_type`](crate::data::schema::columns::check_type) does not admit.
    pub(crate) fn of(
        values: &ArrayRef,
        weights: Option<&ArrayRef>,
        options: &'a FieldOptions,
        nulls: &'a Nulls,
    ) -> Result<TagColumn<'a>, ArrowError> {
        let weights = weights.map(|array| {
            Ok::<Weights, ArrowError>(match Lists::of(array)? {
                Lists::List(list, _) => {
                    let found = numbers(list.values(), false, nulls, |_| {})?;
                    Weights::List(list, found)
                }
                Lists::Separated(text) => Weights::Separated(text),
            })
        });
        Ok(TagColumn {
            values: Lists::of(values)?,
            weights: weights.transpose()?,
            separator: options.separator.as_deref().unwrap_or_default(),
            most: options.most_tags(),
            nulls,
        })
    }

    /// What the file says that the values are.
    pub(crate) fn value_type(&self) -> ValueType {
        match &self.values {
            Lists::List(_, items) => items.value_type(),
            Lists::Separated(text) => text.value_type(),
        }
    }

    /// Calls `each` for all of a row's values, beyond those that count as well, with their places among the row's weights.
    /// Missing ones are left out. Returns how many places there are.
    pub(crate) fn for_each(&self, row: usize, mut each: impl FnMut(usize, &[u8])) -> usize {
        let mut place = 0;
        match &self.values {
            Lists::List(list, items) => {
                let range = if list.is_valid(row) { list_range(list, row) } else { 0..0 };
                items.for_each(range, |item| {
                    if let Some(item) = item.filter(|item| !self.nulls.is_given(item)) {
                        each(place, item);
                    }
                    place += 1;
                });
            }
            Lists::Separated(text) => text.for_each(std::iter::once(row), |cell| {
                for item in self.pieces(cell) {
                    if !self.nulls.is_given(item.as_bytes()) {
                        each(place, item.as_bytes());
                    }
                    place += 1;
                }
            }),
        }
        place
    }

    /// The pieces of a text.
    fn pieces<'c>(&self, cell: Option<&'c [u8]>) -> impl Iterator<Item = &'c str> {
        let cell = cell.filter(|cell| !self.nulls.is_given(cell)).and_then(|cell| std::str::from_utf8(cell).ok());
        cell.unwrap_or_default().split(self.separator).map(str::trim).filter(|piece| !piece.is_empty())
    }

    /// A row's weights, not a number where there is none.
    fn weights_of(&self, row: usize) -> Option<Vec<f64>> {
        Some(match self.weights.as_ref()? {
            Weights::List(list, numbers) if list.is_valid(row) => numbers[list_range(list, row)].to_vec(),
            Weights::List(..) => Vec::new(),
            Weights::Separated(text) => {
                let mut found = Vec::new();
                text.for_each(std::iter::once(row), |cell| {
                    found.extend(self.pieces(cell).map(|piece| piece.parse::<f64>().unwrap_or(f64::NAN)));
                });
                found
            }
        })
    }

    /// What is wrong with a row's weights, if anything.
    pub(crate) fn weight_fault(&self, row: usize) -> Option<WeightFault> {
        let weights = self.weights_of(row)?;
        let mut present = Vec::new();
        let count = self.for_each(row, |place, _| present.push(place));
        if count != weights.len() {
            return Some(WeightFault::Count(count));
        }
        let is_good = |place: &usize| (0.0..=f64::from(f32::MAX)).contains(&weights[*place]);
        (!present.iter().all(is_good)).then_some(WeightFault::Value)
    }

    /// The first values of some rows, whose weights are right, with their weights. Also how many of these rows have more.
    pub(crate) fn encode(
        &self,
        rows: impl Iterator<Item = usize>,
        mut id: impl FnMut(&[u8]) -> u32,
    ) -> (ItemLists, u64) {
        let (mut lists, mut cut) = (ItemLists::default(), 0);
        for row in rows {
            let weights = self.weights_of(row);
            let start = lists.ids.len();
            let mut more = false;
            self.for_each(row, |place, item| {
                if lists.ids.len() - start == self.most {
                    more = true;
                    return;
                }
                lists.ids.push(id(item));
                lists.weights.extend(weights.as_ref().map(|weights| weights[place] as f32));
            });
            cut += u64::from(more);
            lists.lengths.push((lists.ids.len() - start) as u32);
        }
        (lists, cut)
    }
}

fn list_range(list: &arrow_array::ListArray, row: usize) -> std::ops::Range<usize> {
    let [start, end] = [0, 1].map(|next| list.value_offsets()[row + next] as usize);
    start..end
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{ListArray, StringArray};

    use super::*;

    fn encoded(values: ArrayRef, weights: Option<ArrayRef>, options: &FieldOptions) -> (ItemLists, u64) {
        let nulls = Nulls::new(Some(&["-".to_owned()]));
        let column = TagColumn::of(&values, weights.as_ref(), options, &nulls).unwrap();
        let rows = (0..values.len()).filter(|row| column.weight_fault(*row).is_none());
        column.encode(rows, |item| std::str::from_utf8(item).unwrap().parse().unwrap())
    }

    #[test]
    fn the_first_values_count_and_missing_ones_do_not() {
        let options = FieldOptions { separator: Some("|".to_owned()), max_length: Some(2), ..FieldOptions::default() };
        let texts = StringArray::from(vec![Some("7| 8 |9"), Some("||5|"), None, Some("-"), Some("-|6|4"), Some("1|2")]);
        let (lists, cut) = encoded(Arc::new(texts), None, &options);
        assert_eq!(
            lists,
            ItemLists { lengths: vec![2, 1, 0, 0, 2, 2], ids: vec![7, 8, 5, 6, 4, 1, 2], weights: vec![] }
        );
        assert_eq!((cut, lists.starts()), (1, vec![0, 2, 3, 3, 3, 5]));

        let values =
            vec![Some(vec![Some(7), None, Some(8)]), None, Some(vec![]), Some(vec![Some(1), Some(2), Some(3)])];
        let options = FieldOptions { max_length: Some(2), ..FieldOptions::default() };
        let (lists, cut) = encoded(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(values)), None, &options);
        assert_eq!((lists.lengths, lists.ids, cut), (vec![2, 0, 0, 2], vec![7, 8, 1, 2], 1));
    }

    #[test]
    fn weights_go_with_their_values() {
        let options = FieldOptions { separator: Some(",".to_owned()), ..FieldOptions::default() };
        let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let values = texts(&["1,2", "-,4", "5", "6,7", "8", "9"]);
        let weights = texts(&["0.5,2", "x,1e-3", "1,1", "1", "-1", "1e39"]);
        let nulls = Nulls::new(Some(&["-".to_owned()]));
        let column = TagColumn::of(&values, Some(&weights), &options, &nulls).unwrap();
        let faults: Vec<_> = (0..6).map(|row| column.weight_fault(row)).collect();
        let [count, value] = [|count| Some(WeightFault::Count(count)), |_| Some(WeightFault::Value)];
        assert_eq!(faults, [None, None, count(1), count(2), value(0), value(0)]);
        let (lists, _) = encoded(values, Some(weights), &options);
        assert_eq!((lists.lengths, lists.ids, lists.weights), (vec![2, 1], vec![1, 2, 4], vec![0.5, 2.0, 1e-3]));

        let values = vec![Some(vec![Some(7), None, Some(8)]), Some(vec![Some(1)]), None, Some(vec![Some(2)])];
        let weights = vec![Some(vec![Some(0.25), None, Some(0.0)]), Some(vec![None]), None, Some(vec![])];
        let values: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(values));
        let weights: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(weights));
        let options = FieldOptions::default();
        let column = TagColumn::of(&values, Some(&weights), &options, &nulls).unwrap();
        let faults: Vec<_> = (0..4).map(|row| column.weight_fault(row)).collect();
        assert_eq!(faults, [None, Some(WeightFault::Value), None, Some(WeightFault::Count(1))]);
        let (lists, _) = encoded(values, Some(weights), &options);
        assert_eq!((lists.lengths, lists.ids, lists.weights), (vec![2, 0], vec![7, 8], vec![0.25, 0.0]));
    }
}
