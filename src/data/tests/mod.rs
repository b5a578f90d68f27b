//! Datasets opened from small files, good and bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::open::{Limits, open_inputs};
use super::*;

mod bad;
mod caching;
mod encoding;
mod fields;
mod filtering;
mod guises;
mod scanning;
mod tables;
mod tags;
mod types;

/// A folder with files, and a schema over them.
struct Fixture {
    dir: TempDir,
    schema: Schema,
}

impl Fixture {
    /// One file, and the body of a `[data]` table without its path.
    fn new(name: &str, content: impl AsRef<[u8]>, schema: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), content).unwrap();
        let schema = toml::from_str(&format!("path = {name:?}\n{schema}")).unwrap();
        Fixture { dir, schema }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn inputs(&self) -> Result<Inputs> {
        Inputs::of(&self.schema, &[self.path().to_owned()])
    }

    fn open(&self) -> Result<Dataset> {
        self.open_with(&Limits::default())
    }

    /// Caches go beside the data only, so that no test touches the user's own.
    fn open_with(&self, limits: &Limits) -> Result<Dataset> {
        self.schema.validate()?;
        open_inputs(&self.schema, &self.inputs()?, &[self.root()], None, limits, &mut |_| {})
    }

    fn root(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// The message of the error that opening must give, without the folder's name.
    fn error(&self) -> String {
        self.open().expect_err("this should fail").to_string().replace(&format!("{}/", self.path().display()), "")
    }
}

/// A Parquet file of the given columns.
fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn array<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

/// A schema of two fields, split by column `split`.
const BY_COLUMN: &str = r#"
    label = "label"
    scenario = "scenario"
    aware = ["scenario"]
    agnostic = ["item"]
    split = { by = "column", column = "split" }
"#;

/// Six rows that fit [`BY_COLUMN`].
const SIX: &str = "\
label,scenario,item,split
0,b,x,train
1,a,y,train
1,b,x,train
0,a,z,valid
1,b,y,test
0,a,,test
";
