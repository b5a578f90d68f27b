//! KuaiRand, the recommendations of Kuaishou: will this video be clicked? Tabs of the app are the scenarios.

use crate::data::datasets::prepare::arrays::{Layout, Quotes, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::{Dimension, Shape};
use crate::data::datasets::prepare::order::ByDay;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::Result;
use crate::data::schema::{FieldKind, FieldOptions, Schema, Transform, UnknownScenario};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "KuaiRand",
    home: "https://kuairand.com (https://zenodo.org/records/10439422)",
    layouts: &[
        &[
            "user_features_pure.csv",
            "video_features_basic_pure.csv",
            "log_standard_4_08_to_4_21_pure.csv",
            "log_standard_4_22_to_5_08_pure.csv",
        ],
        &[
            "user_features_1k.csv",
            "video_features_basic_1k.csv",
            "log_standard_4_08_to_4_21_1k.csv",
            "log_standard_4_22_to_5_08_1k.csv",
        ],
        &[
            "user_features_27k.csv",
            "video_features_basic_27k.csv",
            "log_standard_4_08_to_4_21_27k_part1.csv",
            "log_standard_4_08_to_4_21_27k_part2.csv",
            "log_standard_4_22_to_5_08_27k_part1.csv",
            "log_standard_4_22_to_5_08_27k_part2.csv",
        ],
    ],
    hint: "These are KuaiRand-Pure, KuaiRand-1K and KuaiRand-27K. Unpack one archive, and name its folder.",
};

/// The columns of a user, all of them categories. Counts come as ranges too, which are taken.
const USER: [&str; 26] = [
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    "onehot_feat0",
    "onehot_feat1",
    "onehot_feat2",
    "onehot_feat3",
    "onehot_feat4",
    "onehot_feat5",
    "onehot_feat6",
    "onehot_feat7",
    "onehot_feat8",
    "onehot_feat9",
    "onehot_feat10",
    "onehot_feat11",
    "onehot_feat12",
    "onehot_feat13",
    "onehot_feat14",
    "onehot_feat15",
    "onehot_feat16",
    "onehot_feat17",
];
/// Those of a video; the last is a list of tags.
const VIDEO: [&str; 6] = ["author_id", "video_type", "upload_type", "music_id", "music_type", "tag"];
const TAGS: usize = VIDEO.len() - 1;
/// What else became of an impression: other labels.
const LABELS: [&str; 7] =
    ["long_view", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "is_profile_enter"];

/// The logs are of 8 April to 8 May 2022: the last three days are test, the three before them valid.
const BY_DAY: ByDay = ByDay { valid: 20_220_503, test: 20_220_506 };

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let [users, videos, logs @ ..] = &paths[..] else { unreachable!("two tables and logs") };
    for path in &paths {
        job.meter.expect(path, 1)?;
    }
    let layout = Layout::quoted(",", Quotes::Doubled);
    let shape = |key, columns| Shape { layout, key, columns, missing: &[] };
    let users = Dimension::read(&mut job, users, &shape("user_id", &USER), |_| Ok(()))?;
    let videos = Dimension::read(&mut job, videos, &shape("video_id", &VIDEO), |_| Ok(()))?;

    let named = |kind| move |&name: &&'static str| (name, kind);
    let columns: Vec<(&str, Kind)> = ["label"]
        .iter()
        .chain(&LABELS)
        .map(named(Kind::Integer))
        .chain(["tab", "user_id"].iter().chain(&USER).chain(&["video_id"]).chain(&VIDEO).map(named(Kind::Text)))
        .chain([("tags", Kind::Texts), ("hour", Kind::Text)])
        .chain(["duration_ms", "play_time_ms", "time_ms"].iter().map(named(Kind::Integer)))
        .chain([("split", Kind::Text)])
        .collect();
    let mut rows = Rows::new(&columns);
    let own = ["is_click", "tab", "user_id", "video_id", "date", "hourmin", "duration_ms", "play_time_ms", "time_ms"];
    let wanted = [&own[..], &LABELS].concat();
    let mut without = [0u64; 2];
    for path in logs {
        let mut log = Table::with_header(path, layout, &wanted, &job.meter)?;
        while log.next()? {
            let label = log.flag(0)?;
            let tab = log.required(1)?;
            let (user, video) = (users.get(log.required(2)?), videos.get(log.required(3)?));
            let split = BY_DAY.split(date(&log, 4)?);
            without[0] += u64::from(user.is_none());
            without[1] += u64::from(video.is_none());
            rows.integer(Some(label.into()));
            for place in own.len()..wanted.len() {
                rows.integer(Some(log.flag(place)?.into()));
            }
            rows.text(Some(tab));
            rows.text(log.present(2, &[]));
            rows.joined(user, USER.len());
            rows.text(log.present(3, &[]));
            rows.joined(video.clone(), TAGS);
            let tags = video.and_then(|mut cells| cells.nth(TAGS)).unwrap_or_default();
            let tags = || tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            rows.text(tags().next());
            rows.texts(tags());
            rows.text(Some(&hour(&log, 5)?.to_string()));
            for place in 6..own.len() {
                rows.integer(log.integer(place)?);
            }
            rows.text(Some(split.name()));
            rows.end(tab, Some(split), label, job.sink)?;
        }
        job.note_read(path, log.rows());
    }
    for (count, of) in without.into_iter().zip(["users", "videos"]).filter(|(count, _)| *count > 0) {
        job.notes.push(format!("the {of} of {count} rows are not in the file of {of}: their features are missing"));
    }
    job.whole(&rows)?;
    job.finish(rows, &config())
}

/// The day as a number, YYYYMMDD.
fn date(log: &Table, place: usize) -> Result<i64> {
    const EXPECTED: &str = "a date from 20220408 to 20220508";
    let date: i64 = log.number(place, EXPECTED)?;
    let known = (20_220_408..=20_220_430).contains(&date) || (20_220_501..=20_220_508).contains(&date);
    if known { Ok(date) } else { Err(log.bad(place, EXPECTED)) }
}

/// The hour of a time as HHMM without zeros before it.
fn hour(log: &Table, place: usize) -> Result<u32> {
    const EXPECTED: &str = "a time as HHMM";
    let time: u32 = log.number(place, EXPECTED)?;
    if time < 2400 && time % 100 < 60 { Ok(time / 100) } else { Err(log.bad(place, EXPECTED)) }
}

fn config() -> RunConfig {
    let agnostic: Vec<&str> =
        ["user_id"].into_iter().chain(USER).chain(["video_id"]).chain(VIDEO).chain(["hour", "duration_ms"]).collect();
    let duration =
        FieldOptions { kind: FieldKind::Numeric, transform: Some(Transform::Log), ..FieldOptions::default() };
    RunConfig {
        about:
            "KuaiRand: will this video be clicked? Tabs of the app are the scenarios. The last three days (6 to 8 May\n\
                2022) are test, the three before them valid. `long_view`, `is_like` and others are further labels."
                .to_owned(),
        schema: Schema {
            scenario: Some("tab".to_owned()),
            user: Some("user_id".to_owned()),
            split: own_split(),
            unknown_scenario: UnknownScenario::Skip,
            fields: [("duration_ms".to_owned(), duration)].into(),
            ..schema(&["tab"], &agnostic)
        },
        model: "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n",
        train: "epochs = 5\npatience = 1\nbatch_size = 4096\nlearning_rate = 0.001\n",
    }
}
