//! One table written in many ways: as table programs write CSV, and as Parquet with any types that hold its values. Fitted
//! to one of them, an encoder must give the rows of all the others the same ids and numbers.

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    BooleanArray, Date32Array, DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array,
    Int32Array, Int64Array, LargeStringArray, ListArray, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray,
};
use proptest::prelude::*;

use super::*;

/// One row. Each value but the label and the scenario may be missing.
#[derive(Debug, Clone)]
struct Row {
    label: bool,
    scenario: i64,
    flag: Option<bool>,
    /// Days since 1970.
    day: Option<i32>,
    /// Seconds since 1970.
    stamp: Option<i64>,
    count: Option<i64>,
    /// In single precision, so that all float types hold it.
    amount: Option<f32>,
    /// Three digits.
    code: Option<u16>,
    name: Option<String>,
    price: Option<f64>,
    history: Vec<i64>,
}

fn row() -> impl Strategy<Value = Row> {
    let some = |share| proptest::option::weighted(share, Just(()));
    let names = ["a", "b c", "NA", "é", "x,\"y\"", "true", "7"];
    let amount =
        prop_oneof![(-50i16..50).prop_map(|k| f32::from(k) / 10.0), Just(1e-5_f32), (-9i8..9).prop_map(f32::from)];
    (
        (any::<bool>(), -3i64..4, proptest::option::weighted(0.9, any::<bool>())),
        (proptest::option::weighted(0.9, -400i32..20_000), proptest::option::weighted(0.9, -9i64..2_000_000_000)),
        (proptest::option::weighted(0.9, -20i64..1 << 40), proptest::option::weighted(0.9, amount)),
        (proptest::option::weighted(0.9, 0u16..1000), some(0.9), 0..names.len()),
        (proptest::option::weighted(0.9, -1e6..1e6), proptest::collection::vec(-20i64..20, 0..4)),
    )
        .prop_map(
            move |(
                (label, scenario, flag),
                (day, stamp),
                (count, amount),
                (code, has_name, name),
                (price, history),
            )| {
                // Some days at midnight, some counts that are often the same.
                let stamp = stamp.map(|s| if s % 3 == 0 { s / 86_400 * 86_400 } else { s });
                let count = count.map(|c| if c % 2 == 0 { c % 10 } else { c });
                let name = has_name.map(|()| names[name].to_owned());
                Row { label, scenario, flag, day, stamp, count, amount, code, name, price, history }
            },
        )
}

const SCHEMA: &str = r#"
    label = "label"
    scenario = "scenario"
    aware = ["scenario", "flag"]
    agnostic = ["day", "stamp", "count", "amount", "code", "name", "hashed", "hashed_day", "price"]
    sequence = [{ column = "history", vocabulary = "count" }]
    split = { by = "seed", valid = 0.0, test = 0.0 }
    cache = false
    [fields]
    price = { kind = "numeric" }
    hashed = { hash = 100000 }
    hashed_day = { hash = 100000 }
"#;

const COLUMNS: [&str; 12] =
    ["label", "scenario", "flag", "day", "stamp", "count", "amount", "code", "name", "hashed", "hashed_day", "price"];

fn date(days: i32) -> String {
    chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0).unwrap().format("%Y-%m-%d").to_string()
}

fn stamp(seconds: i64, format: &str) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap().format(format).to_string()
}

/// A float as Python and Rust print it; whole ones with a zero.
fn float(x: f64) -> String {
    format!("{x:?}")
}

fn three(code: u16) -> String {
    format!("{code:03}")
}

