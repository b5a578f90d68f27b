//! Alimama's display advertising on Taobao, as SAML uses it: will this ad be clicked? Sizes of cities are the scenarios.
//!
//! Impressions are joined with the users' profiles and the ads' features, and, where the log of behaviours is there, with
//! what the user did before.

mod behaviors;

use std::fs::File;
use std::path::Path;

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::{Dimension, Shape};
use crate::data::datasets::prepare::raw::{Publication, folders, locate};
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::{Error, Result};
use crate::data::read::compressed::Compression;
use crate::data::schema::{FieldKind, FieldOptions, Schema, SequenceColumn};
use behaviors::{Behavior, Partitions};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Taobao's display advertising",
    home: "https://tianchi.aliyun.com/dataset/56",
    layouts: &[&["user_profile.csv", "ad_feature.csv", "raw_sample.csv"]],
    hint: "With behavior_log.csv beside them, rows get histories. Unpack the archives first.",
};
const BEHAVIORS: &str = "behavior_log.csv";

/// Columns of a user's profile after their number, and what they become. The last is the size of the city.
const PROFILE: [(&str, &str); 8] = [
    ("cms_segid", "cms_segid"),
    ("cms_group_id", "cms_group_id"),
    ("final_gender_code", "gender"),
    ("age_level", "age_level"),
    ("pvalue_level", "consumption_level"),
    ("shopping_level", "shopping_level"),
    ("occupation", "student"),
    ("new_user_class_level", "scenario"),
];
/// The place of the size of the city.
const CITY: usize = 7;
/// Columns of an ad after its number.
const AD: [(&str, &str); 5] = [
    ("cate_id", "category"),
    ("campaign_id", "campaign"),
    ("customer", "advertiser"),
    ("brand", "brand"),
    ("price", "price"),
];
const MISSING: &[&str] = &["NULL", "null"];

/// The scenario of users the size of whose city is not known, and the brand of behaviours that have none.
const UNKNOWN: &str = "unknown";
/// The beginning of 13 May 2017 in China, the last of the eight days, in seconds since 1970.
const LAST_DAY: u32 = 1_494_604_800;
/// The most behaviours of a history.
const HISTORY: usize = 15;
/// About how many times longer a log is than its gzip.
const GZIP: u64 = 4;

/// Shown once to this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Impression {
    /// Which of the log it is, from 1.
    pub(crate) row: u32,
    pub(crate) user: u32,
    /// Seconds since 1970.
    pub(crate) time: u32,
    pub(crate) ad: u32,
    /// The place on the page, by its number in [`Places`].
    pub(crate) place: u16,
    pub(crate) click: bool,
}

/// The names of places on the page: there are two.
#[derive(Default)]
struct Places(Vec<String>);

impl Places {
    fn number(&mut self, name: &str) -> Option<u16> {
        let known = self.0.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        u16::try_from(number).ok()
    }
}

/// Users by number, and ads by theirs.
struct Tables {
    users: Dimension,
    ads: Dimension,
    places: Places,
}

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let [users, ads, samples] = &paths[..] else { unreachable!("three files") };
    let log = locate(&folders(job.raw)?, BEHAVIORS);
    for path in paths.iter().chain(&log) {
        job.meter.expect(path, 1)?;
    }
    let mut tables = Tables {
        users: read(&mut job, users, "userid", &PROFILE)?,
        ads: read(&mut job, ads, "adgroup_id", &AD)?,
        places: Places::default(),
    };
    let mut columns = vec![("label", Kind::Integer), ("scenario", Kind::Text), ("user_id", Kind::Integer)];
    columns.extend(PROFILE[..CITY].iter().map(|&(_, name)| (name, Kind::Text)));
    columns.push(("ad_id", Kind::Integer));
    columns.extend(AD.map(|(_, name)| (name, if name == "price" { Kind::Number } else { Kind::Text })));
    columns.extend([("place", Kind::Text), ("timestamp", Kind::Integer)]);
    columns.push(("split", Kind::Text));
    if log.is_some() {
        columns.extend([("category_history", Kind::Texts), ("brand_history", Kind::Texts)]);
    }
    let mut rows = Rows::new(&columns);
    match &log {
        None => {
            job.notes.push(format!("{BEHAVIORS} is not there: rows have no histories, which SAML is made for"));
            impressions(&mut job, samples, &mut tables, |job, tables, impression| {
                write(job, &mut rows, tables, impression, None)
            })?;
        }
        Some(log) => with_histories(&mut job, &mut rows, &mut tables, samples, log)?,
    }
    let config = config(log.is_some(), job.seed);
    job.finish(rows, &config)
}

