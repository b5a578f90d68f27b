//! What is wrong with data, configurations and files is named: the place, the fault, the fix, an exit code of its own.

use std::path::Path;
use std::sync::Arc;

use crate::place::{Outcome, Place, has_software};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

const CONFIG: &str = r#"
[data]
path = "clicks.csv"
label = "label"
scenario = "page"
aware = ["page"]
agnostic = ["user", "price"]
fields.price.kind = "numeric"
split.by = "column"
split.column = "split"

[model]
name = "dnn"
width = 2
hidden = [4]

[train]
epochs = 1
batch_size = 16
"#;

const HEADER: &str = "label,page,user,price,split";

/// Good rows: line 2 of the file is the first.
fn rows() -> Vec<String> {
    let row = |i: usize| {
        let split = ["train", "train", "train", "valid", "test"][i / 4 % 5];
        format!("{},{},u{},{}.5,{split}", i % 2, ["home", "search"][i / 2 % 2], i % 7, i % 11)
    };
    (0..100).map(row).collect()
}

fn csv(rows: &[String]) -> String {
    [HEADER.to_owned()].iter().chain(rows).map(|line| format!("{line}\n")).collect()
}

/// A place with good data and a good configuration, and one row written otherwise.
fn with_row(line: usize, row: &str) -> Place {
    let mut rows = rows();
    rows[line - 2] = row.to_owned();
    with_csv(csv(&rows))
}

fn with_csv(content: impl AsRef<[u8]>) -> Place {
    let place = Place::empty();
    place.write("config.toml", CONFIG);
    place.write("clicks.csv", content);
    place
}

fn good() -> Place {
    with_csv(csv(&rows()))
}

fn train(place: &Place, more: &str) -> Outcome {
    place.run(&format!(
        "train config.toml --out run {more} {}",
        if more.contains("--device") { "" } else { "--device cpu" }
    ))
}

/// A place with a run of the good data in `run`.
fn trained() -> Place {
    let place = good();
    train(&place, "").succeeds();
    place
}

/// A mount that is taken away again.
#[cfg(target_os = "linux")]
struct SmallDisk<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl<'a> SmallDisk<'a> {
    /// A disk of `size` at `path`; none where this user may not mount one.
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut command = std::process::Command::new("mount");
        let output = command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path).output();
        if output.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("skipped: a small disk cannot be mounted here");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

// --- Data ----------------------------------------------------------------------------------------

#[test]
fn the_good_data_is_good() {
    train(&good(), "").succeeds();
}

#[test]
fn a_missing_column() {
    let place = good();
    train(&place, "--set data.label=labels").fails(
        3,
        &["clicks.csv", "no column \"labels\"", "data.label", "did you mean \"label\"?", "columns are: label, page"],
    );
    train(&place, "--set data.aware=[\"hour\"]").fails(3, &["clicks.csv", "no column \"hour\"", "data.aware"]);
    // The wrong delimiter is the most likely cause of one column only.
    train(&place, "--set data.delimiter=;").fails(3, &["clicks.csv", "no column", "delimiter"]);
}

#[cfg(not(feature = "object-store"))]
#[test]
fn a_store_that_this_program_does_not_know_of() {
    let place = good();
    for url in ["s3://logs/day=*/*.csv", "https://host/clicks.csv"] {
        let said = [url, "is not on this machine", "built without object stores", "--features object-store"];
        train(&place, &format!("--set data.path={url}")).fails(3, &said);
    }
}

#[test]
fn text_where_a_number_is_due() {
    train(&with_row(7, "1,home,u1,cheap,train"), "")
        .fails(3, &["clicks.csv, line 7, column \"price\"", "a finite number", "found \"cheap\"", "on_bad_row"]);
}

#[test]
fn a_label_of_2() {
    train(&with_row(11, "2,home,u1,1.5,train"), "")
        .fails(3, &["clicks.csv, line 11, column \"label\"", "expected 0 or 1, found \"2\"", "fix the row"]);
}

