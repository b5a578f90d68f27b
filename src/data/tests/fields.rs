//! What single fields' options make of their columns: logarithms, given edges, the commonest values, hashed rests, crosses.

use xxhash_rust::xxh3::xxh3_64;

use super::*;

/// Ten train rows.
fn rows() -> String {
    let cells = [
        ("a", "1", "x|y", "-3"),
        ("b", "1.0", "z", "0"),
        ("a", "2", "x", ""),
        ("c", "2", "x|y", "100"),
        ("d", "1", "x|y", "0.5"),
        ("b", "1", "", "7"),
        ("e", "2", "y\\", "10"),
        ("d", "3", "y\\", "9.99"),
        ("a", "2", "x", "1e6"),
        ("f", "3", "x", "-1"),
    ];
    let row = |text: String, (k, (item, page, tag, x)): (usize, &(&str, &str, &str, &str))| {
        format!("{text}{},{item},{page},{tag},{x},train\n", k % 2)
    };
    cells.iter().enumerate().fold("label,item,page,tag,x,split\n".to_owned(), row)
}

fn fixture(fields: &str) -> Fixture {
    let schema = format!(
        "label = 'label'\nagnostic = ['f']\nsplit = {{ by = 'column', column = 'split', valid = '', test = '' }}\n[fields]\n{fields}"
    );
    Fixture::new("rows.csv", rows(), &schema)
}

/// The one field is this column.
fn of_column(column: &str, options: &str) -> Fixture {
    let mut fixture = fixture(&format!("{column} = {options}"));
    fixture.schema.agnostic = vec![column.to_owned()];
    fixture
}

#[test]
fn numbers_are_standardised_after_their_logarithm() {
    let fixture = of_column("x", "{ kind = 'numeric', transform = 'log' }");
    let data = fixture.open().unwrap();
    let log = |x: f64| if x < 0.0 { -(1.0 - x).ln() } else { (1.0 + x).ln() };
    let logs: Vec<f64> = [-3.0, 0.0, 100.0, 0.5, 7.0, 10.0, 9.99, 1e6, -1.0].map(log).to_vec();
    let mean = logs.iter().sum::<f64>() / 9.0;
    let std = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 9.0).sqrt();
    let expected: Vec<f64> = logs.iter().map(|x| (x - mean) / std).collect();
    let found: Vec<f64> = data
        .train
        .values()
        .iter()
        .zip(data.train.ids())
        .filter(|(_, id)| **id == 1)
        .map(|(x, _)| f64::from(*x))
        .collect();
    assert_eq!(found.len(), 9);
    found.iter().zip(expected).for_each(|(found, expected)| assert!((found - expected).abs() < 1e-6));
    assert_eq!((data.train.ids()[2], data.train.values()[2]), (0, 1.0));
    let dir = fixture.path().join("saved");
    data.encoder.save(&dir).unwrap();
    let loaded = Encoder::load(&dir).unwrap();
    assert!(loaded.same_codes(&data.encoder));
    assert!(!of_column("x", "{ kind = 'numeric' }").open().unwrap().encoder.same_codes(&loaded));
    // A run that goes on keeps the numbers' meaning, or says so.
    let goes_on = |options: &str, refit_numbers: bool| {
        let fixture = of_column("x", options);
        let basis = Basis { encoder: &loaded, refit_numbers };
        open_inputs(&fixture.schema, &fixture.inputs().unwrap(), &[], Some(&basis), &Limits::default(), &mut |_| {})
    };
    let error = goes_on("{ kind = 'numeric' }", false).unwrap_err().to_string();
    assert!(error.contains("data.fields.x.transform: expected \"log\", which the run"), "{error}");
    assert!(goes_on("{ kind = 'numeric' }", true).is_ok());
    assert!(goes_on("{ kind = 'numeric', transform = 'log' }", false).unwrap().encoder.same_codes(&loaded));
}

#[test]
fn buckets_begin_where_they_are_told_to() {
    let data = of_column("x", "{ kind = 'bucket', boundaries = [-1, 0.5, 10, 1e3] }").open().unwrap();
    assert_eq!(data.encoder.fields()[0].rows, 6);
    // -3, 0, nothing, 100, 0.5, 7, 10, 9.99, 1e6, -1
    assert_eq!(data.train.ids(), [1, 2, 0, 4, 3, 3, 4, 3, 5, 2]);
}

