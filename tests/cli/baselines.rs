//! Every model from the command line to its metrics, and what baselines keep beside their parameters.

use std::fs::File;
use std::sync::Arc;

use crate::place::Place;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use polyscene::models::names;

/// Data with a history of up to five items.
fn with_histories() -> Place {
    let place = Place::empty();
    place.run("synth --out data --rows 2000 --vocab 100 --seed 3 --sequence 5").succeeds();
    place
}

#[test]
fn every_model_trains_and_is_evaluated_as_it_was_after_training() {
    let place = with_histories();
    for name in names() {
        place.train(name, &format!("model.name={name} train.epochs=5 model.dropout=0.1")).succeeds();
        let result = place.json(format!("{name}/result.json"));
        let learned = place.run(&format!("eval {name} --device cpu --split train --json")).succeeds().json();
        assert!(learned["auc"].as_f64().unwrap() > 0.6, "{name}: {learned}");
        let evaluated = place.run(&format!("eval {name} --device cpu --split test --json")).succeeds().json();
        for key in ["auc", "logloss", "calibration"] {
            assert_eq!(evaluated[key], result["test"][key], "{name}: {key}");
        }
    }
}

#[test]
fn what_training_keeps_beside_parameters_is_saved_and_goes_on() {
    let place = with_histories();
    for (name, state) in [("star", "norm.mean"), ("adasparse", "anneal.alpha")] {
        let line = format!("model.name={name} model.dropout=0.3");
        let [parts, whole, early] = ["parts", "whole", "early"].map(|part| format!("{name}-{part}"));
        place.train(&early, &format!("{line} train.epochs=1")).succeeds();
        place.train(&parts, &format!("{line} train.epochs=1")).succeeds();
        place.train(&parts, &format!("{line} train.epochs=3 --resume")).succeeds();
        place.train(&whole, &format!("{line} train.epochs=3")).succeeds();
        place.assert_same_runs(&parts, &whole);
        let kept = |run: &str| place.tensors(format!("{run}/checkpoint.safetensors"))[state].clone();
        assert_ne!(kept(&early), kept(&whole), "{name}: {state} moves");
        let checkpoint = place.tensors(format!("{whole}/checkpoint.safetensors"));
        assert!(!checkpoint.contains_key(&format!("adam.first.{state}")), "{name}: {state} has no moments");
    }
}

#[test]
fn models_of_sequences_say_what_they_lack() {
    let place = Place::with_data();
    for name in ["din", "bst"] {
        place.train("run", &format!("model.name={name}")).fails(2, &["data.sequence"]);
    }
    let place = with_histories();
    place.train("run", "model.name=bst model.heads=3").fails(2, &["heads = 3 does not divide 4"]);
}