#[test]
fn a_row_with_too_few_fields() {
    train(&with_row(9, "1,home,u1"), "").fails(3, &["clicks.csv, line 9", "expected 5", "found 3", "on_bad_row"]);
}

#[test]
fn bytes_that_are_no_utf8() {
    let mut content = csv(&rows()).into_bytes();
    let place = content.windows(2).position(|pair| pair == b"u3").unwrap();
    content[place] = 0xff;
    train(&with_csv(content), "").fails(3, &["clicks.csv, line 5, column \"user\"", "UTF-8", "on_bad_row"]);
}

#[test]
fn an_unknown_split() {
    train(&with_row(4, "1,home,u1,1.5,holdout"), "")
        .fails(3, &["clicks.csv, line 4, column \"split\"", "train", "\"holdout\""]);
}

#[test]
fn bad_rows_are_skipped_and_counted_where_that_is_asked_for() {
    let mut rows = rows();
    rows[5] = "2,home,u1,1.5,train".to_owned();
    rows[9] = "1,home".to_owned();
    let said = train(&with_csv(csv(&rows)), "--set data.on_bad_row=skip").succeeds();
    for text in ["2 bad rows skipped", "clicks.csv, line 7, column \"label\"", "clicks.csv, line 11"] {
        assert!(said.err.contains(text), "{text:?}: {}", said.err);
    }
    assert!(said.err.contains("58 train, 20 valid, 20 test rows"), "{}", said.err);
}

#[test]
fn empty_files() {
    train(&with_csv(""), "").fails(3, &["clicks.csv", "the file is empty"]);
    train(&with_csv(format!("{HEADER}\n")), "").fails(3, &["clicks.csv", "no rows"]);
}

#[test]
fn one_class_only() {
    let rows: Vec<String> = rows().iter().map(|row| format!("0{}", &row[1..])).collect();
    train(&with_csv(csv(&rows)), "").fails(3, &["60 rows of the train split have label 0", "check data.label"]);
    // In the validation rows alone it is the metric to stop on that cannot be had.
    let rows: Vec<String> = self::rows()
        .iter()
        .map(|row| if row.ends_with("valid") { format!("0{}", &row[1..]) } else { row.clone() })
        .collect();
    let place = with_csv(csv(&rows));
    train(&place, "").fails(2, &["validation rows", "train.early_stop_metric", "\"logloss\""]);
    assert!(!place.path("run").exists(), "a run that cannot start leaves no folder in the way");
    train(&place, "--set train.early_stop_metric=logloss").succeeds();
}

#[test]
fn a_file_that_is_not_there() {
    let place = trained();
    place
        .run("train config.toml --device cpu --out other --set data.path=click.csv")
        .fails(3, &["no file or folder \"click.csv\"", "did you mean \"clicks.csv\"?", "data.path"]);
    place.run("eval run --device cpu --data none.csv").fails(3, &["no file or folder \"none.csv\"", "--data"]);
    place.run("predict run --device cpu --data none.csv --out out.csv").fails(3, &["\"none.csv\"", "--data"]);
    assert!(!place.path("out.csv").exists());
}

#[test]
fn a_truncated_parquet_file() {
    let place = Place::with_data();
    let whole = place.read("data/data.parquet");
    for length in [whole.len() - 1, whole.len() / 2, 10] {
        place.write("data/data.parquet", &whole[..length]);
        place.train("run", "model.name=dnn").fails(3, &["data/data.parquet", "may be truncated", "write it again"]);
    }
    // The footer is whole and what lies before it is not.
    let mut hollow = whole.clone();
    hollow[4..whole.len() / 2].fill(0xa5);
    place.write("data/data.parquet", &hollow);
    place.train("run", "model.name=dnn").fails(3, &["data/data.parquet", "write it again"]);
}

