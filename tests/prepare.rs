//! `prepare`: each data set's files, in the layouts in which their owners publish them and with made-up values, become
//! rows that can be trained on; and files that are wrong are told apart.

#[path = "common/cli.rs"]
mod cli;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use cli::{Outcome, Place};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The prepared rows, by column, each cell as text; a missing one is "-", a list's items are joined by blanks.
struct Rows(BTreeMap<String, Vec<String>>);

impl Rows {
    fn read(place: &Place, name: &str) -> Self {
        let file = File::open(place.path(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for batch in reader {
            let batch: RecordBatch = batch.unwrap();
            for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
                let cells = columns.entry(field.name().clone()).or_default();
                if let DataType::List(_) = field.data_type() {
                    let items = |row| array.as_list::<i32>().value(row);
                    let joined = |row| items(row).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(" ");
                    cells.extend((0..array.len()).map(joined));
                } else {
                    let texts = arrow::compute::cast(array, &DataType::Utf8).unwrap();
                    cells.extend(texts.as_string::<i32>().iter().map(|cell| cell.unwrap_or("-").to_owned()));
                }
            }
        }
        Self(columns)
    }

    fn column(&self, name: &str) -> &[String] {
        self.0.get(name).unwrap_or_else(|| panic!("no column {name} among {:?}", self.0.keys()))
    }

    /// One row's cells of these columns.
    fn row(&self, row: usize, columns: &[&str]) -> Vec<&str> {
        columns.iter().map(|name| self.column(name)[row].as_str()).collect()
    }

    /// How often a column has each value.
    fn counts(&self, name: &str) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        self.column(name).iter().for_each(|cell| *counts.entry(cell.as_str()).or_default() += 1);
        counts
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn prepare(place: &Place, data: &str) -> Outcome {
    place.run(&format!("prepare {data} --raw raw --out out"))
}

/// That the configuration which came out trains as it is, for an epoch, on these scenarios.
fn trains(place: &Place, scenarios: &[&str]) {
    let line = "train out/config.toml --out run --device cpu --set train.epochs=1 --set data.cache=false";
    let _ = std::fs::remove_dir_all(place.path("run"));
    let trained = place.run(line).succeeds();
    assert!(!trained.err.contains("skipped"), "{}", trained.err);
    let result = place.json("run/result.json");
    let found: Vec<&String> = result["test"]["scenarios"].as_object().unwrap().keys().collect();
    assert_eq!(found, scenarios);
    assert!(result["test"]["auc"].is_number(), "{result}");
}

/// That preparing fails as data does and says these, and that no rows are left behind.
fn refuses(place: &Place, data: &str, says: &[&str]) {
    prepare(place, data).fails(3, says);
    let left: Vec<_> = std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A number that looks random, below `bound`.
fn mixed(seed: u64, bound: u64) -> u64 {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % bound
}

const AGES: [u32; 7] = [1, 18, 25, 35, 45, 50, 56];

/// MovieLens-1M: 28 users, 12 films, 401 ratings.
fn million(place: &Place) {
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
    wrong("1::2::3", &["expected 4 cells, found 3"]);
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

const CATEGORIES: [&str; 4] = ["Headphones", "Camera & Photo", "Home Audio", "Computers & Accessories"];

#[test]
fn amazon_is_read_from_the_papers_table() {
    let place = Place::empty();
    let mut table = "item_id,user_id,rating,timestamp,model_attr,category,brand,year,user_attr,split\n".to_owned();
    for row in 0..400u64 {
        let (category, brand) = (CATEGORIES[row as usize % 4], ["\"Foo, \"\"Inc\"\"\"", "", "Bar"][row as usize % 3]);
        let (rating, split) = (1 + mixed(row, 5), [0, 0, 0, 1, 2][mixed(row + 3, 5) as usize]);
        table.push_str(&format!(
            "{},{},{rating}.0,2010-01-{:02},Female,{category},{brand},2009,,{split}\n",
            row % 30,
            row % 50,
            1 + row % 28
        ));
    }
    place.write("raw/df_electronics.csv.gz", gzip(&table));
    prepare(&place, "amazon").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    let columns = ["user_id", "item_id", "category", "brand", "year", "model_attr", "user_attr", "timestamp"];
    assert_eq!(rows.row(0, &columns), ["0", "0", "Headphones", "Foo, \"Inc\"", "2009", "Female", "-", "2010-01-01"]);
    assert_eq!(rows.row(31, &["user_id", "item_id", "brand"]), ["31", "1", "-"]);
    assert_eq!(rows.counts("split").len(), 3);
    for (label, rating) in rows.column("label").iter().zip(rows.column("rating")) {
        assert_eq!(label == "1", rating.parse::<f64>().unwrap() > 3.0);
    }
    trains(&place, &["Camera & Photo", "Computers & Accessories", "Headphones", "Home Audio"]);

    let place = Place::empty();
    let wrong = |line: &str, says: &[&str]| {
        place.write("raw/df_electronics.csv", format!("{}{line}\n", &table[..table.find('\n').unwrap() + 1]));
        refuses(&place, "amazon", &[&["df_electronics.csv, line 2"], says].concat());
    };
    wrong("1,2,3.0,2010-01-01,F,Headphones,\"open,2009,,0", &["a closing quote"]);
    wrong("1,2,3.0,2010-01-01,F,Headphones,B,2009,,7", &["\"split\"", "0, 1 or 2", "\"7\""]);
    wrong("1,2,9.0,2010-01-01,F,Headphones,B,2009,,0", &["\"rating\"", "a rating from 1 to 5"]);
    wrong("1,2,3.0,2010-01-01,F,,B,2009,,0", &["\"category\"", "expected a value"]);
    place.write("raw/df_electronics.csv", "user_id,item_id,rating\n1,2,3\n");
    refuses(
        &place,
        "amazon",
        &["line 1", "\"category\"", "a column of this name in the header", "user_id, item_id, rating"],
    );
    // A download that was cut off.
    let whole = gzip(&table);
    std::fs::remove_file(place.path("raw/df_electronics.csv")).unwrap();
    place.write("raw/df_electronics.csv.gz", &whole[..whole.len() / 2]);
    refuses(&place, "amazon", &["df_electronics.csv.gz", "cut off or damaged", "download it again"]);
}

/// Reviews as JSON, in the file's names of 2014.
fn reviews() -> String {
    let review = |row: u64| {
        let (user, item, rating, time) = (row % 40, row % 24, 1 + mixed(row, 5), 1_300_000_000 + 86_400 * (row / 3));
        format!(
            "{{\"reviewerID\": \"U{user}\", \"asin\": \"B{item}\", \"reviewText\": \"It's \\\"ok\\\"\", \"overall\": {rating}.0, \"unixReviewTime\": {time}}}\n"
        )
    };
    (0..600).map(review).collect()
}

#[test]
fn amazon_is_read_from_reviews_and_products_of_2014_and_2018() {
    // Products 20 to 22 are in no category of the paper's, product 23 is not there.
    let names = ["Headphones", "Camera & Photo", "Home Audio", "Car & Vehicle Electronics"];
    let name = |item: usize| if item < 20 { names[item % 4] } else { "eBook Readers" };
    let python = |item: usize| {
        let name = name(item);
        format!(
            "{{'asin': 'B{item}', 'title': \"It's\", 'price': 1.5, 'related': None, 'categories': [['Cell Phones'], ['Electronics', '{name}', 'Below']], 'brand': 'Br{}'}}\n",
            item % 3
        )
    };
    let json = |item: usize| {
        let name = name(item).replace('&', "&amp;");
        format!(
            "{{\"asin\": \"B{item}\", \"price\": \"$1\", \"category\": [\"Electronics\", \"{name}\", \"Below\"], \"brand\": \"Br{}\"}}\n",
            item % 3
        )
    };
    let place = Place::empty();
    place.write("raw/reviews_Electronics_5.json.gz", gzip(&reviews()));
    place.write("raw/meta_Electronics.json.gz", gzip(&(0..23).map(python).collect::<String>()));
    let shown = prepare(&place, "amazon").succeeds();
    for said in [
        "left out  75 reviews of products in none",
        "left out  25 reviews of products that the file",
        "written   500 rows",
    ] {
        assert!(shown.err.contains(said), "{said}: {}", shown.err);
    }
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(
        rows.row(3, &["user_id", "item_id", "category", "subcategory", "brand", "timestamp"]),
        ["U3", "B3", "Car Electronics & GPS", "Below", "Br0", "1300086400"]
    );
    trains(&place, &["Camera & Photo", "Car Electronics & GPS", "Headphones", "Home Audio"]);

    let later = Place::empty();
    later.write("raw/Electronics.json", reviews());
    later.write("raw/meta_Electronics.json", (0..23).map(json).collect::<String>());
    prepare(&later, "amazon").succeeds();
    assert_eq!(Rows::read(&later, "out/data.parquet").0, rows.0);

    let place = Place::empty();
    place.write("raw/Electronics.json", reviews());
    refuses(
        &place,
        "amazon",
        &["Electronics.json: found", "meta_Electronics.json: missing", "df_electronics.csv: missing"],
    );
    place.write("raw/meta_Electronics.json", format!("{}{{'asin': \n", json(1)));
    refuses(&place, "amazon", &["meta_Electronics.json, line 2", "a product with \"asin\""]);
    place.write("raw/meta_Electronics.json", json(1));
    place.write("raw/Electronics.json", "{\"reviewerID\": \"U\", \"asin\": \"B1\", \"overall\": 4.0}\n");
    refuses(&place, "amazon", &["Electronics.json, line 1", "unixReviewTime"]);
}

const IAAC: &str = "instance_id item_id item_category_list item_property_list item_brand_id item_city_id item_price_level \
    item_sales_level item_collected_level item_pv_level user_id user_gender_id user_age_level user_occupation_id \
    user_star_level context_id context_timestamp context_page_id predict_category_property shop_id \
    shop_review_num_level shop_review_positive_rate shop_star_level shop_score_service shop_score_delivery \
    shop_score_description is_trade";

/// A click of IAAC, on a day from 0 of a month in China.
fn iaac_row(row: u64, day: u64, category: &str) -> String {
    // 18 September 2018, midnight in China.
    let time = 1_537_200_000 + 86_400 * day + mixed(row, 86_400);
    let trade = u8::from(mixed(row, 4) == 0);
    format!(
        "{row} {} 790;{category};{} 1;2;3 {} {} 3 4 -1 5 {} 0 1003 2005 3001 77 {time} 400{} 790:-1;{category}:5,6 {} 7 0.99 5012 -1 0.97 0.98 {trade}\n",
        row % 20,
        row % 3,
        row % 5,
        row % 4,
        row % 30,
        1 + row % 3,
        row % 6
    )
}

#[test]
fn iaac_is_split_by_days_in_china_and_by_categories() {
    let place = Place::empty();
    let mut log = format!("{IAAC}\n");
    for row in 0..600 {
        // Two of a hundred categories are frequent, one day follows the other.
        let category = if row % 97 == 5 { "333" } else { ["111", "222"][row as usize % 2] };
        log.push_str(&iaac_row(row, row / 150, category));
    }
    place.write("raw/round1_ijcai_18_train_20180301.txt", &log);
    prepare(&place, "iaac").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(rows.counts("split"), [("test", 150), ("train", 300), ("valid", 150)].into());
    // 333 has 4 of 300 train rows: a scenario. With a row less in a hundred it is not.
    assert_eq!(rows.counts("scenario").into_keys().collect::<Vec<_>>(), ["111", "222", "333"]);
    let columns =
        ["scenario", "item_category", "item_subcategory", "predicted_category", "item_pv_level", "item_sales_level"];
    assert_eq!(rows.row(1, &columns), ["222", "222", "1", "790", "5", "4"]);
    assert_eq!(rows.row(1, &["item_collected_level", "shop_score_service", "shop_score_delivery"]), ["-", "-", "0.97"]);
    for (hour, time) in rows.column("hour").iter().zip(rows.column("context_timestamp")) {
        assert_eq!(hour.parse::<i64>().unwrap(), (time.parse::<i64>().unwrap() - 1_537_200_000) % 86_400 / 3600);
    }
    trains(&place, &["111", "222", "333"]);

    // Seldom categories become one scenario.
    let mut seldom = format!("{IAAC}\n");
    for row in 0..600 {
        let category =
            if row % 150 < 2 { format!("{}", 900 + row % 5) } else { ["111", "222"][row as usize % 2].to_owned() };
        seldom.push_str(&iaac_row(row, row / 150, &category));
    }
    place.write("raw/round1_ijcai_18_train_20180301.txt", &seldom);
    prepare(&place, "iaac").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(rows.counts("scenario"), [("111", 296), ("222", 296), ("other", 8)].into());

    let place = Place::empty();
    place.write("raw/round2_train.txt", format!("{IAAC}\n{}{}", iaac_row(1, 0, "1"), iaac_row(2, 1, "1")));
    refuses(&place, "iaac", &["round2_train.txt", "rows of 2 days", "three are needed"]);
    let row = iaac_row(1, 0, "1");
    place.write("raw/round2_train.txt", format!("{IAAC}\n{}", row.replace(" 0.99 ", " much ")));
    refuses(&place, "iaac", &["three are needed"]);
    let days: String = (0..3).map(|day| iaac_row(day, day, "1")).collect();
    place.write("raw/round2_train.txt", format!("{IAAC}\n{days}{}", row.replace(" 0.99 ", " much ")));
    refuses(
        &place,
        "iaac",
        &["round2_train.txt, line 5, column \"shop_review_positive_rate\"", "a number", "\"much\""],
    );
    place.write("raw/round2_train.txt", format!("{IAAC}\n{days}{}", row.trim_end().strip_suffix(['0', '1']).unwrap()));
    refuses(&place, "iaac", &["column \"is_trade\"", "expected 0 or 1"]);
}

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
    wrong(format!("1,1,0,{key}"), &["expected 6 cells, found 4"]);
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
    place.write("raw/nl_user_train.csv", "");
    refuses(
        &place,
        "aliexpress",
        &["nl_user_train.csv: found", "nl_item_train.csv: missing", "at least one is needed"],
    );
    for name in ["nl_item_train.csv", "nl_user_test.csv", "nl_item_test.csv"] {
        place.write(format!("raw/{name}"), "");
    }
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

const LAST_DAY: u64 = 1_494_604_800;

fn taobao(place: &Place) {
    // The published header has a blank at its end.
    let mut users = "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,new_user_class_level \n".to_owned();
    users.extend(
        (1..=30u64).map(|user| {
            format!("{user},{},5,{},3,,2,0,{}\n", user % 9, 1 + user % 2, ["", "1", "2"][user as usize % 3])
        }),
    );
    let mut ads = "adgroup_id,cate_id,campaign_id,customer,brand,price\n".to_owned();
    ads.extend((1..=12u64).map(|ad| {
        format!("{ad},{},{},{},{},{}.5\n", ad % 4, ad % 6, ad % 3, ["NULL", "70", "71"][ad as usize % 3], 10 * ad)
    }));
    let mut samples = "user,time_stamp,adgroup_id,pid,nonclk,clk\n".to_owned();
    for row in 0..600u64 {
        let (user, click) = (1 + row % 33, u8::from(mixed(row, 4) == 0));
        let time = LAST_DAY - 86_400 * 6 + mixed(row, 7 * 86_400);
        samples.push_str(&format!(
            "{user},{time},{},{},{},{click}\n",
            1 + row % 13,
            ["430548_1007", "430539_1007"][row as usize % 2],
            1 - click
        ));
    }
    place.write("raw/user_profile.csv", users);
    place.write("raw/ad_feature.csv", ads);
    place.write("raw/raw_sample.csv", samples);
}

#[test]
fn taobao_impressions_are_joined_with_profiles_ads_and_behaviours() {
    let place = Place::empty();
    taobao(&place);
    let shown = prepare(&place, "taobao").succeeds();
    // Users 31 to 33 have no profile: of 600 rows, 18 each.
    for said in
        ["left out  54 impressions of users without a profile", "behavior_log.csv is not there", "written   546 rows"]
    {
        assert!(shown.err.contains(said), "{said}: {}", shown.err);
    }
    let plain = Rows::read(&place, "out/data.parquet");
    assert_eq!(plain.counts("scenario").into_keys().collect::<Vec<_>>(), ["1", "2", "unknown"]);
    assert_eq!(
        plain.row(
            0,
            &["user_id", "cms_segid", "gender", "consumption_level", "ad_id", "category", "brand", "price", "place"]
        ),
        ["1", "1", "2", "-", "1", "1", "70", "10.5", "430548_1007"]
    );
    // Ad 13 is not in the file of ads.
    let unknown = plain.column("ad_id").iter().position(|ad| ad == "13").unwrap();
    assert_eq!(plain.row(unknown, &["category", "advertiser", "brand", "price"]), ["-"; 4]);
    for (time, split) in plain.column("timestamp").iter().zip(plain.column("split")) {
        assert_eq!(time.parse::<u64>().unwrap() >= LAST_DAY, split == "test");
    }
    trains(&place, &["1", "2", "unknown"]);

    let mut log = "user,time_stamp,btag,cate,brand\n".to_owned();
    let behaviors: Vec<[u64; 4]> = (0..900)
        .map(|row| [1 + mixed(row, 32), LAST_DAY - 86_400 * 8 + mixed(row + 1, 8 * 86_400), row % 4, 70 + row % 3])
        .collect();
    log.extend(behaviors.iter().map(|[user, time, category, brand]| format!("{user},{time},pv,{category},{brand}\n")));
    log.push_str("1,-5000,buy,1,70\n");
    place.write("raw/behavior_log.csv", log);
    let shown = prepare(&place, "taobao").succeeds();
    assert!(shown.err.contains("left out  1 behaviours at impossible times"), "{}", shown.err);
    let rows = Rows::read(&place, "out/data.parquet");
    for name in plain.0.keys() {
        assert_eq!(rows.column(name), plain.column(name));
    }
    for row in 0..546 {
        let cell = |name: &str| rows.column(name)[row].parse::<u64>().unwrap();
        let (user, time) = (cell("user_id"), cell("timestamp"));
        let mut before: Vec<_> =
            behaviors.iter().filter(|behavior| behavior[0] == user && behavior[1] < time).collect();
        before.sort_by_key(|behavior| behavior[1]);
        let last = &before[before.len().saturating_sub(15)..];
        let of = |place: usize| last.iter().map(|behavior| behavior[place].to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(rows.row(row, &["category_history", "brand_history"]), [of(2), of(3)]);
    }
    assert!(place.text("out/config.toml").contains("category_history"));
    trains(&place, &["1", "2", "unknown"]);
    // Temporary files are gone.
    let mut names: Vec<_> =
        std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.toml", "data.parquet"]);
}

#[test]
fn taobao_names_the_line_that_is_wrong_and_keeps_what_was_there() {
    let place = Place::empty();
    taobao(&place);
    prepare(&place, "taobao").succeeds();
    let data = place.read("out/data.parquet");
    let samples = place.text("raw/raw_sample.csv");
    let wrong = |line: &str, says: &[&str]| {
        place.write("raw/raw_sample.csv", format!("{samples}{line}\n"));
        prepare(&place, "taobao").fails(3, &[&["raw_sample.csv, line 602"], says].concat());
        assert!(place.read("out/data.parquet") == data);
    };
    wrong("1,2", &["expected 6 cells, found 2"]);
    wrong("x,1494000000,1,p,0,1", &["column \"user\"", "a whole number below 2^32"]);
    wrong("1,-7,1,p,0,1", &["column \"time_stamp\"", "seconds since 1970", "\"-7\""]);
    wrong("1,1494000000,1,,0,1", &["column \"pid\"", "expected a value"]);
    wrong("1,1494000000,1,p,0,yes", &["column \"clk\"", "expected 0 or 1"]);
    let mut bytes = samples.clone().into_bytes();
    bytes.extend(b"\xff\xfe,1\n");
    place.write("raw/raw_sample.csv", bytes);
    prepare(&place, "taobao").fails(3, &["raw_sample.csv, line 602", "text in UTF-8"]);
    place.write("raw/raw_sample.csv", &samples);
    place.write("raw/ad_feature.csv", "adgroup_id,cate_id,campaign_id,customer,brand,price\n1,2,3,4,5,dear\n");
    prepare(&place, "taobao").fails(3, &["ad_feature.csv, line 2, column \"price\"", "a price", "\"dear\""]);
}

#[test]
fn an_output_that_cannot_be_written_is_no_fault_of_the_data() {
    let place = Place::empty();
    million(&place);
    place.write("out", "a file");
    prepare(&place, "movielens").fails(6, &["out"]);
    place.run("prepare netflix --raw raw --out other").fails(2, &["netflix", "movielens", "ali-ccp"]);
}
