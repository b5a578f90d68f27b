//! `--device`: from what the user wrote to an adapter, or to the CPU executor.

use std::fmt;
use std::str::FromStr;

use super::adapters::{self, Adapter, AdapterKind, AdapterSummary};
use super::{Error, Result};

/// Which device to train on, as given to `--device`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// `auto`: the best real GPU; without one, the CPU executor.
    #[default]
    Auto,
    /// `cpu`: the CPU executor.
    Cpu,
    /// `software`: a renderer that runs shaders on the processor. For tests; the CPU executor is the one to train on.
    Software,
    /// `N`: the adapter of that number in [`adapters::list`].
    Index(usize),
    /// `NAME`: the first adapter, real ones before software, whose name contains this, in upper or lower case.
    Name(String),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::DeviceChoice { given: text.to_owned() });
        }
        Ok(match text.to_ascii_lowercase().as_str() {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "software" => Self::Software,
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::Index(text.parse().map_err(|_| Error::DeviceChoice { given: text.to_owned() })?)
            }
            _ => Self::Name(text.to_owned()),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Cpu => f.pad("cpu"),
            Self::Software => f.pad("software"),
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// What a [`DeviceChoice`] came to.
#[derive(Clone, Debug)]
pub enum Selection {
    /// The CPU executor.
    Cpu,
    /// An adapter, to be opened by [`Gpu::open`](super::Gpu::open), and what it is.
    Adapter(Adapter, Box<AdapterSummary>),
}

/// Finds the device of a choice on this machine.
///
/// # Errors
/// [`Error::NoSoftwareRenderer`] and [`Error::NoSuchAdapter`]; `auto` and `cpu` always succeed.
pub fn select(choice: &DeviceChoice) -> Result<Selection> {
    if *choice == DeviceChoice::Cpu {
        // The drivers need not even be loaded.
        return Ok(Selection::Cpu);
    }
    let mut found = adapters::enumerate();
    let summaries: Vec<_> = found.iter().map(|(_, summary)| summary).collect();
    Ok(match pick(choice, &summaries)? {
        None => Selection::Cpu,
        Some(place) => {
            let (adapter, summary) = found.swap_remove(place);
            Selection::Adapter(adapter, Box::new(summary))
        }
    })
}

/// The place of the chosen adapter; none means the CPU executor.
fn pick(choice: &DeviceChoice, adapters: &[&AdapterSummary]) -> Result<Option<usize>> {
    // min_by_key takes the first of equals, so among equal cards the lower number wins.
    let best = |wanted: &dyn Fn(&AdapterSummary) -> bool| {
        let candidates = adapters.iter().enumerate().filter(|(_, adapter)| wanted(adapter));
        candidates.min_by_key(|(_, adapter)| rank(adapter.kind)).map(|(place, _)| place)
    };
    let missing = |wanted: String| Error::NoSuchAdapter { wanted, available: describe(adapters) };
    match choice {
        DeviceChoice::Cpu => Ok(None),
        DeviceChoice::Auto => Ok(best(&|adapter| {
            matches!(adapter.kind, AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual)
        })),
        DeviceChoice::Software => {
            best(&|adapter| adapter.kind == AdapterKind::Software).map(Some).ok_or(Error::NoSoftwareRenderer)
        }
        DeviceChoice::Index(index) => adapters
            .iter()
            .position(|adapter| adapter.index == *index)
            .map(Some)
            .ok_or_else(|| missing(format!("number {index}"))),
        DeviceChoice::Name(name) => {
            let lower = name.to_lowercase();
            best(&|adapter| adapter.name.to_lowercase().contains(&lower))
                .map(Some)
                .ok_or_else(|| missing(format!("whose name contains \"{name}\"")))
        }
    }
}

/// Lower is better.
fn rank(kind: AdapterKind) -> u8 {
    match kind {
        AdapterKind::Discrete => 0,
        AdapterKind::Integrated => 1,
        AdapterKind::Virtual => 2,
        AdapterKind::Other => 3,
        AdapterKind::Software => 4,
    }
}

fn describe(adapters: &[&AdapterSummary]) -> String {
    if adapters.is_empty() {
        return "This machine has none that can be reached through Vulkan, Metal or Direct3D 12; \
                --device cpu trains without."
            .to_owned();
    }
    let lines = adapters
        .iter()
        .map(|adapter| format!("  {}: {} ({}, {})", adapter.index, adapter.name, adapter.kind, adapter.backend));
    std::iter::once("There are:".to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::adapter;

    fn machine() -> Vec<AdapterSummary> {
        vec![
            adapter(0, "llvmpipe (LLVM 15.0.6, 256 bits)", AdapterKind::Software),
            adapter(1, "AMD Radeon 890M", AdapterKind::Integrated),
            adapter(2, "NVIDIA GeForce RTX 5080", AdapterKind::Discrete),
            adapter(3, "NVIDIA GeForce RTX 5080", AdapterKind::Discrete),
        ]
    }

    fn picked(choice: &str, machine: &[AdapterSummary]) -> Result<Option<usize>> {
        pick(&choice.parse()?, &machine.iter().collect::<Vec<_>>())
    }

    #[test]
    fn choices_are_read_and_written_back() {
        for text in ["auto", "cpu", "software", "3", "radeon 890m"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!(" CPU ".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cpu);
        assert!(matches!("".parse::<DeviceChoice>(), Err(Error::DeviceChoice { .. })));
        assert!(matches!("99999999999999999999999".parse::<DeviceChoice>(), Err(Error::DeviceChoice { .. })));
    }

    #[test]
    fn auto_takes_the_best_real_gpu_and_never_a_renderer() {
        let machine = machine();
        assert_eq!(picked("auto", &machine).unwrap(), Some(2));
        assert_eq!(picked("auto", &machine[..2]).unwrap(), Some(1));
        assert_eq!(picked("auto", &machine[..1]).unwrap(), None);
        assert_eq!(picked("auto", &[]).unwrap(), None);
    }

    #[test]
    fn numbers_names_and_software_find_theirs() {
        let machine = machine();
        assert_eq!(picked("software", &machine).unwrap(), Some(0));
        assert_eq!(picked("3", &machine).unwrap(), Some(3));
        assert_eq!(picked("Nvidia", &machine).unwrap(), Some(2));
        assert_eq!(picked("LLVM", &machine).unwrap(), Some(0));
    }

    #[test]
    fn what_is_missing_is_said_with_what_there_is() {
        let machine = machine();
        let text = picked("7", &machine).unwrap_err().to_string();
        assert!(text.contains("number 7") && text.contains("1: AMD Radeon 890M (integrated, vulkan)"), "{text}");
        let text = picked("intel", &[]).unwrap_err().to_string();
        assert!(text.contains("\"intel\"") && text.contains("--device cpu"), "{text}");
        let text = picked("software", &machine[1..]).unwrap_err().to_string();
        assert!(text.contains("mesa-vulkan-drivers"), "{text}");
    }

    #[test]
    fn cpu_needs_no_adapter() {
        assert!(matches!(select(&DeviceChoice::Cpu), Ok(Selection::Cpu)));
    }

    /// Run by the test below in a process of its own, whose environment hides every driver.
    #[test]
    #[ignore = "needs an environment without drivers"]
    fn without_drivers() {
        assert_eq!(adapters::list(), []);
        assert!(matches!(select(&DeviceChoice::Auto), Ok(Selection::Cpu)));
        assert!(matches!(select(&DeviceChoice::Software), Err(Error::NoSoftwareRenderer)));
        assert!(matches!(select(&DeviceChoice::Index(0)), Err(Error::NoSuchAdapter { .. })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_machine_without_drivers_or_loader_is_no_error() {
        let run = |name: &str, value: &std::path::Path| {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "gpu::select::tests::without_drivers", "--ignored"])
                .env(name, value)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{name}: {text}");
        };
        run("VK_DRIVER_FILES", "/nonexistent".as_ref());
        run("VK_ICD_FILENAMES", "/nonexistent".as_ref());
        // A library that cannot be loaded stands before the loader on the search path.
        let folder = tempfile::tempdir().unwrap();
        for name in ["libvulkan.so.1", "libvulkan.so"] {
            std::fs::write(folder.path().join(name), "no library").unwrap();
        }
        run("LD_LIBRARY_PATH", folder.path());
    }
}
