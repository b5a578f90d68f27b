//! Other files with saved vocabularies.

use arrow_array::cast::AsArray;
use arrow_array::{Array, Int64Array, StringArray};

use super::*;

/// An encoder fitted to [`SIX`], saved and loaded.
fn encoder() -> (Encoder, Fixture) {
    let fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    let folder = fixture.path().join("run/encoder");
    fixture.open().unwrap().encoder.save(&folder).unwrap();
    (Encoder::load(&folder).unwrap(), fixture)
}

fn find(fixture: &Fixture, name: &str, content: impl AsRef<[u8]>) -> Inputs {
    fs::write(fixture.path().join(name), content).unwrap();
    Inputs::find(name, Format::Auto, None, &[fixture.path().to_owned()]).unwrap()
}

#[test]
fn a_scan_encodes_as_the_fit_did() {
    let (encoder, fixture) = encoder();
    let data = fixture.open().unwrap();
    for batch_rows in [1, 2, 100] {
        let chunks: Vec<_> =
            scan(&encoder, &fixture.inputs().unwrap(), true, batch_rows).unwrap().collect::<Result<_>>().unwrap();
        let ids: Vec<u32> = chunks.iter().flat_map(|c| c.rows.ids().to_vec()).collect();
        let labels: Vec<f32> = chunks.iter().flat_map(|c| c.rows.labels().to_vec()).collect();
        assert_eq!(ids, [data.train.ids(), data.valid.ids(), data.test.ids()].concat());
        assert_eq!(labels, [data.train.labels(), data.valid.labels(), data.test.labels()].concat());
        assert!(chunks.iter().all(|c| c.kept == (0..c.rows.len() as u32).collect::<Vec<_>>()));
        assert!(chunks.iter().all(|c| c.rows.len() <= batch_rows));
    }
}

#[test]
fn numbers_sequences_and_hashes_are_encoded_as_in_the_fit() {
    let csv = "label,s,price,age,item,history,user,p,split\n0,a,1,3,x,x|y,u,0.5,train\n1,b,2.5,4,y,,v,0.25,train\n1,a,,,x,y,,0.125,valid\n0,b,7,9,q,q,u,1,test\n";
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s", "price", "age"]
        agnostic = ["item", "user"]
        sequence = [{ column = "history", vocabulary = "item" }]
        user = "user"
        probability = "p"
        split = { by = "column", column = "split" }
        fields = { price = { kind = "numeric" }, age = { kind = "bucket", buckets = 2 }, user = { hash = 9 } }
    "#;
    let fixture = Fixture::new("all.csv", csv, schema);
    let data = fixture.open().unwrap();
    let folder = fixture.path().join("saved");
    data.encoder.save(&folder).unwrap();
    let encoder = Encoder::load(&folder).unwrap();
    assert_eq!((encoder.fields(), encoder.sequences()), (data.encoder.fields(), data.encoder.sequences()));
    let chunk = scan(&encoder, &fixture.inputs().unwrap(), true, 100).unwrap().next().unwrap().unwrap();
    let splits = [&data.train, &data.valid, &data.test];
    assert_eq!(chunk.rows.ids(), splits.map(Rows::ids).concat());
    assert_eq!(chunk.rows.values(), splits.map(Rows::values).concat());
    assert_eq!(chunk.rows.scenarios(), splits.map(Rows::scenarios).concat());
    assert_eq!(chunk.rows.users().unwrap(), splits.map(|rows| rows.users().unwrap()).concat());
    assert_eq!(chunk.rows.probabilities().unwrap(), splits.map(|rows| rows.probabilities().unwrap()).concat());
    assert_eq!(chunk.rows.sequences()[0].ids(), splits.map(|rows| rows.sequences()[0].ids()).concat());
    assert_eq!(chunk.rows.sequences()[0].offsets(), [0, 2, 2, 3, 4]);
}

#[test]
fn prediction_needs_features_and_scenario_only_and_gives_all_columns_back() {
    let (encoder, fixture) = encoder();
    let inputs = find(&fixture, "new.csv", "note,item,scenario\n\"hi, you\",x,a\n,never seen,b\n");
    let chunk = scan(&encoder, &inputs, false, 10).unwrap().next().unwrap().unwrap();
    assert_eq!((chunk.rows.ids(), chunk.rows.labels()), (&[2, 1, 1, 0][..], &[][..]));
    let names: Vec<_> = chunk.batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["note", "item", "scenario"]);
    assert_eq!(chunk.batch.column(0).as_string::<i32>().value(0), "hi, you");
    let message = scan(&encoder, &inputs, true, 10).err().unwrap().to_string();
    assert!(message.contains("no column \"label\", which data.label names"), "{message}");
}

#[test]
fn parquet_columns_keep_their_types() {
    let (encoder, fixture) = encoder();
    let bytes = parquet(vec![
        ("n", array(Int64Array::from(vec![5, 6]))),
        ("scenario", array(StringArray::from(vec!["b", "a"]))),
        ("item", array(StringArray::from(vec![None, Some("y")]))),
    ]);
    let inputs = find(&fixture, "new.parquet", bytes);
    let chunk = scan(&encoder, &inputs, false, 10).unwrap().next().unwrap().unwrap();
    assert_eq!((chunk.rows.ids(), chunk.rows.scenarios()), (&[1, 0, 2, 2][..], &[1, 0][..]));
    assert_eq!(chunk.batch.column(0).as_primitive::<arrow_array::types::Int64Type>().values(), &[5, 6]);
}

