//! What stands for object stores in a program that was built without them.

use std::path::PathBuf;

use super::KINDS;
use crate::data::error::{Error, Result};

/// An object of a store, of which there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {}

impl Object {
    pub(crate) fn name(&self) -> PathBuf {
        match *self {}
    }

    pub(crate) fn key(&self) -> &str {
        match *self {}
    }

    pub(crate) fn bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn version(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) fn starts_as_parquet(&self) -> Result<bool> {
        match *self {}
    }

    pub(crate) fn start(&self) -> Result<()> {
        match *self {}
    }

    pub(crate) fn copy(&self, _: &mut dyn FnMut(u64)) -> Result<PathBuf> {
        match *self {}
    }
}

/// The objects that a URL names.
///
/// # Errors
/// Always: this program cannot read them.
pub(crate) fn objects(url: &str) -> Result<Vec<Object>> {
    Err(Error::Schema(format!(
        "data.path: \"{url}\" is not on this machine, and this program was built without object stores ({KINDS}); build it \
         with them: cargo install --path . --features object-store; or copy the data here"
    )))
}
