//! Rows that `data.where` leaves out, before anything is counted.

use arrow_array::{Date32Array, Float32Array, Int64Array, StringArray};

use super::*;

const SCHEMA: &str = r#"
    label = "label"
    scenario = "scenario"
    agnostic = ["item"]
    split = { by = "seed", seed = 1, valid = 0.2, test = 0.2 }
"#;

/// 300 rows; every third is of scenario c, and those of price 9 have labels that are none.
fn rows() -> String {
    (0..300).fold("label,scenario,item,price,day\n".to_owned(), |text, k| {
        let (price, scenario) = (k % 10, ["a", "b", "c"][k % 3]);
        let label = if price == 9 { "?".to_owned() } else { (k / 2 % 2).to_string() };
        format!("{text}{label},{scenario},i{k},{price},2024-01-{:02}\n", k % 28 + 1)
    })
}

fn fixture(filter: &str) -> Fixture {
    Fixture::new("rows.csv", rows(), &format!("where = {filter:?}\n{SCHEMA}"))
}

/// The items that a split's rows have.
fn items(data: &Dataset, rows: &Rows) -> Vec<String> {
    let vocabulary = data.encoder.vocabulary(0).unwrap();
    rows.ids().iter().filter_map(|id| vocabulary.value(*id).map(str::to_owned)).collect()
}

#[test]
fn rows_are_left_out_before_anything_is_counted() {
    let filtered = fixture("price != 9 and scenario in [a, b]");
    let takes = |k: &usize| k % 10 != 9 && k % 3 != 2;
    let expected: Vec<usize> = (0..300).filter(takes).collect();
    for limits in [Limits::default(), Limits { chunk_rows: 7, spool_bytes: 0 }] {
        filtered.open_with(&limits).unwrap();
    }
    let data = filtered.open().unwrap();
    assert!(matches!(data.cache, Cache::Read(_)));
    assert_eq!((data.filtered, data.skipped.count), (300 - expected.len() as u64, 0));
    assert_eq!(data.train.len() + data.valid.len() + data.test.len(), expected.len());
    assert_eq!(data.encoder.scenarios(), ["a", "b"]);
    // The rows of the train split, in the file's order, and as many values as these.
    let train = items(&data, &data.train);
    assert_eq!(train.len(), data.encoder.vocabulary(0).unwrap().len());
    let all = Fixture::new("rows.csv", rows().replace('?', "0"), SCHEMA).open().unwrap();
    let same: Vec<String> =
        items(&all, &all.train).into_iter().filter(|item| takes(&item[1..].parse().unwrap())).collect();
    assert_eq!(train, same, "a row is in the same split whatever is left out");
    assert_eq!(all.filtered, 0);
}

#[test]
fn what_cannot_be_compared_is_a_bad_row_and_no_rows_are_an_error() {
    let error = |filter: &str| fixture(filter).error();
    assert_eq!(
        error("label >= 0"),
        "rows.csv, line 11, column \"label\": expected numbers, which data.where compares, found \"?\"; fix the row or set \
         data.on_bad_row = \"skip\""
    );
    assert_eq!(error("price = 10"), "rows.csv: there are no rows to learn from (300 rows were left out by data.where)");
    assert!(
        error("prise = 1")
            .starts_with("rows.csv: no column \"prise\", which data.where names; did you mean \"price\"?")
    );
    // Without the filter's second half the rows of price 9 are bad ones.
    assert!(error("scenario = a").contains("line 11, column \"label\": expected 0 or 1"));
    let mut skipping = fixture("scenario != c");
    skipping.schema.on_bad_row = OnBadRow::Skip;
    let data = skipping.open().unwrap();
    assert_eq!((data.filtered, data.skipped.count), (100, 20));
    assert!(data.skipped.messages[0].contains("line 11"), "{:?}", data.skipped.messages);
    let error = toml::from_str::<Schema>("path = 'x'\nlabel = 'y'\nwhere = 'a ~ b'").unwrap_err().to_string();
    assert!(error.contains("found `~`"), "{error}");
}

