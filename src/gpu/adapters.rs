//! The adapters of this machine, as a user sees them in `polyscene devices`.

use serde::Serialize;

/// What an adapter is made of, which decides whether `--device auto` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// The processor, pretending to be a GPU.
    Software,
    /// A GPU lent to a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
}

impl AdapterKind {
    fn of(kind: wgpu::DeviceType) -> Self {
        match kind {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::Cpu => Self::Software,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Other => Self::Other,
        }
    }
}

impl std::fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Software => "software",
            Self::Virtual => "virtual",
            Self::Other => "other",
        })
    }
}

/// Who made an adapter, as far as that says what suits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
    /// Apple.
    Apple,
    /// Arm, Qualcomm, Imagination and others of telephones and small boards.
    Mobile,
    /// The processor.
    Software,
    /// Someone else.
    Other,
}

impl Vendor {
    /// By the number that PCI or Khronos gave the maker.
    fn of(info: &wgpu::AdapterInfo) -> Self {
        match (info.device_type, info.vendor) {
            (wgpu::DeviceType::Cpu, _) => Self::Software,
            (_, 0x10de) => Self::Nvidia,
            (_, 0x1002 | 0x1022) => Self::Amd,
            (_, 0x8086) => Self::Intel,
            (_, 0x106b) => Self::Apple,
            (_, 0x13b5 | 0x5143 | 0x1010 | 0x14e4) => Self::Mobile,
            // Metal gives no numbers, and on today's machines there is but one maker.
            (_, 0) if info.backend == wgpu::Backend::Metal => Self::Apple,
            _ => Self::Other,
        }
    }
}

/// An adapter of this machine, to be opened by [`Gpu::open`](super::Gpu::open).
#[derive(Clone, Debug)]
pub struct Adapter(pub(super) wgpu::Adapter);

/// The limits that matter to training, under wgpu's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterLimits {
    /// Most bytes of a buffer that one shader binding can see; larger tables are cut into shards.
    pub max_storage_buffer_binding_size: u64,
    /// Most bytes of one buffer.
    pub max_buffer_size: u64,
    /// Most storage buffers in one dispatch.
    pub max_storage_buffers_per_shader_stage: u32,
    /// Most threads of one workgroup.
    pub max_compute_invocations_per_workgroup: u32,
    /// Most bytes of memory shared by one workgroup.
    pub max_compute_workgroup_storage_size: u32,
    /// Most workgroups in each of a dispatch's three dimensions.
    pub max_compute_workgroups_per_dimension: u32,
}

impl AdapterLimits {
    pub(super) fn of(limits: &wgpu::Limits) -> Self {
        Self {
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
        }
    }
}

/// One adapter: what `--device` can name, and what it can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterSummary {
    /// The number that `--device N` takes. It stays the same while drivers and cards do.
    pub index: usize,
    /// The driver's name for it, of which any part can be given to `--device`.
    pub name: String,
    /// What it is made of.
    pub kind: AdapterKind,
    /// Who made it.
    pub vendor: Vendor,
    /// The interface that reaches it: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// The driver's name; may be empty.
    pub driver: String,
    /// The driver's version, in its own words; may be empty.
    pub driver_info: String,
    /// The limits that matter.
    pub limits: AdapterLimits,
    /// Whether shaders can use half-precision numbers.
    pub f16: bool,
    /// Whether the time of each dispatch can be measured.
    pub timestamps: bool,
    /// Fewest and most threads of a subgroup, where shaders can use subgroup operations.
    pub subgroup_sizes: Option<(u32, u32)>,
}

impl AdapterSummary {
    /// The device and its driver, as what was learned of it is kept under.
    pub fn identity(&self) -> String {
        let Self { name, backend, driver, driver_info, .. } = self;
        format!("{name}, {backend}, {}", format!("{driver} {driver_info}").trim())
    }

    /// Asks an adapter what it is; `index` is its place in [`list`].
    fn new(index: usize, adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let features = adapter.features();
        Self {
            index,
            kind: AdapterKind::of(info.device_type),
            vendor: Vendor::of(&info),
            backend: info.backend.to_string(),
            driver: info.driver,
            driver_info: info.driver_info,
            limits: AdapterLimits::of(&adapter.limits()),
            f16: features.contains(wgpu::Features::SHADER_F16),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            subgroup_sizes: features
                .contains(wgpu::Features::SUBGROUP)
                .then_some((info.subgroup_min_size, info.subgroup_max_size)),
            name: info.name,
        }
    }
}

/// All adapters of this machine that can compute, each card once; empty where there is no driver at all.
pub fn list() -> Vec<AdapterSummary> {
    enumerate().into_iter().map(|(_, summary)| summary).collect()
}

