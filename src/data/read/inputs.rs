//! From `data.path` to the files it names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::error::{Error, Result, nearest};
use crate::data::progress::{OpeningPhase, Progress};
use crate::data::read::compressed::plain_name;
use crate::data::read::local_file::LocalFile;
use crate::data::read::remote::{self, Object};
use crate::data::read::table::{TABLE, Table};
use crate::data::schema::{Format, Schema, SplitName};

/// The input files, in the order in which they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    files: Vec<Input>,
    stem: PathBuf,
}

/// One input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// What messages call it; where it is, if it is a file of this machine.
    pub(crate) path: PathBuf,
    /// Where it is, if it is in a store.
    pub(crate) object: Option<Object>,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: u64,
    /// Columns that the file's folders are: `day=2024-05-01` is 2024-05-01 in column `day` for all rows (as Hive has it).
    pub(crate) partitions: Vec<Partition>,
}

/// A column of one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    pub(crate) column: String,
    /// None where it is missing.
    pub(crate) value: Option<String>,
}

/// How a file's rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoding {
    Csv {
        delimiter: u8,
    },
    Parquet,
    /// Not at all: they are in memory, and no file is read.
    Table(Table),
}

impl Inputs {
    /// Finds the files that `path` names: a file, a glob, or a folder, whose `.parquet`, `.csv` and `.tsv` files,
    /// compressed ones (`.csv.gz`, `.csv.zst`) among them, are taken in order of name, and those of folders in it that are called
    /// `COLUMN=VALUE`. Such names in the path are columns of the files below. A relative path is looked for in each folder of `base`, in order, and the first that
    /// has it wins; with no `base`, in the current folder.
    ///
    /// With the feature `object-store`, `path` may be a URL: `s3://`, `gs://` and `az://` name objects, globs and folders by the
    /// same rules, `http://` and `https://` one file. Credentials are those of the environment.
    ///
    /// # Errors
    /// [`Error::NoFiles`] when nothing matches, [`Error::Remote`] where a URL is at fault, [`Error::EmptyFile`] for a file of no bytes,
    /// [`Error::UnknownFormat`] when `format` is [`Format::Auto`] and a file does not tell its own.
    pub fn find(path: &str, format: Format, delimiter: Option<char>, base: &[PathBuf]) -> Result<Inputs> {
        if remote::is_url(path) {
            let input = |object| Input::remote(object, format, delimiter);
            let files = remote::objects(path)?.into_iter().map(input).collect::<Result<_>>()?;
            return Ok(Inputs { files, stem: PathBuf::from(path) });
        }
        let here = [PathBuf::from(".")];
        let base = if base.is_empty() { &here[..] } else { base };
        for folder in base {
            let full = if folder == Path::new(".") { PathBuf::from(path) } else { folder.join(path) };
            let (paths, stem) = if full.is_file() {
                (vec![full.clone()], full)
            } else if full.is_dir() {
                (folder_files(&full)?, full)
            } else {
                (glob_files(&full)?, glob_stem(&full))
            };
            if paths.is_empty() {
                continue;
            }
            let open = |file: PathBuf| {
                let partitions = partitions(file.strip_prefix(folder).unwrap_or(&file));
                Ok(Input { partitions, ..Input::open(file, format, delimiter)? })
            };
            let files = paths.into_iter().map(open).collect::<Result<_>>()?;
            return Ok(Inputs { files, stem });
        }
        Err(nothing(path, base))
    }

    /// The files that a schema's `path` names; see [`Inputs::find`].
    ///
    /// # Errors
    /// As [`Inputs::find`].
    pub fn of(schema: &Schema, base: &[PathBuf]) -> Result<Inputs> {
        Inputs::find(&schema.path, schema.format, schema.delimiter, base)
    }

    /// A table in memory in the place of files; messages call it `<table>`.
    pub fn table(table: Table) -> Inputs {
        Inputs { files: vec![Input::table(table, TABLE, None)], stem: PathBuf::from(TABLE) }
    }

    /// A table for each split, as if they lay in folders called `split=train` and so on; messages call them `<train>`, `<valid>`
    /// and `<test>`. Also the name of the column that says so: `split`, with `_` after it where a table has such a column.
    pub fn split_tables(tables: BTreeMap<SplitName, Table>) -> (Inputs, String) {
        let mut column = "split".to_owned();
        while tables.values().any(|table| table.schema().column_with_name(&column).is_some()) {
            column.push('_');
        }
        let input = |(split, table): (SplitName, Table)| {
            let partition = Partition { column: column.clone(), value: Some(split.to_string()) };
            Input::table(table, &format!("<{split}>"), Some(partition))
        };
        let files = tables.into_iter().map(input).collect();
        (Inputs { files, stem: PathBuf::from(TABLE) }, column)
    }

