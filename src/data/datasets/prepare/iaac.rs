//! Alimama's sponsored search, from IJCAI-18's contest (IAAC), as MI-DPG uses it: will this click lead to a purchase?
//!
//! The paper does not say what its scenarios are here; they are the item's category, as in its other public data set.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::order::ByDay;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::{Error, Result};
use crate::data::schema::{FieldKind, FieldOptions, Schema};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "IAAC (IJCAI-18, Alimama's sponsored search)",
    home: "https://tianchi.aliyun.com/competition/entrance/231647",
    layouts: &[&["round1_ijcai_18_train_20180301.txt"], &["round2_train.txt"]],
    hint: "The first is that of the paper. Unpack the archive first; the contest's test files have no labels.",
};

/// The categories that are features as they are; "-1" is a missing value.
const CATEGORIES: [&str; 19] = [
    "item_id",
    "item_brand_id",
    "item_city_id",
    "item_price_level",
    "item_sales_level",
    "item_collected_level",
    "item_pv_level",
    "user_id",
    "user_gender_id",
    "user_age_level",
    "user_occupation_id",
    "user_star_level",
    "context_page_id",
    "shop_id",
    "shop_review_num_level",
    "shop_star_level",
    "instance_id",
    "context_id",
    "predict_category_property",
];
/// How many of them are written as they are; the others only say more.
const PLAIN: usize = 16;
const NUMBERS: [&str; 4] =
    ["shop_review_positive_rate", "shop_score_service", "shop_score_delivery", "shop_score_description"];
const MISSING: &[&str] = &["-1"];

/// The scenario of categories that have less than a hundredth of the train rows.
const OTHER: &str = "other";

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let path = &paths[0];
    job.meter.expect(path, 2)?;
    let days = Days::count(&job, path)?;
    let mut log = Log::open(&job, path)?;

    let mut columns = vec![("label", Kind::Integer), ("scenario", Kind::Text), ("split", Kind::Text)];
    columns.extend(["item_category", "item_subcategory", "predicted_category", "hour"].map(|name| (name, Kind::Text)));
    columns.extend(CATEGORIES[..PLAIN].iter().map(|&name| (name, Kind::Text)));
    columns.extend(NUMBERS.map(|name| (name, Kind::Number)));
    columns.push(("context_timestamp", Kind::Integer));
    let mut rows = Rows::new(&columns);
    while log.table.next()? {
        let seconds = log.seconds()?;
        let split = days.by_day.split(day(seconds));
        let category = log.category(1).unwrap_or_default();
        let scenario = if days.is_scenario(category) { category } else { OTHER };
        let label = log.table.flag(log.label)?;
        if scenario == OTHER && !days.has_other() {
            job.leave_out("clicks on categories that no train row has");
            continue;
        }
        rows.integer(Some(label.into()));
        rows.text(Some(scenario));
        rows.text(Some(split.name()));
        rows.text(log.category(1));
        rows.text(log.category(2));
        // "category:property,property;category:-1": what the query was taken to be about, the likeliest first.
        let predicted = log.table.present(PLAIN + 2, MISSING);
        rows.text(predicted.and_then(|list| list.split([';', ':', ',']).next()).filter(|first| *first != "-1"));
        rows.text(Some(&((seconds + CHINA).rem_euclid(86_400) / 3600).to_string()));
        for column in 0..PLAIN {
            rows.text(log.table.present(column, MISSING));
        }
        for column in CATEGORIES.len()..CATEGORIES.len() + NUMBERS.len() {
            let number: f64 = log.table.number(column, "a number")?;
            rows.number(Some(number).filter(|number| *number != -1.0));
        }
        rows.integer(Some(seconds));
        rows.end(scenario, Some(split), label, job.sink)?;
    }
    job.note_read(path, log.table.rows());
    job.finish(rows, &config())
}

