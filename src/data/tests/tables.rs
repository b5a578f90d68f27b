//! Tables in memory are read as Parquet files of the same rows are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use arrow_array::{Array, DictionaryArray, Int64Array, ListArray, NullArray, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};

use super::encoding::same;
use super::*;

const SCHEMA: &str = r#"
label = "y"
scenario = "s"
aware = ["s"]
agnostic = ["item"]
sequence = [{ column = "seen", vocabulary = "item" }]
cache = false
split = { by = "seed", valid = 0.2, test = 0.2 }
"#;

/// Columns as rows.
fn rows<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// Rows with a column of each sort; `s` is a dictionary with keys too small for the values of all batches together.
fn batch(from: i64, count: i64) -> RecordBatch {
    let numbers = from..from + count;
    let scenarios: Vec<String> = numbers.clone().map(|k| format!("s{}", k % 3 + k / 8_000)).collect();
    let own = format!("of {from}");
    let scenarios: DictionaryArray<Int8Type> = scenarios.iter().map(|s| Some(s.as_str())).collect();
    let items: Vec<Option<String>> = numbers.clone().map(|k| (k % 7 > 0).then(|| format!("{}", k % 13))).collect();
    let items: StringArray = items.into_iter().map(|item| item.or(Some(own.clone()))).collect();
    let lists = numbers.clone().map(|k| (k % 5 > 0).then(|| (0..k % 4).map(|n| Some(n * k % 13)).collect::<Vec<_>>()));
    let seen = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let labels: Int64Array = numbers.map(|k| Some(k * k % 5 % 2)).collect();
    rows([("s", Arc::new(scenarios)), ("item", Arc::new(items)), ("seen", Arc::new(seen)), ("y", Arc::new(labels))])
}

/// A batch with another column in the place of one.
fn with(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, own)| {
        let column = if field.name() == name { &column } else { own };
        (field.name().clone(), Arc::clone(column), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn table(batches: &[RecordBatch]) -> Table {
    Table::new(batches[0].schema(), batches.to_vec()).unwrap()
}

/// A Parquet file of batches, whose dictionaries are written as texts.
fn parquet(path: &Path, batches: &[RecordBatch]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let plain = |batch: &RecordBatch| with(batch, "s", cast(batch.column(0), &DataType::Utf8).unwrap());
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), plain(&batches[0]).schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(&plain(batch)).unwrap());
    writer.close().unwrap();
}

fn schema(path: &str, text: &str) -> Schema {
    toml::from_str(&format!("path = {path:?}\n{text}")).unwrap()
}

fn open_tables(text: &str, inputs: &Inputs, chunk_rows: usize) -> Result<Dataset> {
    let limits = Limits { chunk_rows, ..Limits::default() };
    open_inputs(&schema(TABLE, text), inputs, &[], None, &limits, &mut |_| {})
}

