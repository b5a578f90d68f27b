//! Douban's books, films and music, as Feng Zhu et al. publish them: will this user rate this item above 3? The three domains
//! are the scenarios.

use chrono::NaiveDate;

use crate::data::datasets::prepare::arrays::{Layout, Quotes, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::{Dimension, Shape};
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, schema};
use crate::data::error::Result;
use crate::data::schema::{Label, Schema, Split};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Douban (books, films and music)",
    home: "https://www.kaggle.com/datasets/fengzhujoey/douban-datasetratingreviewside-information",
    layouts: &[&[
        "users_cleaned.txt",
        "bookreviews_cleaned.txt",
        "moviereviews_cleaned.txt",
        "musicreviews_cleaned.txt",
    ]],
    hint: "Unpack the archive first, and name the folder \"douban_dataset(text information)\" or the one that it lies in.",
};

/// The domains in the order of their files, and their columns of items.
const DOMAINS: [(&str, &str); 3] = [("book", "book_id"), ("movie", "movie_id"), ("music", "music_id")];
/// Cells are in quotes, and comments are of people's writing.
const LAYOUT: Layout = Layout::quoted("\t", Quotes::Loose);
const MISSING: &[&str] = &["NA"];

const COLUMNS: [(&str, Kind); 6] = [
    ("rating", Kind::Number),
    ("domain", Kind::Text),
    ("user_id", Kind::Text),
    ("item_id", Kind::Text),
    ("living_place", Kind::Text),
    ("date", Kind::Text),
];

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let [users, reviews @ ..] = &paths[..] else { unreachable!("a table and reviews") };
    for path in &paths {
        job.meter.expect(path, 1)?;
    }
    let shape = Shape { layout: LAYOUT, key: "UID", columns: &["living_place"], missing: MISSING };
    let users = Dimension::read(&mut job, users, &shape, |_| Ok(()))?;
    let mut rows = Rows::new(&COLUMNS);
    for (path, (domain, item)) in reviews.iter().zip(DOMAINS) {
        let wanted = ["user_id", item, "rating", "time"];
        let mut table = Table::with_header(path, LAYOUT, &wanted, &job.meter)?;
        while table.next()? {
            let (user, item) = (table.required(0)?, table.required(1)?);
            if table.present(2, MISSING).is_none() {
                job.leave_out("reviews without a rating");
                continue;
            }
            let rating: f64 = table.number(2, RATING)?;
            if !(0.0..=5.0).contains(&rating) {
                return Err(table.bad(2, RATING));
            }
            if table.present(3, MISSING).is_none() {
                job.leave_out("reviews without a date");
                continue;
            }
            let date = table.cell(3).split(' ').next().unwrap_or_default();
            let date: NaiveDate = date.parse().map_err(|_| table.bad(3, "a date as YYYY-MM-DD"))?;
            rows.number(Some(rating));
            rows.text(Some(domain));
            rows.text(Some(user));
            // Each domain counts its items from the same number.
            rows.text(Some(&format!("{domain}-{item}")));
            rows.joined(users.get(user), 1);
            rows.text(Some(&date.to_string()));
            rows.end(domain, None, rating > LIKED, job.sink)?;
        }
        job.note_read(path, table.rows());
    }
    let config = RunConfig {
        about: "Douban: will this user rate this book, film or music above 3? The three domains are the scenarios. The latest\n\
                tenth of the ratings is test, the tenth before it valid."
            .to_owned(),
        schema: Schema {
            label: Label { column: "rating".to_owned(), above: Some(LIKED) },
            scenario: Some("domain".to_owned()),
            user: Some("user_id".to_owned()),
            split: Split::Time { column: "date".to_owned(), valid: 0.1, test: 0.1 },
            ..schema(&["domain"], &["user_id", "item_id", "living_place"])
        },
        model: "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n",
        train: "epochs = 10\npatience = 2\nbatch_size = 1024\n",
    };
    job.finish(rows, &config)
}

const RATING: &str = "a rating from 0 to 5";
/// Ratings above it are positive.
const LIKED: f64 = 3.0;