    /// Whether there are no files, but tables in memory.
    pub(crate) fn in_memory(&self) -> bool {
        self.files.iter().any(|file| matches!(file.encoding, Encoding::Table(_)))
    }

    /// Whether they are in a store, and not on this machine.
    pub(crate) fn is_remote(&self) -> bool {
        self.files.iter().any(|file| file.object.is_some())
    }

    /// Waits for the first object of a store, if there is one; the next ones come while it is read.
    ///
    /// # Errors
    /// When it cannot be downloaded.
    pub(crate) fn wait_for_first(&self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        self.files.first().map_or(Ok(()), |file| file.local(progress).map(drop))
    }

    /// The files' paths or URLs, in reading order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|f| f.path.as_path())
    }

    /// The files' sizes together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    pub(crate) fn files(&self) -> &[Input] {
        &self.files
    }

    /// The path beside which a cache is kept: the file, the folder, or the glob with its wildcards made plain.
    pub(crate) fn stem(&self) -> &Path {
        &self.stem
    }
}

impl Input {
    fn table(table: Table, name: &str, partition: Option<Partition>) -> Input {
        let (path, bytes) = (PathBuf::from(name), table.bytes());
        let partitions = partition.into_iter().collect();
        Input { path, object: None, encoding: Encoding::Table(table), bytes, partitions }
    }

    fn remote(object: Object, format: Format, delimiter: Option<char>) -> Result<Input> {
        let (path, bytes, partitions) = (object.name(), object.bytes(), partitions(Path::new(object.key())));
        if bytes == 0 {
            return Err(Error::EmptyFile { path });
        }
        let encoding = encoding(&path, format, delimiter, || object.starts_as_parquet())?;
        Ok(Input { path, object: Some(object), encoding, bytes, partitions })
    }

    /// The file to open. An object of a store is downloaded, unless it was.
    pub(crate) fn local(&self, progress: &mut dyn FnMut(Progress)) -> Result<LocalFile> {
        let name: Arc<Path> = self.path.as_path().into();
        let file = match &self.object {
            Some(object) => {
                let (phase, total) = (OpeningPhase::Downloading, self.bytes);
                object.copy(&mut |done| progress(Progress { phase, done, total, rows: 0 }))?.into()
            }
            None => Arc::clone(&name),
        };
        Ok(LocalFile { name, file })
    }

    fn open(path: PathBuf, format: Format, delimiter: Option<char>) -> Result<Input> {
        let bytes = path.metadata().map_err(|e| Error::io(&path, e))?.len();
        if bytes == 0 {
            return Err(Error::EmptyFile { path });
        }
        let encoding = encoding(&path, format, delimiter, || starts_as_parquet(&path))?;
        Ok(Input { path, object: None, encoding, bytes, partitions: Vec::new() })
    }
}

/// How the rows of a file of this name are written, where `format` does not say.
fn encoding(
    path: &Path,
    format: Format,
    delimiter: Option<char>,
    starts_as_parquet: impl FnOnce() -> Result<bool>,
) -> Result<Encoding> {
    let extension = extension(path);
    let tabs = matches!(extension.as_str(), "tsv" | "inter" | "user" | "item");
    let format = match format {
        Format::Auto if matches!(extension.as_str(), "parquet" | "pq") => Format::Parquet,
        Format::Auto if tabs || matches!(extension.as_str(), "csv" | "txt") => Format::Csv,
        Format::Auto if starts_as_parquet()? => Format::Parquet,
        Format::Auto => return Err(Error::UnknownFormat { path: path.to_owned() }),
        named => named,
    };
    if format == Format::Parquet {
        return Ok(Encoding::Parquet);
    }
    // The schema's rules admit ASCII only, so the conversion holds.
    let delimiter = delimiter.and_then(|d| u8::try_from(d).ok()).unwrap_or(if tabs { b'\t' } else { b',' });
    Ok(Encoding::Csv { delimiter })
}

