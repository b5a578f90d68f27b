//! A public data set made ready to train on.

use std::path::{Path, PathBuf};

use super::table_file::write_rows;
use super::{Event, FileKind, Observer};
use crate::data::{self, PrepareOptions, Prepared, PublicData};
use crate::train::Error;
use crate::train::run::folder::{remove_unfinished, write_text};

/// Reads a data set's files as their owner publishes them from `raw`, and writes `data.parquet` and `config.toml` to `out`.
/// `seed` is that of random splits. What was read, left out and written, and the configuration's path.
///
/// # Errors
/// When the files cannot be read, or others not written.
pub fn prepare(
    data: PublicData,
    raw: &Path,
    out: &Path,
    seed: u64,
    observer: &mut Observer<'_>,
) -> Result<(Prepared, PathBuf), Error> {
    std::fs::create_dir_all(out).map_err(Error::file(out, "making the folder"))?;
    let (path, config) = (out.join("data.parquet"), out.join("config.toml"));
    let options = PrepareOptions { data, raw: raw.to_owned(), scratch: out.to_owned(), seed };
    remove_unfinished(out, std::slice::from_ref(&path));
    observer(Event::Counting { what: "preparing", total: 0 });
    let prepared = write_rows(&path, FileKind::Parquet, |writer| {
        let mut unwritten = None;
        let prepared = data::prepare(
            &options,
            &mut |batch| {
                writer.write(batch).map_err(|error| {
                    unwritten = Some(error);
                    data::Error::SinkClosed
                })
            },
            &mut |done, total| observer(Event::Counted { done, total }),
        );
        unwritten.map_or(prepared.map_err(Error::from), Err)
    });
    observer(Event::CountingEnded);
    let prepared = prepared?;
    write_text(&config, &prepared.config)?;
    Ok((prepared, config))
}
