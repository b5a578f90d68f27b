//! `compare` and `sweep`: many runs, their tables, and going on after a stop, a failure or a change.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::place::{Outcome, Place};
use serde_json::Value;

const SHARED: &str = r#"
[model]
width = 4
hidden = [16, 8]
lambda = 0.05

[train]
epochs = 2
patience = 0
batch_size = 128
learning_rate = 0.01
"#;

const THREE: &str = r#"
[compare]
seeds = 2
[[compare.models]]
name = "dnn"
[[compare.models]]
name = "mi-dpg"
[[compare.models]]
name = "mi-dpg"
label = "dpg, ours"
seeds = 1
set = { "model.mir" = false, "train.learning_rate" = 0.02 }
"#;

/// A place with data and `c.toml`: the data's own section, [`SHARED`] and `text`.
fn place(text: &str) -> Place {
    let place = Place::with_data();
    configure(&place, text);
    place
}

fn configure(place: &Place, text: &str) {
    let config = place.text("data/config.toml");
    let data = config.split("[model]").next().unwrap().replace("data.parquet", "data/data.parquet");
    place.write("c.toml", format!("{data}{SHARED}{text}"));
}

fn compare(place: &Place, line: &str) -> Outcome {
    place.run(&format!("compare c.toml --device cpu --out many {line}"))
}

/// Every file below a folder, with its bytes and when it was written.
fn files(place: &Place, folder: &str) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![place.path(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let written = entry.metadata().unwrap().modified().unwrap();
                found.insert(entry.path().display().to_string(), (std::fs::read(entry.path()).unwrap(), written));
            }
        }
    }
    found
}

