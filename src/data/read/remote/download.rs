//! Copying an object to a file: several ranges at a time, each going on from where its connection broke.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::{Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bytes of one request.
pub(super) const RANGE: u64 = 8 << 20;
/// Requests at the same time, of all objects together.
pub(super) const REQUESTS: usize = 8;
/// How often in a row nothing may arrive of a range before it is given up. The store repeats requests by itself, too.
const ATTEMPTS: u32 = 5;

/// Why there is no copy.
#[derive(Debug)]
pub(super) enum Failure {
    Store(StoreError),
    /// It is no longer the object that was found.
    Changed,
    /// The server ended an answer before its end.
    Short {
        wanted: u64,
        got: u64,
    },
    /// The copy cannot be written.
    Disk(io::Error),
    /// The task that copied came to an end.
    Task(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Precondition { .. } => Self::Changed,
            error => Self::Store(error),
        }
    }
}

impl Failure {
    /// Whether it would be the same the next time.
    fn is_final(&self) -> bool {
        match self {
            Self::Store(error) => matches!(
                error,
                StoreError::NotFound { .. }
                    | StoreError::PermissionDenied { .. }
                    | StoreError::Unauthenticated { .. }
                    | StoreError::NotSupported { .. }
            ),
            Self::Changed | Self::Disk(_) | Self::Task(_) => true,
            Self::Short { .. } => false,
        }
    }
}

/// One object on its way to a file.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The object as it was found; what arrives must be of this one.
    pub(super) meta: ObjectMeta,
    /// Whether the server may send all where a range was asked for, as some web servers do.
    pub(super) may_lack_ranges: bool,
    pub(super) permits: Arc<Semaphore>,
    /// Bytes that have arrived.
    pub(super) arrived: Arc<AtomicU64>,
}

impl Download {
    /// Writes the whole object to a new file.
    pub(super) async fn run(self, path: Arc<FilePath>) -> Result<(), Failure> {
        let size = self.meta.size;
        File::create(&path).and_then(|file| file.set_len(size)).map_err(Failure::Disk)?;
        let download = Arc::new(self);
        if download.may_lack_ranges && download.lacks_ranges().await? {
            return download.all(&path).await;
        }
        let mut ranges = JoinSet::new();
        let mut start = 0;
        while start < size {
            let end = size.min(start + RANGE);
            let (download, path) = (Arc::clone(&download), Arc::clone(&path));
            ranges.spawn(async move { download.range(&path, start, end).await });
            start = end;
        }
        // On an error the other ranges end with the set.
        while let Some(range) = ranges.join_next().await {
            range.map_err(|error| Failure::Task(error.to_string()))??;
        }
        Ok(())
    }

    /// Whether the server has answers for whole objects only.
    async fn lacks_ranges(&self) -> Result<bool, Failure> {
        match self.store.get_opts(&self.meta.location, self.options(Some(0..1))).await {
            Ok(_) => Ok(false),
            Err(StoreError::NotSupported { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn range(&self, path: &FilePath, start: u64, end: u64) -> Result<(), Failure> {
        let mut file = File::options().write(true).open(path).map_err(Failure::Disk)?;
        let (mut at, mut failures) = (start, 0);
        while at < end {
            let before = at;
            let Err(failure) = self.part(&mut file, &mut at, Some(end)).await else { continue };
            failures = if at > before { 1 } else { failures + 1 };
            give_up_or_wait(failure, failures).await?;
        }
        Ok(())
    }

    /// By one request. What breaks begins again, as there is no other way.
    async fn all(&self, path: &FilePath) -> Result<(), Failure> {
        let mut file = File::options().write(true).open(path).map_err(Failure::Disk)?;
        let mut failures = 0;
        loop {
            let mut at = 0;
            let Err(failure) = self.part(&mut file, &mut at, None).await else { return Ok(()) };
            self.arrived.fetch_sub(at, Ordering::Relaxed);
            failures += 1;
            give_up_or_wait(failure, failures).await?;
        }
    }

    /// Asks for the bytes from `at` to `end`, or for all of them, and writes what arrives; `at` moves on.
    async fn part(&self, file: &mut File, at: &mut u64, end: Option<u64>) -> Result<(), Failure> {
        let _permit = self.permits.acquire().await.map_err(|error| Failure::Task(error.to_string()))?;
        let options = self.options(end.map(|end| *at..end));
        let end = end.unwrap_or(self.meta.size);
        let answer = self.store.get_opts(&self.meta.location, options).await?;
        if !is_same(&answer.meta, &self.meta) {
            return Err(Failure::Changed);
        }
        let wanted = end - *at;
        let mut got = 0;
        let mut bytes = answer.into_stream();
        file.seek(SeekFrom::Start(*at)).map_err(Failure::Disk)?;
        while let Some(bytes) = bytes.next().await {
            let bytes = bytes?;
            got += bytes.len() as u64;
            if got > wanted {
                return Err(Failure::Changed);
            }
            file.write_all(&bytes).map_err(Failure::Disk)?;
            *at += bytes.len() as u64;
            self.arrived.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        if got < wanted { Err(Failure::Short { wanted, got }) } else { Ok(()) }
    }

    fn options(&self, range: Option<std::ops::Range<u64>>) -> GetOptions {
        // A weak one never matches, by the rules of HTTP.
        let tag = self.meta.e_tag.as_ref().filter(|tag| !tag.starts_with("W/"));
        let if_match = tag.map(|tag| format!("\"{}\"", tag.trim_matches('"')));
        GetOptions { if_match, range: range.map(GetRange::Bounded), ..GetOptions::default() }
    }
}

async fn give_up_or_wait(failure: Failure, failures: u32) -> Result<(), Failure> {
    if failure.is_final() || failures >= ATTEMPTS {
        return Err(failure);
    }
    tokio::time::sleep(Duration::from_millis(100 << failures)).await;
    Ok(())
}

/// Whether two answers are about the same bytes, as well as they tell.
fn is_same(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    let tags = match (tag(a), tag(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.last_modified == b.last_modified,
    };
    tags && a.size == b.size
}

/// An object's tag. Listings and answers of a store differ in quotes.
pub(super) fn tag(meta: &ObjectMeta) -> Option<&str> {
    meta.e_tag.as_deref().map(|tag| tag.trim_matches('"'))
}