#[test]
fn text_in_a_numeric_column_of_parquet() {
    let place = Place::empty();
    place.write("config.toml", CONFIG);
    let columns: Vec<Vec<String>> =
        (0..5).map(|k| rows().iter().map(|row| row.split(',').nth(k).unwrap().to_owned()).collect()).collect();
    let mut named: Vec<(&str, ArrayRef)> = HEADER
        .split(',')
        .zip(columns)
        .map(|(name, cells)| (name, Arc::new(StringArray::from(cells)) as ArrayRef))
        .collect();
    let mut prices: Vec<String> = vec!["1.5".to_owned(); 100];
    prices[41] = "dear".to_owned();
    named[3].1 = Arc::new(StringArray::from(prices));
    let batch = RecordBatch::try_from_iter(named).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(place.path("clicks.parquet")).unwrap(), batch.schema(), None)
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    train(&place, "--set data.path=clicks.parquet")
        .fails(3, &["clicks.parquet, row 42, column \"price\"", "a finite number", "\"dear\""]);
}

#[test]
fn a_scenario_that_the_model_does_not_know() {
    let place = trained();
    place.write("new.csv", "label,page,user,price\n1,home,u1,1.5\n0,checkout,u2,2.5\n1,search,u3,2.5\n");
    for command in ["predict run --data new.csv --out out.csv --device cpu", "eval run --data new.csv --device cpu"] {
        place.run(command).fails(
            3,
            &[
                "new.csv, line 3, column \"page\"",
                "checkout",
                "home, search",
                "data.unknown_scenario to \"shared\" or \"skip\"",
            ],
        );
        let said = place.run(&format!("{command} --set data.on_bad_row=skip")).succeeds();
        assert!(said.err.contains("1 bad row skipped") && said.err.contains("new.csv, line 3"), "{}", said.err);
    }
    let written = place.text("out.csv");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines[0], "label,page,user,price,prediction");
    // All rows in their order; the skipped one without a prediction.
    assert!(lines[1].starts_with("1,home,u1,1.5,0.") && lines[3].starts_with("1,search,u3,2.5,0."), "{written}");
    assert_eq!(lines[2], "0,checkout,u2,2.5,");
}

// --- Configuration and options -------------------------------------------------------------------

#[test]
fn slips_in_a_configuration() {
    for (from, to, says) in [
        ("batch_size = 16", "batchsize = 16", ["config.toml", "`batchsize` in [train]", "did you mean `batch_size`?"]),
        ("[train]", "[training]", ["config.toml", "section [training]", "did you mean [train]?"]),
        ("epochs = 1", "epochs = \"one\"", ["config.toml: train.epochs", "a whole number", "found \"one\""]),
        ("epochs = 1", "epochs = -1", ["config.toml: train.epochs", "a whole number", "found -1"]),
        ("\"dnn\"", "\"dnm\"", ["config.toml: model.name", "did you mean \"dnn\"?", "\"dnm\""]),
        ("name = \"dnn\"", "", ["config.toml", "[model]", "`name`"]),
        ("label = \"label\"", "", ["config.toml", "[data]", "`label`"]),
        ("width = 2", "widht = 2", ["config.toml", "`widht` in [model]", "did you mean `width`?"]),
        ("hidden = [4]", "hidden = [4, 0]", ["[model]", "hidden", "0"]),
        ("hidden = [4]", "hidden = 4", ["config.toml: model.hidden", "array", "found 4"]),
        ("[\"page\"]", "[\"page\", 3]", ["config.toml: data.aware[1]", "a string", "found 3"]),
        ("\"numeric\"", "\"number\"", ["config.toml: data.fields.price.kind", "\"numeric\"", "found \"number\""]),
        ("label = \"label\"", "label = 3", ["config.toml: data.label", "{ column = ", "found 3"]),
        (
            "label = \"label\"",
            "label = { column = \"label\", abov = 0 }",
            ["config.toml", "`abov` in [data.label]", "did you mean `above`?"],
        ),
        ("epochs = 1", "epochs = 1\nschedule = \"cosin\"", ["config.toml: train.schedule", "\"cosine\"", "\"cosin\""]),
        ("epochs = 1", "epochs = 1\ndecay_steps = 3", ["train.decay_steps", "train.schedule = \"step\"", "found 3"]),
        ("epochs = 1", "epochs = 1\nend_factor = 0.5", ["train.end_factor", "\"cosine\"", "found 0.5"]),
        ("epochs = 1", "epochs = 1\nschedule = \"step\"", ["train.decay_steps", "at least 1", "found 0"]),
        ("epochs = 1", "epochs == 1", ["config.toml", "line 18, column 9", "epochs == 1"]),
    ] {
        let place = good();
        place.write("config.toml", CONFIG.replacen(from, to, 1));
        train(&place, "").fails(2, &says);
        assert!(!place.path("run").exists());
    }
}

