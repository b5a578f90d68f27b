//! Rows told apart by the values of any column.

use std::cmp::Ordering;

use serde::Serialize;

use crate::data::{CellColumn, FieldKind, Schema};

/// Buckets of a column of numbers.
const BUCKETS: usize = 10;

/// What the rows of a slice have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceKind {
    /// One value.
    Value,
    /// Numbers between two quantiles.
    Range,
    /// That the column is empty.
    Missing,
    /// Values that are too rare to have slices of their own.
    Others,
}

/// Some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The value, the smallest and the largest number (`18 to 24`), `(missing)`, or how many other values these are.
    pub name: String,
    /// What they have in common.
    pub kind: SliceKind,
    /// Their numbers, ascending.
    pub rows: Vec<usize>,
}

/// All rows, by the values of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// The column.
    pub column: String,
    /// How many different values it has in these rows.
    pub values: usize,
    /// Numbers from the smallest up, other values from the commonest down; then what is left over, then missing values.
    pub slices: Vec<Slice>,
}

/// Tells rows apart by a column: each value is a slice, where there are at most `most` of them (or one more). Of more values, the
/// commonest `most` have slices, and the others one together; numbers that are no categories come in ten buckets of as equal
/// sizes as can be.
pub fn slices(column: &CellColumn, schema: &Schema, most: usize) -> Slices {
    let mut of_value: Vec<Vec<usize>> = vec![Vec::new(); column.len()];
    let mut missing = Vec::new();
    for (row, code) in column.codes().enumerate() {
        match code {
            Some(code) => of_value[code].push(row),
            None => missing.push(row),
        }
    }
    // Where rows were left out after the values were read, some values have none.
    let mut values: Vec<(String, Vec<usize>)> = of_value
        .into_iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(code, rows)| (column.value(code), rows))
        .collect();
    let count = values.len();
    let numbers: Option<Vec<f64>> = values.iter().map(|(value, _)| finite(value)).collect();
    let mut slices = match numbers {
        Some(numbers) if count > most && !is_category(&column.name, schema) => {
            buckets(numbers.into_iter().zip(values).collect())
        }
        numbers => {
            // The commonest first; which of equals is in must not depend on the rows' order.
            values.sort_by(|(a, of_a), (b, of_b)| of_b.len().cmp(&of_a.len()).then_with(|| in_order(a, b)));
            // A single value left over takes no more room as itself.
            let rest = values.split_off(if count == most + 1 { count } else { most.min(count) });
            if numbers.is_some() {
                values.sort_by(|(a, _), (b, _)| in_order(a, b));
            }
            let slice = |(name, rows)| Slice { name, kind: SliceKind::Value, rows };
            let mut slices: Vec<Slice> = values.into_iter().map(slice).collect();
            if !rest.is_empty() {
                let name = format!("({} other values)", rest.len());
                let mut rows: Vec<usize> = rest.into_iter().flat_map(|(_, rows)| rows).collect();
                rows.sort_unstable();
                slices.push(Slice { name, kind: SliceKind::Others, rows });
            }
            slices
        }
    };
    if !missing.is_empty() {
        slices.push(Slice { name: "(missing)".to_owned(), kind: SliceKind::Missing, rows: missing });
    }
    Slices { column: column.name.clone(), values: count, slices }
}

