//! Runs the real binary, each test in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

use crate::events;

/// A model and batches small enough that a run takes a fraction of a second.
pub(crate) const SMALL: &[&str] = &[
    "model.width=4",
    "model.hidden=[16,8]",
    "train.batch_size=128",
    "train.epochs=2",
    "train.patience=0",
    "train.learning_rate=0.01",
];

/// Whether tests on the software renderer can run; without it only where the environment says that this is known.
pub(crate) fn has_software() -> bool {
    std::env::var("POLYSCENE_TEST_NO_ADAPTER").as_deref() != Ok("1")
}

/// A test's folder.
pub(crate) struct Place(TempDir);

impl Place {
    /// An empty one.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with `data/config.toml` and `data/data.parquet`: 2,000 rows of four scenarios.
    pub(crate) fn with_data() -> Self {
        let place = Self::empty();
        place.run("synth --out data --rows 2000 --vocab 100 --seed 3").succeeds();
        place
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn text(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn json(&self, name: impl AsRef<Path>) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The binary in this folder, with caches of its own.
    pub(crate) fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_polyscene"))
    }

    /// Another program, likewise.
    pub(crate) fn command_of(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.0.path())
            .env("XDG_CACHE_HOME", self.path("user-cache"))
            // Mesa complains without it.
            .env("XDG_RUNTIME_DIR", self.0.path())
            // Shaders that Mesa has compiled serve all tests.
            .env("MESA_SHADER_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/mesa"))
            .env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs a command line without spaces in its words.
    pub(crate) fn run(&self, line: &str) -> Outcome {
        Outcome::of(self.command().args(line.split_whitespace()))
    }

    /// The command that trains on the generated data, small, on the CPU if `line` names no device.
    pub(crate) fn train_command(&self, out: &str, line: &str) -> Command {
        let mut command = self.command();
        command.args(["train", "data/config.toml", "--out", out]);
        if !line.contains("--device") {
            command.args(["--device", "cpu"]);
        }
        for set in SMALL {
            command.args(["--set", set]);
        }
        command.args(words(line));
        command
    }

    /// Runs [`Place::train_command`].
    pub(crate) fn train(&self, out: &str, line: &str) -> Outcome {
        Outcome::of(&mut self.train_command(out, line))
    }

    /// Trains as `line` says by the plain network, to the end.
    pub(crate) fn trained_dnn(&self, out: &str, line: &str) {
        self.train(out, &format!("model.name=dnn {line}")).succeeds();
    }

    pub(crate) fn tensors(&self, name: impl AsRef<Path>) -> BTreeMap<String, Vec<f32>> {
        let bytes = self.read(name);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        file.iter().map(|(name, tensor)| (name.to_owned(), values(tensor.data()))).collect()
    }

    /// Where a checkpoint stands.
    pub(crate) fn position(&self, run: &str) -> Value {
        let bytes = self.read(Path::new(run).join("checkpoint.safetensors"));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        serde_json::from_str(&header.metadata().as_ref().unwrap()["position"]).unwrap()
    }

    /// The lines of `metrics.jsonl`.
    pub(crate) fn epochs(&self, run: &str) -> Vec<Value> {
        let text = self.text(Path::new(run).join("metrics.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What TensorBoard is told: steps and values by tag, without speeds.
    pub(crate) fn scalars(&self, run: &str) -> BTreeMap<String, Vec<(i64, f32)>> {
        events::scalars(&self.read(Path::new(run).join(events::FILE)))
    }

    /// That two runs came to the same bits: weights, moments, position, metrics, events.
    pub(crate) fn assert_same_runs(&self, one: &str, other: &str) {
        for name in ["model.safetensors", "checkpoint.safetensors"] {
            let same = self.read(Path::new(one).join(name)) == self.read(Path::new(other).join(name));
            assert!(same, "{name} of {one} and {other} differ");
        }
        let metrics = |run: &str| self.epochs(run).into_iter().map(without_times).collect::<Vec<_>>();
        assert_eq!(metrics(one), metrics(other));
        let result = |run: &str| without_times(self.json(Path::new(run).join("result.json")));
        assert_eq!(result(one), result(other));
        assert_eq!(self.scalars(one), self.scalars(other));
    }
}

/// `--set` words for those that are settings, the others as they are.
fn words(line: &str) -> Vec<String> {
    let setting = |word: &str| word.contains('=') && !word.starts_with('-');
    line.split_whitespace()
        .flat_map(|word| if setting(word) { vec!["--set", word] } else { vec![word] })
        .map(str::to_owned)
        .collect()
}

/// A record without what differs from one run to the next.
fn without_times(mut record: Value) -> Value {
    let record_map = record.as_object_mut().unwrap();
    // Data that stays on a device takes memory there; streamed data gives the same bits.
    let measured = ["seconds", "per_second", "peak_memory", "device_memory"];
    record_map.retain(|key, _| !measured.iter().any(|word| key.contains(word)) && key != "device");
    record
}

/// How a command ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self::from(output)
    }

    /// That it did what it was to do.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// That it printed this.
    #[track_caller]
    pub(crate) fn prints(self, printed: &str) -> Self {
        assert!(self.out.contains(printed), "{printed:?} is not printed: {}", self.out);
        self
    }

    /// That it told its user each of these.
    #[track_caller]
    pub(crate) fn says(self, says: &[&str]) -> Self {
        for said in says {
            assert!(
                self.out.contains(said) || self.err.contains(said),
                "{said:?} is not said: {}{}",
                self.out,
                self.err
            );
        }
        self
    }

    /// That it failed with this exit code and said each of these, without panicking.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        for said in says {
            assert!(self.err.contains(said), "{said:?} is not said: {}", self.err);
        }
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
