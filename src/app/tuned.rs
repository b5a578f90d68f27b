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
    const FIX: &str = "give a tuning.json that `train` or `tune` has written, or leave --tuning out; a run's own file can be removed, and \
                       the choice is made anew";
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading the tuning"))?;
    let tuned: Tuned =
        serde_json::from_str(&text).map_err(|error| Error::content(path, format!("is no tuning: {error}; {FIX}")))?;
    tuned.tuning.check().map_err(|fault| Error::content(path, format!("tuning: {fault}; {FIX}")))?;
    Ok(tuned)
}

/// What the built-in guess or the cache says, without a trial.
///
/// # Errors
/// As [`load`]; when a file's kernels count on larger subgroups than the device has.
pub fn known(choice: &TuningChoice, gpu: &Gpu, graph: &Graph, options: &TrainingOptions) -> Result<Tuned, Error> {
    known_in(cache().as_deref(), choice, gpu, graph, options)
}

fn known_in(
    cache: Option<&Path>,
    choice: &TuningChoice,
    gpu: &Gpu,
    graph: &Graph,
    options: &TrainingOptions,
) -> Result<Tuned, Error> {
    let guess = Tuned::guess(gpu, graph, options);
    Ok(match choice {
        TuningChoice::File(path) => {
            let tuned = load(path)?;
            gpu.check_subgroup(tuned.tuning.subgroup)?;
            tuned
        }
        TuningChoice::Off => guess,
        TuningChoice::Auto => cache.and_then(|file| recall(file, &guess)).unwrap_or(guess),
    })
}

/// The kernels of a run; on a GPU of which nothing is known, those that a trial of some seconds finds.
///
/// # Errors
/// As [`known`]; when the device fails, or no choice of kernels computes what the CPU does.
pub fn choose(
    choice: &TuningChoice,
    gpu: &Gpu,
    graph: &Graph,
    options: &TrainingOptions,
    observer: &mut Observer<'_>,
) -> Result<Tuned, Error> {
    choose_in(cache().as_deref(), choice, gpu, graph, options, observer)
}

fn choose_in(
    cache: Option<&Path>,
    choice: &TuningChoice,
    gpu: &Gpu,
    graph: &Graph,
    options: &TrainingOptions,
    observer: &mut Observer<'_>,
) -> Result<Tuned, Error> {
    let known = known_in(cache, choice, gpu, graph, options)?;
    // A renderer compiles for longer than a trial may take, and has but one family of kernels made for it.
    if *choice != TuningChoice::Auto || !known.tried.is_empty() || gpu.class() == DeviceClass::Software {
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
        let device = gpu.name();
        observer(Event::Warning(format!(
            "left out, as {device} does not compute what the CPU does: {tuning}: {fault}"
        )));
    }
    if let Some(file) = cache {
        remember_in(file, &tuned);
    }
    Ok(tuned)
}

/// The kernels that an earlier part of a run has written down, if it ran on the same device.
///
/// # Errors
/// As [`load`].
pub(super) fn recorded(path: &Path, gpu: &Gpu, observer: &mut Observer<'_>) -> Result<Option<Tuned>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let (tuned, now) = (load(path)?, gpu.summary.identity());
    if tuned.device == now {
        return Ok(Some(tuned));
    }
    observer(Event::Warning(format!(
        "the kernels that the run recorded are those of {}: others are chosen for {now}",
        tuned.device
    )));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;
    use crate::gpu::{AdapterKind, Vendor};
    use crate::plan::Tuning;
    use crate::tune::Tried;

    fn tuned(device: &str, shape: &str) -> Tuned {
        let tuning = Tuning { grad_tile: 32, ..Tuning::of_class(DeviceClass::Hardware) };
        Tuned {
            version: "1".to_owned(),
            device: device.to_owned(),
            shape: shape.to_owned(),
            tuning,
            tried: vec![Tried { tuning, seconds: Some(0.1), of_best: None, fault: None }],
            complete: true,
        }
    }

    /// What a GPU gets, tried out on a renderer that says it is one.
    #[test]
    fn a_gpu_of_which_nothing_is_known_is_tried_once() {
        let Some(mut gpu) = crate::gpu::testing::software() else { return };
        let summary = std::sync::Arc::make_mut(&mut gpu.summary);
        (summary.kind, summary.vendor) = (AdapterKind::Discrete, Vendor::Nvidia);
        let graph = Workload::new("dnn", 8, 160).graph().unwrap();
        let options = crate::check::data::training(8);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuning.json");
        let choose = |choice: &TuningChoice, counted: &mut usize| {
            let mut observer = |event: Event<'_>| *counted += usize::from(matches!(event, Event::Counted { .. }));
            choose_in(Some(&file), choice, &gpu, &graph, &options, &mut observer).unwrap()
        };
        let mut counted = 0;
        let guess = choose(&TuningChoice::Off, &mut counted);
        assert!(guess.tried.is_empty() && guess.tuning.kernels == DeviceClass::Hardware);
        assert_eq!(counted, 0);
        let found = choose(&TuningChoice::Auto, &mut counted);
        assert!(counted > 0 && counted == found.tried.len());
        assert_eq!(found.faults().collect::<Vec<_>>(), []);
        assert_eq!(choose(&TuningChoice::Auto, &mut counted), found);
        assert_eq!(counted, found.tried.len());
        // A file from a machine with larger subgroups.
        let path = folder.path().join("other.json");
        let tuning = Tuning { subgroup: Some(128), ..guess.tuning };
        std::fs::write(&path, serde_json::to_string(&Tuned { tuning, ..guess }).unwrap()).unwrap();
        let refused = known(&TuningChoice::File(path), &gpu, &graph, &options).unwrap_err().to_string();
        assert!(refused.contains("subgroups of at least 128"), "{refused}");
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
        let text = fault(&good.replacen("\"grad_tile\"", "\"subgroup\":12,\"grad_tile\"", 1));
        assert!(text.contains("subgroup is 12; it can be 4 or 8"), "{text}");
        let text = fault(&good.replace("\"grad_tile\"", "\"gradtile\""));
        assert!(text.contains("unknown field `gradtile`") && text.contains("--tuning"), "{text}");
        assert!(fault("{}").contains("missing field"));
        assert!(load(&folder.path().join("nothing.json")).unwrap_err().to_string().contains("nothing.json"));
    }
}
