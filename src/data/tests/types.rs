//! Types of columns, missing values, and what is told of both.

use arrow_array::{Float32Array, Float64Array, Int64Array, StringArray};

use super::*;

const TYPED: &str = r#"
    label = "label"
    scenario = "s"
    aware = ["s"]
    agnostic = ["x"]
    split = { by = "seed", valid = 0, test = 0 }
    cache = false
"#;

fn typed(values: &[&str], options: &str) -> Fixture {
    let lines: Vec<String> = values.iter().enumerate().map(|(k, x)| format!("{},a,{x}\n", k % 2)).collect();
    Fixture::new("x.csv", format!("label,s,x\n{}", lines.concat()), &format!("{TYPED}{options}"))
}

fn floats(values: Vec<f64>, options: &str) -> Fixture {
    let labels = Int64Array::from_iter_values((0..values.len()).map(|k| k as i64 % 2));
    let bytes = parquet(vec![
        ("label", array(labels)),
        ("s", array(StringArray::from(vec!["a"; values.len()]))),
        ("x", array(Float64Array::from(values))),
    ]);
    Fixture::new("x.parquet", bytes, &format!("{TYPED}{options}"))
}

fn field(data: &Dataset) -> (ValueType, Vec<u32>) {
    let width = data.encoder.fields().len();
    (data.encoder.value_type(width - 1), data.train.ids().iter().skip(width - 1).step_by(width).copied().collect())
}

#[test]
fn a_type_can_be_asked_for_and_a_value_of_another_is_named() {
    let sizes = ["1.1", "1.10", "1.2", "1.1"];
    assert_eq!(field(&typed(&sizes, "").open().unwrap()), (ValueType::Text, vec![1, 2, 3, 1]));
    let asked = |name: &str| format!("fields = {{ x = {{ type = \"{name}\" }} }}");
    assert_eq!(field(&typed(&sizes, &asked("float")).open().unwrap()), (ValueType::Float, vec![1, 1, 2, 1]));
    let codes = ["7", "007", "8", "NA"];
    assert_eq!(field(&typed(&codes, "").open().unwrap()), (ValueType::Text, vec![1, 2, 3, 4]));
    assert_eq!(field(&typed(&codes, &asked("integer")).open().unwrap()), (ValueType::Integer, vec![1, 1, 2, 0]));
    assert_eq!(field(&typed(&["7", "8"], &asked("text")).open().unwrap()).0, ValueType::Text);
    assert_eq!(
        typed(&["7", "8", "nine"], &asked("integer")).error(),
        "x.csv, line 4, column \"x\": expected whole numbers, as data.fields.x.type says, found \"nine\"; fix the row or set \
         data.on_bad_row = \"skip\""
    );
}

#[test]
fn missing_values_are_what_the_schema_says_or_the_usual_ones_among_numbers() {
    let values = ["7", "NULL", "\\N", "-1", "8"];
    assert_eq!(field(&typed(&values, "").open().unwrap()).1, [1, 0, 0, 2, 3]);
    assert_eq!(field(&typed(&values, "null_values = [\"-1\"]").open().unwrap()).1, [1, 2, 3, 0, 4]);
    let names = ["NA", "DE", "-", "DE"];
    assert_eq!(field(&typed(&names, "").open().unwrap()).1, [1, 2, 3, 2]);
    assert_eq!(field(&typed(&names, "null_values = [\"-\"]").open().unwrap()).1, [1, 2, 0, 2]);
    let numeric = "fields = { x = { kind = \"bucket\", buckets = 2 } }";
    assert_eq!(field(&typed(&["1", "NULL", "5", "-1", "NA"], numeric).open().unwrap()).1, [2, 0, 2, 1, 0]);
    let no_nulls = typed(&["1", "NULL"], &format!("null_values = []\n{numeric}"));
    assert!(no_nulls.error().contains("line 3, column \"x\": expected a finite number or nothing, found \"NULL\""));
    let given = typed(&["1", "-1", "5", "-1.0"], &format!("null_values = [\"-1\"]\n{numeric}"));
    assert_eq!(field(&given.open().unwrap()).1, [1, 0, 2, 0]);
    let label = typed(&["1", "2"], "").open().unwrap();
    assert!(label.warnings.iter().any(|warning| warning.contains("column \"s\" has one value only")));
}

