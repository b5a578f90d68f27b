//! `sweep` with trials that are drawn: a search that is stopped goes on to the same trials.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::place::{Outcome, Place};
use serde_json::Value;

const SEARCH: &str = r#"
[model]
name = "dnn"
hidden = [8]

[train]
epochs = 3
patience = 0
batch_size = 128
eval_steps = 5

[sweep]
method = "tpe"
trials = 7
startup_trials = 3
pruning = "median"
warmup_trials = 2
warmup_epochs = 0.5

[sweep.space]
"train.learning_rate" = { min = 1e-4, max = 1e-1, log = true }
"model.width" = { min = 4, max = 8, step = 4 }
"train.optimizer" = ["adam", "sgd"]
"#;

fn place() -> Place {
    let place = Place::with_data();
    let config = place.text("data/config.toml");
    let data = config.split("[model]").next().unwrap().replace("data.parquet", "data/data.parquet");
    place.write("s.toml", format!("{data}{SEARCH}"));
    place
}

fn sweep(place: &Place, line: &str) -> Outcome {
    place.run(&format!("sweep s.toml --device cpu {line}"))
}

fn trials(place: &Place, folder: &str) -> Vec<Value> {
    place.text(format!("{folder}/trials.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_search_that_is_stopped_goes_on_to_the_same_trials() {
    let place = place();
    let done = sweep(&place, "--out whole").succeeds();
    let whole = trials(&place, "whole");
    assert_eq!(whole.iter().map(|trial| trial["trial"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let of = |state: &str| whole.iter().filter(|trial| trial["state"] == state).collect::<Vec<_>>();
    let (finished, pruned) = (of("finished"), of("pruned"));
    assert!(finished.len() + pruned.len() == 7 && !pruned.is_empty() && finished.len() > 2, "{whole:?}");

    // What is pruned has no result; its last evaluation is below the median of what the others had by then.
    for trial in &pruned {
        let folder = format!("whole/{}", trial["folder"].as_str().unwrap());
        assert!(!place.path(format!("{folder}/result.json")).exists());
        let best = |folder: &str, steps: u64| {
            let until = place.epochs(folder).into_iter().filter(|epoch| epoch["steps"].as_u64().unwrap() <= steps);
            until.map(|epoch| epoch["valid"]["auc"].as_f64().unwrap()).fold(0.0, f64::max)
        };
        let steps = trial["pruned"]["steps"].as_u64().unwrap();
        assert_eq!(place.epochs(&folder).last().unwrap()["steps"], steps);
        let before = whole.iter().take_while(|other| other["trial"] != trial["trial"]);
        let came = before.filter(|other| other["pruned"]["steps"].as_u64().is_none_or(|other| other >= steps));
        let mut others: Vec<f64> =
            came.map(|other| best(&format!("whole/{}", other["folder"].as_str().unwrap()), steps)).collect();
        others.sort_by(f64::total_cmp);
        let median = f64::midpoint(others[(others.len() - 1) / 2], others[others.len() / 2]);
        let own = best(&folder, steps);
        assert!(others.len() >= 2 && own < median, "{own} against {others:?}");
        assert_eq!((trial["valid_auc"].as_f64(), trial["pruned"]["needed"].as_f64()), (Some(own), Some(median)));
    }
    // The best by validation among those that are finished.
    let auc = |trial: &&Value| trial["valid_auc"].as_f64().unwrap();
    let best = finished.iter().copied().max_by(|a, b| auc(a).total_cmp(&auc(b))).unwrap();
    let number = |key: &str| &best["settings"][key];
    let line = format!("best by validation: trial {}\n  --set train.learning_rate=", best["trial"]);
    assert!(done.out.contains(&line), "{}", done.out);
    let rest = format!(
        "--set model.width={} --set train.optimizer={}",
        number("model.width"),
        number("train.optimizer").as_str().unwrap()
    );
    assert!(done.out.contains(&rest) && done.out.contains(" learning_rate "), "{}", done.out);
    assert!(done.err.contains("trial 1 of 7: learning_rate=") && done.err.contains("\n  pruned "), "{}", done.err);
    assert_eq!(place.text("whole/cells.jsonl").lines().count(), finished.len());
    let (table, page) = (place.text("whole/table.md"), place.text("whole/report.html"));
    assert!(
        table.contains("### Trials") && table.contains("| pruned ") && !table.contains("Not finished yet"),
        "{table}"
    );
    assert!(page.contains("pruned ") && page.contains("Best validation AUC by trial"));

    // Stopped as by Ctrl-C while a run trains.
    let mut command = place.command();
    command.args("sweep s.toml --device cpu --out many".split(' '));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !place.path("many/trial-4/seed-0/config.toml").is_file() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come to trial 4");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    let interrupt = |pid: u32| std::process::Command::new("kill").args(["-s", "INT", &pid.to_string()]).status();
    assert!(interrupt(child.id()).unwrap().success());
    let said = Outcome::from(child.wait_with_output().unwrap());
    said.fails(130, &["stopped in trial ", "polyscene sweep s.toml", "--out many"]);
    let drawn = trials(&place, "many").len();
    assert!((4..7).contains(&drawn), "{drawn} are drawn");
    let listed = sweep(&place, "--out many --dry-run").succeeds();
    assert!(listed.out.contains(&format!("{drawn} of 7 trials are drawn")), "{}", listed.out);
    // What a crash leaves between a run's last evaluation and what follows from it.
    let early = pruned.iter().find(|trial| trial["trial"].as_u64().unwrap() < 4);
    if let Some(trial) = early {
        std::fs::remove_file(place.path(format!("many/{}/pruned.json", trial["folder"].as_str().unwrap()))).unwrap();
    }
    let again = sweep(&place, "--out many").succeeds();
    assert!(again.err.contains(" are drawn already)"), "{}", again.err);
    assert_eq!(place.text("many/trials.jsonl"), place.text("whole/trials.jsonl"));
    for trial in &finished {
        let folder = trial["folder"].as_str().unwrap();
        place.assert_same_runs(&format!("whole/{folder}"), &format!("many/{folder}"));
    }
    // Tables too, but for what takes time.
    let trials_of = |folder: &str| {
        let text = place.text(format!("{folder}/table.md"));
        text.split("### Costs").next().unwrap().to_owned()
    };
    assert_eq!(trials_of("many"), trials_of("whole"));

    // More trials go on from those; what is over is not trained again.
    let more = sweep(&place, "--out many --set sweep.trials=8").succeeds();
    assert_eq!(more.err.matches("\ntrial ").count(), 1, "{}", more.err);
    assert_eq!(trials(&place, "many")[..7], whole[..]);
    let late = sweep(&place, "--out many --set sweep.trials=9 --set sweep.hours=1e-9").succeeds();
    assert!(
        !late.err.contains("\ntrial ") && late.out.contains("Not finished yet: 1 run (no trial begins after"),
        "{}",
        late.out
    );
    let resolved = place.run("sweep many/sweep.toml --device cpu --dry-run").succeeds();
    assert!(resolved.out.contains("8 of 9 trials are drawn"), "{}", resolved.out);
    sweep(&place, "--out many --only trial-1").fails(2, &["--only", "follows from those before it"]);
    let other = "--out many --set sweep.space.\"train.optimizer\"=[\"adagrad\",\"sgd\"]";
    sweep(&place, other).fails(6, &["trials.jsonl: line ", "is not in [sweep.space]"]);
}