/// Whether a file's first bytes are those of Parquet.
pub(crate) fn starts_as_parquet(path: &Path) -> Result<bool> {
    let mut magic = [0; 4];
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == *b"PAR1")
}

/// The ending of a file's name, in small letters; of a compressed file, the one before `.gz` or `.zst`.
fn extension(path: &Path) -> String {
    plain_name(path).extension().and_then(|e| e.to_str()).map(str::to_lowercase).unwrap_or_default()
}

/// Whether a file of this name is taken from a folder.
pub(crate) fn has_data_name(path: &Path) -> bool {
    matches!(extension(path).as_str(), "parquet" | "csv" | "tsv")
}

/// Whether a folder of this name in a folder is taken, too.
pub(crate) fn is_partition(name: &OsStr) -> bool {
    partition(name).is_some()
}

fn folder_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if has_data_name(&path) && path.is_file() {
            files.push(path);
        } else if path.file_name().is_some_and(is_partition) && path.is_dir() {
            files.extend(folder_files(&path)?);
        }
    }
    files.sort();
    Ok(files)
}

/// What Hive calls a partition without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The column and value that a folder's name gives, if it does.
fn partition(name: &OsStr) -> Option<Partition> {
    let (column, value) = name.to_str()?.split_once('=').filter(|(column, _)| !column.is_empty())?;
    let value = Some(unescaped(value)).filter(|value| !value.is_empty() && value != NO_VALUE);
    Some(Partition { column: unescaped(column), value })
}

/// The columns that the folders of a path give; of several of one name the last.
fn partitions(file: &Path) -> Vec<Partition> {
    let mut found: Vec<Partition> = Vec::new();
    for partition in file.parent().into_iter().flat_map(Path::iter).filter_map(partition) {
        found.retain(|known| known.column != partition.column);
        found.push(partition);
    }
    found
}

/// A text in which characters that are no good in names stand as `%2F`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &others[2..] } else { others };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

pub(crate) const WILDCARDS: [char; 3] = ['*', '?', '['];