fn read(place: &Place, name: &str) -> RecordBatch {
    let file = File::open(place.path(name)).unwrap();
    let batches: Vec<_> =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().collect::<Result<_, _>>().unwrap();
    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Writes rows with another column, `place`: the scenario as no field.
fn write_with_places(place: &Place, name: &str, rows: &RecordBatch, places: ArrayRef) {
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let columns = names.into_iter().zip(rows.columns().iter().cloned()).chain([("place".to_owned(), places)]);
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(place.path(name)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn predictions(place: &Place, run: &str, data: &str) -> Vec<f32> {
    place.run(&format!("predict {run} --device cpu --data {data} --out out.parquet")).succeeds();
    let column = read(place, "out.parquet").column_by_name("prediction").unwrap().clone();
    assert_eq!(column.null_count(), 0, "{run}: every row of {data} is predicted");
    column.as_primitive::<Float32Type>().values().to_vec()
}

/// What a model predicts for a scenario that it has not seen is the mean of what it predicts for those that it has.
#[test]
fn every_model_scores_rows_of_a_new_scenario() {
    let place = with_histories();
    let rows = read(&place, "data/data.parquet");
    let own = arrow_cast::cast(rows.column_by_name("scenario").unwrap(), &arrow_schema::DataType::Utf8).unwrap();
    let mut known: Vec<String> = own.as_string::<i32>().iter().map(|name| name.unwrap().to_owned()).collect();
    write_with_places(&place, "places.parquet", &rows, own);
    known.sort();
    known.dedup();
    assert_eq!(known.len(), 4);
    let few = rows.slice(0, 300);
    let of_one = |name: &str| -> ArrayRef { Arc::new(StringArray::from(vec![name; 300])) };
    for name in known.iter().map(String::as_str).chain(["nowhere"]) {
        write_with_places(&place, &format!("{name}.parquet"), &few, of_one(name));
    }
    let path = place.path("places.parquet").display().to_string();
    let mut with_parts = Vec::new();
    for model in names() {
        let line = format!("model.name={model} train.epochs=1 data.path={path} data.scenario=place");
        place.train(model, &format!("{line} data.unknown_scenario=shared")).succeeds();
        let of = |name: &String| predictions(&place, model, &format!("{name}.parquet"));
        let mut each: Vec<Vec<f32>> = known[..2].iter().map(of).collect();
        if each[0] == each[1] {
            // Nothing of it is of a scenario.
            each.extend(each.clone());
        } else {
            each.extend(known[2..].iter().map(of));
        }
        let new = predictions(&place, model, "nowhere.parquet");
        for (row, found) in new.iter().enumerate() {
            let mean = each.iter().map(|of| f64::from(of[row])).sum::<f64>() / 4.0;
            assert!((f64::from(*found) - mean).abs() < 1e-6, "{model}, row {row}: {found}, not {mean}");
        }
        if each[0] != each[1] {
            with_parts.push(model);
        }
        let evaluated =
            place.run(&format!("eval {model} --device cpu --data nowhere.parquet --json")).succeeds().json();
        assert_eq!(
            (&evaluated["rows"], &evaluated["scenarios"]["(new scenarios)"]["rows"]),
            (&300.into(), &300.into())
        );
    }
    assert_eq!(with_parts, ["shared-bottom", "mmoe", "hmoe", "ple", "star", "optmsm", "saml"]);
    // By default such a file is refused, and the message names the way out.
    place.train("strict", &format!("model.name=mmoe data.path={path} data.scenario=place")).succeeds();
    let says = ["expected a scenario that the model was trained on", "found \"nowhere\"", "data.unknown_scenario"];
    place.run("predict strict --device cpu --data nowhere.parquet --out never.csv").fails(3, &says);
    place
        .run("predict strict --device cpu --data nowhere.parquet --out new.csv --set data.unknown_scenario=shared")
        .succeeds();
    assert!(!place.path("never.csv").exists());
}

#[test]
fn data_without_scenarios_trains_the_models_that_need_none() {
    let place = with_histories();
    let config = place.text("data/config.toml");
    let (mut fields, mut kept) = (Vec::new(), Vec::new());
    for line in config.lines() {
        match line.split_once(" = ") {
            Some(("scenario", _)) => {}
            Some(("aware" | "agnostic", list)) => fields.push(list.trim_matches(['[', ']']).to_owned()),
            _ => kept.push(line),
        }
    }
    let table = format!("[data]\nagnostic = [{}]", fields.join(", "));
    place.write("data/config.toml", kept.join("\n").replacen("[data]", &table, 1));
    for name in names() {
        let outcome = place.train(name, &format!("model.name={name} train.epochs=1"));
        match name {
            "shared-bottom" | "mmoe" | "hmoe" | "ple" | "optmsm" | "saml" => {
                outcome.fails(2, &[name, "has parts for each scenario", "data.scenario"]);
            }
            "star" | "pepnet" | "adasparse" | "apg" | "mi-dpg" => {
                outcome.fails(2, &[name, "data.aware is empty"]);
            }
            _ => {
                let table = outcome.succeeds().out;
                assert_eq!(table.lines().filter(|line| line.contains(" 0.")).count(), 1, "{table}");
                assert_eq!(place.json(format!("{name}/result.json"))["test"]["scenarios"], serde_json::Value::Null);
            }
        }
    }
}
