//! Conversions learnt from all impressions: a pair of towers for any model.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::judging::{auc, scored};
use crate::onnx::{assert_served, predicted, predictions};
use crate::place::Place;

const PAIR: &str = "model.hidden=[8] train.epochs=2 train.learning_rate=0.02";

/// Rows of what is generated, and one of a scenario that is not.
const ROWS: &str = "\
scenario,channel,age_group,daypart,user_id,city,occupation,interest,item_id,category,brand,shop,price_bucket,device,position,weekday
s0,app,18-24,morning,1,0,1,2,3,1,0,1,2,ios,1,mon
s1,web,25-29,evening,2,1,0,3,4,0,1,0,1,android,2,tue
s2,partner,30-34,afternoon,3,2,2,1,5,2,2,2,0,ipad,3,wed
s7,partner,30-34,night,19,2,3,1,1,2,1,2,3,desktop,4,sun
s0,email,55+,night,0,0,0,0,0,0,0,0,0,desktop,5,sat
";

/// Generated impressions.
fn place() -> Place {
    let place = Place::empty();
    place.run("synth --out data --rows 1500 --vocab 20 --scenarios 3 --clicks").succeeds();
    place.write("data/rows.csv", ROWS);
    place
}

#[test]
fn both_towers_are_told_of() {
    let place = place();
    place.train("run", &format!("model.name=dnn {PAIR}")).succeeds();
    let rows = scored(&place, "run");
    let number = |name: &str, row: usize| rows[name][row].parse::<f64>().unwrap();
    let all: Vec<usize> = (0..rows["label"].len()).collect();
    for &row in &all {
        let product = number("prediction_ctr", row) * number("prediction_cvr", row);
        assert!((number("prediction", row) - product).abs() < 1e-6, "row {row}");
        // What the generator promises.
        assert!(number("label", row) <= number("click", row));
        assert!(number("true_probability", row) < number("true_cvr", row));
    }
    // The metrics of all rows, of clicks and of clicked rows are those of the predictions that were written.
    let found = place.run("eval run --device cpu --data data/data.parquet --json").succeeds().json();
    let assert_of = |found: &Value, rows: &[usize], prediction: &str, label: &str| {
        let own: Vec<(f64, bool)> =
            rows.iter().map(|&row| (number(prediction, row), number(label, row) > 0.5)).collect();
        let positives = own.iter().filter(|row| row.1).count();
        assert_eq!((&found["rows"], &found["positives"]), (&own.len().into(), &positives.into()), "{prediction}");
        assert!((found["auc"].as_f64().unwrap() - auc(&own)).abs() < 1e-4, "{prediction}");
        let loss = own.iter().map(|(p, label)| -(if *label { p.ln() } else { (1.0 - p).ln() })).sum::<f64>();
        assert!((found["logloss"].as_f64().unwrap() - loss / own.len() as f64).abs() < 1e-5, "{prediction}");
    };
    let clicked: Vec<usize> = all.iter().copied().filter(|&row| number("click", row) > 0.5).collect();
    assert!(clicked.len() > 100 && clicked.len() < all.len() / 2);
    assert_of(&found, &all, "prediction", "label");
    assert_of(&found["ctr"], &all, "prediction_ctr", "click");
    assert_of(&found["cvr"], &clicked, "prediction_cvr", "label");
    let of_s0: Vec<usize> = clicked.iter().copied().filter(|&row| rows["scenario"][row] == "s0").collect();
    assert_of(&found["cvr"]["scenarios"]["s0"], &of_s0, "prediction_cvr", "label");
    // And in all that tells of a run.
    let told = place.run("eval run --device cpu").succeeds();
    assert!(told.out.contains("clicks (CTR), all rows:") && told.out.contains("after a click (CVR), clicked rows:"));
    assert!(place.text("run/report.html").contains("after a click (CVR), clicked rows"));
    let result = place.json("run/result.json");
    assert!(result["test"]["ctr"]["auc"].is_f64() && result["valid"]["cvr"]["rows"].is_u64());
    let epochs = place.epochs("run");
    assert!(epochs[0]["train"]["ctr.bce"].as_f64() > epochs[1]["train"]["ctr.bce"].as_f64());
}

#[test]
fn a_pair_resumes_and_is_served() {
    let place = place();
    let mut expected = BTreeMap::new();
    for model in ["mi-dpg", "star"] {
        let line = format!("model.name={model} {PAIR} data.unknown_scenario=shared");
        place.train("whole", &line).succeeds();
        place.train(model, &format!("{line} train.epochs=1")).succeeds();
        place.train(model, &format!("{line} --resume")).succeeds();
        place.assert_same_runs(model, "whole");
        std::fs::remove_dir_all(place.path("whole")).unwrap();
        place.run(&format!("export {model} --out {model}.onnx")).succeeds();
        expected.insert(format!("{model}.onnx"), predicted(&place, model, "data/rows.csv"));
    }
    for (model, heads) in assert_served(&place, "data/rows.csv", &expected) {
        let run = model.trim_end_matches(".onnx");
        for (output, column) in [("ctr", "prediction_ctr"), ("cvr", "prediction_cvr")] {
            let expected = predictions(&place, run, column).into_iter().flatten();
            for (found, expected) in heads[output].iter().zip(expected) {
                assert!((found - expected).abs() < 2.5e-6, "{model}, {output}: {found} and not {expected}");
            }
        }
    }
}

#[test]
fn clicks_that_cannot_be_are_named() {
    let place = place();
    let train = |line: &str| place.train("never", &format!("model.name=dnn {PAIR} {line}"));
    let fails = |line: &str, says: &[&str]| train(line).fails(2, says);
    fails("train.negative_rate=0.5", &["train.negative_rate", "beside train.entire_space", "0.5"]);
    fails("train.entire_space=esmn", &["train.entire_space", "esmm"]);
    train("data.click=label").fails(3, &["data.label and data.click both name \"label\""]);
    train("data.agnostic=[\"user_id\",\"click\"]").fails(3, &["data.click's column", "leaks"]);
    let config = place.text("data/config.toml");
    place.write("data/config.toml", config.replace("entire_space = \"esmm\"\n", ""));
    fails("", &["data.click", "train.entire_space = \"esmm\" beside it", "\"click\" alone"]);
    place.write("data/config.toml", config.replace("click = \"click\"\n", ""));
    fails("", &["train.entire_space", "data.click beside it"]);
    // A conversion without a click.
    place.write("data/rows.csv", "page,item,click,label\na,1,1,1\na,2,0,0\nb,1,0,1\n");
    place.write(
        "data/config.toml",
        "[data]\npath = \"rows.csv\"\nlabel = \"label\"\nclick = \"click\"\nscenario = \"page\"\naware = [\"page\"]\n\
         agnostic = [\"item\"]\n[model]\nname = \"dnn\"\n[train]\nentire_space = \"esmm\"\n",
    );
    train("").fails(3, &["rows.csv", "line 4", "click", "1, as \"label\" says that the row converted", "\"0\""]);
}