#[test]
fn schemas_that_contradict_themselves() {
    let place = good();
    for (set, says) in [
        ("data.aware=[\"label\"]", ["data.aware", "\"label\"", "leaks"]),
        ("data.agnostic=[\"user\",\"price\",\"user\"]", ["data.agnostic", "\"user\"", "remove one"]),
        ("data.aware=[] --set data.agnostic=[]", ["data.aware", "empty", "name at least one"]),
        ("data.fields.prize.kind=numeric", ["data.fields.prize", "no field of that name", "did you mean \"price\"?"]),
    ] {
        train(&place, &format!("--set {set}")).fails(3, &says);
    }
}

#[test]
fn sets_that_are_none() {
    let place = good();
    train(&place, "--set train.epochs").fails(2, &["--set train.epochs", "expected key=value", "train.epochs=5"]);
    train(&place, "--set =1").fails(2, &["--set =1", "section.key"]);
    train(&place, "--set train.epoch=5").fails(2, &["--set train.epoch=5", "did you mean `epochs`?"]);
    train(&place, "--set model.hidden=[4").fails(2, &["--set model.hidden=[4", "not TOML"]);
}

#[test]
fn options_that_do_not_fit_the_model() {
    let place = good();
    for (set, says) in [
        ("model.row_div=0", ["[model] row_div is 0", "at least 1"]),
        ("model.row_div=3", ["[model] row_div = 3 does not divide", "choose a divisor"]),
        ("model.dropout=1.0", ["[model] dropout is 1", "below 1"]),
        ("model.lambda=-1.0", ["[model] lambda", "at least 0"]),
    ] {
        train(&place, &format!("--set model.name=mi-dpg --set model.hidden=[16,8] --set {set}")).fails(2, &says);
    }
}

/// Discriminators that are to be told the scenario need it among the fields; by default they make do without.
#[test]
fn a_scenario_that_is_no_field() {
    let place = good();
    let line = "--set model.name=mi-dpg --set data.aware=[\"user\"] --set data.agnostic=[\"price\"]";
    let says = ["[model] mir_input = \"scenario\" needs data.scenario", "one of data.aware; name it there"];
    train(&place, &format!("{line} --set model.mir_input=scenario")).fails(2, &says);
    train(&place, line).succeeds();
}

#[test]
fn configurations_that_cannot_be_read() {
    let place = good();
    let said = place.run("train nothing.toml").fails(2, &["cannot read nothing.toml", "No such file"]);
    assert_eq!(said.err.matches("No such file").count(), 1, "said once: {}", said.err);
    std::fs::create_dir(place.path("folder")).unwrap();
    place.run("train folder").fails(2, &["cannot read folder"]);
    place.write("binary.toml", [0xff, 0xfe, 0x00]);
    place.run("train binary.toml").fails(2, &["cannot read binary.toml", "UTF-8"]);
}

// --- Runs ----------------------------------------------------------------------------------------

