//! What can be wrong with a schema, a file or a row, in words that name the place and the fix.

use std::fmt;
use std::path::{Path, PathBuf};

use super::schema::SplitName;

/// The result of everything in [`data`](crate::data).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that reading data can fail with. Each message names the place and, where there is one, the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The `[data]` table contradicts itself; the text names the key and the fix.
    #[error("{0}")]
    Schema(String),

    /// `data.path` names nothing that exists.
    #[error("data.path: {what}; looked in: {}{}", list(.looked_in.iter().map(|p| p.display())), suggestion(.near.as_deref()))]
    NoFiles {
        /// What was looked for.
        what: String,
        /// The folders that were searched, in order.
        looked_in: Vec<PathBuf>,
        /// A file there with a similar name.
        near: Option<String>,
    },

    /// A file's name does not tell its format and its first bytes are not Parquet's.
    #[error("{}: the name does not tell the format; set data.format to \"csv\" or \"parquet\"", .path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// The operating system refused a file or folder.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// Data at a URL that cannot be read.
    #[error("{url}: {what}")]
    Remote {
        /// The URL, without what may be a signature.
        url: String,
        /// What is wrong, and the fix.
        what: String,
    },

    /// A file of no bytes, or a CSV file without a header line.
    #[error("{}: the file is empty; remove it or write it again", .path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// Text in UTF-16.
    #[error("{}: the text is in UTF-16, and UTF-8 is needed; convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW", .path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },

    /// A file that is read as CSV and has zero bytes in its header.
    #[error("{}: the header has zero bytes, so this is no text; if it is a Parquet file, set data.format = \"parquet\"", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },

    /// A Parquet file compressed in a way that cannot be read.
    #[error("{}: its columns are compressed in a way that is not supported ({cause}); write it again with zstd or snappy", .path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        cause: String,
    },

    /// No input file has a single (good) row.
    #[error("{}: there are no rows to learn from{}{}", list(.paths.iter().map(|p| p.display())),
        if *.skipped > 0 { format!(" ({skipped} bad rows were skipped)") } else { String::new() },
        if *.filtered > 0 { format!(" ({filtered} rows were left out by data.where)") } else { String::new() })]
    NoRows {
        /// The files.
        paths: Vec<PathBuf>,
        /// How many bad rows were skipped.
        skipped: u64,
        /// How many rows `data.where` left out.
        filtered: u64,
    },

    /// A file that cannot be decoded as Parquet.
    #[error("{}: not a readable Parquet file ({cause}); it may be truncated: write it again, or set data.format", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        cause: String,
    },

    /// A column that the schema names and a file does not have.
    #[error("{0}")]
    MissingColumn(Box<MissingColumn>),

    /// Two columns of one name where the schema names it.
    #[error("{}: column \"{column}\", which {key} names, is there twice; rename one", .path.display())]
    ColumnTwice {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The schema's key that names it.
        key: String,
    },

    /// A column whose type cannot serve the use that the schema makes of it.
    #[error("{}, column \"{column}\": {key} needs {expected}, but the column's type is {found}", .path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The schema's key that names it.
        key: String,
        /// What the use needs.
        expected: &'static str,
        /// The column's type.
        found: String,
    },

    /// A row that cannot be used, under `on_bad_row = "fail"`.
    #[error("{0}; fix the row or set data.on_bad_row = \"skip\"")]
    BadRow(Box<BadRow>),

    /// A row of a scenario that the train split does not have, under `unknown_scenario = "fail"`.
    #[error("{0}; fix the row, or set data.unknown_scenario to \"shared\" or \"skip\"")]
    UnknownScenario(Box<BadRow>),

    /// More values of a column are unknown to a model than was allowed; the text names the column and the likely cause.
    #[error("{0}")]
    TooManyUnknown(String),

    /// The raw files of a public data set are not there, or are not what the owner publishes; the text lists what is
    /// expected and what was found.
    #[error("{0}")]
    RawFiles(String),

    /// A line of a raw file that is not as the owner publishes it.
    #[error("{row}; {fix}")]
    RawLine {
        /// The line and what is wrong with it.
        row: Box<BadRow>,
        /// What to do about it.
        fix: String,
    },

    /// A row of a CSV file that does not end.
    #[error("{}, {place}: the row does not end within {} MiB; a quote is probably left open there", .path.display(), .limit >> 20)]
    EndlessRow {
        /// The file.
        path: PathBuf,
        /// Where the row starts.
        place: Place,
        /// How many bytes were read of it.
        limit: usize,
    },

    /// A split of the schema without a row.
    #[error("the {split} split has no rows: {why}")]
    EmptySplit {
        /// Which split.
        split: SplitName,
        /// What was found instead, and the fix.
        why: String,
    },

    /// All labels of the train split are the same, so nothing can be learned.
    #[error(
        "all {rows} rows of the train split have label {label}; both 0 and 1 are needed: check data.label and data.split"
    )]
    OneClass {
        /// The only label, 0 or 1.
        label: u8,
        /// Rows in the train split.
        rows: u64,
    },

    /// A scenario that validation or test rows have and train rows don't.
    #[error(
        "scenario \"{scenario}\" has {rows} rows in the {split} split and none in the train split, so no model can learn it; \
        split otherwise, drop the rows, or set data.unknown_scenario to \"shared\" or \"skip\""
    )]
    UntrainedScenario {
        /// The scenario's name.
        scenario: String,
        /// A split that has rows of it.
        split: SplitName,
        /// How many.
        rows: u64,
    },

    /// A column with more distinct values than a 32-bit row number can tell apart.
    #[error("column \"{column}\" has too many distinct values; set data.fields.{column}.hash")]
    TooManyValues {
        /// The column's name.
        column: String,
    },

    /// A saved encoder that is incomplete, damaged or of another version.
    #[error("{}: {what}", .path.display())]
    Encoder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },

    /// Columns of unequal lengths, given to [`Rows::from_columns`](super::Rows::from_columns).
    #[error("{0}")]
    Shape(String),

    /// Whatever took the rows of [`prepare`](super::prepare) wants no more; it knows why.
    #[error("the rows could not be passed on")]
    SinkClosed,
}

