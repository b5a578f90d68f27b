//! An open device: its limits, its queue, and what it complained of.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::adapters::{Adapter, AdapterKind, AdapterSummary};
use super::stored::StoredPipelines;
use super::{Error, PipelineCache, Result};

/// Storage buffers that one dispatch may bind. Every adapter has this many, so a kernel that fits here fits everywhere.
pub const STORAGE_BUFFERS: u32 = 8;

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Keep the bounds, loop and division checks that wgpu adds to shaders. Slower; for tests and for hunting faults.
    pub checked: bool,
    /// Lower the most bytes that one binding can see, to try on any machine what happens on a small one.
    pub max_binding_bytes: Option<u64>,
    /// Let a timer read the device's clock, where it has one. For benchmarks; training needs none.
    pub timestamps: bool,
    /// The folder where compiled pipelines are kept for the next process, where the backend gives them out.
    pub pipelines: Option<PathBuf>,
}

/// Which family of kernels suits a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceClass {
    /// Shaders run on the processor: barriers and workgroup memory are dear, registers cheap.
    Software,
    /// A GPU.
    Hardware,
}

impl std::fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Software => "software",
            Self::Hardware => "hardware",
        })
    }
}

impl std::str::FromStr for DeviceClass {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "software" => Ok(Self::Software),
            "hardware" => Ok(Self::Hardware),
            _ => Err("expected hardware or software".to_owned()),
        }
    }
}

/// An open device. Clones are the same device.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Makes buffers, pipelines and encoders.
    pub(crate) device: wgpu::Device,
    /// Takes finished encoders.
    pub(crate) queue: wgpu::Queue,
    /// What the adapter is.
    pub summary: Arc<AdapterSummary>,
    /// Whether shaders keep wgpu's checks.
    pub checked: bool,
    limits: wgpu::Limits,
    pipelines: Arc<PipelineCache>,
    stored: Option<Arc<StoredPipelines>>,
    complaints: Arc<Mutex<Complaints>>,
}

/// What wgpu reported outside any call that could return it.
#[derive(Debug, Default)]
struct Complaints {
    lost: Option<String>,
    /// The first only: later ones are mostly its consequences.
    error: Option<String>,
}

impl Gpu {
    /// Opens an adapter with the limits that we use. Subgroups are asked for where the adapter has them, for kernels that a
    /// trial finds faster with them; beside that only [`OpenOptions::timestamps`] and [`OpenOptions::pipelines`] ask for an
    /// optional feature.
    ///
    /// # Errors
    /// [`Error::Open`] with the driver's reason.
    pub fn open(adapter: &Adapter, summary: AdapterSummary, options: OpenOptions) -> Result<Self> {
        let Adapter(adapter) = adapter;
        let limits = wanted_limits(&adapter.limits(), &options);
        let mut wanted = wgpu::Features::empty();
        wanted.insert(wgpu::Features::SUBGROUP);
        wanted.set(wgpu::Features::TIMESTAMP_QUERY, options.timestamps);
        wanted.set(wgpu::Features::PIPELINE_CACHE, options.pipelines.is_some());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("polyscene"),
            required_features: adapter.features() & wanted,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::Open { adapter: summary.name.clone(), reason: error.to_string() })?;

