//! Which kernels a model gets on a device: those that a file or a run recorded, those that were fastest before on this
//! machine, or those that a short trial finds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Event, Observer, user_cache};
use crate::gpu::{DeviceClass, Gpu};
use crate::graph::Graph;
use crate::plan::TrainingOptions;
use crate::train::Error;
use crate::tune::{Tuned, TuningEffort, tune};

/// Where the choice of kernels comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TuningChoice {
    /// What was fastest before on this machine for this device, driver and shape of model; a trial of a few seconds where
    /// nothing is known. A resumed run keeps what it recorded.
    #[default]
    Auto,
    /// The built-in guess for the kind of device.
    Off,
    /// A file that `train` or `tune` has written.
    File(PathBuf),
}

impl FromStr for TuningChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "off" => Self::Off,
            path => Self::File(path.into()),
        })
    }
}

impl std::fmt::Display for TuningChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Trials by device, version and shape.
type Known = BTreeMap<String, Tuned>;

fn key(tuned: &Tuned) -> String {
    format!("{}, polyscene {}, {}", tuned.device, tuned.version, tuned.shape)
}

fn cache() -> Option<PathBuf> {
    user_cache::file("tuning.json")
}

/// Keeps what a trial found for the next run on this machine.
pub fn remember(tuned: &Tuned) {
    if let Some(file) = cache() {
        remember_in(&file, tuned);
    }
}

fn remember_in(file: &Path, tuned: &Tuned) {
    let mut known: Known = user_cache::read(file);
    known.insert(key(tuned), tuned.clone());
    user_cache::write(file, &known);
}

/// What an earlier trial found for the same device, driver, version and shape of model, if it is of use.
fn recall(file: &Path, guess: &Tuned) -> Option<Tuned> {
    user_cache::read::<Known>(file).remove(&key(guess)).filter(|tuned| tuned.tuning.check().is_ok())
}

/// Reads a choice of kernels that `train` or `tune` has written.
///
/// # Errors
/// When the file cannot be read, or asks for kernels that there are not.
pub fn load(path: &Path) -> Result<Tuned, Error> {
    const FIX: &str = "give a tuning.json that `train` or `tune` has written, or leave --tuning out";
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading the tuning"))?;
    let tuned: Tuned =
        serde_json::from_str(&text).map_err(|error| Error::content(path, format!("is no tuning: {error}; {FIX}")))?;
    tuned.tuning.check().map_err(|fault| Error::content(path, format!("tuning: {fault}; {FIX}")))?;
    Ok(tuned)
}

/// What the built-in guess or the cache says, without a trial.
///
/// # Errors
/// As [`load`].
pub fn known(choice: &TuningChoice, gpu: &Gpu, graph: &Graph, options: &TrainingOptions) -> Result<Tuned, Error> {
    let guess = Tuned::guess(gpu, graph, options);
    Ok(match choice {
        TuningChoice::File(path) => load(path)?,
        TuningChoice::Off => guess,
        TuningChoice::Auto => cache().and_then(|file| recall(&file, &guess)).unwrap_or(guess),
    })
}

/// The kernels of a run. `recorded`: where an earlier part of the run has written down which it used.
///
/// # Errors
/// As [`load`]; when the device fails, or no choice of kernels computes what the CPU does.
pub fn choose(
    choice: &TuningChoice,
    recorded: Option<&Path>,
    gpu: &Gpu,
    graph: &Graph,
    options: &TrainingOptions,
    observer: &mut Observer<'_>,
) -> Result<Tuned, Error> {
    if let (TuningChoice::Auto, Some(path)) = (choice, recorded.filter(|path| path.is_file())) {
        let tuned = load(path)?;
        if tuned.device == gpu.summary.identity() {
            return Ok(tuned);
        }
        let (before, now) = (&tuned.device, gpu.summary.identity());
        observer(Event::Warning(format!(
            "the run began on another device or driver ({before}; now {now}): what follows is not what it would have been there \
             to the last bit"
        )));
    }
    let known = known(choice, gpu, graph, options)?;
    // A renderer compiles for longer than a trial may take, and has but one family of kernels made for it.
    let trial = *choice == TuningChoice::Auto && known.tried.is_empty() && gpu.class() == DeviceClass::Hardware;
    if !trial {
        return Ok(known);
    }
    observer(Event::Counting { what: "trying kernels", total: 0 });
    let mut done = 0;
    let tuned = tune(gpu, graph, options, &TuningEffort::quick(), &mut |_| {
        done += 1;
        observer(Event::Counted { done, total: 0 });
    });
    observer(Event::CountingEnded);
    let tuned = tuned?;
    for (tuning, fault) in tuned.faults() {
        observer(Event::Warning(format!(
            "left out, as {} does not compute what the CPU does: {tuning}: {fault}",
            gpu.name()
        )));
    }
    remember(&tuned);
    Ok(tuned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Tuning;

    fn tuned(device: &str, shape: &str) -> Tuned {
        Tuned {
            version: "1".to_owned(),
            device: device.to_owned(),
            shape: shape.to_owned(),
            tuning: Tuning { grad_tile: 32, ..Tuning::of_class(DeviceClass::Hardware) },
            tried: Vec::new(),
            complete: true,
        }
    }

    #[test]
    fn the_cache_tells_devices_and_shapes_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache").join("tuning.json");
        remember_in(&file, &tuned("a card", "s"));
        assert_eq!(recall(&file, &tuned("a card", "s")), Some(tuned("a card", "s")));
        assert_eq!(recall(&file, &tuned("a card", "t")), None);
        assert_eq!(recall(&file, &tuned("another", "s")), None);
        // Kernels that this version does not have are of no use.
        let strange = Tuning { block: Some(12), ..tuned("a card", "s").tuning };
        remember_in(&file, &Tuned { tuning: strange, ..tuned("a card", "s") });
        assert_eq!(recall(&file, &tuned("a card", "s")), None);
    }

    #[test]
    fn a_file_that_is_no_tuning_is_told_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning.json");
        let fault = |text: &str| {
            std::fs::write(&path, text).unwrap();
            load(&path).unwrap_err().to_string()
        };
        let good = serde_json::to_string(&tuned("a card", "s")).unwrap();
        std::fs::write(&path, &good).unwrap();
        assert_eq!(load(&path).unwrap(), tuned("a card", "s"));
        let text = fault(&good.replace("\"grad_tile\":32", "\"grad_tile\":48"));
        assert!(text.contains("tuning.json") && text.contains("grad_tile is 48; it can be 32 or 64"), "{text}");
        let text = fault(&good.replace("\"grad_tile\"", "\"gradtile\""));
        assert!(text.contains("unknown field `gradtile`") && text.contains("--tuning"), "{text}");
        assert!(fault("{}").contains("missing field"));
        assert!(load(&folder.path().join("nothing.json")).unwrap_err().to_string().contains("nothing.json"));
    }
}