/// Whether the schema says that a column's numbers are names of something.
fn is_category(column: &str, schema: &Schema) -> bool {
    let is_field = schema.field_names().any(|field| field == column);
    let is = |name: &Option<String>| name.as_deref() == Some(column);
    is(&schema.scenario) || is(&schema.user) || is_field && schema.field_options(column).kind == FieldKind::Category
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Numbers by size, and before other texts.
fn in_order(a: &str, b: &str) -> Ordering {
    match (finite(a), finite(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Ten buckets of neighbouring numbers; rows of one number stay together, so that there may be fewer.
fn buckets(mut values: Vec<(f64, (String, Vec<usize>))>) -> Vec<Slice> {
    values.sort_by(|(a, (of_a, _)), (b, (of_b, _))| a.total_cmp(b).then_with(|| of_a.cmp(of_b)));
    let total: usize = values.iter().map(|(_, (_, rows))| rows.len()).sum();
    let mut slices: Vec<(String, String, Vec<usize>)> = Vec::new();
    let (mut before, mut bucket) = (0, None);
    for (_, (name, rows)) in values {
        // A number belongs where the middle of its rows is.
        let middle = before + rows.len() / 2;
        before += rows.len();
        let own = middle * BUCKETS / total.max(1);
        match slices.last_mut().filter(|_| bucket == Some(own)) {
            Some((_, last, all)) => {
                *last = name;
                all.extend(rows);
            }
            None => slices.push((name.clone(), name, rows)),
        }
        bucket = Some(own);
    }
    let slice = |(first, last, mut rows): (String, String, Vec<usize>)| {
        rows.sort_unstable();
        let name = if first == last { first } else { format!("{first} to {last}") };
        Slice { name, kind: SliceKind::Range, rows }
    };
    slices.into_iter().map(slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[&str], schema: &Schema, most: usize) -> Vec<(String, SliceKind, Vec<usize>)> {
        let found = slices(&CellColumn::of("c", cells), schema, most);
        assert_eq!(found.slices.iter().map(|slice| slice.rows.len()).sum::<usize>(), cells.len());
        found.slices.into_iter().map(|slice| (slice.name, slice.kind, slice.rows)).collect()
    }

    #[test]
    fn the_commonest_values_come_first_and_the_rest_together() {
        let cells = ["b", "a", "", "b", "c", "d", "a", "b"];
        let found = of(&cells, &Schema::default(), 2);
        let expected = [
            ("b".to_owned(), SliceKind::Value, vec![0, 3, 7]),
            ("a".to_owned(), SliceKind::Value, vec![1, 6]),
            ("(2 other values)".to_owned(), SliceKind::Others, vec![4, 5]),
            ("(missing)".to_owned(), SliceKind::Missing, vec![2]),
        ];
        assert_eq!(found, expected);
        let names: Vec<String> = of(&cells, &Schema::default(), 3).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["b", "a", "c", "d", "(missing)"]);
    }

    #[test]
    fn few_numbers_are_values_in_their_order() {
        let names: Vec<String> =
            of(&["10", "9", "10", "-1.5"], &Schema::default(), 3).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["-1.5", "9", "10"]);
    }

    #[test]
    fn many_numbers_come_in_buckets_and_many_categories_do_not() {
        let cells: Vec<String> = (0..1000).map(|row| (row * 7 % 1000).to_string()).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let found = of(&cells, &Schema::default(), 50);
        assert_eq!(found.len(), 10);
        assert_eq!((found[0].0.as_str(), found[9].0.as_str()), ("0 to 99", "900 to 999"));
        for (number, (_, kind, rows)) in found.iter().enumerate() {
            assert_eq!((*kind, rows.len()), (SliceKind::Range, 100));
            assert!(rows.is_sorted() && rows.iter().all(|row| row * 7 % 1000 / 100 == number));
        }
        let schema = Schema { user: Some("c".to_owned()), ..Schema::default() };
        let found = of(&cells, &schema, 50);
        assert_eq!((found.len(), found[50].0.as_str(), found[50].2.len()), (51, "(950 other values)", 950));
        // Equally common: the smallest numbers.
        assert_eq!((found[0].0.as_str(), found[49].0.as_str()), ("0", "49"));
    }

    #[test]
    fn a_number_of_half_the_rows_is_a_bucket_of_its_own() {
        let cells: Vec<String> = (0..200).map(|row| if row < 100 { 0 } else { row }.to_string()).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let found = of(&cells, &Schema::default(), 20);
        assert_eq!((found[0].0.as_str(), found[0].2.len()), ("0", 100));
        assert!(found[1..].iter().all(|(_, _, rows)| (19..=21).contains(&rows.len())), "{found:?}");
    }
}