#[test]
fn a_folder_that_is_no_run() {
    let place = trained();
    let use_it = |run: &str, says: &[&str]| {
        place.run(&format!("eval {run} --device cpu")).fails(6, says);
        place.run(&format!("predict {run} --device cpu --data clicks.csv --out out.csv")).fails(6, says);
    };
    use_it("nowhere", &["nowhere: is not a folder", "runs/NAME"]);
    use_it("clicks.csv", &["clicks.csv: is not a folder", "runs/NAME"]);
    std::fs::create_dir(place.path("folder")).unwrap();
    use_it("folder", &["folder: holds no run", "config.toml", "runs/NAME"]);
    // The folder of the data has a configuration too.
    use_it(".", &["holds no run (no vocabularies)", "runs/NAME"]);
}

#[test]
fn a_run_with_missing_or_damaged_files() {
    let place = trained();
    let files = ["vocabularies/encoder.toml", "vocabularies/vocabularies.csv", "model.safetensors", "config.toml"];
    for name in files {
        let name = format!("run/{name}");
        let whole = place.read(&name);
        std::fs::remove_file(place.path(&name)).unwrap();
        place.run("eval run --device cpu").fails(6, &["run", name.rsplit('/').next().unwrap(), "train"]);
        if !name.ends_with("config.toml") {
            for length in [whole.len() / 2, 0] {
                place.write(&name, &whole[..length]);
                place.run("eval run --device cpu").fails(6, &["run/", "train again"]);
            }
        }
        place.write(&name, &whole);
    }
    let model = place.read("run/model.safetensors");
    for length in [model.len() - 1, model.len() / 3, 7] {
        place.write("run/model.safetensors", &model[..length]);
        place.run("eval run --device cpu").fails(6, &["run/model.safetensors", "cut off or damaged", "train again"]);
    }
    place.write("run/model.safetensors", &model);
    place.run("eval run --device cpu").succeeds();
}

#[test]
fn a_model_of_other_data() {
    let place = trained();
    let other = Place::with_data();
    other.trained_dnn("run", "train.epochs=0");
    place.write("run/model.safetensors", other.read("run/model.safetensors"));
    place.run("eval run --device cpu").fails(6, &["run/model.safetensors", "of another model or other data"]);
}

#[test]
fn data_that_has_changed_since() {
    let place = trained();
    place.write("clicks.csv", csv(&rows()).replace("home", "start"));
    place.run("eval run --device cpu").fails(2, &["data.path", "vocabularies have changed", "--data"]);
}

#[test]
fn predictions_that_cannot_be_written() {
    let place = trained();
    let predict = |out: &str| place.run(&format!("predict run --device cpu --data clicks.csv --out {out}"));
    predict("out.txt").fails(2, &["out.txt", "--out", ".csv or .parquet"]);
    predict("no/such/out.csv").fails(6, &["no/such/out.csv", "No such file"]);
    predict("twice.csv").succeeds();
    place.run("predict run --device cpu --data twice.csv --out out.csv").fails(3, &["\"prediction\"", "rename it"]);
    assert!(!place.path("out.csv").exists());
}