#[test]
fn an_unknown_scenario_is_named_or_skipped() {
    let (encoder, fixture) = encoder();
    let inputs = find(&fixture, "new.csv", "item,scenario\nx,a\nx,mars\nx\ny,b\n");
    let message = scan(&encoder, &inputs, false, 10).unwrap().next().unwrap().unwrap_err().to_string();
    let said = "new.csv, line 3, column \"scenario\": expected a scenario that the model was trained on (a, b), \
                found \"mars\"; fix the row, or set data.unknown_scenario to \"shared\" or \"skip\"";
    assert!(message.ends_with(said), "{message}");
    let mut scan = scan(&encoder, &inputs, false, 10).unwrap().on_bad_row(OnBadRow::Skip);
    let chunk = scan.next().unwrap().unwrap();
    assert_eq!((chunk.kept, chunk.rows.len(), chunk.batch.num_rows()), (vec![0, 3], 2, 4));
    assert!(chunk.batch.column(1).is_null(2), "a cell that is not there");
    assert_eq!(scan.skipped().count, 2);
    assert!(scan.next().is_none());
}

#[test]
fn good_chunks_come_before_the_error_of_a_later_one() {
    let (encoder, fixture) = encoder();
    find(&fixture, "p-1.csv", "item,scenario\nx,a\n");
    find(&fixture, "p-2.csv", "item,scene\nx,a\n");
    let inputs = Inputs::find("p-*", Format::Auto, None, &[fixture.path().to_owned()]).unwrap();
    let mut scan = scan(&encoder, &inputs, false, 10).unwrap();
    assert!(scan.next().unwrap().is_ok());
    assert!(matches!(scan.next(), Some(Err(Error::MissingColumn(_)))));
    assert!(scan.next().is_none());
}

#[test]
fn a_saved_encoder_keeps_odd_names_and_exact_statistics() {
    let csv =
        "label,s,\"it,\"\"em\"\"\nx\",price\n0,\"a\nb\",\"1,\n\"\"2\"\"\",0.1\n1,é,\" x \",0.7\n1,é,\" x \",1e-300\n";
    let schema = r#"
        label = "label"
        scenario = "s"
        aware = ["s", "price"]
        agnostic = ["it,\"em\"\nx"]
        split = { by = "seed", valid = 0, test = 0 }
        fields = { price = { kind = "numeric" } }
    "#;
    let fixture = Fixture::new("odd.csv", csv, schema);
    let data = fixture.open().unwrap();
    let folder = fixture.path().join("saved");
    data.encoder.save(&folder).unwrap();
    let loaded = Encoder::load(&folder).unwrap();
    assert_eq!((loaded.schema(), loaded.fields()), (data.encoder.schema(), data.encoder.fields()));
    assert_eq!(loaded.scenarios(), ["a\nb", "é"]);
    assert_eq!(loaded.vocabulary(2).unwrap().value(1), Some("1,\n\"2\""));
    assert_eq!((loaded.vocabulary(2).unwrap().row(b" x "), loaded.vocabulary(2).unwrap().count(2)), (2, 2));
    let chunk = scan(&loaded, &fixture.inputs().unwrap(), true, 10).unwrap().next().unwrap().unwrap();
    assert_eq!(chunk.rows.values(), data.train.values());
}

#[test]
fn a_damaged_encoder_is_refused_with_its_file() {
    let (encoder, fixture) = encoder();
    let folder = fixture.path().join("saved");
    for (file, from, to, said) in [
        ("encoder.toml", "version = 2", "version = 9", "version 9 is newer than 2"),
        ("encoder.toml", "values = 2", "values = 3", "has 3 values, but vocabularies.csv 2"),
        (
            "encoder.toml",
            "coding = \"category\"",
            "coding = \"numeric\"\nmean = 0.0\nstd = 1.0",
            "is not coded as the schema says",
        ),
        ("encoder.toml", "[\"a\", \"b\"]", "[\"a\", \"a\"]", "one is there twice"),
        ("encoder.toml", "scenarios", "scenes", "missing field `scenarios`"),
        ("vocabularies.csv", "item,2,y", "item,3,y", "out of place"),
        ("vocabularies.csv", "item,2,y", "item,2,x", "out of place"),
        ("vocabularies.csv", "item,2,y,1\n", "", "has 2 values, but vocabularies.csv 1"),
        ("vocabularies.csv", "item,1", "itm,1", "out of place"),
    ] {
        encoder.save(&folder).unwrap();
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(folder.join(file), text.replace(from, to)).unwrap();
        let message = Encoder::load(&folder).expect_err(to).to_string();
        assert!(message.contains(said), "{message}");
    }
    assert!(matches!(Encoder::load(&fixture.path().join("nothing")), Err(Error::Io { .. })));
}
