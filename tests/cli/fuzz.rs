//! Damaged files: whatever bytes a file has, the program ends with a result or with an error that names the file. It does
//! not panic, does not hang and takes no memory beyond its measure.
//!
//! Each test damages good files at random, by a seed of its own, a fixed number of times; with `POLYSCENE_FUZZ_SECONDS`
//! for so many seconds instead, from `POLYSCENE_FUZZ_SEED` on (else a new seed each time). What brings a fault about is
//! kept in `target/tmp/fuzz/`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use polyscene::config::Config;
use polyscene::data::{self, Encoder, Inputs, Rows, Schema};
use polyscene::plan::{CpuExecutor, Plan};
use polyscene::report::html::write_report;
use polyscene::train::comparison::{Comparison, ExperimentKind};
use polyscene::train::evaluation::predict::predict;
use polyscene::train::model::{build, training_options};
use polyscene::train::run::checkpoint::{load_checkpoint, load_model};
use polyscene::train::run::folder::RunFolder;
use polyscene::train::run::result::{RunResult, TrainingTime};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::place::Place;

/// What no file of a few kilobytes takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What text is damaged with: the ends of number formats, and what other formats begin and end with.
const TOKENS: &[&str] = &[
    "-1",
    "0",
    "1e999",
    "-0.0",
    "nan",
    "inf",
    "18446744073709551616",
    "9223372036854775807",
    "4294967296",
    "0x10",
    "1_0",
    "\"",
    "'",
    "\"\"\"",
    "\n",
    "\r\n",
    "\r",
    ",",
    ",,",
    ";",
    "\t",
    "\0",
    "\u{feff}",
    "é",
    "\u{202e}",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    "#",
    ".",
    "..",
    "/",
    "\\",
    "true",
    "null",
    "None",
    "NULL",
    "\\N",
    "2024-02-30",
    "1970-01-01T00:00:00Z",
];

/// One change of a file.
fn damage(bytes: &mut Vec<u8>, random: &mut Pcg64) {
    // Much of a format is at its ends.
    let length = bytes.len();
    let at = match random.random_range(0..3) {
        0 => random.random_range(0..=length.min(512)),
        1 => length - random.random_range(0..=length.min(1024)),
        _ => random.random_range(0..=length),
    };
    let end = (at + random.random_range(0..=32)).min(length);
    match random.random_range(0..9) {
        0 if at < length => bytes[at] ^= 1 << random.random_range(0..8),
        1 if at < length => bytes[at] = random.random(),
        2 => drop(
            bytes.splice(at..at, (0..random.random_range(1..9)).map(|_| random.random::<u8>()).collect::<Vec<_>>()),
        ),
        3 => drop(bytes.drain(at..end)),
        4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        5 if random.random_bool(0.2) => bytes.truncate(at),
        6 => {
            // A number gives way to another.
            let from = (at..length).find(|&place| bytes[place].is_ascii_digit()).unwrap_or(at);
            let to = (from..length).find(|&place| !bytes[place].is_ascii_digit()).unwrap_or(length);
            let token = TOKENS[random.random_range(0..TOKENS.len())];
            bytes.splice(from..to, token.bytes());
        }
        7 => drop(bytes.splice(at..at, TOKENS[random.random_range(0..TOKENS.len())].bytes())),
        _ => {
            // The length of something, in a binary format.
            let width = [1, 2, 4, 8][random.random_range(0..4)];
            let value: u64 = [0, 1, u64::MAX, i64::MAX as u64, 1 << 31, 1 << 40][random.random_range(0..6)];
            let end = (at + width).min(length);
            bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
    }
}

/// Damages one of `files` in `folder` at a time, so many times unless a time is set, and has `check` read the folder.
/// Errors must name the file.
fn fuzz(
    target: &str,
    times: usize,
    folder: &Path,
    files: &[&str],
    check: impl Fn(&str) -> Result<(), String> + Send + Sync,
) {
    let seconds: Option<f64> = std::env::var("POLYSCENE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("POLYSCENE_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let mut seed: u64 = seed.unwrap_or_else(|| if seconds.is_some() { rand::random::<u32>().into() } else { 0 });
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&kept).unwrap();
    let good: Vec<Vec<u8>> = files.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    for name in files {
        check(name).unwrap_or_else(|error| panic!("{target}: the good files are refused: {error}"));
    }
    let (started, mut done, mut refused) = (Instant::now(), 0, 0);
    while seconds.map_or(done < times, |seconds| started.elapsed().as_secs_f64() < seconds) {
        let mut random = Pcg64::seed_from_u64(seed);
        let which = random.random_range(0..files.len());
        let mut bytes = good[which].clone();
        for _ in 0..random.random_range(1..6) {
            damage(&mut bytes, &mut random);
        }
        // Before it is read: what ends the whole process can be looked at too.
        let name = files[which].replace('/', "-");
        let mutant = kept.join(format!("{target}-{name}"));
        std::fs::write(&mutant, &bytes).unwrap();
        std::fs::write(folder.join(files[which]), &bytes).unwrap();
        let fault = |what: &str| panic!("{target}, seed {seed}: {what}: {}", mutant.display());
        match patiently(|| check(files[which])) {
            None => fault("hangs"),
            Some(Err(_)) => fault("panics"),
            Some(Ok(Err(error))) => {
                refused += 1;
                let name = Path::new(files[which]).file_name().unwrap().to_str().unwrap();
                if !error.contains(name) || error.len() > 4000 {
                    fault(&format!("an error that does not name the file, or is noise ({error})"));
                }
            }
            Some(Ok(Ok(()))) => {}
        }
        std::fs::write(folder.join(files[which]), &good[which]).unwrap();
        std::fs::remove_file(&mutant).unwrap();
        seed += 1;
        done += 1;
    }
    assert!(refused > done / 20, "{target}: {refused} of {done} damaged files are refused");
}

/// What `work` returns, unless it panics, or does not end.
fn patiently<R: Send>(work: impl FnOnce() -> R + Send) -> Option<std::thread::Result<R>> {
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        scope.spawn(move || {
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        });
        match receiver.recv_timeout(PATIENCE) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                // A thread cannot be stopped: the process ends with what it has kept.
                eprintln!("a damaged file was not read in {PATIENCE:?}; it is in target/tmp/fuzz");
                std::process::exit(101);
            }
        }
    })
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// That encoded rows are such as models may be given.
fn assert_sound(rows: &Rows, encoder: &Encoder) {
    let fields = encoder.fields();
    for ids in rows.ids().chunks_exact(fields.len()) {
        assert!(ids.iter().zip(fields).all(|(id, field)| (*id as usize) < field.rows), "an id beyond its field's rows");
    }
    assert!(rows.labels().iter().all(|label| *label == 0.0 || *label == 1.0), "a label");
    assert!(rows.values().iter().all(|value| value.is_finite()), "a value");
    assert!(rows.scenarios().iter().all(|scenario| *scenario <= encoder.new_scenario()), "a scenario");
}

