//! Encoded data kept on disk, found again by what the input files hold and what the schema says.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::data::encoded::encoder::Encoder;
use crate::data::encoded::encoder_files::{ENCODER, VOCABULARIES};
use crate::data::encoded::rows::Rows;
use crate::data::encoded::tensors::{Shape, map};
use crate::data::error::{Error, Result};
use crate::data::fit::Fitted;
use crate::data::fit::basis::Basis;
use crate::data::fit::notes::Notes;
use crate::data::progress::{OpeningPhase, Progress};
use crate::data::read::inputs::Inputs;
use crate::data::read::remote::Object;
use crate::data::schema::{Schema, SplitName};

/// Changes with everything that changes what is written for the same data and schema.
const FORMAT: u32 = 2;

const INDEX: &str = "cache.json";

/// What the cache did for a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cache {
    /// The schema has `cache = false`, or the rows were in memory.
    Off,
    /// The data was read from this folder.
    Read(PathBuf),
    /// The data was encoded and written to this folder.
    Written(PathBuf),
    /// The data was encoded and could not be kept; the text says why.
    Failed(String),
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cache::Off => f.write_str("no cache"),
            Cache::Read(path) => write!(f, "read from the cache {}", path.display()),
            Cache::Written(path) => write!(f, "written to the cache {}", path.display()),
            Cache::Failed(why) => write!(f, "no cache could be written: {why}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Index {
    format: u32,
    notes: Notes,
    splits: Vec<SplitIndex>,
    encoder: u64,
    vocabularies: u64,
}

#[derive(Serialize, Deserialize)]
struct SplitIndex {
    rows: usize,
    items: Vec<usize>,
    hashes: Vec<(String, u64)>,
}

/// The user's folder for what can be made again, if there is one.
pub(crate) fn user_folder() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "polyscene").map(|dirs| dirs.cache_dir().to_owned())
}

/// The folders in which caches are kept, the first choice first: beside the data, if that is on this machine, then the user's
/// cache folder.
pub(crate) fn roots(inputs: &Inputs) -> Vec<PathBuf> {
    let user = user_folder().map(|folder| folder.join("data"));
    if inputs.is_remote() {
        return user.into_iter().collect();
    }
    let mut beside = inputs.stem().components().collect::<PathBuf>().into_os_string();
    // A bare "." or ".." has no name to add to.
    if inputs.stem().file_name().is_none() {
        beside.push("/data");
    }
    beside.push(".polyscene-cache");
    std::iter::once(PathBuf::from(beside)).chain(user).collect()
}

/// A name for what is encoded: a hash of every input file's bytes, of the schema, as far as it changes the result, and of the
/// encoder that it goes on from. Of an object in a store its URL and what the store calls its version stand for its bytes.
pub(crate) fn key(
    inputs: &Inputs,
    schema: &Schema,
    basis: Option<&Basis<'_>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<String> {
    let mut schema = Schema { path: String::new(), cache: true, ..schema.clone() };
    schema.fields.values_mut().for_each(|options| options.pretrained = None);
    let mut hash = Xxh3::new();
    hash.update(&FORMAT.to_le_bytes());
    hash.update(&serde_json::to_vec(&schema).map_err(|e| Error::Schema(e.to_string()))?);
    if let Some(basis) = basis {
        hash.update(&basis.digest().to_le_bytes());
    }
    let total = inputs.bytes();
    let mut done = 0;
    let mut buffer = vec![0; 1 << 20];
    for file in inputs.files() {
        hash.update(format!("{:?} {}", file.encoding, file.bytes).as_bytes());
        if !file.partitions.is_empty() {
            hash.update(format!("{:?}", file.partitions).as_bytes());
        }
        if let Some(version) = file.object.as_ref().and_then(Object::version) {
            hash.update(format!("{} {version}\n", file.path.display()).as_bytes());
            done += file.bytes;
            continue;
        }
        let local = file.local(progress)?;
        let mut reader = File::open(&local.file).map_err(|e| Error::io(&file.path, e))?;
        loop {
            let n = reader.read(&mut buffer).map_err(|e| Error::io(&file.path, e))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            done += n as u64;
            progress(Progress { phase: OpeningPhase::Hashing, done, total, rows: 0 });
        }
    }
    Ok(format!("{:032x}", hash.digest128()))
}

