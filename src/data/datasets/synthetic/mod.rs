//! Synthetic clicks with a planted truth, for `polyscene synth`.
//!
//! A teacher knows the probability that a row converts: intercept of the scenario + effects of single
//! fields + a low-rank interaction of user and item whose rank components each scenario weighs differently, which is
//! what a multi-scenario model is there to find. Ids are Zipf-skewed, scenarios are of unequal sizes, and 5–20 % of a
//! scenario's rows convert. The true probability is written too, so the best reachable AUC is known.
//!
//! From one day to the next the truth drifts, and some users and items make way for others.
//!
//! Every number is a hash of the seed and of what it belongs to, and every row has its own random stream: a file
//! depends on its options only, and no table grows with the vocabulary.

mod fields;
mod population;
mod table;
mod teacher;

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use fields::scenario_name;
use population::Population;
use teacher::Teacher;

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticOptions {
    /// Rows, at least 1.
    pub rows: u64,
    /// Scenarios, 1 to 10,000.
    pub scenarios: u32,
    /// Another seed gives another truth and other rows.
    pub seed: u64,
    /// Ids of the largest fields, `user_id` and `item_id`: 1 to 2^40.
    pub vocabulary: u64,
    /// Longest history of items; 0 for no history, at most 1,000.
    pub sequence: u32,
    /// The day that the rows are of, at most 10,000: other rows each day, of users and items of which some are new, with a truth
    /// that drifts.
    #[serde(skip_serializing_if = "is_zero")]
    pub day: u32,
    /// Whether rows are impressions, of which some are clicked: the label is a conversion, which follows a click.
    #[serde(skip_serializing_if = "is_false")]
    pub clicks: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Default for SyntheticOptions {
    fn default() -> Self {
        SyntheticOptions {
            rows: 200_000,
            scenarios: 4,
            seed: 0,
            vocabulary: 10_000,
            sequence: 0,
            day: 0,
            clicks: false,
        }
    }
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyntheticFiles {
    /// The rows, `data.parquet`.
    pub data: PathBuf,
    /// A run's configuration that reads them, `config.toml`.
    pub config: PathBuf,
    /// Each scenario, the largest first.
    pub scenarios: Vec<SyntheticScenario>,
}

/// One scenario of a generated file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyntheticScenario {
    /// Its name in the `scenario` column.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its rows whose label is 1.
    pub positives: u64,
    /// The conversion rate it was given, 0.05 to 0.2; `positives / rows` varies about it, but where rows are impressions: there
    /// it is that after clicks, were all impressions clicked.
    pub rate: f64,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// An option is out of range.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: u64,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The rows cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// The rows cannot be laid out as columns.
    #[error("cannot lay out rows: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
}

/// Rows that one thread generates at a time.
const CHUNK_ROWS: u64 = 8192;
/// Chunks held in memory together.
const CHUNKS: u64 = 16;

/// Writes `data.parquet` and `config.toml` into `folder`, which is made if need be; files of these names that are
/// there are replaced. `progress` is as for [`generate_rows`].
///
/// # Errors
/// As [`generate_rows`].
pub fn generate(
    options: &SyntheticOptions,
    folder: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<SyntheticFiles, SyntheticError> {
    let (data, config) = (folder.join("data.parquet"), folder.join("config.toml"));
    let scenarios = generate_rows(options, &data, progress)?;
    std::fs::write(&config, config_text(options))
        .map_err(|source| SyntheticError::Io { path: config.clone(), source })?;
    Ok(SyntheticFiles { data, config, scenarios })
}

/// Writes the rows to the Parquet file `path` and nothing else, and counts them by scenario. Its folder is made if need
/// be; a file of this name that is there is replaced. `progress` is called with the rows written so far. Memory does
/// not grow with the rows.
///
/// # Errors
/// When an option is out of range or a file cannot be written; an unfinished file is not left behind.
pub fn generate_rows(
    options: &SyntheticOptions,
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<SyntheticScenario>, SyntheticError> {
    options.check()?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SyntheticError::Io { path, source }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let scenarios = write_rows(options, &partial, progress).inspect_err(|_| {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&partial);
    })?;
    std::fs::rename(&partial, path).map_err(io(path))?;
    Ok(scenarios)
}

impl SyntheticOptions {
    fn check(&self) -> Result<(), SyntheticError> {
        let within = |option, found: u64, least: u64, max: u64, expected| match (least..=max).contains(&found) {
            true => Ok(()),
            false => Err(SyntheticError::Option { option, expected, found }),
        };
        within("rows", self.rows, 1, 1 << 48, "1 to 2^48")?;
        within("scenarios", self.scenarios.into(), 1, 10_000, "1 to 10000")?;
        within("vocabulary", self.vocabulary, 1, 1 << 40, "1 to 2^40")?;
        within("sequence", self.sequence.into(), 0, 1000, "0 to 1000")?;
        within("day", self.day.into(), 0, 10_000, "0 to 10000")
    }
}

/// Streams all rows to `path` and counts them by scenario.
fn write_rows(
    options: &SyntheticOptions,
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<SyntheticScenario>, SyntheticError> {
    let population = Population::new(options);
    let teacher = Teacher::new(&population, options);
    let mut scenarios: Vec<SyntheticScenario> = (0..options.scenarios)
        .map(|scenario| SyntheticScenario {
            name: scenario_name(scenario.into()),
            rows: 0,
            positives: 0,
            rate: teacher.rate(scenario),
        })
        .collect();

    let file = File::create(path).map_err(|source| SyntheticError::Io { path: path.to_owned(), source })?;
    let parquet = |source| SyntheticError::Parquet { path: path.to_owned(), source };
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(1 << 18))
        .build();
    let schema = table::schema(options.sequence > 0, options.clicks);
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(parquet)?;

    // One window of chunks is written while the next is generated.
    let window = |first: u64| {
        let last = options.rows.div_ceil(CHUNK_ROWS).min(first + CHUNKS);
        (first..last)
            .into_par_iter()
            .map(|chunk| {
                let start = chunk * CHUNK_ROWS;
                let rows = start..options.rows.min(start + CHUNK_ROWS);
                let rows: Vec<_> = rows.map(|row| teacher.label(&population, population.row(row))).collect();
                let batch = table::batch(&schema, &rows)?;
                let counts = rows.iter().map(|row| (row.scenario(), row.label)).collect();
                Ok((batch, counts))
            })
            .collect::<Result<Vec<Chunk>, SyntheticError>>()
    };
    let mut ready = window(0)?;
    let (mut next, mut done) = (CHUNKS, 0);
    while !ready.is_empty() {
        let write = || -> Result<(), SyntheticError> {
            for (batch, counts) in &ready {
                writer.write(batch).map_err(parquet)?;
                for &(scenario, label) in counts {
                    scenarios[scenario as usize].rows += 1;
                    scenarios[scenario as usize].positives += u64::from(label);
                }
                done += batch.num_rows() as u64;
            }
            Ok(())
        };
        let (written, generated) = rayon::join(write, || window(next));
        written?;
        progress(done);
        ready = generated?;
        next += CHUNKS;
    }
    writer.close().map_err(parquet)?;
    Ok(scenarios)
}

/// A chunk's columns, and the scenario and label of its rows.
type Chunk = (RecordBatch, Vec<(u32, bool)>);

/// A run's configuration for the generated rows.
fn config_text(options: &SyntheticOptions) -> String {
    let SyntheticOptions { rows, scenarios, seed, vocabulary, sequence, clicks, .. } = options;
    let (click, entire_space) = if *clicks { ("click = \"click\"\n", "entire_space = \"esmm\"\n") } else { ("", "") };
    let list = |aware| {
        let names: Vec<String> =
            fields::FIELDS.iter().filter(|f| f.aware == aware).map(|f| format!("{:?}", f.name)).collect();
        names.join(", ")
    };
    let (aware, agnostic) = (list(true), list(false));
    let history = match sequence {
        0 => String::new(),
        _ => format!(
            "sequence = [{{ column = \"history\", separator = \"|\", vocabulary = \"item_id\", max_length = {sequence} }}]\n"
        ),
    };
    format!(
        r#"# {rows} synthetic rows of {scenarios} scenarios, {vocabulary} users and items, seed {seed}.

[data]
path = "data.parquet"
label = "label"
{click}scenario = "scenario"
aware = [{aware}]
agnostic = [{agnostic}]
{history}user = "user_id"
probability = "true_probability"
# The column `price` is a number: add it to `agnostic`, and `fields.price.kind = "numeric"`, to train on it.

[data.split]
by = "seed"
seed = 0
valid = 0.1
test = 0.1

[model]
name = "mi-dpg"
width = 16

[train]
epochs = 10
batch_size = 512
{entire_space}"#
    )
}

#[cfg(test)]
mod tests;
