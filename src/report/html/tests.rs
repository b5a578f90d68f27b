use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

const NAME: &str = "<b>&\"";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path()).unwrap();
        folder
    }

    /// Pages show the last part of it: a name of our own, for a random one may spell a word that no page is to have.
    fn path(&self) -> PathBuf {
        self.0.path().join("run")
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn page(&self) -> String {
        let page = report(&self.path()).unwrap();
        assert_eq!(page, report(&self.path()).unwrap(), "the same files give the same bytes");
        sound(&page);
        page
    }
}

/// That a page needs nothing but itself, and has no number that is none.
fn sound(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for word in ["http", "//", "url(", "<script", "<link", "<img", "src=", "@import", "<b>", "NaN", "inf\"", "-inf"] {
        assert!(!page.contains(word), "{word}");
    }
    for element in ["svg", "figure", "g", "path", "text", "table", "div", "html"] {
        let opened = page.matches(&format!("<{element} ")).count() + page.matches(&format!("<{element}>")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "<{element}>");
    }
    assert_eq!(page.matches("<figure").count(), page.matches("role=\"img\" aria-label=").count());
    assert_eq!(page.matches("<figure").count(), page.matches("<figcaption>").count());
}

fn figures(page: &str) -> Vec<&str> {
    page.split("<h3>").skip(1).map(|rest| rest.split("</h3>").next().unwrap()).collect()
}

fn metrics(auc: Value) -> Value {
    let own = json!({"auc": auc, "logloss": 0.4, "gauc": auc, "calibration": 1.1, "rows": 60, "positives": 12});
    let mut all = own.clone();
    all["rows"] = json!(120);
    all["scenarios"] = json!({NAME: own, "two": own});
    all
}

fn epoch(number: u64, auc: Value, best: bool) -> String {
    let line = json!({"epoch": number, "steps": 10 * number, "train": {"bce": 0.5, "mi": 0.1, "loss": 0.6},
        "valid": metrics(auc), "best": best, "train_seconds": 1.5, "train_rows_per_second": 1000.0});
    format!("{line}\n")
}

fn samples(width: usize) -> String {
    let mut text = "scenario,row".to_owned() + &(0..width).map(|n| format!(",{n}")).collect::<String>() + "\n";
    for row in 0..40 {
        text += if row % 2 == 0 { "\"<b>&\"\"\"" } else { "two" };
        text += &format!(",{row}");
        (0..width).for_each(|column| text += &format!(",{}", (row * 7 + column * 3) % 11 + 20 * (row % 2)));
        text.push('\n');
    }
    text
}

fn whole_run() -> Folder {
    let folder = Folder::new();
    folder
        .write("config.toml", "[model]\nname = \"mi-dpg\"\n[data]\npath = \"/data/x.csv\"\n[train]\nseed = 3\n")
        .write(
            "metrics.jsonl",
            &(epoch(1, json!(0.7), true) + &epoch(2, json!(0.75), true) + &epoch(3, json!(0.72), false)),
        )
        .write(
            "calibration.csv",
            "group,scenario,bin,rows,positives,predicted,observed\nall,,1,60,6,0.11,0.1\n\
            all,,2,60,18,0.25,0.3\nscenario,\"<b>&\"\"\",1,60,12,0.18,0.2\nscenario,two,1,60,12,0.18,0.2\n",
        )
        .write("analysis/weighting.10-samples.csv", &samples(6))
        .write("analysis/weighting.2-samples.csv", &samples(6))
        .write("analysis/weighting.2-similarity.csv", "scenario,\"<b>&\"\"\",two\n\"<b>&\"\"\",1,0.25\ntwo,0.25,1\n")
        .write(
            "analysis/weighting.2-separation.csv",
            "group,scenario,samples,silhouette\nscenario,\"<b>&\"\"\",20,0.5\nscenario,two,20,0.625\nall,,40,0.75\n",
        )
        .write("analysis/mutual.0-samples.csv", &samples(2))
        .write(
            "analysis/mutual.0-distribution.csv",
            "scenario,coefficient,mean,deviation,5 %,25 %,50 %,75 %,95 %\n\
            \"<b>&\"\"\",g,0.5,0.1,0.3,0.4,0.5,0.6,0.7\n\"<b>&\"\"\",α of two,1,0,1,1,1,1,1\n\
            two,g,0.5,0.1,0.3,0.4,0.5,0.6,0.7\ntwo,\"α of <b>&\"\"\",1,0,1,1,1,1,1\n",
        );
    let result = json!({"model": "mi-dpg", "device": "CPU (2 threads)", "seed": 3, "epochs": 3, "best_epoch": 2,
        "steps": 30, "parameters": 12345, "embedding_rows": 99, "test": metrics(json!(0.71)), "valid": metrics(json!(0.75)),
        "best_reachable": metrics(json!(0.8)), "test_rows_per_second": 1000.0});
    folder.write("result.json", &result.to_string());
    folder
}

