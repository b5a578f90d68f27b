//! The choice of a GPU's kernels: found by `tune`, recorded by runs, kept by resumed ones, given by `--tuning`.

use serde_json::Value;

use crate::place::{Place, has_software};

const DNN: &str = "--device software --set model.name=dnn";

#[test]
fn what_tune_finds_is_what_runs_use_and_record() {
    if !has_software() {
        return;
    }
    let place = Place::with_data();
    let small = "--set model.width=4 --set model.hidden=[16,8] --set train.batch_size=128";
    // A second is over before a renderer has compiled its first kernels: the guess is tried, and no more.
    let line = format!("tune data/config.toml {DNN} {small} --seconds 1 --out found.json");
    let said = place.run(&line).succeeds().out;
    for words in ["software kernels", "chosen", "time was up before all was tried"] {
        assert!(said.contains(words), "{said}");
    }
    let found = place.json("found.json");
    assert_eq!(found["tuning"]["kernels"], "software");
    assert_eq!(found["complete"], false);
    assert!(found["tried"][0]["seconds"].as_f64().unwrap() > 0.0);
    // Another choice than the guess, so that one sees whose it is.
    let with = |workgroup: u32| {
        let mut changed = found.clone();
        changed["tuning"]["workgroup"] = workgroup.into();
        changed
    };
    place.write("mine.json", with(64).to_string());

    place.train("whole", "--device software model.name=dnn --tuning mine.json").succeeds();
    assert_eq!(place.json("whole/tuning.json"), with(64));
    // A resumed run keeps it, whatever the cache and the guess say now.
    place.train("stopped", "--device software model.name=dnn train.epochs=1 --tuning mine.json").succeeds();
    place.train("stopped", "--device software model.name=dnn --resume").succeeds();
    assert_eq!(place.json("stopped/tuning.json"), with(64));
    place.assert_same_runs("whole", "stopped");
    // One that was begun elsewhere goes on with what is known here, and says so.
    let mut elsewhere = with(64);
    elsewhere["device"] = "another card".into();
    place.write("stopped/tuning.json", elsewhere.to_string());
    let said = place.train("stopped", "--device software model.name=dnn train.epochs=3 --resume").succeeds();
    assert!(said.err.contains("another card"), "{}", said.err);
    assert_eq!(place.json("stopped/tuning.json")["tuning"], found["tuning"]);

    let plan = |more: &str| -> Value {
        place.run(&format!("plan data/config.toml {small} --set model.name=dnn --json {more}")).succeeds().json()
    };
    assert_eq!(plan("--device software --tuning mine.json")["tuning"], with(64)["tuning"]);
    assert_eq!(plan("--device software")["tuning"], found["tuning"]);
    assert_eq!(plan("")["tuning"]["kernels"], "hardware");
}

#[test]
fn a_tuning_that_is_none_is_refused() {
    let place = Place::with_data();
    place.write("mine.json", "{\"tuning\": 1}");
    let plan = |file: &str| place.run(&format!("plan data/config.toml --tuning {file}"));
    plan("mine.json").fails(6, &["mine.json", "is no tuning", "leave --tuning out"]);
    plan("nothing.json").fails(6, &["nothing.json", "reading the tuning"]);
    place.run("tune data/config.toml --device cpu").fails(1, &["there is no GPU to tune for", "polyscene devices"]);
    place.run("tune data/config.toml --seconds 0").fails(2, &["--seconds"]);
}
