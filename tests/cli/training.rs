//! Training through the real binary: the same seed gives the same bits, devices agree, runs end as they should.

use std::path::PathBuf;
use std::process::Stdio;

use crate::place::{Outcome, Place, has_software};

const MIR: &str = "model.name=mi-dpg model.dropout=0.2";

#[test]
fn a_seed_decides_every_bit_on_the_cpu() {
    let place = Place::with_data();
    place.train("a", MIR).succeeds();
    place.train("b", MIR).succeeds();
    place.assert_same_runs("a", "b");
    place.train("c", &format!("{MIR} train.seed=1")).succeeds();
    assert_ne!(place.read("a/model.safetensors"), place.read("c/model.safetensors"));
}

#[test]
fn threads_change_no_bit() {
    let place = Place::with_data();
    for (out, threads) in [("one", "1"), ("two", "2"), ("five", "5")] {
        let mut command = place.train_command(out, &format!("{MIR} train.batch_size=300"));
        Outcome::of(command.env("RAYON_NUM_THREADS", threads)).succeeds();
    }
    place.assert_same_runs("one", "two");
    place.assert_same_runs("one", "five");
}

/// 1,600 train rows, or nearly: 4 steps an epoch.
#[test]
fn learning_rates_follow_their_schedule() {
    let place = Place::with_data();
    let line = "model.name=dnn train.batch_size=405 train.learning_rate=0.01 train.patience=0";
    let rates = |run: &str| -> Vec<f64> {
        place.epochs(run).iter().map(|epoch| epoch["learning_rate"].as_f64().unwrap()).collect()
    };
    let near = |found: Vec<f64>, expected: &[f64]| {
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(found.len() == expected.len() && off < 1e-12, "{found:?}, expected {expected:?}");
    };
    let linear = format!("{line} train.schedule=linear train.warmup_steps=4 train.end_factor=0.1 train.epochs=3");
    place.train("linear", &linear).succeeds();
    assert_eq!(place.position("linear")["total_steps"], 12);
    // The warm-up ends with the first epoch; then nine tenths fall off within eight steps.
    near(rates("linear"), &[0.01, 0.01 * (1.0 - 0.9 * 3.0 / 8.0), 0.01 * (1.0 - 0.9 * 7.0 / 8.0)]);
    let step = format!("{line} train.schedule=step train.decay_steps=4 train.decay_factor=0.5");
    place.train("step", &format!("{step} train.epochs=3")).succeeds();
    near(rates("step"), &[0.01, 0.005, 0.0025]);
    assert_eq!(place.scalars("step")["train/learning rate"], [(4, 0.01), (8, 0.005), (12, 0.0025)]);

    // Weights move by these rates: after the first step by next to nothing.
    let still = format!("{line} train.epochs=1 train.schedule=step train.decay_steps=1 train.decay_factor=1e-30");
    place.train("start", &format!("{line} train.epochs=0")).succeeds();
    place.train("still", &still).succeeds();
    let moved = |run: &str, table: bool| {
        let (start, end) =
            (place.tensors("start/model.safetensors"), place.tensors(format!("{run}/model.safetensors")));
        let changes = start.iter().filter(|(name, _)| name.starts_with("embedding") == table);
        changes.flat_map(|(name, a)| a.iter().zip(&end[name])).fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()))
    };
    // Adam's first step is the rate itself.
    for table in [false, true] {
        assert!((moved("still", table) - 0.01).abs() < 1e-4, "{}", moved("still", table));
    }
    place.train("apart", &format!("{still} train.embedding_learning_rate=0.002")).succeeds();
    assert!((moved("apart", false) - 0.01).abs() < 1e-4 && (moved("apart", true) - 0.002).abs() < 1e-4);

    // Where the rate falls until the last epoch, that cannot be moved.
    let more =
        format!("{line} train.schedule=linear train.warmup_steps=4 train.end_factor=0.1 train.epochs=4 --resume");
    place.train("linear", &more).fails(6, &["[train]", "until epoch 3", "train.schedule"]);
    place.train("step", &format!("{step} train.epochs=4 --resume")).succeeds();
    place.train("whole", &format!("{step} train.epochs=4")).succeeds();
    place.assert_same_runs("step", "whole");
}

