//! MovieLens-1M and MovieLens-100K: will this user rate this film above 3? Age groups are the scenarios.

use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;

use crate::data::datasets::history::{HistoryOptions, histories};
use crate::data::datasets::prepare::arrays::{Layout, Quotes, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::Dimension;
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::shares::ExactShares;
use crate::data::datasets::prepare::source::Encoding;
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::{Error, Result};
use crate::data::read::inputs::Inputs;
use crate::data::schema::{Format, Schema, SequenceColumn, Split};

pub(crate) const PUBLICATION: Publication = Publication {
    title: "MovieLens",
    home: "https://grouplens.org/datasets/movielens/",
    layouts: &[
        &["users.dat", "movies.dat", "ratings.dat"],
        &["u.user", "u.item", "u.data"],
        &["ml-100k.user", "ml-100k.item", "ml-100k.inter"],
    ],
    hint: "The first is MovieLens-1M, the second MovieLens-100K, the third MovieLens-100K as RecBole publishes it. \
           Unpack the archive first.",
};

/// The genres of MovieLens-100K, in the order of its flags, which are the last columns of a film.
const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// How a file is cut, and what its columns are called; `None` when its header says so.
struct Shape {
    layout: Layout,
    names: Option<Vec<&'static str>>,
}

/// How one edition of MovieLens is written.
struct Edition {
    users: Shape,
    films: Shape,
    ratings: Shape,
    /// The names of the columns, where headers say others.
    zip: &'static str,
    movie: &'static str,
    genres: Genres,
}

/// How a film's genres are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Genres {
    /// One cell, cut at this character.
    Cell(&'static str, char),
    /// A flag each.
    Flags,
}

impl Edition {
    fn million() -> Self {
        let shape = |names: &[&'static str]| Shape { layout: latin("::"), names: Some(names.to_vec()) };
        Self {
            users: shape(&["user_id", "gender", "age", "occupation", "zip"]),
            films: shape(&["movie_id", "title", "genres"]),
            ratings: shape(&["user_id", "movie_id", "rating", "timestamp"]),
            zip: "zip",
            movie: "movie_id",
            genres: Genres::Cell("genres", '|'),
        }
    }

    fn hundred_thousand() -> Self {
        let film = ["movie_id", "title", "release", "video_release", "url"];
        let shape = |separator, names: &[&'static str]| Shape { layout: latin(separator), names: Some(names.to_vec()) };
        Self {
            users: shape("|", &["user_id", "age", "gender", "occupation", "zip"]),
            films: shape("|", &[&film[..], &GENRES].concat()),
            ratings: shape("\t", &["user_id", "movie_id", "rating", "timestamp"]),
            zip: "zip",
            movie: "movie_id",
            genres: Genres::Flags,
        }
    }

    fn recbole() -> Self {
        let shape = || Shape { layout: Layout::plain("\t"), names: None };
        let (zip, movie) = ("zip_code", "item_id");
        let genres = Genres::Cell("class", ' ');
        Self { users: shape(), films: shape(), ratings: shape(), zip, movie, genres }
    }
}

fn latin(separator: &'static str) -> Layout {
    Layout { separator, quotes: Quotes::Plain, encoding: Encoding::Latin1 }
}

fn open<'a>(job: &Job<'a>, path: &Path, shape: &Shape, wanted: &[&str]) -> Result<Table<'a>> {
    match &shape.names {
        Some(names) => Table::without_header(path, shape.layout, names, wanted, &job.meter),
        None => Table::with_header(path, shape.layout, wanted, &job.meter),
    }
}

const COLUMNS: [(&str, Kind); 10] = [
    ("label", Kind::Integer),
    ("scenario", Kind::Text),
    ("age", Kind::Integer),
    ("gender", Kind::Text),
    ("occupation", Kind::Text),
    ("user_id", Kind::Integer),
    ("movie_id", Kind::Integer),
    ("zip", Kind::Text),
    ("genre", Kind::Text),
    ("timestamp", Kind::Integer),
];

/// The most films of a history.
const HISTORY: usize = 15;

/// Users and films, to be joined with ratings.
struct Tables {
    users: Dimension,
    films: Dimension,
}

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (number, paths) = PUBLICATION.find(job.raw)?;
    let edition = [Edition::million, Edition::hundred_thousand, Edition::recbole][number]();
    let [users, films, ratings] = &paths[..] else { unreachable!("three files each") };
    let million = number == 0;
    for (path, times) in [(users, 1), (films, 1), (ratings, if million { 2 } else { 1 })] {
        job.meter.expect(path, times)?;
    }
    let tables =
        Tables { users: read_users(&mut job, users, &edition)?, films: read_films(&mut job, films, &edition)? };
    match million {
        true => with_split(job, &edition, &tables, ratings),
        false => with_histories(job, &edition, &tables, ratings),
    }
}

