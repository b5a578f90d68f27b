//! What runs leave for people to look at: `report.html`, and event files for TensorBoard.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::events;
use crate::place::Place;

/// The titles of a page's pictures.
fn figures(page: &str) -> Vec<&str> {
    page.split("<h3>").skip(1).map(|rest| rest.split("</h3>").next().unwrap()).collect()
}

const EVERY: [&str; 7] = [
    "Training loss",
    "Validation AUC",
    "Validation LogLoss",
    "Validation AUC by scenario",
    "AUC by scenario",
    "Calibration, all rows",
    "Calibration by scenario",
];

#[test]
fn every_run_has_a_page_with_its_models_pictures_and_report_makes_it_anew() {
    let place = Place::with_data();
    for (model, own) in [
        ("dnn", vec![]),
        ("mi-dpg", vec!["weighting.0 by scenario", "weighting.0: how alike scenarios are", "weighting.2 by scenario"]),
        ("optmsm", vec!["representation by scenario", "representation: how alike scenarios are"]),
        ("saml", vec!["mutual.0: g by scenario", "mutual.0: α by scenario"]),
    ] {
        place.train(model, &format!("model.name={model}")).succeeds();
        let page = place.text(format!("{model}/report.html"));
        let found = figures(&page);
        assert_eq!(found[..7], EVERY);
        assert_eq!(found.len() > 7, !own.is_empty());
        for figure in own {
            assert!(found.contains(&figure), "{figure} of {found:?}");
        }
        for word in ["http", "//", "<script", "<link", "<img", "url("] {
            assert!(!page.contains(word), "{word}");
        }
        place.run(&format!("report {model} --out again.html")).succeeds();
        assert!(place.text("again.html") == page, "the same files, the same bytes");
    }
    std::fs::remove_file(place.path("dnn/report.html")).unwrap();
    place.run("report dnn").succeeds();
    assert_eq!(figures(&place.text("dnn/report.html")), EVERY);
    place.run("report data").fails(6, &["data: holds neither a run nor a comparison"]);
}

#[test]
fn a_report_that_cannot_be_written_does_not_fail_the_run() {
    let place = Place::with_data();
    std::fs::create_dir_all(place.path("run/report.html")).unwrap();
    let said = place.train("run", "model.name=dnn").succeeds();
    assert!(said.err.contains("warning: no report:") && said.err.contains("report.html"), "{}", said.err);
    assert!(place.path("run/result.json").is_file());
}

#[test]
fn calibration_has_the_test_rows_and_each_scenarios() {
    let place = Place::with_data();
    place.trained_dnn("run", "");
    let result = place.json("run/result.json");
    let text = place.text("run/calibration.csv");
    let mut sums = BTreeMap::<String, (u64, u64)>::new();
    let (mut bins, mut predicted) = (0, 0.0);
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let own = sums.entry(cells[1].to_owned()).or_default();
        *own = (own.0 + cells[3].parse::<u64>().unwrap(), own.1 + cells[4].parse::<u64>().unwrap());
        if cells[0] == "all" {
            bins += 1;
            predicted += cells[3].parse::<f64>().unwrap() * cells[5].parse::<f64>().unwrap();
        }
    }
    let counts =
        |metrics: &serde_json::Value| (metrics["rows"].as_u64().unwrap(), metrics["positives"].as_u64().unwrap());
    let test = &result["test"];
    assert_eq!(sums[""], counts(test));
    assert_eq!(bins, (counts(test).0 / 10).min(20));
    for (name, own) in test["scenarios"].as_object().unwrap() {
        assert_eq!(sums[name], counts(own), "{name}");
    }
    let calibration = predicted / counts(test).1 as f64;
    assert!((calibration - test["calibration"].as_f64().unwrap()).abs() < 1e-5);
}

/// What the event file of a run should hold, from its other files.
fn expected(place: &Place, run: &str) -> BTreeMap<String, Vec<(i64, f32)>> {
    let mut found = BTreeMap::<String, Vec<(i64, f32)>>::new();
    let mut add = |tag: String, step: i64, value: &serde_json::Value| {
        if let Some(value) = value.as_f64() {
            found.entry(tag).or_default().push((step, value as f32));
        }
    };
    let mut metrics = |split: &str, step: i64, metrics: &serde_json::Value| {
        for (tag, key) in [
            ("AUC", "auc"),
            ("PR-AUC", "pr_auc"),
            ("LogLoss", "logloss"),
            ("normalised entropy", "normalized_entropy"),
            ("GAUC", "gauc"),
            ("calibration", "calibration"),
        ] {
            add(format!("{split}/{tag}"), step, &metrics[key]);
        }
        for (name, own) in metrics["scenarios"].as_object().unwrap() {
            add(format!("{split} AUC by scenario/{name}"), step, &own["auc"]);
        }
    };
    let epochs = place.epochs(run);
    let steps = |epoch: &serde_json::Value| epoch["steps"].as_i64().unwrap();
    let result = place.json(format!("{run}/result.json"));
    for epoch in &epochs {
        metrics("valid", steps(epoch), &epoch["valid"]);
    }
    let best = result["best_epoch"].as_u64().unwrap();
    metrics("test", epochs.iter().find(|epoch| epoch["epoch"] == best).map_or(0, steps), &result["test"]);
    let mut newest = 0;
    for epoch in &epochs {
        for (term, value) in epoch["train"].as_object().unwrap() {
            add(format!("train/{term}"), steps(epoch), value);
        }
        add("train/learning rate".to_owned(), steps(epoch), &epoch["learning_rate"]);
        let number = epoch["epoch"].as_u64().unwrap();
        newest = if epoch["best"] == true { number } else { newest };
        add("epoch/number".to_owned(), steps(epoch), &number.into());
        add("epoch/best so far".to_owned(), steps(epoch), &newest.into());
    }
    found
}

#[test]
fn events_say_what_metrics_and_result_say_also_of_a_resumed_run() {
    let place = Place::with_data();
    place.train("run", "model.name=mi-dpg train.epochs=1").succeeds();
    assert_eq!(place.scalars("run"), expected(&place, "run"));
    // A kill left half an event.
    let path = format!("run/{}", events::FILE);
    let bytes = place.read(&path);
    place.write(&path, &bytes[..bytes.len() - 100]);
    place.train("run", "model.name=mi-dpg train.epochs=3 --resume").succeeds();
    let found = place.scalars("run");
    assert_eq!(found, expected(&place, "run"));
    assert_eq!(found["valid/AUC"].len(), 3);
    assert_eq!(found["test/AUC"].len(), 1);
    // No epochs: the outcome of the initial weights.
    place.trained_dnn("none", "train.epochs=0");
    let found = place.scalars("none");
    assert_eq!(found, expected(&place, "none"));
    assert_eq!(found["test/AUC"][0].0, 0);
}

/// With `POLYSCENE_TEST_PYTHON`, a Python that has TensorBoard: `tests/run` sets it.
#[test]
fn tensorboard_reads_the_events() {
    let Some(python) = std::env::var_os("POLYSCENE_TEST_PYTHON") else { return };
    let place = Place::with_data();
    place.train("run", "model.name=mi-dpg train.epochs=2").succeeds();
    place.train("run", "model.name=mi-dpg train.epochs=3 --resume").succeeds();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_events.py");
    let output = Command::new(python).arg(script).arg(place.path("run")).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut read: BTreeMap<String, Vec<(i64, f32)>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["speed/train seconds"].len(), 3);
    read.retain(|tag, _| !tag.starts_with("speed/"));
    assert_eq!(read, expected(&place, "run"));
}