#[test]
fn a_seed_decides_every_bit_on_the_software_renderer_also_when_data_is_streamed() {
    if !has_software() {
        return;
    }
    let place = Place::with_data();
    let line = format!("{MIR} --device software");
    place.train("a", &line).succeeds();
    place.train("b", &line).succeeds();
    place.assert_same_runs("a", "b");
    place.train("streamed", &format!("{line} train.resident_mb=0")).succeeds();
    place.assert_same_runs("a", "streamed");
    place.train("c", &format!("{line} train.seed=1 train.epochs=1")).succeeds();
    assert_ne!(place.read("a/model.safetensors"), place.read("c/model.safetensors"));
}

#[test]
fn ten_steps_agree_between_cpu_and_software_renderer() {
    if !has_software() {
        return;
    }
    let place = Place::with_data();
    // 1,600 train rows, or nearly.
    let line = "model.name=mi-dpg train.epochs=1 train.batch_size=165";
    place.train("cpu", &format!("{line} --device cpu")).succeeds();
    place.train("software", &format!("{line} --device software")).succeeds();
    assert_eq!(place.position("cpu")["total_steps"], 10);
    let (cpu, software) = (place.tensors("cpu/model.safetensors"), place.tensors("software/model.safetensors"));
    assert!(cpu.keys().eq(software.keys()));
    for (name, expected) in &cpu {
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let mut off = expected.iter().zip(&software[name]).map(|(a, b)| f64::from(*a) - f64::from(*b));
        let off = norm(&mut off) / norm(&mut expected.iter().map(|&value| f64::from(value)));
        // Where a gradient is near 0, Adam's first steps turn its rounding into a step: compared by norm.
        assert!(off < 1e-3, "{name} is off by {off:e} of its norm");
    }
    let loss = |run: &str| place.epochs(run)[0]["train"]["loss"].as_f64().unwrap();
    let (cpu, software) = (loss("cpu"), loss("software"));
    assert!((cpu / software - 1.0).abs() < 1e-5, "{cpu} and {software}");
}

#[test]
fn no_epochs_leave_the_initial_weights_and_a_result() {
    let place = Place::with_data();
    place.trained_dnn("none", "train.epochs=0");
    place.trained_dnn("one", "train.epochs=1");
    let result = place.json("none/result.json");
    assert_eq!((&result["epochs"], &result["best_epoch"]), (&0.into(), &0.into()));
    assert!(result["test"]["auc"].is_f64(), "{result}");
    assert_eq!(place.text("none/metrics.jsonl"), "");
    let (initial, moved) = (place.tensors("none/model.safetensors"), place.tensors("one/model.safetensors"));
    assert!(initial.keys().eq(moved.keys()));
    assert!(initial.iter().all(|(name, values)| *values != moved[name]));
    let bias = |name: &str| name.ends_with(".bias");
    assert!(initial.iter().all(|(name, values)| bias(name) == values.iter().all(|&value| value == 0.0)));
}

