//! Stores in memory: what a URL finds, and what becomes of it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

use super::download::RANGE;
use super::location::{Location, Provider};
use super::session::{Object, Session};
use crate::data::error::Result;

/// A store with objects, and a folder for their copies.
struct Fixture {
    store: Arc<InMemory>,
    dir: TempDir,
}

impl Fixture {
    fn new(keys: &[&str]) -> Fixture {
        let fixture = Fixture { store: Arc::new(InMemory::new()), dir: tempfile::tempdir().unwrap() };
        keys.iter().for_each(|key| fixture.put(key, b"x"));
        fixture
    }

    fn put(&self, key: &str, content: &[u8]) {
        let key = Path::parse(key).unwrap();
        let put = self.store.put(&key, content.to_vec().into());
        pollster::block_on(put).unwrap();
    }

    fn find(&self, url: &str) -> Result<Vec<Object>> {
        let store = Arc::clone(&self.store) as Arc<dyn ObjectStore>;
        Session::new(Location::parse(url)?, store, vec![self.dir.path().to_owned()])?.objects(url)
    }

    fn keys(&self, url: &str) -> Vec<String> {
        self.find(url).unwrap().iter().map(|object| object.key().to_owned()).collect()
    }

    fn error(&self, url: &str) -> String {
        self.find(url).unwrap_err().to_string()
    }
}

const LOG: [&str; 9] = [
    "log/day=2/hour=1/c.parquet",
    "log/day=1/b.csv.gz",
    "log/day=1/a.tsv",
    "log/day=1/notes.md",
    "log/other/d.csv",
    "log/z.csv",
    "log/a-b/e.csv",
    "logs.csv",
    "odd/part-[1].csv",
];

#[test]
fn keys_globs_and_folders_find_what_they_would_of_local_files() {
    let fixture = Fixture::new(&LOG);
    assert_eq!(fixture.keys("s3://bucket/logs.csv"), ["logs.csv"]);
    let folder = ["log/day=1/a.tsv", "log/day=1/b.csv.gz", "log/day=2/hour=1/c.parquet", "log/z.csv"];
    assert_eq!(fixture.keys("s3://bucket/log"), folder);
    assert_eq!(fixture.keys("gs://bucket/log/"), folder);
    assert_eq!(fixture.keys("az://bucket"), ["logs.csv"]);
    assert_eq!(fixture.keys("s3://bucket/log/day=*/*.csv*"), ["log/day=1/b.csv.gz"]);
    assert_eq!(fixture.keys("s3://bucket/log/*"), ["log/z.csv"]);
    assert_eq!(fixture.keys("s3://bucket/*/*/[a-d].*"), ["log/day=1/a.tsv", "log/day=1/b.csv.gz", "log/other/d.csv"]);
    assert_eq!(fixture.keys("s3://bucket/log/**/?.parquet"), ["log/day=2/hour=1/c.parquet"]);
    // An object is itself, whatever its name would mean as a glob.
    assert_eq!(fixture.keys("s3://bucket/odd/part-[1].csv"), ["odd/part-[1].csv"]);
    let found = fixture.find("s3://bucket/log/z.csv").unwrap();
    assert_eq!((found[0].name(), found[0].bytes()), (PathBuf::from("s3://bucket/log/z.csv"), 1));
}