#[test]
fn a_run_has_every_picture() {
    let page = whole_run().page();
    assert_eq!(
        figures(&page),
        [
            "Training loss",
            "Validation AUC",
            "Validation LogLoss",
            "Validation AUC by scenario",
            "AUC by scenario",
            "Calibration, all rows",
            "Calibration by scenario",
            "weighting.2 by scenario",
            "weighting.2: how alike scenarios are",
            "weighting.10 by scenario",
            "mutual.0: g by scenario",
            "mutual.0: α by scenario",
        ]
    );
    let said =
        ["mi-dpg: ", "CPU (2 threads)", "/data/x.csv", "Seed 3", "12,345", "best: epoch 2", "is 0.750", "figure 2f"];
    for said in said.iter().chain(&["&lt;b&gt;&amp;&quot;", "predicted 0.11, came true 0.1 of 60 rows", "0.7100"]) {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_run_that_has_little_says_so() {
    let folder = Folder::new();
    let bare = json!({"epoch": 1, "train": {"bce": null, "loss": null}, "best": true});
    folder.write("metrics.jsonl", &format!("{bare}\n{{\"epoch\": 2, \"tr"));
    let page = folder.page();
    assert_eq!(figures(&page), Vec::<&str>::new());
    for said in ["The run is not over", "No calibration.csv", "No epoch is finished yet"] {
        assert!(page.contains(said), "{said}");
    }

    // One scenario, one epoch, no AUC.
    let one = json!({"auc": null, "logloss": 0.2, "rows": 5, "positives": 0,
        "scenarios": {"only": {"auc": null, "logloss": 0.2, "rows": 5, "positives": 0}}});
    let folder = Folder::new();
    let line = json!({"epoch": 1, "steps": 3, "train": {"loss": 0.2}, "valid": one, "best": true});
    folder.write("metrics.jsonl", &format!("{line}\n")).write("result.json", &json!({"test": one}).to_string());
    folder.write("calibration.csv", "group,scenario,bin,rows,positives,predicted,observed\nall,,1,5,0,NaN,0\n");
    folder.write("analysis/representation-samples.csv", "scenario,row,0\nonly,1,0.5\n");
    let page = folder.page();
    assert_eq!(figures(&page), ["Training loss", "Validation LogLoss", "AUC by scenario"]);
    assert!(page.contains("No samples.") && page.contains("n/a"));

    // No epochs.
    let folder = Folder::new();
    folder.write("metrics.jsonl", "").write("result.json", &json!({"test": metrics(json!(0.5))}).to_string());
    assert_eq!(figures(&folder.page()), ["AUC by scenario"]);
}

#[test]
fn fifty_scenarios_are_still_readable() {
    let own = |place: usize| json!({"auc": 0.6 + place as f64 / 500.0, "rows": 100 + place, "positives": 10});
    let scenarios: serde_json::Map<String, Value> =
        (0..50).map(|place| (format!("scenario-{place}"), own(place))).collect();
    let test = json!({"auc": 0.7, "rows": 6000, "positives": 600, "scenarios": scenarios});
    let line = json!({"epoch": 1, "steps": 3, "train": {"loss": 0.2}, "valid": test, "best": true});
    let mut text = "scenario,row,0,1\n".to_owned();
    (0..150).for_each(|row| text += &format!("scenario-{},{row},{},{}\n", row % 50, row % 7, row % 13));
    let mut distribution = "scenario,coefficient,mean,deviation,5 %,25 %,50 %,75 %,95 %\n".to_owned();
    for (own, other) in (0..50).flat_map(|own| (0..50).map(move |other| (own, other))) {
        let what = if own == other { "g".to_owned() } else { format!("α of scenario-{other}") };
        distribution += &format!("scenario-{own},{what},0.02,0,0.01,0.02,0.02,0.02,0.03\n");
    }
    let folder = Folder::new();
    folder
        .write("metrics.jsonl", &format!("{line}\n"))
        .write("result.json", &json!({"test": test}).to_string())
        .write("analysis/representation-samples.csv", &text)
        .write("analysis/mutual.1-samples.csv", "scenario,row,a\n")
        .write("analysis/mutual.1-distribution.csv", &distribution);
    let page = folder.page();
    assert!(page.contains("The 10 scenarios with the most rows of 50") && page.contains("40 other scenarios"));
    assert!(figures(&page).contains(&"mutual.1: α by scenario"));
    assert!(page.find(">scenario-49<") < page.find(">scenario-0<"), "the best on top");
}

fn compared() -> Folder {
    let folder = Folder::new();
    let mut cells = String::new();
    for (label, decomposition, shift) in [("plain", "r", 0.0), (NAME, "rc", 0.02)] {
        for (row_div, seed) in [(2, 0), (2, 1), (4, 0), (4, 1)] {
            let run = format!("runs/{decomposition}-{row_div}-{seed}");
            let auc = 0.7 + shift + f64::from(row_div) / 200.0 + f64::from(seed) / 1000.0;
            let settings = json!({"model.decomposition": decomposition, "model.row_div": row_div, "model.col_div": row_div, "train.seed": seed});
            let result = json!({"test": metrics(json!(auc)), "device": "CPU"});
            let cell = json!({"label": label, "model": "mi-dpg", "seed": seed, "folder": run, "settings": settings, "result": result});
            cells += &format!("{cell}\n");
            folder
                .write(&format!("{run}/metrics.jsonl"), &(epoch(1, json!(auc), true) + &epoch(2, json!(null), false)));
            folder.write(&format!("{run}/analysis/weighting.0-samples.csv"), &samples(4));
        }
    }
    folder.write("cells.jsonl", &cells);
    folder
}

#[test]
fn a_comparison_has_every_picture() {
    let folder = compared();
    folder.write("table.html", "<html><script>x</script><table class=t><tr><td>theirs</td></tr></table></html>");
    let page = folder.page();
    assert_eq!(
        figures(&page),
        [
            "Test AUC",
            "Test LogLoss",
            "Test AUC by scenario",
            "Validation AUC",
            "Validation LogLoss",
            "AUC by model.row_div",
            "Scenarios inside the models",
        ]
    );
    // The better label is on top, with its mean over four runs.
    assert!(page.contains("0.7355 ± ") && page.contains("<td>theirs</td>") && page.contains("figure 2a, 2c and 2e"));
    assert!(page.contains("model.row_div = 2: AUC 0.7105 (2 runs)"), "a line for each decomposition");
    assert!(page.contains("model.decomposition = rc"));
    assert!(page.find("&lt;b&gt;").unwrap() < page.find(">plain<").unwrap());
}

#[test]
fn a_sweep_is_in_the_order_of_validation() {
    let folder = Folder::new();
    let cell = |label: &str, valid: f64, test: f64| {
        let result = json!({"valid": metrics(json!(valid)), "test": metrics(json!(test))});
        json!({"label": label, "seed": 0, "folder": label, "result": result}).to_string() + "\n"
    };
    folder.write("cells.jsonl", &(cell("chosen", 0.72, 0.70) + &cell("lucky", 0.71, 0.73)));
    let page = folder.page();
    assert!(page.find(">lucky<") < page.find(">chosen<") && !page.contains("best by validation"));
    folder.write("sweep.toml", "");
    let page = folder.page();
    assert!(page.find(">chosen<") < page.find(">lucky<") && page.contains("best mean validation AUC first"));
    assert!(page.contains("<dt>best by validation</dt><dd>chosen</dd>"), "{page}");
    assert!(page.contains("<dt>its validation AUC</dt><dd>0.7200</dd>"));
    assert!(page.contains("<dt>its test AUC</dt><dd>0.7000</dd>"));
    // One seed of two chooses nothing.
    folder.write("sweep.toml", "[sweep]\nseeds = [0, 1]\n");
    assert!(!folder.page().contains("best by validation"));
}

#[test]
fn a_comparison_of_one_cell_without_numbers_is_a_page_and_one_without_cells_is_not() {
    let folder = Folder::new();
    folder.write("cells.jsonl", "{\"label\": \"only\", \"result\": {}}\n{\"label\": \"cut");
    let page = folder.page();
    assert_eq!(figures(&page), Vec::<&str>::new());
    assert!(page.contains("No cell has a test AUC") && page.contains(">only<"));
    folder.write("cells.jsonl", "");
    assert!(report(&folder.path()).unwrap_err().to_string().contains("no cell yet"));
    folder.write("cells.jsonl", "{}\nnot\n{}\n");
    let error = report(&folder.path()).unwrap_err().to_string();
    assert!(error.contains("cells.jsonl") && error.contains("line 2"), "{error}");
}

#[test]
fn a_folder_of_neither_is_refused_and_a_report_lies_in_its_folder() {
    let folder = Folder::new();
    let error = report(&folder.path()).unwrap_err().to_string();
    assert!(error.contains("neither a run nor a comparison"), "{error}");
    assert!(report(&folder.path().join("none")).unwrap_err().to_string().contains("is not a folder"));
    folder.write("metrics.jsonl", &epoch(1, json!(0.7), true));
    let path = write_report(&folder.path()).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), folder.page());
}

