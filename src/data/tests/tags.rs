//! Fields of tags, from the cells to encoded rows.

use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Int64Array, ListArray, StringArray};

use super::*;

const SCHEMA: &str = r#"
    label = "label"
    agnostic = ["item", "genres", "liked"]
    split = { by = "column", column = "split" }
    [fields.genres]
    kind = "tags"
    separator = "|"
    weights = "shares"
    min_count = 2
    [fields.liked]
    kind = "tags"
    separator = " "
    vocabulary = "item"
    max_length = 2
    pooling = "max"
"#;

const ROWS: &str = "\
label,item,genres,shares,liked,split
0,x,drama|war,1|0.5,,train
1,y,war,2,x y x,train
1,x,drama|war|noir,1|1|1,y,train
0,z,,,x,valid
1,y,noir|drama,0.25|4,z y,test
0,,opera|war|war,3|2|1,,test
";

/// Ids and weights of all rows of a list.
fn list(rows: &Rows, list: usize) -> Vec<(Vec<u32>, Option<Vec<f32>>)> {
    let list = &rows.sequences()[list];
    (0..rows.len()).map(|row| (list.row(row).to_vec(), list.weights(row).map(<[f32]>::to_vec))).collect()
}

fn weighted(ids: &[u32], weights: &[f32]) -> (Vec<u32>, Option<Vec<f32>>) {
    (ids.to_vec(), Some(weights.to_vec()))
}

#[test]
fn lists_are_encoded_by_their_own_vocabulary_or_another_fields() {
    let fixture = Fixture::new("rows.csv", ROWS, SCHEMA);
    let data = fixture.open().unwrap();
    let encoder = &data.encoder;
    let tags: Vec<Option<TagsInfo>> = encoder.fields().iter().map(|field| field.tags).collect();
    let genres = TagsInfo { list: 0, rows_of: 1, max_length: 50, pooling: Pooling::Mean, weighted: true };
    let liked = TagsInfo { list: 1, rows_of: 0, max_length: 2, pooling: Pooling::Max, weighted: false };
    assert_eq!(tags, [None, Some(genres), Some(liked)]);
    // drama and war twice each; x and y.
    assert_eq!(encoder.fields().iter().map(|field| field.rows).collect::<Vec<_>>(), [3, 3, 0]);
    let expected = [weighted(&[1, 2], &[1.0, 0.5]), weighted(&[2], &[2.0]), weighted(&[1, 2, 0], &[1.0, 1.0, 1.0])];
    assert_eq!(list(&data.train, 0), expected);
    assert_eq!(list(&data.train, 1), [(vec![], None), (vec![1, 2], None), (vec![2], None)]);
    assert_eq!(list(&data.valid, 0), [weighted(&[], &[])]);
    assert_eq!(list(&data.test, 0), [weighted(&[0, 1], &[0.25, 4.0]), weighted(&[0, 2, 2], &[3.0, 2.0, 1.0])]);
    assert_eq!(list(&data.test, 1), [(vec![0, 2], None), (vec![], None)]);
    let told = "column \"liked\" has more than 2 values in 1 rows: the first 2 are kept (data.fields.liked.max_length)";
    assert!(data.warnings.iter().any(|warning| warning == told), "{:?}", data.warnings);

    // From the cache, from a file of its own that says what it learned, and by another reading of the same rows.
    let again = fixture.open().unwrap();
    assert!(matches!(again.cache, Cache::Read(_)));
    for (first, second) in [(&data.train, &again.train), (&data.valid, &again.valid), (&data.test, &again.test)] {
        assert_eq!([0, 1].map(|k| list(first, k)), [0, 1].map(|k| list(second, k)));
    }
    let folder = fixture.path().join("saved");
    encoder.save(&folder).unwrap();
    let loaded = Encoder::load(&folder).unwrap();
    assert!(loaded.same_codes(encoder) && loaded.fields() == encoder.fields());
    let mut scan = scan(&loaded, &fixture.inputs().unwrap(), true, 100).unwrap();
    let rows = scan.next().unwrap().unwrap().rows;
    let all = |k: usize| [&data.train, &data.valid, &data.test].map(|split| list(split, k)).concat();
    assert_eq!([0, 1].map(|k| list(&rows, k)), [0, 1].map(all));
    let counts: Vec<(u64, u64)> = scan.unknown_values().iter().map(|column| (column.values, column.unknown)).collect();
    assert_eq!(counts, [(6, 1), (11, 3), (6, 1)]);
    assert_eq!(scan.unknown_values()[1].commonest[0], ("noir".to_owned(), 2));
    // What is chosen or moved takes its lists with it.
    assert_eq!(list(&data.train.select(&[2, 0]).unwrap(), 0), [expected[2].clone(), expected[0].clone()]);
}

