//! What synthetic data is like.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use polyscene::data::synthetic::{SyntheticFiles, SyntheticOptions, generate};
use polyscene::train::evaluation::metrics;

/// What the tests look at of a generated file.
#[derive(Default)]
struct Rows {
    scenario: Vec<String>,
    label: Vec<bool>,
    probability: Vec<f32>,
    item: Vec<i64>,
    history: Vec<Vec<i64>>,
}

fn generate_in_temporary(options: &SyntheticOptions) -> (tempfile::TempDir, SyntheticFiles) {
    let folder = tempfile::tempdir().unwrap();
    let files = generate(options, folder.path(), &mut |_| {}).unwrap();
    (folder, files)
}

fn read(path: &Path) -> Rows {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Rows::default();
    for batch in reader {
        let batch = batch.unwrap();
        let column = |name| batch.column_by_name(name);
        rows.scenario.extend(column("scenario").unwrap().as_string::<i32>().iter().map(|s| s.unwrap().to_owned()));
        rows.label.extend(column("label").unwrap().as_primitive::<Int32Type>().values().iter().map(|&y| y == 1));
        rows.probability.extend(column("true_probability").unwrap().as_primitive::<Float32Type>().values());
        rows.item.extend(column("item_id").unwrap().as_primitive::<Int64Type>().values());
        if let Some(history) = column("history") {
            let lists = history.as_list::<i32>().iter();
            rows.history.extend(lists.map(|list| list.unwrap().as_primitive::<Int64Type>().values().to_vec()));
        }
    }
    rows
}

fn auc(rows: impl Iterator<Item = (f32, bool)>) -> f64 {
    let (scores, labels): (Vec<f32>, Vec<f32>) = rows.map(|(score, label)| (score, f32::from(u8::from(label)))).unzip();
    metrics::auc(&scores, &labels).unwrap()
}

#[test]
fn the_truth_is_within_what_was_asked_for() {
    for seed in 0..2 {
        for (scenarios, sequence) in [(4, 0), (12, 8)] {
            let options = SyntheticOptions { rows: 120_000, scenarios, seed, sequence, ..Default::default() };
            let (_folder, files) = generate_in_temporary(&options);
            let rows = read(&files.data);
            assert_eq!(rows.label.len(), 120_000);
            let all = auc(rows.probability.iter().copied().zip(rows.label.iter().copied()));
            assert!((0.78..0.84).contains(&all), "seed {seed}, {scenarios} scenarios: best AUC {all}");
            for scenario in &files.scenarios {
                let rate = scenario.positives as f64 / scenario.rows as f64;
                assert!((0.05..=0.2).contains(&scenario.rate));
                assert!((rate - scenario.rate).abs() < 0.02, "{scenario:?}");
                assert!((0.04..0.21).contains(&rate), "{scenario:?}");
                let mine = || (0..rows.label.len()).filter(|&row| rows.scenario[row] == scenario.name);
                assert_eq!(mine().count() as u64, scenario.rows);
                let predicted: f64 = mine().map(|row| f64::from(rows.probability[row])).sum();
                assert!((predicted / scenario.rows as f64 - scenario.rate).abs() < 0.01, "{scenario:?}");
                let auc = auc(mine().map(|row| (rows.probability[row], rows.label[row])));
                assert!((0.68..0.92).contains(&auc), "{}: best AUC {auc}", scenario.name);
            }
        }
    }
}

