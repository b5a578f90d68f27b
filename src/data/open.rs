//! Opening a dataset: from a schema to three splits of encoded rows.

use std::fs::File;
use std::path::PathBuf;

use super::error::{Error, Result};
use super::fit::basis::Basis;
use super::fit::notes::Notes;
use super::fit::{Fitted, gather};
use super::progress::{OpeningPhase, Progress};
use super::schema::Schema;
use crate::data::encoded::cache::{self, Cache, Cached};
use crate::data::encoded::encoder::Encoder;
use crate::data::encoded::rows::Rows;
use crate::data::encoded::tensors::map;
use crate::data::encoded::unknown::UnknownValues;
use crate::data::fit::spool::Spool;
use crate::data::read::checks::Skipped;
use crate::data::read::inputs::Inputs;
use crate::data::read::reader::Reader;
use crate::data::schema::columns::WantedColumns;

/// Encoded data, split in three.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The vocabularies and statistics, which depend on the train rows only.
    pub encoder: Encoder,
    /// The rows to learn from.
    pub train: Rows,
    /// The rows that decide when to stop; empty when the schema asks for none.
    pub valid: Rows,
    /// The rows to report on; empty when the schema asks for none.
    pub test: Rows,
    /// The bad rows that were left out.
    pub skipped: Skipped,
    /// How many rows `data.where` left out.
    pub filtered: u64,
    /// How many rows `data.only_scenarios` left out.
    pub other_scenarios: u64,
    /// What is missing or unknown in the validation rows, by column: fields, then sequences.
    pub valid_values: Vec<UnknownValues>,
    /// What a user should know of the train rows' columns: those that can teach nothing.
    pub warnings: Vec<String>,
    /// Whether the rows come from the cache, or why they are not kept.
    pub cache: Cache,
}

/// Sizes that tests make small.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Rows of a chunk.
    pub(super) chunk_rows: usize,
    /// Bytes of rows that are held in memory before a temporary file is used.
    pub(super) spool_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { chunk_rows: 1 << 16, spool_bytes: 1 << 30 }
    }
}

/// Reads, checks and encodes the data that a schema describes, or takes it from the cache.
///
/// A relative `data.path` is looked for in each folder of `base`, in order. `progress` is called often; it should be
/// quick.
///
/// # Errors
/// Every [`Error`] but [`Error::Encoder`]; the message names the file, place and fix. A cache that cannot be read or
/// written is no error: see [`Dataset::cache`].
pub fn open(schema: &Schema, base: &[PathBuf], progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
    open_on(schema, base, None, progress)
}

/// [`open`], going on from an earlier encoder: its values and scenarios keep their numbers, and those of the train rows that it
/// does not know follow.
///
/// # Errors
/// As [`open`]; when the schema asks for other types of values than the encoder knows.
pub fn open_on(
    schema: &Schema,
    base: &[PathBuf],
    basis: Option<&Basis<'_>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset> {
    schema.validate()?;
    open_found(schema, &Inputs::of(schema, base)?, basis, progress)
}

/// [`open_on`] of files that were found, or of tables in memory; `data.path` is not looked for. Of tables nothing is cached.
///
/// # Errors
/// As [`open_on`].
pub fn open_found(
    schema: &Schema,
    inputs: &Inputs,
    basis: Option<&Basis<'_>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset> {
    schema.validate()?;
    let roots = if inputs.in_memory() { Vec::new() } else { cache::roots(inputs) };
    open_inputs(schema, inputs, &roots, basis, &Limits::default(), progress)
}

