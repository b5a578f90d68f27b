//! Which rows a run learns from: `data.where`, one scenario alone, and a model of its own for each scenario.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;

use crate::place::Place;

const CONFIG: &str = r#"
[data]
path = "rows.csv"
label = "label"
scenario = "page"
aware = ["page"]
agnostic = ["item", "price"]
user = "user"
split = { by = "column", column = "split" }
[data.fields]
price.kind = "numeric"
[model]
name = "dnn"
width = 4
hidden = [8]
[train]
epochs = 3
batch_size = 32
patience = 0
learning_rate = 0.02
"#;

/// Rows of three pages, in which an item's rate depends on the page.
fn rows() -> Vec<Vec<String>> {
    let mix = |row: usize, salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 9) % count;
    let row = |row: usize| {
        let (page, item, price) = (mix(row, 0, 3), mix(row, 1, 9), mix(row, 2, 90));
        let label = (item * (page + 1) + price / 30 + mix(row, 5, 4)) % 7 < 3;
        let split = ["train", "train", "train", "valid", "test"][row % 5];
        [
            u8::from(label).to_string(),
            ["home", "list", "cart"][page].to_owned(),
            format!("i{item}"),
            price.to_string(),
            format!("u{}", mix(row, 7, 15)),
            split.to_owned(),
        ]
        .to_vec()
    };
    (0..900).map(row).collect()
}

fn text(rows: impl Iterator<Item = Vec<String>>) -> String {
    rows.fold("label,page,item,price,user,split\n".to_owned(), |text, row| text + &row.join(",") + "\n")
}

/// A place with all rows, and with those alone that have this page and a price below 60.
fn place() -> Place {
    let place = Place::empty();
    let takes = |row: &Vec<String>| row[1] != "cart" && row[3].parse::<u32>().unwrap() < 60;
    place.write("rows.csv", text(rows().into_iter()));
    place.write("some.csv", text(rows().into_iter().filter(takes)));
    place.write("home.csv", text(rows().into_iter().filter(|row| row[1] == "home")));
    place.write("config.toml", CONFIG);
    place
}

#[test]
fn a_run_of_some_rows_is_that_of_a_file_of_these() {
    let place = place();
    place.write(
        "where.toml",
        CONFIG.replace("label = \"label\"", "label = \"label\"\nwhere = \"page in [home, list] and price < 60\""),
    );
    let told = place.run("train where.toml --device cpu --out some").succeeds();
    let left_out = rows().len() - place.text("some.csv").lines().skip(1).count();
    told.says(&[&format!("{left_out} rows left out by data.where")]);
    place.run("train config.toml --device cpu --out file --set data.path=some.csv").succeeds();
    place.assert_same_runs("some", "file");
    // A second time from the cache, which remembers.
    place.run("eval some --device cpu").succeeds().says(&[&format!("{left_out} rows left out by data.where")]);
    // Other files are filtered where rows are compared with their labels, and scored whole otherwise.
    let own = place.run("eval some --device cpu --data rows.csv --json").succeeds();
    let file = place.run("eval file --device cpu --data some.csv --json").succeeds();
    assert_eq!(own.json()["auc"], file.json()["auc"]);
    own.says(&[&format!("{left_out} rows left out by data.where")]);
    place.run("predict some --device cpu --data home.csv --out all.csv").succeeds();
    assert_eq!(place.text("all.csv").lines().count(), place.text("home.csv").lines().count());

    let refused = |code: i32, filter: &str, says: &[&str]| {
        let mut command = place.command();
        command.args(["train", "config.toml", "--set", &format!("data.where={filter}")]).stdin(Stdio::null());
        crate::place::Outcome::of(&mut command).fails(code, says);
    };
    refused(2, "page ~ home", &["data.where", "expected =, !=", "found `~`"]);
    refused(3, "prise < 3", &["no column \"prise\", which data.where names; did you mean \"price\"?"]);
    refused(3, "price < 0", &["no rows to learn from (900 rows were left out by data.where)"]);
    refused(2, "page < home", &["data.where", "compare numbers, dates and times"]);
    refused(3, "item > 3", &["line 2, column \"item\": expected numbers, which data.where compares, found \"i"]);
}

#[test]
fn one_scenario_alone_is_a_run_like_any_other() {
    let place = place();
    place
        .run("train config.toml --device cpu --out one --scenario home")
        .succeeds()
        .says(&["left out by data.only_scenarios"]);
    assert!(place.text("one/config.toml").contains("only_scenarios = [\"home\"]"));
    place.run("train config.toml --device cpu --out file --set data.path=home.csv").succeeds();
    place.assert_same_runs("one", "file");
    // Of another file its own scenario's rows are scored.
    let own = place.run("eval one --device cpu --data rows.csv --json").succeeds().json();
    let file = place.run("eval file --device cpu --data home.csv --json").succeeds().json();
    assert_eq!(own["auc"], file["auc"]);
    place
        .run("train config.toml --device cpu --scenario hoem")
        .fails(3, &["names \"hoem\", which no row has; did you mean \"home\"?", "the scenarios are: cart, home, list"]);
    place.run("train config.toml --device cpu --out one --resume").fails(6, &["was trained with another [data]"]);
    place.run("train config.toml --device cpu --out one --resume --scenario home --set train.epochs=4").succeeds();
}

