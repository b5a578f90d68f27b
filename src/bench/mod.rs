//! What a device can do at most, and how near training comes to it.
//!
//! [`Ceilings`] are measured first: how fast the device copies, multiplies and adds, and starts a dispatch. Then
//! [`kernels`] times every dispatch of a training step and [`steps`] whole steps, and both say what they are a fraction
//! of. The data is made up ([`workload`]): what a step costs does not depend on what it learns.
//!
//! *Stability*: what is measured may change; the JSON of `polyscene bench` only gains keys.

mod ceilings;
mod cpu_ceilings;
mod device;
mod gpu_ceilings;
pub mod kernels;
mod sample;
mod shaders;
pub mod steps;
pub mod workload;

pub use ceilings::{Bound, Ceilings, CopyRate, MultiplyAddRate};
pub use device::{Device, DeviceDescription, TuningSource, built_in};
pub use kernels::{KernelTimes, Kernels, TimedBy};
pub use sample::{Effort, Sample};
pub use shaders::variants as shader_variants;
pub use steps::{SkippedStep, StepOutcome, StepTimes};

use serde::Serialize;

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// This program's version.
    pub version: String,
    /// The day, as YYYY-MM-DD.
    pub date: String,
    /// What it ran on.
    pub device: DeviceDescription,
    /// Whether it was in a hurry: numbers are rough.
    pub quick: bool,
    /// What the device can do at most.
    pub ceilings: Ceilings,
    /// Each dispatch of a step.
    pub kernels: Kernels,
    /// Whole steps.
    pub steps: Vec<StepOutcome>,
}

impl Report {
    /// A report of today.
    pub fn new(
        device: DeviceDescription,
        quick: bool,
        ceilings: Ceilings,
        kernels: Kernels,
        steps: Vec<StepOutcome>,
    ) -> Self {
        let date = chrono::Utc::now().date_naive().to_string();
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), date, device, quick, ceilings, kernels, steps }
    }
}