#[test]
fn columns_of_lists_are_read_as_they_are() {
    let genres = vec![Some(vec![Some(7), None, Some(8)]), None, Some(vec![Some(7)]), Some(vec![])];
    let shares = vec![Some(vec![Some(0.5), None, Some(2.0)]), Some(vec![]), Some(vec![Some(1.0)]), None];
    let columns = vec![
        ("label", array(Int64Array::from(vec![0, 1, 0, 1]))),
        ("split", array(StringArray::from(vec!["train", "train", "train", "test"]))),
        ("genres", array(ListArray::from_iter_primitive::<Int64Type, _, _>(genres))),
        ("shares", array(ListArray::from_iter_primitive::<Float64Type, _, _>(shares))),
    ];
    let schema = r#"
        label = "label"
        agnostic = ["genres"]
        split = { by = "column", column = "split", valid = "" }
        fields = { genres = { kind = "tags", weights = "shares" } }
    "#;
    let data = Fixture::new("rows.parquet", parquet(columns), schema).open().unwrap();
    assert_eq!(data.encoder.value_type(0), ValueType::Integer);
    let expected = [weighted(&[1, 2], &[0.5, 2.0]), weighted(&[], &[]), weighted(&[1], &[1.0])];
    assert_eq!((list(&data.train, 0), list(&data.test, 0)), (expected.to_vec(), vec![weighted(&[], &[])]));
}

#[test]
fn hashed_tags_need_no_vocabulary() {
    let hashed = SCHEMA.replace("min_count = 2", "hash = 9");
    let data = Fixture::new("rows.csv", ROWS, &hashed).open().unwrap();
    let hash = |text: &str| 1 + (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % 9) as u32;
    let ids = |row: usize| data.test.sequences()[0].row(row).to_vec();
    assert_eq!([ids(0), ids(1)], [vec![hash("noir"), hash("drama")], ["opera", "war", "war"].map(hash).to_vec()]);
    assert_eq!(data.encoder.fields()[1].rows, 10);
}

/// What opening says when a line of the rows or of the schema is another.
fn said(line: &str, other: &str) -> String {
    assert!(ROWS.contains(line) || SCHEMA.contains(line), "{line}");
    Fixture::new("rows.csv", ROWS.replace(line, other), &SCHEMA.replace(line, other)).error()
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (line, other, message) in [
        (
            "war,2,",
            "war,2|1,",
            "rows.csv, line 3, column \"shares\": expected as many weights as \"genres\" has values, 1",
        ),
        ("war,2,", "war,-2,", "rows.csv, line 3, column \"shares\": expected weights of at least 0"),
        (
            "war,2,",
            "war,much,",
            "column \"shares\": expected weights of at least 0, finite in single precision, found \"much\"",
        ),
        ("    separator = \"|\"\n", "", "data.fields.genres needs a list per row; of text it must know what separates"),
        ("separator = \"|\"", "separator = \"\"", "data.fields.genres.separator is empty"),
        ("weights = \"shares\"", "weights = \"share\"", "no column \"share\", which data.fields.genres.weights names"),
        ("weights = \"shares\"", "weights = \"label\"", "leaks it"),
        ("weights = \"shares\"", "weights = \"genres\"", "expected another column than the values'"),
        ("weights = \"shares\"", "weights = \"shares\"\npooling = \"max\"", "have no meaning for pooling = \"max\""),
        ("weights = \"shares\"", "cross = [\"item\", \"label\"]", "a cross is one category and has no tags"),
        ("weights = \"shares\"", "buckets = 3", "buckets needs"),
        (
            "max_length = 2",
            "max_length = 0",
            "data.fields.liked.max_length is 0; it must be from 1 to 2048 with pooling",
        ),
        ("max_length = 2", "max_length = 4000", "must be from 1 to 2048 with pooling = \"max\""),
        (
            "max_length = 2",
            "min_count = 2",
            "data.fields.liked.min_count: \"item\", whose vocabulary it shares, says that",
        ),
        ("vocabulary = \"item\"", "vocabulary = \"itm\"", "did you mean \"item\"?"),
        ("vocabulary = \"item\"", "vocabulary = \"liked\"", "\"liked\" has no vocabulary of its own"),
        ("kind = \"tags\"", "", "separator needs data.fields.genres.kind = \"tags\""),
        (
            "min_count = 2",
            "type = \"integer\"",
            "line 2, column \"genres\": expected whole numbers, as data.fields.genres.type",
        ),
    ] {
        let found = said(line, other);
        assert!(found.contains(message), "{other}: {found}");
    }
    let columns = |genres: ArrayRef| {
        let labels = array(Int64Array::from(vec![0, 1]));
        parquet(vec![("label", labels), ("genres", genres)])
    };
    let error = |genres: ArrayRef, options: &str| {
        let schema =
            format!("label = 'label'\nagnostic = ['genres']\nfields = {{ genres = {{ kind = 'tags'{options} }} }}");
        Fixture::new("rows.parquet", columns(genres), &schema).error()
    };
    let found = error(array(Int64Array::from(vec![1, 2])), "");
    assert!(found.contains("rows.parquet, column \"genres\": data.fields.genres needs a list per row"), "{found}");
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None]);
    let found = error(array(lists), ", separator = '|'");
    assert!(found.contains("needs text, as it has a separator (a column of lists needs none; remove it)"), "{found}");
}
