//! `prepare`: each data set's files, in the layouts in which their owners publish them and with made-up values, become
//! rows that can be trained on; and files that are wrong are told apart.

mod ali_ccp;
mod aliexpress;
mod amazon;
mod avazu;
mod criteo;
mod douban;
mod frappe;
mod iaac;
mod kuairand;
mod movielens;
mod taobao;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use crate::place::{Outcome, Place};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use polyscene::Config;
use polyscene::data::{Dataset, Prepared, PublicData, open};

/// The prepared rows, by column, each cell as text; a missing one is "-", a list's items are joined by blanks.
struct Rows(BTreeMap<String, Vec<String>>);

impl Rows {
    fn read(place: &Place, name: &str) -> Self {
        let file = File::open(place.path(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for batch in reader {
            let batch: RecordBatch = batch.unwrap();
            for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
                let cells = columns.entry(field.name().clone()).or_default();
                if let DataType::List(_) = field.data_type() {
                    let items = |row| array.as_list::<i32>().value(row);
                    let joined = |row| items(row).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(" ");
                    cells.extend((0..array.len()).map(joined));
                } else {
                    let texts = arrow_cast::cast(array, &DataType::Utf8).unwrap();
                    cells.extend(texts.as_string::<i32>().iter().map(|cell| cell.unwrap_or("-").to_owned()));
                }
            }
        }
        Self(columns)
    }

    fn column(&self, name: &str) -> &[String] {
        self.0.get(name).unwrap_or_else(|| panic!("no column {name} among {:?}", self.0.keys()))
    }

    /// One row's cells of these columns.
    fn row(&self, row: usize, columns: &[&str]) -> Vec<&str> {
        columns.iter().map(|name| self.column(name)[row].as_str()).collect()
    }

    /// How often a column has each value.
    fn counts(&self, name: &str) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        self.column(name).iter().for_each(|cell| *counts.entry(cell.as_str()).or_default() += 1);
        counts
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Prepares in this process, with a seed: what was told, the rows, and what training would open.
fn prepared(place: &Place, data: PublicData, seed: u64) -> (Prepared, Rows, Dataset) {
    let (raw, out) = (place.path("raw"), place.path("out"));
    let (prepared, config) = polyscene::app::prepare::prepare(data, &raw, &out, seed, &mut |_| ()).unwrap();
    let schema = Config::load(&config, &["data.cache=false".to_owned()]).unwrap().schema().unwrap();
    let dataset = open(&schema, &[out], &mut |_| ()).unwrap();
    (prepared, Rows::read(place, "out/data.parquet"), dataset)
}

/// That preparing in this process fails and says these.
#[track_caller]
fn refused(place: &Place, data: PublicData, says: &[&str]) {
    let failed = polyscene::app::prepare::prepare(data, &place.path("raw"), &place.path("out"), 0, &mut |_| ());
    let error = failed.unwrap_err().to_string();
    for said in says {
        assert!(error.contains(said), "{said}: {error}");
    }
}

fn prepare(place: &Place, data: &str) -> Outcome {
    place.run(&format!("prepare {data} --raw raw --out out"))
}

/// That the configuration which came out trains as it is, for an epoch, on these scenarios.
fn trains(place: &Place, scenarios: &[&str]) {
    let line = "train out/config.toml --out run --device cpu --set train.epochs=1 --set data.cache=false";
    let _ = std::fs::remove_dir_all(place.path("run"));
    let trained = place.run(line).succeeds();
    assert!(!trained.err.contains("skipped"), "{}", trained.err);
    let result = place.json("run/result.json");
    let found: Vec<&String> = result["test"]["scenarios"].as_object().unwrap().keys().collect();
    assert_eq!(found, scenarios);
    assert!(result["test"]["auc"].is_number(), "{result}");
}

/// That preparing fails as data does and says these, and that no rows are left behind.
fn refuses(place: &Place, data: &str, says: &[&str]) {
    prepare(place, data).fails(3, says);
    let left: Vec<_> = std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A number that looks random, below `bound`.
fn mixed(seed: u64, bound: u64) -> u64 {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % bound
}

#[test]
fn an_output_that_cannot_be_written_is_no_fault_of_the_data() {
    let place = Place::empty();
    movielens::million(&place);
    place.write("out", "a file");
    prepare(&place, "movielens").fails(6, &["out"]);
    place.run("prepare netflix --raw raw --out other").fails(2, &["netflix", "movielens", "ali-ccp"]);
}
