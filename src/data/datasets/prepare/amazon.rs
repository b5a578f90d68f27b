//! Reviews of electronics on Amazon, by category, as MI-DPG uses them: will this user rate this product above 3?
//!
//! The paper's counts (1,292,954 reviews of 1,157,633 users in ten categories) are those of the electronics that were
//! published with "Addressing Marketing Bias in Product Recommendations" (WSDM 2020), one CSV file. The reviews and
//! products of 2014 and 2018, which are JSON, or in 2014 for products Python's notation, are read too.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::data::datasets::prepare::arrays::{Layout, Quotes, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::Dimension;
use crate::data::datasets::prepare::literal;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::source::{Encoding, Lines};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::Result;
use crate::data::read::csv_file::quoted;
use crate::data::schema::{Schema, Split, SplitName};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Amazon's electronics",
    home: "https://github.com/MengtingWan/marketBias (the CSV file, which the paper uses) or \
           https://jmcauley.ucsd.edu/data/amazon/ and https://nijianmo.github.io/amazon/ (JSON)",
    layouts: &[
        &["df_electronics.csv"],
        &["reviews_Electronics_5.json", "meta_Electronics.json"],
        &["reviews_Electronics.json", "meta_Electronics.json"],
        &["Electronics_5.json", "meta_Electronics.json"],
        &["Electronics.json", "meta_Electronics.json"],
    ],
    hint: "Any of them may be as published, with .gz at its end.",
};

/// The paper's categories, and what the products of 2014 and 2018 call them otherwise.
const CATEGORIES: [(&str, &[&str]); 10] = [
    ("Accessories & Supplies", &[]),
    ("Camera & Photo", &[]),
    ("Car Electronics & GPS", &["Car & Vehicle Electronics", "GPS & Navigation", "GPS, Finders & Accessories"]),
    ("Computers & Accessories", &[]),
    ("Headphones", &[]),
    ("Home Audio", &[]),
    ("Portable Audio & Video", &[]),
    ("Security & Surveillance", &[]),
    ("Television & Video", &[]),
    ("Wearable Technology", &[]),
];

const MODEL: &str = "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n";
const TRAIN: &str = "epochs = 10\nbatch_size = 512\nlearning_rate = 0.001\n";

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    for path in &paths {
        job.meter.expect(path, 1)?;
    }
    match &paths[..] {
        [table] => of_table(job, table),
        [reviews, products] => {
            let products = read_products(&mut job, products)?;
            of_reviews(job, reviews, &products)
        }
        _ => unreachable!("one file or two"),
    }
}

/// The one CSV file; its `split` is 0, 1 and 2 for train, valid and test.
fn of_table(mut job: Job, path: &Path) -> Result<Prepared> {
    let names =
        ["user_id", "item_id", "category", "brand", "year", "model_attr", "user_attr", "timestamp", "rating", "split"];
    let layout = Layout::quoted(",", Quotes::Doubled);
    let mut table = Table::with_header(path, layout, &names, &job.meter)?;
    let mut columns: Vec<(&str, Kind)> = names.iter().map(|&name| (name, Kind::Text)).collect();
    columns[8].1 = Kind::Number;
    columns.push(("label", Kind::Integer));
    let mut rows = Rows::new(&columns);
    while table.next()? {
        let category = table.required(2)?;
        let rating = rating(table.number(8, RATING)?).ok_or_else(|| table.bad(8, RATING))?;
        let split = match table.cell(9) {
            "0" => SplitName::Train,
            "1" => SplitName::Valid,
            "2" => SplitName::Test,
            _ => return Err(table.bad(9, "0, 1 or 2, for train, valid and test")),
        };
        for column in 0..8 {
            rows.text(table.present(column, &[]));
        }
        rows.number(Some(rating));
        rows.text(Some(split.name()));
        rows.integer(Some((rating > 3.0).into()));
        rows.end(category, Some(split), rating > 3.0, job.sink)?;
    }
    job.note_read(path, table.rows());
    let config = RunConfig {
        about:
            "Electronics on Amazon: will this user rate this product above 3? The ten categories are the scenarios, as \
                in MI-DPG;\nthe split is that of the file."
                .to_owned(),
        schema: Schema {
            scenario: Some("category".to_owned()),
            user: Some("user_id".to_owned()),
            split: own_split(),
            ..schema(&["category"], &["user_id", "item_id", "brand", "year", "model_attr", "user_attr"])
        },
        model: MODEL,
        train: TRAIN,
    };
    job.finish(rows, &config)
}

const RATING: &str = "a rating from 1 to 5";

fn rating(value: f64) -> Option<f64> {
    Some(value).filter(|value| (1.0..=5.0).contains(value))
}