// --- Disks ---------------------------------------------------------------------------------------

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_the_run() {
    let place = Place::with_data();
    let path = place.path("disk");
    let Some(_disk) = SmallDisk::mount(&path, "256k") else { return };
    let line = "model.name=mi-dpg train.epochs=50";
    // Room for the configuration and vocabularies, and then for no checkpoint.
    let said = place.train("disk/run", &format!("{line} model.width=16"));
    said.fails(6, &["disk/run/", "writing", "No space left", "free some space", "--resume"]);
    let left: Vec<_> = path.join("run").read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".writing")), "{left:?}");
    std::fs::remove_dir_all(path.join("run")).unwrap();
    // What was there before is whole.
    place.trained_dnn("disk/small", "train.epochs=1");
    let checkpoint = place.read("disk/small/checkpoint.safetensors");
    place.write("disk/filler", vec![0; 4096]);
    let free = || -> u64 {
        let output = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(&path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
    };
    place.write("disk/filler", vec![0; free() as usize]);
    place.train("disk/small", "model.name=dnn train.epochs=2 --resume").fails(6, &["disk/small/", "No space left"]);
    assert_eq!(place.read("disk/small/checkpoint.safetensors"), checkpoint);
    // Told to free some space, the user does so.
    std::fs::remove_file(place.path("disk/filler")).unwrap();
    place.trained_dnn("disk/small", "train.epochs=2 --resume");
    place.trained_dnn("whole", "train.epochs=2");
    place.assert_same_runs("disk/small", "whole");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_the_data() {
    let place = good();
    let path = place.path("disk");
    let content = csv(&rows());
    let Some(_disk) = SmallDisk::mount(&path, "64k") else { return };
    place.write("disk/clicks.csv", &content);
    place.write("disk/filler", vec![0; 60 << 10]);
    train(&place, "--set data.path=disk/clicks.csv").succeeds();
    // The cache went to the user's folder.
    assert!(place.path("user-cache/polyscene/data").is_dir());
    let said = place.run("predict run --device cpu --data disk/clicks.csv --out disk/out.csv");
    said.fails(6, &["disk/out.csv", "writing", "No space left"]);
    let said = place.run("predict run --device cpu --data disk/clicks.csv --out disk/out.parquet");
    said.fails(6, &["disk/out.parquet", "writing", "No space left"]);
    assert!(!place.path("disk/out.csv").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_of_data_that_cannot_be_written() {
    let place = good();
    let path = place.path("disk");
    let Some(_disk) = SmallDisk::mount(&path, "64k") else { return };
    place.write("disk/clicks.csv", csv(&rows()));
    // Even root cannot write there.
    let remount = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(&path).status();
    assert!(remount.unwrap().success());
    train(&place, "--set data.path=disk/clicks.csv").succeeds();
    assert!(place.path("user-cache/polyscene/data").is_dir());
    // Without any place for a cache it trains all the same.
    std::fs::remove_dir_all(place.path("user-cache")).unwrap();
    place.write("user-cache", "a file in the way");
    place.run("train config.toml --device cpu --out run2 --set data.path=disk/clicks.csv").succeeds();
    let out = place.run("train config.toml --device cpu --out disk/run --set data.path=disk/clicks.csv");
    out.fails(6, &["disk/run", "Read-only file system"]);
}

// --- Devices -------------------------------------------------------------------------------------

#[test]
#[cfg(target_os = "linux")]
fn no_adapter_at_all() {
    let place = good();
    let run = |device: &str, out: &str| {
        let mut command = place.command();
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        Outcome::of(command.args(["train", "config.toml", "--out", out, "--device", device]))
    };
    run("software", "a").fails(4, &["no software renderer is installed", "mesa-vulkan-drivers", "--device cpu"]);
    run("0", "a").fails(4, &["there is no adapter number 0", "--device cpu"]);
    assert!(!place.path("a").exists(), "a run that cannot start leaves no folder in the way");
    let said = run("auto", "a").succeeds();
    assert!(said.err.contains("device   CPU"), "{}", said.err);
    let mut devices = place.command();
    devices.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent").args(["devices", "--json"]);
    assert_eq!(Outcome::of(&mut devices).succeeds().json(), serde_json::json!([]));
}

#[test]
fn adapters_that_there_are_not() {
    let place = good();
    place.run("devices --check 99").fails(4, &["there is no adapter number 99"]);
    place.run("devices --check cpu").fails(1, &["no GPU to check"]);
    place.run("devices --check --class gpu").fails(2, &["expected hardware or software"]);
    place.run("devices --class hardware").fails(2, &["--check"]);
    train(&place, "--device 99").fails(4, &["there is no adapter number 99"]);
    train(&place, "--device nosuchname").fails(4, &["there is no adapter", "\"nosuchname\""]);
    train(&place, "--device 99999999999999999999999").fails(2, &["is not a device", "auto, cpu, software"]);
}

#[test]
fn sizes_that_no_memory_holds_end_with_what_they_would_take() {
    let place = good();
    for set in ["model.hidden=[1000000,1000000]", "model.width=100000000 --set model.hidden=[10000]"] {
        for command in
            ["train config.toml --out run --device cpu", "plan config.toml", "train config.toml --device software"]
        {
            let outcome = place.run(&format!("{command} --set {set}"));
            outcome
                .fails(2, &["would take", "TiB of main memory", "the parameter mlp.", "this machine has", "smaller"]);
        }
    }
    place.run("plan config.toml --set model.width=200000000").fails(2, &["[model] width has 200000000", "134217728"]);
    assert!(!place.path("run").exists() && !place.path("runs").exists());
}

#[test]
fn what_a_device_cannot_bind_ends_with_what_it_can() {
    if !has_software() {
        return;
    }
    let place = good();
    let outcome = train(&place, "--device software --set model.hidden=[8192,8192]");
    outcome.fails(2, &["the dense parameters need 256", "MiB in one binding", "allows 128 MiB", "smaller layers"]);
    place.run("plan config.toml --set model.hidden=[8192,8192]").succeeds();
}

#[test]
fn a_time_split_says_which_shares_there_are() {
    let place = good();
    let config = CONFIG
        .replace("split.by = \"column\"\nsplit.column = \"split\"", "split.by = \"time\"\nsplit.column = \"price\"");
    place.write("config.toml", &config);
    let said = train(&place, "--set data.split.column=label");
    said.fails(3, &["column \"label\" has 2 different times", "cut off the end are 0.500"]);
    let said = train(&place, "--set data.split.by=seed").succeeds();
    assert!(
        said.err.contains("left out, as what was chosen instead has no such option: data.split.column"),
        "{}",
        said.err
    );
}

#[test]
fn several_files_are_one_table_whatever_the_order_of_their_columns() {
    let place = trained();
    let rows = rows();
    place.write("one/all.csv", csv(&rows));
    let reversed = |row: &String| row.rsplit(',').collect::<Vec<_>>().join(",");
    let (first, second) = rows.split_at(40);
    let second: Vec<String> = second.iter().map(reversed).collect();
    let turned = format!("{}\n{}\n", reversed(&HEADER.to_owned()), second.join("\n"));
    place.write("two/a.csv", csv(first));
    place.write("two/b.csv", &turned);
    for (data, out) in [("one", "one.csv"), ("two", "two.csv")] {
        place.run(&format!("predict run --device cpu --data {data} --out {out}")).succeeds();
    }
    assert_eq!(place.text("one.csv"), place.text("two.csv"));
    // What one of them has alone has no place in the table.
    place.write("two/c.csv", csv(first).replace('\n', ",1\n").replacen(",1\n", ",extra\n", 1));
    let predict = |out: &str| place.run(&format!("predict run --device cpu --data two --out {out}"));
    predict("three.csv").fails(3, &["two/c.csv", "has the column \"extra\", unlike", "two/a.csv", "one by one"]);
    assert!(!place.path("three.csv").exists());
    place.write("two/c.csv", "label,page,user,price\n1,home,u1,2.5\n");
    predict("three.parquet").fails(3, &["two/c.csv", "has no column \"split\", unlike", "two/a.csv"]);
    place.run("eval run --device cpu --data two").succeeds();
    let history =
        |data: &str| place.run(&format!("history --data {data} --user user --item page --time price --out h.csv"));
    history("two").fails(3, &["two/c.csv", "has no column \"split\""]);
    place.write("two/c.csv", format!("{HEADER}\n"));
    history("two").succeeds();
    let written = place.text("h.csv");
    assert_eq!(written.lines().count(), 101);
    assert!(written.starts_with("label,page,user,price,split,history\n"), "{written}");
}

#[test]
fn a_log_without_rows_gives_a_file_without_rows() {
    let place = Place::empty();
    place.write("log.csv", "user,item,time\n");
    for out in ["out.csv", "out.parquet"] {
        place.run(&format!("history --data log.csv --user user --item item --time time --out {out}")).succeeds();
    }
    assert_eq!(place.text("out.csv"), "user,item,time,history\n");
    let file = std::fs::File::open(place.path("out.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(
        reader.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(","),
        "user,item,time,history"
    );
}
