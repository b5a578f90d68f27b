//! AliExpress's search, as OptMSM uses it: will this result be clicked? Countries are the scenarios.
//!
//! The owner publishes four files for each country: features of users and queries by search page, and those of the items
//! on it with what became of them, both for train and test. Joined files of a train and a test set, as multi-task
//! libraries make of them, are read too. The owner does not say what the features are.

use std::path::{Path, PathBuf};

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::Dimension;
use crate::data::datasets::prepare::raw::{Publication, folders, locate};
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::{Error, Result};
use crate::data::schema::{FieldKind, FieldOptions, Schema, SplitName};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "AliExpress's search",
    home: "https://tianchi.aliyun.com/dataset/74690",
    layouts: &[
        &["nl_user_train.csv", "nl_item_train.csv", "nl_user_test.csv", "nl_item_test.csv"],
        &["AliExpress_NL/train.csv", "AliExpress_NL/test.csv"],
    ],
    hint: "These are the Netherlands; the other countries are es, fr, us and ru, and at least one is needed. Unpack the \
           archives, and those in them, first; the second layout is that of joined files.",
};

const COUNTRIES: [&str; 5] = ["nl", "es", "fr", "us", "ru"];

/// Columns of a file of users and queries, of which the first is the search page.
const OF_USER: usize = 33;
/// Columns of a file of items: the first is the search page, the last what became of the item.
const OF_ITEM: usize = 49;

/// Which columns of a user's are categories, from 0, the others being numbers.
fn user_category(column: usize) -> bool {
    !(8..31).contains(&column)
}

/// Which columns of an item's are.
fn item_category(column: usize) -> bool {
    [18, 33, 34, 35, 39, 40, 41].contains(&column)
}

/// Categories and numbers of a row.
const CATEGORIES: usize = 16;
const NUMBERS: usize = 63;

/// The files of a country.
enum Files {
    /// Users and items of train, then of test.
    Published([PathBuf; 4]),
    /// Joined, of train and test.
    Joined([PathBuf; 2]),
}

impl Files {
    /// Those of a country; `None` without any.
    ///
    /// # Errors
    /// [`Error::RawFiles`] when some of them are missing.
    fn find(folders: &[PathBuf], country: &str) -> Result<Option<Self>> {
        let parts = ["user_train", "item_train", "user_test", "item_test"].map(|part| format!("{country}_{part}.csv"));
        let published = parts.each_ref().map(|part| locate(folders, part));
        if let [Some(a), Some(b), Some(c), Some(d)] = published {
            return Ok(Some(Self::Published([a, b, c, d])));
        }
        let name = format!("aliexpress_{country}");
        let is_own = |folder: &&PathBuf| {
            folder.file_name().is_some_and(|found| found.to_string_lossy().to_lowercase().starts_with(&name))
        };
        let own: Vec<PathBuf> = folders.iter().filter(is_own).cloned().collect();
        let halves = ["train.csv", "test.csv"];
        let joined = halves.map(|half| locate(&own, half));
        if let [Some(train), Some(test)] = joined {
            return Ok(Some(Self::Joined([train, test])));
        }
        let halves = halves.map(|half| format!("AliExpress_{}/{half}", country.to_uppercase()));
        let layouts: [(&[String], &[Option<PathBuf>]); 2] = [(&parts, &published), (&halves, &joined)];
        for (names, found) in layouts {
            let Some(one) = found.iter().position(Option::is_some) else { continue };
            let missing: Vec<&str> =
                names.iter().zip(found).filter(|(_, path)| path.is_none()).map(|(name, _)| name.as_str()).collect();
            return Err(Error::RawFiles(format!(
                "{}: {} is there, but not {}; add what is missing, or take away what there is of the country to leave it out",
                folders.first().map_or_else(String::new, |raw| raw.display().to_string()),
                names[one],
                missing.join(", ")
            )));
        }
        Ok(None)
    }

    fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Published(paths) => paths,
            Self::Joined(paths) => paths,
        }
    }
}

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let folders = folders(job.raw)?;
    let mut found: Vec<(String, Files)> = Vec::new();
    for country in COUNTRIES {
        found.extend(Files::find(&folders, country)?.map(|files| (country.to_uppercase(), files)));
    }
    if found.is_empty() {
        return Err(PUBLICATION.missing(job.raw, &folders));
    }
    for path in found.iter().flat_map(|(_, files)| files.paths()) {
        job.meter.expect(path, 1)?;
    }
    let names = Names::new();
    let mut columns = vec![("label", Kind::Integer), ("conversion", Kind::Integer), ("scenario", Kind::Text)];
    columns.push(("search_id", Kind::Text));
    columns.extend(names.categories.iter().map(|name| (name.as_str(), Kind::Text)));
    columns.extend(names.numbers.iter().map(|name| (name.as_str(), Kind::Number)));
    columns.push(("split", Kind::Text));
    let mut rows = Rows::new(&columns);
    for (country, files) in &found {
        match files {
            Files::Published(paths) => {
                join(&mut job, &mut rows, country, &paths[..2], false)?;
                join(&mut job, &mut rows, country, &paths[2..], true)?;
            }
            Files::Joined([train, test]) => {
                copy(&mut job, &mut rows, country, train, false)?;
                copy(&mut job, &mut rows, country, test, true)?;
            }
        }
    }
    let absent: Vec<String> =
        COUNTRIES.map(str::to_uppercase).into_iter().filter(|c| found.iter().all(|f| f.0 != *c)).collect();
    if !absent.is_empty() {
        job.notes.push(format!("there are no files of {}", absent.join(", ")));
    }
    let config = config(&names, job.seed);
    job.finish(rows, &config)
}

fn config(names: &Names, seed: u64) -> RunConfig {
    let agnostic: Vec<&str> = names.categories.iter().chain(&names.numbers).map(String::as_str).collect();
    let number = FieldOptions { kind: FieldKind::Numeric, ..FieldOptions::default() };
    RunConfig {
        about: format!(
            "AliExpress's search: will this result be clicked? Countries are the scenarios, as in OptMSM; a tenth of the\n\
             owner's train rows is valid, at random by seed {seed}. `conversion` is the label of purchases. There are no\n\
             users: GAUC is that of search pages."
        ),
        schema: Schema {
            user: Some("search_id".to_owned()),
            split: own_split(),
            fields: names.numbers.iter().map(|name| (name.clone(), number.clone())).collect(),
            ..schema(&["scenario"], &agnostic)
        },
        model: "name = \"optmsm\"\nwidth = 10\nhidden = [256, 128, 32]\n",
        train: "epochs = 10\nbatch_size = 2048\n",
    }
}

/// The columns' names; the owner gives none.
struct Names {
    categories: Vec<String>,
    numbers: Vec<String>,
}

impl Names {
    fn new() -> Self {
        Self { categories: numbered("category", CATEGORIES), numbers: numbered("number", NUMBERS) }
    }
}

/// What a row is besides its features.
struct Outcome<'r> {
    search: &'r str,
    click: bool,
    bought: bool,
    split: SplitName,
}

/// Writes a row.
fn write<'r>(
    job: &mut Job,
    rows: &mut Rows,
    country: &str,
    outcome: &Outcome,
    categories: impl Iterator<Item = &'r str>,
    numbers: impl Iterator<Item = Option<f64>>,
) -> Result<()> {
    let &Outcome { search, click, bought, split } = outcome;
    rows.integer(Some(click.into()));
    rows.integer(Some(bought.into()));
    rows.text(Some(country));
    // Pages of different countries are different, whatever their numbers.
    rows.text(Some(&format!("{country}-{search}")));
    categories.for_each(|cell| rows.text(Some(cell).filter(|cell| !cell.is_empty())));
    numbers.for_each(|number| rows.number(number));
    rows.text(Some(split.name()));
    rows.end(country, Some(split), click, job.sink)
}