fn schema_of(config: &Path, data: &str) -> Schema {
    let config = Config::load(config, &[format!("data.path={data}"), "data.cache=false".to_owned()]).unwrap();
    config.schema().unwrap()
}

/// Opens a file as training does, and scans it as predictions do.
fn reads_data(schema: &Schema, encoder: &Encoder, folder: &Path) -> Result<(), String> {
    let opened = data::open(schema, &[folder.to_owned()], &mut |_| {});
    if let Ok(data) = &opened {
        for rows in [&data.train, &data.valid, &data.test] {
            assert_sound(rows, &data.encoder);
        }
    }
    let inputs = Inputs::find(&schema.path, schema.format, schema.delimiter, &[folder.to_owned()]).map_err(said)?;
    for need_label in [true, false] {
        for chunk in data::scan(encoder, &inputs, need_label, 64).map_err(said)? {
            assert_sound(&chunk.map_err(said)?.rows, encoder);
        }
    }
    match opened {
        // Of all the rows, whatever files they are in.
        Err(data::Error::EmptySplit { .. } | data::Error::OneClass { .. } | data::Error::UntrainedScenario { .. }) => {
            Ok(())
        }
        opened => opened.map(|_| ()).map_err(said),
    }
}

/// 300 rows of every type as CSV, and their configuration.
fn typed_csv(place: &Place) -> PathBuf {
    place.write(
        "typed.toml",
        "[data]\nlabel = 'label'\npath = 'typed.csv'\nscenario = 'page'\naware = ['page']\n\
         agnostic = ['text', 'flag', 'day', 'code', 'price', 'age']\non_bad_row = 'fail'\nuser = 'text'\n\
         fields.price.kind = 'numeric'\nfields.age.kind = 'bucket'\nfields.age.buckets = 4\n\
         split.by = 'time'\nsplit.column = 'at'\n\
         sequence = [{ column = 'seen', vocabulary = 'text', max_length = 5 }]\n[model]\nname = 'dnn'\nwidth = 2\nhidden = [4]\n",
    );
    let row = |i: usize| {
        format!(
            "{},page {},\"text, {}\",{},2024-01-{:02},00{},{}.5,{},2024-03-{:02} 10:00:00,\"text, {}|text, {}\"\n",
            i % 2,
            i % 3,
            i % 7,
            ["True", "False"][i % 2],
            1 + i % 28,
            i % 5,
            i % 11,
            i % 60,
            1 + i % 31,
            i % 7,
            i % 4
        )
    };
    let head = "label,page,text,flag,day,code,price,age,at,seen\n".to_owned();
    place.write("csv/typed.csv", std::iter::once(head).chain((0..300).map(row)).collect::<String>());
    place.path("typed.toml")
}

