//! How good a model is and how sure that is: slices, bootstrap intervals, what a model relies on.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::place::{Outcome, Place};

pub(crate) fn auc(scored: &[(f64, bool)]) -> f64 {
    let of = |label| scored.iter().filter(move |row| row.1 == label).map(|row| row.0);
    let won: f64 = of(true)
        .flat_map(|p| of(false).map(move |n| if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 }))
        .sum();
    won / (of(true).count() * of(false).count()) as f64
}

/// All rows of the place's data with their predictions: columns by name.
pub(crate) fn scored(place: &Place, run: &str) -> BTreeMap<String, Vec<String>> {
    place.run(&format!("predict {run} --device cpu --data data/data.parquet --out rows.csv")).succeeds();
    let mut reader = csv::Reader::from_path(place.path("rows.csv")).unwrap();
    let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |at: usize| records.iter().map(|record| record[at].to_owned()).collect();
    heads.into_iter().enumerate().map(|(at, head)| (head, column(at))).collect()
}

/// That slices by a column are what the scored rows say, of those that `is_in` lets in.
fn assert_slices(found: &Value, rows: &BTreeMap<String, Vec<String>>, column: &str, is_in: &dyn Fn(usize) -> bool) {
    let groups = found["groups"].as_array().unwrap();
    let number = |name: &str, row: usize| rows[name][row].parse::<f64>().unwrap();
    let mut seen = 0;
    for group in groups {
        let own: Vec<usize> =
            (0..rows[column].len()).filter(|&row| is_in(row) && group["name"] == rows[column][row]).collect();
        assert_eq!(group["rows"], own.len(), "{group}");
        seen += own.len();
        let scored: Vec<(f64, bool)> =
            own.iter().map(|&row| (number("prediction", row), number("label", row) > 0.5)).collect();
        let positives = scored.iter().filter(|row| row.1).count();
        assert_eq!(group["positives"], positives);
        if 0 < positives && positives < own.len() {
            assert!((group["auc"].as_f64().unwrap() - auc(&scored)).abs() < 1e-4, "{group}");
        }
    }
    assert_eq!(seen, (0..rows[column].len()).filter(|&row| is_in(row)).count());
}

#[test]
fn slices_are_the_rows_of_each_value() {
    let place = Place::with_data();
    place.trained_dnn("run", "");
    let rows = scored(&place, "run");
    let line = "eval run --device cpu --data data/data.parquet --by daypart --by price --json";
    let found = place.run(line).succeeds().json();
    assert_eq!(found["slices"][0]["column"], "daypart");
    assert_slices(&found["slices"][0], &rows, "daypart", &|_| true);
    // The commonest first, and ten buckets of numbers that the model does not read.
    let groups = |slices: &Value| slices["groups"].as_array().unwrap().clone();
    let sizes: Vec<u64> = groups(&found["slices"][0]).iter().map(|group| group["rows"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b));
    let buckets = groups(&found["slices"][1]);
    assert!((5..=10).contains(&buckets.len()), "{}", buckets.len());
    for bucket in &buckets {
        let (low, high) = bucket["name"].as_str().unwrap().split_once(" to ").unwrap();
        let is_in = |price: &&String| {
            let price = price.parse::<f64>().unwrap();
            low.parse::<f64>().unwrap() <= price && price <= high.parse::<f64>().unwrap()
        };
        assert_eq!(
            (&bucket["kind"], &bucket["rows"]),
            (&"range".into(), &rows["price"].iter().filter(is_in).count().into())
        );
    }

    // The run's own split, whose encoded rows do not have the column.
    let found = place.run("eval run --device cpu --by scenario --by user_id --slices 3 --json").succeeds().json();
    let plain = place.run("eval run --device cpu --json").succeeds().json();
    assert_eq!(found["auc"], plain["auc"]);
    for group in groups(&found["slices"][0]) {
        let name = group["name"].as_str().unwrap();
        for key in ["auc", "pr_auc", "logloss", "gauc", "calibration", "rows", "positives"] {
            assert_eq!(group[key], plain["scenarios"][name][key], "{name}, {key}");
        }
        assert_eq!(group["best_reachable"]["auc"], plain["best_reachable"]["scenarios"][name]["auc"]);
    }
    let users = groups(&found["slices"][1]);
    assert_eq!((users.len(), &users[3]["kind"]), (4, &"others".into()));
    let values = found["slices"][1]["values"].as_u64().unwrap();
    assert_eq!(users[3]["name"], format!("({} other values)", values - 3));
    assert_eq!(users.iter().map(|group| group["rows"].as_u64().unwrap()).sum::<u64>(), found["rows"].as_u64().unwrap());
    let table = place.run("eval run --device cpu --by daypart").succeeds().out;
    assert!(table.contains(" daypart") && table.contains("evening"), "{table}");

    place
        .run("eval run --device cpu --by dayprt")
        .fails(3, &["no column \"dayprt\", which --by names", "did you mean \"daypart\"?"]);
    place
        .run("eval run --device cpu --data data/data.parquet --by dayprt")
        .fails(3, &["no column \"dayprt\"", "daypart"]);
    place.run("eval run --device cpu --by label --by label").fails(2, &["--by", "each column once"]);
    place.run("eval run --device cpu --slices 4").fails(2, &["--by"]);
}

