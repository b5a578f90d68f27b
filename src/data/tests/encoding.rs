//! What good files become.

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray, ListArray,
    StringArray, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};

use super::*;

fn ids(rows: &Rows) -> &[u32] {
    rows.ids()
}

#[test]
fn categories_get_rows_in_the_train_rows_order() {
    let data = Fixture::new("six.csv", SIX, BY_COLUMN).open().unwrap();
    assert_eq!(data.encoder.scenarios(), ["a", "b"]);
    // b, a come in this order as a field's values, and sorted as scenarios.
    assert_eq!(ids(&data.train), [1, 1, 2, 2, 1, 1]);
    assert_eq!(data.train.scenarios(), [1, 0, 1]);
    assert_eq!(data.train.labels(), [0.0, 1.0, 1.0]);
    // z is seen in valid only and unknown; the last row's item is missing.
    assert_eq!((ids(&data.valid), ids(&data.test)), (&[2, 0][..], &[1, 2, 2, 0][..]));
    let fields: Vec<_> = data.encoder.fields().iter().map(|f| (f.name.as_str(), f.role, f.rows)).collect();
    assert_eq!(fields, [("scenario", FieldRole::Aware, 3), ("item", FieldRole::Agnostic, 3)]);
    let items = data.encoder.vocabulary(1).unwrap();
    assert_eq!((items.value(1), items.count(1), items.value(2), items.count(2)), (Some("x"), 2, Some("y"), 1));
    assert_eq!((data.train.users(), data.train.probabilities(), data.skipped.count), (None, None, 0));
}