fn config(histories: bool, seed: u64) -> RunConfig {
    let sequence = |column: &str, vocabulary: &str| SequenceColumn {
        column: column.to_owned(),
        separator: "|".to_owned(),
        vocabulary: vocabulary.to_owned(),
        max_length: HISTORY,
    };
    let sequences = vec![sequence("category_history", "category"), sequence("brand_history", "brand")];
    let user = PROFILE[..CITY].iter().map(|&(_, name)| name);
    let ad = AD.iter().map(|&(_, name)| name);
    let agnostic: Vec<&str> = ["user_id"].into_iter().chain(user).chain(["ad_id"]).chain(ad).chain(["place"]).collect();
    let price = FieldOptions { kind: FieldKind::Bucket, ..FieldOptions::default() };
    RunConfig {
        about: format!(
            "Taobao's display advertising: will this ad be clicked? Sizes of cities are the scenarios, as in SAML; the last\n\
             of the eight days is test, and a tenth of the other rows valid, at random by seed {seed}."
        ),
        schema: Schema {
            user: Some("user_id".to_owned()),
            split: own_split(),
            sequence: if histories { sequences } else { Vec::new() },
            fields: [("price".to_owned(), price)].into(),
            ..schema(&["scenario"], &agnostic)
        },
        model: "name = \"saml\"\nwidth = 12\nspecific_width = 4\nheads = 4\nhidden = [128, 64]\n",
        train: "epochs = 10\nbatch_size = 128\nlearning_rate = 0.0005\n",
    }
}

/// A table by the numbers of its first column.
fn read(job: &mut Job, path: &Path, key: &str, columns: &[(&str, &str)]) -> Result<Dimension> {
    let names: Vec<&str> = columns.iter().map(|&(name, _)| name).collect();
    let shape = Shape { layout: Layout::plain(","), key, columns: &names, missing: MISSING };
    let price = names.iter().position(|name| *name == "price").map(|place| place + 1);
    Dimension::read(job, path, &shape, |table| {
        table.number::<u32>(0, NUMBER)?;
        if let Some(price) = price.filter(|price| table.present(*price, MISSING).is_some()) {
            table.number::<f64>(price, "a price")?;
        }
        Ok(())
    })
}

const NUMBER: &str = "a whole number below 2^32";

/// Gives `each` the impressions whose user has a profile, in order.
fn impressions(
    job: &mut Job,
    path: &Path,
    tables: &mut Tables,
    mut each: impl FnMut(&mut Job, &Tables, Impression) -> Result<()>,
) -> Result<()> {
    let wanted = ["user", "time_stamp", "adgroup_id", "pid", "clk"];
    let mut table = Table::with_header(path, Layout::plain(","), &wanted, &job.meter)?;
    while table.next()? {
        let user: u32 = table.number(0, NUMBER)?;
        let time: u32 = table.number(1, "seconds since 1970")?;
        let ad: u32 = table.number(2, NUMBER)?;
        let click = table.flag(4)?;
        let place = tables.places.number(table.required(3)?).ok_or_else(|| table.bad(3, "one of few places"))?;
        if tables.users.get(itoa::Buffer::new().format(user)).is_none() {
            job.leave_out("impressions of users without a profile");
            continue;
        }
        let row = u32::try_from(table.rows()).map_err(|_| table.bad(0, "the last of at most 2^32 rows"))?;
        each(job, tables, Impression { row, user, time, ad, place, click })?;
    }
    job.note_read(path, table.rows());
    Ok(())
}