#[test]
fn evaluations_within_an_epoch_change_nothing_but_what_is_kept() {
    let place = Place::with_data();
    // Four steps an epoch.
    let line = "model.name=dnn train.batch_size=405 train.epochs=2";
    place.train("epochs", line).succeeds();
    place.train("steps", &format!("{line} train.eval_steps=3")).succeeds().says(&["epoch 1   step 3  train LogLoss"]);
    let evaluations = |run: &str| -> Vec<(u64, u64, bool)> {
        let number = |record: &serde_json::Value, key: &str| record[key].as_u64().unwrap();
        let of = |record| (number(&record, "epoch"), number(&record, "steps"), record["unfinished"] == true);
        place.epochs(run).into_iter().map(of).collect()
    };
    assert_eq!(evaluations("steps"), [(1, 3, true), (1, 4, false), (2, 6, true), (2, 8, false)]);
    assert_eq!(place.scalars("steps")["valid/AUC"].len(), 4);
    let [epochs, steps] = ["epochs", "steps"].map(|run| place.tensors(format!("{run}/checkpoint.safetensors")));
    assert_eq!(epochs, steps);
    // The mean loss of an epoch is that of its parts, of three steps and of one.
    let loss = |run: &str, at: usize| place.epochs(run)[at]["train"]["bce"].as_f64().unwrap();
    assert!((loss("epochs", 0) - (3.0 * loss("steps", 0) + loss("steps", 1)) / 4.0).abs() < 1e-12);
    // Where nothing is learned, the second evaluation is no better than the first.
    let still = format!("{line} train.eval_steps=1 train.learning_rate=1e-30 train.patience=1");
    place.train("still", &still).succeeds();
    assert_eq!(evaluations("still"), [(1, 1, true), (1, 2, true)]);
    let position = place.position("still");
    assert_eq!((&position["epoch"], &position["step"], &position["best_steps"]), (&0.into(), &2.into(), &1.into()));
    place.train("still", &format!("{still} --resume")).succeeds();
    assert_eq!(evaluations("still").len(), 2);
    let page = place.text("steps/report.html");
    assert!(page.contains("Validation AUC by step") && !page.contains("Validation AUC by epoch"));
}

#[test]
fn training_stops_early_and_reports_the_best_epoch() {
    let place = Place::with_data();
    // Far too long for so few rows: the validation AUC falls sooner or later.
    let said = place.train("run", "model.name=dnn train.epochs=200 train.patience=2").succeeds();
    let (result, epochs) = (place.json("run/result.json"), place.epochs("run"));
    let best = result["best_epoch"].as_u64().unwrap();
    assert_eq!(epochs.len() as u64, best + 2);
    assert!(epochs.len() < 200);
    assert_eq!(result["epochs"], best + 2);
    let auc: Vec<f64> = epochs.iter().map(|epoch| epoch["valid"]["auc"].as_f64().unwrap()).collect();
    assert!(auc.iter().all(|&auc| auc <= auc_of(&epochs, best)), "{auc:?}");
    assert_eq!(result["valid"]["auc"].as_f64(), Some(auc_of(&epochs, best)));
    assert!(said.out.contains(&format!("the best weights (epoch {best})")), "{}", said.out);
    // The result is that of the weights that were kept, not of the newest.
    for split in ["test", "valid"] {
        let evaluated = place.run(&format!("eval run --split {split} --json --device cpu")).succeeds().json();
        for key in
            ["auc", "pr_auc", "logloss", "normalized_entropy", "gauc", "calibration", "rows", "positives", "scenarios"]
        {
            assert_eq!(evaluated[key], result[split][key], "{key} of {split}");
        }
    }
    // Given more patience, it goes on where it stopped.
    let more = format!("model.name=dnn train.epochs={} train.patience=0 --resume", best + 4);
    place.train("run", &more).succeeds();
    assert_eq!(place.epochs("run").len() as u64, best + 4);
}