/// Rows of the test split of a split by time: those with the largest numbers.
#[test]
fn slices_of_a_split_by_time_are_of_its_rows() {
    let place = Place::with_data();
    place.trained_dnn("run", "data.split.by=time data.split.column=price");
    let rows = scored(&place, "run");
    let found = place.run("eval run --device cpu --by weekday --json").succeeds().json();
    let prices: Vec<f64> = rows["price"].iter().map(|price| price.parse().unwrap()).collect();
    let mut sorted = prices.clone();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted[sorted.len() - found["rows"].as_u64().unwrap() as usize];
    assert_slices(&found["slices"][0], &rows, "weekday", &|row| prices[row] >= cut);
}

#[test]
fn intervals_have_the_metrics_in_them_and_are_the_same_on_any_number_of_threads() {
    let place = Place::with_data();
    place.trained_dnn("run", "");
    let line = "eval run --device cpu --bootstrap 300 --by daypart --json";
    let on = |threads: &str| {
        Outcome::of(place.command().args(line.split(' ')).env("RAYON_NUM_THREADS", threads)).succeeds().out
    };
    let text = on("1");
    assert_eq!(text, on("3"));
    let found: Value = serde_json::from_str(&text).unwrap();
    let drawn = &found["bootstrap"];
    assert_eq!(
        (&drawn["resamples"], &drawn["by"], &drawn["seed"], &drawn["level"]),
        (&300.into(), &"users".into(), &0.into(), &0.95.into())
    );
    assert!(drawn["units"].as_u64().unwrap() < found["rows"].as_u64().unwrap());
    let check = |metrics: &Value, intervals: &Value| {
        for key in ["auc", "pr_auc", "logloss", "normalized_entropy", "calibration"] {
            let ends: Vec<f64> = serde_json::from_value(intervals[key].clone()).unwrap();
            let value = metrics[key].as_f64().unwrap();
            assert!(ends[0] < value && value < ends[1], "{key}: {value} in {ends:?}");
        }
    };
    check(&found, drawn);
    let scenarios = drawn["scenarios"].as_object().unwrap();
    assert_eq!(scenarios.keys().collect::<Vec<_>>(), ["s0", "s1", "s2", "s3"]);
    check(&found["scenarios"]["s0"], &scenarios["s0"]);
    let slice = &found["slices"][0]["groups"][0];
    check(slice, &slice["intervals"]);

    let rows = place
        .run("eval run --device cpu --bootstrap 300 --bootstrap-by rows --bootstrap-seed 5 --json")
        .succeeds()
        .json();
    assert_eq!((&rows["bootstrap"]["by"], &rows["bootstrap"]["seed"]), (&"rows".into(), &5.into()));
    assert_eq!(rows["bootstrap"]["units"], rows["rows"]);
    let table = place.run("eval run --device cpu --bootstrap 20 --by daypart").succeeds().out;
    assert!(
        table.contains("95 % intervals, from 20 resamples of the ") && table.contains(" users (seed 0)"),
        "{table}"
    );

    place.trained_dnn("nobody", "data.user=item_id");
    let config = place.text("nobody/config.toml").replace("user = \"item_id\"\n", "");
    place.write("nobody/config.toml", config);
    place
        .run("eval nobody --device cpu --bootstrap 20 --bootstrap-by users")
        .fails(2, &["--bootstrap-by", "data.user"]);
    place.run("eval run --bootstrap 0").fails(2, &["--bootstrap", "from 1 to 100000"]);
    place.run("eval run --bootstrap-by rows").fails(2, &["--bootstrap"]);
}

