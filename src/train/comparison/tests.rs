use std::fs;

use serde_json::json;

use super::*;
use crate::train::evaluation::bootstrap::Unit;
use crate::train::run::folder::folder_name;
use crate::train::run::result::RunResult;

const BASE: &str = r#"
[data]
path = "clicks.parquet"
label = "click"
scenario = "page"
aware = ["page"]

[train]
epochs = 2
"#;

/// Reads `text` behind [`BASE`] as a comparison or a sweep.
fn load(kind: ExperimentKind, text: &str, sets: &[&str]) -> Result<Comparison, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.toml");
    fs::write(&path, format!("{BASE}{text}")).unwrap();
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Comparison::load(kind, &path, &sets, &|path| format!("/data/{path}"))
}

fn compare(text: &str) -> Result<Comparison, Error> {
    load(ExperimentKind::Compare, text, &[])
}

fn sweep(text: &str) -> Result<Comparison, Error> {
    load(ExperimentKind::Sweep, &format!("[model]\nname = \"mi-dpg\"\nhidden = [8]\n[sweep]\nseeds = 2\n{text}"), &[])
}

/// The message of a fault, without the file's folder.
#[track_caller]
fn fault(read: Result<Comparison, Error>) -> String {
    let message = read.unwrap_err().to_string();
    message.split_once("many.toml").map_or(message.clone(), |(_, rest)| rest.to_owned())
}

const THREE: &str = r#"
[model]
width = 8
lambda = 0.5

[compare]
seeds = 2
[[compare.models]]
name = "dnn"
[[compare.models]]
name = "mi-dpg"
[[compare.models]]
name = "mi-dpg"
label = "DPG, without MIR"
seeds = [5, 0, 7]
set = { "model.mir" = false, train.learning_rate = 5e-4 }
"#;

#[test]
fn models_share_a_file_and_set_what_is_their_own() {
    let comparison = compare(THREE).unwrap();
    let [dnn, mi_dpg, dpg] = &comparison.variants[..] else { panic!("three models") };
    assert_eq!((dnn.label.as_str(), mi_dpg.label.as_str(), dpg.folder.as_str()), ("dnn", "mi-dpg", "DPG-without-MIR"));
    // What is shared, but for what a model does not have; defaults written out.
    assert_eq!(dnn.left_out, ["model.lambda"]);
    assert_eq!(mi_dpg.left_out, [""; 0]);
    assert_eq!(dnn.config.model["width"], Value::from(8));
    assert!(!dnn.config.model.contains_key("lambda"));
    assert_eq!((&dpg.config.model["lambda"], &dpg.config.model["mir"]), (&Value::from(0.5), &Value::from(false)));
    assert_eq!(dpg.config.train.learning_rate, 5e-4);
    assert_eq!(mi_dpg.config.train.learning_rate, 1e-3);
    assert_eq!(dnn.config.data["path"], Value::from("/data/clicks.parquet"));
    assert_eq!(dpg.set_arguments(), ["model.mir=false", "train.learning_rate=0.0005"]);
    // Roles: the first is the baseline, models of the papers are ours.
    assert_eq!(comparison.baseline.as_deref(), Some("dnn"));
    assert_eq!(comparison.variants.iter().map(|variant| variant.ours).collect::<Vec<_>>(), [false, true, true]);
    // Seed by seed over all models.
    let cells: Vec<String> = comparison.cells().iter().map(Cell::folder).collect();
    assert_eq!(
        cells,
        [
            "dnn/seed-0",
            "mi-dpg/seed-0",
            "DPG-without-MIR/seed-5",
            "dnn/seed-1",
            "mi-dpg/seed-1",
            "DPG-without-MIR/seed-0",
            "DPG-without-MIR/seed-7",
        ]
    );
    assert_eq!(comparison.cells()[2].config().train.seed, 5);
}

