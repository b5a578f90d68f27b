//! What the program prints, to the letter: help pages, plans, tables, errors. `INSTA_UPDATE=always cargo test --profile ci
//! --test cli snapshots` writes the files of `snapshots/` anew; what changed is then for the eye to judge.

use insta::assert_snapshot;

use crate::place::{Place, SMALL};

/// What a command prints and says, with what differs from place to place taken out.
fn transcript(place: &Place, line: &str) -> String {
    let outcome = place.run(line);
    let text = format!("{}{}", outcome.out, outcome.err);
    let folder = place.path("");
    let text = text.replace(folder.to_str().unwrap().trim_end_matches('/'), "PLACE");
    // Windows would say polyscene.exe, and another machine has other memory.
    let text = text.replace("polyscene.exe", "polyscene");
    match text.split_once("and this machine has ") {
        Some((before, after)) => format!("{before}and this machine has SO MUCH{}", &after[after.find(':').unwrap()..]),
        None => text,
    }
}

#[test]
fn help_pages() {
    let place = Place::empty();
    let commands = [
        "",
        "train",
        "compare",
        "sweep",
        "eval",
        "predict",
        "embeddings",
        "importance",
        "synth",
        "analyze",
        "prepare",
        "report",
        "history",
        "plan",
        "tune",
        "bench",
        "devices",
        "models",
    ];
    for command in commands {
        let name = if command.is_empty() { "program" } else { command };
        assert_snapshot!(format!("help-{name}"), transcript(&place, &format!("{command} --help")));
    }
}

#[test]
fn models_and_their_options() {
    assert_snapshot!(transcript(&Place::empty(), "models"));
}

#[test]
fn plans_of_the_three_systems() {
    let place = Place::with_data();
    let small: String = SMALL.iter().map(|set| format!(" --set {set}")).collect();
    for model in ["dnn", "mi-dpg", "optmsm"] {
        let line = format!("plan data/config.toml --set model.name={model}{small}");
        assert_snapshot!(format!("plan-{model}"), transcript(&place, &line));
    }
    place.run("synth --out sequences --rows 2000 --vocab 100 --seed 3 --sequence 5").succeeds();
    let line = format!("plan sequences/config.toml --set model.name=saml{small}");
    assert_snapshot!("plan-saml", transcript(&place, &line));
}

#[test]
fn tables() {
    let place = Place::empty();
    assert_snapshot!("table-synth", transcript(&place, "synth --out data --rows 2000 --vocab 100 --seed 3"));
    let models = "[compare]\nbaseline = \"dnn\"\nseeds = 2\n[[compare.models]]\nname = \"dnn\"\n[[compare.models]]\nname = \
                  \"star\"\n";
    place.write("data/compare.toml", place.text("data/config.toml") + models);
    assert_snapshot!("table-dry-run", transcript(&place, "compare data/compare.toml --out compared --dry-run"));
}

#[test]
fn errors() {
    let place = Place::with_data();
    place.write("raw/readme.txt", "");
    place.write("broken.toml", "[data]\npath = \n");
    let data = place.text("data/config.toml");
    place.write("section.toml", format!("{data}\n[trian]\nepochs = 1\n"));
    let lines = [
        "train broken.toml",
        "train section.toml",
        "train data/config.toml --set train.epoch=3",
        "train data/config.toml --set train.epochs=many",
        "train data/config.toml --set train.batch_size=0",
        "train data/config.toml --set model.name=mi-dgp",
        "train data/config.toml --set model.hidden=[1000000,1000000]",
        "train data/config.toml --set data.label=clicked",
        "train data/config.toml --set data.aware=[\"scenario\",\"chanel\"]",
        "train data/config.toml --out nowhere --resume",
        "eval data",
        "predict data --data nowhere.csv --out out.txt",
        "compare data/config.toml",
        "prepare movielens --raw raw --out prepared",
    ];
    let all: Vec<String> =
        lines.iter().map(|line| format!("$ polyscene {line}\n{}", transcript(&place, line))).collect();
    assert_snapshot!(all.join("\n"));
}