fn glob_files(pattern: &Path) -> Result<Vec<PathBuf>> {
    let Some(text) = pattern.to_str().filter(|t| t.contains(WILDCARDS)) else { return Ok(Vec::new()) };
    let found = glob::glob(text).map_err(|e| Error::Schema(format!("data.path \"{text}\" is no valid glob: {e}")))?;
    let mut files = Vec::new();
    for entry in found {
        let path = entry.map_err(|e| Error::Io { path: e.path().to_owned(), source: e.into() })?;
        // A wide pattern also matches folders, such as an earlier run's cache.
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The deepest folder of a glob without wildcards, joined with the rest made a plain file name.
fn glob_stem(pattern: &Path) -> PathBuf {
    let wild = |part: &OsStr| part.to_str().is_some_and(|t| t.contains(WILDCARDS));
    let mut folder = PathBuf::new();
    let mut rest = String::new();
    for part in pattern.iter() {
        if rest.is_empty() && !wild(part) {
            folder.push(part);
        } else {
            let plain: String = part.to_string_lossy().replace(WILDCARDS, "_").replace(']', "_");
            rest = if rest.is_empty() { plain } else { format!("{rest}-{plain}") };
        }
    }
    folder.join(rest)
}

fn nothing(path: &str, base: &[PathBuf]) -> Error {
    if path == TABLE {
        return Error::Schema(format!(
            "data.path: \"{TABLE}\" was a table in memory, which is gone with the program that had it; give a file of the same rows"
        ));
    }
    let is_folder = base.iter().any(|folder| folder.join(path).is_dir());
    let what = match path {
        _ if is_folder => format!("the folder \"{path}\" has no .parquet, .csv or .tsv file"),
        _ if path.contains(WILDCARDS) => format!("no file matches \"{path}\""),
        _ => format!("there is no file or folder \"{path}\""),
    };
    let wanted = Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let near = base.iter().find_map(|folder| {
        let parent = folder.join(path).parent()?.to_owned();
        let names: Vec<String> =
            parent.read_dir().ok()?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        let near = nearest(&wanted, names.iter().map(String::as_str).filter(|n| !n.ends_with(".polyscene-cache")));
        near.map(str::to_owned)
    });
    Error::NoFiles { what, looked_in: base.to_vec(), near: near.filter(|_| !is_folder) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn find(path: &str, base: &[PathBuf]) -> Result<Inputs> {
        Inputs::find(path, Format::Auto, None, base)
    }

    fn names(inputs: &Inputs) -> Vec<String> {
        inputs.paths().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_gives_its_data_files_sorted() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.tsv", "notes.md", "c.parquet"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("d.csv")).unwrap();
        let inputs = find(".", &[dir.path().to_owned()]).unwrap();
        assert_eq!(names(&inputs), ["a.tsv", "b.csv", "c.parquet"]);
        let encodings: Vec<Encoding> = inputs.files().iter().map(|f| f.encoding.clone()).collect();
        assert_eq!(
            encodings,
            [Encoding::Csv { delimiter: b'\t' }, Encoding::Csv { delimiter: b',' }, Encoding::Parquet]
        );
    }

    #[test]
    fn a_glob_gives_files_only_and_a_plain_stem() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["part-2.csv", "part-1.csv", "other.csv"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("part-9")).unwrap();
        let inputs = find("part-*", &[dir.path().to_owned()]).unwrap();
        assert_eq!(names(&inputs), ["part-1.csv", "part-2.csv"]);
        assert_eq!(inputs.stem(), dir.path().join("part-_"));
    }

    #[test]
    fn folders_called_column_and_value_are_columns() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "day=2024-05-02/hour=7/b.csv",
            "day=2024-05-01/a.csv",
            "day=__HIVE_DEFAULT_PARTITION__/c.csv",
            "other/d.csv",
        ] {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("page=a%2Fb=c")).unwrap();
        fs::write(dir.path().join("page=a%2Fb=c/e.csv"), "x").unwrap();
        let base = [dir.path().to_owned()];
        let all = find(".", &base).unwrap();
        assert_eq!(names(&all), ["a.csv", "b.csv", "c.csv", "e.csv"]);
        let of = |column: &str, value: Option<&str>| Partition {
            column: column.to_owned(),
            value: value.map(str::to_owned),
        };
        let found: Vec<&[Partition]> = all.files().iter().map(|file| file.partitions.as_slice()).collect();
        assert_eq!(found[0], [of("day", Some("2024-05-01"))]);
        assert_eq!(found[1], [of("day", Some("2024-05-02")), of("hour", Some("7"))]);
        assert_eq!(found[2], [of("day", None)]);
        assert_eq!(found[3], [of("page", Some("a/b=c"))]);
        // A part of it has the same columns.
        let part = find("day=2024-05-02", &base).unwrap();
        assert_eq!(part.files()[0].partitions, found[1]);
        let part = find("day=*/*/b.csv", &base).unwrap();
        assert_eq!(part.files()[0].partitions, found[1]);
    }

    #[test]
    fn the_first_base_that_has_the_file_wins() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(b.path().join("x.csv"), "x").unwrap();
        let inputs = find("x.csv", &[a.path().to_owned(), b.path().to_owned()]).unwrap();
        assert_eq!(inputs.stem(), b.path().join("x.csv"));
        assert_eq!(inputs.bytes(), 1);
    }

    #[test]
    fn nothing_found_names_the_folders_and_a_similar_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("clicks.csv"), "x").unwrap();
        let message = find("click.csv", &[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(message.contains("there is no file or folder \"click.csv\""), "{message}");
        assert!(message.contains("did you mean \"clicks.csv\"?"), "{message}");
        assert!(message.contains(&dir.path().display().to_string()), "{message}");
        let message = find("*.parquet", &[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(message.contains("no file matches"), "{message}");
        let empty = tempfile::tempdir().unwrap();
        let message = find(".", &[empty.path().to_owned()]).unwrap_err().to_string();
        assert!(message.contains("has no .parquet, .csv or .tsv file"), "{message}");
    }

    #[test]
    fn an_empty_file_and_an_unknown_format_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("empty.csv"), "").unwrap();
        fs::write(dir.path().join("part-0"), "a,b\n").unwrap();
        fs::write(dir.path().join("part-1"), "PAR1....").unwrap();
        let base = [dir.path().to_owned()];
        assert!(matches!(find("empty.csv", &base), Err(Error::EmptyFile { .. })));
        assert!(matches!(find("part-0", &base), Err(Error::UnknownFormat { .. })));
        assert_eq!(find("part-1", &base).unwrap().files()[0].encoding, Encoding::Parquet);
        let csv = Inputs::find("part-0", Format::Csv, Some(';'), &base).unwrap();
        assert_eq!(csv.files()[0].encoding, Encoding::Csv { delimiter: b';' });
    }
}