/// The drop of AUC is that of a file in which the column's cells stand in other rows.
#[test]
fn importance_is_what_a_column_in_disorder_costs() {
    let place = Place::with_data();
    // All rows are train rows, so that the data's file has the same ones.
    place.trained_dnn("run", "data.split.valid=0 data.split.test=0 train.epochs=8");
    let found = place.run("importance run --device cpu --split train --repeats 8 --json").succeeds().json();
    assert_eq!(found, place.json("run/importance.json"));
    assert_eq!((&found["split"], &found["rows"], &found["repeats"]), (&"train".into(), &2000.into(), &8.into()));
    let columns = found["columns"].as_array().unwrap();
    let drop = |column: &Value| column["auc_drop"]["mean"].as_f64().unwrap();
    assert!(columns.is_sorted_by(|a, b| drop(a) >= drop(b)) && drop(&columns[0]) > 0.02, "{columns:?}");
    assert_eq!(columns.len(), 16);

    let rows = scored(&place, "run");
    let name = columns[0]["column"].as_str().unwrap();
    let heads: Vec<&String> = rows.keys().filter(|head| *head != "prediction").collect();
    let (mut losses, mut before) = (Vec::new(), 0.0);
    for shift in [0, 301, 777, 1213] {
        let line = |row: usize| {
            let cell = |head: &&String| rows[*head][if *head == name { (row + shift) % 2000 } else { row }].clone();
            heads.iter().map(cell).collect::<Vec<_>>().join(",")
        };
        let head = heads.iter().map(|head| head.as_str()).collect::<Vec<_>>().join(",");
        let lines: Vec<String> = std::iter::once(head).chain((0..2000).map(line)).collect();
        place.write("moved.csv", lines.join("\n") + "\n");
        let auc = place.run("eval run --device cpu --data moved.csv --json").succeeds().json()["auc"].as_f64().unwrap();
        if shift == 0 {
            before = auc;
            assert!((auc - found["auc"].as_f64().unwrap()).abs() < 1e-9);
        } else {
            losses.push(before - auc);
        }
    }
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let deviation = columns[0]["auc_drop"]["deviation"].as_f64().unwrap();
    assert!((mean - drop(&columns[0])).abs() < 4.0 * deviation, "{mean} and {}", columns[0]);
    let again = place.run("importance run --device cpu --split train --repeats 8 --json").succeeds().json();
    assert_eq!(again, found);
    let other = place.run("importance run --device cpu --split train --repeats 8 --seed 9 --json").succeeds().json();
    assert_ne!(other["columns"], found["columns"]);

    place.run("report run").succeeds();
    assert!(place.text("run/report.html").contains("AUC lost without a column"));
    place.run("importance run --device cpu").fails(2, &["--split", "a split with rows"]);
    place.run("importance run --repeats 0").fails(2, &["--repeats"]);
}

#[test]
fn importance_tells_a_models_parts_for_scenarios_from_the_feature() {
    let place = Place::empty();
    place.run("synth --out data --rows 2000 --vocab 100 --seed 3 --sequence 5").succeeds();
    place.train("run", "model.name=saml").succeeds();
    let said = place.run("importance run --device cpu --repeats 2 --by-scenario").succeeds();
    for word in
        ["parts for scenarios", "feature and parts", "aware", "agnostic", "sequence", "AUC lost within scenarios"]
    {
        assert!(said.out.contains(word), "{word}: {}", said.out);
    }
    let found = place.json("run/importance.json");
    let of = |permuted: &str| {
        let columns = found["columns"].as_array().unwrap();
        columns.iter().filter(|own| own["permuted"] == permuted).cloned().collect::<Vec<Value>>()
    };
    assert_eq!((of("field").len(), of("sequence").len()), (16, 1));
    let [parts, everywhere] = ["scenario_parts", "scenario_everywhere"].map(|permuted| of(permuted)[0].clone());
    assert_eq!((&parts["column"], &parts["aware"]), (&"scenario".into(), &Value::Null));
    assert_eq!(everywhere["scenarios"].as_array().unwrap().len(), 4);
}
