//! Frappe.

use std::collections::{BTreeMap, BTreeSet};

use polyscene::data::PublicData::Frappe;

use super::{mixed, prepared, refused};
use crate::place::Place;

const LOG: &str = "user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\tcity\n";
const CONTEXT: [&str; 8] = ["daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"];
const HOME: &str = "https://www.baltrunas.info/context-aware";

fn line(row: u64) -> String {
    let daytime = ["morning", "noon", "evening"][mixed(row + 1, 3) as usize];
    let (weekday, weekend) = [("monday", "workday"), ("sunday", "weekend")][mixed(row + 2, 2) as usize];
    let (user, item, count) = (row % 12, mixed(row + 3, 9), 1 + mixed(row, 40));
    format!("{user}\t{item}\t{count}\t{daytime}\t{weekday}\t{weekend}\tunknown\tfree\tsunny\tUnited States\t0")
}

#[test]
fn frappe_rows_are_followed_by_apps_that_were_not_used() {
    let place = Place::empty();
    let lines: Vec<String> = (0..201).map(line).collect();
    let mut apps =
        "item\tpackage\tcategory\tdownloads\tdeveloper\ticon\tlanguage\tdescription\tname\tprice\trating\tshort desc"
            .to_owned();
    apps.extend((0..9).map(|app| match app {
        8 => format!("\n8{}", "\tunknown".repeat(11)),
        _ => format!(
            "\n{app}\tcom.x\tTools\t1,000 - 5,000\tX\thttp://x\ten\tSays \"hi\" often\tX{app}\tFree\t4.{app}\tX"
        ),
    }));
    place.write("raw/frappe/meta.csv", apps);
    place.write("raw/frappe/frappe.csv", format!("{LOG}{}\n", lines.join("\n")));
    let (told, rows, dataset) = prepared(&place, Frappe, 0);
    assert_eq!((told.rows, told.left_out.len()), (603, 0));
    assert_eq!(rows.counts("label"), [("0", 402), ("1", 201)].into());
    // A tenth and two tenths of 201 rows are 20 and 40.
    assert_eq!(rows.counts("split"), [("test", 60), ("train", 423), ("valid", 120)].into());
    let context = |row: usize| rows.row(row, &[&["user"], &CONTEXT[..]].concat()).join("\t");
    let mut used: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in (0..603).step_by(3) {
        used.entry(context(row)).or_default().insert(&rows.column("item")[row]);
    }
    for (place, line) in lines.iter().enumerate() {
        let row = 3 * place;
        let columns = [&["user", "item", "cnt"], &CONTEXT[..]].concat();
        assert_eq!(rows.row(row, &columns).join("\t"), *line);
        assert_eq!(rows.row(row, &["label"]), ["1"]);
        let [one, other] = [row + 1, row + 2].map(|drawn| {
            assert_eq!(rows.row(drawn, &["label", "cnt", "split"]), ["0", "0", &rows.column("split")[row]]);
            assert_eq!(context(drawn), context(row));
            let item = rows.column("item")[drawn].as_str();
            assert!(!used[&context(row)].contains(item) && item.parse::<u64>().unwrap() < 9, "{row} {item}");
            item
        });
        assert_ne!(one, other);
    }
    for (item, row) in rows.column("item").iter().zip(0..) {
        let expected = if item == "8" {
            ["-"; 3].map(str::to_owned)
        } else {
            ["Tools", "1,000 - 5,000", &format!("4.{item}")].map(str::to_owned)
        };
        assert_eq!(rows.row(row, &["category", "downloads", "rating"]), expected);
    }
    assert_eq!(dataset.encoder.scenarios(), ["evening", "morning", "noon"]);
    assert_eq!(dataset.encoder.fields().len(), 10);

    // The same files and seed give the same rows, another seed other apps and another split.
    assert_eq!(prepared(&place, Frappe, 0).1.0, rows.0);
    let (_, other, _) = prepared(&place, Frappe, 1);
    assert_ne!(other.column("split"), rows.column("split"));
    assert_ne!(other.column("item"), rows.column("item"));
    // Where all apps but one were used there is one to draw.
    let few: String = (0..36)
        .map(|row| line(row).replacen(&format!("\t{}\t", mixed(row + 3, 9)), &format!("\t{}\t", row / 12), 1) + "\n")
        .collect();
    place.write("raw/frappe/frappe.csv", format!("{LOG}{few}"));
    let (told, rows, _) = prepared(&place, Frappe, 0);
    let (reason, count) = told.left_out[0];
    assert!(reason.contains("all were used"), "{reason}");
    assert_eq!(told.rows + count, 108);
    assert_eq!(rows.counts("label")["1"], 36);
}

#[test]
fn frappe_names_the_line_that_is_wrong() {
    let place = Place::empty();
    place.write("raw/frappe.csv", LOG);
    refused(&place, Frappe, &["meta.csv: missing", "frappe.csv: found", HOME]);
    place.write("raw/meta.csv", "item\tcategory\n");
    refused(&place, Frappe, &["meta.csv, line 1, column \"downloads\"", "a column of this name", HOME]);
    place.write(
        "raw/meta.csv",
        "item\tcategory\tdownloads\tdeveloper\tlanguage\tprice\trating\n0\tTools\t1\tX\ten\tFree\t4.5\n",
    );
    let wrong = |line: &str, says: &[&str]| {
        place.write("raw/frappe.csv", format!("{LOG}{line}\n"));
        refused(&place, Frappe, &[&["frappe.csv, line 2", HOME], says].concat());
    };
    wrong(
        "0\t0\t0\tmorning\tsunday\tweekend\tunknown\tfree\tsunny\tSpain\t0",
        &["column \"cnt\"", "a whole number above 0"],
    );
    wrong("0\t0\t1\tmorning\tsunday\tweekend\tunknown\tfree\t\tSpain\t0", &["column \"weather\"", "expected a value"]);
    // libfm's file, of the same data with numbers for everything.
    wrong("1 204:1 4798:1", &["expected 11 cells, found 1"]);
    place.write("raw/frappe.csv", "");
    refused(&place, Frappe, &["frappe.csv: the file is empty", HOME]);
}
