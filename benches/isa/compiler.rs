//! The shader compiler of Mesa's RADV, for an AMD GPU that need not be there: its null device makes machine code and tells
//! what it is like, but runs nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use ash::vk;
use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use polyscene::gpu::{BindingKind, Shader};
use serde::Serialize;

/// What the compiler tells of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Statistics {
    /// Vector registers of a lane.
    pub(crate) vgprs: u64,
    /// Scalar registers of a wave.
    pub(crate) sgprs: u64,
    /// Bytes of workgroup memory.
    pub(crate) lds: u64,
    /// Waves that a SIMD unit can hold at once.
    pub(crate) subgroups_per_simd: u64,
    /// Registers that did not fit, vector and scalar.
    pub(crate) spilled: u64,
    /// Bytes of scratch memory of a wave.
    pub(crate) scratch: u64,
    /// Instructions.
    pub(crate) instructions: u64,
    /// Estimated cycles of one wave when alone, each loop gone through once.
    pub(crate) latency: u64,
}

/// Where packages describe Vulkan drivers to the loader.
const DRIVERS: &str = "/usr/share/vulkan/icd.d";

/// The description of Mesa's AMD driver; its name ends differently from one package to another.
pub(crate) fn driver() -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(DRIVERS).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Not that for other processors than this one.
        name.starts_with("radeon_icd") && !name.contains("i686") && !name.contains("i386")
    })
}

/// Has the Vulkan loader of this process offer the null device and nothing else; before any thread is there.
///
/// # Errors
/// Where the driver is not installed.
pub(crate) fn choose(family: &str) -> anyhow::Result<()> {
    let Some(driver) = driver() else {
        bail!("no radeon_icd in {DRIVERS}: install Mesa's Vulkan drivers (Debian: mesa-vulkan-drivers)");
    };
    for (name, value) in [("RADV_FORCE_FAMILY", family.as_ref()), ("VK_ICD_FILENAMES", driver.as_os_str())] {
        // SAFETY: the caller has started no thread yet.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// An open null device.
pub(crate) struct Compiler {
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    /// The GPU that it compiles for.
    pub(crate) name: String,
    instance: ash::Instance,
    _entry: ash::Entry,
    /// What was told of shaders so far, by their texts.
    known: RefCell<HashMap<String, Statistics>>,
}

impl Compiler {
    /// Opens the device that [`choose`] chose.
    pub(crate) fn open() -> anyhow::Result<Self> {
        // SAFETY: all handles are used with the instance and device they come from, which live as long as they do.
        unsafe {
            let entry = ash::Entry::load().context("no Vulkan loader (Debian: libvulkan1)")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry.create_instance(&info, None)?;
            let physical = *instance.enumerate_physical_devices()?.first().context("RADV offers no device")?;
            let name = instance.get_physical_device_properties(physical).device_name_as_c_str()?.to_owned();
            let mut told =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let mut memory = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
            let queue = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let extensions = [ash::khr::pipeline_executable_properties::NAME.as_ptr()];
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queue)
                .enabled_extension_names(&extensions)
                .push_next(&mut told)
                .push_next(&mut memory);
            let device = instance.create_device(physical, &info, None)?;
            let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            let name = name.to_string_lossy().into_owned();
            Ok(Self { device, executables, name, instance, _entry: entry, known: RefCell::default() })
        }
    }

    /// Compiles a shader as wgpu would have it done without checks.
    pub(crate) fn compile(&self, shader: &Shader) -> anyhow::Result<Statistics> {
        let text = shader.text().to_string();
        if let Some(known) = self.known.borrow().get(&text) {
            return Ok(known.clone());
        }
        let told = self.compile_anew(shader)?;
        self.known.borrow_mut().insert(text, told.clone());
        Ok(told)
    }

    fn compile_anew(&self, shader: &Shader) -> anyhow::Result<Statistics> {
        let words = spirv(shader)?;
        // SAFETY: as above; everything made is destroyed before this returns, or with the process where it fails.
        unsafe {
            let mut sets = Vec::new();
            for group in 0..2 {
                let bindings: Vec<_> = shader
                    .reflect()?
                    .group(group)
                    .map(|binding| {
                        let kind = match binding.kind {
                            BindingKind::Uniform => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
                            _ => vk::DescriptorType::STORAGE_BUFFER,
                        };
                        vk::DescriptorSetLayoutBinding::default()
                            .binding(binding.binding)
                            .descriptor_type(kind)
                            .descriptor_count(1)
                            .stage_flags(vk::ShaderStageFlags::COMPUTE)
                    })
                    .collect();
                let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
                sets.push(self.device.create_descriptor_set_layout(&info, None)?);
            }
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&info, None)?;
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let pipelines = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline =
                pipelines.map_err(|(_, error)| error).with_context(|| format!("{}: RADV", shader.name()))?[0];
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let told = self.executables.get_pipeline_executable_statistics(&info)?;
            self.device.destroy_pipeline(pipeline, None);
            self.device.destroy_shader_module(module, None);
            self.device.destroy_pipeline_layout(layout, None);
            for set in sets {
                self.device.destroy_descriptor_set_layout(set, None);
            }
            statistics(&told)
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: nothing of the device is left.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

fn spirv(shader: &Shader) -> anyhow::Result<Vec<u32>> {
    let module = naga::front::wgsl::parse_str(shader.text())?;
    let capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SUBGROUP;
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module)?;
    let unchecked = naga::proc::BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        // Vulkan 1.1, which subgroups came with.
        lang_version: (1, 3),
        bounds_check_policies: naga::proc::BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let point = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".to_owned() };
    Ok(spv::write_vec(&module, &info, &options, Some(&point))?)
}

/// RADV's own names of what it tells.
fn statistics(told: &[vk::PipelineExecutableStatisticKHR<'_>]) -> anyhow::Result<Statistics> {
    let value = |name: &CStr| {
        let found = told.iter().find(|one| one.name_as_c_str().is_ok_and(|own| own == name));
        // SAFETY: RADV tells all of these as unsigned numbers.
        found.map(|one| unsafe { one.value.u64 }).with_context(|| format!("RADV does not tell {name:?}"))
    };
    Ok(Statistics {
        vgprs: value(c"VGPRs")?,
        sgprs: value(c"SGPRs")?,
        lds: value(c"LDS size")?,
        subgroups_per_simd: value(c"Subgroups per SIMD")?,
        spilled: value(c"Spilled VGPRs")? + value(c"Spilled SGPRs")?,
        scratch: value(c"Scratch size")?,
        instructions: value(c"Instructions")?,
        latency: value(c"Latency")?,
    })
}
