//! Objects that were found, and their copies on this machine.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::copies::Copies;
use super::download::{Download, Failure, REQUESTS, tag};
use super::listing::{self, Found};
use super::location::{Location, Provider};
use super::store::{self, CHANGED, explained};
use crate::data::encoded::cache;
use crate::data::error::{Error, Result, suggestion};
use crate::data::read::inputs::starts_as_parquet;

/// Threads that wait for servers and write what arrives.
const THREADS: usize = 2;

/// The objects that a URL names, in order of name.
///
/// # Errors
/// When there are none, the store cannot be reached, or does not let us.
pub(crate) fn objects(url: &str) -> Result<Vec<Object>> {
    let location = Location::parse(url)?;
    let store = store::open(&location).map_err(|error| failed(&location, url, &error))?;
    let session = Session::new(location, store, copies_folders())?;
    session.objects(url)
}

/// Where copies are kept: the user's cache folder, else the system's temporary one.
fn copies_folders() -> Vec<PathBuf> {
    cache::user_folder().into_iter().chain([std::env::temp_dir().join("polyscene")]).map(|f| f.join("copies")).collect()
}

fn failed(location: &Location, name: &str, error: &StoreError) -> Error {
    Error::Remote { url: shown(name).to_owned(), what: explained(error, location) }
}

/// A URL without what may be a signature.
fn shown(url: &str) -> &str {
    let is_web = Location::parse(url).is_ok_and(|location| location.provider == Provider::Web);
    url.split_once('?').filter(|_| is_web).map_or(url, |(url, _)| url)
}

/// A store, the threads that speak to it, and the folder of what they brought. It ends with the last of its objects.
pub(super) struct Session {
    location: Location,
    store: Arc<dyn ObjectStore>,
    permits: Arc<Semaphore>,
    /// Always there; taken at the end.
    runtime: Option<Runtime>,
    roots: Vec<PathBuf>,
    /// Made for the first copy.
    copies: Mutex<Option<Copies>>,
}

impl Session {
    pub(super) fn new(location: Location, store: Arc<dyn ObjectStore>, roots: Vec<PathBuf>) -> Result<Arc<Session>> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("object-store").enable_all().build();
        let runtime = runtime.map_err(|error| Error::Remote {
            url: location.origin.clone(),
            what: format!("no thread can be started to read it: {error}"),
        })?;
        let permits = Arc::new(Semaphore::new(REQUESTS));
        Ok(Arc::new(Session { location, store, permits, runtime: Some(runtime), roots, copies: Mutex::new(None) }))
    }

    /// Waits for what is asynchronous.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let runtime =
            self.runtime.as_ref().ok_or_else(|| self.error(&self.location.origin, "was closed".to_owned()))?;
        Ok(runtime.block_on(future))
    }

    fn error(&self, name: &str, what: String) -> Error {
        Error::Remote { url: name.to_owned(), what }
    }

    /// The objects that `url` names.
    pub(super) fn objects(self: &Arc<Self>, url: &str) -> Result<Vec<Object>> {
        let Location { provider, origin, key, .. } = &self.location;
        let name = shown(url);
        let failed = |error: StoreError| failed(&self.location, name, &error);
        if *provider == Provider::Web {
            let meta = self.wait(web_file(&*self.store, key))?.map_err(failed)?;
            return Ok(vec![Object::new(self, meta, name.to_owned())]);
        }
        let what = match self.wait(listing::find(&*self.store, key))?.map_err(failed)? {
            Found::Objects(found) => {
                let object = |meta: ObjectMeta| {
                    let name = format!("{origin}/{}", meta.location);
                    Object::new(self, meta, name)
                };
                return Ok(found.into_iter().map(object).collect());
            }
            Found::NoData => "the folder has no .parquet, .csv or .tsv file".to_owned(),
            Found::NoMatch => "no object matches; a folder's are those of FOLDER/*".to_owned(),
            Found::Nothing { near } => format!("nothing there has this name{}", suggestion(near.as_deref())),
            Found::BadGlob(error) => {
                return Err(Error::Schema(format!("data.path \"{url}\" is no valid glob: {error}")));
            }
        };
        Err(self.error(name, what))
    }

    /// Begins to download an object.
    fn download(&self, object: &Inner) -> Result<Running> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = |error| self.error(&object.name, no_copy(&error));
        let folder = match &mut *copies {
            Some(copies) => copies.path(),
            none => none.insert(Copies::new(&self.roots).map_err(disk)?).path(),
        };
        let file = tempfile::Builder::new().prefix("object-").tempfile_in(folder).and_then(|file| Ok(file.keep()?.1));
        let path: Arc<FilePath> = file.map_err(disk)?.into();
        object.arrived.store(0, Ordering::Relaxed);
        let download = Download {
            store: Arc::clone(&self.store),
            meta: object.meta.clone(),
            may_lack_ranges: self.location.provider == Provider::Web,
            permits: Arc::clone(&self.permits),
            arrived: Arc::clone(&object.arrived),
        };
        let runtime = self.runtime.as_ref().ok_or_else(|| self.error(&object.name, "was closed".to_owned()))?;
        Ok(Running { task: runtime.spawn(download.run(Arc::clone(&path))), path })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Nothing is written to the folder any more when it goes.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("origin", &self.location.origin).finish_non_exhaustive()
    }
}