/// Age, gender, occupation, zip code and age group by user.
fn read_users(job: &mut Job, path: &Path, edition: &Edition) -> Result<Dimension> {
    let wanted = ["user_id", "age", "gender", "occupation", edition.zip];
    let mut table = open(job, path, &edition.users, &wanted)?;
    let (mut users, mut repeated) = (Dimension::default(), 0);
    while table.next()? {
        let age: i64 = table.number(1, "an age in years")?;
        let group = match age {
            ..25 => "young",
            25..35 => "adult",
            35.. => "older",
        };
        let cells = [table.cell(1), table.cell(2), table.cell(3), table.cell(4), group];
        repeated += u64::from(!users.insert(table.required(0)?, cells));
    }
    job.note_read(path, table.rows());
    job.note_repeated(path, repeated);
    Ok(users)
}

/// The first genre by film.
fn read_films(job: &mut Job, path: &Path, edition: &Edition) -> Result<Dimension> {
    let wanted = match edition.genres {
        Genres::Cell(column, _) => vec![edition.movie, column],
        Genres::Flags => [&[edition.movie], &GENRES[..]].concat(),
    };
    let mut table = open(job, path, &edition.films, &wanted)?;
    let (mut films, mut repeated) = (Dimension::default(), 0);
    while table.next()? {
        let mut genre = "";
        match edition.genres {
            Genres::Cell(_, separator) => genre = table.cell(1).split(separator).next().unwrap_or_default(),
            Genres::Flags => {
                for (place, name) in GENRES.into_iter().enumerate().rev() {
                    if table.flag(1 + place)? {
                        genre = name;
                    }
                }
            }
        }
        repeated += u64::from(!films.insert(table.required(0)?, [genre]));
    }
    job.note_read(path, table.rows());
    job.note_repeated(path, repeated);
    Ok(films)
}

/// The ratings, to be joined one by one.
struct Ratings<'a, 't> {
    table: Table<'a>,
    tables: &'t Tables,
}

impl<'a, 't> Ratings<'a, 't> {
    fn open(job: &Job<'a>, path: &Path, edition: &Edition, tables: &'t Tables) -> Result<Self> {
        let wanted = ["user_id", edition.movie, "rating", "timestamp"];
        Ok(Self { table: open(job, path, &edition.ratings, &wanted)?, tables })
    }

    /// Gives `rows` the cells of the next rating; its scenario and label, or `None` at the end.
    fn next(&mut self, rows: &mut Rows) -> Result<Option<(&'t str, bool)>> {
        let tables: &'t Tables = self.tables;
        let table = &mut self.table;
        if !table.next()? {
            return Ok(None);
        }
        let mut user =
            tables.users.get(table.cell(0)).ok_or_else(|| table.bad(0, "a user that the file of users has"))?;
        let mut film =
            tables.films.get(table.cell(1)).ok_or_else(|| table.bad(1, "a film that the file of films has"))?;
        let mut user_cell = || user.next().unwrap_or_default();
        let [age, gender, occupation, zip, scenario] = std::array::from_fn(|_| user_cell());
        let genre = film.next().unwrap_or_default();
        let rating: f64 = table.number(2, "a rating from 0 to 5")?;
        if !(0.0..=5.0).contains(&rating) {
            return Err(table.bad(2, "a rating from 0 to 5"));
        }
        let time: f64 = table.number(3, "seconds since 1970")?;
        let label = rating > 3.0;
        let text = |cell: &'t str| Some(cell).filter(|cell| !cell.is_empty());
        rows.integer(Some(label.into()));
        rows.text(Some(scenario));
        rows.integer(age.parse().ok());
        rows.text(text(gender));
        rows.text(text(occupation));
        rows.integer(Some(table.number(0, "a user's number")?));
        rows.integer(Some(table.number(1, "a film's number")?));
        rows.text(text(zip));
        rows.text(text(genre));
        rows.integer(Some(time as i64));
        Ok(Some((scenario, label)))
    }
}