fn lines(place: &Place, name: &str) -> Vec<Value> {
    place.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A table as a map from (label and, for cells, seed) to columns by head.
fn table(place: &Place, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(place.path(name)).unwrap();
    let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let line = |line: csv::StringRecord| heads.iter().cloned().zip(line.iter().map(str::to_owned)).collect();
    reader.records().map(|record| line(record.unwrap())).collect()
}

#[test]
fn models_are_trained_as_train_does_and_set_against_each_other() {
    let place = place(THREE);
    let listed = compare(&place, "--dry-run").succeeds();
    assert!(listed.out.contains("0 of 5 runs are finished"), "{}", listed.out);
    assert!(!place.path("many").exists());
    let done = compare(&place, "").succeeds();
    assert!(done.out.contains("RelaImpr") && done.out.contains("dpg, ours"), "{}", done.out);
    assert!(done.err.contains("left out for dnn, which has no such option: model.lambda"), "{}", done.err);
    // Seed by seed, with each run's epochs.
    let order: Vec<&str> = done.err.lines().filter_map(|line| line.strip_prefix("run ")).collect();
    let heads = ["1 of 5: dnn, seed 0", "2 of 5: mi-dpg, seed 0", "3 of 5: dpg, ours, seed 0", "4 of 5: dnn, seed 1"];
    for (line, head) in order.iter().zip(heads) {
        assert!(line.starts_with(head), "{line}");
    }
    assert_eq!(done.err.matches("  epoch 2 ").count(), 5, "{}", done.err);

    // A cell is a run like any other: by the same options, to the same bits.
    place.write("one.toml", place.text("c.toml").replace(THREE, "").replace("[model]", "[model]\nname = \"mi-dpg\""));
    let sets = "--set model.mir=false --set train.learning_rate=0.02";
    place.run(&format!("train one.toml --device cpu --out alone {sets}")).succeeds();
    place.assert_same_runs("alone", "many/dpg-ours/seed-0");
    place.run("eval many/dpg-ours/seed-0 --device cpu").succeeds();
    place.run("train many/mi-dpg/seed-1.toml --device cpu --out again").succeeds();
    place.assert_same_runs("again", "many/mi-dpg/seed-1");

    let cells = lines(&place, "many/cells.jsonl");
    assert_eq!(cells.len(), 5);
    assert_eq!((&cells[2]["label"], &cells[2]["model"]), (&"dpg, ours".into(), &"mi-dpg".into()));
    assert_eq!(cells[2]["settings"], serde_json::json!({ "model.mir": false, "train.learning_rate": 0.02 }));
    for cell in &cells {
        let folder = format!("many/{}", cell["folder"].as_str().unwrap());
        let result = place.json(format!("{folder}/result.json"));
        assert_eq!(cell["result"], result);
        assert_eq!(cell["seed"], result["seed"]);
        assert!(result["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
        let epochs = place.epochs(&folder);
        let seconds: f64 = epochs.iter().map(|epoch| epoch["train_seconds"].as_f64().unwrap()).sum();
        assert!((result["train_seconds"].as_f64().unwrap() - seconds).abs() < 1e-9);
        let speeds: Vec<f64> = epochs.iter().map(|epoch| epoch["train_rows_per_second"].as_f64().unwrap()).collect();
        let median = (speeds[0] + speeds[1]) / 2.0;
        assert!((result["train_rows_per_second"].as_f64().unwrap() / median - 1.0).abs() < 1e-9);
        assert!(result.get("device_memory_bytes").is_none(), "a CPU has no memory of its own");
    }

    // Means of what the runs say, to the last digit but one.
    let auc = |i: usize| cells[i]["result"]["test"]["auc"].as_f64().unwrap();
    let models = table(&place, "many/table.csv");
    let number = |line: usize, head: &str| models[line][head].parse::<f64>().unwrap();
    assert_eq!(models.iter().map(|line| line["label"].as_str()).collect::<Vec<_>>(), ["dnn", "mi-dpg", "dpg, ours"]);
    assert!((number(0, "test_auc_mean") - (auc(0) + auc(3)) / 2.0).abs() < 1e-12);
    assert!((number(1, "test_auc_sd") - (auc(1) - auc(4)).abs() / 2.0_f64.sqrt()).abs() < 1e-12);
    assert_eq!(models[2]["test_auc_sd"], "");
    assert!((number(1, "relaimpr") - ((auc(1) + auc(4) - 1.0) / (auc(0) + auc(3) - 1.0) - 1.0)).abs() < 1e-9);
    assert!((0.0..=1.0).contains(&number(1, "against_baseline_p")));
    assert_eq!(models[2]["against_baseline_p"], "", "one common seed is too few");
    assert_eq!(table(&place, "many/cells.csv").len(), 5);
    let markdown = place.text("many/table.md");
    assert!(markdown.contains("| dpg, ours |") && markdown.contains("**"), "{markdown}");
    assert!(place.text("many/table.html").contains("<th scope=\"row\">dpg, ours</th>"));
    let page = place.text("many/report.html");
    assert!(page.contains("<h3>Test AUC</h3>") && page.contains("<th scope=\"row\">dpg, ours</th>"));

    // What is finished is not touched again, and the tables come out the same: also from the resolved file.
    let before = files(&place, "many");
    let again = compare(&place, "").succeeds();
    assert!(!again.err.contains("epoch"), "{}", again.err);
    assert_eq!(again.out, done.out);
    let runs = |all: BTreeMap<String, (Vec<u8>, SystemTime)>| {
        all.into_iter().filter(|(name, _)| name.contains("seed-")).collect::<BTreeMap<_, _>>()
    };
    let contents = |all: &BTreeMap<String, (Vec<u8>, SystemTime)>| {
        all.iter().map(|(name, (bytes, _))| (name.clone(), bytes.clone())).collect::<Vec<_>>()
    };
    assert_eq!(contents(&before), contents(&files(&place, "many")));
    assert_eq!(runs(before), runs(files(&place, "many")));
    // In its own folder it needs no --out, and is not taken for a file of somebody's.
    for line in ["compare r.toml --out many", "compare many/compare.toml"] {
        place.write("r.toml", place.text("many/compare.toml"));
        let listed = place.run(&format!("{line} --dry-run")).succeeds();
        assert!(listed.out.contains("5 of 5 runs are finished"), "{line}: {}", listed.out);
    }
    // Weights may be thrown away: a finished run is finished.
    let weights = place.read("many/dnn/seed-0/model.safetensors");
    std::fs::remove_file(place.path("many/dnn/seed-0/model.safetensors")).unwrap();
    assert!(!compare(&place, "").succeeds().err.contains("epoch"));
    place.write("many/dnn/seed-0/model.safetensors", weights);

    // One more seed is two more runs; another option is an error before anything runs.
    let more = compare(&place, "--set compare.seeds=3 --only dnn").succeeds();
    assert_eq!(more.err.matches("  epoch 2 ").count(), 1, "{}", more.err);
    assert!(more.out.contains("2 of 3") && more.out.contains("Not finished yet: 1 run"), "{}", more.out);
    let changed = compare(&place, "--set train.epochs=3").fails(6, &["seed-0: was trained with another", "--out"]);
    assert!(changed.err.contains("train.epochs: 2, now 3") && !changed.err.contains("  epoch"), "{}", changed.err);
    // Other data under the same name: one table must not be of two.
    let data = place.read("data/data.parquet");
    place.run("synth --out others --rows 2000 --vocab 100 --seed 4").succeeds();
    place.write("data/data.parquet", place.read("others/data.parquet"));
    compare(&place, "--set compare.seeds=4").fails(6, &["dnn/seed-0: was trained on other data", "another --out"]);
    // A model that is new does not stand beside those of other data either.
    let known = place.text("c.toml");
    place.write("c.toml", format!("{known}[[compare.models]]\nname = \"wide-deep\"\n"));
    compare(&place, "--only wide-deep").fails(6, &["was trained on other data"]);
    place.write("c.toml", known);
    place.write("data/data.parquet", data);
    compare(&place, "--only dmn").fails(2, &["--only", "did you mean \"dnn\"?"]);
    place.run("train c.toml").fails(2, &["[compare]", "polyscene compare"]);
    place.run("sweep c.toml").fails(2, &["[sweep]", "needs this section"]);
}

/// Waits until `file` is there.
fn wait_for(place: &Place, file: &str, child: &mut Child) {
    let start = Instant::now();
    while !place.path(file).is_file() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {file} in a minute");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
#[test]
fn stopped_between_and_within_runs_it_goes_on() {
    use std::process::Command;
    const LONG: &str = "--set train.epochs=60";
    let place = place(THREE);
    let mut command = place.command();
    command.args("compare c.toml --device cpu --out many".split(' ').chain(LONG.split(' ')));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&place, "many/mi-dpg/seed-0/checkpoint.safetensors", &mut child);
    let finished = files(&place, "many/dnn/seed-0");
    assert!(finished.keys().any(|name| name.ends_with("result.json")));
    // As Ctrl-C does: the run in its middle writes a checkpoint.
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let said = Outcome::from(child.wait_with_output().unwrap());
    let said = said.fails(130, &["stopped in run 2 of 5: mi-dpg, seed 0", "polyscene compare c.toml", "--out many"]);
    assert!(said.out.contains("1 of 2"), "the table of what there is: {}", said.out);
    assert!(!place.path("many/mi-dpg/seed-0/result.json").exists());
    assert!(place.position("many/mi-dpg/seed-0")["total_steps"].as_u64().unwrap() > 0);
    let listed = compare(&place, &format!("{LONG} --dry-run")).succeeds();
    let words: Vec<Vec<&str>> = listed.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((words[1][2], words[2][2]), ("finished", "begun"), "{}", listed.out);

    // What a crash between a run's first two files leaves.
    std::fs::create_dir_all(place.path("many/dpg-ours/seed-0")).unwrap();
    let config = place.text("many/mi-dpg/seed-0/config.toml");
    let config = config.replace("mir = true", "mir = false").replace("learning_rate = 0.01", "learning_rate = 0.02");
    place.write("many/dpg-ours/seed-0/config.toml", config);

    let done = compare(&place, LONG).succeeds();
    assert!(done.err.contains("resuming after epoch"), "{}", done.err);
    assert_eq!(files(&place, "many/dnn/seed-0"), finished);
    place.run(&format!("train many/mi-dpg/seed-0.toml --device cpu --out whole {LONG}")).succeeds();
    place.assert_same_runs("whole", "many/mi-dpg/seed-0");
    assert_eq!(lines(&place, "many/cells.jsonl").len(), 5);
}

#[test]
#[cfg(unix)]
fn two_comparisons_do_not_share_a_folder() {
    let place = place(THREE);
    let mut command = place.command();
    command.args("compare c.toml --device cpu --out many --set train.epochs=1000000".split(' '));
    let mut first = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&place, "many/dnn/seed-0/config.toml", &mut first);
    let held = format!("is being written by process {} on ", first.id());
    compare(&place, "--set train.epochs=1000000").fails(6, &["many: ", &held]);
    assert!(first.try_wait().unwrap().is_none());
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock of a process that is gone is nobody's; the run that it had begun writes its checkpoint and ends.
    let mut command = place.command();
    command.args("compare c.toml --device cpu --out many --set train.epochs=1000000".split(' '));
    let mut second = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let owner = || std::fs::read_to_string(place.path("many/dnn/seed-0/.lock-owner.toml")).unwrap_or_default();
    let before = owner();
    while owner() == before || owner().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "the run does not go on");
        assert!(second.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(place.text("many/.lock-owner.toml").contains(&format!("pid = {}", second.id())));
    let pid = second.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    Outcome::from(second.wait_with_output().unwrap()).fails(130, &["stopped in run 1 of 5: dnn, seed 0"]);
}

#[test]
fn a_run_that_fails_does_not_stop_the_others() {
    // Steps so large that no loss stays a number.
    let place = place(&format!(
        "{THREE}[[compare.models]]\nname = \"dnn\"\nlabel = \"wild\"\nset = {{ \"train.learning_rate\" = 1e30 }}\n"
    ));
    let failed = compare(&place, "--set compare.seeds=1");
    let said =
        failed.fails(1, &["error: 1 run failed", "wild, seed 0", "seed-0.log", "to try them again: polyscene compare"]);
    assert!(said.err.contains("is too high") || said.err.contains("became"), "{}", said.err);
    assert_eq!(lines(&place, "many/cells.jsonl").len(), 3);
    assert!(said.out.contains("wild") && said.out.contains("0 of 1"), "{}", said.out);
    assert!(place.text("many/wild/seed-0.log").contains("error: "));
    let cells = table(&place, "many/cells.csv");
    let wild = cells.iter().find(|line| line["label"] == "wild").unwrap();
    assert_eq!((wild["finished"].as_str(), wild["test_auc"].as_str()), ("false", ""));
    // Mended, it is trained after all. Its folder is of another configuration, which is said.
    configure(&place, &place.text("c.toml").split(SHARED).nth(1).unwrap().replace("1e30", "0.01"));
    compare(&place, "--set compare.seeds=1").fails(6, &["wild/seed-0", "remove the folder"]);
    std::fs::remove_dir_all(place.path("many/wild")).unwrap();
    let mended = compare(&place, "--set compare.seeds=1").succeeds();
    assert_eq!(mended.err.matches("  epoch 2 ").count(), 1, "{}", mended.err);
}

#[test]
fn what_cannot_be_trained_is_said_before_anything_runs() {
    let place = place(
        "[compare]\n[[compare.models]]\nname = \"dnn\"\n[[compare.models]]\nname = \"mi-dpg\"\nset = { \"model.row_div\" = 3 }\n",
    );
    compare(&place, "").fails(2, &["1 of 2 models cannot be trained", "mi-dpg: ", "row_div"]);
    assert!(!place.path("many").exists());
    // A folder of something else is left alone.
    place.trained_dnn("many", "train.epochs=1");
    configure(&place, THREE);
    compare(&place, "").fails(6, &["many: holds a run"]);
    // So is somebody's own configuration that has the name of the resolved one.
    let own = place.text("c.toml");
    place.write("exp/compare.toml", &own);
    let refused = place.run("compare exp/compare.toml --device cpu --out exp");
    refused.fails(6, &["exp: holds a compare.toml of yours", "another --out"]);
    assert_eq!(place.text("exp/compare.toml"), own);
}

#[test]
fn generated_data_replaces_nothing_beside_it() {
    let place = Place::empty();
    let config = |data: &str| {
        format!(
            "[synth]\nrows = 1000\nvocabulary = 50\n[data]\npath = \"{data}\"\nlabel = \"label\"\nscenario = \"scenario\"\n\
             aware = [\"scenario\"]\nagnostic = [\"item_id\"]\n{SHARED}[compare]\nseeds = 1\n[[compare.models]]\nname = \"dnn\"\n"
        )
        .replace("lambda = 0.05\n", "")
    };
    place.write("mine/config.toml", config("toy.parquet"));
    place.write("mine/data.parquet", "somebody's");
    place.run("compare mine/config.toml --device cpu --out many").succeeds();
    assert_eq!(place.text("mine/config.toml"), config("toy.parquet"));
    assert_eq!(place.text("mine/data.parquet"), "somebody's");
    assert!(place.path("mine/toy.parquet").is_file());
    for name in ["toy.csv", "toys/*.parquet"] {
        place.write("mine/config.toml", config(name));
        let refused = place.run("compare mine/config.toml --device cpu --out others");
        refused.fails(2, &["data.path", "that [synth] can write", name]);
    }
}

#[test]
fn a_sweep_finds_the_best_by_validation() {
    let grid = "[sweep]\nseeds = 2\n[sweep.grid]\n\"model.row_div\" = [2, 3]\n[[sweep.together]]\n\"train.learning_rate\" = [0.01, 0.02]\n\"train.epochs\" = [2, 1]\n";
    let place = place(grid);
    let named = place.text("c.toml").replace("[model]", "[model]\nname = \"mi-dpg\"");
    place.write("c.toml", &named);
    let sweep = |line: &str| place.run(&format!("sweep c.toml --device cpu --out many {line}"));
    let refused =
        sweep("").fails(2, &["2 of 4 combinations cannot be trained", "row_div=3", "sweep.skip_invalid = true"]);
    assert!(!refused.err.contains("  epoch"), "{}", refused.err);
    let done = sweep("--set sweep.skip_invalid=true").succeeds();
    assert!(done.err.contains("skipped, as it cannot be trained: row_div=3"), "{}", done.err);
    let models = table(&place, "many/table.csv");
    assert_eq!(models.len(), 2);
    let valid = |line: usize| models[line]["valid_auc_mean"].parse::<f64>().unwrap();
    assert!(valid(0) >= valid(1));
    let (rate, epochs) = if models[0]["label"].contains("0.01") { ("0.01", 2) } else { ("0.02", 1) };
    let line = format!("--set model.row_div=2 --set train.learning_rate={rate} --set train.epochs={epochs}");
    assert!(done.out.contains("best by validation: row_div=2") && done.out.contains(&line), "{}", done.out);
    let cells = lines(&place, "many/cells.jsonl");
    assert_eq!(cells.len(), 4);
    assert!(cells.iter().all(|cell| cell["settings"]["model.row_div"] == 2));
    // The line does what it says.
    place.write("one.toml", place.text("c.toml").split("[sweep]").next().unwrap());
    place.run(&format!("train one.toml --device cpu --out best {line}")).succeeds();
    let folder = cells.iter().find(|cell| cell["label"] == models[0]["label"].as_str() && cell["seed"] == 0).unwrap();
    place.assert_same_runs("best", &format!("many/{}", folder["folder"].as_str().unwrap()));
    compare(&place, "").fails(2, &["[compare]", "needs this section"]);
    // Nothing to choose by.
    let none = "--set sweep.skip_invalid=true --set data.split.valid=0 --out none";
    place.run(&format!("sweep c.toml --device cpu {none}")).fails(2, &["validation rows, by which a sweep chooses"]);
}

/// A difference stands with how far it would move on other test rows; what was drawn once is not drawn again.
#[test]
fn differences_have_intervals_over_the_test_rows() {
    let two = "\n[compare]\nseeds = 2\nbootstrap = 200\n[[compare.models]]\nname = \"dnn\"\n[[compare.models]]\nname = \
               \"mi-dpg\"\n";
    let place = place(two);
    let done = compare(&place, "").succeeds();
    assert_eq!(done.err.matches("resampling the test rows of ").count(), 4, "{}", done.err);
    assert!(
        done.out.contains("AUC, less dnn's (95 %)") && done.out.contains("200 bootstrap resamples of the test rows' ")
    );
    let cells = lines(&place, "many/cells.jsonl");
    let auc = |i: usize| cells[i]["result"]["test"]["auc"].as_f64().unwrap();
    let models = table(&place, "many/table.csv");
    let number = |line: usize, head: &str| models[line][head].parse::<f64>().unwrap();
    let difference = (auc(1) - auc(0) + auc(3) - auc(2)) / 2.0;
    assert!((number(1, "bootstrap_auc_less_baseline") - difference).abs() < 1e-9);
    let (low, high) = (number(1, "bootstrap_auc_low"), number(1, "bootstrap_auc_high"));
    assert!(low < difference && difference < high && high - low < 0.5, "{low} {difference} {high}");
    assert_eq!((models[0]["bootstrap_auc_low"].as_str(), number(1, "bootstrap_seeds")), ("", 2.0));
    let kept = place.json("many/mi-dpg/seed-1/bootstrap.json");
    assert_eq!((&kept["by"], kept["resampled"].as_array().unwrap().len()), (&"users".into(), 200));
    // The same draws as eval's, by the same seed.
    let eval =
        place.run("eval many/mi-dpg/seed-1 --device cpu --bootstrap 200 --bootstrap-seed 0 --json").succeeds().json();
    let mut values: Vec<f64> = kept["resampled"].as_array().unwrap().iter().map(|auc| auc.as_f64().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    let ends: Vec<f64> = serde_json::from_value(eval["bootstrap"]["auc"].clone()).unwrap();
    // numpy's percentiles of 200 values: between the 5th and 6th, and the 195th and 196th.
    assert!((values[4] + 0.975 * (values[5] - values[4]) - ends[0]).abs() < 1e-12);
    assert!((values[194] + 0.025 * (values[195] - values[194]) - ends[1]).abs() < 1e-12);

    let again = compare(&place, "").succeeds();
    assert!(!again.err.contains("resampling"), "{}", again.err);
    assert_eq!(again.out, done.out);
    let fewer = compare(&place, "--set compare.bootstrap=50 --set compare.bootstrap_by=rows").succeeds();
    assert_eq!(fewer.err.matches("resampling the test rows of ").count(), 4, "{}", fewer.err);
    assert!(fewer.out.contains("50 bootstrap resamples of the ") && fewer.out.contains(" test rows, the same"));
    let none = compare(&place, "--set compare.bootstrap=0").succeeds();
    assert!(!none.out.contains("bootstrap") && !none.err.contains("resampling"), "{}", none.out);
    compare(&place, "--set compare.bootstrap=0 --set compare.bootstrap_by=rows")
        .fails(2, &["bootstrap_by", "has no effect"]);
}
