//! Criteo's contest.

use polyscene::Config;
use polyscene::data::PublicData::Criteo;
use polyscene::data::open;

use super::{gzip, mixed, prepared, refused};
use crate::place::Place;

const HOME: &str = "https://ailab.criteo.com/ressources/";

/// A line of the log: a label, 13 numbers, some missing, some negative, and 26 hashes.
fn line(row: u64) -> String {
    let mut cells = vec![u8::from(mixed(row, 4) == 0).to_string()];
    cells.extend((0..13).map(|k| match mixed(row + k, 5) {
        0 => String::new(),
        other => (other as i64 * [1, 10, 1000][k as usize % 3] - 4).to_string(),
    }));
    cells.extend((0..26).map(|k| match mixed(row * k + 1, 6) {
        0 if k != 8 => String::new(),
        other => format!("{:08x}", 0x05db_9164 + other * (k + 1)),
    }));
    cells.join("\t")
}

#[test]
fn criteo_is_split_in_order_and_has_numbers_and_categories() {
    let place = Place::empty();
    let lines: Vec<String> = (0..562).map(line).collect();
    place.write("raw/dac/train.txt.gz", gzip(&format!("{}\n", lines.join("\n"))));
    let (told, rows, dataset) = prepared(&place, Criteo, 0);
    assert_eq!(told.rows, 562);
    assert!(told.notes[0].contains("it has 562 rows; as published it has 45840617"), "{:?}", told.notes);
    assert_eq!(rows.0.len(), 41);
    let names: Vec<String> = (1..=13).map(|k| format!("I{k}")).chain((1..=26).map(|k| format!("C{k}"))).collect();
    let names: Vec<&str> = ["label"].into_iter().chain(names.iter().map(String::as_str)).collect();
    for (row, line) in lines.iter().enumerate() {
        let cells: Vec<&str> = line.split('\t').map(|cell| if cell.is_empty() { "-" } else { cell }).collect();
        assert_eq!(rows.row(row, &names), cells);
    }
    // A fourteenth of 562 rows is 40.
    let splits: Vec<&str> =
        [("train", 482), ("valid", 40), ("test", 40)].iter().flat_map(|&(s, n)| vec![s; n]).collect();
    assert_eq!(rows.column("split"), splits);
    assert_eq!(dataset.encoder.scenarios(), ["all rows"]);
    assert_eq!(dataset.encoder.value_count(), 13);
    assert_eq!([&dataset.train, &dataset.valid, &dataset.test].map(|rows| rows.len()), [482, 40, 40]);
    // C9 can be the scenario, with one word.
    let sets = ["data.scenario=C9", "data.cache=false"].map(str::to_owned);
    let schema = Config::load(place.path("out/config.toml"), &sets).unwrap().schema().unwrap();
    let scenarios = open(&schema, &[place.path("out")], &mut |_| ()).unwrap().encoder.scenarios().to_vec();
    assert_eq!(scenarios, rows.counts("C9").into_keys().collect::<Vec<_>>());
    // Numbers are logarithms, standardised over the train rows; a missing one is an embedding of its own, times 1.
    let log = |cell: &str| cell.parse::<f64>().map(|x: f64| x.signum() * (1.0 + x.abs()).ln());
    let seen: Vec<f64> = rows.column("I3")[..482].iter().filter_map(|cell| log(cell).ok()).collect();
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    let deviation = (seen.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / seen.len() as f64).sqrt();
    for (values, cell) in dataset.test.values().chunks(13).zip(&rows.column("I3")[522..]) {
        let expected = log(cell).map_or(1.0, |x| (x - mean) / deviation);
        assert!((f64::from(values[2]) - expected).abs() < 1e-5, "{} {expected}", values[2]);
    }
}

#[test]
fn criteo_names_the_line_that_is_wrong_and_where_the_file_is_from() {
    let place = Place::empty();
    place.write("raw/dac.tar.gz", "");
    refused(&place, Criteo, &["train.txt: missing", "dac.tar.gz", HOME, "Unpack"]);
    let (good, bad) = (line(1), |row: u64| line(row).split('\t').map(str::to_owned).collect::<Vec<_>>());
    let wrong = |cells: Vec<String>, says: &[&str]| {
        place.write("raw/train.txt", format!("{good}\n{}\n", cells.join("\t")));
        refused(&place, Criteo, &[&["train.txt, line 2", HOME], says].concat());
    };
    // The contest's test file has no labels.
    wrong(bad(2)[1..].to_vec(), &["expected 40 cells (label, I1, I2", "found 39"]);
    let with = |place: usize, cell: &str| {
        let mut cells = bad(2);
        cell.clone_into(&mut cells[place]);
        cells
    };
    wrong(with(0, "2"), &["column \"label\"", "0 or 1"]);
    wrong(with(5, "1.5"), &["column \"I5\"", "a whole number", "\"1.5\""]);
    wrong(with(17, "shoes"), &["column \"C4\"", "a hexadecimal number of 32 bits", "\"shoes\""]);
    place.write("raw/train.txt", format!("{good}\n"));
    refused(&place, Criteo, &["of all rows none is for", "cut off or not all there", HOME]);
    place.write("raw/train.txt", "");
    refused(&place, Criteo, &["no row is left to train on", HOME]);
}
