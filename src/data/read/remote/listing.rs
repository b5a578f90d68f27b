//! From a key, a glob or a folder of a store to the objects that it names, by the rules of local paths.

use std::path::Path as FilePath;

use futures_util::{StreamExt, TryStreamExt, stream};
use glob::{MatchOptions, Pattern, PatternError};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::data::error::nearest;
use crate::data::read::inputs::{WILDCARDS, has_data_name, is_partition};

/// Folders that are listed at the same time.
const LISTINGS: usize = 32;

/// What a key turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// Objects, in order of name.
    Objects(Vec<ObjectMeta>),
    /// A folder without data files.
    NoData,
    /// A glob that no object matches.
    NoMatch,
    /// Nothing; a similar name there, if there is one.
    Nothing { near: Option<String> },
    /// A glob that is none.
    BadGlob(PatternError),
}

/// Looks for `key`: an object, else a glob, else a folder with its data files and those of folders called `COLUMN=VALUE`.
pub(super) async fn find(store: &dyn ObjectStore, key: &str) -> Result<Found, Error> {
    if !key.is_empty() && !key.ends_with('/') {
        match store.head(&Path::parse(key)?).await {
            Ok(meta) => return Ok(Found::Objects(vec![meta])),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let is_glob = key.contains(WILDCARDS);
    let (mut objects, is_folder) = if is_glob {
        match Glob::new(key) {
            Ok(glob) => {
                let folder = Path::parse(glob.folder())?;
                (walk(store, folder, &|object| glob.matches(object), &|folder| glob.leads_into(folder)).await?.0, false)
            }
            Err(error) => return Ok(Found::BadGlob(error)),
        }
    } else {
        let is_data = |object: &Path| has_data_name(FilePath::new(object.as_ref()));
        let is_partition = |folder: &Path| folder.filename().is_some_and(|name| is_partition(name.as_ref()));
        walk(store, Path::parse(key)?, &is_data, &is_partition).await?
    };
    // Part by part as paths are, not letter by letter: the order of local files.
    objects.sort_by(|a, b| FilePath::new(a.location.as_ref()).cmp(FilePath::new(b.location.as_ref())));
    Ok(match (objects.is_empty(), is_folder) {
        (false, _) => Found::Objects(objects),
        (true, _) if is_glob => Found::NoMatch,
        (true, true) => Found::NoData,
        (true, false) => Found::Nothing { near: near(store, key).await? },
    })
}

/// The objects that are wanted of a folder and of those below that are; and whether the folder has anything at all.
async fn walk(
    store: &dyn ObjectStore,
    folder: Path,
    wants: &(dyn Fn(&Path) -> bool + Sync),
    enters: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<(Vec<ObjectMeta>, bool), Error> {
    let (mut objects, mut has_any) = (Vec::new(), false);
    let mut level = vec![folder];
    while !level.is_empty() {
        let listings = level.iter().map(|folder| store.list_with_delimiter(Some(folder)));
        let listed: Vec<_> = stream::iter(listings).buffer_unordered(LISTINGS).try_collect().await?;
        level = Vec::new();
        for listing in listed {
            has_any |= !listing.objects.is_empty() || !listing.common_prefixes.is_empty();
            objects.extend(listing.objects.into_iter().filter(|object| wants(&object.location)));
            level.extend(listing.common_prefixes.into_iter().filter(|folder| enters(folder)));
        }
    }
    Ok((objects, has_any))
}

/// A name beside `key` that it may be a slip of.
async fn near(store: &dyn ObjectStore, key: &str) -> Result<Option<String>, Error> {
    let key = Path::parse(key)?;
    let (Some(name), Some((folder, _))) = (key.filename(), key.as_ref().rsplit_once('/').or(Some(("", "")))) else {
        return Ok(None);
    };
    let listed = store.list_with_delimiter(Some(&Path::parse(folder)?)).await?;
    let paths = listed.objects.iter().map(|object| &object.location).chain(&listed.common_prefixes);
    Ok(nearest(name, paths.filter_map(Path::filename)).map(str::to_owned))
}

/// A glob over keys.
struct Glob<'a> {
    text: &'a str,
    whole: Pattern,
    /// The same for each part between slashes.
    parts: Vec<Pattern>,
}

impl Glob<'_> {
    fn new(text: &str) -> Result<Glob<'_>, PatternError> {
        let parts = text.split('/').map(Pattern::new).collect::<Result<_, _>>()?;
        Ok(Glob { text, whole: Pattern::new(text)?, parts })
    }

    /// The deepest folder without wildcards.
    fn folder(&self) -> &str {
        let wild = self.text.find(WILDCARDS).unwrap_or(self.text.len());
        self.text[..wild].rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn matches(&self, object: &Path) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        self.whole.matches_with(object.as_ref(), options)
    }

    /// Whether there may be matches in a folder.
    fn leads_into(&self, folder: &Path) -> bool {
        let mut parts = self.parts.iter();
        for name in folder.as_ref().split('/') {
            match parts.next() {
                Some(part) if part.as_str() == "**" => return true,
                Some(part) if part.matches(name) => {}
                _ => return false,
            }
        }
        parts.len() > 0
    }
}
