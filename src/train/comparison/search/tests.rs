use std::fs;

use super::*;
use crate::train::comparison::ExperimentKind;

const BASE: &str = r#"
[data]
path = "clicks.parquet"
label = "click"
aware = ["page"]

[model]
name = "mi-dpg"
hidden = [8]

[sweep]
"#;

const SPACE: &str =
    "[sweep.space]\n\"model.width\" = { min = 4, max = 8 }\n\"train.optimizer\" = [\"adam\", \"sgd\"]\n";

fn load(sweep: &str) -> Result<Comparison, Error> {
    load_with(sweep, &[])
}

fn load_with(sweep: &str, sets: &[&str]) -> Result<Comparison, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.toml");
    fs::write(&path, format!("{BASE}{sweep}")).unwrap();
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Comparison::load(ExperimentKind::Sweep, &path, &sets, &|path| format!("/data/{path}"))
}

#[test]
fn options_are_read_and_written_out() {
    let text = "method = \"tpe\"\ntrials = 9\nstartup_trials = 3\nsampler_seed = 5\nseeds = [7]\nhours = 1.5\n\
                pruning = \"halving\"\nreduction = 3\nwarmup_epochs = 0.25\n";
    let sweep = load(&format!("{text}{SPACE}")).unwrap();
    let search = sweep.search.as_ref().unwrap();
    assert_eq!((search.method, search.trials, search.hours, search.seed), (SweepMethod::Tpe, 9, Some(1.5), 7));
    assert_eq!(search.pruning, Some(PruningRule::Halving { reduction: 3, warmup_epochs: 0.25 }));
    assert_eq!(search.heads(), ["width", "optimizer"]);
    assert!(sweep.variants.is_empty() && sweep.cells().is_empty());
    let resolved = sweep.to_toml().unwrap();
    assert!(resolved.contains("seeds = [7]") && resolved.contains("trials = 9"), "{resolved}");
    let default = load(&format!("method = \"tpe\"\ntrials = 10\nstartup_trials = 9\npruning = \"median\"\n{SPACE}"));
    let default = default.unwrap().search.unwrap();
    assert_eq!((default.seed, default.sampler_seed), (0, 0));
    assert_eq!(default.pruning, Some(PruningRule::Median { warmup_trials: 5, warmup_epochs: 1.0 }));
}

#[test]
fn what_does_not_fit_is_said() {
    let random = "method = \"random\"\ntrials = 5\n";
    for (text, says) in [
        (
            format!("trials = 5\n{SPACE}"),
            "sweep.space: has no effect on a grid; a search has it: sweep.method = \"tpe\"",
        ),
        (
            "pruning = \"median\"\n[sweep.grid]\n\"model.width\" = [4]".to_owned(),
            "sweep.pruning: has no effect on a grid",
        ),
        (
            "[sweep.grid]\n\"model.width\" = { min = 4, max = 8 }".to_owned(),
            "ranges are for searches: sweep.method = \"tpe\", and [sweep.space]",
        ),
        (
            format!("method = \"bayes\"\n{SPACE}"),
            "sweep.method: expected \"grid\", \"random\" or \"tpe\", found \"bayes\"",
        ),
        (
            format!("{random}[sweep.grid]\n\"model.width\" = [4]"),
            "sweep.grid: has no effect with sweep.method = \"random\"",
        ),
        (random.to_owned(), "[sweep] needs the key `space`"),
        (format!("method = \"tpe\"\n{SPACE}"), "[sweep] needs the key `trials`"),
        (format!("method = \"tpe\"\ntrials = 0\n{SPACE}"), "sweep.trials: expected a whole number from 1"),
        (
            format!("method = \"random\"\ntrials = 11\n{SPACE}"),
            "sweep.trials: expected at most 10, all combinations there are",
        ),
        (
            format!("method = \"tpe\"\ntrials = 10\n{SPACE}"),
            "sweep.startup_trials (by default): expected a whole number from 1 to below sweep.trials, which is 10",
        ),
        (
            format!("{random}startup_trials = 3\n{SPACE}"),
            "sweep.startup_trials: has no effect with sweep.method = \"random\"",
        ),
        (format!("{random}hours = 0\n{SPACE}"), "sweep.hours: expected a number above 0"),
        (format!("{random}seeds = 2\n{SPACE}"), "sweep.seeds: expected one seed"),
        (
            format!("{random}reduction = 2\n{SPACE}"),
            "sweep.reduction: has no effect without sweep.pruning = \"halving\"",
        ),
        (format!("{random}warmup_epochs = 2\n{SPACE}"), "without sweep.pruning = \"median\" or \"halving\""),
        (
            format!("{random}pruning = \"halving\"\nwarmup_trials = 2\n{SPACE}"),
            "sweep.warmup_trials: has no effect without sweep.pruning = \"median\"",
        ),
        (
            format!("{random}pruning = \"halving\"\nwarmup_epochs = 0\n{SPACE}"),
            "sweep.warmup_epochs: expected a number of epochs above 0",
        ),
        (
            format!("{random}pruning = \"halving\"\nreduction = 1\n{SPACE}"),
            "sweep.reduction: expected a whole number from 2 on",
        ),
        // Slips in values, before anything runs: each end and each choice.
        (format!("{random}{SPACE}\"train.negative_rate\" = {{ min = 0.1, max = 1.5 }}\n"), "train.negative_rate"),
        (format!("{random}{SPACE}\"train.schedule\" = [\"none\", \"linaer\"]\n"), "linaer"),
        (format!("{random}{SPACE}\"model.widht\" = [1, 2]\n"), "did you mean `width`?"),
    ] {
        let error = load(&text).unwrap_err().to_string();
        assert!(error.contains("many.toml") && error.contains(says), "{text}\n{error}");
    }
    let set = load_with(&format!("{random}{SPACE}"), &["model.width=4"]).unwrap_err().to_string();
    assert_eq!(set, "--set model.width=4: `model.width` is searched; set sweep.space instead");
}

