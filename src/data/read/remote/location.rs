//! The parts of a URL.

use super::{KINDS, scheme};
use crate::data::error::{Error, Result};
use crate::data::read::inputs::WILDCARDS;

/// Who keeps an object, hence how it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Aws,
    Google,
    Azure,
    Web,
}

/// A URL in parts. It is taken as text, so that `*`, `?` and `[` in it can be wildcards as in local paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) provider: Provider,
    /// Scheme and bucket, container or host: `s3://bucket`.
    pub(super) origin: String,
    /// Of the origin what follows the scheme.
    pub(super) host: String,
    /// What follows the origin, without the slash between.
    pub(super) key: String,
    /// What follows a `?` in the URL of a web server; may hold a signature, so no message shows it.
    pub(super) query: Option<String>,
}

impl Location {
    pub(super) fn parse(url: &str) -> Result<Location> {
        let refused = |what: String| Err(Error::Schema(format!("data.path: \"{url}\" {what}")));
        let name = scheme(url).unwrap_or_default();
        let provider = match name.to_ascii_lowercase().as_str() {
            "s3" | "s3a" => Provider::Aws,
            "gs" => Provider::Google,
            "az" | "azure" | "abfs" | "abfss" => Provider::Azure,
            "http" | "https" => Provider::Web,
            _ => return refused(format!("is of a kind that cannot be read; {KINDS} can, and files of this machine")),
        };
        let rest = url.get(name.len() + "://".len()..).unwrap_or_default();
        let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return refused("names no bucket or host; write it as SCHEME://BUCKET/KEY".to_owned());
        }
        if host.contains(WILDCARDS) {
            return refused("has a wildcard in the name of the bucket or host; name one".to_owned());
        }
        let (key, query) = match key.split_once('?') {
            Some((key, query)) if provider == Provider::Web => (key, Some(query.to_owned())),
            _ => (key, None),
        };
        if provider == Provider::Web {
            if host.contains('@') {
                return refused(
                    "has a user or password in it, which a run's folder would keep; take them out".to_owned(),
                );
            }
            if key.contains(WILDCARDS) {
                return refused("is a glob, and web servers do not list what they have; name one file".to_owned());
            }
            if key.is_empty() || key.ends_with('/') {
                return refused("is a folder, and web servers do not list what they have; name one file".to_owned());
            }
        }
        let origin = format!("{name}://{host}");
        Ok(Location { provider, origin, host: host.to_owned(), key: key.to_owned(), query })
    }
}
