//! Bad schemas, files and rows: each is survived with a message that names the place and the fix.

use arrow_array::types::Int64Type;
use arrow_array::{Float64Array, Int64Array, ListArray, StringArray};

use super::*;

/// [`SIX`] with one line exchanged, from 1.
fn six_with(line: usize, text: &str) -> String {
    let mut lines: Vec<&str> = SIX.lines().collect();
    lines[line - 1] = text;
    lines.join("\n") + "\n"
}

fn csv_error(content: impl AsRef<[u8]>) -> String {
    Fixture::new("six.csv", content, BY_COLUMN).error()
}

const FIX: &str = "; fix the row or set data.on_bad_row = \"skip\"";

#[test]
fn a_bad_cell_is_named_by_file_line_and_column() {
    for (text, said) in [
        ("2,b,x,train", r#"column "label": expected 0 or 1, found "2""#),
        ("0.5,b,x,train", r#"column "label": expected 0 or 1, found "0.5""#),
        ("yes,b,x,train", r#"column "label": expected 0 or 1, found "yes""#),
        (",b,x,train", r#"column "label": expected 0 or 1, found nothing"#),
        ("1,,x,train", r#"column "scenario": expected a value, found nothing"#),
        ("1,b,x,training", r#"column "split": expected one of "train", "valid", "test", found "training""#),
        ("1,b,x,", r#"column "split": expected a value, found nothing"#),
        ("1,b,x", "expected 4 cells as in the header, found 3"),
        ("1,b,x,train,1", "expected 4 cells as in the header, found 5"),
    ] {
        let separator = if said.starts_with("column") { ", " } else { ": " };
        assert_eq!(csv_error(six_with(4, text)), format!("six.csv, line 4{separator}{said}{FIX}"));
    }
}

#[test]
fn invalid_utf8_is_named() {
    let mut bytes = SIX.as_bytes().to_vec();
    let at = SIX.find(",y,").unwrap() + 1;
    bytes[at] = 0xff;
    assert_eq!(
        csv_error(bytes),
        format!("six.csv, line 3, column \"item\": expected valid UTF-8, found \"\u{fffd}\"{FIX}")
    );
}

#[test]
fn a_character_torn_by_a_delimiter_is_invalid_in_both_cells() {
    let mut bytes = SIX.replace("1,a,y,train", "1,a\u{c3},\u{a9},train").into_bytes();
    // As UTF-8 these two are C3 83 and C2 A9; what remains is C3 , A9, which only the comma keeps from being one.
    bytes.retain(|b| *b != 0x83 && *b != 0xc2);
    assert_eq!(
        csv_error(bytes),
        format!("six.csv, line 3, column \"scenario\": expected valid UTF-8, found \"a\u{fffd}\"{FIX}")
    );
}

#[test]
fn an_open_quote_is_named_by_the_row_it_opens_in() {
    let message = csv_error(SIX.replace("1,a,y,train", "1,a,\"y,train"));
    assert_eq!(message, format!("six.csv, line 3: expected 4 cells as in the header, found 3{FIX}"));
    let long = SIX.replace("1,a,y,train", "1,a,\"y,train") + &"0,b,x,train\n".repeat(6_000_000);
    let message = csv_error(long);
    assert_eq!(message, "six.csv, line 3: the row does not end within 64 MiB; a quote is probably left open there");
}

#[test]
fn lines_are_counted_through_blank_lines_quotes_and_any_line_end() {
    let text = "label,scenario,item,split\n\n0,b,\"x\ny\",train\n1,a,y,train\n\n\n3,a,y,train\n";
    assert!(csv_error(text).starts_with("six.csv, line 8, column \"label\""));
    assert!(csv_error(text.replace('\n', "\r\n")).starts_with("six.csv, line 8, column \"label\""));
    assert!(csv_error(text.replace('\n', "\r")).starts_with("six.csv, line 8, column \"label\""));
    assert!(csv_error("label,scenario,item,split\n3,a,y,train").starts_with("six.csv, line 2, column \"label\""));
}

#[test]
fn the_first_bad_row_of_a_file_is_the_one_that_is_named() {
    let text = SIX.replace("1,a,y,train", "1,a,y,nowhere").replace("1,b,x,train", "7,b,x,train");
    assert!(csv_error(text).contains("line 3, column \"split\""));
    let mut fixture = Fixture::new("b.csv", SIX, BY_COLUMN);
    fs::write(fixture.path().join("c.csv"), six_with(2, "0,b")).unwrap();
    fixture.schema.path = ".".to_owned();
    assert!(fixture.error().starts_with("./c.csv, line 2: expected 4 cells"), "{}", fixture.error());
}

#[test]
fn bad_rows_are_skipped_and_counted_if_the_schema_says_so() {
    let bad = "2,b,x,train\n0,,x,train\n1,b\n0,b,x,train,,\n1,b,\u{1},nowhere\n,,,\n";
    let (head, tail) = SIX.split_at(SIX.find("0,a,z").unwrap());
    let good = Fixture::new("six.csv", SIX, BY_COLUMN).open().unwrap();
    let mut fixture = Fixture::new("six.csv", format!("{head}{bad}{tail}"), BY_COLUMN);
    fixture.schema.on_bad_row = OnBadRow::Skip;
    for limits in [Limits::default(), Limits { chunk_rows: 2, spool_bytes: 0 }] {
        let data = fixture.open_with(&limits).unwrap();
        for (a, b) in [(&data.train, &good.train), (&data.valid, &good.valid), (&data.test, &good.test)] {
            assert_eq!((a.ids(), a.labels(), a.scenarios()), (b.ids(), b.labels(), b.scenarios()));
        }
        assert_eq!(data.encoder.fields(), good.encoder.fields(), "bad rows enter no vocabulary");
        assert_eq!((data.skipped.count, data.skipped.messages.len()), (6, 6));
        assert!(data.skipped.messages[0].ends_with("line 5, column \"label\": expected 0 or 1, found \"2\""));
        assert!(data.skipped.messages[5].contains("line 10, column \"label\""));
    }
    assert!(matches!(fixture.open().unwrap().cache, Cache::Read(_)));
    assert_eq!(fixture.open().unwrap().skipped.count, 6, "the cache remembers");
}

#[test]
fn many_bad_rows_are_counted_and_the_first_told() {
    let mut fixture = Fixture::new("six.csv", SIX.to_owned() + &"9,b,x,train\n".repeat(100), BY_COLUMN);
    fixture.schema.on_bad_row = OnBadRow::Skip;
    let skipped = fixture.open_with(&Limits { chunk_rows: 3, spool_bytes: 0 }).unwrap().skipped;
    assert_eq!((skipped.count, skipped.messages.len()), (100, 8));
}

#[test]
fn numbers_probabilities_and_times_are_checked() {
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s"]
        agnostic = ["price"]
        probability = "p"
        split = { by = "time", column = "t" }
        fields = { price = { kind = "numeric" } }
    "#;
    for (row, said) in [
        ("1,a,cheap,0.5,1", r#"column "price": expected a finite number or nothing, found "cheap""#),
        ("1,a,inf,0.5,1", r#"column "price": expected a finite number or nothing, found "inf""#),
        ("1,a,1,1.5,1", r#"column "p": expected a probability from 0 to 1, found "1.5""#),
        ("1,a,1,,1", r#"column "p": expected a probability from 0 to 1, found nothing"#),
        ("1,a,1,0.5,", r#"column "t": expected a number, date or time, found nothing"#),
        ("1,a,1,0.5,soon", r#"column "t": expected a number, date or time, found "soon""#),
    ] {
        let fixture = Fixture::new("n.csv", format!("label,s,price,p,t\n0,a,1,1,1\n{row}\n"), schema);
        assert_eq!(fixture.error(), format!("n.csv, line 3, {said}{FIX}"));
    }
}

#[test]
fn rows_of_parquet_files_are_counted_from_one() {
    let file = |labels: ArrayRef| {
        parquet(vec![
            ("label", labels),
            ("scenario", array(StringArray::from(vec!["a"; 3]))),
            ("item", array(StringArray::from(vec!["x"; 3]))),
            ("split", array(StringArray::from(vec!["train", "valid", "test"]))),
        ])
    };
    for (labels, found) in [
        (array(Int64Array::from(vec![0, 1, 2])), "\"2\""),
        (array(Int64Array::from(vec![Some(0), Some(1), None])), "nothing"),
        (array(Float64Array::from(vec![0.0, 1.0, f64::NAN])), "\"NaN\""),
        (array(Float64Array::from(vec![0.0, 1.0, 0.25])), "\"0.25\""),
        (array(StringArray::from(vec!["0", "1", "click"])), "\"click\""),
    ] {
        let fixture = Fixture::new("x.parquet", file(labels), BY_COLUMN);
        for chunk_rows in [1, 2, 100] {
            let message = fixture.open_with(&Limits { chunk_rows, spool_bytes: 0 }).unwrap_err().to_string();
            let said = format!("x.parquet, row 3, column \"label\": expected 0 or 1, found {found}{FIX}");
            assert!(message.ends_with(&said), "{message}");
        }
    }
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None, None]);
    let message = Fixture::new("x.parquet", file(array(lists)), BY_COLUMN).error();
    assert!(
        message.starts_with(
            "x.parquet, column \"label\": data.label needs one number per row, but the column's type is List"
        ),
        "{message}"
    );
}

#[test]
fn a_missing_column_is_named_with_the_nearest_and_all_others() {
    assert_eq!(
        csv_error(SIX.replacen("scenario", "scenaro", 1)),
        "six.csv: no column \"scenario\", which data.scenario names; did you mean \"scenaro\"?; \
         the file's columns are: label, scenaro, item, split"
    );
    let message = csv_error(SIX.replace(',', ";"));
    assert!(message.ends_with("if \";\" separates them, set data.delimiter = \";\""), "{message}");
    let message = csv_error(SIX.replacen("split", "label", 1));
    assert!(message.contains("column \"label\", which data.label names, is there twice"), "{message}");
}

#[test]
fn empty_files_and_files_without_rows_are_named() {
    assert!(csv_error("").starts_with("six.csv: the file is empty"));
    assert!(csv_error("\n\n").starts_with("six.csv: the file is empty"));
    assert!(csv_error("label,scenario,item,split\n").starts_with("six.csv: there are no rows"));
    let mut fixture = Fixture::new("six.csv", "label,scenario,item,split\n2,a,x,train\n", BY_COLUMN);
    fixture.schema.on_bad_row = OnBadRow::Skip;
    assert!(
        fixture.error().contains("there are no rows to learn from (1 bad rows were skipped)"),
        "{}",
        fixture.error()
    );
    fixture.schema.path = "sixx.csv".to_owned();
    assert!(fixture.error().contains("did you mean \"six.csv\"?"), "{}", fixture.error());
    fixture.schema.path = "*.parquet".to_owned();
    assert!(matches!(fixture.inputs(), Err(Error::NoFiles { .. })));
}

#[test]
fn a_truncated_or_damaged_parquet_file_is_an_error_wherever_it_is_cut() {
    let columns = vec![
        ("label", array(Int64Array::from((0..500).map(|k| k % 2).collect::<Vec<_>>()))),
        ("scenario", array(StringArray::from(vec!["a"; 500]))),
        ("item", array(Int64Array::from_iter_values(0..500))),
        ("split", array(StringArray::from_iter_values((0..500).map(|k| ["train", "valid", "test"][k % 3])))),
    ];
    let whole = parquet(columns);
    assert!(Fixture::new("x.parquet", &whole, BY_COLUMN).open().is_ok());
    for cut in (1..whole.len()).step_by(101).chain([whole.len() - 1]) {
        let message = Fixture::new("x.parquet", &whole[..cut], BY_COLUMN).error();
        assert!(message.starts_with("x.parquet: not a readable Parquet file"), "{message}");
        assert!(message.contains("truncated"), "{message}");
    }
    for at in (4..whole.len() - 8).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at..at + 4].iter_mut().for_each(|b| *b ^= 0x5a);
        // Any result but a panic: some damage is to statistics only, or turns one value into another.
        let _ = Fixture::new("x.parquet", bytes, BY_COLUMN).open();
    }
    let message = Fixture::new("x.parquet", SIX, BY_COLUMN).error();
    assert!(message.starts_with("x.parquet: not a readable Parquet file"), "{message}");
}

#[test]
fn labels_of_one_class_and_splits_without_rows_are_errors() {
    let message = csv_error(SIX.replace("1,", "0,"));
    assert!(message.starts_with("all 3 rows of the train split have label 0"), "{message}");
    let message = csv_error(SIX.replace("0,b,x,train", "1,b,x,train"));
    assert!(message.starts_with("all 3 rows of the train split have label 1"), "{message}");
    let message = csv_error(SIX.replace("valid\n", "test\n"));
    let said = "the valid split has no rows: column \"split\" is never \"valid\" (train has 3, valid 0, test 3 rows)";
    assert!(message.starts_with(said), "{message}");
    let mut fixture = Fixture::new("six.csv", SIX.replace("valid\n", "test\n"), BY_COLUMN);
    fixture.schema.split = Split::Column {
        column: "split".to_owned(),
        train: "train".to_owned(),
        valid: String::new(),
        test: "test".to_owned(),
    };
    assert!(fixture.open().unwrap().valid.is_empty());
}

#[test]
fn a_scenario_that_train_lacks_is_an_error_or_skipped() {
    let mut fixture = Fixture::new("six.csv", SIX.to_owned() + "1,new,x,test\n0,new,x,test\n", BY_COLUMN);
    assert!(fixture.error().starts_with("scenario \"new\" has 2 rows in the test split and none in the train split"));
    fixture.schema.on_bad_row = OnBadRow::Skip;
    let data = fixture.open().unwrap();
    assert_eq!((data.test.len(), data.encoder.scenarios().len(), data.skipped.count), (2, 2, 2));
    assert_eq!(data.skipped.messages, ["2 rows of test: scenario \"new\" is not in train"]);
}

/// The message for [`BY_COLUMN`] with one key replaced or added.
fn schema_error(change: &str) -> String {
    let key = change.trim_start().split([' ', '=']).next().unwrap();
    let base: String = BY_COLUMN
        .lines()
        .filter(|l| !l.trim_start().starts_with(&format!("{key} =")))
        .map(|l| format!("{l}\n"))
        .collect();
    let table = format!("path = \"x.csv\"\n{base}\n{change}");
    match toml::from_str::<Schema>(&table) {
        Ok(schema) => schema.validate().expect_err(change).to_string(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn a_schema_without_features_is_refused() {
    let schema = Schema { path: "x.csv".to_owned(), ..Schema::default() };
    assert!(schema.validate().unwrap_err().to_string().starts_with("data.aware is empty, and so is data.agnostic"));
}

#[test]
fn a_schema_that_contradicts_itself_is_refused_with_the_key_and_the_fix() {
    for (change, said) in [
        ("aware = [\"\"]", "data.aware has an empty column name"),
        ("fields = { item = { kind = \"numeric\", type = \"text\" } }", "data.fields.item.type is for categories only"),
        ("fields = { item = { type = \"string\" } }", "expected \"text\", \"boolean\", \"integer\""),
        ("aware = [\"item\"]", "data.agnostic names \"item\", which is a field already"),
        ("aware = [\"item\", \"item\"]", "data.aware names \"item\", which is a field already"),
        ("agnostic = [\"label\"]", "leaks it to the model"),
        ("agnostic = [\"split\"]", "names \"split\", the split's column, as a feature"),
        ("probability = \"item\"", "names \"item\", data.probability's column, as a feature, which leaks the label"),
        ("label = \"\"", "data.label is empty"),
        ("label = \"scenario\"", "data.label and data.scenario both name \"scenario\""),
        ("min_count = 0", "data.min_count is 0"),
        ("delimiter = \"é\"", "data.delimiter"),
        (
            "fields = { itm = { hash = 5 } }",
            "data.fields.itm: no field of that name in data.aware or data.agnostic; did you mean \"item\"?",
        ),
        ("fields = { item = { buckets = 5 } }", "data.fields.item.buckets needs data.fields.item.kind = \"bucket\""),
        ("fields = { item = { kind = \"bucket\", buckets = 1 } }", "at least 2"),
        ("fields = { item = { kind = \"numeric\", hash = 5 } }", "hash is for categories only"),
        ("fields = { item = { kind = \"numeric\", min_count = 5 } }", "min_count is for categories only"),
        ("fields = { item = { hash = 5, pretrained = \"x.csv\" } }", "remove one"),
        ("fields = { item = { hash = 0 } }", "data.fields.item.hash is 0"),
        ("fields = { item = { colour = 1 } }", "unknown field `colour`"),
        ("colour = 1", "unknown field `colour`"),
        ("split = { by = \"seed\", valid = 1.0 }", "data.split.valid is 1"),
        ("split = { by = \"seed\", valid = -0.1 }", "data.split.valid is -0.1"),
        ("split = { by = \"seed\", valid = 0.5, test = 0.5 }", "leave no rows for train"),
        ("split = { by = \"time\", column = \"\" }", "data.split.column is empty"),
        ("split = { by = \"column\", column = \"split\", valid = \"train\" }", "must be different values"),
        ("split = { by = \"seed\", colour = 1 }", "unknown field `colour`"),
        ("split = { by = \"moon\" }", "unknown variant `moon`"),
        ("sequence = [{ column = \"h\", vocabulary = \"itm\" }]", "did you mean \"item\"?"),
        ("sequence = [{ column = \"item\", vocabulary = \"item\" }]", "is a field too"),
        ("sequence = [{ column = \"label\", vocabulary = \"item\" }]", "leaks it"),
        ("sequence = [{ column = \"h\", vocabulary = \"item\", separator = \"\" }]", "separator is empty"),
        ("sequence = [{ column = \"h\", vocabulary = \"item\", max_length = 0 }]", "max_length is 0"),
        ("sequence = [{ column = \"h\", vocabulary = \"item\" }, { column = \"h\", vocabulary = \"item\" }]", "twice"),
    ] {
        let message = schema_error(change);
        assert!(message.contains(said), "{change}: {message}");
    }
}

#[test]
fn a_schema_survives_toml_and_json() {
    let mut schema = Fixture::new("x.csv", "", BY_COLUMN).schema;
    schema.fields.insert("item".to_owned(), FieldOptions { hash: Some(7), ..Default::default() });
    schema.delimiter = Some('\t');
    let sequence = SequenceColumn {
        column: "h".to_owned(),
        separator: " ".to_owned(),
        vocabulary: "item".to_owned(),
        max_length: 3,
    };
    schema.sequence.push(sequence);
    for split in
        [schema.split.clone(), Split::default(), Split::Time { column: "t".to_owned(), valid: 0.25, test: 0.0 }]
    {
        schema.split = split;
        assert_eq!(toml::from_str::<Schema>(&toml::to_string(&schema).unwrap()).unwrap(), schema);
        assert_eq!(serde_json::from_str::<Schema>(&serde_json::to_string(&schema).unwrap()).unwrap(), schema);
    }
}
