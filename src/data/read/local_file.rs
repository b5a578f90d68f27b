//! A file as it is opened, and as it is called.

use std::path::Path;
use std::sync::Arc;

/// A file of this machine. Of an object from a store it is the copy, and messages name the URL.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    /// What messages call it.
    pub(crate) name: Arc<Path>,
    /// Where it is.
    pub(crate) file: Arc<Path>,
}
