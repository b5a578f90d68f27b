//! The device under test, and how a report names it.

use std::sync::Arc;

use serde::Serialize;

use super::workload::Workload;
use crate::gpu::{DeviceChoice, Gpu, OpenOptions, Selection, select};
use crate::graph::Graph;
use crate::ops::OptimizerOptions;
use crate::plan::{CpuExecutor, GpuExecutor, GpuOptions, Plan, Profile, TrainingOptions, Tuning, initial_state};
use crate::train::Error;

/// A device under test.
#[derive(Clone)]
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An open device.
    Gpu {
        /// The device.
        gpu: Box<Gpu>,
        /// Says which kernels a model gets there.
        tuning: TuningSource,
    },
}

/// A function that says which kernels a model gets.
pub type TuningSource = Arc<dyn Fn(&Gpu, &Graph, &TrainingOptions) -> Result<Tuning, Error>>;

/// A device as a report names it.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceDescription {
    /// The adapter's name, or the processor's.
    pub name: String,
    /// `discrete`, `integrated`, `software`, `virtual`, `other`, or `cpu` for the CPU executor.
    pub kind: String,
    /// `vulkan`, `metal` or `dx12`; `cpu` for the CPU executor.
    pub backend: String,
    /// The driver and its version, in its own words; empty for the CPU executor.
    pub driver: String,
    /// Whether dispatches are timed by the device's own clock.
    pub timestamps: bool,
    /// Threads of the processor that this program uses.
    pub threads: usize,
    /// Operating system and architecture.
    pub system: String,
}

/// The guess for the kind of device.
pub fn built_in() -> TuningSource {
    Arc::new(|gpu, _, _| Ok(Tuning::guess(gpu.summary.vendor)))
}

impl Device {
    /// Opens a device, with its clock where it has one.
    ///
    /// # Errors
    /// When there is none such, or it does not open.
    pub fn open(choice: &DeviceChoice, tuning: TuningSource) -> Result<Self, Error> {
        Ok(match select(choice)? {
            Selection::Cpu => Self::Cpu,
            Selection::Adapter(adapter, summary) => {
                let options = OpenOptions { timestamps: true, ..OpenOptions::default() };
                Self::Gpu { gpu: Box::new(Gpu::open(&adapter, *summary, options)?), tuning }
            }
        })
    }

    /// An open device, of which nothing was measured.
    pub fn untuned(gpu: Gpu) -> Self {
        Self::Gpu { gpu: Box::new(gpu), tuning: built_in() }
    }

    /// What a report says of it.
    pub fn describe(&self) -> DeviceDescription {
        let threads = rayon::current_num_threads();
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        match self {
            Self::Cpu => DeviceDescription {
                name: processor().unwrap_or_else(|| "CPU".to_owned()),
                kind: "cpu".to_owned(),
                backend: "cpu".to_owned(),
                driver: String::new(),
                timestamps: false,
                threads,
                system,
            },
            Self::Gpu { gpu, .. } => DeviceDescription {
                name: gpu.summary.name.clone(),
                kind: gpu.summary.kind.to_string(),
                backend: gpu.summary.backend.clone(),
                driver: format!("{} {}", gpu.summary.driver, gpu.summary.driver_info).trim().to_owned(),
                timestamps: gpu.summary.timestamps,
                threads,
                system,
            },
        }
    }

    /// A model at the start of its training on this device, for the steps of a workload, and the kernels it got.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub fn executor(&self, graph: &Graph, workload: &Workload) -> Result<(Box<dyn Profile>, Option<Tuning>), Error> {
        let adam = OptimizerOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
        let Workload { batch_size, dense_embedding_adam, mixed_precision, .. } = *workload;
        let (dense, embeddings) = (adam, adam);
        let options = TrainingOptions {
            capacity: batch_size,
            dense,
            embeddings,
            max_gradient_norm: None,
            dense_embedding_adam,
            mixed_precision,
        };
        let (train, predict) = (Plan::training(graph, &options), Plan::inference(graph, batch_size));
        let state = initial_state(graph, 0);
        Ok(match self {
            Self::Cpu => (Box::new(CpuExecutor::<f32>::new(train, predict, state)), None),
            Self::Gpu { gpu, tuning } => {
                let tuning = tuning(gpu, graph, &options)?.resolved(batch_size);
                let options = GpuOptions { tuning: Some(tuning), ..GpuOptions::default() };
                let executor = GpuExecutor::new((**gpu).clone(), train, predict, &state, options)?;
                (Box::new(executor), Some(tuning))
            }
        })
    }
}

/// What the system calls the processor.
fn processor() -> Option<String> {
    let name = if cfg!(target_os = "linux") {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        text.lines().find(|line| line.starts_with("model name"))?.split_once(':')?.1.trim().to_owned()
    } else if cfg!(target_os = "macos") {
        let output = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().to_owned()
    } else {
        std::env::var("PROCESSOR_IDENTIFIER").ok()?
    };
    (!name.is_empty()).then_some(name)
}