#[test]
fn the_command_line_has_the_last_word() {
    let comparison =
        load(ExperimentKind::Compare, THREE, &["train.learning_rate=0.1", "model.lambda=2", "compare.seeds=1"])
            .unwrap();
    let [dnn, _, dpg] = &comparison.variants[..] else { panic!("three models") };
    assert_eq!((dnn.config.train.learning_rate, dpg.config.train.learning_rate), (0.1, 0.1));
    assert!(!dnn.config.model.contains_key("lambda"));
    assert_eq!(dpg.config.model["lambda"], Value::from(2.0));
    assert_eq!(dpg.set_arguments(), ["model.mir=false", "train.learning_rate=0.1"]);
    assert_eq!((dnn.seeds.len(), dpg.seeds.len()), (1, 3));
    for (set, says) in [
        ("train.seed=3", "compare.seeds"),
        ("model.name=dnn", "--only"),
        ("train.epoch=3", "did you mean `epochs`?"),
        ("compare.seed=3", "did you mean `seeds`?"),
    ] {
        let message = load(ExperimentKind::Compare, THREE, &[set]).unwrap_err().to_string();
        assert!(message.starts_with(&format!("--set {set}: ")) && message.contains(says), "{message}");
    }
}

#[test]
fn resamples_are_asked_for_and_checked() {
    let with = |keys: &str, sets: &[&str]| {
        load(ExperimentKind::Compare, &THREE.replace("seeds = 2\n", &format!("seeds = 2\n{keys}\n")), sets)
    };
    assert_eq!(with("", &[]).unwrap().bootstrap, None);
    assert_eq!(with("bootstrap = 0", &[]).unwrap().bootstrap, None);
    let found = with("bootstrap = 1000", &[]).unwrap();
    assert_eq!(found.bootstrap, Some(Bootstrap { resamples: 1000, unit: None, seed: 0 }));
    assert!(found.to_toml().unwrap().contains("bootstrap = 1000"));
    let found = with("bootstrap = 50\nbootstrap_by = \"users\"", &["data.user=member"]).unwrap();
    assert_eq!(found.bootstrap.unwrap().unit, Some(Unit::Users));
    for (keys, says) in [
        ("bootstrap_by = \"rows\"", "compare.bootstrap_by: has no effect without compare.bootstrap"),
        ("bootstrap = 50\nbootstrap_by = \"users\"", "data.user"),
        ("bootstrap = 50\nbootstrap_by = \"user\"", "compare.bootstrap_by"),
        ("bootstrap = -1", "compare.bootstrap"),
        ("bootstrap = 2000000", "at most 100000"),
    ] {
        let message = fault(with(keys, &[]));
        assert!(message.contains(says), "{message}");
    }
    let message = fault(compare("[compare]\nbootstrap = 9\n[[compare.models]]\nname = \"dnn\"\n"));
    assert!(message.contains("compare.bootstrap: has no effect with one model"), "{message}");
}

