//! AliExpress: a country's training and test rows.

use super::{Rows, mixed, prepare, refuses, trains};
use crate::place::Place;

/// Cells of a row of AliExpress by the column's number, from 0.
fn cells(width: usize, cell: impl Fn(usize) -> String) -> String {
    (0..width).map(cell).collect::<Vec<_>>().join(",")
}

#[test]
fn aliexpress_is_the_same_from_the_owners_files_and_from_joined_ones() {
    let (place, joined) = (Place::empty(), Place::empty());
    let categories = [18, 33, 34, 35, 39, 40, 41];
    let of_user = |page: u64, column: usize| match column {
        1..8 | 31.. => (page + column as u64).to_string(),
        _ => format!("{}.5", page * column as u64),
    };
    let of_item = |row: u64, column: usize| match column {
        column if categories.contains(&column) => mixed(row + column as u64, 7).to_string(),
        5 => String::new(),
        _ => format!("0.{row}{column}"),
    };
    for (country, pages) in [("nl", 40u64), ("us", 60)] {
        for set in ["train", "test"] {
            let (mut users, mut items) = (String::new(), String::new());
            let numbers = |what, count| (1..=count).map(move |n| format!(",{what}_{n}")).collect::<String>();
            let mut table =
                format!("search_id{}{},click,conversion\n", numbers("categorical", 16), numbers("numerical", 63));
            for page in 0..pages {
                users.push_str(&cells(33, |column| if column == 0 { page.to_string() } else { of_user(page, column) }));
                users.push('\n');
                for row in 5 * page..5 * page + 5 {
                    let outcome = if mixed(row, 3) == 0 { 1 + mixed(row, 2) } else { 0 };
                    items.push_str(&cells(49, |column| match column {
                        0 => page.to_string(),
                        48 => outcome.to_string(),
                        _ => of_item(row, column),
                    }));
                    items.push('\n');
                    let user = |wanted: bool| {
                        (1..33).filter(move |&c| (8..31).contains(&c) != wanted).map(|c| of_user(page, c))
                    };
                    let item = |wanted: bool| {
                        (1..48).filter(move |c| categories.contains(c) == wanted).map(|c| of_item(row, c))
                    };
                    let all = user(true).chain(item(true)).chain(user(false)).chain(item(false));
                    let (click, bought) = (u8::from(outcome > 0), u8::from(outcome > 1));
                    table.push_str(&format!("{page},{},{click},{bought}\n", all.collect::<Vec<_>>().join(",")));
                }
            }
            // An item on a page that is not there.
            if set == "train" {
                items.push_str(&cells(49, |_| "0".to_owned()).replacen('0', "999", 1));
                items.push('\n');
            }
            let folder = format!("raw/aliexpress_{}_datasets", country.to_uppercase());
            place.write(format!("{folder}/{country}_user_{set}.csv"), users);
            place.write(format!("{folder}/{country}_item_{set}.csv"), items);
            joined.write(format!("raw/AliExpress_{}/{set}.csv", country.to_uppercase()), table);
        }
    }
    let shown = prepare(&place, "aliexpress").succeeds();
    for said in ["left out  2 items on search pages", "there are no files of ES, FR, RU", "written   1000 rows"] {
        assert!(shown.err.contains(said), "{said}: {}", shown.err);
    }
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(rows.0.len(), 3 + 1 + 16 + 63 + 1);
    assert_eq!(rows.counts("scenario"), [("NL", 400), ("US", 600)].into());
    assert_eq!(
        rows.row(7, &["search_id", "category_1", "number_1", "number_24", "number_28"]),
        ["NL-1", "2", "8.5", "0.71", "-"]
    );
    assert!(rows.column("conversion").iter().zip(rows.column("label")).all(|(bought, click)| bought <= click));
    prepare(&joined, "aliexpress").succeeds();
    assert_eq!(Rows::read(&joined, "out/data.parquet").0, rows.0);
    trains(&joined, &["NL", "US"]);

    let place = Place::empty();
    place.write("raw/readme.txt", "");
    refuses(&place, "aliexpress", &["nl_user_train.csv: missing", "readme.txt", "at least one is needed"]);
    // A country is there whole or not at all, whatever there is of others.
    place.write("raw/nl_user_train.csv", "");
    place.write("raw/AliExpress_FR/train.csv", "");
    let missing = "nl_item_train.csv, nl_user_test.csv, nl_item_test.csv";
    refuses(&place, "aliexpress", &["nl_user_train.csv is there", &format!("but not {missing}; add")]);
    for name in ["nl_item_train.csv", "nl_user_test.csv", "nl_item_test.csv"] {
        place.write(format!("raw/{name}"), "");
    }
    refuses(&place, "aliexpress", &["AliExpress_FR/train.csv is there, but not AliExpress_FR/test.csv"]);
    std::fs::remove_dir_all(place.path("raw/AliExpress_FR")).unwrap();
    refuses(&place, "aliexpress", &["no row is left to train on"]);
    place.write(
        "raw/nl_user_train.csv",
        cells(33, |column| if column == 9 { "x".to_owned() } else { column.to_string() }),
    );
    refuses(&place, "aliexpress", &["nl_user_train.csv, line 1, column \"column_10\"", "a number", "\"x\""]);
    place.write("raw/nl_user_train.csv", cells(33, |column| column.to_string()));
    place.write("raw/nl_item_train.csv", cells(49, |column| column.to_string()));
    refuses(&place, "aliexpress", &["nl_item_train.csv, line 1, column \"column_49\"", "0, 1 or 2", "\"48\""]);
}
