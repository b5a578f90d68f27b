//! Exported models, run by another program: onnxruntime, in the Python that `POLYSCENE_TEST_PYTHON` names (`tests/run`
//! sets it). Without it models are exported all the same, but nobody runs them.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use polyscene::models::names;
use serde_json::Value;

use crate::place::Place;

/// Rows of the file that is scored.
const ROWS: usize = 36;

/// A column for every type of values.
/// Some are called as nodes and constants of the graph might be.
const COLUMNS: &str =
    "page,channel,flag,zip,ratio,day,columns/list,item,basket,history,age,price,label,tags,shares,liked";

/// Row number `row`, as the training data has it or, with `odd`, in other spellings and with cells that are missing or new.
fn cells(row: usize, odd: bool) -> Vec<String> {
    let mix = |salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 7) % count;
    let items: Vec<String> = (0..mix(9, 5)).map(|i| (10 + (mix(10, 12) + i) % 12).to_string()).collect();
    let tags: Vec<&str> = (0..mix(13, 5)).map(|i| ["red", "blue", "green", "grey"][(mix(14, 4) + i) % 4]).collect();
    let shares: Vec<&str> = (0..tags.len()).map(|i| ["1", "0.25", "0", "3e1"][mix(15 + i, 4)]).collect();
    let liked: Vec<String> = (0..mix(19, 4)).map(|i| (10 + (mix(20, 12) + 5 * i) % 12).to_string()).collect();
    let mut cells = vec![
        (1 + mix(0, 3)).to_string(),
        ["web", "app", "mail", ""][mix(1, 4)].to_owned(),
        ["true", "false"][mix(2, 2)].to_owned(),
        format!("{:03}", mix(3, 12)),
        ["0.1", "0.25", "3.5", "7"][mix(4, 4)].to_owned(),
        format!("2024-01-0{}", 1 + mix(5, 7)),
        format!("2024-01-0{}T1{}:30:00", 1 + mix(5, 3), mix(6, 3)),
        (10 + mix(7, 12)).to_string(),
        (10 + mix(8, 12)).to_string(),
        items.join("|"),
        (18 + mix(11, 50)).to_string(),
        format!("{:.2}", 0.37 * mix(12, 90) as f64),
        u8::from(mix(1, 4) + mix(3, 3) + mix(7, 4) + mix(0, 3) > 4).to_string(),
        tags.join("|"),
        shares.join("|"),
        liked.join("|"),
    ];
    if odd {
        match row % 6 {
            0 => cells[2] = ["True", "FALSE", "1", "0.0"][row / 6 % 4].to_owned(),
            1 => cells[3] = cells[3].trim_start_matches('0').to_owned(),
            2 => (cells[5], cells[6]) = (format!("{}T00:00:00", cells[5]), cells[6].replace('T', " ")),
            3 => (cells[1], cells[7], cells[4]) = ("fax".to_owned(), "999".to_owned(), "0.7".to_owned()),
            4 => [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15].iter().for_each(|&at| cells[at] = String::new()),
            _ => {
                (cells[13], cells[14], cells[15]) =
                    ("pink|red|red|blue".to_owned(), "2|1|1|9".to_owned(), "999|11|21".to_owned());
                (cells[10], cells[11], cells[9]) =
                    ("-1".to_owned(), "1e4".to_owned(), "999|11|12|13|10|15|14".to_owned())
            }
        }
    }
    cells
}

const CONFIG: &str = r#"
[data]
path = "rows.csv"
label = "label"
scenario = "page"
aware = ["page", "channel"]
agnostic = ["flag", "zip", "ratio", "day", "columns/list", "item", "tags", "basket", "liked", "age", "price"]
sequence = [{ column = "history", vocabulary = "item", max_length = 4 }]
on_bad_row = "skip"
null_values = ["-1"]
[data.fields]
flag.type = "boolean"
zip.type = "digits(3)"
age = { kind = "bucket", buckets = 7 }
price.kind = "numeric"
tags = { kind = "tags", separator = "|", weights = "shares", max_length = 3 }
liked = { kind = "tags", separator = "|", vocabulary = "item", pooling = "max", max_length = 3 }
"#;