#[test]
fn the_resolved_file_says_the_same() {
    let comparison = compare(THREE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compare.toml");
    fs::write(&path, comparison.to_toml().unwrap()).unwrap();
    let again = Comparison::load(ExperimentKind::Compare, &path, &[], &str::to_owned).unwrap();
    assert_eq!(again.to_toml().unwrap(), comparison.to_toml().unwrap());
    for (one, other) in comparison.variants.iter().zip(&again.variants) {
        assert_eq!((&one.label, &one.settings, &one.seeds), (&other.label, &other.settings, &other.seeds));
        assert_eq!((one.ours, &one.config), (other.ours, &other.config));
    }
    let swept = sweep("[sweep.grid]\n\"model.d_k\" = [1, 2]").unwrap();
    fs::write(&path, swept.to_toml().unwrap()).unwrap();
    let again = Comparison::load(ExperimentKind::Sweep, &path, &[], &str::to_owned).unwrap();
    assert_eq!(again.to_toml().unwrap(), swept.to_toml().unwrap());
    assert_eq!(again.variants[1].config, swept.variants[1].config);
}

#[test]
fn slips_in_a_comparison_say_where_and_what_would_be_right() {
    let with = |lines: &str| fault(compare(&format!("[compare]\n{lines}")));
    let one = "[[compare.models]]\nname = \"dnn\"\n";
    assert!(fault(compare("")).contains("[compare]: needs this section, with [[compare.models]]"));
    assert_eq!(with("seeds = 3"), ": [compare] needs the key `models`");
    assert_eq!(with("[[compare.models]]\nlabel = \"x\""), ": [compare.models[0]] needs the key `name`");
    assert!(with(&format!("seed = 3\n{one}")).contains("unknown key `seed` in [compare]; did you mean `seeds`?"));
    for seeds in ["0", "-1", "[]", "[1, 1]", "[-1]", "\"three\"", "1.5"] {
        let said = with(&format!("seeds = {seeds}\n{one}"));
        assert!(said.contains("compare.seeds: expected a number of seeds"), "{said}");
    }
    assert!(with(&format!("baseline = \"dnm\"\n{one}")).contains("found \"dnm\"; did you mean \"dnn\"?"));
    assert!(with(&format!("ours = [\"dnn\"]\n{one}")).contains("is the baseline; it cannot be one of ours"));
    assert!(with(&format!("{one}{one}")).contains("\"dnn\" is the label of more than one variant"));
    assert!(with("[[compare.models]]\nname = \"saml2\"").contains("did you mean \"saml\"?"));
    let set = |set: &str| with(&format!("{one}set = {{ {set} }}"));
    assert!(set("\"train.lerning_rate\" = 1").contains(", dnn: unknown key `lerning_rate` in [train]"));
    assert!(set("\"model.mir\" = false").contains(", dnn: unknown key `mir` in [model]"));
    assert!(set("\"train.seed\" = 1").contains("a run's seed is one of `seeds`"));
    assert!(set("\"model.name\" = \"saml\"").contains("is set by the entry's `name`"));
    assert!(set("epochs = 1").contains("expected \"section.key\""));
    assert!(set("\"trian.epochs\" = 1").contains("(train?)"));
    assert!(set("\"train.epochs\" = \"two\"").contains("train.epochs: expected a whole number"));
    // Shared options that nobody has.
    assert!(
        fault(compare(&format!("[model]\nstop_aux = true\n[compare]\n{one}"))).contains("an option of saml, which")
    );
    assert!(
        fault(compare(&format!("[model]\nstop_aut = true\n[compare]\n{one}"))).contains("no model has this option")
    );
    assert!(fault(compare(&format!("[sweep]\n[compare]\n{one}"))).contains("`polyscene sweep`"));
    // Labels that would share a folder, also where capitals do not count.
    let two = |a: &str, b: &str| {
        let model = |label: &str| format!("[[compare.models]]\nname = \"dnn\"\nlabel = \"{label}\"\n");
        with(&format!("{}{}", model(a), model(b)))
    };
    assert!(two("a b", "a/b").contains("would share the folder \"a-b\""));
    assert!(two("A", "a").contains("would share the folder"));
    assert!(two("..", "a").contains("label: expected a name"));
    assert!(two("a", "table.csv").contains("label: expected a name"));
}

#[test]
fn folders_have_names_that_every_system_takes() {
    for (label, name) in [
        ("mi-dpg", "mi-dpg"),
        ("MI-DPG (ours)", "MI-DPG-ours"),
        ("row_div=2 decomposition=rc", "row_div=2-decomposition=rc"),
        ("learning_rate=0.001 hidden=[64, 32]", "learning_rate=0.001-hidden=-64-32"),
        ("../../etc", "etc"),
        ("模型", "模型"),
        ("(..)", ""),
    ] {
        assert_eq!(folder_name(label), name);
    }
    let long = |end: &str| folder_name(&format!("{}{end}", "x".repeat(300)));
    assert!(long("a").len() < 70 && long("a") != long("b"));
}

#[test]
fn a_grid_is_all_combinations() {
    let text = r#"
[sweep.grid]
"model.decomposition" = ["r", "c"]
"train.learning_rate" = [1e-3, 1e-2]
[[sweep.together]]
"model.row_div" = [1, 2]
"model.col_div" = [1, 2]
"#;
    let sweep = sweep(text).unwrap();
    let labels: Vec<&str> = sweep.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(labels.len(), 8);
    assert_eq!(labels[0], "decomposition=r learning_rate=0.001 row_div=1 col_div=1");
    assert_eq!(labels[1], "decomposition=r learning_rate=0.001 row_div=2 col_div=2");
    assert_eq!(labels[7], "decomposition=c learning_rate=0.01 row_div=2 col_div=2");
    let last = &sweep.variants[7];
    assert_eq!(last.config.train.learning_rate, 1e-2);
    assert_eq!(last.config.model["decomposition"], Value::from("c"));
    assert_eq!(
        last.set_arguments(),
        ["model.decomposition=c", "train.learning_rate=0.01", "model.row_div=2", "model.col_div=2"]
    );
    assert_eq!(sweep.cells().len(), 16);
    assert!(sweep.invalid.is_empty() && sweep.baseline.is_none());
}

#[test]
fn a_grid_may_have_models_and_keys_whose_last_parts_are_alike() {
    let sweep = sweep("[sweep.grid]\n\"model.name\" = [\"mi-dpg\", \"dnn\"]\n\"model.dropout\" = [0, 0.5]").unwrap();
    let labels: Vec<&str> = sweep.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(
        labels,
        ["name=mi-dpg dropout=0", "name=mi-dpg dropout=0.5", "name=dnn dropout=0", "name=dnn dropout=0.5"]
    );
    assert_eq!(sweep.variants[3].config.model_name(), "dnn");
    let sweep =
        super::tests::sweep("[sweep.grid]\n\"data.min_count\" = [1]\n\"data.fields.page.min_count\" = [2]").unwrap();
    assert_eq!(sweep.variants[0].label, "data.min_count=1 data.fields.page.min_count=2");
}

#[test]
fn combinations_that_cannot_be_are_refused_or_skipped() {
    let grid = "[sweep.grid]\n\"model.decomposition\" = [\"r\", \"q\"]";
    let mut strict = sweep(grid).unwrap();
    assert_eq!(strict.invalid.len(), 1);
    let said = strict.settle(Vec::new()).unwrap_err().to_string();
    assert!(said.contains("1 of 2 combinations cannot be trained") && said.contains("decomposition=q"), "{said}");
    assert!(said.contains("expected \"r\", \"rc\"") || said.contains("decomposition: expected"), "{said}");
    assert!(said.contains("sweep.skip_invalid = true"), "{said}");
    let mut lenient = sweep(&format!("skip_invalid = true\n{grid}")).unwrap();
    lenient.settle(Vec::new()).unwrap();
    // One more that only the data can tell.
    let reason = "no".to_owned();
    let said = lenient.settle(vec![Invalid { label: "decomposition=r".to_owned(), reason }]).unwrap_err().to_string();
    assert!(said.contains("2 of 2 combinations"), "nothing is left to run: {said}");
}

#[test]
fn slips_in_a_sweep_say_where_and_what_would_be_right() {
    let with = |lines: &str| fault(sweep(lines));
    assert_eq!(with(""), ": [sweep] needs the key `grid`");
    assert!(with("[sweep.grid]\n\"model.d_k\" = 2").contains("sweep.grid.model.d_k: expected a list"));
    assert!(with("[sweep.grid]\n\"model.d_k\" = []").contains("found an empty list"));
    assert!(with("[sweep.grid]\n\"model.d_k\" = [1, 1]").contains("found 1 twice"));
    assert!(with("[sweep.grid]\n\"train.seed\" = [1]").contains("a run's seed is one of `seeds`"));
    assert!(with("[[sweep.together]]\n\"model.d_k\" = [1]\n\"model.row_div\" = [1, 2]").contains("expected 1 values"));
    assert!(with("[[sweep.together]]").contains("is empty"));
    let points = "[[sweep.together]]\n\"model.d_k\" = [1, 2, 1]\n\"model.decomposition\" = [\"r\", \"r\", \"r\"]";
    assert!(with(points).contains("has the point model.d_k=1, model.decomposition=r twice"));
    assert_eq!(sweep(&points.replace("2, 1]", "2, 4]")).unwrap().variants.len(), 3);
    let twice = "[sweep.grid]\n\"model.d_k\" = [1]\n[[sweep.together]]\n\"model.d_k\" = [1]";
    assert!(with(twice).contains("`model.d_k` is in the grid more than once"));
    let values: Vec<String> = (1..400).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let much = format!("[sweep.grid]\n\"model.d_k\" = [{values}]\n\"model.row_div\" = [{values}]");
    assert!(with(&much).contains("too many combinations"));
    let set = "model.d_k=3";
    let text = "[model]\nname = \"mi-dpg\"\n[sweep.grid]\n\"model.d_k\" = [1, 2]";
    assert!(
        load(ExperimentKind::Sweep, text, &[set])
            .unwrap_err()
            .to_string()
            .contains("is in the grid; set sweep.grid instead")
    );
    assert!(
        fault(load(ExperimentKind::Sweep, "[sweep.grid]\n\"model.d_k\" = [1]", &[]))
            .contains("[model] needs the key `name`")
    );
}

/// What a run with these AUCs would have left.
fn result(test: f64, valid: f64) -> RunResult {
    let metrics = |auc: f64| {
        let own =
            json!({ "auc": auc, "logloss": 1.0 - auc, "gauc": null, "calibration": 1.0, "rows": 9, "positives": 4 });
        let mut all = own.clone();
        all["scenarios"] = json!({ "a": own, "b": { "auc": null, "logloss": 0.5, "gauc": null, "calibration": null, "rows": 1, "positives": 0 } });
        all
    };
    let result = json!({
        "model": "m", "device": "CPU", "seed": 0, "epochs": 1, "best_epoch": 1, "steps": 3, "parameters": 10,
        "embedding_rows": 4, "embedding_parameters": 8, "train_rows_per_second": 100.0 * test,
        "peak_memory_bytes": (test * 1000.0) as u64, "test": metrics(test), "valid": metrics(valid),
        "test_rows_per_second": 1.0,
    });
    serde_json::from_value(result).unwrap()
}

/// Cells of a comparison with these test and validation AUCs, by label and seed.
pub(crate) fn outcomes(cells: &[(&str, u64, f64, f64)]) -> Vec<CellOutcome> {
    let outcome = |&(label, seed, test, valid): &(&str, u64, f64, f64)| {
        let result = result(test, valid);
        let raw = serde_json::to_value(&result).unwrap();
        let (folder, settings) = (format!("{label}/seed-{seed}"), serde_json::Map::new());
        let resampled = None;
        CellOutcome { label: label.to_owned(), model: "m".to_owned(), seed, folder, settings, resampled, result, raw }
    };
    cells.iter().map(outcome).collect()
}

#[test]
fn ours_are_tested_against_the_best_baseline_over_common_seeds() {
    let text = r#"
[compare]
baseline = "plain"
ours = ["ours"]
[[compare.models]]
name = "dnn"
label = "plain"
[[compare.models]]
name = "dnn"
label = "other"
set = { "model.width" = 8 }
[[compare.models]]
name = "mi-dpg"
label = "ours"
seeds = 4
"#;
    let comparison = compare(text).unwrap();
    let cells = outcomes(&[
        ("plain", 0, 0.70, 0.7),
        ("plain", 1, 0.72, 0.7),
        ("other", 0, 0.73, 0.7),
        ("other", 1, 0.75, 0.7),
        ("other", 2, 0.77, 0.7),
        ("ours", 0, 0.74, 0.7),
        ("ours", 1, 0.78, 0.7),
        ("ours", 2, 0.82, 0.7),
        ("ours", 3, 0.82, 0.7),
    ]);
    let summaries = summarise(&comparison, &cells, None);
    assert_eq!((summaries.best_baseline.as_deref(), summaries.missing()), (Some("other"), 1));
    assert_eq!(summaries.baselines, ["plain", "other"]);
    let [plain, other, ours] = &summaries.standings[..] else { panic!("three models") };
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    near(ours.test.auc.unwrap().mean, 0.79);
    // (0.79 − 0.5) / (0.71 − 0.5) − 1.
    near(ours.improvement.unwrap(), 0.29 / 0.21 - 1.0);
    assert_eq!((plain.improvement, plain.against_baseline), (None, None));
    // Differences 0.01, 0.03, 0.05 at the seeds 0, 1, 2: mean 0.03, error 0.02 / √3, t = 1.5 √3; at two degrees of
    // freedom p = 1 − t / √(t² + 2).
    near(ours.ahead_of_best.unwrap(), 0.03);
    let test = ours.against_best.unwrap();
    assert_eq!(test.pairs, 3);
    near(test.t, 1.5 * 3.0_f64.sqrt());
    near(test.p, 1.0 - (6.75_f64 / 8.75).sqrt());
    // 0.04 and 0.06 over the baseline: t = 5 at one degree of freedom.
    near(ours.against_baseline.unwrap().t, 5.0);
    assert_eq!(other.against_best, None);
    assert_eq!(other.ahead_of_best, None);
    // Equal differences: nothing to test.
    assert_eq!(other.against_baseline, None);
    assert_eq!((ours.scenarios[0].auc.unwrap().count, ours.scenarios[1].auc), (4, None));
    assert_eq!(ours.costs.peak_memory_bytes, Some(820));
    near(ours.costs.rows_per_second.unwrap(), 79.0);
}

#[test]
fn a_sweep_is_ordered_and_decided_by_validation() {
    let sweep = sweep("[sweep.grid]\n\"model.d_k\" = [1, 2, 4]").unwrap();
    let cells = outcomes(&[
        ("d_k=1", 0, 0.9, 0.70),
        ("d_k=1", 1, 0.9, 0.71),
        ("d_k=2", 0, 0.8, 0.73),
        ("d_k=2", 1, 0.8, 0.74),
        // The best, but half of it is missing.
        ("d_k=4", 0, 0.8, 0.80),
    ]);
    let summaries = summarise(&sweep, &cells, None);
    let order: Vec<&str> = summaries.standings.iter().map(|standing| standing.label.as_str()).collect();
    assert_eq!(order, ["d_k=4", "d_k=2", "d_k=1"]);
    assert_eq!(summaries.best().map(|best| best.sets.join(" ")).as_deref(), Some("model.d_k=2"));
    assert!(summaries.standings.iter().all(|standing| standing.improvement.is_none()));
    assert_eq!(summarise(&sweep, &[], None).best().map(|best| best.label.clone()), None);
}

#[test]
fn a_cell_of_another_configuration_is_not_taken_for_this_one() {
    let comparison = compare(THREE).unwrap();
    let (cell, root) = (comparison.cells()[2], tempfile::tempdir().unwrap());
    assert_eq!(cell.state(root.path()).unwrap(), State::New);
    let run = cell.run(root.path());
    fs::create_dir_all(run.root()).unwrap();
    let mut config = cell.config();
    // What may differ: it changes neither rows nor numbers.
    config.train.checkpoint_steps = 7;
    fs::write(run.config(), config.to_toml().unwrap()).unwrap();
    assert_eq!(cell.state(root.path()).unwrap(), State::Begun);
    fs::write(run.model(), "").unwrap();
    fs::write(run.result(), serde_json::to_string(&result(0.7, 0.6)).unwrap()).unwrap();
    assert_eq!(cell.state(root.path()).unwrap(), State::Finished);
    fs::write(run.result(), "{}").unwrap();
    let said = cell.state(root.path()).unwrap_err().to_string();
    assert!(said.contains("result.json") && said.contains("missing field"), "{said}");
    config.train.epochs = 9;
    config.model.insert("mir".to_owned(), true.into());
    fs::write(run.config(), config.to_toml().unwrap()).unwrap();
    let said = cell.state(root.path()).unwrap_err().to_string();
    assert!(said.contains("seed-5: was trained with another configuration"), "{said}");
    assert!(said.contains("(model.mir: true, now false, train.epochs: 9, now 2)") && said.contains("--out"), "{said}");
}