#[test]
fn a_hashed_column_is_read_again_where_a_later_value_changes_its_type() {
    let rows = 600;
    let text = |k: usize| if k == rows - 1 { "x".to_owned() } else { format!("{}.0", k % 7) };
    let values: Vec<String> = (0..rows).map(text).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let hashed = "fields = { x = { hash = 100000 } }";
    let row = |text: &str| 1 + (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % 100_000) as u32;
    for chunk_rows in [10, 10_000] {
        let limits = Limits { chunk_rows, ..Limits::default() };
        let all = typed(&values, hashed).open_with(&limits).unwrap();
        let (value_type, ids) = field(&all);
        // As text 3.0 is not 3.
        assert_eq!((value_type, ids[3], ids.len()), (ValueType::Text, row("3.0"), rows));
        let (value_type, ids) = field(&typed(&values[..rows - 1], hashed).open_with(&limits).unwrap());
        assert_eq!((value_type, ids[3], ids.len()), (ValueType::Integer, row("3"), rows - 1));
    }
}

#[test]
fn whole_numbers_that_floats_have_rounded_are_refused() {
    let large = 9_007_199_254_740_994.0;
    let said = "row 3, column \"x\": expected whole numbers up to 9007199254740992 in a column of floats";
    let message = floats(vec![1.0, 2.0, large], "").error();
    assert!(message.contains(said), "{message}");
    let asked = floats(vec![1.0, 2.0, large], "fields = { x = { type = \"float\" } }").open().unwrap();
    assert_eq!(field(&asked), (ValueType::Float, vec![1, 2, 3]));
    // Text was written as floats; what is lost cannot be seen, and is told.
    let data = typed(&["1.0", "2.0", "9007199254740994.0"], "").open().unwrap();
    assert!(data.warnings.iter().any(|warning| warning.contains("written as floats")), "{:?}", data.warnings);

    // A column of integers at the fit, of floats later.
    let fixture = typed(&["1", "2", "9007199254740993"], "");
    let encoder = fixture.open().unwrap().encoder;
    let scan_of = |name: &str, bytes: Vec<u8>| {
        fs::write(fixture.path().join(name), bytes).unwrap();
        let inputs = Inputs::find(name, Format::Auto, None, &[fixture.path().to_owned()]).unwrap();
        scan(&encoder, &inputs, false, 10).unwrap().next().unwrap().map(|chunk| chunk.rows.ids().to_vec())
    };
    let of_floats = |x: ArrayRef| parquet(vec![("s", array(StringArray::from(vec!["a"; x.len()]))), ("x", x)]);
    assert_eq!(scan_of("a.csv", b"s,x\na,2.0\na,9007199254740993\n".to_vec()).unwrap(), [1, 2, 1, 3]);
    for (name, bytes) in [
        ("b.csv", b"s,x\na,2.0\na,9007199254740994.0\n".to_vec()),
        ("c.parquet", of_floats(array(Float64Array::from(vec![2.0, large])))),
        ("d.parquet", of_floats(array(Float32Array::from(vec![2.0, 16_777_218.0])))),
    ] {
        let message = scan_of(name, bytes).unwrap_err().to_string();
        assert!(message.contains("cannot tell neighbours apart"), "{message}");
    }
}

