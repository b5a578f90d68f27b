use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Schema {
    path: String,
    aware: Vec<String>,
    limit: Option<u64>,
    split: Split,
    sequence: Vec<Sequence>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Split {
    by: By,
    valid: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    #[default]
    Seed,
    Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    column: String,
    max_length: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Model {
    width: u32,
    mir: bool,
}

impl Default for Model {
    fn default() -> Self {
        Model { width: 16, mir: true }
    }
}

const TEXT: &str = r#"
[data]
path = "clicks.parquet"
aware = ["scenario"]
split = { by = "time", valid = 0.1 }
[[data.sequence]]
column = "history"
max_length = 15

[model]
name = "mi-dpg"
mir = false

[train]
epochs = 3
learning_rate = 1
"#;

fn read(text: &str, sets: &[&str]) -> Result<Config, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Config::from_toml(text, "run.toml", &sets)
}

/// The message of reading `[train]` with these lines.
fn train_fault(lines: &str) -> String {
    read(&format!("[model]\nname = \"dnn\"\n[train]\n{lines}"), &[]).unwrap_err().to_string()
}

/// The message of interpreting `[data]` with these lines.
fn data_fault(lines: &str) -> String {
    let config = read(&format!("[model]\nname = \"dnn\"\n[data]\n{lines}"), &[]).unwrap();
    config.data_as::<Schema>().unwrap_err().to_string()
}

#[test]
fn a_file_is_read_and_the_rest_is_default() {
    let config = read(TEXT, &[]).unwrap();
    let expected = TrainOptions { epochs: 3, learning_rate: 1.0, ..TrainOptions::default() };
    assert_eq!(config.train, expected);
    assert_eq!(config.model_name(), "mi-dpg");
    assert_eq!(config.model_options::<Model>().unwrap(), Model { width: 16, mir: false });
    let data: Schema = config.data_as().unwrap();
    assert_eq!((data.split.by, data.sequence[0].max_length, data.limit), (By::Time, 15, None));
}

#[test]
fn the_resolved_text_has_every_default_and_reads_back_equal() {
    let mut config = read(TEXT, &["train.seed=7", "train.embedding_adam=dense"]).unwrap();
    let (data, model): (Schema, Model) = (config.data_as().unwrap(), config.model_options().unwrap());
    config.set_data(&data).unwrap();
    config.set_model_options(&model).unwrap();
    let text = config.to_toml().unwrap();
    for line in ["width = 16", "seed = 7", "embedding_adam = \"dense\"", "eval_batch_size = 4096", "beta1 = 0.9"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let again = read(&text, &[]).unwrap();
    assert_eq!(again, config);
    assert_eq!(again.to_toml().unwrap(), text);
    assert_eq!(again.data_as::<Schema>().unwrap(), data);
}

#[test]
fn a_seed_that_toml_cannot_hold_is_an_error() {
    let mut config = read(TEXT, &[]).unwrap();
    config.train.seed = u64::MAX;
    assert!(config.to_toml().unwrap_err().to_string().starts_with("cannot write train as TOML"));
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_eq!(
        train_fault("lerning_rate = 0.1"),
        "run.toml: unknown key `lerning_rate` in [train]; did you mean `learning_rate`?"
    );
    assert_eq!(
        train_fault("batch-size = 5"),
        "run.toml: unknown key `batch-size` in [train]; did you mean `batch_size`?"
    );
    let far = train_fault("zzz = 1");
    assert!(far.starts_with("run.toml: unknown key `zzz` in [train]; the keys are `epochs`, `batch_size`"), "{far}");
    assert_eq!(data_fault("split.bye = 1"), "run.toml: unknown key `bye` in [data.split]; did you mean `by`?");
    assert_eq!(
        data_fault("sequence = [{ column = 'a', max_length = 1 }, { colum = 'b' }]"),
        "run.toml: unknown key `colum` in [data.sequence[1]]; did you mean `column`?"
    );
}

#[test]
fn unknown_sections_name_the_nearest() {
    let fault = |text: &str| read(text, &[]).unwrap_err().to_string();
    assert_eq!(fault("[trian]\nepochs = 1"), "run.toml: unknown section [trian]; did you mean [train]?");
    assert_eq!(
        fault("[optimiser]"),
        "run.toml: unknown section [optimiser]; the sections are [data], [model], [train], [synth]"
    );
    assert_eq!(
        fault("epochs = 1"),
        "run.toml: unknown key `epochs` outside any section; the sections are [data], [model], [train], [synth]"
    );
    assert_eq!(fault("train = 1"), "run.toml: train: expected a section, found 1");
}

#[test]
fn wrong_types_say_what_was_expected_and_found() {
    for (line, expected) in [
        ("epochs = -1", "train.epochs: expected a whole number from 0 to 4294967295, found -1"),
        ("epochs = 1.5", "train.epochs: expected a whole number from 0 to 4294967295, found 1.5"),
        ("epochs = 5000000000", "train.epochs: expected a whole number from 0 to 4294967295, found 5000000000"),
        ("seed = -1", "train.seed: expected a whole number from 0 to 9223372036854775807, found -1"),
        ("learning_rate = 'fast'", "train.learning_rate: expected a number, found \"fast\""),
        ("learning_rate = [1]", "train.learning_rate: expected a number, found an array"),
        ("embedding_adam = 'sparse'", "train.embedding_adam: expected \"lazy\" or \"dense\", found \"sparse\""),
        ("precision = 'f16'", "train.precision: expected \"f32\" or \"mixed\", found \"f16\""),
        ("embedding_precision = 'f64'", "train.embedding_precision: expected \"f32\" or \"f16\", found \"f64\""),
        ("early_stop_metric = 3", "train.early_stop_metric: expected \"auc\" or \"logloss\", found 3"),
    ] {
        assert_eq!(train_fault(line), format!("run.toml: {expected}"));
    }
    for (line, expected) in [
        ("path = 3", "data.path: expected a string, found 3"),
        ("aware = 'a'", "data.aware: expected an array, found \"a\""),
        ("aware = ['a', 2]", "data.aware[1]: expected a string, found 2"),
        ("split = 'seed'", "data.split: expected a table, found \"seed\""),
        ("split.by = 'date'", "data.split.by: expected \"seed\" or \"time\", found \"date\""),
        (
            "sequence = [{ max_length = true }]",
            "data.sequence[0].max_length: expected a whole number from 0 to 4294967295, found true",
        ),
    ] {
        assert_eq!(data_fault(line), format!("run.toml: {expected}"));
    }
    assert_eq!(data_fault("sequence = [{ column = 'a' }]"), "run.toml: [data.sequence[0]] needs the key `max_length`");
    assert_eq!(read("[model]", &[]).unwrap_err().to_string(), "run.toml: [model] needs the key `name`");
    assert_eq!(
        read("model.name = 1", &[]).unwrap_err().to_string(),
        "run.toml: model.name: expected a model's name, found 1"
    );
}

#[test]
fn values_out_of_range_are_errors() {
    for (line, expected) in [
        ("batch_size = 0", "train.batch_size: expected a whole number from 1 to 1048576, found 0"),
        ("eval_batch_size = 0", "train.eval_batch_size: expected a whole number from 1 to 1048576, found 0"),
        ("learning_rate = 0", "train.learning_rate: expected a number above 0, found 0"),
        ("learning_rate = nan", "train.learning_rate: expected a number above 0, found NaN"),
        ("beta1 = 1", "train.beta1: expected a number from 0 to below 1, found 1"),
        // Rounds to 1 in single precision.
        ("beta2 = 0.999999999999", "train.beta2: expected a number from 0 to below 1, found 0.999999999999"),
        ("weight_decay = -0.5", "train.weight_decay: expected a number of at least 0, found -0.5"),
        ("embedding_l2 = inf", "train.embedding_l2: expected a number of at least 0, found inf"),
    ] {
        assert_eq!(train_fault(line), format!("run.toml: {expected}"));
    }
    assert!(train_fault("epsilon = 1e-60").contains("train.epsilon: expected a number above 0 in single precision"));
}

#[test]
fn text_that_is_not_toml_says_where() {
    let fault = read("[train\nepochs = 1", &[]).unwrap_err().to_string();
    assert!(fault.starts_with("run.toml: TOML parse error at line 1"), "{fault}");
    let missing = Config::load(Path::new("/nowhere/run.toml"), &[]).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read /nowhere/run.toml: "), "{missing}");
}

#[test]
fn a_fault_that_a_set_brought_in_names_the_set() {
    let fault = |set: &str| read(TEXT, &["model.width=8", set]).unwrap_err().to_string();
    assert_eq!(fault("train.epoch=1"), "--set train.epoch=1: unknown key `epoch` in [train]; did you mean `epochs`?");
    assert_eq!(
        fault("train.batch_size=0"),
        "--set train.batch_size=0: train.batch_size: expected a whole number from 1 to 1048576, found 0"
    );
    assert_eq!(fault("trian.epochs=1"), "--set trian.epochs=1: unknown section [trian]; did you mean [train]?");
    let config = read(TEXT, &["data.aware=b"]).unwrap();
    assert_eq!(
        config.data_as::<Schema>().unwrap_err().to_string(),
        "--set data.aware=b: data.aware: expected an array, found \"b\""
    );
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
enum Tagged {
    Time { column: String },
    Seed { seed: u64, valid: f64 },
}

#[test]
fn a_table_tagged_by_one_of_its_keys_is_read_with_the_same_faults() {
    let read = |lines: &str| {
        let table: Table = format!("[split]\n{lines}").parse().unwrap();
        parse_section::<Tagged>(&table, "split", "run.toml").map_err(|error| error.to_string())
    };
    assert_eq!(read("by = 'seed'\nseed = 3\nvalid = 0"), Ok(Tagged::Seed { seed: 3, valid: 0.0 }));
    let fault = |lines: &str| read(lines).unwrap_err();
    assert_eq!(
        fault("by = 'seed'\nseed = 3\nvalid = 0.1\nvaild = 0.2"),
        "run.toml: unknown key `vaild` in [split]; did you mean `valid`?"
    );
    assert_eq!(fault("by = 'sede'"), "run.toml: split.by: expected \"time\" or \"seed\", found \"sede\"");
    assert_eq!(fault("seed = 1"), "run.toml: [split] needs the key `by`");
    assert_eq!(fault("by = 'time'"), "run.toml: [split] needs the key `column`");
}

#[test]
fn the_configuration_of_synthetic_data_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = crate::data::synthetic::SyntheticOptions { rows: 10, sequence: 3, ..Default::default() };
    let files = crate::data::synthetic::generate(&options, folder.path(), &mut |_| {}).unwrap();
    let config = Config::load(&files.config, &["train.epochs=1".to_owned()]).unwrap();
    assert_eq!((config.model_name(), config.train.epochs), ("mi-dpg", 1));
}

#[test]
fn another_model_may_leave_the_options_of_the_files_model() {
    let text = "[model]\nname = \"a\"\nonly_a = 1\nwidth = 4\n[data]\n[train]\n";
    let sets = ["model.name=b".to_owned(), "model.kept=2".to_owned()];
    let mut config = Config::from_toml(text, "run.toml", &sets).unwrap();
    assert_eq!(config.replaced_model(), Some("a"));
    let dropped = config.drop_model_options(|key| key == "only_a" || key == "kept");
    assert_eq!(dropped, ["only_a"]);
    assert!(config.model.contains_key("width") && config.model.contains_key("kept"));
    let same = Config::from_toml(text, "run.toml", &["model.width=8".to_owned()]).unwrap();
    assert_eq!(same.replaced_model(), None);
}
