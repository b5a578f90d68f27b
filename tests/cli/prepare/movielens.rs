//! MovieLens-1M and -100K, in their own layouts and in that of atomic files.

use std::collections::BTreeMap;

use super::{Rows, mixed, prepare, refuses, trains};
use crate::place::Place;

const AGES: [u32; 7] = [1, 18, 25, 35, 45, 50, 56];

/// MovieLens-1M: 28 users, 12 films, 401 ratings.
pub(super) fn million(place: &Place) {
    let users: String = (1..=28)
        .map(|user| format!("{user}::{}::{}::{}::0{user:04}\n", ["F", "M"][user % 2], AGES[user % 7], user % 5))
        .collect();
    // A title in Latin-1, with a colon and an apostrophe in it.
    let mut films = b"1::Caf\xe9: Bob's (1995)::Comedy|Drama\n2::Two (1999)::Sci-Fi\r\n".to_vec();
    films
        .extend((3..=12).flat_map(|film| {
            format!("{film}::Film {film} (2000)::{}\n", ["War", "Horror|War"][film % 2]).into_bytes()
        }));
    let ratings: String = (0..401u64)
        .map(|row| {
            format!("{}::{}::{}::{}\n", 1 + row % 28, 1 + mixed(row, 12), 1 + mixed(row + 9, 5), 978_300_760 + row)
        })
        .collect();
    place.write("raw/ml-1m/users.dat", users);
    place.write("raw/ml-1m/movies.dat", films);
    place.write("raw/ml-1m/ratings.dat", ratings);
}

#[test]
fn movielens_1m_is_joined_and_split_in_exact_shares() {
    let place = Place::empty();
    million(&place);
    let shown = prepare(&place, "movielens").succeeds();
    for said in [
        "28 rows of ml-1m/users.dat",
        "401 rows of ml-1m/ratings.dat",
        "written   401 rows",
        "polyscene train out/config.toml",
    ] {
        assert!(shown.err.contains(said), "{said}: {}", shown.err);
    }
    let rows = Rows::read(&place, "out/data.parquet");
    let columns = [
        "label",
        "scenario",
        "age",
        "gender",
        "occupation",
        "user_id",
        "movie_id",
        "zip",
        "genre",
        "timestamp",
        "split",
    ];
    assert_eq!(rows.0.len(), columns.len());
    let first = mixed(0, 12) + 1;
    let genre = match first {
        1 => "Comedy",
        2 => "Sci-Fi",
        film => ["War", "Horror"][film as usize % 2],
    };
    let label = if 1 + mixed(9, 5) > 3 { "1" } else { "0" };
    let cells = rows.row(0, &columns);
    assert_eq!(cells[..10], [label, "young", "18", "M", "1", "1", &first.to_string(), "00001", genre, "978300760"]);
    assert_eq!(rows.counts("split"), [("test", 40), ("train", 321), ("valid", 40)].into());
    let groups: Vec<_> = rows.counts("scenario").into_keys().collect();
    assert_eq!(groups, ["adult", "older", "young"]);
    for (age, scenario) in rows.column("age").iter().zip(rows.column("scenario")) {
        let expected = match age.parse().unwrap() {
            1 | 18 => "young",
            25 => "adult",
            35..=56 => "older",
            _ => "none",
        };
        assert_eq!(scenario, expected);
    }
    trains(&place, &["adult", "older", "young"]);

    // The same files and seed give the same bytes, another seed another split.
    let (data, config) = (place.read("out/data.parquet"), place.read("out/config.toml"));
    prepare(&place, "movielens").succeeds();
    assert!(place.read("out/data.parquet") == data && place.read("out/config.toml") == config);
    place.run("prepare movielens --raw raw/ml-1m --out other --seed 1").succeeds();
    let other = Rows::read(&place, "other/data.parquet");
    assert_ne!(other.column("split"), rows.column("split"));
    assert_eq!(other.column("movie_id"), rows.column("movie_id"));
}

/// Ratings of MovieLens-100K: user, film, rating, time.
fn hundred_thousand() -> Vec<[u64; 4]> {
    (0..300)
        .map(|row| [1 + row % 20, 1 + mixed(row, 10), 1 + mixed(row + 5, 5), 881_250_000 + mixed(row, 4_000)])
        .collect()
}