#[test]
fn scenarios_and_items_are_skewed() {
    let options = SyntheticOptions { rows: 50_000, scenarios: 4, ..Default::default() };
    let (_folder, files) = generate_in_temporary(&options);
    let sizes: Vec<u64> = files.scenarios.iter().map(|scenario| scenario.rows).collect();
    assert!(sizes.is_sorted_by(|a, b| a > b) && sizes[0] > 3 * sizes[3], "{sizes:?}");
    let mut counts = HashMap::new();
    for item in read(&files.data).item {
        *counts.entry(item).or_insert(0u64) += 1;
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: u64 = counts.iter().take(100).sum();
    assert!(top > 20_000 && counts.len() > 3000, "{top} rows of the 100 commonest of {} items", counts.len());
}

#[test]
fn equal_options_give_equal_bytes_on_any_number_of_threads() {
    let options =
        SyntheticOptions { rows: 30_000, scenarios: 3, seed: 5, vocabulary: 500, sequence: 4, day: 0, clicks: false };
    let (_first, files) = generate_in_temporary(&options);
    let bytes = std::fs::read(&files.data).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (_second, again) = pool.install(|| generate_in_temporary(&options));
    assert!(bytes == std::fs::read(&again.data).unwrap());
    assert_eq!(files.scenarios, again.scenarios);
    let (_third, other) = generate_in_temporary(&SyntheticOptions { seed: 6, ..options });
    assert!(bytes != std::fs::read(&other.data).unwrap());
}

#[test]
fn more_rows_only_add_rows() {
    let few = SyntheticOptions { rows: 9_000, ..Default::default() };
    let (_few, few_files) = generate_in_temporary(&few);
    let (_many, many_files) = generate_in_temporary(&SyntheticOptions { rows: 20_000, ..few });
    let (few, many) = (read(&few_files.data), read(&many_files.data));
    assert_eq!(few.probability, many.probability[..9_000]);
    assert_eq!(few.item, many.item[..9_000]);
}

#[test]
fn histories_are_as_long_as_asked_and_belong_to_the_vocabulary() {
    let options = SyntheticOptions { rows: 2_000, vocabulary: 50, sequence: 6, ..Default::default() };
    let (_folder, files) = generate_in_temporary(&options);
    let rows = read(&files.data);
    assert_eq!(rows.history.iter().map(Vec::len).max(), Some(6));
    assert_eq!(rows.history.iter().map(Vec::len).min(), Some(0));
    assert!(rows.history.iter().flatten().all(|item| (0..50).contains(item)));
    let text = std::fs::read_to_string(&files.config).unwrap();
    assert!(text.contains("vocabulary = \"item_id\", max_length = 6"));
}

#[test]
fn progress_counts_rows_up_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let options = SyntheticOptions { rows: 300_000, vocabulary: 100, ..Default::default() };
    generate(&options, folder.path(), &mut |rows| seen.push(rows)).unwrap();
    assert!(seen.is_sorted() && seen.len() > 1);
    assert_eq!(seen.last(), Some(&300_000));
}

#[test]
fn extremes_of_the_options() {
    for options in [
        SyntheticOptions {
            rows: 1,
            scenarios: 1,
            vocabulary: 1,
            sequence: 1,
            seed: u64::MAX,
            day: 10_000,
            clicks: true,
        },
        SyntheticOptions { rows: 2_000, scenarios: 1_500, vocabulary: 3, ..Default::default() },
        SyntheticOptions { rows: 2_000, vocabulary: 1 << 40, ..Default::default() },
    ] {
        let (_folder, files) = generate_in_temporary(&options);
        assert_eq!(files.scenarios.iter().map(|scenario| scenario.rows).sum::<u64>(), options.rows);
    }
}

#[test]
fn bad_options_and_folders_are_errors() {
    let fault =
        |options: &SyntheticOptions, folder: &Path| generate(options, folder, &mut |_| {}).unwrap_err().to_string();
    let folder = tempfile::tempdir().unwrap();
    let none = SyntheticOptions { rows: 0, ..Default::default() };
    assert_eq!(fault(&none, folder.path()), "rows: expected 1 to 2^48, found 0");
    let scenarios = SyntheticOptions { scenarios: 0, ..Default::default() };
    assert_eq!(fault(&scenarios, folder.path()), "scenarios: expected 1 to 10000, found 0");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(fault(&SyntheticOptions::default(), &file).starts_with(&format!("cannot write {}: ", file.display())));
}