#[test]
fn a_table_that_is_made_for_it_stands_in_the_page_as_it_is() {
    let folder = compared();
    assert!(folder.page().contains("<th>label</th>"), "a table of our own");
    folder.write(
        "table.html",
        "<section><style>p{}</style><table><tr><td>theirs</td></tr></table><p>notes</p></section>",
    );
    let page = folder.page();
    assert!(page.contains("<td>theirs</td>") && page.contains("<p>notes</p>") && !page.contains("<th>label</th>"));
}

#[test]
fn importance_is_shown_where_it_was_computed() {
    let change = |mean: f64, deviation: Value| json!({"mean": mean, "deviation": deviation});
    let column = |column: &str, permuted: &str, aware: Value, lost: f64| {
        json!({"column": column, "permuted": permuted, "aware": aware, "auc_drop": change(lost, json!(0.001)),
            "logloss_rise": change(lost / 2.0, Value::Null), "scenarios": []})
    };
    let columns = [
        column("item", "field", json!(false), 0.05),
        column(NAME, "field", json!(true), 0.01),
        column("page", "scenario_parts", Value::Null, -0.002),
    ];
    let found = json!({"split": "valid", "rows": 60, "repeats": 5, "seed": 0, "auc": 0.7, "logloss": 0.4, "scenarios": [],
        "columns": columns});
    let folder = Folder::new();
    folder.write("metrics.jsonl", "");
    assert!(!folder.page().contains("What the model relies on"));
    folder.write("importance.json", &found.to_string());
    let page = folder.page();
    assert_eq!(figures(&page).iter().filter(|title| title.contains("without a column")).count(), 2);
    assert!(page.contains("page (parts for scenarios)") && page.contains("the valid rows 5 times"), "{page}");
    assert!(page.contains("0.0500 ± 0.0010") && page.contains("0.0250"));
    folder.write("importance.json", "{");
    assert!(!folder.page().contains("What the model relies on"));
}