fn official(place: &Place) {
    let users: String = (1..=20u32).map(|user| format!("{user}|{}|M|writer|9{user:04}\n", 15 + 2 * user)).collect();
    let mut films = Vec::new();
    for film in 1..=10usize {
        // Flags: film 3 has none, the others two.
        let flag = |place: usize| if film != 3 && (place == film || place == 18) { "|1" } else { "|0" };
        let flags: String = (0..19).map(flag).collect();
        films.extend(format!("{film}|Caf").into_bytes());
        films.extend(b"\xe9 (1995)|01-Jan-1995||http://x/y");
        films.extend(format!("{flags}\n").into_bytes());
    }
    let ratings: String = hundred_thousand().iter().map(|[u, f, r, t]| format!("{u}\t{f}\t{r}\t{t}\n")).collect();
    place.write("raw/u.user", users);
    place.write("raw/u.item", films);
    place.write("raw/u.data", ratings);
}

#[test]
fn movielens_100k_gets_histories_in_both_layouts() {
    let place = Place::empty();
    official(&place);
    prepare(&place, "movielens").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    let ratings = hundred_thousand();
    assert_eq!(rows.column("label").len(), ratings.len());
    for (row, &[user, _, rating, time]) in ratings.iter().enumerate() {
        let mut before: Vec<_> = ratings.iter().filter(|&&[u, _, r, t]| u == user && t < time && r > 3).collect();
        before.sort_by_key(|rating| rating[3]);
        let films: Vec<String> = before.iter().map(|rating| rating[1].to_string()).collect();
        assert_eq!(rows.column("history")[row], films[films.len().saturating_sub(15)..].join(" "));
        assert_eq!(rows.column("label")[row], u8::from(rating > 3).to_string());
    }
    // Film 1 is "Action", the first of its two genres; film 3 has none.
    for (film, genre) in rows.column("movie_id").iter().zip(rows.column("genre")) {
        match film.as_str() {
            "1" => assert_eq!(genre, "Action"),
            "3" => assert_eq!(genre, "-"),
            _ => assert_ne!(genre, "-"),
        }
    }
    trains(&place, &["adult", "older", "young"]);

    let recbole = Place::empty();
    let mut users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n".to_owned();
    users.extend((1..=20u32).map(|user| format!("{user}\t{}\tM\twriter\t9{user:04}\n", 15 + 2 * user)));
    let mut films = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n".to_owned();
    let genres = rows.column("movie_id").iter().zip(rows.column("genre")).collect::<BTreeMap<_, _>>();
    for (film, genre) in genres {
        let genre = if *genre == "-" { String::new() } else { format!("{genre} Western") };
        films.push_str(&format!("{film}\tCafé {film}\t1995\t{genre}\n"));
    }
    let mut inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n".to_owned();
    inter.extend(ratings.iter().map(|[u, f, r, t]| format!("{u}\t{f}\t{r}\t{t}\n")));
    recbole.write("raw/ml-100k.user", users);
    recbole.write("raw/ml-100k.item", films);
    recbole.write("raw/ml-100k.inter", inter);
    prepare(&recbole, "movielens").succeeds();
    assert_eq!(Rows::read(&recbole, "out/data.parquet").0, rows.0);
    assert_eq!(recbole.read("out/config.toml"), place.read("out/config.toml"));
}

#[test]
fn movielens_names_the_line_that_is_wrong() {
    let place = Place::empty();
    refuses(&place, "movielens", &["raw", "No such file"]);
    place.write("raw/ml-1m.zip", "");
    refuses(
        &place,
        "movielens",
        &["users.dat: missing", "u.data: missing", "https://grouplens.org", "Unpack", "there is: ml-1m.zip"],
    );
    million(&place);
    let ratings = place.text("raw/ml-1m/ratings.dat");
    let wrong = |line: &str, says: &[&str]| {
        place.write("raw/ml-1m/ratings.dat", format!("{ratings}\n{line}\n{ratings}"));
        let place_of = ["ratings.dat", "line 403", "mend or remove the line, or download the file again"];
        refuses(&place, "movielens", &[&place_of[..], says].concat());
    };
    wrong("1::2::3", &["expected 4 cells (user_id, movie_id, rating, timestamp), found 3"]);
    wrong("99::2::3::4", &["\"user_id\"", "a user that the file of users has", "\"99\""]);
    wrong("1::99::3::4", &["\"movie_id\"", "a film that the file of films has"]);
    wrong("1::2::six::4", &["\"rating\"", "a rating from 0 to 5", "\"six\""]);
    wrong("1::2::6::4", &["\"rating\"", "a rating from 0 to 5", "\"6\""]);
    wrong("1::2::3::noon", &["\"timestamp\"", "seconds since 1970", "\"noon\""]);
    place.write("raw/ml-1m/ratings.dat", "");
    refuses(&place, "movielens", &["no row is left to train on"]);
    place.write("raw/ml-1m/ratings.dat", &ratings);
    place.write("raw/ml-1m/users.dat", "1::F::young::3::00001\n");
    refuses(&place, "movielens", &["users.dat, line 1, column \"age\"", "an age in years", "\"young\""]);
}