/// A folder with rows to train on, and others to score.
fn place() -> Place {
    let place = Place::empty();
    let text = |rows: std::ops::Range<usize>, odd: bool| {
        rows.map(|row| cells(row, odd).join(",")).fold(COLUMNS.to_owned(), |text, row| text + "\n" + &row) + "\n"
    };
    place.write("data/rows.csv", text(0..600, false));
    place.write("data/config.toml", CONFIG);
    place.write("odd.csv", text(1_000..1_000 + ROWS, true));
    place
}

/// The probabilities of `polyscene predict`; `None` for a row that has none.
pub(crate) fn predicted(place: &Place, run: &str, data: &str) -> Vec<Option<f64>> {
    place.run(&format!("predict {run} --device cpu --data {data} --out {run}.csv")).succeeds();
    predictions(place, run, "prediction")
}

/// A column of what it wrote.
pub(crate) fn predictions(place: &Place, run: &str, column: &str) -> Vec<Option<f64>> {
    let mut reader = csv::Reader::from_path(place.path(format!("{run}.csv"))).unwrap();
    let place = reader.headers().unwrap().iter().position(|head| head == column).unwrap();
    reader.records().map(|record| record.unwrap()[place].parse().ok()).collect()
}

/// Runs models on a file's rows as servers do, and sees to it that they give what `predict` gives: probabilities to 2.5e-6,
/// which is 1e-5 of a logit where they move most with it, and logits to 1e-5 where probabilities in single precision tell
/// them as well. What else the models give, by model and output.
pub(crate) fn assert_served(
    place: &Place,
    data: &str,
    expected: &BTreeMap<String, Vec<Option<f64>>>,
) -> BTreeMap<String, BTreeMap<String, Vec<f64>>> {
    let Some(python) = std::env::var_os("POLYSCENE_TEST_PYTHON") else { return BTreeMap::new() };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run_onnx.py");
    let mut command = Command::new(python);
    command.arg(script).arg(place.path(data)).args(expected.keys().map(|model| place.path(model)));
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), expected.len());
    let mut heads = BTreeMap::new();
    for (model, expected) in expected {
        let found = &found[&place.path(model).display().to_string()];
        let runs = found["ran"].as_array().unwrap();
        assert_eq!(runs.len(), 6, "{model}");
        for run in runs {
            let run = run.as_array().unwrap();
            assert_eq!(run.len(), expected.len(), "{model}");
            for (row, (found, expected)) in run.iter().zip(expected).enumerate() {
                match (found.as_f64(), expected) {
                    (Some(found), Some(expected)) if (found - expected).abs() < 2.5e-6 => {}
                    (None, None) => {}
                    (found, expected) => panic!("{model}, row {row}: {found:?} and not {expected:?}"),
                }
            }
        }
        for (logit, p) in found["logit"].as_array().unwrap().iter().zip(expected) {
            let Some(p) = p.filter(|p| (0.1..0.9).contains(p)) else { continue };
            let off = (logit.as_f64().unwrap() - (p / (1.0 - p)).ln()).abs();
            assert!(off < 1e-5, "{model}: a logit differs by {off:e}");
        }
        let kept: Vec<f64> = expected.iter().flatten().copied().collect();
        let range = kept.iter().fold(0.0, |max: f64, p| max.max((p - kept[0]).abs()));
        assert!(range > 1e-2, "{model}: rows differ by {range:e} only");
        heads.insert(model.clone(), serde_json::from_value(found["heads"].clone()).unwrap());
    }
    heads
}

/// Options that change what is computed when predicting.
const VARIANTS: &[(&str, &str)] = &[
    ("mi-dpg", "model.decomposition=c"),
    ("mi-dpg", "model.decomposition=rc model.d_k=2 model.row_div=2 model.weight_scale=1 model.weight_last=false"),
    ("mi-dpg", "model.decomposition=non model.mir=false"),
    ("mi-dpg", "model.repeat=tile model.row_div=2"),
    ("mi-dpg", "model.row_axis=input model.col_div=2"),
    ("optmsm", "model.transfer=moe model.tower_hidden=[8]"),
    ("optmsm", "model.transfer=cgc model.hypernetwork=false"),
    ("optmsm", "model.priors=false"),
    ("saml", "model.specific=hashed model.specific_rows=7 model.alpha=cosine"),
    ("saml", "model.without=gate model.sequence=false"),
    ("saml", "model.without=auxiliary"),
    ("saml", "model.without=gate-and-mutual"),
    ("apg", "model.condition=mix"),
    ("apg", "model.condition=self"),
    ("deepfm", "train.embedding_precision=f16"),
];