#[test]
fn a_table_is_read_as_a_file_wherever_its_batches_end() {
    let mut batches = vec![batch(0, 0), batch(0, 1), batch(1, 9_999), batch(10_000, 0), batch(10_000, 12_000)];
    // Together more values than keys of eight bits tell apart, though each batch has few.
    for from in (22_000..24_000).step_by(10) {
        let scenarios: DictionaryArray<Int8Type> = (0..10).map(|k| Some(["s0", "s1"][k % 2])).collect();
        let names: DictionaryArray<Int8Type> = std::iter::repeat_n(format!("n{from}").as_str(), 10).map(Some).collect();
        let last = with(&batch(from, 10), "s", Arc::new(scenarios));
        batches.push(with(&last, "item", cast(&names, &DataType::Utf8).unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    parquet(&folder.path().join("rows.parquet"), &batches);
    let expected = open(&schema("rows.parquet", SCHEMA), &[folder.path().to_owned()], &mut |_| {}).unwrap();
    for chunk_rows in [7, 5_000, 1 << 16] {
        let opened = open_tables(SCHEMA, &Inputs::table(table(&batches)), chunk_rows).unwrap();
        same(&opened, &expected);
        assert_eq!(opened.cache, Cache::Off);
    }
}

#[test]
fn dictionaries_of_many_batches_may_have_more_values_than_keys() {
    let batches: Vec<RecordBatch> = (0..30)
        .map(|k| {
            let texts: Vec<String> = (0..100).map(|n| format!("{}", k * 100 + n)).collect();
            let items: DictionaryArray<Int8Type> = texts.iter().map(|text| Some(text.as_str())).collect();
            with(&batch(k * 100, 100), "item", Arc::new(items))
        })
        .collect();
    let opened = open_tables(SCHEMA, &Inputs::table(table(&batches)), 1 << 16).unwrap();
    let items = &opened.encoder.fields()[1];
    assert!(items.rows > 1_000, "{}", items.rows);
}

#[test]
fn a_chunk_of_one_batch_shares_its_memory() {
    let batch = batch(0, 10_000);
    let mut rows = table(std::slice::from_ref(&batch)).read(&[3], 4_000);
    let mut starts = Vec::new();
    while let Some((chunk, before)) = rows.next(Path::new(TABLE)).unwrap() {
        starts.push((before, chunk.num_rows()));
        let address = |array: &dyn Array| array.to_data().buffers()[0].as_ptr() as usize;
        let offset = chunk.column(0).to_data().offset() * 8;
        let start = batch.column(3).slice(before as usize, 1);
        assert_eq!(address(chunk.column(0)) + offset, address(&start) + start.to_data().offset() * 8);
    }
    assert_eq!(starts, [(0, 4_000), (4_000, 4_000), (8_000, 2_000)]);
}

#[test]
fn a_chunk_holds_nothing_of_other_rows() {
    let rows = batch(0, 10_000);
    let large = |item: DataType| DataType::LargeList(Arc::new(Field::new_list_field(item, true)));
    let texts = cast(rows.column(2), &large(DataType::LargeUtf8)).unwrap();
    let items = cast(rows.column(1), &DataType::LargeUtf8).unwrap();
    let rows = with(&with(&rows, "seen", texts), "item", items);
    let mut chunks = table(std::slice::from_ref(&rows)).read(&[1, 2], 3_000);
    let mut start = 0;
    while let Some((chunk, _)) = chunks.next(Path::new(TABLE)).unwrap() {
        let expected = rows.slice(start, chunk.num_rows());
        start += chunk.num_rows();
        assert_eq!((chunk.column(0), chunk.column(1)), (expected.column(1), expected.column(2)));
        let (items, seen) = (chunk.column(0).as_string::<i64>(), chunk.column(1).as_list::<i64>());
        assert_eq!((items.value_offsets()[0], seen.value_offsets()[0]), (0, 0));
        assert_eq!(items.values().len(), *items.value_offsets().last().unwrap() as usize);
        assert_eq!(seen.values().len(), *seen.value_offsets().last().unwrap() as usize);
        assert_eq!(seen.values().as_string::<i64>().value_offsets()[0], 0);
    }
    assert_eq!(start, 10_000);
    // Nothing that is kept of them differs.
    let whole = open_tables(SCHEMA, &Inputs::table(table(&[batch(0, 10_000)])), 3_000).unwrap();
    same(&open_tables(SCHEMA, &Inputs::table(table(&[rows])), 3_000).unwrap(), &whole);
}

#[test]
fn tables_of_splits_are_read_as_folders_of_splits() {
    let parts =
        [(SplitName::Train, batch(0, 900)), (SplitName::Valid, batch(50, 300)), (SplitName::Test, batch(20, 500))];
    let folder = tempfile::tempdir().unwrap();
    // In the order of the splits, as files are read in that of their names.
    for ((split, part), name) in parts.iter().zip(["a", "b", "c"]) {
        let path = folder.path().join(format!("order={name}")).join(format!("split={split}")).join("rows.parquet");
        parquet(&path, std::slice::from_ref(part));
    }
    let (start, _) = SCHEMA.split_once("split =").unwrap();
    let text = format!("{start}split = {{ by = \"column\", column = \"split\" }}");
    let expected = open(&schema(".", &text), &[folder.path().to_owned()], &mut |_| {}).unwrap();
    let tables = parts.map(|(split, part)| (split, table(&[part])));
    let (inputs, column) = Inputs::split_tables(BTreeMap::from(tables));
    assert_eq!(column, "split");
    let opened = open_tables(&text, &inputs, 64).unwrap();
    assert_eq!([opened.train.len(), opened.valid.len(), opened.test.len()], [900, 300, 500]);
    same(&opened, &expected);
    // A table's own column of that name is left alone.
    let own = rows([("split", Arc::new(StringArray::from(vec!["test"; 9])))]);
    let (_, column) = Inputs::split_tables(BTreeMap::from([(SplitName::Train, table(&[own]))]));
    assert_eq!(column, "split_");
}

#[test]
fn what_is_wrong_with_a_table_is_told_as_of_a_file() {
    let message = |text: &str, batches: &[RecordBatch]| {
        open_tables(text, &Inputs::table(table(batches)), 100).expect_err("this should fail").to_string()
    };
    let text = message(&SCHEMA.replace("\"y\"", "\"z\""), &[batch(0, 10)]);
    assert!(text.starts_with("<table>: no column \"z\", which data.label names"), "{text}");
    assert_eq!(message(SCHEMA, &[batch(0, 0)]), "<table>: there are no rows to learn from");
    let labels: Int64Array = (0..150).map(|k| Some(if k == 123 { 2 } else { k % 2 })).collect();
    let text = message(SCHEMA, &[batch(0, 60), with(&batch(60, 150), "y", Arc::new(labels))]);
    assert!(text.starts_with("<table>, row 184, column \"y\": expected 0 or 1, found \"2\""), "{text}");
    let other = rows([("s", Arc::new(NullArray::new(1)))]);
    let text = Table::new(batch(0, 1).schema(), vec![batch(0, 1), other]).unwrap_err().to_string();
    assert_eq!(text, "<table>: batch 2 of 2 has other columns or types than the table's schema; make it of one schema");
    let text = Inputs::find(TABLE, Format::Auto, None, &[]).unwrap_err().to_string();
    assert!(text.contains("was a table in memory"), "{text}");
}

#[test]
fn a_column_of_nulls_is_one_of_empty_lists() {
    let nulls = with(&batch(0, 200), "seen", Arc::new(NullArray::new(200)));
    let opened = open_tables(SCHEMA, &Inputs::table(table(&[nulls])), 64).unwrap();
    assert_eq!(opened.train.sequences()[0].ids().len(), 0);
    assert!(!opened.train.is_empty());
}