/// All columns as text, in the order of [`COLUMNS`], as pandas writes them: whole numbers become floats and a column of
/// stamps loses its times where it can.
fn pandas(rows: &[Row]) -> Vec<Vec<Option<String>>> {
    let truth = |b: bool| if b { "True" } else { "False" }.to_owned();
    let whole = |value: Option<i64>, has_missing: bool| {
        value.map(|v| if has_missing { float(v as f64) } else { v.to_string() })
    };
    let has_missing = rows.iter().any(|row| row.count.is_none());
    let midnight = rows.iter().all(|row| row.stamp.is_none_or(|s| s % 86_400 == 0));
    let format = if midnight { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S" };
    rows.iter()
        .map(|row| {
            vec![
                Some(truth(row.label)),
                Some(row.scenario.to_string()),
                row.flag.map(truth),
                row.day.map(date),
                row.stamp.map(|s| stamp(s, format)),
                whole(row.count, has_missing),
                row.amount.map(|x| float(f64::from(x))),
                row.code.map(three),
                row.name.clone(),
                whole(row.count, has_missing),
                row.day.map(date),
                row.price.map(float),
            ]
        })
        .collect()
}

/// The same as polars writes them.
fn polars(rows: &[Row]) -> Vec<Vec<Option<String>>> {
    rows.iter()
        .map(|row| {
            vec![
                Some(row.label.to_string()),
                Some(row.scenario.to_string()),
                row.flag.map(|b| b.to_string()),
                row.day.map(date),
                row.stamp.map(|s| stamp(s, "%Y-%m-%dT%H:%M:%S%.6f")),
                row.count.map(|c| c.to_string()),
                row.amount.map(|x| format!("{x:?}")),
                row.code.map(three),
                row.name.clone(),
                row.count.map(|c| format!(" {c}")),
                row.day.map(|d| format!("{}T01:00:00+01:00", date(d))),
                row.price.map(|x| format!("{x:e}")),
            ]
        })
        .collect()
}

fn csv_of(rows: &[Row], cells: Vec<Vec<Option<String>>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.into_iter().chain(["history"])).unwrap();
    for (row, cells) in rows.iter().zip(cells) {
        let history: Vec<String> = row.history.iter().map(i64::to_string).collect();
        writer.write_record(cells.into_iter().map(Option::unwrap_or_default).chain([history.join("|")])).unwrap();
    }
    writer.into_inner().unwrap()
}

fn lists(rows: &[Row]) -> ArrayRef {
    array(ListArray::from_iter_primitive::<Int64Type, _, _>(
        rows.iter().map(|row| Some(row.history.iter().copied().map(Some).collect::<Vec<_>>())),
    ))
}

/// Each column in the type that its values are of.
fn plain_types(rows: &[Row]) -> Vec<ArrayRef> {
    let days = || array(rows.iter().map(|row| row.day).collect::<Date32Array>());
    let counts = || array(rows.iter().map(|row| row.count).collect::<Int64Array>());
    vec![
        array(rows.iter().map(|row| Some(row.label)).collect::<BooleanArray>()),
        array(rows.iter().map(|row| Some(row.scenario)).collect::<Int64Array>()),
        array(rows.iter().map(|row| row.flag).collect::<BooleanArray>()),
        days(),
        array(rows.iter().map(|row| row.stamp.map(|s| s * 1_000_000)).collect::<TimestampMicrosecondArray>()),
        counts(),
        array(rows.iter().map(|row| row.amount.map(f64::from)).collect::<Float64Array>()),
        array(rows.iter().map(|row| row.code.map(three)).collect::<StringArray>()),
        array(rows.iter().map(|row| row.name.clone()).collect::<StringArray>()),
        counts(),
        days(),
        array(rows.iter().map(|row| row.price).collect::<Float64Array>()),
    ]
}

/// Each column in another type that holds its values.
fn other_types(rows: &[Row]) -> Vec<ArrayRef> {
    let nanos = |days: i32| i64::from(days) * 86_400_000_000_000;
    let days = rows.iter().map(|row| row.day.map(nanos)).collect::<TimestampNanosecondArray>();
    let stamps = rows.iter().map(|row| row.stamp.map(|s| s * 1000)).collect::<TimestampMillisecondArray>();
    let names: Vec<Option<&str>> = rows.iter().map(|row| row.name.as_deref()).collect();
    vec![
        array(rows.iter().map(|row| Some(f32::from(u8::from(row.label)))).collect::<Float32Array>()),
        array(rows.iter().map(|row| Some(row.scenario as f32)).collect::<Float32Array>()),
        array(rows.iter().map(|row| row.flag.map(i8::from)).collect::<Int8Array>()),
        array(days.clone().with_timezone("UTC")),
        array(stamps.with_timezone("Europe/Berlin")),
        array(rows.iter().map(|row| row.count.map(|c| c as f64)).collect::<Float64Array>()),
        array(rows.iter().map(|row| row.amount).collect::<Float32Array>()),
        array(rows.iter().map(|row| row.code.map(i32::from)).collect::<Int32Array>()),
        array(names.into_iter().collect::<DictionaryArray<Int32Type>>()),
        array(rows.iter().map(|row| row.count.map(|c| c as f64)).collect::<Float64Array>()),
        array(days),
        array(rows.iter().map(|row| row.price.map(float)).collect::<LargeStringArray>()),
    ]
}