#[test]
fn every_model_serves_what_it_predicts() {
    let place = place();
    let plain = names().into_iter().map(|name| (name, ""));
    let mut expected = BTreeMap::new();
    for (number, (name, options)) in plain.chain(VARIANTS.iter().copied()).enumerate() {
        let run = format!("{name}-{number}");
        place.train(&run, &format!("model.name={name} train.epochs=2 train.learning_rate=0.03 {options}")).succeeds();
        // Some with weights in a file of their own.
        let apart = number % 3 == 1;
        let option = if apart { "--external-data" } else { "" };
        place.run(&format!("export {run} --out {run}.onnx {option}")).succeeds();
        assert_eq!(place.path(format!("{run}.onnx.data")).exists(), apart);
        expected.insert(format!("{run}.onnx"), predicted(&place, &run, "odd.csv"));
    }
    assert_served(&place, "odd.csv", &expected);
}

#[test]
fn rows_of_new_scenarios_are_served_as_the_run_says() {
    let place = place();
    let text = place.text("odd.csv");
    let moved = text.lines().enumerate().map(|(line, text)| match line % 3 {
        1 => format!("9{}\n", &text[1..]),
        _ => format!("{text}\n"),
    });
    place.write("moved.csv", moved.collect::<String>());
    let mut expected = BTreeMap::new();
    for (model, rule, given) in
        [("mmoe", "shared", ROWS), ("saml", "shared", ROWS), ("dnn", "shared", ROWS), ("star", "skip", ROWS * 2 / 3)]
    {
        let line = format!("model.name={model} train.epochs=2 train.learning_rate=0.03 data.unknown_scenario={rule}");
        place.train(model, &line).succeeds();
        place.run(&format!("export {model} --out {model}.onnx")).succeeds();
        let found = predicted(&place, model, "moved.csv");
        assert_eq!(found.iter().flatten().count(), given, "{model}");
        expected.insert(format!("{model}.onnx"), found);
    }
    assert_served(&place, "moved.csv", &expected);
    // Vectors of each scenario's own cannot be looked up for one that nobody knows.
    let says = ["--embeddings", "expected inside", "has vectors for each scenario", "found external"];
    place.run("export saml --out never.onnx --embeddings external").fails(2, &says);
    place.run("export mmoe --out external.onnx --embeddings external").succeeds();
}

