//! Public data sets, from the files that their owners publish to rows that can be trained on.
//!
//! [`prepare`] reads one data set's raw files line by line, joins what belongs together and gives the rows out in
//! batches, so that a log never has to fit in memory; the tables that it is joined with do ([`dimension`]). Scenarios,
//! features and splits are those of the paper that uses the data set, or chosen, and come out as a run's configuration.
//! `docs/datasets.md` says what each file holds and what becomes of it.

mod ali_ccp;
mod aliexpress;
mod amazon;
mod arrays;
mod avazu;
mod config;
mod criteo;
mod dimension;
mod douban;
mod frappe;
mod iaac;
mod kuairand;
mod literal;
mod movielens;
mod order;
mod raw;
mod rows;
mod shares;
mod source;
mod taobao;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use arrow_array::RecordBatch;

use crate::data::error::{Error, Result};
use crate::data::schema::{Schema, Split, SplitName};
use crate::data::split::choice::by_seed;
use config::RunConfig;
use raw::Publication;
use rows::{Rows, Sink};
use source::Meter;

pub use rows::{Group, Groups};

/// A data set that [`prepare`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicData {
    /// Alibaba's click and conversion prediction: three pages of Taobao.
    AliCcp,
    /// AliExpress's search, by country.
    AliExpress,
    /// Reviews of electronics on Amazon, by category.
    Amazon,
    /// Ads on phones, of a contest by Avazu, by the position of the banner.
    Avazu,
    /// Display ads, of a contest by Criteo, without scenarios.
    Criteo,
    /// Ratings of books, films and music on Douban.
    Douban,
    /// The apps that people use, by time of day.
    Frappe,
    /// The sponsored search of IJCAI-18's contest, by category.
    Iaac,
    /// Recommendations of short videos by Kuaishou, by tab of the app.
    KuaiRand,
    /// MovieLens-1M and MovieLens-100K, by age.
    MovieLens,
    /// Alimama's display advertising on Taobao, by size of city.
    Taobao,
}

impl PublicData {
    fn publication(self) -> &'static Publication {
        match self {
            Self::AliCcp => &ali_ccp::PUBLICATION,
            Self::AliExpress => &aliexpress::PUBLICATION,
            Self::Amazon => &amazon::PUBLICATION,
            Self::Avazu => &avazu::PUBLICATION,
            Self::Criteo => &criteo::PUBLICATION,
            Self::Douban => &douban::PUBLICATION,
            Self::Frappe => &frappe::PUBLICATION,
            Self::Iaac => &iaac::PUBLICATION,
            Self::KuaiRand => &kuairand::PUBLICATION,
            Self::MovieLens => &movielens::PUBLICATION,
            Self::Taobao => &taobao::PUBLICATION,
        }
    }
}

/// What to prepare.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// The data set.
    pub data: PublicData,
    /// The folder with the owner's files.
    pub raw: PathBuf,
    /// A folder for temporary files, which are removed.
    pub scratch: PathBuf,
    /// Decides random splits.
    pub seed: u64,
}

/// What was prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// A run's configuration, for rows that lie beside it as `data.parquet`.
    pub config: String,
    /// Rows given out.
    pub rows: u64,
    /// These rows by scenario, and by split where each row says its own.
    pub groups: Groups,
    /// Rows read of each file, in order.
    pub read: Vec<(String, u64)>,
    /// Rows that were read and not given out, by reason.
    pub left_out: Vec<(&'static str, u64)>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// Reads a data set's raw files and gives its rows to `sink`. `progress` is called with the bytes read and the bytes to read.
///
/// # Errors
/// [`Error::RawFiles`] when files are missing, [`Error::RawLine`] for a line that is not as the owner publishes it, and
/// whatever `sink` fails with: [`Error::SinkClosed`] where the fault is not the data's.
pub fn prepare<'a>(
    options: &'a PrepareOptions,
    sink: &'a mut (dyn FnMut(&RecordBatch) -> Result<()> + 'a),
    progress: &'a mut (dyn FnMut(u64, u64) + 'a),
) -> Result<Prepared> {
    let meter = Meter::new(progress);
    let job = Job {
        raw: &options.raw,
        scratch: &options.scratch,
        seed: options.seed,
        meter,
        sink,
        read: Vec::new(),
        left_out: Vec::new(),
        notes: Vec::new(),
    };
    let prepared = match options.data {
        PublicData::AliCcp => ali_ccp::prepare(job),
        PublicData::AliExpress => aliexpress::prepare(job),
        PublicData::Amazon => amazon::prepare(job),
        PublicData::Avazu => avazu::prepare(job),
        PublicData::Criteo => criteo::prepare(job),
        PublicData::Douban => douban::prepare(job),
        PublicData::Frappe => frappe::prepare(job),
        PublicData::Iaac => iaac::prepare(job),
        PublicData::KuaiRand => kuairand::prepare(job),
        PublicData::MovieLens => movielens::prepare(job),
        PublicData::Taobao => taobao::prepare(job),
    };
    prepared.map_err(|error| options.data.publication().name_home(error))
}

