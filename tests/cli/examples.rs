//! The programs of `examples/`: the library as other crates use it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Outcome, Place, SMALL};

/// An example's program. `cargo test` has built it, unless it was asked for some tests only.
fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_polyscene")).parent().unwrap();
    // The folder of a profile has its name, but for one.
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        name => name,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--profile", profile, "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().unwrap().success());
    folder.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

#[test]
fn a_program_trains_and_another_predicts() {
    let place = Place::with_data();
    let mut train = place.command_of(example("train"));
    Outcome::of(train.arg("data/config.toml").args(SMALL).arg("model.name=dnn")).succeeds().prints("epoch 2");
    let all = ["runs/config-dnn", "data/data.parquet", "out.csv"];
    let predicted = Outcome::of(place.command_of(example("predict")).args(all));
    predicted.succeeds().prints("2000 rows predicted, 0 skipped");
    // The same model by the program's own command.
    place.run("predict runs/config-dnn --data data/data.parquet --out own.csv").succeeds();
    assert_eq!(place.text("out.csv"), place.text("own.csv"));
}

#[test]
fn a_model_of_another_crate_has_the_whole_command_line() {
    let place = Place::with_data();
    let program = example("custom_model");
    let run = |line: &str| Outcome::of(place.command_of(&program).args(line.split_whitespace()));
    run("models").succeeds().prints("skip-net: MLP with gated embeddings");
    let small: String = SMALL.iter().map(|set| format!(" --set {set}")).collect();
    let train = format!("train data/config.toml --device cpu --set model.name=skip-net {small}");
    run(&format!("{train} --out run --set model.gate_hidden=4")).succeeds();
    run("eval run --json").succeeds().prints("\"auc\"");
    run(&format!("{train} --out other --set model.gate_hidden=0")).fails(2, &["gate_hidden is 0"]);
    run(&format!("{train} --out other --set model.gate_hiden=4")).fails(2, &["did you mean `gate_hidden`?"]);
    // Each run of a comparison is a process of its own, of the same program.
    let models = "[compare]\nbaseline = \"dnn\"\nseeds = [0]\n[[compare.models]]\nname = \"dnn\"\n\
                  [[compare.models]]\nname = \"skip-net\"\nset = { \"model.gate_hidden\" = 4 }\n";
    place.write("data/compare.toml", place.text("data/config.toml") + models);
    run(&format!("compare data/compare.toml --device cpu --out compared {small}")).succeeds().prints("skip-net");
    // The program without it does not know what the run is of.
    place.run("eval run").fails(2, &["found \"skip-net\""]);
}
