//! Ali-CCP: samples and the features they have in common.

use super::{Rows, mixed, prepare, refuses, trains};
use crate::place::Place;

/// Features of Ali-CCP: field and value pairs, with a weight.
fn features(pairs: &[(&str, u64)]) -> String {
    let each: Vec<String> = pairs.iter().map(|(field, value)| format!("{field}\u{2}{value}\u{3}1.5")).collect();
    each.join("\u{1}")
}

fn ali_ccp(place: &Place) {
    for (set, from) in [("train", 0u64), ("test", 500)] {
        let common = |user: u64| {
            // Field 150_14 has many values and is not taken; some users' age is not known.
            let mut pairs = vec![("101", user), ("121", user % 9), ("150_14", 1), ("150_14", 2), ("124", user % 2)];
            if !user.is_multiple_of(3) {
                pairs.push(("125", user % 5));
            }
            format!("key{user:012}{from:03},{},{}\n", pairs.len(), features(&pairs))
        };
        let sample = |row: u64| {
            let (click, bought) = (u8::from(mixed(row, 3) == 0), u8::from(row % 100 == 7));
            let pairs = [
                ("205", row % 30),
                ("206", row % 4),
                ("210", 1),
                ("210", 2),
                ("301", [1, 2, 3][row as usize % 3]),
                ("508", row % 11),
            ];
            let user = if row % 100 == 9 { 99 } else { row % 25 };
            format!("{row},{click},{bought},key{user:012}{from:03},6,{}\n", features(&pairs))
        };
        place.write(format!("raw/sample_{set}/common_features_{set}.csv"), (0..25).map(common).collect::<String>());
        place.write(
            format!("raw/sample_{set}/sample_skeleton_{set}.csv"),
            (from..from + 500).map(sample).collect::<String>(),
        );
    }
}

#[test]
fn ali_ccp_samples_are_joined_with_common_features() {
    let place = Place::empty();
    ali_ccp(&place);
    let shown = prepare(&place, "ali-ccp").succeeds();
    let unclicked = (0..1000).filter(|row| row % 100 == 7 && mixed(*row, 3) > 0).count();
    for said in [
        format!("left out  {unclicked} purchases without a click"),
        "left out  10 samples whose common features are not there".to_owned(),
        format!("written   {} rows", 990 - unclicked),
    ] {
        assert!(shown.err.contains(&said), "{said}: {}", shown.err);
    }
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(
        rows.row(
            4,
            &[
                "scenario",
                "user_id",
                "user_category",
                "gender",
                "age",
                "item_id",
                "category",
                "shop",
                "combination_508"
            ]
        ),
        ["2", "4", "4", "0", "4", "4", "0", "-", "4"]
    );
    assert_eq!(rows.row(3, &["user_id", "age", "occupation"]), ["3", "-", "-"]);
    let splits = rows.counts("split");
    assert_eq!(splits["test"], rows.column("split").iter().rev().take_while(|split| *split == "test").count());
    assert!((25..=80).contains(&splits["valid"]), "{splits:?}");
    trains(&place, &["1", "2", "3"]);

    std::fs::remove_dir_all(place.path("out")).unwrap();
    let samples = "raw/sample_train/sample_skeleton_train.csv";
    let good = place.text(samples);
    let wrong = |line: String, says: &[&str]| {
        place.write(samples, format!("{good}{line}\n"));
        refuses(&place, "ali-ccp", &[&["sample_skeleton_train.csv, line 501"], says].concat());
    };
    let key = "key000000000001000";
    wrong(format!("1,2,0,{key},1,301\u{2}1\u{3}1.0"), &["column \"click\"", "0 or 1", "\"2\""]);
    wrong(format!("1,1,0,{key},1,301:1:1.0"), &["column \"feature_list\"", "features: a field, \\x02"]);
    wrong(format!("1,1,0,{key}"), &["expected 6 cells (sample_id, click, ", "found 4"]);
    std::fs::remove_file(place.path("raw/sample_test/common_features_test.csv")).unwrap();
    refuses(
        &place,
        "ali-ccp",
        &[
            "common_features_test.csv: missing",
            "sample_skeleton_test.csv: found",
            "https://tianchi.aliyun.com/dataset/408",
        ],
    );
}