#[test]
fn columns_that_teach_nothing_are_named() {
    let rows = 1400;
    let lines: Vec<String> = (0..rows)
        .map(|k| format!("{},{},,one,row-{k},7,{}\n", k % 2, k % 3, if k % 2 == 0 { "" } else { "x" }))
        .collect();
    let csv = format!("label,s,nothing,constant,number,same,rare\n{}", lines.concat());
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s"]
        agnostic = ["nothing", "constant", "number", "same", "rare"]
        split = { by = "seed", valid = 0.1, test = 0.1 }
        fields = { same = { kind = "numeric" } }
    "#;
    let fixture = Fixture::new("w.csv", csv, schema);
    let written = fixture.open().unwrap();
    let begins = |warning: &String| warning.split(" in ").next().unwrap().to_owned();
    let said: Vec<String> = written.warnings.iter().map(begins).collect();
    assert_eq!(said[0], "column \"nothing\" has no value");
    assert_eq!(said[1], "column \"constant\" has one value only");
    assert!(said[2].starts_with("column \"number\" has 11"), "{said:?}");
    assert_eq!((&*said[3], said.len()), ("column \"same\" has one value only", 4));
    // What is told of validation rows, and all of it, is kept in the cache.
    let valid = written.valid.len() as u64;
    let of = |name: &str| written.valid_values.iter().find(|column| column.column == name).unwrap();
    assert_eq!((of("nothing").missing, of("number").unknown, of("constant").unknown), (valid, valid, 0));
    assert!(of("rare").missing > 0 && of("rare").missing < valid && of("rare").unknown == 0);
    let cached = fixture.open().unwrap();
    assert!(matches!(cached.cache, Cache::Read(_)));
    assert_eq!((cached.warnings, cached.valid_values), (written.warnings, written.valid_values));
}