fn auc_of(epochs: &[serde_json::Value], epoch: u64) -> f64 {
    epochs[epoch as usize - 1]["valid"]["auc"].as_f64().unwrap()
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_names_step_cause_and_checkpoint() {
    let place = Place::with_data();
    let wild = "model.name=mi-dpg train.learning_rate=1e30";
    place.train("first", wild).fails(
        5,
        &["became", "step 2 of epoch 1", "learning rate (1e30)", "train.learning_rate=1e29", "no checkpoint yet"],
    );
    place.train("second", &format!("{wild} train.checkpoint_steps=1")).fails(5, &["second/checkpoint.safetensors"]);
    assert_eq!(place.position("second")["total_steps"], 1);
}

#[test]
fn weights_that_the_last_step_spoiled_are_not_kept() {
    let place = Place::with_data();
    // One step, whose loss is good, and after it no prediction is a number.
    let wild = "model.name=mi-dpg train.learning_rate=1e38 train.batch_size=100000 train.epochs=1";
    place.train("run", wild).fails(5, &["validation LogLoss", "step 1 of epoch 1"]);
    place.train("none", "model.name=mi-dpg train.epochs=0").succeeds();
    assert_eq!(place.read("run/model.safetensors"), place.read("none/model.safetensors"));
    assert!(!place.path("run/result.json").exists());
}

#[test]
fn runs_are_named_after_configuration_and_model_and_numbered() {
    let place = Place::with_data();
    let train = |more: &str| {
        let mut command = place.command();
        command.args("train data/config.toml --device cpu --set train.epochs=0".split_whitespace());
        Outcome::of(command.args(more.split_whitespace()))
    };
    train("").succeeds();
    train("").succeeds();
    train("--set model.name=dnn").succeeds();
    let mut names: Vec<String> = place
        .path("runs")
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .map(|n| n.into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["config-dnn", "config-mi-dpg", "config-mi-dpg-2"]);
    // Without --out the newest goes on.
    let said = train("--resume --set train.epochs=1").succeeds();
    assert!(said.err.contains("runs/config-mi-dpg-2"), "{}", said.err);
    train("--resume --set model.name=dnn --out nowhere").fails(6, &["nowhere", "leave --resume out"]);
}

#[test]
fn runs_that_begin_together_get_folders_of_their_own() {
    let place = Place::with_data();
    let run = |seed: usize| {
        let mut command = place.command();
        command
            .args("train data/config.toml --device cpu --set model.name=dnn --set train.epochs=1".split_whitespace());
        command.args(["--set", &format!("train.seed={seed}")]).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(run).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let results: Vec<_> = place.path("runs").read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    let seed = |path: &PathBuf| place.json(path.join("result.json"))["seed"].as_u64().unwrap();
    let mut seeds: Vec<u64> = results.iter().map(seed).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let place = Place::with_data();
    place.trained_dnn("run", "train.epochs=0");
    let before = place.read("run/model.safetensors");
    place.train("run", "model.name=dnn train.seed=5").fails(6, &["run: already holds a run", "--resume", "--out"]);
    assert_eq!(place.read("run/model.safetensors"), before);
}

#[test]
fn the_configuration_of_a_run_repeats_it() {
    let place = Place::with_data();
    place.trained_dnn("a", "");
    place.run("train a/config.toml --device cpu --out elsewhere/b").succeeds();
    place.assert_same_runs("a", "elsewhere/b");
}

#[test]
fn a_batch_may_be_larger_than_the_data_or_one_row() {
    let place = Place::with_data();
    place.trained_dnn("large", "train.batch_size=100000 train.epochs=3");
    assert_eq!(place.position("large")["total_steps"], 3);
    place.trained_dnn("one", "train.batch_size=1 train.epochs=1");
    let mir = "model.name=mi-dpg model.mir_negatives=other-scenario train.batch_size=1 train.epochs=1";
    place.train("mir", mir).succeeds();
    assert_eq!(place.position("mir")["total_steps"], place.position("one")["total_steps"]);
    for size in ["0", "4000000000"] {
        let expected = ["train.batch_size", "from 1 to 1048576", size];
        place.train("no", &format!("model.name=dnn train.batch_size={size}")).fails(2, &expected);
    }
}

#[test]
fn one_scenario_and_no_validation_are_enough() {
    let place = Place::empty();
    place.run("synth --out data --rows 600 --vocab 50 --scenarios 1").succeeds();
    place.train("run", "model.name=mi-dpg model.mir_negatives=other-scenario data.split.valid=0.0").succeeds();
    let result = place.json("run/result.json");
    assert!(result.get("valid").is_none(), "{result}");
    assert_eq!(result["best_epoch"], 2);
    assert_eq!(result["test"]["scenarios"].as_object().unwrap().len(), 1);
}

#[test]
#[cfg(unix)]
fn files_of_a_run_are_as_readable_as_the_user_asks() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_data();
    place.trained_dnn("run", "train.epochs=1");
    let mode = |name: &str| place.path(name).metadata().unwrap().permissions().mode() & 0o777;
    place.write("plain", "");
    for name in ["model.safetensors", "checkpoint.safetensors", "result.json", "metrics.jsonl", "config.toml"] {
        assert_eq!(mode(&format!("run/{name}")), mode("plain"), "{name}");
    }
    let litter = place
        .path("run")
        .read_dir()
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".writing"));
    assert_eq!(litter.count(), 0);
}
