//! The commands beside `train`, and what they print: eval, predict, analyze, history, plan, devices, models, synth.

use std::fs::File;
use std::process::Stdio;

use crate::place::{Outcome, Place, has_software};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// A place with a trained `run`.
fn trained() -> Place {
    let place = Place::with_data();
    place.train("run", "model.name=mi-dpg").succeeds();
    place
}

fn read_parquet(place: &Place, name: &str) -> RecordBatch {
    let file = File::open(place.path(name)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().unwrap();
    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn read_csv(place: &Place, name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(place.path(name)).unwrap();
    let heads = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let lines = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    (heads, lines)
}

/// Probability that a positive scores above a negative one, ties counting one half; by its definition.
fn auc(scored: &[(f32, bool)]) -> f64 {
    let of = |class: bool| scored.iter().filter(move |row| row.1 == class).map(|row| row.0);
    let wins: f64 = of(true)
        .flat_map(|p| of(false).map(move |n| if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 }))
        .sum();
    wins / (of(true).count() * of(false).count()) as f64
}

#[test]
fn predictions_stand_beside_all_columns_in_the_order_of_the_rows_whatever_the_formats() {
    let place = trained();
    let predict = |data: &str, out: &str| {
        place.run(&format!("predict run --device cpu --data {data} --out {out}")).succeeds();
    };
    let input = read_parquet(&place, "data/data.parquet");
    predict("data/data.parquet", "a.parquet");
    let output = read_parquet(&place, "a.parquet");
    let (last, columns) = output.columns().split_last().unwrap();
    assert_eq!(columns, input.columns());
    assert_eq!(output.schema().fields()[columns.len()].name(), "prediction");
    let predictions: Vec<f32> = last.as_primitive::<Float32Type>().values().to_vec();
    assert_eq!(last.null_count(), 0);
    assert!(predictions.iter().all(|&p| p > 0.0 && p < 1.0));
    assert!(predictions.iter().any(|&p| p != predictions[0]));

    predict("data/data.parquet", "a.csv");
    let (heads, lines) = read_csv(&place, "a.csv");
    let names: Vec<String> = input.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(heads, [names, vec!["prediction".to_owned()]].concat());
    let of_csv =
        |lines: &[Vec<String>]| lines.iter().map(|line| line.last().unwrap().parse().unwrap()).collect::<Vec<f32>>();
    assert_eq!(of_csv(&lines), predictions);
    let items = input.column_by_name("scenario").unwrap();
    let items = arrow_cast::cast(items, &DataType::Utf8).unwrap();
    let place_of = heads.iter().position(|head| head == "scenario").unwrap();
    assert!(lines.iter().map(|line| line[place_of].as_str()).eq(items.as_string::<i32>().iter().map(Option::unwrap)));

    // From text as from Parquet: the same predictions, and the text as it was.
    let bare: String =
        place.text("a.csv").lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0)).collect();
    place.write("bare.csv", &bare);
    predict("bare.csv", "b.csv");
    assert_eq!(place.text("b.csv"), place.text("a.csv"));
    predict("bare.csv", "b.parquet");
    let output = read_parquet(&place, "b.parquet");
    assert_eq!(
        output.column_by_name("prediction").unwrap().as_primitive::<Float32Type>().values().to_vec(),
        predictions
    );
    assert_eq!(output.num_columns(), heads.len());
    let text = output.column_by_name("scenario").unwrap().as_string::<i32>().iter().map(Option::unwrap);
    assert!(text.eq(items.as_string::<i32>().iter().map(Option::unwrap)));

    // A file may be predicted into itself.
    predict("bare.csv", "bare.csv");
    assert_eq!(place.text("bare.csv"), place.text("a.csv"));
}