/// The fields of all editions, by age group.
fn fields() -> Schema {
    let (aware, agnostic) = (["scenario", "age", "gender", "occupation"], ["user_id", "movie_id", "zip", "genre"]);
    Schema { user: Some("user_id".to_owned()), ..schema(&aware, &agnostic) }
}

/// MovieLens-1M: a random split, a tenth valid and a tenth test.
fn with_split(mut job: Job, edition: &Edition, tables: &Tables, path: &Path) -> Result<Prepared> {
    let mut count = open(&job, path, &edition.ratings, &[])?;
    while count.next()? {}
    let mut shares = ExactShares::tenths([1, 1], count.rows(), job.seed);
    let mut rows = Rows::new(&[&COLUMNS[..], &[("split", Kind::Text)]].concat());
    let mut ratings = Ratings::open(&job, path, edition, tables)?;
    while let Some((scenario, label)) = ratings.next(&mut rows)? {
        let split = shares.next();
        rows.text(Some(split.name()));
        rows.end(scenario, Some(split), label, job.sink)?;
    }
    job.note_read(path, count.rows());
    let config = RunConfig {
        about: format!(
            "MovieLens-1M: will this user rate this film above 3? Three age groups are the scenarios.\n\
             A tenth of the ratings is valid and a tenth test, at random by seed {}.",
            job.seed
        ),
        schema: Schema { split: own_split(), ..fields() },
        model: "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n",
        train: "epochs = 8\npatience = 2\nbatch_size = 512\n",
    };
    job.finish(rows, &config)
}

/// MovieLens-100K: histories of the films that a user rated above 3 before, and a split by time.
fn with_histories(mut job: Job, edition: &Edition, tables: &Tables, path: &Path) -> Result<Prepared> {
    // Histories are made of a file: the joined ratings, written once without them.
    let io = |error| Error::io(job.scratch, error);
    let joined = tempfile::Builder::new().prefix(".joined-").suffix(".parquet").tempfile_in(job.scratch).map_err(io)?;
    let mut ratings = Ratings::open(&job, path, edition, tables)?;
    let mut rows = Rows::new(&COLUMNS);
    let mut writer: Option<ArrowWriter<&std::fs::File>> = None;
    let failed = |error: parquet::errors::ParquetError| Error::io(joined.path(), std::io::Error::other(error));
    let mut write = |batch: &arrow_array::RecordBatch| {
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(ArrowWriter::try_new(joined.as_file(), batch.schema(), None).map_err(failed)?),
        };
        writer.write(batch).map_err(failed)
    };
    while let Some((scenario, label)) = ratings.next(&mut rows)? {
        rows.end(scenario, None, label, &mut write)?;
    }
    let read = ratings.table.rows();
    job.note_read(path, read);
    let (count, groups) = rows.finish(&mut write)?;
    let Some(writer) = writer else { return Err(Error::EmptyFile { path: path.to_owned() }) };
    writer.close().map_err(failed)?;
    let place = joined.path().to_string_lossy();
    let inputs = Inputs::find(&place, Format::Parquet, None, &[PathBuf::from(".")])?;
    let options = HistoryOptions {
        user: "user_id".to_owned(),
        item: "movie_id".to_owned(),
        time: "timestamp".to_owned(),
        positive: Some("label".to_owned()),
        max_length: HISTORY,
        column: "history".to_owned(),
    };
    let mut histories = histories(&inputs, options, |_| ())?;
    while let Some(batch) = histories.next_batch()? {
        (job.sink)(&batch)?;
    }
    let sequence = SequenceColumn {
        column: "history".to_owned(),
        separator: "|".to_owned(),
        vocabulary: "movie_id".to_owned(),
        max_length: HISTORY,
    };
    let split = Split::Time { column: "timestamp".to_owned(), valid: 0.1, test: 0.1 };
    let config = RunConfig {
        about: format!(
            "MovieLens-100K: will this user rate this film above 3, given what they liked before? Three age groups are\n\
             the scenarios. `history` are the last {HISTORY} films that the user had rated above 3 strictly earlier."
        ),
        schema: Schema { split, sequence: vec![sequence], ..fields() },
        model: "name = \"saml\"\ndropout = 0.3\n",
        train: "epochs = 20\npatience = 3\nbatch_size = 256\n",
    };
    let Job { read, left_out, notes, .. } = job;
    Ok(Prepared { config: config.text()?, rows: count, groups, read, left_out, notes })
}
