//! Douban's books, films and music.

use polyscene::data::PublicData::Douban;

use super::{mixed, prepared, refused};
use crate::place::Place;

const HOME: &str = "https://www.kaggle.com/datasets/fengzhujoey/douban-datasetratingreviewside-information";
const FOLDER: &str = "raw/douban_dataset(text information)";

/// Cells in quotes, whatever is in them.
fn quoted(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("\"{cell}\"")).collect();
    cells.join("\t") + "\n"
}

/// A date, later with every row.
fn date(row: u64) -> String {
    format!("20{:02}-{:02}-{:02}", 8 + row / 100, 1 + row / 9 % 12, 1 + row % 28)
}

/// Reviews of films, some of whose comments have quotes, tabs and lines in them.
fn films() -> String {
    let mut text =
        quoted(&["user_id", "movie_id", "rating", "comment", "time", "labels", "useful_num", "CategoryID", "ID"]);
    for row in 0..120u64 {
        let comment = ["好看", "\"quoted\" 'so' \\\"so\\\"", "one\n\ntwo\r\nthree \"four\"\nfive", "", "a\ttab"]
            [row as usize % 5];
        let [user, film, rating, id] =
            [row % 11, mixed(row, 9), 1 + mixed(row + 2, 5), row].map(|cell| cell.to_string());
        // R writes a missing value without quotes.
        let line = quoted(&[&user, &film, &rating, comment, &date(row), "", "3", "2", &id]);
        text.push_str(&if row == 7 { line.replacen(&format!("\"{rating}\"\t\"one"), "NA\t\"one", 1) } else { line });
    }
    text
}

fn douban(place: &Place) {
    let mut users = quoted(&["user_id", "living_place", "join_time", "self_statement", "UID"]);
    users.extend((0..10u64).map(|user| {
        let (name, place) = (format!("name{user}"), ["上海", "", "London"][user as usize % 3]);
        quoted(&[&name, place, "2008-01-01", "I say \"hm\"", &user.to_string()])
    }));
    place.write(format!("{FOLDER}/users_cleaned.txt"), users);
    let mut books = quoted(&["user_id", "book_id", "rating", "labels", "comment", "time", "ID"]);
    books.extend((0..40u64).map(|row| {
        let [user, book, rating] = [row % 7, mixed(row, 6), 1 + mixed(row + 1, 5)].map(|cell| cell.to_string());
        quoted(&[&user, &book, &rating, "novel|Japan", "", &date(3 * row), &row.to_string()])
    }));
    place.write(format!("{FOLDER}/bookreviews_cleaned.txt"), books);
    place.write(format!("{FOLDER}/moviereviews_cleaned.txt"), films());
    let mut music = quoted(&["user_id", "music_id", "rating", "labels", "comment", "useful_num", "time", "ID"]);
    music.extend((0..40u64).map(|row| {
        let [user, disc, rating] = [row % 9, mixed(row, 5), 1 + mixed(row + 4, 5)].map(|cell| cell.to_string());
        let date = if row == 3 { String::new() } else { date(3 * row + 1) };
        quoted(&[&user, &disc, &rating, " ", "ok", "0", &date, &row.to_string()])
    }));
    place.write(format!("{FOLDER}/musicreviews_cleaned.txt"), music);
}

#[test]
fn douban_reviews_of_three_domains_become_one_table() {
    let place = Place::empty();
    douban(&place);
    let (told, rows, dataset) = prepared(&place, Douban, 0);
    assert_eq!(told.read.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [10, 40, 120, 40]);
    assert_eq!(told.left_out, [("reviews without a rating", 1), ("reviews without a date", 1)]);
    assert_eq!(rows.counts("domain"), [("book", 40), ("movie", 119), ("music", 39)].into());
    let columns = ["domain", "user_id", "item_id", "rating", "living_place", "date"];
    let place_of = |user: u64| if user < 10 { ["上海", "-", "London"][user as usize % 3] } else { "-" };
    let expected = |domain: &str, user: u64, item: u64, rating: u64, date: String| {
        [
            domain.to_owned(),
            user.to_string(),
            format!("{domain}-{item}"),
            format!("{rating}.0"),
            place_of(user).to_owned(),
            date,
        ]
    };
    for row in (0..120u64).filter(|row| *row != 7) {
        let cells = rows.row(40 + row as usize - usize::from(row > 7), &columns);
        assert_eq!(cells, expected("movie", row % 11, mixed(row, 9), 1 + mixed(row + 2, 5), date(row)));
    }
    for row in 0..40u64 {
        let book = expected("book", row % 7, mixed(row, 6), 1 + mixed(row + 1, 5), date(3 * row));
        assert_eq!(rows.row(row as usize, &columns), book);
    }
    assert_eq!(dataset.encoder.scenarios(), ["book", "movie", "music"]);
    // Of 198 rows the latest tenth is test; rows of one day stay together.
    let mut dates: Vec<&String> = rows.column("date").iter().collect();
    dates.sort();
    let last = dates.iter().filter(|date| **date >= dates[198 - 20]).count();
    assert!(dataset.test.len().abs_diff(20) <= 2 && last.abs_diff(20) <= 2, "{} {last}", dataset.test.len());
    let positive = |rows: &polyscene::data::Rows| rows.labels().iter().filter(|label| **label == 1.0).count();
    let liked = rows.column("rating").iter().filter(|rating| rating.parse::<f64>().unwrap() > 3.0).count();
    assert_eq!([&dataset.train, &dataset.valid, &dataset.test].map(positive).iter().sum::<usize>(), liked);
}

#[test]
fn douban_names_the_row_that_is_wrong_by_its_first_line() {
    let place = Place::empty();
    douban(&place);
    let (file, films) = (format!("{FOLDER}/moviereviews_cleaned.txt"), films());
    let lines = 1 + films.lines().count();
    let wrong = |more: &str, says: &[&str]| {
        place.write(&file, format!("{films}{more}"));
        refused(&place, Douban, &[&[format!("moviereviews_cleaned.txt, line {lines}").as_str(), HOME], says].concat());
    };
    let row = |rating: &str, date: &str| quoted(&["1", "2", rating, "two\nlines", date, "", "3", "2", "9"]);
    wrong(&row("6", "2010-01-01"), &["column \"rating\"", "a rating from 0 to 5", "\"6\""]);
    wrong(&row("4", "yesterday"), &["column \"time\"", "a date as YYYY-MM-DD", "\"yesterday\""]);
    wrong(&row("", "2010-01-01").replacen("\"1\"", "\"\"", 1), &["column \"user_id\"", "expected a value"]);
    // A row that is cut off takes those after it.
    wrong("\"1\"\t\"2\"\t\"3\"\t\"open", &["expected 9 cells, found"]);
    wrong(&format!("\"1\"\t\"2\"\n{}", row("4", "2010-01-01")), &["expected 9 cells, found 10"]);
    place.write(&file, quoted(&["user_id", "book_id", "rating", "time"]));
    refused(&place, Douban, &["line 1, column \"movie_id\"", "user_id, book_id, rating, time", HOME]);
    std::fs::remove_file(place.path(&file)).unwrap();
    refused(&place, Douban, &["moviereviews_cleaned.txt: missing", "users_cleaned.txt: found", HOME]);
}