#[test]
fn embeddings_are_written_with_the_values_they_stand_for() {
    let place = trained();
    let weights = place.tensors("run/model.safetensors");
    let (name, expected) = weights.iter().find(|(name, _)| name.ends_with(".item_id")).unwrap();
    let table = name.strip_suffix(".item_id").unwrap();
    place.run("embeddings run --field item_id --out item.parquet").succeeds();
    let rows = read_parquet(&place, "item.parquet");
    let ids = rows.column_by_name("id").unwrap().as_primitive::<UInt32Type>();
    assert!(ids.values().iter().copied().eq(0..rows.num_rows() as u32));
    let vectors = rows.column_by_name("vector").unwrap().as_fixed_size_list();
    assert_eq!(vectors.value_length(), 4);
    assert_eq!(vectors.values().as_primitive::<Float32Type>().values(), &expected[..]);
    // Row 0 is that of missing and unknown values; the others are the vocabulary's, each once.
    let values = rows.column_by_name("value").unwrap().as_string::<i32>();
    assert!(values.is_null(0) && values.null_count() == 1);
    let (_, known) = read_csv(&place, "run/vocabularies/vocabularies.csv");
    let known = known.iter().filter(|line| line[0] == "item_id").map(|line| (line[1].clone(), line[2].as_str()));
    assert!(known.eq(values.iter().enumerate().skip(1).map(|(id, value)| (id.to_string(), value.unwrap()))));

    place.run(&format!("embeddings run --field item_id --table {table} --out item.csv")).succeeds();
    let (heads, lines) = read_csv(&place, "item.csv");
    assert_eq!(heads, ["id", "value", "vector_0", "vector_1", "vector_2", "vector_3"]);
    let of_csv = lines.iter().flat_map(|line| line[2..].iter().map(|cell| cell.parse::<f32>().unwrap()));
    assert!(of_csv.eq(expected.iter().copied()));
    assert_eq!(lines[0][1], "");

    place
        .run("embeddings run --field itemid --out x.csv")
        .fails(2, &["--field", "did you mean \"item_id\"?", "one of"]);
    place.run("embeddings run --field item_id --table x --out x.csv").fails(2, &["--table", "one of", table]);
    place.run("embeddings data --field item_id --out x.csv").fails(6, &["data", "holds no run"]);
    assert!(!place.path("x.csv").exists());
}

/// SAML has a table whose rows each scenario has for itself.
#[test]
fn embeddings_of_each_scenario_are_told_apart() {
    let place = Place::with_data();
    place.train("run", "model.name=saml train.epochs=1").succeeds();
    let weights = place.tensors("run/model.safetensors");
    place.run("embeddings run --field item_id --table specific --out item.parquet").succeeds();
    let rows = read_parquet(&place, "item.parquet");
    let vectors = rows.column_by_name("vector").unwrap().as_fixed_size_list().values();
    let names = rows.column_by_name("scenario").unwrap().as_string::<i32>();
    let each = rows.num_rows() / 4;
    for (scenario, name) in ["s0", "s1", "s2", "s3"].into_iter().enumerate() {
        assert!((scenario * each..(scenario + 1) * each).all(|row| names.value(row) == name), "{name}");
    }
    let written = vectors.as_primitive::<Float32Type>().values();
    assert_eq!(written[..], weights["specific.item_id"][..written.len()]);
}

#[test]
fn predictions_are_those_that_eval_scores() {
    let place = trained();
    place.run("predict run --device cpu --data data/data.parquet --out out.parquet").succeeds();
    let rows = read_parquet(&place, "out.parquet");
    let numbers = |name: &str| {
        let column = arrow_cast::cast(rows.column_by_name(name).unwrap(), &DataType::Float32).unwrap();
        column.as_primitive::<Float32Type>().values().to_vec()
    };
    let (labels, predictions) = (numbers("label"), numbers("prediction"));
    let scenarios = arrow_cast::cast(rows.column_by_name("scenario").unwrap(), &DataType::Utf8).unwrap();
    let scenarios: Vec<&str> = scenarios.as_string::<i32>().iter().map(Option::unwrap).collect();
    let evaluated = place.run("eval run --device cpu --data data/data.parquet --json").succeeds().json();
    assert_eq!(evaluated["rows"], 2000);
    let check = |metrics: &Value, rows: Vec<usize>| {
        let scored: Vec<(f32, bool)> = rows.iter().map(|&row| (predictions[row], labels[row] > 0.5)).collect();
        let near = |key: &str, own: f64| {
            let theirs = metrics[key].as_f64().unwrap();
            assert!((own - theirs).abs() < 1e-5, "{key}: {own} and {theirs}");
        };
        near("auc", auc(&scored));
        let loss = |&(p, y): &(f32, bool)| -f64::from(if y { p } else { 1.0 - p }).ln();
        near("logloss", scored.iter().map(loss).sum::<f64>() / scored.len() as f64);
        let positives = scored.iter().filter(|row| row.1).count();
        near("calibration", scored.iter().map(|row| f64::from(row.0)).sum::<f64>() / positives as f64);
        assert_eq!(metrics["rows"], scored.len());
        assert_eq!(metrics["positives"], positives);
    };
    check(&evaluated, (0..2000).collect());
    let all = evaluated["scenarios"].as_object().unwrap();
    assert_eq!(all.len(), 4);
    for (name, metrics) in all {
        check(metrics, (0..2000).filter(|&row| scenarios[row] == name).collect());
    }
}

