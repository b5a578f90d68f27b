//! Options of single fields, from training to other files, other runs and served models.

use crate::onnx::{assert_served, predicted};
use crate::place::Place;

const CONFIG: &str = r#"
[data]
path = "rows.csv"
label = "label"
scenario = "page"
aware = ["page"]
agnostic = ["item", "pair", "price", "age"]
split = { by = "seed", seed = 2 }
[data.fields]
FIELDS
[model]
name = "dnn"
width = 4
hidden = [8]
[train]
epochs = 4
batch_size = 32
patience = 0
learning_rate = 0.03
"#;

const OPTIONS: &str = r#"
pair.cross = ["page", "tag"]
price = { kind = "numeric", transform = "log" }
age = { kind = "bucket", boundaries = [20, 30, 45.5] }
item.top = 6
"#;

/// Label, page, item, tag, price, age. With `odd`, some values are missing, new, or written in another way.
fn cells(row: usize, odd: bool) -> [String; 6] {
    let mix = |salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 9) % count;
    let (page, item, tag) = (mix(0, 3), mix(1, 9) * mix(2, 2), mix(3, 4));
    let price = [-40.0, 0.0, 0.25, 3.5, 800.0, 1e6][mix(4, 6)] * (1.0 + mix(5, 10) as f64);
    let label = u8::from((page * tag + mix(4, 6) + item) % 5 < 2);
    let mut cells = [
        label.to_string(),
        (page + 1).to_string(),
        format!("i{item}"),
        ["a", "a|b", "b\\", "|"][tag].to_owned(),
        price.to_string(),
        (15 + mix(6, 45)).to_string(),
    ];
    if odd {
        match row % 5 {
            0 => cells[3] = String::new(),
            1 => cells[3] = "new".to_owned(),
            2 => (cells[2], cells[4]) = ("i99".to_owned(), String::new()),
            3 => (cells[4], cells[5]) = ("-1e9".to_owned(), "45.5".to_owned()),
            _ => cells[5] = String::new(),
        }
    }
    cells
}

fn text(rows: std::ops::Range<usize>, odd: bool) -> String {
    rows.fold("label,page,item,tag,price,age\n".to_owned(), |text, row| text + &cells(row, odd).join(",") + "\n")
}

fn config(fields: &str) -> String {
    CONFIG.replace("FIELDS", fields)
}

fn place() -> Place {
    let place = Place::empty();
    place.write("rows.csv", text(0..600, false));
    place.write("odd.csv", text(1_000..1_040, true));
    place.write("config.toml", config(OPTIONS));
    place
}

#[test]
fn what_options_compute_is_what_columns_of_it_would_be() {
    let place = place();
    place.run("train config.toml --device cpu --out run").succeeds();
    // The same by columns that somebody else has computed.
    let computed = |rows: std::ops::Range<usize>, odd: bool| {
        rows.fold("label,page,item,pair,price,age\n".to_owned(), |text, row| {
            let [label, page, item, tag, price, age] = cells(row, odd);
            let x: f64 = price.parse().unwrap_or(f64::NAN);
            let log = if x.is_nan() { String::new() } else { (x.signum() * x.abs().ln_1p()).to_string() };
            let pair = if tag.is_empty() { String::new() } else { format!("{page}+{tag}") };
            let bucket = age.parse::<f64>().map(|age| [20.0, 30.0, 45.5].iter().filter(|edge| age >= **edge).count());
            let bucket = bucket.map_or(String::new(), |bucket| bucket.to_string());
            format!("{text}{label},{page},{item},{pair},{log},{bucket}\n")
        })
    };
    place.write("computed.csv", computed(0..600, false));
    place.write("computed-odd.csv", computed(1_000..1_040, true));
    let plain = "price.kind = \"numeric\"\nage = { kind = \"bucket\", boundaries = [1, 2, 3] }\nitem.top = 6\n";
    place.write("computed.toml", config(plain).replace("rows.csv", "computed.csv"));
    place.run("train computed.toml --device cpu --out computed").succeeds();
    assert_eq!(place.read("run/model.safetensors"), place.read("computed/model.safetensors"));
    assert_eq!(predicted(&place, "run", "odd.csv"), predicted(&place, "computed", "computed-odd.csv"));
    place.run("predict run --device cpu --data rows.csv --out all.csv").succeeds();
    // A file without one of the crossed columns is told what is missing.
    place.write("short.csv", "page,item,price,age\n1,i1,2,20\n");
    place
        .run("predict run --device cpu --data short.csv --out no.csv")
        .fails(3, &["no column \"tag\", which data.fields.pair.cross names"]);

    place.run("export run --out run.onnx").succeeds();
    let expected = predicted(&place, "run", "odd.csv");
    assert_served(&place, "odd.csv", &[("run.onnx".to_owned(), expected)].into());
    place.run("embeddings run --field pair --out pair.csv").succeeds();
    let known = place.text("pair.csv");
    assert!(known.contains(",1|a\\|b,") && known.contains(",2|b\\\\,"), "{known}");
}

#[test]
fn the_rest_of_a_vocabulary_is_hashed_and_stays_where_it_is() {
    let place = place();
    let fields = "item = { top = 3, hash = 4 }\npair = { cross = [\"item\", \"tag\"], min_count = 30, hash = 5 }\n\
                  price = { kind = \"bucket\", boundaries = [0] }\n";
    place.write("config.toml", config(fields));
    place.run("train config.toml --device cpu --out run").succeeds();
    let places = |run: &str, field: &str| -> Vec<(String, String)> {
        place.run(&format!("embeddings {run} --field {field} --out known.csv")).succeeds();
        let text = place.text("known.csv");
        let pair = |line: &str| {
            let cells: Vec<&str> = line.splitn(3, ',').collect();
            (cells[1].to_owned(), cells[2].to_owned())
        };
        text.lines().skip(1).map(pair).collect()
    };
    let before = places("run", "item");
    let names = |known: &[(String, String)]| known.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(before.len(), 1 + 4 + 3);
    assert!(names(&before)[..5].iter().all(String::is_empty) && names(&before)[5..].contains(&"i0".to_owned()));
    // i99 is not known, and is scored by the row that it is hashed to: nothing is unknown.
    let told = place.run("predict run --device cpu --data odd.csv --out odd-scored.csv").succeeds();
    assert!(!told.err.contains("column \"item\""), "{}", told.err);
    place.run("export run --out run.onnx").fails(2, &["--inputs encoded", "\"item\" is hashed"]);
    place.run("export run --out run.onnx --inputs encoded").succeeds();

    // Going on without learning: known values and hashed rows keep their vectors, a new value follows.
    let more = text(600..900, false).replace(",i4,", ",i77,").replace(",i8,", ",i77,");
    place.write("rows.csv", more);
    place.write("config.toml", config(&fields.replace("top = 3", "top = 4")));
    place
        .run("train config.toml --device cpu --out on --from run --set train.epochs=0")
        .succeeds()
        .says(&["new values: item 1"]);
    let after = places("on", "item");
    assert_eq!((&after[..8], after.len()), (&before[..], 9));
    let (pairs, grown) = (places("run", "pair"), places("on", "pair"));
    assert_eq!(grown[..pairs.len()], pairs[..]);
    place.write("config.toml", config(&fields.replace("hash = 4", "hash = 8")));
    place
        .run("train config.toml --device cpu --out no --from run")
        .fails(3, &["data.fields.item.hash: expected 4, which the run that training goes on from has"]);
}