/// What a web server says of a file. Some URLs are signed for reading alone, not for asking about: then its first byte is read.
async fn web_file(store: &dyn ObjectStore, key: &str) -> Result<ObjectMeta, StoreError> {
    let path = Path::from_url_path(key)?;
    match store.head(&path).await {
        Ok(meta) => Ok(meta),
        Err(error @ StoreError::NotFound { .. }) => Err(error),
        Err(error) => {
            let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
            store.get_opts(&path, options).await.map(|answer| answer.meta).map_err(|_| error)
        }
    }
}

fn no_copy(error: &std::io::Error) -> String {
    format!(
        "the copy that it is read from cannot be written ({error}); make room, or set XDG_CACHE_HOME or TMPDIR to a folder on \
         another disk"
    )
}

/// An object that was found. Clones share its copy.
#[derive(Clone)]
pub(crate) struct Object(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    meta: ObjectMeta,
    name: String,
    arrived: Arc<AtomicU64>,
    state: Mutex<State>,
}

enum State {
    Away,
    Coming(Running),
    Here(PathBuf),
}

struct Running {
    task: JoinHandle<Result<(), Failure>>,
    path: Arc<FilePath>,
}

impl Object {
    fn new(session: &Arc<Session>, meta: ObjectMeta, name: String) -> Object {
        let (session, arrived, state) = (Arc::clone(session), Arc::default(), Mutex::new(State::Away));
        Object(Arc::new(Inner { session, meta, name, arrived, state }))
    }

    /// Its URL, without a signature; what messages call it.
    pub(crate) fn name(&self) -> PathBuf {
        PathBuf::from(&self.0.name)
    }

    /// Its name within the bucket.
    pub(crate) fn key(&self) -> &str {
        self.0.meta.location.as_ref()
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.meta.size
    }

    /// What changes with its content, without reading it; `None` where the store says nothing of the kind.
    pub(crate) fn version(&self) -> Option<String> {
        let meta = &self.0.meta;
        let modified = Some(meta.last_modified.timestamp_millis()).filter(|time| *time != 0);
        tag(meta).map(str::to_owned).or_else(|| modified.map(|time| time.to_string()))
    }

    /// Whether its first bytes are those of a Parquet file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn starts_as_parquet(&self) -> Result<bool> {
        let Inner { session, meta, name, .. } = &*self.0;
        if meta.size < 4 {
            return Ok(false);
        }
        match session.wait(session.store.get_range(&meta.location, 0..4))? {
            Ok(magic) => Ok(*magic == *b"PAR1"),
            // A web server may send nothing but the whole.
            Err(StoreError::NotSupported { .. }) => starts_as_parquet(&self.copy(&mut |_| ())?),
            Err(error) => Err(failed(&session.location, name, &error)),
        }
    }

    /// Begins to download it, if nobody has yet.
    ///
    /// # Errors
    /// When there is no folder for its copy.
    pub(crate) fn start(&self) -> Result<()> {
        let mut state = self.state();
        if matches!(*state, State::Away) {
            *state = State::Coming(self.0.session.download(&self.0)?);
        }
        Ok(())
    }

    /// The file with its copy, when that is complete; until then `progress` is called with the bytes that have arrived.
    ///
    /// # Errors
    /// When it cannot be downloaded, or is not what it was when it was found.
    pub(crate) fn copy(&self, progress: &mut dyn FnMut(u64)) -> Result<PathBuf> {
        self.start()?;
        let Inner { session, name, arrived, .. } = &*self.0;
        let mut state = self.state();
        let (ended, path) = match &mut *state {
            State::Here(path) => return Ok(path.clone()),
            State::Away => return Err(session.error(name, "was not begun".to_owned())),
            State::Coming(running) => {
                let ended = session.wait(async {
                    loop {
                        match tokio::time::timeout(Duration::from_millis(100), &mut running.task).await {
                            Ok(ended) => break ended,
                            Err(_) => progress(arrived.load(Ordering::Relaxed)),
                        }
                    }
                })?;
                (ended, running.path.to_path_buf())
            }
        };
        let what = match ended.unwrap_or_else(|error| Err(Failure::Task(error.to_string()))) {
            Ok(()) => {
                *state = State::Here(path.clone());
                return Ok(path);
            }
            Err(Failure::Store(error)) => explained(&error, &session.location),
            Err(Failure::Changed) => CHANGED.to_owned(),
            Err(Failure::Short { wanted, got }) => {
                format!("the server sent {got} of {wanted} bytes, time and again; try again later")
            }
            Err(Failure::Disk(error)) => no_copy(&error),
            Err(Failure::Task(error)) => format!("the download came to an end: {error}"),
        };
        *state = State::Away;
        Err(session.error(name, what))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(&self.0.name).finish()
    }
}

/// The same object of the same opening.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Object {}
