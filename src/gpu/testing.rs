//! The device that tests run on.

use super::{DeviceChoice, Error, Gpu, OpenOptions, Selection, select};

/// Opens the device for tests: a software renderer, or else any GPU. `POLYSCENE_TEST_DEVICE` names another, as
/// `--device` would.
///
/// None only where `POLYSCENE_TEST_NO_ADAPTER=1` says that this machine has no adapter and that the test is to pass
/// without; otherwise a missing adapter fails the test, so that tests are never skipped unnoticed.
///
/// # Panics
/// When there is no adapter, or it does not open.
pub fn software() -> Option<Gpu> {
    software_with(OpenOptions::default())
}

/// As [`software`], opened with options.
///
/// # Panics
/// As [`software`].
pub fn software_with(options: OpenOptions) -> Option<Gpu> {
    let selection = match std::env::var("POLYSCENE_TEST_DEVICE") {
        Ok(named) => named.parse().and_then(|choice| select(&choice)),
        Err(_) => match select(&DeviceChoice::Software) {
            // macOS has no software renderer, and its GPU will do.
            Err(Error::NoSoftwareRenderer) => select(&DeviceChoice::Auto),
            selection => selection,
        },
    };
    match selection {
        Ok(Selection::Adapter(adapter, summary)) => {
            Some(Gpu::open(&adapter, *summary, options).unwrap_or_else(|error| panic!("{error}")))
        }
        _ if std::env::var("POLYSCENE_TEST_NO_ADAPTER").is_ok_and(|value| value == "1") => None,
        Ok(Selection::Cpu) => panic!(
            "this test needs an adapter: install mesa-vulkan-drivers, or set POLYSCENE_TEST_NO_ADAPTER=1 to pass without"
        ),
        Err(error) => panic!("this test needs an adapter, or POLYSCENE_TEST_NO_ADAPTER=1 to pass without: {error}"),
    }
}

/// What a machine's adapter number so-and-so may say of itself.
#[cfg(test)]
pub(crate) fn adapter(index: usize, name: &str, kind: super::AdapterKind) -> super::AdapterSummary {
    super::AdapterSummary {
        index,
        name: name.to_owned(),
        kind,
        vendor: super::Vendor::Other,
        backend: "vulkan".to_owned(),
        driver: "driver".to_owned(),
        driver_info: "1.0".to_owned(),
        limits: super::AdapterLimits::of(&wgpu::Limits::defaults()),
        f16: false,
        timestamps: false,
        subgroup_sizes: None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    /// Run by the test below in a process of its own.
    #[test]
    #[ignore = "fails or passes by its environment"]
    fn needs_an_adapter() {
        let _ = super::software();
    }

    #[test]
    fn a_missing_adapter_fails_unless_it_is_said_to_be_missing() {
        let run = |said: &str| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "gpu::testing::tests::needs_an_adapter", "--ignored"])
                .env("VK_DRIVER_FILES", "/nonexistent")
                .env("VK_ICD_FILENAMES", "/nonexistent")
                .env_remove("POLYSCENE_TEST_DEVICE")
                .env("POLYSCENE_TEST_NO_ADAPTER", said)
                .output()
                .unwrap()
        };
        assert!(run("1").status.success());
        let failed = run("");
        assert!(!failed.status.success());
        let text = String::from_utf8_lossy(&failed.stdout).into_owned() + &String::from_utf8_lossy(&failed.stderr);
        assert!(text.contains("POLYSCENE_TEST_NO_ADAPTER=1"), "{text}");
    }
}