#[test]
fn minimum_counts_count_train_rows_only() {
    let mut fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    fixture.schema.min_count = 2;
    fixture.schema.fields.insert("scenario".to_owned(), FieldOptions { min_count: Some(1), ..Default::default() });
    let data = fixture.open().unwrap();
    // y is there twice, but once in train.
    assert_eq!(data.encoder.fields().iter().map(|f| f.rows).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(ids(&data.train), [1, 1, 2, 0, 1, 1]);
}

#[test]
fn hashed_fields_have_their_rows_and_no_vocabulary() {
    let mut fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    fixture.schema.fields.insert("item".to_owned(), FieldOptions { hash: Some(1000), ..Default::default() });
    let data = fixture.open().unwrap();
    let row = |text: &str| 1 + (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % 1000) as u32;
    assert_eq!(data.encoder.fields()[1].rows, 1001);
    assert_eq!(ids(&data.train), [1, row("x"), 2, row("y"), 1, row("x")]);
    // Hashing needs no train row to know a value.
    assert_eq!((ids(&data.valid), ids(&data.test)), (&[2, row("z")][..], &[1, row("y"), 2, 0][..]));
    assert!(data.encoder.vocabulary(1).is_none());
}

#[test]
fn numbers_are_standardised_or_bucketed_over_the_train_rows() {
    let csv = "label,s,price,age,split\n0,a,1,10,train\n1,a,3,20,train\n0,a,,30,train\n1,a,5, 4e1 ,train\n0,a,7,,valid\n1,a,nan,25,test\n";
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s", "price"]
        agnostic = ["age"]
        split = { by = "column", column = "split" }
        [fields]
        price = { kind = "numeric" }
        age = { kind = "bucket", buckets = 4 }
    "#;
    let data = Fixture::new("n.csv", csv, schema).open().unwrap();
    let std = (8.0f64 / 3.0).sqrt();
    let price = &data.encoder.fields()[1];
    assert_eq!((price.rows, price.value_index, data.encoder.value_count()), (2, Some(0), 1));
    let expected: Vec<f32> = [-2.0 / std, 0.0, 1.0, 2.0 / std].iter().map(|x| *x as f32).collect();
    assert_eq!(data.train.values(), expected);
    assert_eq!(ids(&data.train), [1, 1, 1, 1, 1, 2, 1, 0, 3, 1, 1, 4]);
    assert_eq!((data.valid.values(), ids(&data.valid)), (&[(4.0 / std) as f32][..], &[1, 1, 0][..]));
    assert_eq!((data.test.values(), ids(&data.test)), (&[1.0][..], &[1, 0, 2][..]));
    let age = &data.encoder.fields()[2];
    assert_eq!((age.rows, age.value_index), (5, None));
}

const HISTORY: &str = r#"
    label = "label"
    scenario = "s"
    aware = ["s"]
    agnostic = ["item"]
    sequence = [{ column = "history", vocabulary = "item", max_length = 2 }]
    split = { by = "column", column = "split" }
"#;

#[test]
fn sequences_share_their_fields_rows_and_keep_the_last_items() {
    let csv = "label,s,item,history,split\n0,a,x,,train\n1,a,y,x,train\n0,a,w,x|y||x|,train\n1,a,x,q|w,valid\n0,a,x,y|x|z,test\n";
    let data = Fixture::new("h.csv", csv, HISTORY).open().unwrap();
    let row = |rows: &Rows, k: usize| rows.sequences()[0].row(k).to_vec();
    assert_eq!([row(&data.train, 0), row(&data.train, 1), row(&data.train, 2)], [vec![], vec![1], vec![2, 1]]);
    assert_eq!(data.train.sequences()[0].offsets(), [0, 0, 1, 3]);
    assert_eq!((row(&data.valid, 0), row(&data.test, 0)), (vec![0, 3], vec![1, 0]));
    assert_eq!(data.encoder.sequences(), [SequenceInfo { name: "history".to_owned(), field: 1, max_length: 2 }]);
}

#[test]
fn a_list_column_is_a_sequence_as_separated_text_is() {
    let history = ListArray::from_iter_primitive::<Int64Type, _, _>([
        None,
        Some(vec![Some(1)]),
        Some(vec![Some(1), None, Some(2), Some(1)]),
        Some(vec![Some(9), Some(3)]),
        Some(vec![]),
    ]);
    let columns = vec![
        ("label", array(Int8Array::from(vec![0, 1, 0, 1, 0]))),
        ("s", array(StringArray::from(vec!["a"; 5]))),
        ("item", array(Int64Array::from(vec![1, 2, 3, 1, 1]))),
        ("history", array(history)),
        ("split", array(StringArray::from(vec!["train", "train", "train", "valid", "test"]))),
    ];
    let data = Fixture::new("h.parquet", parquet(columns), HISTORY).open().unwrap();
    let train = &data.train.sequences()[0];
    assert_eq!((train.offsets(), train.ids()), (&[0, 0, 1, 3][..], &[1, 2, 1][..]));
    assert_eq!((data.valid.sequences()[0].ids(), data.test.sequences()[0].ids()), (&[0, 3][..], &[][..]));
}

/// The same table in many column types must encode alike.
#[test]
fn types_of_columns_do_not_change_the_rows() {
    let csv = "label,s,item,flag,price,user,t\n0,7,3,true,0.5,10,2020-01-01T00:00:00\n1,8,4,false,1.5,11,2020-01-02T00:00:00\n1,7,3,true,,10,2020-01-03T00:00:00\n0,8,,false,2.5,12,2020-01-04T00:00:00\n";
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s"]
        agnostic = ["item", "flag", "price"]
        user = "user"
        split = { by = "time", column = "t", valid = 0.25, test = 0.25 }
        fields = { price = { kind = "numeric" } }
    "#;
    let flag = || array(BooleanArray::from(vec![true, false, true, false]));
    let price = || array(Float64Array::from(vec![Some(0.5), Some(1.5), None, Some(2.5)]));
    let days: Vec<i64> = (0..4).map(|d| (18_262 + d) * 86_400_000_000).collect();
    let time = || array(TimestampMicrosecondArray::from(days.clone()));
    let from_csv = Fixture::new("d.csv", csv, schema).open().unwrap();
    assert_eq!([from_csv.train.len(), from_csv.valid.len(), from_csv.test.len()], [2, 1, 1]);
    let integers = parquet(vec![
        ("label", array(BooleanArray::from(vec![false, true, true, false]))),
        ("s", array(Int8Array::from(vec![7, 8, 7, 8]))),
        ("item", array(Int64Array::from(vec![Some(3), Some(4), Some(3), None]))),
        ("flag", flag()),
        ("price", price()),
        ("user", array(UInt32Array::from(vec![10, 11, 10, 12]))),
        ("t", time()),
    ]);
    let floats = parquet(vec![
        ("label", array(Float32Array::from(vec![0.0, 1.0, 1.0, 0.0]))),
        ("s", array(Float32Array::from(vec![7.0, 8.0, 7.0, 8.0]))),
        ("item", array(Float64Array::from(vec![3.0, 4.0, 3.0, f64::NAN]))),
        ("flag", flag()),
        ("price", array(Float32Array::from(vec![Some(0.5), Some(1.5), None, Some(2.5)]))),
        ("user", array(StringViewArray::from(vec!["10", "11", "10", "12"]))),
        ("t", array(Int64Array::from(vec![1, 2, 3, 4]))),
    ]);
    let texts = parquet(vec![
        ("label", array(StringArray::from(vec!["0", "1", "1.0", "0"]))),
        ("s", array(["7", "8", "7", "8"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("item", array(LargeStringArray::from(vec![Some("3"), Some("4"), Some("3"), Some("")]))),
        ("flag", array(StringArray::from(vec!["true", "false", "true", "false"]))),
        ("price", array(StringArray::from(vec![Some("0.5"), Some(" 1.5"), None, Some("2.5")]))),
        ("user", array(arrow_array::BinaryArray::from(vec![&b"10"[..], b"11", b"10", b"12"]))),
        ("t", array(arrow_array::Date32Array::from(vec![1, 2, 3, 4]))),
    ]);
    for (name, bytes) in [("integers", integers), ("floats", floats), ("texts", texts)] {
        let data = Fixture::new("d.parquet", bytes, schema).open().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(data.encoder.scenarios(), ["7", "8"], "{name}");
        for (a, b) in [(&data.train, &from_csv.train), (&data.valid, &from_csv.valid), (&data.test, &from_csv.test)] {
            assert_eq!((a.ids(), a.values(), a.labels()), (b.ids(), b.values(), b.labels()), "{name}");
            assert_eq!((a.scenarios(), a.users()), (b.scenarios(), b.users()), "{name}");
        }
    }
}

/// Some thousand rows of everything, in a CSV of a given name.
fn mixed(split: &str) -> Fixture {
    let mut csv = String::from("label,s,item,history,price,user,p,t\n");
    for k in 0..3000u32 {
        let x = k.wrapping_mul(2_654_435_761) >> 16;
        let history: Vec<String> = (0..x % 4).map(|j| ((x + j) % 90).to_string()).collect();
        let (label, price) = (x % 3 / 2, f64::from(x % 97) / 7.0);
        let history = history.join("|");
        csv.push_str(&format!(
            "{label},s{},{},{history},{price},u{},0.{},{}\n",
            x % 3,
            x % 90,
            x % 50,
            x % 10,
            x % 501
        ));
    }
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s"]
        agnostic = ["item", "price", "user"]
        sequence = [{ column = "history", vocabulary = "item", max_length = 2 }]
        user = "user"
        probability = "p"
        cache = false
        fields = { price = { kind = "bucket" } }
    "#;
    Fixture::new("mixed.csv", csv, &format!("{schema}\nsplit = {split}"))
}

pub(super) fn same(a: &Dataset, b: &Dataset) {
    assert_eq!((a.encoder.fields(), a.encoder.scenarios()), (b.encoder.fields(), b.encoder.scenarios()));
    for (a, b) in [(&a.train, &b.train), (&a.valid, &b.valid), (&a.test, &b.test)] {
        assert!(!a.is_empty());
        assert_eq!((a.ids(), a.values(), a.labels()), (b.ids(), b.values(), b.labels()));
        assert_eq!((a.scenarios(), a.users()), (b.scenarios(), b.users()));
        assert_eq!(a.probabilities(), b.probabilities());
        for (a, b) in a.sequences().iter().zip(b.sequences()) {
            assert_eq!((a.offsets(), a.ids()), (b.offsets(), b.ids()));
        }
    }
}

#[test]
fn neither_chunks_nor_temporary_files_nor_the_cache_change_the_rows() {
    for split in [r#"{ by = "seed", seed = 3, valid = 0.2 }"#, r#"{ by = "time", column = "t", test = 0.2 }"#] {
        let mut fixture = mixed(split);
        let whole = fixture.open().unwrap();
        // Chunks of one row take long; what is kept where does not depend on their size.
        for (chunk_rows, spool_bytes) in [(1, 0), (7, 20_000), (1000, 0), (1000, 20_000), (1000, 1 << 30)] {
            same(&whole, &fixture.open_with(&Limits { chunk_rows, spool_bytes }).unwrap());
        }
        fixture.schema.cache = true;
        same(&whole, &fixture.open_with(&Limits { chunk_rows: 100, spool_bytes: 1000 }).unwrap());
        let cached = fixture.open().unwrap();
        assert!(matches!(cached.cache, Cache::Read(_)));
        same(&whole, &cached);
    }
}

#[test]
fn time_splits_put_no_row_of_the_train_split_after_one_of_test() {
    let fixture = mixed(r#"{ by = "time", column = "t", valid = 0.1, test = 0.1 }"#);
    let data = fixture.open().unwrap();
    let total = 3000.0;
    for (rows, share) in [(&data.test, 0.1), (&data.valid, 0.1), (&data.train, 0.8)] {
        assert!((rows.len() as f64 / total - share).abs() < 0.01, "{}", rows.len());
    }
}

#[test]
fn several_files_are_read_as_one_table_whatever_their_order_of_columns() {
    let first = "label,scenario,item,split\n0,a,x,train\n1,b,x,valid\n";
    let second = "split\textra\titem\tlabel\tscenario\ntrain\t?\tx\t1\tb\ntest\t?\ty\t0\ta\n";
    let mut fixture = Fixture::new("part-1.csv", first, BY_COLUMN);
    fs::write(fixture.path().join("part-2.tsv"), second).unwrap();
    for path in ["part-*", "."] {
        fixture.schema.path = path.to_owned();
        let data = fixture.open().unwrap();
        assert_eq!((data.train.labels(), data.train.ids()), (&[0.0, 1.0][..], &[1, 1, 2, 1][..]));
        assert_eq!((data.valid.len(), data.test.ids()), (1, &[1, 0][..]));
    }
}

#[test]
fn typed_headers_are_found_by_their_names() {
    let text = "user_id:token\titem_id:token\tlabel:float\n1\t5\t1.0\n2\t6\t0.0\n";
    let schema = r#"
        label = "label"
        scenario = "user_id"
        aware = ["user_id"]
        agnostic = ["item_id:token"]
        split = { by = "seed", valid = 0, test = 0 }
    "#;
    let data = Fixture::new("x.inter", text, schema).open().unwrap();
    assert_eq!((data.train.ids(), data.train.labels()), (&[1, 1, 2, 2][..], &[1.0, 0.0][..]));
}

#[test]
fn scenarios_are_sorted_by_number_where_all_are_numbers() {
    let csv = "label,scenario,item,split\n0,10,x,train\n1,9,x,train\n1,-1,x,train\n0,9,x,valid\n0,9,x,test\n";
    let data = Fixture::new("s.csv", csv, BY_COLUMN).open().unwrap();
    assert_eq!(data.encoder.scenarios(), ["-1", "9", "10"]);
    assert_eq!(data.train.scenarios(), [2, 1, 0]);
}

#[test]
fn quotes_line_ends_and_a_byte_order_mark_are_understood() {
    let csv = "\u{feff}label,scenario,item,split\r\n0,\"a, \"\"b\"\"\",\"x\ny\",train\r\n1,\"a, \"\"b\"\"\",z,train\r\n0,\"a, \"\"b\"\"\",z,valid\r\n0,\"a, \"\"b\"\"\",\"x\ny\",test\r\n";
    let data = Fixture::new("q.csv", csv, BY_COLUMN).open().unwrap();
    assert_eq!(data.encoder.scenarios(), ["a, \"b\""]);
    assert_eq!((data.encoder.vocabulary(1).unwrap().value(1), data.test.ids()), (Some("x\ny"), &[1, 1][..]));
}

#[test]
fn labels_are_made_of_numbers_above_a_threshold() {
    let rated = SIX.replace("label,", "rating,").replace("\n1,", "\n4.5,").replace("\n0,", "\n3,");
    let schema = BY_COLUMN.replace("label = \"label\"", "label = { column = \"rating\", above = 3 }");
    let fixture = Fixture::new("six.csv", &rated, &schema);
    let (ratings, labels) = (fixture.open().unwrap(), Fixture::new("six.csv", SIX, BY_COLUMN).open().unwrap());
    for (of_ratings, of_labels) in
        [(&ratings.train, &labels.train), (&ratings.valid, &labels.valid), (&ratings.test, &labels.test)]
    {
        assert_eq!(of_ratings.labels(), of_labels.labels());
    }
    // The schema is saved with the encoder, so that evaluation makes the same labels; another threshold is other data.
    let saved = toml::to_string(&fixture.schema).unwrap();
    assert_eq!(toml::from_str::<Schema>(&saved).unwrap(), fixture.schema);
    let inputs = Inputs::of(&fixture.schema, &[fixture.path().to_owned()]).unwrap();
    let mut scanned = scan(&ratings.encoder, &inputs, true, 100).unwrap();
    assert_eq!(scanned.next().unwrap().unwrap().rows.labels(), [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    let higher = Fixture { schema: toml::from_str(&saved.replace("above = 3", "above = 4")).unwrap(), ..fixture };
    assert_eq!(higher.open().unwrap().train.labels(), [0.0, 1.0, 1.0]);
}

#[test]
fn numbers_that_make_no_label_are_named() {
    let schema = BY_COLUMN.replace("label = \"label\"", "label = { column = \"label\", above = 0.5 }");
    let error = Fixture::new("six.csv", SIX.replace("\n0,a,z", "\n,a,z"), &schema).error();
    assert!(error.contains("line 5") && error.contains("\"label\": expected a finite number"), "{error}");
    let error = Fixture::new("six.csv", SIX, &schema.replace("above = 0.5", "above = 7")).error();
    assert!(error.contains("label"), "{error}");
    let error = Fixture::new("six.csv", SIX, &schema.replace("above = 0.5", "above = nan")).error();
    assert!(error.contains("data.label.above"), "{error}");
}