/// All as text in Parquet, codes as bytes of one length.
fn texts(rows: &[Row]) -> Vec<ArrayRef> {
    let cells = pandas(rows);
    let mut columns: Vec<ArrayRef> =
        (0..COLUMNS.len()).map(|k| array(cells.iter().map(|row| row[k].clone()).collect::<StringArray>())).collect();
    let codes = rows.iter().map(|row| row.code.map(|code| three(code).into_bytes()));
    columns[7] = array(FixedSizeBinaryArray::try_from_sparse_iter_with_size(codes, 3).unwrap());
    columns
}

fn guises(rows: &[Row]) -> Vec<(&'static str, Vec<u8>)> {
    let file =
        |columns: Vec<ArrayRef>| parquet(COLUMNS.into_iter().zip(columns).chain([("history", lists(rows))]).collect());
    vec![
        ("pandas.csv", csv_of(rows, pandas(rows))),
        ("polars.csv", csv_of(rows, polars(rows))),
        ("plain.parquet", file(plain_types(rows))),
        ("other.parquet", file(other_types(rows))),
        ("texts.parquet", file(texts(rows))),
    ]
}

/// Everything that a model gets of the rows.
#[derive(Debug, Clone, PartialEq)]
struct Encoded {
    ids: Vec<u32>,
    values: Vec<f32>,
    scenarios: Vec<u32>,
    labels: Vec<f32>,
    history: (Vec<u64>, Vec<u32>),
}

impl Encoded {
    fn of(rows: &Rows) -> Encoded {
        let history = &rows.sequences()[0];
        Encoded {
            ids: rows.ids().to_vec(),
            values: rows.values().to_vec(),
            scenarios: rows.scenarios().to_vec(),
            labels: rows.labels().to_vec(),
            history: (history.offsets().to_vec(), history.ids().to_vec()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_encoded_alike_however_it_is_written(mut rows in proptest::collection::vec(row(), 3..40)) {
        // Both classes, or there is nothing to learn.
        rows[0].label = true;
        rows[1].label = false;
        let guises = guises(&rows);
        let mut first = None;
        for (name, bytes) in &guises {
            let fixture = Fixture::new(name, bytes, SCHEMA);
            let data = fixture.open().unwrap_or_else(|error| panic!("{name}: {error}"));
            let expected = Encoded::of(&data.train);
            prop_assert_eq!(first.get_or_insert_with(|| expected.clone()), &expected, "{}: fitted", name);
            let folder = fixture.path().join("saved");
            data.encoder.save(&folder).unwrap();
            let encoder = Encoder::load(&folder).unwrap();
            prop_assert!(encoder.same_codes(&data.encoder));
            for (other, bytes) in &guises {
                fs::write(fixture.path().join(other), bytes).unwrap();
                let inputs = Inputs::find(other, Format::Auto, None, &[fixture.path().to_owned()]).unwrap();
                let mut scan = scan(&encoder, &inputs, true, 1000).unwrap();
                let chunk = scan.next().unwrap().unwrap_or_else(|error| panic!("{other} after {name}: {error}"));
                prop_assert_eq!(&Encoded::of(&chunk.rows), &expected, "{} after {}", other, name);
                let unknown: Vec<_> = scan.unknown_values().into_iter().filter(|column| column.unknown > 0 && column.column != "history").collect();
                prop_assert_eq!(unknown, vec![], "{} after {}", other, name);
            }
        }
    }
}