#[test]
fn the_commonest_values_have_rows_and_the_first_seen_of_equals() {
    // a 3, b 2, d 2, c, e, f 1.
    let known = |options: &str| {
        let data = of_column("item", options).open().unwrap();
        let vocabulary = data.encoder.vocabulary(0).unwrap().clone();
        let values: Vec<String> = vocabulary.rows().map(|row| vocabulary.value(row).unwrap().to_owned()).collect();
        (values.join(""), data.train.ids().to_vec(), data.encoder.fields()[0].rows)
    };
    assert_eq!(known("{ top = 2 }"), ("ab".to_owned(), vec![1, 2, 1, 0, 0, 2, 0, 0, 1, 0], 3));
    assert_eq!(known("{ top = 4 }").0, "abcd");
    assert_eq!(known("{ top = 4, min_count = 2 }").0, "abd");
    assert_eq!(known("{ top = 100 }").0, "abcdef");
    // Rows 1 to 5 are hashed to, 6 and 7 are a's and b's.
    let hash = |value: &str| 1 + (xxh3_64(value.as_bytes()) % 5) as u32;
    let [c, d, e, f] = ["c", "d", "e", "f"].map(hash);
    let expected = vec![6, 7, 6, c, d, 7, e, d, 6, f];
    assert_eq!(known("{ top = 2, hash = 5 }"), ("ab".to_owned(), expected, 8));
    assert_eq!(known("{ min_count = 2, hash = 5 }").0, "abd");
    let data = of_column("item", "{ hash = 5 }").open().unwrap();
    assert!(data.encoder.vocabulary(0).is_none(), "hash alone means no vocabulary");
}

#[test]
fn a_vocabulary_grows_behind_its_hashed_rows() {
    let first = of_column("item", "{ top = 3, hash = 5 }");
    let data = first.open().unwrap();
    let dir = first.path().join("saved");
    data.encoder.save(&dir).unwrap();
    let before = Encoder::load(&dir).unwrap();
    assert!(before.same_codes(&data.encoder));
    let goes_on = |options: &str| {
        let mut fixture = of_column("item", options);
        fixture.schema.path = "more.csv".to_owned();
        let more = rows().replace(",c,", ",g,").replace(",e,", ",g,").replace(",b,", ",h,");
        fs::write(fixture.path().join("more.csv"), more).unwrap();
        let basis = Basis { encoder: &before, refit_numbers: false };
        open_inputs(&fixture.schema, &fixture.inputs().unwrap(), &[], Some(&basis), &Limits::default(), &mut |_| {})
    };
    let grown = goes_on("{ top = 4, hash = 5 }").unwrap().encoder;
    let (old, new) = (before.vocabulary(0).unwrap(), grown.vocabulary(0).unwrap());
    assert_eq!((old.len(), new.len(), new.hashed()), (3, 4, 5));
    old.rows().for_each(|row| assert_eq!(old.value(row), new.value(row)));
    // g and h are there twice each, and h comes first: b was in the second row, c in the fourth.
    assert_eq!((new.value(9), new.row(b"h"), new.row(b"g")), (Some("h"), 9, 0));
    assert_eq!(goes_on("{ top = 3, hash = 5 }").unwrap().encoder.vocabulary(0).unwrap().len(), 3);
    let error = goes_on("{ top = 4, hash = 6 }").unwrap_err().to_string();
    assert!(error.contains("data.fields.item.hash: expected 5, which the run"), "{error}");
    assert!(goes_on("{ top = 4 }").unwrap_err().to_string().contains("hash: expected 5"));
}

