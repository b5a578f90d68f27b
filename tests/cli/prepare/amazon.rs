//! Amazon's reviews of electronics.

use super::{Rows, gzip, mixed, prepare, refuses, trains};
use crate::place::Place;

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