        let complaints = Arc::new(Mutex::new(Complaints::default()));
        let slot = Arc::clone(&complaints);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&slot).error.get_or_insert_with(|| describe(&error));
        }));
        let slot = Arc::clone(&complaints);
        device.set_device_lost_callback(move |reason, message| {
            // We destroy a device only by dropping it, and then nobody is left to tell.
            if reason != wgpu::DeviceLostReason::Destroyed {
                lock(&slot).lost.get_or_insert(message);
            }
        });
        let folder = options.pipelines.as_deref();
        let stored = folder.and_then(|folder| StoredPipelines::open(&device, &adapter.get_info(), folder));
        Ok(Self {
            device,
            queue,
            summary: Arc::new(summary),
            checked: options.checked,
            limits,
            pipelines: Arc::default(),
            stored: stored.map(Arc::new),
            complaints,
        })
    }

    /// The adapter's name, for messages.
    pub fn name(&self) -> &str {
        &self.summary.name
    }

    /// Which family of kernels suits this device.
    pub fn class(&self) -> DeviceClass {
        match self.summary.kind {
            AdapterKind::Software => DeviceClass::Software,
            _ => DeviceClass::Hardware,
        }
    }

    /// Invocations of its subgroups, at least; none where kernels cannot use them.
    pub fn least_subgroup(&self) -> Option<u32> {
        let (least, _) = self.summary.subgroup_sizes?;
        (least.is_power_of_two() && least >= 4).then_some(least.min(128))
    }

    /// Checks that kernels which count on subgroups of at least `asked` invocations can run: on others they would compute
    /// something else.
    ///
    /// # Errors
    /// [`Error::Subgroups`].
    pub fn check_subgroup(&self, asked: Option<u32>) -> Result<()> {
        let enough = |asked: u32| self.least_subgroup().is_some_and(|least| least >= asked);
        match asked.filter(|&asked| !enough(asked)) {
            None => Ok(()),
            Some(asked) => {
                Err(Error::Subgroups { adapter: self.summary.name.clone(), asked, least: self.least_subgroup() })
            }
        }
    }

    /// The pipelines built for this device: whatever runs on it again finds them.
    pub(crate) fn pipelines(&self) -> &PipelineCache {
        &self.pipelines
    }

    /// What new pipelines are compiled by way of, where they are kept for later processes.
    pub(super) fn stored(&self) -> Option<&wgpu::PipelineCache> {
        self.stored.as_ref().map(|stored| &stored.cache)
    }

    /// Keeps the pipelines that were compiled so far for the next process, where [`OpenOptions::pipelines`] says where.
    pub fn keep_pipelines(&self) {
        if let Some(stored) = &self.stored {
            stored.keep();
        }
    }

    /// The limits the device was opened with.
    pub(crate) fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// Most bytes that one storage binding can see: a multiple of 256, so that shards of a buffer can start there.
    pub fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.max_buffer_bytes()) / 256 * 256
    }

    /// Most bytes of one buffer.
    pub fn max_buffer_bytes(&self) -> u64 {
        self.limits.max_buffer_size
    }

    /// The distance in bytes between uniform structs of `bytes` bytes that are bound with a dynamic offset.
    pub fn uniform_stride(&self, bytes: u64) -> u64 {
        bytes.max(1).next_multiple_of(self.limits.min_uniform_buffer_offset_alignment.into())
    }

    /// Says whether all is well so far. wgpu reports many faults late and to a callback; call this where the results
    /// of earlier commands are about to be trusted. A fault stays: a device that failed once is not to be used again.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Device`].
    pub fn check(&self) -> Result<()> {
        let complaints = lock(&self.complaints);
        let adapter = || self.summary.name.clone();
        if let Some(reason) = complaints.lost.clone() {
            return Err(Error::DeviceLost { adapter: adapter(), reason });
        }
        match complaints.error.clone() {
            Some(reason) => Err(Error::Device { adapter: adapter(), reason }),
            None => Ok(()),
        }
    }

    /// Submits one encoder's commands.
    pub(crate) fn submit(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        self.queue.submit([encoder.finish()])
    }

    /// A new encoder.
    pub(crate) fn encoder(&self, label: &str) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) })
    }

    /// Runs the callbacks of finished work, and returns at once.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn poll(&self) -> Result<()> {
        self.drive(|| self.device.poll(wgpu::PollType::Poll))
    }

    /// Waits for all submitted work.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn wait(&self) -> Result<()> {
        self.drive(|| self.device.poll(wgpu::PollType::wait_indefinitely()))
    }

    /// Waits for one submission and those before it; later ones go on.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn wait_for(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        self.drive(|| self.device.poll(wait))
    }

    fn drive(&self, poll: impl FnOnce() -> Result<wgpu::PollStatus, wgpu::PollError>) -> Result<()> {
        // wgpu panics in poll when the driver says that the device is lost, which a long dispatch under a watchdog
        // can bring about: the one panic of its that users can meet, so it becomes an error here.
        let polled = catch_unwind(AssertUnwindSafe(poll));
        if let Err(panic) = &polled {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let reason = text.unwrap_or("the driver reported an error while waiting").to_owned();
            lock(&self.complaints).lost.get_or_insert(reason);
        }
        self.check()?;
        match polled {
            Ok(Err(error)) => Err(Error::Device { adapter: self.name().to_owned(), reason: error.to_string() }),
            _ => Ok(()),
        }
    }

    /// Workgroup counts along x, y, z that cover `workgroups` in all, where one dimension may not have so many. The
    /// shader numbers them `y * num_workgroups.x + x` and leaves out those beyond the end, of which there are fewer than
    /// rows.
    /// None when two dimensions are too few.
    pub fn fold(&self, workgroups: u64) -> Option<[u32; 3]> {
        let limit = u64::from(self.limits.max_compute_workgroups_per_dimension);
        let workgroups = workgroups.max(1);
        let rows = workgroups.div_ceil(limit);
        let columns = workgroups.div_ceil(rows);
        (rows <= limit).then_some([columns as u32, rows as u32, 1])
    }

    /// Runs `make`, and returns what it made together with the first error that wgpu raised meanwhile on this thread.
    pub(super) fn catching<T>(&self, make: impl FnOnce() -> T) -> (T, Option<wgpu::Error>) {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        let memory = pollster::block_on(memory.pop());
        // Out of memory first: a validation error beside it is its consequence.
        (made, memory.or(internal).or(validation))
    }
}