/// The share of pairs of a positive and a negative that are in order.
fn auc(scored: &[(f64, bool)]) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for (p, _) in scored.iter().filter(|(_, label)| *label) {
        for (n, _) in scored.iter().filter(|(_, label)| !*label) {
            right += if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 };
            all += 1.0;
        }
    }
    right / all
}

#[test]
fn a_model_of_its_own_for_each_scenario_is_one_label() {
    let place = place();
    let models = r#"
[compare]
seeds = 2
[[compare.models]]
name = "dnn"
label = "individual"
individual = true
[[compare.models]]
name = "dnn"
label = "joint"
"#;
    place.write("c.toml", CONFIG.to_owned() + models);
    let compare = || place.run("compare c.toml --device cpu --out many").succeeds();
    compare().says(&["scenario 2 of 3: home", "individual", "joint"]);
    let result = place.json("many/individual/seed-1/result.json");
    // All test rows, each scored by the model of its scenario.
    let mut scored: BTreeMap<String, Vec<(f64, bool)>> = BTreeMap::new();
    let mut by_user: BTreeMap<String, Vec<(f64, bool)>> = BTreeMap::new();
    for (number, page) in ["cart", "home", "list"].iter().enumerate() {
        let own = |row: &Vec<String>| row[1] == *page && row[5] == "test";
        place.write("own.csv", text(rows().into_iter().filter(own)));
        let run = format!("many/individual/seed-1/scenario-{number}-{page}");
        place.run(&format!("predict {run} --device cpu --data own.csv --out scored.csv")).succeeds();
        for line in place.text("scored.csv").lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let pair = (cells[6].parse().unwrap(), cells[0] == "1");
            scored.entry((*page).to_owned()).or_default().push(pair);
            by_user.entry(cells[4].to_owned()).or_default().push(pair);
        }
    }
    let near = |found: &Value, expected: f64| {
        assert!((found.as_f64().unwrap() - expected).abs() < 1e-9, "{found} and not {expected}");
    };
    let all: Vec<(f64, bool)> = scored.values().flatten().copied().collect();
    assert_eq!(result["test"]["rows"].as_u64().unwrap() as usize, all.len());
    near(&result["test"]["auc"], auc(&all));
    for (page, scored) in &scored {
        near(&result["test"]["scenarios"][page]["auc"], auc(scored));
    }
    let both = |scored: &&Vec<(f64, bool)>| scored.iter().any(|row| row.1) && scored.iter().any(|row| !row.1);
    let users: Vec<&Vec<(f64, bool)>> = by_user.values().filter(both).collect();
    let rows: usize = users.iter().map(|rows| rows.len()).sum();
    near(&result["test"]["gauc"], users.iter().map(|rows| rows.len() as f64 * auc(rows)).sum::<f64>() / rows as f64);
    let joint = place.json("many/joint/seed-1/result.json");
    assert_eq!((&joint["test"]["rows"], &joint["valid"]["rows"]), (&result["test"]["rows"], &result["valid"]["rows"]));
    let parts = ["cart", "home", "list"].iter().enumerate();
    let steps = |(number, page): (usize, &&str)| {
        place.json(format!("many/individual/seed-1/scenario-{number}-{page}/result.json"))["steps"].as_u64().unwrap()
    };
    assert_eq!(result["steps"].as_u64().unwrap(), parts.map(steps).sum::<u64>());
    assert_eq!(place.text("many/cells.jsonl").lines().count(), 4);
    assert!(place.text("many/compare.toml").contains("individual = true"));

    // What was stopped goes on: one scenario's model had a checkpoint, another none, the rest is kept.
    let folder = place.path("many/individual/seed-1");
    std::fs::remove_file(folder.join("result.json")).unwrap();
    std::fs::remove_file(folder.join("scenario-1-home/result.json")).unwrap();
    std::fs::remove_dir_all(folder.join("scenario-2-list")).unwrap();
    let kept = std::fs::metadata(folder.join("scenario-0-cart/result.json")).unwrap().modified().unwrap();
    compare();
    let again = place.json("many/individual/seed-1/result.json");
    assert_eq!((&again["test"], &again["valid"]), (&result["test"], &result["valid"]));
    assert_eq!(std::fs::metadata(folder.join("scenario-0-cart/result.json")).unwrap().modified().unwrap(), kept);
    place.run("compare many/compare.toml --device cpu").succeeds().says(&["individual"]);

    // A scenario that has nothing to learn from is known before anything runs.
    let one =
        |row: Vec<String>| if row[1] == "cart" { [vec!["0".to_owned()], row[1..].to_vec()].concat() } else { row };
    place.write("rows.csv", text(self::rows().into_iter().map(one)));
    place
        .run("compare c.toml --device cpu --out other")
        .fails(2, &["individual: scenario cart has", "0 of them positive", "needs both classes"]);
}
