//! Which devices have proved themselves on this machine (`polyscene devices --check`), kept in the user's cache folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::user_cache;
use crate::gpu::{AdapterKind, AdapterSummary};

/// What is remembered: adapters with their drivers, and this program's version.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// Those that passed.
    passed: BTreeSet<String>,
    /// Those of which people were told that they have not been checked.
    told: BTreeSet<String>,
}

fn file() -> Option<PathBuf> {
    user_cache::file("devices.json")
}

/// An adapter, its driver and the kernels, of which a check speaks.
fn key(summary: &AdapterSummary) -> String {
    format!("{}, polyscene {}", summary.identity(), env!("CARGO_PKG_VERSION"))
}

/// Remembers that an adapter passed, or that it did not.
pub fn remember(summary: &AdapterSummary, passed: bool) {
    if let Some(file) = file() {
        remember_in(&file, summary, passed);
    }
}

fn remember_in(file: &Path, summary: &AdapterSummary, passed: bool) {
    let mut known = user_cache::read::<Known>(file);
    if passed {
        known.passed.insert(key(summary));
    } else {
        known.passed.remove(&key(summary));
        known.told.remove(&key(summary));
    }
    user_cache::write(file, &known);
}

/// What to say, once, of an adapter that has not passed. Nothing of software renderers, on which the tests run.
pub(super) fn advice(summary: &AdapterSummary) -> Option<String> {
    advice_from(&file()?, summary)
}

fn advice_from(file: &Path, summary: &AdapterSummary) -> Option<String> {
    let key = key(summary);
    let mut known = user_cache::read::<Known>(file);
    if summary.kind == AdapterKind::Software || known.passed.contains(&key) || !known.told.insert(key) {
        return None;
    }
    user_cache::write(file, &known);
    let AdapterSummary { index, name, driver, driver_info, .. } = summary;
    let driver = format!("{driver} {driver_info}");
    Some(format!(
        "{name} with driver {} has not been checked on this machine: `polyscene devices --check {index}` compares its results \
         with the CPU's in a minute",
        driver.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    fn adapter(kind: AdapterKind, driver_info: &str) -> AdapterSummary {
        AdapterSummary { driver_info: driver_info.to_owned(), ..testing::adapter(1, "Some GPU", kind) }
    }

    #[test]
    fn people_are_told_once_of_each_driver_until_it_passes_or_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache").join("devices.json");
        let gpu = adapter(AdapterKind::Discrete, "1.0");
        let text = advice_from(&file, &gpu).unwrap();
        assert!(text.contains("Some GPU") && text.contains("polyscene devices --check 1"), "{text}");
        assert_eq!(advice_from(&file, &gpu), None);
        assert_eq!(advice_from(&file, &adapter(AdapterKind::Software, "1.0")), None);
        let newer = adapter(AdapterKind::Discrete, "2.0");
        remember_in(&file, &newer, true);
        assert_eq!(advice_from(&file, &newer), None);
        remember_in(&file, &newer, false);
        assert!(advice_from(&file, &newer).is_some());
        // A file that is none of ours is as good as none.
        std::fs::write(&file, "{").unwrap();
        assert!(advice_from(&file, &gpu).is_some());
    }
}