/// As [`list`], with the adapters themselves.
pub(super) fn enumerate() -> Vec<(Adapter, AdapterSummary)> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // The environment may narrow the backends or switch the drivers' own validation on (WGPU_BACKEND,
    // WGPU_VALIDATION), or choose Direct3D's compiler (WGPU_DX12_COMPILER); by default nothing stands between us and the driver.
    descriptor.backends = (wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12).with_env();
    descriptor.backend_options = wgpu::BackendOptions::from_env_or_default();
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);

    let adapters: Vec<_> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .filter(|adapter| {
            let flags = adapter.get_downlevel_capabilities().flags;
            flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        })
        .collect();
    let identities: Vec<_> = adapters.iter().map(|adapter| Identity::from(adapter.get_info())).collect();
    let chosen = each_card_once(&identities);

    let mut adapters: Vec<_> = adapters.into_iter().map(Some).collect();
    chosen
        .into_iter()
        .filter_map(|place| adapters[place].take())
        .enumerate()
        .map(|(index, adapter)| {
            let summary = AdapterSummary::new(index, &adapter);
            (Adapter(adapter), summary)
        })
        .collect()
}

/// What tells whether two adapters of different backends are one card.
struct Identity {
    backend: wgpu::Backend,
    vendor: u32,
    device: u32,
    name: String,
}

impl From<wgpu::AdapterInfo> for Identity {
    fn from(info: wgpu::AdapterInfo) -> Self {
        Self { backend: info.backend, vendor: info.vendor, device: info.device, name: info.name }
    }
}

impl Identity {
    fn same_card(&self, other: &Self) -> bool {
        // Metal gives no numbers, so there the name must do.
        let numbered = self.vendor != 0 && self.device != 0 && other.vendor != 0 && other.device != 0;
        if numbered {
            (self.vendor, self.device) == (other.vendor, other.device)
        } else {
            self.name.eq_ignore_ascii_case(&other.name)
        }
    }
}

/// The places of the adapters to keep, best backend first. Two equal cards behind one backend are two cards; one
/// card behind two backends is kept only for the better of them.
fn each_card_once(identities: &[Identity]) -> Vec<usize> {
    // Metal first: where Metal exists, Vulkan is a translation of it.
    const PREFERENCE: [wgpu::Backend; 3] = [wgpu::Backend::Metal, wgpu::Backend::Vulkan, wgpu::Backend::Dx12];
    let mut kept: Vec<usize> = Vec::new();
    for backend in PREFERENCE {
        // Each kept card may stand for one adapter of this backend.
        let mut unmatched = kept.clone();
        for (place, identity) in identities.iter().enumerate().filter(|(_, identity)| identity.backend == backend) {
            match unmatched.iter().position(|&earlier| identities[earlier].same_card(identity)) {
                Some(found) => drop(unmatched.swap_remove(found)),
                None => kept.push(place),
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(backend: wgpu::Backend, vendor: u32, device: u32, name: &str) -> Identity {
        Identity { backend, vendor, device, name: name.to_owned() }
    }

    #[test]
    fn one_card_behind_two_backends_is_listed_once() {
        use wgpu::Backend::{Dx12, Vulkan};
        let seen = [
            card(Dx12, 0x10de, 0x2684, "NVIDIA GeForce RTX 4090"),
            card(Dx12, 0x1414, 0x008c, "Microsoft Basic Render Driver"),
            card(Vulkan, 0x10de, 0x2684, "NVIDIA GeForce RTX 4090"),
        ];
        assert_eq!(each_card_once(&seen), [2, 1]);
    }

    #[test]
    fn two_equal_cards_are_two_cards() {
        use wgpu::Backend::{Dx12, Vulkan};
        let seen = [
            card(Vulkan, 0x1002, 0x73bf, "Radeon RX 6800"),
            card(Vulkan, 0x1002, 0x73bf, "Radeon RX 6800"),
            card(Dx12, 0x1002, 0x73bf, "AMD Radeon RX 6800"),
            card(Dx12, 0x1002, 0x73bf, "AMD Radeon RX 6800"),
        ];
        assert_eq!(each_card_once(&seen), [0, 1]);
    }

    #[test]
    fn metal_is_preferred_to_its_translation() {
        use wgpu::Backend::{Metal, Vulkan};
        let seen = [card(Vulkan, 0x106b, 0xa140, "Apple M3"), card(Metal, 0, 0, "Apple M3")];
        assert_eq!(each_card_once(&seen), [1]);
    }

    #[test]
    fn numbers_count_from_zero() {
        for (index, summary) in list().iter().enumerate() {
            assert_eq!(summary.index, index);
            assert!(summary.limits.max_buffer_size > 0);
        }
    }

    #[test]
    fn a_summary_serialises_with_the_names_users_see() {
        let Some(gpu) = crate::gpu::testing::software() else {
            return;
        };
        let value = serde_json::to_value(&*gpu.summary).unwrap();
        assert_eq!(value["kind"], gpu.summary.kind.to_string());
        assert!(value["limits"]["max_storage_buffer_binding_size"].is_u64());
    }
}