/// WebGPU's defaults, lowered where the adapter has less, and raised to what it has where we make use of more.
fn wanted_limits(has: &wgpu::Limits, options: &OpenOptions) -> wgpu::Limits {
    let binding = has.max_storage_buffer_binding_size;
    wgpu::Limits {
        max_storage_buffer_binding_size: options.max_binding_bytes.map_or(binding, |max| max.min(binding)),
        max_buffer_size: has.max_buffer_size,
        // Not raised: a kernel that needs more would fail elsewhere, so it shall fail here.
        max_storage_buffers_per_shader_stage: has.max_storage_buffers_per_shader_stage.min(STORAGE_BUFFERS),
        max_compute_workgroup_storage_size: has.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: has.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: has.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: has.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: has.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: has.max_compute_workgroups_per_dimension,
        ..wgpu::Limits::defaults().or_worse_values_from(has)
    }
    .using_alignment(has.clone())
}

/// wgpu's description, which leaves out the cause of an out-of-memory error.
pub(super) fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { source } => format!("out of memory: {source}"),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            description.trim().to_owned()
        }
    }
}

fn lock<T>(slot: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is guarded is a note, whole at any time.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    #[test]
    fn opens_with_our_limits() {
        let Some(gpu) = testing::software() else {
            return;
        };
        assert!(gpu.limits().max_storage_buffers_per_shader_stage <= STORAGE_BUFFERS);
        assert!(gpu.max_binding_bytes() >= 64 << 20);
        assert_eq!(gpu.max_binding_bytes() % 256, 0);
        assert!(gpu.uniform_stride(48) >= 48);
        gpu.wait().unwrap();
    }

    #[test]
    fn a_lowered_binding_limit_is_the_devices_limit() {
        let options = OpenOptions { max_binding_bytes: Some(65_536), ..OpenOptions::default() };
        let Some(gpu) = testing::software_with(options) else {
            return;
        };
        assert_eq!(gpu.max_binding_bytes(), 65_536);
        assert_eq!(gpu.device.limits().max_storage_buffer_binding_size, 65_536);
    }

    #[test]
    fn faults_outside_a_call_surface_in_check() {
        let Some(gpu) = testing::software() else {
            return;
        };
        gpu.check().unwrap();
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("odd"),
            size: 16,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        // Not allowed: the buffer has no COPY_DST.
        gpu.queue.write_buffer(&buffer, 0, &[0; 16]);
        let text = gpu.check().unwrap_err().to_string();
        assert!(text.contains("COPY_DST") && text.contains(gpu.name()), "{text}");
        assert!(gpu.wait().is_err());
    }

    #[test]
    fn a_panic_over_a_lost_device_is_an_error_that_stays() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let text = gpu.drive(|| panic!("Error in Device::poll: {}", "Parent device is lost")).unwrap_err().to_string();
        assert!(text.contains("was lost: Error in Device::poll: Parent device is lost"), "{text}");
        assert!(matches!(gpu.clone().check(), Err(Error::DeviceLost { .. })));
    }

    #[test]
    fn workgroups_fold_into_two_dimensions() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let limit = u64::from(gpu.limits().max_compute_workgroups_per_dimension);
        assert_eq!(gpu.fold(0), Some([1, 1, 1]));
        assert_eq!(gpu.fold(limit), Some([limit as u32, 1, 1]));
        for workgroups in [limit + 1, 3 * limit + 7, limit * limit] {
            let [x, y, z] = gpu.fold(workgroups).unwrap().map(u64::from);
            assert!(x <= limit && y <= limit && z == 1);
            assert!(x * y >= workgroups && x * y - workgroups < y, "{x} x {y}");
        }
        assert_eq!(gpu.fold(limit * limit + 1), None);
    }
}