#[test]
fn damaged_csv() {
    let place = Place::empty();
    let schema = schema_of(&typed_csv(&place), "typed.csv");
    let folder = place.path("csv");
    let encoder = data::open(&schema, std::slice::from_ref(&folder), &mut |_| {}).unwrap().encoder;
    fuzz("csv", 500, &folder, &["typed.csv"], |_| reads_data(&schema, &encoder, &folder));
}

#[test]
fn damaged_parquet() {
    let place = Place::empty();
    place.run("synth --out data --rows 400 --vocab 50 --sequence 3 --seed 3").succeeds();
    let schema = schema_of(&place.path("data/config.toml"), "data.parquet");
    let folder = place.path("data");
    let encoder = data::open(&schema, std::slice::from_ref(&folder), &mut |_| {}).unwrap().encoder;
    fuzz("parquet", 400, &folder, &["data.parquet"], |_| reads_data(&schema, &encoder, &folder));
}

#[test]
fn damaged_configurations() {
    let place = Place::empty();
    let typed = typed_csv(&place);
    let schema = schema_of(&typed, "typed.csv");
    let encoder = data::open(&schema, &[place.path("csv")], &mut |_| {}).unwrap().encoder;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let text = |name: &str| std::fs::read_to_string(examples.join(name)).unwrap();
    place.write("toml/run.toml", text("synthetic.toml"));
    place.write("toml/typed.toml", place.read("typed.toml"));
    place.write("toml/compare.toml", text("compare-mir.toml"));
    place.write("toml/sweep.toml", text("sweep-low-rank.toml"));
    let folder = place.path("toml");
    let comparison =
        |kind, name: &str| Comparison::load(kind, &folder.join(name), &[], &str::to_owned).map(|_| ()).map_err(said);
    fuzz("toml", 1500, &folder, &["run.toml", "typed.toml", "compare.toml", "sweep.toml"], |name| match name {
        "compare.toml" => comparison(ExperimentKind::Compare, name),
        "sweep.toml" => comparison(ExperimentKind::Sweep, name),
        _ => {
            let mut config = Config::load(folder.join(name), &[]).map_err(said)?;
            let schema = config.schema().map_err(said)?;
            // What is wrong with the columns' names, or with the model, is said of the section.
            let _ = schema.validate();
            if build(&mut config, &encoder).is_ok() {
                config.to_toml().map_err(said)?;
            }
            Ok(())
        }
    });
}

#[test]
fn damaged_runs() {
    let place = Place::empty();
    place.run("synth --out data --rows 600 --vocab 30 --seed 3").succeeds();
    place.train("run", "model.name=mi-dpg train.epochs=1").succeeds();
    let folder = place.path("run");
    let good = data::open(&schema_of(&folder.join("config.toml"), "data.parquet"), &[place.path("data")], &mut |_| {});
    let rows = good.unwrap().test;
    let files = [
        "config.toml",
        "vocabularies/encoder.toml",
        "vocabularies/vocabularies.csv",
        "model.safetensors",
        "checkpoint.safetensors",
        "metrics.jsonl",
        "result.json",
        "calibration.csv",
        "analysis/weighting.0-samples.csv",
    ];
    fuzz("run", 100, &folder, &files, |name| {
        let run = RunFolder::open(&folder).map_err(said)?;
        if !name.starts_with("vocabularies") && !name.ends_with("safetensors") {
            // A page leaves out what it cannot read.
            write_report(&folder).map_err(said)?;
        }
        match name {
            "metrics.jsonl" => return TrainingTime::of(&run).map(|_| ()).map_err(said),
            "result.json" => return RunResult::load(&run.result()).map(|_| ()).map_err(said),
            "calibration.csv" | "analysis/weighting.0-samples.csv" => return Ok(()),
            _ => {}
        }
        let mut config = Config::load(run.config(), &[]).map_err(said)?;
        let encoder = Encoder::load(&run.vocabularies()).map_err(said)?;
        // What is wrong with a model is said of its section.
        let Ok(model) = build(&mut config, &encoder) else { return Ok(()) };
        let state = load_model(&run.model(), &model.graph, config.model_name());
        let checkpoint = load_checkpoint(&run.checkpoint(), &model.graph, config.model_name());
        if name == "config.toml" || name.starts_with("vocabularies") {
            // Another model, or other fields: its weights are another's.
            return Ok(());
        }
        checkpoint.map_err(said)?;
        let (train, inference) =
            (Plan::training(&model.graph, &training_options(&config.train)), Plan::inference(&model.prediction, 64));
        let mut executor = CpuExecutor::<f32>::new(train, inference, state.map_err(said)?);
        predict(&mut executor, &model, &rows, &encoder).map(|_| ()).map_err(said)
    });
}