/// [`open`] with the files found, and the folders that may hold caches.
pub(super) fn open_inputs(
    schema: &Schema,
    inputs: &Inputs,
    roots: &[PathBuf],
    basis: Option<&Basis<'_>>,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset> {
    let mut refusals = Vec::new();
    let key =
        if schema.cache && !inputs.in_memory() { Some(cache::key(inputs, schema, basis, progress)?) } else { None };
    if let Some(key) = &key {
        for folder in roots.iter().map(|root| root.join(key)).filter(|folder| folder.is_dir()) {
            // A damaged cache is written anew, by the way of any first run.
            if let Ok(Cached { encoder, rows, notes }) = cache::load(&folder, schema) {
                return Ok(dataset(encoder, rows, notes, Cache::Read(folder)));
            }
        }
    }

    inputs.wait_for_first(progress)?;
    let fitted = fit(schema, inputs, basis, limits, progress)?;
    let notes = Notes::of(&fitted)?;
    let total = fitted.spool.rows();
    let mut encoding = |rows| progress(Progress { phase: OpeningPhase::Encoding, done: rows, total, rows });
    if let Some(key) = &key {
        for root in roots {
            match cache::write(root, key, &fitted, &notes, &mut encoding)? {
                Ok(rows) => return Ok(dataset(fitted.encoder, rows, notes, Cache::Written(root.join(key)))),
                Err(e) => refusals.push(format!("{}: {e}", root.display())),
            }
        }
    }
    let rows = match on_disk(&fitted, inputs, &mut encoding)? {
        Some(rows) => rows,
        None => fitted.in_memory(&mut encoding)?,
    };
    let cache = if key.is_some() { Cache::Failed(refusals.join("; ")) } else { Cache::Off };
    Ok(dataset(fitted.encoder, rows, notes, cache))
}

fn dataset(encoder: Encoder, rows: [Rows; 3], notes: Notes, cache: Cache) -> Dataset {
    let [train, valid, test] = rows;
    let Notes { skipped, filtered, other_scenarios, valid_values, warnings } = notes;
    Dataset { encoder, train, valid, test, skipped, filtered, other_scenarios, valid_values, warnings, cache }
}

fn fit(
    schema: &Schema,
    inputs: &Inputs,
    basis: Option<&Basis<'_>>,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    let own = schema;
    let typed = basis.map(|basis| basis.typed(schema)).transpose()?;
    let schema = typed.as_ref().unwrap_or(schema);
    let plan = WantedColumns::to_fit(schema);
    let mut hashed = Vec::new();
    let gathered = loop {
        let reader = Reader::new(inputs, &plan.wanted, false, limits.chunk_rows);
        let spool = Spool::new(limits.spool_bytes, temporary_folders(inputs));
        // Each reading rules types out, so few are needed: as a rule one.
        if let Some(gathered) = gather(schema, &plan, reader, spool, inputs.bytes(), &mut hashed, progress)? {
            break gathered;
        }
    };
    if gathered.spool.rows() == 0 {
        let paths = inputs.paths().map(PathBuf::from).collect();
        return Err(Error::NoRows { paths, skipped: gathered.skipped.count, filtered: gathered.filtered });
    }
    let mut fitted = gathered.fit(schema, basis, progress)?;
    fitted.encoder = fitted.encoder.with_schema(own);
    Ok(fitted)
}

/// The data's own folder is on a disk that holds such data, and of objects from a store the one with their copies; the system's
/// temporary folder may be memory.
fn temporary_folders(inputs: &Inputs) -> Vec<PathBuf> {
    if inputs.in_memory() {
        return Vec::new();
    }
    if inputs.is_remote() {
        return cache::user_folder().into_iter().collect();
    }
    inputs.stem().parent().map(PathBuf::from).into_iter().collect()
}

/// Rows that are too many for memory, in temporary files; `None` when they are few or no disk takes them.
fn on_disk(fitted: &Fitted, inputs: &Inputs, progress: &mut dyn FnMut(u64)) -> Result<Option<[Rows; 3]>> {
    if !fitted.spool.is_large() {
        return Ok(None);
    }
    for folder in temporary_folders(inputs).into_iter().chain([std::env::temp_dir()]) {
        let files: Result<Vec<File>, _> = (0..3).map(|_| tempfile::tempfile_in(&folder)).collect();
        let Some(files) = files.ok().and_then(|files| <[File; 3]>::try_from(files).ok()) else { continue };
        let Ok(written) = fitted.in_files(files, progress)? else { continue };
        let rows = |(k, (file, _)): (usize, &(File, _))| map(file, &fitted.shape(k), None).ok();
        if let Some(rows) = written.iter().enumerate().map(rows).collect::<Option<Vec<Rows>>>() {
            return Ok(<[Rows; 3]>::try_from(rows).ok());
        }
    }
    Ok(None)
}