impl Error {
    /// An [`Error::Io`] at `path`.
    pub(super) fn io(path: &Path, source: std::io::Error) -> Error {
        Error::Io { path: path.to_owned(), source }
    }
}

/// Where a row stands in its file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The line of a CSV file on which the row starts; the header is line 1.
    Line(u64),
    /// The row of a Parquet file.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(n) => write!(f, "line {n}"),
            Place::Row(n) => write!(f, "row {n}"),
        }
    }
}

/// A row that cannot be used, and why: `clicks.csv, line 12, column "label": expected 0 or 1, found "2"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The row's file.
    pub path: PathBuf,
    /// The row's place in the file.
    pub place: Place,
    /// The faulty column; `None` when the row as a whole is at fault.
    pub column: Option<String>,
    /// What a good row has there.
    pub expected: String,
    /// What this row has there.
    pub found: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.path.display(), self.place)?;
        if let Some(column) = &self.column {
            write!(f, ", column \"{column}\"")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// A column that the schema names and a file does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingColumn {
    /// The file.
    pub path: PathBuf,
    /// The column looked for.
    pub column: String,
    /// The schema's key that names it, such as `data.label`.
    pub key: String,
    /// The file's most similar column.
    pub near: Option<String>,
    /// All columns of the file.
    pub columns: Vec<String>,
    /// A further hint, such as another delimiter.
    pub hint: String,
}

impl fmt::Display for MissingColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MissingColumn { path, column, key, near, columns, hint } = self;
        write!(f, "{}: no column \"{column}\", which {key} names{}; ", path.display(), suggestion(near.as_deref()))?;
        write!(f, "the file's columns are: {}{hint}", list(columns.iter()))
    }
}

/// The one of `known` that `word` is most likely a slip of, if any is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&word, &plain(name)), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `; did you mean "x"?` or nothing.
pub fn suggestion(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default()
}

/// A name as people read it: cut where it is very long.
pub fn shortened(name: &str) -> String {
    const SHOWN: usize = 40;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// At most twelve items, comma separated, then how many were left out.
pub(super) fn list<T: fmt::Display>(items: impl Iterator<Item = T>) -> String {
    const SHOWN: usize = 12;
    let items: Vec<String> = items.map(|i| shortened(&i.to_string())).collect();
    let mut text = items[..items.len().min(SHOWN)].join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}
