//! Avazu's contest.

use polyscene::data::PublicData::Avazu;

use super::{gzip, mixed, prepared, refused};
use crate::place::Place;

const HEADER: &str = "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,\
    device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21";
const HOME: &str = "https://www.kaggle.com/c/avazu-ctr-prediction/data";

/// An impression on a day and at an hour.
fn row(row: u64, hour: &str) -> String {
    let [a, b, c] = [3, 5, 40].map(|bound| mixed(row, bound));
    format!(
        "1000{row}94181510942{a},{},{hour},1005,{},1fbe01f{a},f384576{b},28905ebd,ecad238{b},7801e8d9,07d7df22,a99f214a,\
         ddd2{c:04},44956a2{b},1,{a},15706,320,50,1722,0,35,{},79\n",
        u8::from(mixed(row, 6) == 0),
        [0, 1, 7][a as usize],
        [-1, 100_084][b as usize % 2]
    )
}

#[test]
fn avazu_is_split_by_days_and_by_positions() {
    let place = Place::empty();
    let hours: Vec<String> = (0..400u64).map(|row| format!("1410{}{:02}", 21 + row / 40, row % 40 * 23 / 39)).collect();
    let lines: Vec<String> = hours.iter().enumerate().map(|(number, hour)| row(number as u64, hour)).collect();
    place.write("raw/train.gz", gzip(&format!("{HEADER}\n{}", lines.concat())));
    let (told, rows, dataset) = prepared(&place, Avazu, 0);
    assert_eq!(told.read, [("train.gz".to_owned(), 400)]);
    assert_eq!(rows.counts("split"), [("test", 40), ("train", 320), ("valid", 40)].into());
    // 21 October 2014 was a Tuesday.
    assert_eq!(rows.row(39, &["hour", "weekday", "day", "split"]), ["23", "2", "2014-10-21", "train"]);
    assert_eq!(rows.row(250, &["hour", "weekday", "day", "split"]), ["5", "1", "2014-10-27", "train"]);
    assert_eq!(rows.row(399, &["hour", "weekday", "day", "split"]), ["23", "4", "2014-10-30", "test"]);
    assert_eq!(rows.column("split")[320], "valid");
    let names: Vec<&str> = HEADER.split(',').collect();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.trim_end().split(',').zip(&names);
        for (cell, &name) in cells.filter(|(_, name)| !["id", "hour"].contains(name)) {
            assert_eq!(rows.column(if name == "click" { "label" } else { name })[number], cell);
        }
    }
    assert_eq!(dataset.encoder.scenarios(), ["0", "1", "7"]);
    let fields: Vec<&str> = dataset.encoder.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(fields.len(), 23);
    assert_eq!(fields[..4], ["banner_pos", "hour", "weekday", "C1"]);

    std::fs::remove_file(place.path("raw/train.gz")).unwrap();
    place.write("raw/test.gz", "");
    refused(&place, Avazu, &["train.gz: missing", "train.csv: missing", HOME, "test.gz"]);
    let wrong = |text: String, says: &[&str]| {
        place.write("raw/train.csv", text);
        refused(&place, Avazu, &[says, &[HOME]].concat());
    };
    wrong(
        HEADER.replace("click,", ""),
        &["line 1, column \"click\"", "a column of this name in the header", "id, hour"],
    );
    let expected = "an hour as YYMMDDHH, from 14102100 to 14103023";
    for hour in ["14103100", "14102124", "1410210", "141021xx", "20141021", "é"] {
        wrong(format!("{HEADER}\n{}", row(1, hour)), &["line 2, column \"hour\"", expected, hour]);
    }
    wrong(format!("{HEADER}\n1,0,14102100\n"), &["line 2", "expected 24 cells, found 3"]);
    wrong(format!("{HEADER}\n{}", lines[..350].concat()), &["none is for test", "cut off"]);
}