/// Ids and vectors by value, as `polyscene embeddings` tells them.
fn embeddings(place: &Place, run: &str, field: &str, table: &str) -> BTreeMap<String, (String, String)> {
    place.run(&format!("embeddings {run} --field {field} --table {table} --out embeddings.csv")).succeeds();
    let text = place.text("embeddings.csv");
    let mut known = BTreeMap::new();
    for line in text.lines().skip(1) {
        let [id, value, vector] = line.splitn(3, ',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        // Hashed rows have no value; the first of them is that of missing ones.
        known.entry(value.to_owned()).or_insert_with(|| (id.to_owned(), vector.replace(',', ";")));
    }
    known
}

#[test]
fn encoded_rows_and_external_vectors_are_served_too() {
    let place = place();
    let hashed = "data.fields.basket.hash=50";
    place.train("bst", &format!("model.name=bst train.epochs=2 train.learning_rate=0.03 {hashed}")).succeeds();
    let says = ["--inputs encoded", "\"basket\" is hashed", "found raw"];
    place.run("export bst --out never.onnx").fails(2, &says);
    assert!(!place.path("never.onnx").exists());
    place.run("export bst --out encoded.onnx --inputs encoded").succeeds();
    place.run("export bst --out external.onnx --embeddings external").succeeds();
    // Hashing is done by whoever encodes; here every basket is missing.
    let rows: Vec<Vec<String>> = (1_000..1_000 + ROWS).map(|row| cells(row, false)).collect();
    let columns: Vec<&str> = COLUMNS.split(',').collect();
    let category = ["page", "channel", "flag", "zip", "ratio", "day", "columns/list", "item", "basket"];
    let of_tags = ["tags"];
    let known: BTreeMap<&str, _> =
        category.iter().chain(&of_tags).map(|&field| (field, embeddings(&place, "bst", field, "embedding"))).collect();
    place
        .run("embeddings bst --field liked --out never.csv")
        .fails(2, &["--field", "expected \"item\", whose rows \"liked\" shares"]);
    let result = place.json("bst/result.json");
    assert!(result["test"]["auc"].is_number());
    let (mut encoded, mut external, mut plain) = (String::new(), String::new(), COLUMNS.to_owned() + "\n");
    for (number, row) in rows.iter().enumerate() {
        let (mut ids, mut vectors, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        for (&column, cell) in columns.iter().zip(row) {
            let cell = if column == "basket" { "" } else { cell };
            cells.push(cell.to_owned());
            let found = |field: &str, value: &str| known[field].get(value).unwrap_or(&known[field][""]).clone();
            if category.contains(&column) {
                let (id, vector) = found(column, cell);
                ids.push((column.to_owned(), id));
                vectors.push((format!("embedding.{column}"), vector.replace(';', "|")));
            }
            match column {
                "page" => {
                    ids.push(("page.scenario".to_owned(), (cell.parse::<u32>().unwrap() - 1).to_string()));
                    vectors.push(("page".to_owned(), cell.to_owned()));
                }
                "history" | "tags" | "liked" => {
                    let field = if column == "tags" { "tags" } else { "item" };
                    let items: Vec<_> =
                        cell.split('|').filter(|i| !i.is_empty()).map(|item| found(field, item)).collect();
                    let join = |part: &dyn Fn(&(String, String)) -> String| {
                        items.iter().map(part).collect::<Vec<_>>().join("|")
                    };
                    ids.push((column.to_owned(), join(&|item| item.0.clone())));
                    vectors.push((format!("embedding.{column}"), join(&|item| item.1.clone())));
                }
                "shares" => {
                    ids.push(("shares".to_owned(), cell.to_owned()));
                    vectors.push(("shares".to_owned(), cell.to_owned()));
                }
                "age" | "price" => {
                    // Missing: the statistics are not at hand here.
                    *cells.last_mut().unwrap() = String::new();
                    ids.push((column.to_owned(), if column == "age" { "0" } else { "" }.to_owned()));
                    vectors.push((column.to_owned(), String::new()));
                }
                _ => {}
            }
        }
        plain += &(cells.join(",") + "\n");
        for (text, row) in [(&mut encoded, ids), (&mut external, vectors)] {
            let (names, cells): (Vec<String>, Vec<String>) = row.into_iter().unzip();
            if number == 0 {
                *text += &(names.join(",") + "\n");
            }
            *text += &(cells.join(",") + "\n");
        }
    }
    place.write("plain.csv", plain);
    let expected = predicted(&place, "bst", "plain.csv");
    for (name, text) in [("encoded", encoded), ("external", external)] {
        place.write(format!("{name}.csv"), text);
        assert_served(&place, &format!("{name}.csv"), &[(format!("{name}.onnx"), expected.clone())].into());
    }
    let files = std::fs::read_dir(place.path("external.embeddings")).unwrap();
    let files: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files.len(), category.len() + of_tags.len());
    assert!(files.iter().any(|file| file.starts_with("embedding.columns-list-")), "{files:?}");
    // The files of vectors are those of `embeddings`.
    place.run("embeddings bst --field item --out item.parquet").succeeds();
    assert_eq!(place.read("external.embeddings/embedding.item.parquet"), place.read("item.parquet"));
}

#[test]
fn what_cannot_be_exported_is_named() {
    let place = place();
    place.run("export nowhere --out model.onnx").fails(6, &["nowhere"]);
    place.train("run", "model.name=dnn train.epochs=0").succeeds();
    place.run("export run --out model.pb").fails(2, &["its name must end in .onnx"]);
    place.run("export run --out no/folder/model.onnx").fails(6, &["no/folder"]);
    let renamed = COLUMNS.replace("channel", "logit");
    place.write("data/rows.csv", place.text("data/rows.csv").replace(COLUMNS, &renamed));
    place.write("data/config.toml", CONFIG.replace("channel", "logit"));
    place.train("clash", "model.name=dnn train.epochs=0").succeeds();
    place.run("export clash --out model.onnx").fails(2, &["not called as an output", "\"logit\""]);
    assert!(!place.path("model.onnx").exists());
}