/// A number, or nothing where there is none.
fn number(table: &Table, column: usize, cell: &str) -> Result<Option<f64>> {
    if cell.is_empty() {
        return Ok(None);
    }
    let number: f64 = cell.parse().map_err(|_| table.bad(column, "a number"))?;
    Ok(Some(number).filter(|number| number.is_finite()))
}

/// Joins the owner's files of one country and set.
fn join(job: &mut Job, rows: &mut Rows, country: &str, paths: &[PathBuf], test: bool) -> Result<()> {
    let pages = read_pages(job, &paths[0])?;
    let names = numbered("column", OF_ITEM);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut items = Table::without_header(&paths[1], Layout::plain(","), &names, &names, &job.meter)?;
    let mut numbers = Vec::with_capacity(NUMBERS);
    while items.next()? {
        let search = items.required(0)?;
        let Some(of_user) = pages.get(search) else {
            job.leave_out("items on search pages that the file of users does not have");
            continue;
        };
        let (click, bought) = match items.cell(OF_ITEM - 1) {
            "0" => (false, false),
            "1" => (true, false),
            "2" => (true, true),
            _ => return Err(items.bad(OF_ITEM - 1, "0, 1 or 2, for seen, clicked and bought")),
        };
        numbers.clear();
        for (_, cell) in (1..).zip(of_user.clone()).filter(|&(column, _)| !user_category(column)) {
            // That it is a number was checked when the page was read.
            numbers.push(cell.parse().ok().filter(|number: &f64| number.is_finite()));
        }
        for column in (1..OF_ITEM - 1).filter(|&column| !item_category(column)) {
            numbers.push(number(&items, column, items.cell(column))?);
        }
        let of_user = (1..).zip(of_user).filter(|&(column, _)| user_category(column)).map(|(_, cell)| cell);
        let own = (1..OF_ITEM - 1).filter(|&column| item_category(column)).map(|column| items.cell(column));
        let outcome = Outcome { search, click, bought, split: job.split(test, items.rows()) };
        write(job, rows, country, &outcome, of_user.chain(own), numbers.iter().copied())?;
    }
    job.note_read(&paths[1], items.rows());
    Ok(())
}

/// The features of users and queries by search page.
fn read_pages(job: &mut Job, path: &Path) -> Result<Dimension> {
    let names = numbered("column", OF_USER);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut table = Table::without_header(path, Layout::plain(","), &names, &names, &job.meter)?;
    let (mut pages, mut repeated) = (Dimension::default(), 0);
    while table.next()? {
        for column in (1..OF_USER).filter(|&column| !user_category(column)) {
            number(&table, column, table.cell(column))?;
        }
        repeated += u64::from(!pages.insert(table.required(0)?, (1..OF_USER).map(|column| table.cell(column))));
    }
    job.note_read(path, table.rows());
    job.note_repeated(path, repeated);
    Ok(pages)
}

/// Takes over a joined file of one country and set.
fn copy(job: &mut Job, rows: &mut Rows, country: &str, path: &Path, test: bool) -> Result<()> {
    let mut names = vec!["search_id".to_owned(), "click".to_owned(), "conversion".to_owned()];
    names.extend(numbered("categorical", CATEGORIES));
    names.extend(numbered("numerical", NUMBERS));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut table = Table::with_header(path, Layout::plain(","), &names, &job.meter)?;
    let mut numbers = Vec::with_capacity(NUMBERS);
    while table.next()? {
        let (search, click, bought) = (table.required(0)?, table.flag(1)?, table.flag(2)?);
        numbers.clear();
        for column in 3 + CATEGORIES..3 + CATEGORIES + NUMBERS {
            numbers.push(number(&table, column, table.cell(column))?);
        }
        let categories = (3..3 + CATEGORIES).map(|column| table.cell(column));
        let outcome = Outcome { search, click, bought, split: job.split(test, table.rows()) };
        write(job, rows, country, &outcome, categories, numbers.iter().copied())?;
    }
    job.note_read(path, table.rows());
    Ok(())
}

/// `what_1`, `what_2` and so on.
fn numbered(what: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{what}_{number}")).collect()
}