#[test]
fn eval_prints_json_with_the_keys_that_it_promises() {
    let place = trained();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let result = place.json("run/result.json");
    for split in ["train", "valid", "test"] {
        let found = place.run(&format!("eval run --device cpu --split {split} --json")).succeeds().json();
        let own = ["auc", "pr_auc", "logloss", "normalized_entropy", "gauc", "calibration", "rows", "positives"];
        assert_eq!(keys(&found), [&own[..], &["scenarios", "best_reachable"]].concat());
        assert_eq!(keys(&found["scenarios"]), ["s0", "s1", "s2", "s3"]);
        assert_eq!(keys(&found["scenarios"]["s2"]), own);
        let rows = |value: &Value| value["rows"].as_u64().unwrap();
        assert_eq!(rows(&found), found["scenarios"].as_object().unwrap().values().map(rows).sum::<u64>());
        if split == "test" {
            assert_eq!(found["auc"], result["test"]["auc"]);
            assert_eq!(found["best_reachable"], result["best_reachable"]);
        }
    }
    let table = place.run("eval run --device cpu").succeeds().out;
    for word in ["scenario", "AUC", "LogLoss", "GAUC", "calibration", "s3", "all"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    place.run("eval run --split tests").fails(2, &["--split", "train, valid or test"]);
    place.run("eval run --split test --data data/data.parquet").fails(2, &["--split", "--data"]);
}

#[test]
fn eval_of_changed_vocabularies_is_refused_even_where_their_sizes_are_the_same() {
    let place = trained();
    place.run("predict run --device cpu --data data/data.parquet --out rows.csv").succeeds();
    place.run("train run/config.toml --device cpu --out csv --set data.path=rows.csv").succeeds();
    let text = place.text("rows.csv").replace("s0,", "s9,");
    place.write("rows.csv", text);
    place.run("eval csv --device cpu").fails(2, &["data.path", "vocabularies have changed"]);
    place.run("train csv/config.toml --device cpu --out csv --resume").fails(6, &["csv", "other data", "--out"]);
}

#[test]
fn training_on_text_is_training_on_parquet() {
    let place = trained();
    // The simplest way to text: the predictions' column is not named by the configuration.
    place.run("predict run --device cpu --data data/data.parquet --out rows.csv").succeeds();
    place.train("csv", "model.name=mi-dpg data.path=rows.csv").succeeds();
    place.assert_same_runs("run", "csv");
}

#[test]
fn both_devices_evaluate_alike() {
    if !has_software() {
        return;
    }
    let place = trained();
    let auc = |device: &str| {
        let found = place.run(&format!("eval run --device {device} --split train --json")).succeeds().json();
        (found["auc"].as_f64().unwrap(), found["logloss"].as_f64().unwrap())
    };
    let (cpu, software) = (auc("cpu"), auc("software"));
    assert!((cpu.0 - software.0).abs() < 1e-4 && (cpu.1 - software.1).abs() < 1e-6, "{cpu:?} {software:?}");
}

#[test]
fn the_size_of_an_evaluations_steps_changes_no_number_but_by_rounding() {
    let place = trained();
    let eval = |size: u32| {
        place.run(&format!("eval run --device cpu --json --set train.eval_batch_size={size}")).succeeds().out
    };
    // The CPU computes 64 rows at a time.
    let whole = eval(4096);
    assert_eq!(eval(64), whole);
    let number = |text: &str, key: &str| serde_json::from_str::<Value>(text).unwrap()[key].as_f64().unwrap();
    for size in [1, 7, 100] {
        let odd = eval(size);
        for key in ["auc", "pr_auc", "logloss", "normalized_entropy", "gauc", "calibration"] {
            assert!((number(&odd, key) / number(&whole, key) - 1.0).abs() < 1e-6, "{key} in steps of {size}");
        }
    }
}

#[test]
fn plan_lists_the_dispatches_of_a_step() {
    let place = Place::with_data();
    let plan = |more: &str| place.run(&format!("plan data/config.toml {more}"));
    let count = |listing: &Value| listing["dispatches"].as_array().unwrap().len();
    // On a GPU nodes share dispatches, whose parts are named.
    let hardware = plan("--json --set model.name=mi-dpg").succeeds().json();
    assert!(count(&hardware) <= 10, "{hardware}");
    assert!(hardware["dispatches"][0]["parts"].as_array().unwrap().len() > 1, "{hardware}");
    assert_eq!(plan("--json --set model.name=mi-dpg --class hardware").succeeds().json(), hardware);
    assert!(count(&plan("--json --set model.name=mi-dpg --no-segments").succeeds().json()) > 10);
    let found = plan("--json --set model.name=mi-dpg --class software").succeeds().json();
    assert_eq!(found["batch_size"], 512);
    let dispatches = found["dispatches"].as_array().unwrap();
    assert!(dispatches.len() > 10);
    let sum = |key: &str| dispatches.iter().map(|dispatch| dispatch[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(found["flops"], sum("flops"));
    assert_eq!(found["bytes"], sum("bytes"));
    for dispatch in dispatches {
        for key in ["name", "operation", "shape", "shader"] {
            assert!(dispatch[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {dispatch}");
        }
        assert!(dispatch["buffers"].as_array().is_some_and(|buffers| !buffers.is_empty()), "{dispatch}");
    }
    let text = plan("--set model.name=dnn").succeeds().out;
    assert!(text.contains("MFLOP") && text.contains("memory:"), "{text}");
    assert!(count(&plan("--json --set model.name=dnn").succeeds().json()) < count(&hardware));
}

#[test]
fn devices_and_models_are_listed() {
    let place = Place::empty();
    let devices = place.run("devices --json").succeeds().json();
    for device in devices.as_array().unwrap() {
        assert!(device["name"].is_string() && device["backend"].is_string() && device["index"].is_u64(), "{device}");
    }
    let table = place.run("devices").succeeds().out;
    assert!(table.contains("CPU executor"), "{table}");
    let models = place.run("models").succeeds().out;
    for word in ["dnn: ", "mi-dpg: ", "row_div", "mir_negatives", "\"shuffle\""] {
        assert!(models.contains(word), "{word}: {models}");
    }
}

#[test]
fn help_names_every_command_and_exit_code() {
    let place = Place::empty();
    let help = place.run("--help").succeeds().out;
    for word in
        ["train", "eval", "predict", "synth", "plan", "tune", "bench", "devices", "models", "Exit codes: 0 done", "130"]
    {
        assert!(help.contains(word), "{word}: {help}");
    }
    for command in ["train", "eval", "predict", "synth", "plan", "tune", "bench", "devices", "models"] {
        place.run(&format!("{command} --help")).succeeds();
    }
    assert!(place.run("--version").succeeds().out.contains(env!("CARGO_PKG_VERSION")));
    place.run("trian").fails(2, &["trian", "train"]);
    place.run("train").fails(2, &["<CONFIG>"]);
}

#[test]
fn synthetic_data_repeats_and_has_a_history_where_that_is_asked_for() {
    let place = Place::empty();
    let synth = |out: &str, more: &str| {
        place.run(&format!("synth --out {out} --rows 1000 --scenarios 3 --vocab 40 --seed 7 {more}")).succeeds()
    };
    let said = synth("a", "");
    assert!(said.out.contains("s2") && !said.out.contains("s3"), "{}", said.out);
    assert!(said.err.contains("polyscene train a/config.toml"), "{}", said.err);
    synth("b", "");
    assert_eq!(place.read("a/data.parquet"), place.read("b/data.parquet"));
    let plain = read_parquet(&place, "a/data.parquet");
    assert_eq!(plain.num_rows(), 1000);
    assert!(plain.column_by_name("history").is_none());

    synth("with", "--sequence 5");
    let history = read_parquet(&place, "with/data.parquet");
    let column = history.column_by_name("history").expect("a history");
    let longest = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().map(|text| text.split('|').count()).max(),
        _ => column.as_list::<i32>().iter().flatten().map(|items| items.len()).max(),
    };
    assert_eq!(longest, Some(5));
    place.run("train with/config.toml --device cpu --out run --set train.epochs=1 --set model.hidden=[8]").succeeds();
    place.run("predict run --device cpu --data with/data.parquet --out out.parquet").succeeds();
    assert_eq!(read_parquet(&place, "out.parquet").column_by_name("history").unwrap(), column);

    place.run("synth --out c --rows 0").fails(2, &["rows", "1 to 2^48", "found 0"]);
    place.run("synth --out c --rows 10 --scenarios 20000").fails(2, &["scenarios", "1 to 10000", "20000"]);
    place.write("file", "");
    place.run("synth --out file --rows 10").fails(6, &["file"]);
}

#[test]
fn data_that_is_not_there_is_generated_where_the_configuration_says_how() {
    let place = Place::with_data();
    let config = place.text("data/config.toml").replace("\"data.parquet\"", "\"made/rows.parquet\"");
    place.write("config.toml", format!("{config}\n[synth]\nrows = 1500\nscenarios = 4\nvocabulary = 60\n"));
    let train = |out: &str| {
        place.run(&format!("train config.toml --device cpu --out {out} --set train.epochs=1 --set model.hidden=[8]"))
    };
    let said = train("a").succeeds();
    assert!(said.err.contains("generating it from [synth]"), "{}", said.err);
    assert_eq!(read_parquet(&place, "made/rows.parquet").num_rows(), 1500);
    let said = train("b").succeeds();
    assert!(!said.err.contains("generating"), "{}", said.err);
    place.assert_same_runs("a", "b");
    // What lies in the current folder under that name is made of other options.
    place.write("sub/config.toml", format!("{config}\n[synth]\nrows = 900\nscenarios = 4\nvocabulary = 60\n"));
    let said =
        place.run("train sub/config.toml --device cpu --out c --set train.epochs=0 --set model.hidden=[8]").succeeds();
    assert!(said.err.contains("generating it from [synth]"), "{}", said.err);
    assert_eq!(read_parquet(&place, "sub/made/rows.parquet").num_rows(), 900);
}

#[test]
fn folders_of_a_partitioned_table_are_columns() {
    let place = Place::empty();
    let day = |day: usize| -> String {
        let row = |row: usize| {
            let (user, item) = (row * 7 % 11, (row * 3 + day) % 5);
            format!("{user},{item},{}\n", u8::from((user + item * day).is_multiple_of(3)))
        };
        "user,item,label\n".to_owned() + &(0..200).map(row).collect::<String>()
    };
    for (number, name) in ["2024-05-01", "2024-05-02", "2024-05-03"].into_iter().enumerate() {
        for country in ["de", "fr"] {
            place.write(format!("log/day={name}/country={country}/part-0.csv"), day(number));
        }
    }
    place.write(
        "config.toml",
        "[data]\npath = \"log\"\nlabel = \"label\"\nscenario = \"country\"\naware = [\"country\"]\n\
         agnostic = [\"user\", \"item\"]\n[data.split]\nby = \"time\"\ncolumn = \"day\"\nvalid = 0.3\ntest = 0.3\n\
         [model]\nname = \"dnn\"\nhidden = [8]\n[train]\nepochs = 1\n",
    );
    let said = place.run("train config.toml --device cpu --out run").succeeds();
    said.says(&["400 train, 400 valid, 400 test rows, 2 scenarios"]);
    // One day of it has the same columns, and a column of the file itself goes before one of its folders.
    place.run("predict run --device cpu --data log/day=2024-05-03 --out scored.csv").succeeds();
    let scored = place.text("scored.csv");
    assert!(scored.starts_with("user,item,label,day,country,prediction\n"), "{scored}");
    assert_eq!(scored.matches(",2024-05-03,fr,").count(), 200);
    place.write("log/day=2024-05-04/country=xx/own.csv", "user,item,label,country\n1,1,0,fr\n");
    place.run("predict run --device cpu --data log/day=2024-05-04 --out own.csv").succeeds();
    assert!(place.text("own.csv").starts_with("user,item,label,country,day,prediction\n1,1,0,fr,2024-05-04,"));
}

#[test]
fn the_examples_are_read() {
    let place = Place::empty();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "toml"))
    {
        // Everything but the data, which is not there: reading the configuration comes first.
        let text = std::fs::read_to_string(&path).unwrap();
        let many = ["compare", "sweep"].into_iter().find(|kind| text.contains(&format!("\n[{kind}]")));
        let mut command = place.command();
        command.arg(many.unwrap_or("train")).arg(&path).args([
            "--device",
            "cpu",
            "--set",
            "data.path=/nonexistent/rows.parquet",
        ]);
        if text.contains("\n[synth]") {
            command.args(["--set", "synth.rows=0"]);
            Outcome::of(&mut command).fails(2, &["rows", "1 to 2^48"]);
        } else {
            Outcome::of(&mut command).fails(3, &["/nonexistent/rows.parquet"]);
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = trained();
    for line in ["models", "plan data/config.toml", "devices", "eval run --device cpu --json", "--help"] {
        let mut command = place.command();
        command.args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let outcome = Outcome::from(child.wait_with_output().unwrap()).succeeds();
        assert!(!outcome.err.contains("error") && !outcome.err.contains("panicked"), "{line}: {}", outcome.err);
    }
    // Nor is one that no longer hears how training goes.
    let mut command = place.train_command("deaf", "model.name=mi-dpg");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    place.assert_same_runs("run", "deaf");
}

#[test]
fn histories_become_columns_that_a_model_can_read() {
    let place = Place::empty();
    place.run("synth --out data --rows 3000 --vocab 40 --seed 3").succeeds();
    let log = read_parquet(&place, "data/data.parquet");
    let history = |more: &str, out: &str| place.run(&format!("history --data data/data.parquet --out {out} {more}"));
    // Rows have no time here: another column of numbers serves.
    let columns = "--user user_id --item item_id --time price --positive label --max-length 6 --name before";
    history(columns, "log.parquet").succeeds();
    let output = read_parquet(&place, "log.parquet");
    let (last, kept) = output.columns().split_last().unwrap();
    assert_eq!(kept, log.columns());
    let lists = last.as_list::<i32>();
    let lengths: Vec<usize> = (0..lists.len()).map(|row| lists.value(row).len()).collect();
    assert!(lengths.iter().all(|&length| length <= 6) && lengths.contains(&6) && lengths.contains(&0));
    history(columns, "log.csv").succeeds();
    let (heads, lines) = read_csv(&place, "log.csv");
    assert_eq!(heads.last().unwrap(), "before");
    for (row, line) in lines.iter().enumerate().step_by(97) {
        let items = lists.value(row);
        let items: Vec<&str> = items.as_string::<i32>().iter().flatten().collect();
        assert_eq!(*line.last().unwrap(), items.join("|"));
    }
    history("--user nobody --item item_id --time price", "x.parquet").fails(3, &["nobody", "--user"]);
    history("--user user_id --item item_id --time price --name label", "x.parquet").fails(3, &["label", "--name"]);

    // A model with attention reads them, from either file, and can be looked into.
    let config = place.text("data/config.toml").replace("data.parquet", "../log.parquet");
    let sequence = "sequence = [{ column = \"before\", vocabulary = \"item_id\", max_length = 5 }]\nuser =";
    place.write("data/log.toml", config.replace("user =", sequence));
    let sets = "--set model.name=saml --set model.width=4 --set model.hidden=[8] --set train.epochs=1";
    place.run(&format!("train data/log.toml --device cpu --out run {sets}")).succeeds();
    place.run("predict run --device cpu --data log.parquet --out a.csv").succeeds();
    place.run("predict run --device cpu --data log.csv --out b.csv").succeeds();
    let predictions = |name: &str| -> Vec<String> {
        read_csv(&place, name).1.into_iter().map(|line| line.last().unwrap().clone()).collect()
    };
    assert_eq!(predictions("a.csv"), predictions("b.csv"));
    assert!(place.path("run/analysis/mutual.0-samples.csv").is_file(), "a run leaves its analysis");
    let told = place.run("analyze run --split valid --out looked").succeeds().out;
    assert!(told.contains("mutual.0-distribution") && told.contains("α of"), "{told}");
    let (heads, lines) = read_csv(&place, "looked/mutual.0-distribution.csv");
    assert_eq!(heads[..3], ["scenario", "coefficient", "mean"]);
    // Four scenarios: g and three α each; the three sum to one.
    assert_eq!(lines.len(), 16);
    let sum: f64 = lines[1..4].iter().map(|line| line[2].parse::<f64>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
}

#[test]
fn what_has_nothing_to_look_into_says_so() {
    let place = Place::with_data();
    place.train("run", "model.name=dnn").succeeds();
    place.run("analyze run").fails(2, &["mi-dpg, optmsm"]);
}

#[test]
fn sequences_of_different_lengths_are_told_apart_from_one() {
    let place = Place::empty();
    let lines: String =
        (0..40).map(|i| format!("{},{},a,b,x|y,{}\n", i % 2, i % 3, if i == 7 { "p" } else { "p|q" })).collect();
    place.write("log.csv", format!("label,page,item,shop,items,shops\n{lines}"));
    let sequences =
        r#"sequence = [{ column = "items", vocabulary = "item" }, { column = "shops", vocabulary = "shop" }]"#;
    place.write(
        "c.toml",
        format!(
            "[data]\npath = \"log.csv\"\nlabel = \"label\"\nscenario = \"page\"\naware = [\"page\"]\n\
             agnostic = [\"item\", \"shop\"]\n{sequences}\n[model]\nname = \"saml\"\n[train]\nepochs = 1\n"
        ),
    );
    let run = |sets: &str, out: &str| place.run(&format!("train c.toml --device cpu --out {out} {sets}"));
    run("", "a").fails(2, &["data.sequence", "2 in row", "1 in \"shops\""]);
    // A model that reads none does not mind, and one that takes none either.
    run("--set model.name=dnn", "b").succeeds();
    run("--set model.sequence=false", "c").succeeds();
    run("--set model.heads=5", "d").fails(2, &["heads = 5", "width = 12"]);
    run("--set model.name=optmsm --set model.hidden=[]", "e").fails(2, &["hidden is empty"]);
}

/// Rows of a log: each line the values of one, as a file of that kind writes them.
fn log(kind: &str, rows: std::ops::Range<u32>) -> String {
    let mut text = "label,page,flag,day,code,city,user\n".to_owned();
    for k in rows {
        let x = k.wrapping_mul(2_654_435_761) >> 16;
        let (label, page, flag, day, code, city) = (x % 5 == 0, x % 3, x % 2 == 0, x % 28 + 1, x % 40, x % 7);
        let line = match kind {
            "pandas" => {
                let truth = |b: bool| if b { "True" } else { "False" };
                format!("{},{page},{},2024-01-{day:02},{code:03},city {city},{}.0", truth(label), truth(flag), x % 90)
            }
            "polars" => format!(
                "{},{page}.0,{flag},2024-01-{day:02}T00:00:00.000000,{code}, city {city},{}",
                u8::from(label),
                x % 90
            ),
            _ => format!(
                "{},{page},{},2024-01-{day:02} 01:00:00+01:00,{code:03},CITY {city},{}",
                u8::from(label),
                u8::from(flag),
                x % 90
            ),
        };
        text += &format!("{line}\n");
    }
    text
}

/// Values that a run has never seen are scored like missing ones, so a file in another guise must be understood, and what
/// is not understood must be told.
#[test]
fn the_same_rows_predict_the_same_in_another_guise_and_unknown_values_are_told() {
    let place = Place::empty();
    place.write("data/data.csv", log("pandas", 0..3000));
    place.write(
        "data/config.toml",
        "[data]\npath = \"data.csv\"\nlabel = \"label\"\nscenario = \"page\"\naware = [\"page\"]\n\
         agnostic = [\"flag\", \"day\", \"code\", \"city\", \"user\"]\n[model]\nname = \"dnn\"\n",
    );
    place.train("run", "train.epochs=1").succeeds();
    let kept = place.json("run/result.json")["valid_values"].as_array().unwrap().clone();
    let names: Vec<&str> = kept.iter().map(|column| column["column"].as_str().unwrap()).collect();
    assert_eq!(names, ["page", "flag", "day", "code", "city", "user"]);

    for kind in ["pandas", "polars", "other"] {
        // City names are text, which stays what it is: here they are as the run has them.
        let text = log(kind, 0..500).replace(", city", ",city").replace("CITY", "city");
        place.write(format!("{kind}.csv"), text);
        let line = format!("predict run --device cpu --data {kind}.csv --out {kind}-out.csv --json");
        let outcome = place.run(&line).succeeds();
        assert!(!outcome.err.contains("warning"), "{}", outcome.err);
        assert_eq!((&outcome.json()["rows"], &outcome.json()["values"][3]["unknown"]), (&500.into(), &0.into()));
    }
    let predicted = |name: &str| -> Vec<String> {
        place.text(name).lines().map(|line| line.rsplit_once(',').unwrap().1.to_owned()).collect()
    };
    assert_eq!(predicted("polars-out.csv"), predicted("pandas-out.csv"));
    assert_eq!(predicted("other-out.csv"), predicted("pandas-out.csv"));

    for (kind, why) in [("polars", "known values are there with blanks around them"), ("other", "other capitals")] {
        place.write("told.csv", log(kind, 0..500));
        let outcome = place.run("predict run --device cpu --data told.csv --out told-out.csv").succeeds();
        let warnings: Vec<&str> = outcome.err.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(warnings.len(), 1, "{}", outcome.err);
        assert!(
            warnings[0].contains("column \"city\": 500 of 500 values (100.0 %) are unknown to the model"),
            "{warnings:?}"
        );
        assert!(warnings[0].contains(why) && warnings[0].contains("0.0 % in validation rows"), "{warnings:?}");
        let evaluated = place.run("eval run --device cpu --data told.csv --json").succeeds();
        assert!(evaluated.err.contains("column \"city\": 500 of 500"), "{}", evaluated.err);
        assert_eq!(evaluated.json()["values"][4]["unknown"], 500);
    }
    let says = ["column \"city\": 500 of 500 values", "more than --max-unknown 0.5 allows"];
    place.run("predict run --device cpu --data told.csv --out never.csv --max-unknown 0.5").fails(3, &says);
    assert!(!place.path("never.csv").exists());
    place.run("eval run --device cpu --data told.csv --max-unknown 0.5").fails(3, &says);
    place.run("eval run --device cpu --max-unknown 0.5").fails(2, &["--data"]);
    place.run("predict run --device cpu --data pandas.csv --out fine.csv --max-unknown 0").succeeds();
}

#[test]
fn files_without_rows_give_files_without_rows() {
    let place = trained();
    let input = read_parquet(&place, "data/data.parquet");
    let file = File::create(place.path("none.parquet")).unwrap();
    parquet::arrow::ArrowWriter::try_new(file, input.schema(), None).unwrap().close().unwrap();
    let heads: Vec<String> = input.schema().fields().iter().map(|field| field.name().clone()).collect();
    place.write("none.csv", format!("{}\n", heads.join(",")));
    for data in ["none.parquet", "none.csv"] {
        let predict = |out: &str| {
            place.run(&format!("predict run --device cpu --data {data} --out {out} --json")).succeeds().json()
        };
        assert_eq!(predict("out.csv")["rows"], 0);
        assert_eq!(place.text("out.csv"), format!("{},prediction\n", heads.join(",")));
        predict("out.parquet");
        let file = File::open(place.path("out.parquet")).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        let fields = reader.schema().fields();
        assert_eq!(fields.last().unwrap().data_type(), &DataType::Float32);
        assert_eq!(fields.len(), heads.len() + 1);
        if data == "none.parquet" {
            assert_eq!(fields[..heads.len()], input.schema().fields()[..]);
        }
    }
}