#[test]
fn the_same_names_come_in_the_same_order_as_on_a_disk() {
    let names = ["a/x=1/b.csv", "a/x=1-2/a.csv", "a/x=1/a/b.csv", "a/x=10/a.csv", "a/b.csv"];
    let fixture = Fixture::new(&names);
    let disk = tempfile::tempdir().unwrap();
    for name in names {
        let path = disk.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    for pattern in ["a", "a/*/*.csv"] {
        let local = disk.path().join(pattern).to_str().unwrap().to_owned();
        let local = crate::data::Inputs::find(&local, crate::data::Format::Auto, None, &[]).unwrap();
        let local: Vec<_> = local.paths().map(|path| path.strip_prefix(disk.path()).unwrap().to_owned()).collect();
        let remote: Vec<_> = fixture.keys(&format!("s3://b/{pattern}")).into_iter().map(PathBuf::from).collect();
        assert_eq!(remote, local);
        assert!(remote.len() > 2);
    }
}

#[test]
fn what_is_not_there_is_told_with_what_may_be_meant() {
    let fixture = Fixture::new(&LOG);
    let error = fixture.error("s3://bucket/log/x.csv");
    assert_eq!(error, "s3://bucket/log/x.csv: nothing there has this name; did you mean \"z.csv\"?");
    let error = fixture.error("s3://bucket/log/day=1/*.parquet");
    assert!(error.starts_with("s3://bucket/log/day=1/*.parquet: no object matches"), "{error}");
    let error = fixture.error("s3://bucket/odd/../x");
    assert!(error.contains("s3://bucket/odd/../x: cannot be read"), "{error}");
    fixture.put("empty/notes.md", b"x");
    assert!(fixture.error("s3://bucket/empty").contains("the folder has no .parquet, .csv or .tsv file"));
    assert!(fixture.error("s3://bucket/log/[").contains("is no valid glob"), "{}", fixture.error("s3://bucket/log/["));
}

#[test]
fn urls_that_cannot_be_read_say_why() {
    let error = |url: &str| Location::parse(url).unwrap_err().to_string();
    assert!(
        error("ftp://host/x.csv").contains("is of a kind that cannot be read; s3://"),
        "{}",
        error("ftp://host/x.csv")
    );
    assert!(error("s3:///x.csv").contains("names no bucket"));
    assert!(error("s3://buck*/x.csv").contains("wildcard in the name of the bucket"));
    assert!(error("https://host/part-*.csv").contains("is a glob, and web servers"));
    assert!(error("https://host/folder/").contains("is a folder, and web servers"));
    assert!(error("https://me:secret@host/x.csv").contains("has a user or password"));
    let location = Location::parse("https://host/a/b.csv?signature=1").unwrap();
    assert_eq!((location.provider, &*location.origin, &*location.key), (Provider::Web, "https://host", "a/b.csv"));
    assert_eq!(location.query.as_deref(), Some("signature=1"));
    assert_eq!(Location::parse("S3://b/a?b").unwrap().key, "a?b");
}

#[test]
fn a_copy_is_the_object_and_goes_with_the_last_who_has_it() {
    let fixture = Fixture::new(&[]);
    let content: Vec<u8> = (0..RANGE as u32 / 3).flat_map(|k| k.to_le_bytes()).collect();
    assert!(content.len() as u64 > RANGE);
    fixture.put("a.csv", &content);
    fixture.put("b.csv", b"PAR1");
    let objects = fixture.find("s3://bucket").unwrap();
    let path = objects[0].copy(&mut |_| ()).unwrap();
    assert!(fs::read(&path).unwrap() == content);
    assert_eq!(objects[0].clone().copy(&mut |_| ()).unwrap(), path, "it is there already");
    assert!(objects[1].starts_as_parquet().unwrap() && !objects[0].starts_as_parquet().unwrap());
    assert!(objects[0].version().is_some() && objects[0].version() != objects[1].version());
    let clone = objects[0].clone();
    drop(objects);
    assert!(path.is_file());
    drop(clone);
    assert!(!path.exists() && !path.parent().unwrap().exists());
}

#[test]
fn an_object_that_was_replaced_is_an_error() {
    let fixture = Fixture::new(&[]);
    fixture.put("a.csv", b"one");
    let objects = fixture.find("s3://bucket/a.csv").unwrap();
    fixture.put("a.csv", b"two");
    let error = objects[0].copy(&mut |_| ()).unwrap_err().to_string();
    assert!(error.starts_with("s3://bucket/a.csv: the object was replaced while it was read"), "{error}");
    pollster::block_on(fixture.store.delete(&Path::from("a.csv"))).unwrap();
    let error = objects[0].copy(&mut |_| ()).unwrap_err().to_string();
    assert_eq!(error, "s3://bucket/a.csv: there is no such object");
}

#[test]
fn a_copy_that_cannot_be_written_says_so() {
    let fixture = Fixture::new(&["a.csv"]);
    let file = fixture.dir.path().join("file");
    fs::write(&file, "").unwrap();
    let store = Arc::clone(&fixture.store) as Arc<dyn ObjectStore>;
    let session = Session::new(Location::parse("s3://bucket/a.csv").unwrap(), store, vec![file]).unwrap();
    let error = session.objects("s3://bucket/a.csv").unwrap()[0].copy(&mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("s3://bucket/a.csv: the copy that it is read from cannot be written"), "{error}");
}
