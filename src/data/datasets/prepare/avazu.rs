//! Avazu's click-through rate contest: will this ad on a phone be clicked? Positions of banners are the scenarios.

use chrono::{Datelike, NaiveDate};

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::order::ByDay;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::{Error, Result};
use crate::data::schema::{Schema, UnknownScenario};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Avazu's click-through rate contest",
    home: "https://www.kaggle.com/c/avazu-ctr-prediction/data",
    layouts: &[&["train.gz"], &["train.csv"]],
    hint: "Unpack the archive first; train.gz may stay compressed, or become train.csv. The contest's test rows have no labels.",
};

const SCENARIO: &str = "banner_pos";
/// The columns that are features as they are, all of them categories.
const FEATURES: [&str; 20] = [
    "C1",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "device_type",
    "device_conn_type",
    "C14",
    "C15",
    "C16",
    "C17",
    "C18",
    "C19",
    "C20",
    "C21",
];
/// What the time becomes.
const TIMES: [&str; 3] = ["hour", "weekday", "day"];

/// Ten days of October 2014: the last is test, the one before it valid.
const BY_DAY: ByDay = ByDay { valid: 29, test: 30 };

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let path = &paths[0];
    job.meter.expect(path, 1)?;
    let wanted = [&["click", "hour", SCENARIO], &FEATURES[..]].concat();
    let mut table = Table::with_header(path, Layout::plain(","), &wanted, &job.meter)?;
    let texts = [&[SCENARIO], &TIMES[..], &FEATURES, &["split"]].concat();
    let columns: Vec<(&str, Kind)> =
        [("label", Kind::Integer)].into_iter().chain(texts.into_iter().map(|name| (name, Kind::Text))).collect();
    let mut rows = Rows::new(&columns);
    let mut hour = Hour::default();
    while table.next()? {
        let label = table.flag(0)?;
        hour.read(&table, 1)?;
        let split = BY_DAY.split(hour.day);
        let position = table.required(2)?;
        rows.integer(Some(label.into()));
        rows.text(Some(position));
        hour.texts.iter().for_each(|text| rows.text(Some(text)));
        for column in 3..wanted.len() {
            rows.text(table.present(column, &[]));
        }
        rows.text(Some(split.name()));
        rows.end(position, Some(split), label, job.sink)?;
    }
    job.note_read(path, table.rows());
    let agnostic = [&TIMES[..2], &FEATURES].concat();
    let config = RunConfig {
        about: "Avazu's contest: will this ad be clicked? Positions of banners are the scenarios. Of the ten days the last is\n\
                test, and the one before it valid."
            .to_owned(),
        schema: Schema {
            scenario: Some(SCENARIO.to_owned()),
            split: own_split(),
            min_count: 2,
            unknown_scenario: UnknownScenario::Skip,
            ..schema(&[SCENARIO], &agnostic)
        },
        model: "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n",
        train: "epochs = 3\npatience = 1\nbatch_size = 4096\nlearning_rate = 0.001\n",
    };
    job.whole(&rows)?;
    job.finish(rows, &config)
}

/// The time of the row last read. Rows are in order of time, so that it is seldom another.
#[derive(Default)]
struct Hour {
    cell: String,
    day: i64,
    /// The hour from 0 to 23, the day of the week from 1 for Monday, and the date.
    texts: [String; 3],
}

impl Hour {
    fn read(&mut self, table: &Table, wanted: usize) -> Result<()> {
        let cell = table.cell(wanted);
        if self.cell != cell {
            let bad = || -> Error { table.bad(wanted, "an hour as YYMMDDHH, from 14102100 to 14103023") };
            let parts = cell.split_at_checked(6).ok_or_else(bad)?;
            let day =
                parts.0.strip_prefix("1410").and_then(|day| day.parse().ok()).filter(|day| (21..=30).contains(day));
            let hour: Option<u32> = parts.1.parse().ok().filter(|hour| *hour < 24 && parts.1.len() == 2);
            let (Some(day), Some(hour)) = (day, hour) else { return Err(bad()) };
            let date = NaiveDate::from_ymd_opt(2014, 10, day).ok_or_else(bad)?;
            self.cell = cell.to_owned();
            self.day = day.into();
            self.texts = [hour.to_string(), date.weekday().number_from_monday().to_string(), date.to_string()];
        }
        Ok(())
    }
}