/// What a cache holds.
pub(crate) struct Cached {
    pub(crate) encoder: Encoder,
    pub(crate) rows: [Rows; 3],
    pub(crate) notes: Notes,
}

/// Reads a cache.
///
/// # Errors
/// What is wrong with it; it is then to be written anew.
pub(crate) fn load(folder: &Path, schema: &Schema) -> Result<Cached, String> {
    let read = |name: &str| fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    let index: Index = serde_json::from_slice(&read(INDEX)?).map_err(|e| format!("{INDEX}: {e}"))?;
    if index.format != FORMAT || index.splits.len() != 3 {
        return Err(format!("{INDEX} is of another version"));
    }
    for (name, hash) in [(ENCODER, index.encoder), (VOCABULARIES, index.vocabularies)] {
        if xxh3_64(&read(name)?) != hash {
            return Err(format!("{name} is damaged"));
        }
    }
    let encoder = Encoder::load(folder).map_err(|e| e.to_string())?.with_schema(schema);
    let shape = |k: usize| Shape {
        rows: index.splits[k].rows,
        fields: encoder.fields().len(),
        values: encoder.value_count(),
        users: schema.user.is_some(),
        clicks: schema.click.is_some(),
        weights: schema.weight.is_some(),
        probabilities: schema.probability.is_some(),
        items: index.splits[k].items.clone(),
        weighted: encoder.weighted_lists(),
    };
    let rows = map_splits(folder, shape, |k| Some(&index.splits[k].hashes))?;
    Ok(Cached { encoder, rows, notes: index.notes })
}

/// Maps the three splits' files; with hashes, only if their tensors have these.
fn map_splits<'a>(
    folder: &Path,
    shape: impl Fn(usize) -> Shape,
    hashes: impl Fn(usize) -> Option<&'a Vec<(String, u64)>>,
) -> Result<[Rows; 3], String> {
    let rows = |k: usize| {
        let name = split_file(SplitName::ALL[k]);
        let file = File::open(folder.join(&name)).map_err(|e| format!("{name}: {e}"))?;
        map(&file, &shape(k), hashes(k).map(Vec::as_slice)).map_err(|e| format!("{name}: {e}"))
    };
    Ok([rows(0)?, rows(1)?, rows(2)?])
}

fn split_file(split: SplitName) -> String {
    format!("{split}.safetensors")
}

/// Writes `root/key`, whole or not at all, and maps what was written.
///
/// # Errors
/// The outer error is one of reading the rows, the inner one of writing: a full disk, a forbidden folder.
pub(crate) fn write(
    root: &Path,
    key: &str,
    fitted: &Fitted,
    notes: &Notes,
    progress: &mut dyn FnMut(u64),
) -> Result<io::Result<[Rows; 3]>> {
    let mut files = Vec::new();
    let mut prepare = || {
        fs::create_dir_all(root)?;
        let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(root)?;
        for split in SplitName::ALL {
            let path = partial.path().join(split_file(split));
            files.push(File::options().read(true).write(true).create_new(true).open(path)?);
        }
        Ok(partial)
    };
    let partial = match prepare() {
        Ok(partial) => partial,
        Err(e) => return Ok(Err(e)),
    };
    let Ok(files) = <[File; 3]>::try_from(files) else { return Ok(Err(io::ErrorKind::Other.into())) };
    let written = match fitted.in_files(files, progress)? {
        Ok(written) => written,
        Err(e) => return Ok(Err(e)),
    };
    let mut splits = Vec::new();
    for (k, (_, hashes)) in written.into_iter().enumerate() {
        let shape = fitted.shape(k);
        splits.push(SplitIndex { rows: shape.rows, items: shape.items, hashes });
    }
    let finish = || {
        let folder = partial.path();
        fitted.encoder.save(folder).map_err(io::Error::other)?;
        let hash = |name: &str| fs::read(folder.join(name)).map(|bytes| xxh3_64(&bytes));
        let (encoder, vocabularies) = (hash(ENCODER)?, hash(VOCABULARIES)?);
        let index = Index { format: FORMAT, notes: notes.clone(), splits, encoder, vocabularies };
        fs::write(folder.join(INDEX), serde_json::to_vec_pretty(&index)?)?;
        let target = root.join(key);
        // What stands there was found damaged, or is another process's, with the same content.
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::rename(folder, &target)?;
        map_splits(&target, |k| fitted.shape(k), |_| None).map_err(io::Error::other)
    };
    Ok(finish())
}
