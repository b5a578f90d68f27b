//! Data that is not on this machine: URLs of object stores and web servers, the objects that they name, and their copies here.
//!
//! Only with the feature `object-store`; without it a URL is an error that says so. Nothing of this is asynchronous from
//! outside: a `Session` has threads of its own on which objects are downloaded.

#[cfg(not(feature = "object-store"))]
mod absent;
#[cfg(feature = "object-store")]
mod copies;
#[cfg(feature = "object-store")]
mod download;
#[cfg(feature = "object-store")]
mod listing;
#[cfg(feature = "object-store")]
mod location;
#[cfg(feature = "object-store")]
mod session;
#[cfg(feature = "object-store")]
mod store;
#[cfg(all(test, feature = "object-store"))]
mod tests;

#[cfg(not(feature = "object-store"))]
pub(crate) use absent::{Object, objects};
#[cfg(feature = "object-store")]
pub(crate) use session::{Object, objects};

/// The kinds of URLs that can be read, for messages.
const KINDS: &str = "s3://, gs://, az://, http:// and https://";

/// What stands before `://`, if a path is a URL.
fn scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once("://")?;
    let is_scheme =
        scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some(scheme)
}

/// Whether `data.path` is a URL, and no file or folder of this machine.
#[must_use]
pub fn is_url(path: &str) -> bool {
    scheme(path).is_some()
}