/// Draws all trials of a search whose runs nobody trains, so that all are drawn at random.
fn draw_all(sweep: &mut Comparison, root: &Path, refuse: &dyn Fn(&Variant) -> bool) -> Result<Vec<String>, Error> {
    let mut drawn = Vec::new();
    let mut check = |variant: &mut Variant| if refuse(variant) { Err("it is odd".to_owned()) } else { Ok(()) };
    while drawn.len() < sweep.search().trials {
        let Some(number) = sweep.draw(root, &|path| path.to_owned(), &mut check)? else { break };
        drawn.push(sweep.search().words(&sweep.variants[number - 1].settings));
    }
    Ok(drawn)
}

#[test]
fn no_combination_is_drawn_twice_and_what_was_drawn_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let new = || load(&format!("method = \"random\"\ntrials = 10\nskip_invalid = true\n{SPACE}")).unwrap();
    let mut sweep = new();
    let mut all = draw_all(&mut sweep, root, &|_| false).unwrap();
    assert_eq!(sweep.described(1), format!("trial 1 of 10: {}", all[0]));
    assert_eq!((sweep.variants[3].label.as_str(), sweep.variants[3].folder.as_str()), ("trial 4", "trial-4"));
    let whole = all.clone();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 10);

    // What cannot be trained is passed over, also by who goes on.
    let odd = |variant: &Variant| variant.config.model["width"].as_integer().unwrap() % 2 == 1;
    let mut sweep = new();
    let even = draw_all(&mut sweep, root, &odd).unwrap();
    assert_eq!((even.len(), sweep.skipped.len(), sweep.search().untrainable.len()), (6, 4, 4));
    assert_eq!(sweep.skipped[0].reason, "it is odd");
    sweep.record_trials(root).unwrap();
    let lines = fs::read_to_string(root.join("trials.jsonl")).unwrap();
    for kept in [2, 5, 8] {
        // As it was after so many lines.
        let text: String = lines.lines().take(kept).flat_map(|line| [line, "\n"]).collect();
        fs::write(root.join("trials.jsonl"), text).unwrap();
        let mut again = new();
        again.read_trials(root, &|path| path.to_owned()).unwrap();
        assert_eq!(again.variants.len() + again.skipped.len(), kept);
        draw_all(&mut again, root, &odd).unwrap();
        let settings = |sweep: &Comparison| sweep.variants.iter().map(|own| own.settings.clone()).collect::<Vec<_>>();
        assert_eq!(settings(&again), settings(&sweep));
    }

    // Another space is another search.
    let other = load("method = \"random\"\ntrials = 3\n[sweep.space]\n\"model.width\" = { min = 4, max = 8 }\n");
    let error = other.unwrap().read_trials(root, &|path| path.to_owned()).unwrap_err().to_string();
    assert!(error.contains("trials.jsonl: line 1: ") && error.contains("is not in [sweep.space]"), "{error}");
    assert!(error.contains("another --out"), "{error}");
    // Unless such are to be left out, the first ends it.
    let mut strict = load(&format!("method = \"random\"\ntrials = 10\n{SPACE}")).unwrap();
    let error = draw_all(&mut strict, root, &|_| true).unwrap_err().to_string();
    let says = format!("sweep.space: trial 1 ({}) cannot be trained: it is odd\nto draw another", whole[0]);
    assert!(error.contains(&says) && error.contains("sweep.skip_invalid = true"), "{error}");
}