/// What is read of a review.
#[derive(Deserialize)]
struct Review {
    #[serde(rename = "reviewerID")]
    user: String,
    #[serde(rename = "asin")]
    item: String,
    #[serde(rename = "overall")]
    rating: f64,
    #[serde(rename = "unixReviewTime")]
    time: i64,
}

/// What is read of a product.
#[derive(Deserialize)]
struct Product {
    #[serde(rename = "asin")]
    item: String,
    #[serde(default)]
    brand: Option<String>,
    /// The way to its category, from the root: since 2018.
    #[serde(default)]
    category: Vec<String>,
    /// Such ways: in 2014.
    #[serde(default)]
    categories: Vec<Vec<String>>,
}

impl Product {
    /// Its category below electronics, as the paper calls it, and the one below that.
    fn category(&self) -> Option<(&'static str, String)> {
        let ways = [&self.category].into_iter().chain(&self.categories);
        let way = ways.into_iter().find(|way| way.first().is_some_and(|root| root == "Electronics"))?;
        let plain = |name: &String| name.replace("&amp;", "&").trim().to_owned();
        let name = plain(way.get(1)?);
        let known = CATEGORIES.iter().find(|(known, others)| *known == name || others.contains(&name.as_str()))?;
        Some((known.0, way.get(2).map(plain).unwrap_or_default()))
    }
}

/// A line as JSON, or in Python's notation.
fn parse<T: DeserializeOwned>(lines: &Lines, expected: &str) -> Result<T> {
    let strict = serde_json::from_str(lines.text()).map_err(|error| error.to_string());
    let either = strict.or_else(|reason| {
        let value = literal::parse(lines.text()).ok_or(reason)?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    });
    either.map_err(|reason| {
        let found = format!("{} ({reason})", quoted(lines.text()));
        lines.bad(None, expected, &found, "mend or remove the line, or download the file again")
    })
}

/// Category, subcategory and brand by product; a product of none of the paper's categories has no cells but one.
fn read_products(job: &mut Job, path: &Path) -> Result<Dimension> {
    let mut lines = Lines::open(path, Encoding::Utf8, &job.meter)?;
    let (mut products, mut repeated, mut read) = (Dimension::default(), 0, 0);
    while lines.next()? {
        let product: Product = parse(&lines, "a product with \"asin\" and its categories")?;
        read += 1;
        let brand = product.brand.as_deref().unwrap_or_default();
        let (category, below) = product.category().unwrap_or_default();
        repeated += u64::from(!products.insert(&product.item, [category, &below, brand]));
    }
    job.note_read(path, read);
    job.note_repeated(path, repeated);
    Ok(products)
}

fn of_reviews(mut job: Job, path: &Path, products: &Dimension) -> Result<Prepared> {
    let mut lines = Lines::open(path, Encoding::Utf8, &job.meter)?;
    let texts = ["user_id", "item_id", "category", "subcategory", "brand"];
    let mut columns: Vec<(&str, Kind)> = texts.iter().map(|&name| (name, Kind::Text)).collect();
    columns.extend([("timestamp", Kind::Integer), ("rating", Kind::Number), ("label", Kind::Integer)]);
    let mut rows = Rows::new(&columns);
    let mut read = 0;
    while lines.next()? {
        let review: Review =
            parse(&lines, "a review with \"reviewerID\", \"asin\", \"overall\" and \"unixReviewTime\"")?;
        read += 1;
        let Some(rating) = rating(review.rating) else {
            let found = review.rating.to_string();
            return Err(lines.bad(Some("overall"), RATING, &found, "mend or remove the line"));
        };
        let Some(mut product) = products.get(&review.item) else {
            job.leave_out("reviews of products that the file of products does not have");
            continue;
        };
        let [category, below, brand] = std::array::from_fn(|_| product.next().unwrap_or_default());
        if category.is_empty() {
            job.leave_out("reviews of products in none of the paper's ten categories");
            continue;
        }
        for cell in [&review.user, &review.item, category, below, brand] {
            rows.text(Some(cell).filter(|cell| !cell.is_empty()));
        }
        rows.integer(Some(review.time));
        rows.number(Some(rating));
        rows.integer(Some((rating > 3.0).into()));
        rows.end(category, None, rating > 3.0, job.sink)?;
    }
    job.note_read(path, read);
    let config = RunConfig {
        about: "Electronics on Amazon: will this user rate this product above 3? The ten categories of MI-DPG are the \
                scenarios;\nthe latest tenth of the reviews is test, the tenth before it valid."
            .to_owned(),
        schema: Schema {
            scenario: Some("category".to_owned()),
            user: Some("user_id".to_owned()),
            split: Split::Time { column: "timestamp".to_owned(), valid: 0.1, test: 0.1 },
            ..schema(&["category"], &["user_id", "item_id", "subcategory", "brand"])
        },
        model: MODEL,
        train: TRAIN,
    };
    job.finish(rows, &config)
}