#[test]
fn typed_columns_are_compared_by_their_types() {
    let columns = || {
        vec![
            ("label", array(Int64Array::from(vec![0, 1, 0, 1, 0, 1]))),
            ("scenario", array(StringArray::from(vec!["a"; 6]))),
            ("item", array(Int64Array::from(vec![Some(1), Some(2), Some(3), Some(4), None, Some(6)]))),
            ("price", array(Float32Array::from(vec![0.1, 0.2, 0.3, 0.1, 0.5, 0.6]))),
            ("day", array(Date32Array::from(vec![19_723, 19_724, 19_725, 19_726, 19_727, 19_728]))),
        ]
    };
    let schema =
        "label = 'label'\nscenario = 'scenario'\nagnostic = ['item']\nsplit = { by = 'seed', valid = 0.0, test = 0.0 }";
    let open =
        |filter: &str| Fixture::new("r.parquet", parquet(columns()), &format!("where = {filter:?}\n{schema}")).open();
    for (filter, left_out) in [
        ("price = 0.1 and item > 0", 4),
        ("price <= 0.3", 2),
        ("item in ['1', '2']", 4),
        ("item != 1", 2),
        ("day >= 2024-01-03", 2),
        ("item is not null", 1),
    ] {
        match open(filter) {
            Ok(data) => assert_eq!(data.filtered, left_out, "{filter}"),
            Err(error) => assert!(matches!(error, Error::OneClass { .. }), "{filter}: {error}"),
        }
    }
    for (filter, expected) in [
        (
            "item = home",
            "column \"item\": data.where needs text, or a value of its own type to compare with, but the column's",
        ),
        ("item = '007'", "data.where needs text, or a value of its own type to compare with"),
        ("day > 3", "data.where needs numbers, to compare them with one, but the column's type is Date32"),
        (
            "item < 2024-01-03",
            "data.where needs dates or times, to compare them with one, but the column's type is Int64",
        ),
        ("day = true", "data.where needs booleans or numbers"),
    ] {
        let error = open(filter).unwrap_err().to_string();
        assert!(error.contains(expected), "{filter}: {error}");
    }
}

#[test]
fn other_files_are_filtered_where_their_labels_are_read() {
    let fixture = fixture("price != 9 and scenario in [a, b]");
    let encoder = fixture.open().unwrap().encoder;
    let mut labelled = scan(&encoder, &fixture.inputs().unwrap(), true, 64).unwrap();
    let chunks: Vec<EncodedChunk> = labelled.by_ref().collect::<Result<_>>().unwrap();
    assert_eq!(labelled.filtered(), 120);
    assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 180);
    for chunk in &chunks {
        assert_eq!((chunk.batch.num_rows(), chunk.kept.len()), (chunk.rows.len(), chunk.rows.len()));
    }
    let all = scan(&encoder, &fixture.inputs().unwrap(), false, 64).unwrap().unknown_scenario(UnknownScenario::Shared);
    assert_eq!(all.map(|chunk| chunk.unwrap().rows.len()).sum::<usize>(), 300);
}

#[test]
fn rows_of_some_scenarios_are_used_in_the_splits_of_all() {
    let all = Fixture::new("rows.csv", rows().replace('?', "0"), SCHEMA).open().unwrap();
    let mut one = Fixture::new("rows.csv", rows().replace('?', "0"), SCHEMA);
    one.schema.only_scenarios = vec!["b".to_owned()];
    for limits in [Limits::default(), Limits { chunk_rows: 7, spool_bytes: 0 }] {
        let data = one.open_with(&limits).unwrap();
        assert_eq!((data.other_scenarios, data.filtered, data.skipped.count), (200, 0, 0));
        assert_eq!(data.encoder.scenarios(), ["b"]);
        for (rows, of_all) in [(&data.train, &all.train), (&data.test, &all.test)] {
            let own = |item: &String| item[1..].parse::<usize>().unwrap() % 3 == 1;
            let expected: Vec<String> = items(&all, of_all).into_iter().filter(own).collect();
            // Test rows' items are none of the train split's.
            assert_eq!(rows.len(), if expected.is_empty() { count(of_all, 1) } else { expected.len() });
            assert_eq!(items(&data, rows), expected);
        }
    }
    // By time too: the latest rows of all scenarios are test, not the latest of each.
    let by_time = |only: &[&str]| {
        let mut fixture = Fixture::new("rows.csv", rows().replace('?', "0"), SCHEMA);
        fixture.schema.split = Split::Time { column: "day".to_owned(), valid: 0.0, test: 0.3 };
        fixture.schema.only_scenarios = only.iter().map(|name| (*name).to_owned()).collect();
        fixture.open().unwrap()
    };
    let (all, one) = (by_time(&[]), by_time(&["c", "a"]));
    assert_eq!(one.test.len(), count(&all.test, 0) + count(&all.test, 2));
    one_scenario_that_is_not_there();
}

/// How many rows are of a scenario.
fn count(rows: &Rows, scenario: u32) -> usize {
    rows.scenarios().iter().filter(|known| **known == scenario).count()
}

fn one_scenario_that_is_not_there() {
    let mut fixture = Fixture::new("rows.csv", rows().replace(",b,", ",shop,").replace('?', "0"), SCHEMA);
    fixture.schema.only_scenarios = vec!["shpo".to_owned()];
    assert_eq!(
        fixture.error(),
        "data.only_scenarios (--scenario) names \"shpo\", which no row has; did you mean \"shop\"?; the scenarios are: a, c, shop"
    );
    fixture.schema.scenario = None;
    assert!(fixture.error().contains("needs data.scenario"));
}