fn config() -> RunConfig {
    let plain = CATEGORIES[..PLAIN].iter().copied().filter(|&name| name != "context_page_id");
    let agnostic: Vec<&str> = plain.chain(["item_subcategory", "predicted_category", "hour"]).chain(NUMBERS).collect();
    let number = FieldOptions { kind: FieldKind::Numeric, ..FieldOptions::default() };
    RunConfig {
        about: "IAAC, sponsored search: will this click lead to a purchase? The items' categories are the scenarios, those\n\
                with less than a hundredth of the train rows being one, \"other\". The last day is test, the one before it\n\
                valid."
            .to_owned(),
        schema: Schema {
            user: Some("user_id".to_owned()),
            split: own_split(),
            fields: NUMBERS.map(|name| (name.to_owned(), number.clone())).into(),
            ..schema(&["scenario", "context_page_id"], &agnostic)
        },
        model: "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n",
        train: "epochs = 10\nbatch_size = 512\nlearning_rate = 0.001\n",
    }
}

/// The log being read.
struct Log<'a> {
    table: Table<'a>,
    /// Places of columns that are wanted beside categories and numbers.
    label: usize,
    time: usize,
    categories: usize,
}

impl<'a> Log<'a> {
    fn open(job: &Job<'a>, path: &Path) -> Result<Self> {
        let own = ["is_trade", "context_timestamp", "item_category_list"];
        let wanted = [&CATEGORIES[..], &NUMBERS, &own].concat();
        let table = Table::with_header(path, Layout::plain(" "), &wanted, &job.meter)?;
        let label = CATEGORIES.len() + NUMBERS.len();
        Ok(Self { table, label, time: label + 1, categories: label + 2 })
    }

    /// Seconds since 1970.
    fn seconds(&self) -> Result<i64> {
        self.table.number(self.time, "seconds since 1970")
    }

    /// The item's category on a level; on level 0 all are alike.
    fn category(&self, level: usize) -> Option<&str> {
        self.table.present(self.categories, MISSING)?.split(';').nth(level).filter(|name| !name.is_empty())
    }
}

/// China's time zone, in seconds.
const CHINA: i64 = 8 * 3600;

/// The day in China.
fn day(seconds: i64) -> i64 {
    (seconds + CHINA).div_euclid(86_400)
}

/// Which days the log has, and which categories have rows enough to be scenarios.
struct Days {
    by_day: ByDay,
    /// Train rows by category.
    train: BTreeMap<String, u64>,
    rows: u64,
}

impl Days {
    fn count(job: &Job, path: &Path) -> Result<Self> {
        let mut log = Log::open(job, path)?;
        let mut counts: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
        while log.table.next()? {
            let of_day = counts.entry(day(log.seconds()?)).or_default();
            let category = log.category(1).unwrap_or_default();
            match of_day.get_mut(category) {
                Some(count) => *count += 1,
                None => {
                    of_day.insert(category.to_owned(), 1);
                }
            }
        }
        let mut days = counts.keys().rev().copied();
        let (Some(last), Some(before), Some(_)) = (days.next(), days.next(), days.next()) else {
            let days = counts.len();
            return Err(Error::RawFiles(format!(
                "{}: it has rows of {days} days; three are needed, for train, valid and test: download the file again",
                path.display()
            )));
        };
        let mut train: BTreeMap<String, u64> = BTreeMap::new();
        for (category, rows) in counts.into_iter().filter(|(day, _)| *day < before).flat_map(|(_, counts)| counts) {
            *train.entry(category).or_default() += rows;
        }
        let rows = train.values().sum();
        Ok(Self { by_day: ByDay { valid: before, test: last }, train, rows })
    }

    /// Whether a category has at least a hundredth of the train rows.
    fn is_scenario(&self, category: &str) -> bool {
        !category.is_empty() && self.train.get(category).is_some_and(|rows| rows * 100 >= self.rows)
    }

    /// Whether train rows have categories that are no scenarios.
    fn has_other(&self) -> bool {
        self.train.keys().any(|category| !self.is_scenario(category))
    }
}
