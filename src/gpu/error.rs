//! What can go wrong between us and a GPU, said so that a user knows what to do about it.

/// The result of everything in [`crate::gpu`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault in choosing or opening a device, in a shader, or in what a device was asked to do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text given for a device is not a device choice.
    #[error("`{given}` is not a device: give auto, cpu, software, an adapter's number, or part of its name")]
    DeviceChoice {
        /// The text as given.
        given: String,
    },
    /// A software renderer was asked for and none is installed.
    #[error(
        "no software renderer is installed.\n\
         Debian, Ubuntu: apt install mesa-vulkan-drivers\n\
         Fedora: dnf install mesa-vulkan-drivers\n\
         Windows: the built-in one (WARP) needs Direct3D 12; run Windows Update\n\
         macOS: there is none; Metal runs on the GPU itself\n\
         Or train with --device cpu, which needs no driver."
    )]
    NoSoftwareRenderer,
    /// No adapter has the number or name asked for.
    #[error("there is no adapter {wanted}.\n{available}")]
    NoSuchAdapter {
        /// `number N` or `named "NAME"`.
        wanted: String,
        /// One line for each adapter there is, or a sentence saying that there is none.
        available: String,
    },
    /// A device came to other numbers than the CPU.
    #[error(
        "{device} computes wrong numbers: {what}.\n\
         Update its driver and check again (`polyscene devices --check`, whose table is what a report of this needs); until then, \
         train with another device or with --device cpu."
    )]
    Wrong {
        /// The device's name.
        device: String,
        /// The checks that failed.
        what: String,
    },
    /// The driver would not open a device on an adapter.
    #[error("cannot open {adapter}: {reason}\nUpdate its driver, or choose another device (see `polyscene devices`).")]
    Open {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        reason: String,
    },
    /// The device stopped: driver reset, unplugged, or a dispatch that ran past the system's watchdog.
    #[error(
        "{adapter} was lost: {reason}\n\
         What it held is gone; a training run goes on from its last checkpoint with --resume. Most often the driver was \
         reset: because one dispatch ran for longer than the system's watchdog allows (two seconds on Windows: use a \
         smaller train.batch_size, or raise TdrDelay), because another program crashed it, or because the device has no \
         memory left."
    )]
    DeviceLost {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        reason: String,
    },
    /// The device refused a command; what was computed since cannot be trusted.
    #[error("{adapter} refused a command, which is a fault in this program: {reason}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// wgpu's description.
        reason: String,
    },
    /// Kernels were asked for that count on larger subgroups than the device has.
    #[error(
        "the chosen kernels count on subgroups of at least {asked} invocations, and {adapter} has {}; leave --tuning out, or give \
         a file whose `subgroup` fits",
        least.map_or_else(|| "none".to_owned(), |least| format!("subgroups of {least}"))
    )]
    Subgroups {
        /// The adapter's name.
        adapter: String,
        /// Invocations of a subgroup, at least.
        asked: u32,
        /// What the device has.
        least: Option<u32>,
    },
    /// A buffer did not fit in memory.
    #[error(
        "{adapter} has no memory left for {what} ({size}).\n\
         Use a smaller batch or smaller embeddings, close other programs that use the GPU, or choose --device cpu.",
        size = human(*bytes)
    )]
    OutOfMemory {
        /// The adapter's name.
        adapter: String,
        /// What the buffer was for.
        what: String,
        /// Bytes asked for.
        bytes: u64,
    },
    /// A buffer is larger than the device allows one buffer to be.
    #[error(
        "{what} needs one buffer of {size}, and {adapter} allows {max}: it must be cut into parts",
        size = human(*bytes), max = human(*limit)
    )]
    TooLarge {
        /// The adapter's name.
        adapter: String,
        /// What the buffer was for.
        what: String,
        /// Bytes asked for.
        bytes: u64,
        /// Most bytes one buffer may have.
        limit: u64,
    },
    /// A range reaches outside its buffer, or data does not fit where it was to go.
    #[error("bytes {start}..{end} are outside {what}, which has {bytes} bytes")]
    Range {
        /// What the buffer is for.
        what: String,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// The buffer's length in bytes.
        bytes: u64,
    },
    /// A copy starts at a byte that is not a multiple of four.
    #[error("a copy to or from {what} starts at byte {offset}, which is not a multiple of 4")]
    Alignment {
        /// What the buffer is for.
        what: String,
        /// The offset in bytes.
        offset: u64,
    },
    /// A transfer was recorded in an encoder that has not been submitted, and its result was waited for.
    #[error("{what} was recorded in an encoder that was never submitted: submit it first")]
    Unsubmitted {
        /// Which transfer.
        what: String,
    },
    /// A shader's text cannot be expanded, parsed or validated. Every position is in the file as written.
    #[error("{place}: {message}")]
    Shader {
        /// `shaders/NAME.wgsl:LINE` or with a column, as far as known.
        place: String,
        /// What is wrong, with the line and a marker under it where the position is known.
        message: String,
    },
    /// A constant to be specialised is missing from a shader, or has another type, or the value has no literal.
    #[error("shader {shader}: constant {constant}: {reason}")]
    Constant {
        /// The shader's name.
        shader: String,
        /// The constant's name.
        constant: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The device cannot build a valid shader's pipeline.
    #[error("shader {shader} does not build on {adapter}: {reason}")]
    Pipeline {
        /// The shader's name.
        shader: String,
        /// The adapter's name.
        adapter: String,
        /// wgpu's or the driver's reason.
        reason: String,
    },
}

/// A byte count as people read it: `512 bytes`, `1.5 MiB`.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // 128 MiB rather than 128.0 MiB; 1.5 GiB stays.
    let digits = usize::from(value.fract() >= 0.05);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_read_well() {
        assert_eq!(human(12), "12 bytes");
        assert_eq!(human(128 << 20), "128 MiB");
        assert_eq!(human(3 << 29), "1.5 GiB");
    }

    #[test]
    fn memory_errors_name_the_sizes_and_the_purpose() {
        let error = Error::TooLarge {
            adapter: "card".into(),
            what: "embedding table `item`".into(),
            bytes: 3 << 30,
            limit: 1 << 31,
        };
        let text = error.to_string();
        assert!(text.contains("embedding table `item`"), "{text}");
        assert!(text.contains("3 GiB") && text.contains("2 GiB"), "{text}");
    }
}