#[test]
fn values_of_two_columns_are_one_category() {
    let fixture = fixture("f = { cross = ['page', 'tag'] }");
    let data = fixture.open_with(&Limits { chunk_rows: 3, spool_bytes: 0 }).unwrap();
    let vocabulary = data.encoder.vocabulary(0).unwrap();
    let values: Vec<&str> = vocabulary.rows().map(|row| vocabulary.value(row).unwrap()).collect();
    // 1.0 is 1, a row without a tag has no value, and what is in a text separates nothing.
    assert_eq!(values, ["1|x\\|y", "1|z", "2|x", "2|x\\|y", "2|y\\\\", "3|y\\\\", "3|x"]);
    assert_eq!(data.train.ids(), [1, 2, 3, 4, 1, 0, 5, 6, 3, 7]);
    assert_eq!((vocabulary.count(1), vocabulary.count(3)), (2, 2));
    let dir = fixture.path().join("saved");
    data.encoder.save(&dir).unwrap();
    let encoder = Encoder::load(&dir).unwrap();
    assert!(encoder.same_codes(&data.encoder));
    let other = "page,tag\n2.0,x\n 1,x|y\n9,x\n1,\n3,x|y\n";
    fs::write(fixture.path().join("other.csv"), other).unwrap();
    let inputs = Inputs::find("other.csv", Format::Auto, None, &[fixture.path().to_owned()]).unwrap();
    let mut scan = scan(&encoder, &inputs, false, 2).unwrap();
    let ids: Vec<u32> = scan.by_ref().flat_map(|chunk| chunk.unwrap().rows.ids().to_vec()).collect();
    assert_eq!(ids, [3, 1, 0, 0, 0]);
    let unknown = scan.unknown_values().remove(0);
    assert_eq!((unknown.values, unknown.missing, unknown.unknown), (5, 1, 2));
    assert_eq!(unknown.commonest[0].0, "3|x\\|y");

    // Options as of any category, and three columns.
    let top = fixture_of("f = { cross = ['page', 'tag'], top = 2, hash = 3 }");
    let hash = |value: &str| 1 + (xxh3_64(value.as_bytes()) % 3) as u32;
    let [z, b, c, d, e] = ["1|z", "2|x\\|y", "2|y\\\\", "3|y\\\\", "3|x"].map(hash);
    assert_eq!(top.train.ids(), [4, z, 5, b, 4, 0, c, d, 5, e]);
    let hashed = fixture_of("f = { cross = ['page', 'tag'], hash = 3 }");
    assert_eq!(hashed.train.ids()[..3], [hash("1|x\\|y"), z, hash("2|x")]);
    assert_eq!(hashed.encoder.fields()[0].rows, 4);
    let three = fixture_of("f = { cross = ['item', 'page', 'tag'] }");
    assert_eq!(three.encoder.vocabulary(0).unwrap().value(1), Some("a|1|x\\|y"));

    // Going on, columns keep their types and values their rows.
    let basis = Basis { encoder: &encoder, refit_numbers: false };
    let grown = |fields: &str| {
        let fixture = super::fields::fixture(fields);
        fs::write(fixture.path().join("rows.csv"), rows().replace(",3,x", ",4.0,x")).unwrap();
        open_inputs(&fixture.schema, &fixture.inputs().unwrap(), &[], Some(&basis), &Limits::default(), &mut |_| {})
    };
    let grown_encoder = grown("f = { cross = ['page', 'tag'] }").unwrap().encoder;
    let known = grown_encoder.vocabulary(0).unwrap();
    assert_eq!((known.len(), known.value(7), known.value(8)), (8, Some("3|x"), Some("4|x")));
    let error = grown("f = { cross = ['tag', 'page'] }").unwrap_err().to_string();
    assert!(error.contains("data.fields.f.cross: expected [\"page\", \"tag\"], which the run"), "{error}");
}

fn fixture_of(fields: &str) -> Dataset {
    fixture(fields).open().unwrap()
}

#[test]
fn options_that_have_no_effect_are_refused() {
    for (fields, message) in [
        ("f = { transform = 'log' }", "data.fields.f.transform needs data.fields.f.kind = \"numeric\""),
        ("f = { kind = 'bucket', transform = 'log' }", "cut at the same values"),
        ("f = { kind = 'numeric', boundaries = [1] }", "boundaries needs data.fields.f.kind = \"bucket\""),
        ("f = { kind = 'bucket', boundaries = [1], buckets = 2 }", "boundaries say how many buckets"),
        ("f = { kind = 'bucket', boundaries = [1, 1] }", "each larger than the one before"),
        ("f = { kind = 'bucket', boundaries = [] }", "each larger than the one before"),
        ("f = { kind = 'bucket', boundaries = [nan] }", "each larger than the one before"),
        ("f = { kind = 'bucket', top = 3 }", "f.top is for categories only"),
        ("f = { top = 0 }", "f.top is 0"),
        ("f = { cross = ['page'] }", "expected two or three columns, found 1"),
        ("f = { cross = ['page', 'page'] }", "names \"page\" twice"),
        ("f = { cross = ['page', 'label'] }", "leaks it to the model"),
        ("f = { cross = ['page', 'split'] }", "the split's column"),
        ("f = { cross = ['page', 'f'] }", "a cross and no column"),
        ("f = { cross = ['page', 'tag'], kind = 'bucket' }", "cross is for categories only"),
        ("f = { cross = ['page', 'tag'], type = 'text' }", "the types of its columns"),
        (
            "f = { cross = ['page', 'tga'] }",
            "no column \"tga\", which data.fields.f.cross names; did you mean \"tag\"?",
        ),
    ] {
        let error = match fixture(fields).open() {
            Ok(_) => panic!("{fields}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(message), "{fields}: {error}");
    }
}
