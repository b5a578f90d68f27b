//! Ali-CCP, Taobao's recommendations, as OptMSM uses it: will this impression be clicked? Three pages are the scenarios.
//!
//! A sample has features of its own and the key of a row of *common features*, those of the user at that time. Features
//! are a field's number, a value's number and a weight. The single-valued fields are taken, the paper's choice, and their
//! weights are not.

use std::path::{Path, PathBuf};

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::Dimension;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::Result;
use crate::data::schema::Schema;

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Ali-CCP",
    home: "https://tianchi.aliyun.com/dataset/408",
    layouts: &[&[
        "common_features_train.csv",
        "sample_skeleton_train.csv",
        "common_features_test.csv",
        "sample_skeleton_test.csv",
    ]],
    hint: "Unpack sample_train.tar.gz and sample_test.tar.gz first.",
};

/// The single-valued fields of common features: the number that the owner gives, and a name.
const COMMON: [(&str, &str); 9] = [
    ("101", "user_id"),
    ("121", "user_category"),
    ("122", "user_group"),
    ("124", "gender"),
    ("125", "age"),
    ("126", "consumption_1"),
    ("127", "consumption_2"),
    ("128", "occupation"),
    ("129", "geography"),
];
/// Those of samples. The last four are combinations of a user's and an item's.
const OWN: [(&str, &str); 8] = [
    ("205", "item_id"),
    ("206", "category"),
    ("207", "shop"),
    ("216", "brand"),
    ("508", "combination_508"),
    ("509", "combination_509"),
    ("702", "combination_702"),
    ("853", "combination_853"),
];
/// The field that says on which page an impression was.
const PAGE: &str = "301";

const FEATURES: &str = "features: a field, \\x02, a value, \\x03 and a weight, with \\x01 between them";

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    for path in &paths {
        job.meter.expect(path, 1)?;
    }
    let mut columns = vec![("label", Kind::Integer), ("conversion", Kind::Integer), ("scenario", Kind::Text)];
    columns.extend(COMMON.iter().chain(&OWN).map(|&(_, name)| (name, Kind::Text)));
    columns.push(("split", Kind::Text));
    let mut rows = Rows::new(&columns);
    join(&mut job, &mut rows, &paths[..2], false)?;
    join(&mut job, &mut rows, &paths[2..], true)?;
    let agnostic: Vec<&str> = COMMON.iter().chain(&OWN).map(|&(_, name)| name).collect();
    let config = RunConfig {
        about: format!(
            "Ali-CCP: will this impression be clicked? Three pages of Taobao are the scenarios, as in OptMSM; a tenth of the\n\
             owner's train rows is valid, at random by seed {}. `conversion` is the label of purchases.",
            job.seed
        ),
        schema: Schema { user: Some("user_id".to_owned()), split: own_split(), ..schema(&["scenario"], &agnostic) },
        model: "name = \"optmsm\"\nwidth = 20\nhidden = [256, 128, 32]\n",
        train: "epochs = 10\nbatch_size = 2048\n",
    };
    job.finish(rows, &config)
}

/// Joins one pair of files, common features and samples.
fn join(job: &mut Job, rows: &mut Rows, paths: &[PathBuf], test: bool) -> Result<()> {
    let common = read_common(job, &paths[0])?;
    let names = ["sample_id", "click", "conversion", "common_feature_index", "feature_num", "feature_list"];
    let mut samples = Table::without_header(&paths[1], Layout::plain(","), &names, &names, &job.meter)?;
    while samples.next()? {
        let (click, bought) = (samples.flag(1)?, samples.flag(2)?);
        if bought && !click {
            job.leave_out("purchases without a click");
            continue;
        }
        let Some(of_user) = common.get(samples.required(3)?) else {
            job.leave_out("samples whose common features are not there");
            continue;
        };
        let (mut own, mut page) = ([None; OWN.len()], None);
        for feature in features(samples.cell(5)) {
            let (field, value) = feature.ok_or_else(|| samples.bad(5, FEATURES))?;
            match OWN.iter().position(|(number, _)| *number == field) {
                Some(place) => own[place] = Some(value),
                None if field == PAGE => page = Some(value),
                None => {}
            }
        }
        let Some(page) = page else {
            job.leave_out("samples that do not say their page (field 301)");
            continue;
        };
        let split = job.split(test, samples.rows());
        rows.integer(Some(click.into()));
        rows.integer(Some(bought.into()));
        rows.text(Some(page));
        of_user.for_each(|value| rows.text(Some(value).filter(|value| !value.is_empty())));
        own.into_iter().for_each(|value| rows.text(value));
        rows.text(Some(split.name()));
        rows.end(page, Some(split), click, job.sink)?;
    }
    job.note_read(&paths[1], samples.rows());
    Ok(())
}

/// The single-valued common features by key.
fn read_common(job: &mut Job, path: &Path) -> Result<Dimension> {
    let names = ["common_feature_index", "feature_num", "feature_list"];
    let mut table = Table::without_header(path, Layout::plain(","), &names, &names, &job.meter)?;
    let (mut common, mut repeated) = (Dimension::default(), 0);
    while table.next()? {
        let mut values = [""; COMMON.len()];
        for feature in features(table.cell(2)) {
            let (field, value) = feature.ok_or_else(|| table.bad(2, FEATURES))?;
            if let Some(place) = COMMON.iter().position(|(number, _)| *number == field) {
                values[place] = value;
            }
        }
        repeated += u64::from(!common.insert(table.required(0)?, values));
    }
    job.note_read(path, table.rows());
    job.note_repeated(path, repeated);
    Ok(common)
}

/// Field and value of each feature of a list; `None` for what is no feature.
fn features(list: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    list.split('\u{1}').filter(|feature| !feature.is_empty()).map(|feature| {
        let (field, value) = feature.split_once('\u{2}')?;
        let (value, _) = value.split_once('\u{3}')?;
        Some((field, value))
    })
}
