//! When the cache is used, when it is not, and what happens when it is damaged.

use super::*;

fn read(cache: &Cache) -> bool {
    matches!(cache, Cache::Read(_))
}

fn folders(fixture: &Fixture) -> Vec<PathBuf> {
    fs::read_dir(fixture.root()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_second_opening_reads_the_cache_and_gives_the_same() {
    let fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    let first = fixture.open().unwrap();
    let second = fixture.open().unwrap();
    let folder = folders(&fixture).pop().unwrap();
    assert_eq!((first.cache, second.cache), (Cache::Written(folder.clone()), Cache::Read(folder)));
    assert_eq!(first.train.ids(), second.train.ids());
    assert_eq!((first.test.ids(), first.test.labels()), (second.test.ids(), second.test.labels()));
    assert_eq!((first.encoder.fields(), first.encoder.schema()), (second.encoder.fields(), second.encoder.schema()));
    assert_eq!(folders(&fixture).len(), 1, "nothing half-written is left");
}

#[test]
fn the_key_follows_content_and_schema_and_not_places() {
    let mut fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    fixture.open().unwrap();
    fs::rename(fixture.path().join("six.csv"), fixture.path().join("moved.csv")).unwrap();
    fixture.schema.path = "moved.csv".to_owned();
    assert!(read(&fixture.open().unwrap().cache));
    fixture.schema.min_count = 2;
    assert!(!read(&fixture.open().unwrap().cache));
    fixture.schema.min_count = 1;
    fs::write(fixture.path().join("moved.csv"), SIX.replace("1,a,y", "1,a,w")).unwrap();
    assert!(!read(&fixture.open().unwrap().cache));
    fixture.schema.cache = false;
    assert_eq!(fixture.open().unwrap().cache, Cache::Off);
    assert_eq!(folders(&fixture).len(), 3);
}

#[test]
fn a_damaged_cache_is_written_anew() {
    let fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    let good = fixture.open().unwrap();
    let folder = folders(&fixture).pop().unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 6);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let mut flipped = bytes.clone();
        let last = flipped.len() - 2;
        flipped[last] ^= 1;
        for damage in [Some(&bytes[..bytes.len() / 2]), Some(&flipped[..]), Some(&[]), None] {
            match damage {
                Some(damage) => fs::write(&file, damage).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let data = fixture.open().unwrap();
            assert_eq!(data.cache, Cache::Written(folder.clone()), "{}", file.display());
            assert_eq!((data.train.ids(), data.test.labels()), (good.train.ids(), good.test.labels()));
            assert!(read(&fixture.open().unwrap().cache));
        }
    }
}

#[test]
fn where_no_cache_can_be_written_the_next_folder_or_memory_serves() {
    let fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    let blocked = fixture.path().join("blocked");
    fs::write(&blocked, "a file where a folder should be").unwrap();
    let (inputs, limits) = (fixture.inputs().unwrap(), Limits::default());
    let open = |roots: &[PathBuf], limits: &Limits| {
        open_inputs(&fixture.schema, &inputs, roots, None, limits, &mut |_| {}).unwrap()
    };
    let data = open(std::slice::from_ref(&blocked), &limits);
    assert!(matches!(&data.cache, Cache::Failed(why) if why.contains("blocked")), "{}", data.cache);
    assert_eq!(data.train.len(), 3);
    let large = open(std::slice::from_ref(&blocked), &Limits { chunk_rows: 1, spool_bytes: 0 });
    assert_eq!((large.train.ids(), large.test.ids()), (data.train.ids(), data.test.ids()));
    let data = open(&[blocked.clone(), fixture.root()], &limits);
    assert!(matches!(&data.cache, Cache::Written(folder) if folder.starts_with(fixture.root())), "{}", data.cache);
    assert!(read(&open(&[blocked, fixture.root()], &limits).cache));
}

#[test]
fn caches_lie_beside_the_data() {
    let fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    let root = crate::data::encoded::cache::roots(&fixture.inputs().unwrap()).remove(0);
    assert_eq!(root, fixture.path().join("six.csv.polyscene-cache"));
    let folder = Inputs::find(".", Format::Auto, None, &[fixture.path().to_owned()]).unwrap();
    assert_eq!(crate::data::encoded::cache::roots(&folder).remove(0), fixture.path().with_extension("polyscene-cache"));
    assert!(Inputs::find("*", Format::Auto, None, &[fixture.path().to_owned()]).unwrap().paths().count() == 1);
}

#[test]
fn progress_is_told_in_every_phase_up_to_its_end() {
    let fixture = Fixture::new("six.csv", SIX, BY_COLUMN);
    let mut seen: Vec<Progress> = Vec::new();
    let inputs = fixture.inputs().unwrap();
    open_inputs(&fixture.schema, &inputs, &[fixture.root()], None, &Limits::default(), &mut |p| seen.push(p)).unwrap();
    for phase in [OpeningPhase::Hashing, OpeningPhase::Reading, OpeningPhase::Counting, OpeningPhase::Encoding] {
        let last = seen.iter().rfind(|p| p.phase == phase).unwrap();
        assert_eq!(last.done, last.total, "{phase:?}");
    }
}
