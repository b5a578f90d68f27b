//! Criteo's Display Advertising Challenge: will this ad be clicked? The data has no scenarios of its own.

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::order::ByPlace;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::source::Lines;
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::encoded::encoder::ONLY_SCENARIO;
use crate::data::error::Result;
use crate::data::schema::{FieldKind, FieldOptions, Schema, Transform};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Criteo's Display Advertising Challenge",
    home: "https://ailab.criteo.com/ressources/",
    layouts: &[&["train.txt"]],
    hint: "Unpack dac.tar.gz (kaggle-display-advertising-challenge-dataset.tar.gz) first; its test.txt has no labels.",
};

/// The columns after the label: so many numbers, then so many categories.
const NUMBERS: usize = 13;
const CATEGORIES: usize = 26;

/// A column of three values, which models of scenarios can take for the scenario.
const SCENARIO: &str = "C9";

/// Rows of the file as it is published.
const PUBLISHED: u64 = 45_840_617;
/// The log is of seven days, which the rows do not say. Half of the last seventh is valid and half is test.
const PARTS: u64 = 14;

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let path = &paths[0];
    job.meter.expect(path, 2)?;
    let layout = Layout::plain("\t");
    let count = Lines::count(path, layout.encoding, &job.meter)?;
    if count != PUBLISHED {
        job.notes.push(format!("{}: it has {count} rows; as published it has {PUBLISHED}", path.display()));
    }
    let split = ByPlace::last(PARTS, count);

    let features: Vec<String> = (1..=NUMBERS)
        .map(|number| format!("I{number}"))
        .chain((1..=CATEGORIES).map(|number| format!("C{number}")))
        .collect();
    let names: Vec<&str> = ["label"].into_iter().chain(features.iter().map(String::as_str)).collect();
    let mut table = Table::without_header(path, layout, &names, &names, &job.meter)?;
    let kinds = |(place, &name)| (name, if place <= NUMBERS { Kind::Integer } else { Kind::Text });
    let columns: Vec<(&str, Kind)> = names.iter().enumerate().map(kinds).chain([("split", Kind::Text)]).collect();
    let mut rows = Rows::new(&columns);
    while table.next()? {
        let (label, split) = (table.flag(0)?, split.split(table.rows() - 1));
        for (place, (_, kind)) in columns[..names.len()].iter().enumerate() {
            if *kind == Kind::Integer {
                rows.integer(table.integer(place)?);
                continue;
            }
            let hash = table.present(place, &[]);
            if hash.is_some_and(|hash| hash.len() > 8 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                return Err(table.bad(place, "a hexadecimal number of 32 bits"));
            }
            rows.text(hash);
        }
        rows.text(Some(split.name()));
        rows.end(ONLY_SCENARIO, Some(split), label, job.sink)?;
    }
    job.note_read(path, table.rows());
    let agnostic: Vec<&str> = names[1..].iter().copied().filter(|name| *name != SCENARIO).collect();
    let number = FieldOptions { kind: FieldKind::Numeric, transform: Some(Transform::Log), ..FieldOptions::default() };
    let config = RunConfig {
        about: "Criteo's Display Advertising Challenge: will this ad be clicked? The rows are in order of time, and the last\n\
                seventh, about a day, is valid and test, half each. There are no scenarios: all rows are of one.\n\
                Any column of few values can be made the scenario; C9, of three values, is the aware field for that."
            .to_owned(),
        schema: Schema {
            scenario: None,
            split: own_split(),
            min_count: 10,
            fields: names[1..=NUMBERS].iter().map(|&name| (name.to_owned(), number.clone())).collect(),
            ..schema(&[SCENARIO], &agnostic)
        },
        model: "name = \"dcn-v2\"\nwidth = 16\nhidden = [400, 400, 400]\n",
        train: "epochs = 3\npatience = 1\nbatch_size = 4096\nlearning_rate = 0.001\n",
    };
    job.whole(&rows)?;
    job.finish(rows, &config)
}