/// Writes an impression with the behaviours before it, if there is a log of them.
fn write(
    job: &mut Job,
    rows: &mut Rows,
    tables: &Tables,
    impression: Impression,
    before: Option<&[Behavior]>,
) -> Result<()> {
    let Impression { row, user, time, ad, place, click } = impression;
    let present = |cell: &'_ str| !cell.is_empty();
    let profile = tables.users.get(itoa::Buffer::new().format(user));
    let profile: [&str; PROFILE.len()] = cells(profile);
    let scenario = Some(profile[CITY]).filter(|level| present(level)).unwrap_or(UNKNOWN);
    let split = job.split(time >= LAST_DAY, row.into());
    rows.integer(Some(click.into()));
    rows.text(Some(scenario));
    rows.integer(Some(user.into()));
    for &cell in &profile[..CITY] {
        rows.text(Some(cell).filter(|cell| present(cell)));
    }
    rows.integer(Some(ad.into()));
    let [category, campaign, advertiser, brand, price] = cells(tables.ads.get(itoa::Buffer::new().format(ad)));
    for cell in [category, campaign, advertiser, brand] {
        rows.text(Some(cell).filter(|cell| present(cell)));
    }
    rows.number(price.parse().ok());
    rows.text(Some(&tables.places.0[usize::from(place)]));
    rows.integer(Some(time.into()));
    rows.text(Some(split.name()));
    if let Some(before) = before {
        rows.texts(before.iter().map(|behavior| behavior.category.to_string()));
        // Both histories are of the same behaviours, one without a brand included.
        let brand = |behavior: &Behavior| behavior.brand.map_or_else(|| UNKNOWN.to_owned(), |brand| brand.to_string());
        rows.texts(before.iter().map(brand));
    }
    rows.end(scenario, Some(split), click, job.sink)
}

/// A row's cells; empty ones where there is no such row.
fn cells<const N: usize>(row: Option<crate::data::datasets::prepare::dimension::Cells<'_>>) -> [&str; N] {
    let mut row = row.into_iter().flatten();
    std::array::from_fn(|_| row.next().unwrap_or_default())
}

/// Joins impressions and behaviours by users. Neither log is in order of users, and the log of behaviours is far too large
/// for memory: both are first divided by users into temporary files, and then joined part by part.
fn with_histories(job: &mut Job, rows: &mut Rows, tables: &mut Tables, samples: &Path, log: &Path) -> Result<()> {
    let bytes = job.meter.expect(log, 0)?;
    let found =
        File::open(log).and_then(|mut file| Compression::of(&mut file)).map_err(|error| Error::io(log, error))?;
    let zipped = found == Compression::Gzip;
    let mut parts = Partitions::new(job.scratch, if zipped { GZIP * bytes } else { bytes }, &job.meter)?;
    let wanted = ["user", "time_stamp", "cate", "brand"];
    let mut table = Table::with_header(log, Layout::plain(","), &wanted, &job.meter)?;
    while table.next()? {
        let user: u32 = table.number(0, NUMBER)?;
        let time: i64 = table.number(1, "seconds since 1970")?;
        let category: u32 = table.number(2, NUMBER)?;
        let brand = match table.present(3, MISSING) {
            Some(_) => Some(table.number(3, NUMBER)?),
            None => None,
        };
        // Some stamps of the published log are far below 0.
        let Ok(time) = u32::try_from(time) else {
            job.leave_out("behaviours at impossible times");
            continue;
        };
        if tables.users.get(itoa::Buffer::new().format(user)).is_some() {
            parts.add_behavior(Behavior { user, time, category, brand })?;
        }
    }
    job.note_read(log, table.rows());
    impressions(job, samples, tables, |_, _, impression| parts.add_impression(impression))?;
    parts.join(HISTORY, |impression, before| write(job, rows, tables, impression, Some(before)))
}
