//! A run that was stopped, however it was, goes on to the bits of one that was not.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};

use crate::place::{Outcome, Place, has_software};

/// Everything random in training at once: dropout, the order of rows, π.
const MODELS: [&str; 3] = [
    "model.name=dnn model.dropout=0.3 train.embedding_adam=dense train.weight_decay=0.01",
    "model.name=mi-dpg model.dropout=0.3 train.embedding_l2=0.01 train.warmup_steps=9 train.embedding_learning_rate=0.003 \
     train.eval_steps=5",
    "model.name=mi-dpg model.mir_negatives=other-scenario train.batch_size=100 train.optimizer=adagrad \
     train.embedding_optimizer=rowwise-adagrad train.max_gradient_norm=0.1 train.negative_rate=0.6",
];

/// A run that does not end by itself in the time of a test.
fn endless(place: &Place, line: &str) -> Child {
    let mut command = place.train_command("stopped", &format!("{line} train.epochs=1000000 train.checkpoint_steps=3"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `child` has written its checkpoint and written it anew.
fn wait_for_checkpoints(place: &Place, child: &mut Child) {
    use std::os::unix::fs::MetadataExt;
    let path = place.path("stopped/checkpoint.safetensors");
    let (mut seen, start) = (Vec::new(), Instant::now());
    while seen.len() < 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        // Each write is a new file in the old one's place.
        if let Ok(file) = path.metadata() {
            let stamp = (file.ino(), file.mtime(), file.mtime_nsec());
            if seen.last() != Some(&stamp) {
                seen.push(stamp);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets the stopped run go on for an epoch or two, and compares it with one that was not stopped.
fn goes_on_to_the_same_bits(place: &Place, line: &str) {
    let epochs = place.position("stopped")["epoch"].as_u64().unwrap() + 2;
    let line = format!("{line} train.epochs={epochs}");
    place.train("whole", &line).succeeds();
    let said = place.train("stopped", &format!("{line} --resume")).succeeds();
    assert!(said.err.contains("resuming after epoch"), "{}", said.err);
    place.assert_same_runs("stopped", "whole");
    assert_eq!(whole_epochs(place, "stopped"), epochs);
}

/// Evaluations at the end of an epoch.
fn whole_epochs(place: &Place, run: &str) -> u64 {
    place.epochs(run).iter().filter(|record| record["unfinished"] != true).count() as u64
}

#[test]
fn more_epochs() {
    let place = Place::with_data();
    for (i, line) in MODELS.iter().enumerate() {
        let (parts, whole) = (format!("parts{i}"), format!("whole{i}"));
        place.train(&parts, &format!("{line} train.epochs=1")).succeeds();
        place.train(&parts, &format!("{line} train.epochs=3 --resume")).succeeds();
        place.train(&whole, &format!("{line} train.epochs=3")).succeeds();
        place.assert_same_runs(&parts, &whole);
        assert_eq!(whole_epochs(&place, &parts), 3);
    }
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let place = Place::with_data();
    place.trained_dnn("run", "");
    place.trained_dnn("again", "");
    place.trained_dnn("again", "--resume");
    place.assert_same_runs("run", "again");
}

#[test]
fn no_epochs_and_then_some() {
    let place = Place::with_data();
    place.trained_dnn("run", "train.epochs=0");
    place.trained_dnn("run", "train.epochs=2 --resume");
    place.trained_dnn("whole", "train.epochs=2");
    place.assert_same_runs("run", "whole");
}

#[test]
fn killed() {
    for line in MODELS {
        let place = Place::with_data();
        let mut child = endless(&place, line);
        wait_for_checkpoints(&place, &mut child);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        place.write("stopped/.writing-checkpoint.safetensors-x", "what a kill in the middle of a write leaves");
        goes_on_to_the_same_bits(&place, line);
        let names = place.path("stopped").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with(".writing")));
    }
}

/// As long as a machine can take to start a process, read the data and train a few epochs.
const LONGEST_LIFE: u64 = 400;
const KILLS: usize = 25;

#[test]
fn killed_again_and_again() {
    let place = Place::with_data();
    let line = "model.name=mi-dpg model.dropout=0.3 train.embedding_l2=0.01 train.epochs=25 train.checkpoint_steps=2";
    let mut random = rand_pcg::Pcg64::seed_from_u64(5);
    let mut kills = 0;
    while kills < KILLS {
        let resume = if place.path("run/config.toml").exists() { "--resume" } else { "" };
        let mut command = place.train_command("run", &format!("{line} {resume}"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // At any moment, from the first read of the configuration on.
        std::thread::sleep(Duration::from_millis(random.random_range(0..LONGEST_LIFE)));
        child.kill().unwrap();
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        if outcome.code == Some(0) {
            break;
        }
        assert_eq!(outcome.code, None, "{}", outcome.err);
        kills += 1;
    }
    let resume = if place.path("run/config.toml").exists() { "--resume" } else { "" };
    place.train("run", &format!("{line} {resume}")).succeeds();
    place.train("whole", line).succeeds();
    place.assert_same_runs("run", "whole");
    assert_eq!(place.epochs("run").len(), 25);
    assert!(kills > 3, "{kills} kills");
}

#[test]
fn a_second_process_is_told_who_writes() {
    let place = Place::with_data();
    let mut child = endless(&place, MODELS[0]);
    wait_for_checkpoints(&place, &mut child);
    let checkpoint = || place.path("stopped/checkpoint.safetensors").exists();
    let held = format!("is being written by process {} on ", child.id());
    place
        .train("stopped", &format!("{} --resume", MODELS[0]))
        .fails(6, &["stopped: ", &held, " since 20", "UTC", "--out"]);
    assert!(checkpoint() && child.try_wait().unwrap().is_none());
    // The lock of a process that is gone is nobody's.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.path("stopped/.lock-owner.toml").exists());
    goes_on_to_the_same_bits(&place, MODELS[0]);
    assert!(!place.path("stopped/.lock-owner.toml").exists());
}

#[test]
fn of_two_that_begin_together_one_gets_the_folder() {
    let place = Place::with_data();
    let start = || {
        let mut command = place.train_command("run", "model.name=dnn train.epochs=1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start(), start()].map(|child| Outcome::from(child.wait_with_output().unwrap()));
    let codes = both.each_ref().map(|outcome| outcome.code.unwrap());
    let mut sorted = codes;
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 6, 6], "{}", both.each_ref().map(|outcome| outcome.err.clone()).join("\n"));
    place.train("alone", "model.name=dnn train.epochs=1").succeeds();
    place.assert_same_runs("run", "alone");
}

#[test]
fn interrupted() {
    for (line, signal) in MODELS.into_iter().zip(["INT", "TERM", "INT"]) {
        let place = Place::with_data();
        let mut child = endless(&place, line);
        wait_for_checkpoints(&place, &mut child);
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        let said = outcome.fails(130, &["a checkpoint was written", "polyscene train data/config.toml", "--resume"]);
        let position = place.position("stopped");
        assert!(position["step"].as_u64().unwrap() > 0, "in the middle of an epoch: {position}");
        let place_of_stop =
            format!("stopped in epoch {} after step {}", position["epoch"].as_u64().unwrap() + 1, position["step"]);
        assert!(said.err.contains(&place_of_stop), "{}", said.err);
        goes_on_to_the_same_bits(&place, line);
    }
}

#[test]
fn the_command_to_go_on_with_does_so() {
    let place = Place::with_data();
    let mut child = endless(&place, "model.name=dnn");
    wait_for_checkpoints(&place, &mut child);
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let said = Outcome::from(child.wait_with_output().unwrap()).fails(130, &[]);
    let line = said.err.lines().find_map(|line| line.trim().strip_prefix("polyscene ")).expect("a command");
    let epochs = place.position("stopped")["epoch"].as_u64().unwrap() + 1;
    let mut command = Command::new("sh");
    command.current_dir(place.path("")).arg("-c");
    let binary = place.command().get_program().to_str().unwrap().to_owned();
    command.arg(format!("{binary} {line} --set train.epochs={epochs}"));
    let said = Outcome::of(&mut command).succeeds();
    assert!(said.err.contains("resuming after epoch"), "{}", said.err);
    assert_eq!(place.epochs("stopped").len() as u64, epochs);
}

#[test]
fn interrupted_on_the_software_renderer() {
    if !has_software() {
        return;
    }
    let place = Place::with_data();
    let line = "model.name=mi-dpg model.dropout=0.3 --device software";
    let mut child = endless(&place, line);
    wait_for_checkpoints(&place, &mut child);
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    Outcome::from(child.wait_with_output().unwrap()).fails(130, &["--device software"]);
    goes_on_to_the_same_bits(&place, line);
}

#[test]
fn not_with_another_model_or_other_options() {
    let place = Place::with_data();
    place.trained_dnn("run", "train.epochs=1");
    let (model, checkpoint) = (place.read("run/model.safetensors"), place.read("run/checkpoint.safetensors"));
    for (line, section) in [
        ("model.name=dnn train.batch_size=64", "another [train]"),
        ("model.name=dnn train.seed=9", "another [train]"),
        ("model.name=dnn model.width=8", "another [model]"),
        ("model.name=mi-dpg", "another [model]"),
        ("model.name=dnn data.min_count=2", "another [data]"),
        ("model.name=dnn data.min_count=2 train.beta1=0.8", "another [data] and [train]"),
    ] {
        let outcome = place.train("run", &format!("{line} --resume"));
        outcome.fails(6, &["run: was trained with", section, "only train.epochs", "config.toml"]);
    }
    assert_eq!(place.read("run/model.safetensors"), model);
    assert_eq!(place.read("run/checkpoint.safetensors"), checkpoint);
    let allowed = "train.epochs=2 train.patience=5 train.checkpoint_steps=2 train.eval_batch_size=100 train.resident_mb=1 data.cache=false";
    place.trained_dnn("run", &format!("{allowed} --resume"));
}

#[test]
fn not_from_another_models_checkpoint_or_a_damaged_one() {
    let place = Place::with_data();
    place.trained_dnn("dnn", "train.epochs=1");
    place.train("run", "model.name=mi-dpg train.epochs=1").succeeds();
    let good = place.read("run/checkpoint.safetensors");
    let resume = || place.train("run", "model.name=mi-dpg train.epochs=2 --resume");

    place.write("run/checkpoint.safetensors", place.read("dnn/checkpoint.safetensors"));
    resume().fails(6, &["run/checkpoint.safetensors", "is of model \"dnn\", not \"mi-dpg\""]);
    place.write("run/checkpoint.safetensors", place.read("run/model.safetensors"));
    resume().fails(6, &["run/checkpoint.safetensors", "missing"]);
    for length in [good.len() - 1, good.len() / 2, 100, 4, 0] {
        place.write("run/checkpoint.safetensors", &good[..length]);
        resume().fails(6, &["run/checkpoint.safetensors", "cut off or damaged", "train again"]);
    }
    place.write("run/checkpoint.safetensors", &good);
    resume().succeeds();
}
