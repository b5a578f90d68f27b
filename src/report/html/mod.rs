//! Reports: one page of pictures for a run, or for a comparison of runs, made from the files of its folder alone.
//!
//! A page needs nothing but itself: no network, no other file, no script. The same files give the same bytes.

mod comparison;
mod importance;
mod page;
mod probes;
mod read;
mod run;
mod sweep;
mod trials;

use std::path::{Path, PathBuf};

use crate::train::Error;
use crate::train::run::folder::write_text;

/// What a comparison's folder holds and no run's does: a line of JSON for each run that is over.
const CELLS: &str = "cells.jsonl";
/// The page's name in its folder.
pub const REPORT: &str = "report.html";

/// The page of a folder, whatever it holds.
///
/// # Errors
/// When it holds neither a run nor a comparison, or a comparison's cells cannot be read.
pub fn report(folder: &Path) -> Result<String, Error> {
    if folder.join(CELLS).is_file() {
        return comparison_report(folder);
    }
    if ["result.json", "metrics.jsonl"].iter().any(|name| folder.join(name).is_file()) {
        return Ok(run_report(folder));
    }
    let what = if folder.is_dir() { "holds neither a run nor a comparison" } else { "is not a folder" };
    let reason = format!("{what}; give the folder that `train` or a comparison wrote, such as runs/NAME");
    Err(Error::Folder { folder: folder.to_owned(), reason })
}

/// The page of a run's folder. What the folder does not hold is left out of it, and said to be.
pub fn run_report(folder: &Path) -> String {
    run::page(folder).into_string()
}

/// The page of a comparison's folder.
///
/// # Errors
/// When `cells.jsonl` cannot be read, or holds no cell.
pub fn comparison_report(folder: &Path) -> Result<String, Error> {
    Ok(comparison::page(folder)?.into_string())
}

/// Writes [`report`] into the folder itself; returns the file.
///
/// # Errors
/// As [`report`], and when the file cannot be written.
pub fn write_report(folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(REPORT);
    write_text(&path, &report(folder)?)?;
    Ok(path)
}

#[cfg(test)]
mod tests;
