//! Every model from the command line to its metrics, and what baselines keep beside their parameters.

#[path = "common/cli.rs"]
mod cli;

use cli::Place;
use polyscene::models::NAMES;

/// Data with a history of up to five items.
fn with_histories() -> Place {
    let place = Place::empty();
    place.run("synth --out data --rows 2000 --vocab 100 --seed 3 --sequence 5").succeeds();
    place
}

#[test]
fn every_model_trains_and_is_evaluated_as_it_was_after_training() {
    let place = with_histories();
    for name in NAMES {
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