#[test]
fn an_encoder_of_an_earlier_version_learns_types_from_its_values() {
    let csv = "label,s,flag,code,name,mixed\n0,1,True,7,a,1\n1,2,False,8,b,01\n1,1,True,7,b,1\n";
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s", "flag"]
        agnostic = ["code", "name", "mixed"]
        split = { by = "seed", valid = 0, test = 0 }
    "#;
    let fixture = Fixture::new("old.csv", csv, schema);
    let data = fixture.open().unwrap();
    let folder = fixture.path().join("saved");
    data.encoder.save(&folder).unwrap();
    // As version 1 wrote it: values as the file had them, and no types.
    let toml = fs::read_to_string(folder.join("encoder.toml")).unwrap().replace("version = 2", "version = 1");
    let toml: String = toml
        .lines()
        .filter(|l| !l.starts_with("type =") && !l.starts_with("scenario_type"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(folder.join("encoder.toml"), toml).unwrap();
    let values = fs::read_to_string(folder.join("vocabularies.csv")).unwrap();
    let values = values.replace("flag,1,true", "flag,1,True").replace("flag,2,false", "flag,2,False");
    fs::write(folder.join("vocabularies.csv"), values).unwrap();
    let old = Encoder::load(&folder).unwrap();
    assert!(old.same_codes(&data.encoder));
    let inputs = |text: &str| {
        fs::write(fixture.path().join("new.csv"), text).unwrap();
        Inputs::find("new.csv", Format::Auto, None, &[fixture.path().to_owned()]).unwrap()
    };
    let new = inputs("s,flag,code,name,mixed\n1.0,1,7.0,a,01\n 2,false, 8,b,1\n");
    let chunk = scan(&old, &new, false, 10).unwrap().next().unwrap().unwrap();
    assert_eq!((chunk.rows.ids(), chunk.rows.scenarios()), (&[1, 1, 1, 1, 2, 2, 2, 2, 2, 1][..], &[0, 1][..]));
}

#[test]
fn rows_of_new_scenarios_are_refused_left_out_or_kept() {
    let csv = SIX.to_owned() + "1,new,x,test\n0,new,x,valid\n";
    let mut fixture = Fixture::new("six.csv", csv, BY_COLUMN);
    assert!(fixture.error().contains("set data.unknown_scenario to \"shared\" or \"skip\""));
    fixture.schema.unknown_scenario = UnknownScenario::Skip;
    let data = fixture.open().unwrap();
    assert_eq!((data.valid.len(), data.test.len(), data.skipped.count), (1, 2, 2));
    fixture.schema.unknown_scenario = UnknownScenario::Shared;
    let data = fixture.open().unwrap();
    assert_eq!((data.valid.scenarios(), data.test.scenarios(), data.skipped.count), (&[0, 2][..], &[1, 0, 2][..], 0));
    assert_eq!((data.encoder.scenarios(), data.encoder.new_scenario()), (&["a".to_owned(), "b".to_owned()][..], 2));
    // As a feature it is unknown.
    assert_eq!(data.test.ids(), [1, 2, 2, 0, 0, 1]);
    let inputs = fixture.inputs().unwrap();
    let scanned = |encoder: &Encoder| {
        let mut scan = scan(encoder, &inputs, true, 100).unwrap();
        let chunk = scan.next().unwrap();
        (chunk.map(|chunk| (chunk.kept, chunk.rows.scenarios().to_vec())), scan.skipped().clone())
    };
    let (chunk, skipped) = scanned(&data.encoder);
    assert_eq!((chunk.unwrap().1, skipped.count), (vec![1, 0, 1, 0, 1, 0, 2, 2], 0));
    fixture.schema.unknown_scenario = UnknownScenario::Skip;
    let (chunk, skipped) = scanned(&fixture.open().unwrap().encoder);
    assert_eq!((chunk.unwrap().0, skipped.count), ((0..6).collect(), 2));
    assert!(
        skipped.messages[0].contains("line 8, column \"scenario\": expected a scenario that the model was trained on")
    );
}

#[test]
fn data_may_have_no_scenarios() {
    let schema = BY_COLUMN.replace("scenario = \"scenario\"", "").replace("aware = [\"scenario\"]", "");
    let data = Fixture::new("six.csv", SIX, &schema).open().unwrap();
    assert_eq!((data.train.ids(), data.train.scenarios()), (&[1, 2, 1][..], &[0, 0, 0][..]));
    assert_eq!(data.encoder.scenarios().len(), 1);
    let fields: Vec<_> = data.encoder.fields().iter().map(|field| (field.name.as_str(), field.role)).collect();
    assert_eq!(fields, [("item", FieldRole::Agnostic)]);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_text_is_read_whatever_it_is_called() {
    let (first, rest) = SIX.split_at(60);
    let (gzip_parts, zstd_parts) = (
        [gzip(first.as_bytes()), gzip(rest.as_bytes())].concat(),
        [first, rest].map(|part| zstd::encode_all(part.as_bytes(), 1).unwrap()).concat(),
    );
    let plain = Fixture::new("six.csv", SIX, BY_COLUMN).open().unwrap();
    for (name, bytes) in
        [("six.csv.gz", &gzip_parts), ("six.csv.zst", &zstd_parts), ("six.csv", &gzip_parts), ("six.csv", &zstd_parts)]
    {
        let mut fixture = Fixture::new(name, bytes, BY_COLUMN);
        assert_eq!(fixture.open().unwrap().train.ids(), plain.train.ids(), "{name}");
        // What is cut off is no shorter file.
        for length in 30..bytes.len() - 1 {
            fs::write(fixture.path().join(name), &bytes[..length]).unwrap();
            let message = fixture.error();
            let is_whole_part = length == gzip(first.as_bytes()).len() || message.contains("split has no rows");
            assert!(is_whole_part || message.contains("cut off or damaged"), "{name}, {length} bytes: {message}");
        }
        fs::write(fixture.path().join(name), bytes).unwrap();
        fixture.schema.path = ".".to_owned();
        assert_eq!(fixture.open().unwrap().train.ids(), plain.train.ids(), "{name} in a folder");
    }
    let wrong = SIX.replace("0,a,z,valid", "2,a,z,valid");
    let message = Fixture::new("six.tsv.gz", gzip(wrong.replace(',', "\t").as_bytes()), BY_COLUMN).error();
    assert!(message.starts_with("six.tsv.gz, line 5, column \"label\": expected 0 or 1"), "{message}");
}

#[test]
fn text_in_utf_16_and_files_that_are_no_text_are_named() {
    let wide = |mark: &str| -> Vec<u8> { format!("{mark}{SIX}").encode_utf16().flat_map(u16::to_le_bytes).collect() };
    for bytes in [wide(""), wide("\u{feff}")] {
        let message = Fixture::new("six.csv", bytes, BY_COLUMN).error();
        assert!(message.contains("UTF-16") && message.contains("iconv -f UTF-16 -t UTF-8"), "{message}");
    }
    let message = Fixture::new("six.csv", b"label,scenario,it\0em,split\n0,a,b,train\n", BY_COLUMN).error();
    assert!(message.contains("the header has zero bytes"), "{message}");
}