/// The work on one data set.
struct Job<'a> {
    raw: &'a Path,
    scratch: &'a Path,
    seed: u64,
    meter: Rc<Meter<'a>>,
    sink: &'a mut Sink<'a>,
    read: Vec<(String, u64)>,
    left_out: Vec<(&'static str, u64)>,
    notes: Vec<String>,
}

impl Job<'_> {
    /// Notes that a file was read to its end.
    fn note_read(&mut self, path: &Path, rows: u64) {
        let name = path.strip_prefix(self.raw).unwrap_or(path).display().to_string();
        self.read.push((name, rows));
    }

    /// Counts a row that is not given out.
    fn leave_out(&mut self, reason: &'static str) {
        match self.left_out.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.left_out.push((reason, 1)),
        }
    }

    /// Notes keys that a table has more than once, of which the first row is taken.
    fn note_repeated(&mut self, path: &Path, count: u64) {
        if count > 0 {
            let rows = if count == 1 { "1 row has" } else { &format!("{count} rows have") };
            self.notes.push(format!("{}: {rows} the key of an earlier one, which was taken", path.display()));
        }
    }

    /// The split of a row of files that are either for training or for testing: of the former, a tenth is valid at random.
    fn split(&self, test: bool, row: u64) -> SplitName {
        match test {
            true => SplitName::Test,
            false => SplitName::ALL[usize::from(by_seed(self.seed, 0.1, 0.0, row))],
        }
    }

    /// That there are rows to learn from, to stop by and to report on.
    fn whole(&self, rows: &Rows) -> Result<()> {
        let missing: Vec<&str> =
            SplitName::ALL.into_iter().filter(|split| !rows.has(*split)).map(SplitName::name).collect();
        match (missing.len(), self.read.iter().all(|(_, rows)| *rows == 0)) {
            (0, _) | (_, true) => Ok(()),
            _ => Err(Error::RawFiles(format!(
                "{}: of all rows none is for {}: the files are cut off or not all there; download them again",
                self.raw.display(),
                missing.join(" or ")
            ))),
        }
    }

    /// Gives out the last rows and says what there was in all.
    fn finish(self, rows: Rows, config: &RunConfig) -> Result<Prepared> {
        let (count, groups) = rows.finish(self.sink)?;
        let Self { raw, read, left_out, notes, .. } = self;
        if count == 0 {
            let why: Vec<String> = left_out.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
            let why = if why.is_empty() { "the files have none".to_owned() } else { why.join("; ") };
            return Err(Error::RawFiles(format!("{}: no row is left to train on ({why})", raw.display())));
        }
        Ok(Prepared { config: config.text()?, rows: count, groups, read, left_out, notes })
    }
}

/// The split that a column `split` says by its names.
fn own_split() -> Split {
    let [train, valid, test] = SplitName::ALL.map(|split| split.name().to_owned());
    Split::Column { column: "split".to_owned(), train, valid, test }
}

/// The schema that all data sets begin with: label and scenario in columns of these names.
fn schema(aware: &[&str], agnostic: &[&str]) -> Schema {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Schema { aware: owned(aware), agnostic: owned(agnostic), ..Schema::default() }
}
