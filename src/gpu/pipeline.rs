//! Compute pipelines, each variant built once, with layouts read from the shader.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::device::{Gpu, describe};
use super::reflect::{BindingKind, ENTRY, Reflection};
use super::shader::Shader;
use super::{Error, Result};

/// The group of a dispatch's own buffers.
pub(crate) const BUFFERS: u32 = 0;
/// The group whose binding 0 is the uniform struct of the step, bound with a dynamic offset.
pub(crate) const UNIFORMS: u32 = 1;

/// A built shader and what the host must know to dispatch it.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// The shader's name.
    pub(crate) name: String,
    /// What a compute pass is given.
    pub(crate) pipeline: wgpu::ComputePipeline,
    /// What the shader binds.
    pub(crate) reflection: Reflection,
    layouts: Vec<Option<wgpu::BindGroupLayout>>,
}

impl Pipeline {
    /// The layout of a group, where the shader declares the group.
    pub(crate) fn layout(&self, group: u32) -> Option<&wgpu::BindGroupLayout> {
        self.layouts.get(group as usize)?.as_ref()
    }

    /// Whether group [`UNIFORMS`] must be set for a dispatch.
    pub(crate) fn has_uniforms(&self) -> bool {
        self.layout(UNIFORMS).is_some()
    }

    /// The bind group of a dispatch's buffers, given in the order of their binding numbers.
    ///
    /// # Errors
    /// [`Error::Pipeline`] when there are too many or too few, or one is too small, misaligned or of the wrong usage.
    pub(crate) fn bind(&self, gpu: &Gpu, buffers: &[wgpu::BufferBinding<'_>]) -> Result<wgpu::BindGroup> {
        let fault = |reason| self.fault(gpu, reason);
        let declared: Vec<_> = self.reflection.group(BUFFERS).collect();
        if declared.len() != buffers.len() {
            let names: Vec<_> = declared.iter().map(|binding| binding.name.as_str()).collect();
            let (wanted, given) = (names.join(", "), buffers.len());
            return Err(fault(format!("it binds {} buffers ({wanted}), and {given} were given", names.len())));
        }
        let layout = self.layout(BUFFERS).ok_or_else(|| fault("it binds no buffers".to_owned()))?;
        let entries: Vec<_> = declared
            .iter()
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: binding.binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        self.bind_group(gpu, layout, &entries)
    }

    /// The bind group of the step's uniform struct. It serves every pipeline that declares the same struct, and can
    /// stay set in a pass while pipelines change. The offset given with it is a multiple of [`Gpu::uniform_stride`].
    ///
    /// # Errors
    /// [`Error::Pipeline`] when the shader has none, or the buffer does not suit.
    pub(crate) fn bind_uniforms(&self, gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<wgpu::BindGroup> {
        let missing = || self.fault(gpu, format!("it has no uniform at @group({UNIFORMS}) @binding(0)"));
        let layout = self.layout(UNIFORMS).ok_or_else(missing)?;
        let binding = self.reflection.group(UNIFORMS).next().ok_or_else(missing)?;
        let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset: 0,
            size: NonZeroU64::new(binding.min_bytes.into()),
        });
        self.bind_group(gpu, layout, &[wgpu::BindGroupEntry { binding: 0, resource }])
    }

    fn bind_group(
        &self,
        gpu: &Gpu,
        layout: &wgpu::BindGroupLayout,
        entries: &[wgpu::BindGroupEntry<'_>],
    ) -> Result<wgpu::BindGroup> {
        let descriptor = wgpu::BindGroupDescriptor { label: Some(&self.name), layout, entries };
        let (group, error) = gpu.catching(|| gpu.device.create_bind_group(&descriptor));
        match error {
            None => Ok(group),
            Some(error) => Err(self.fault(gpu, describe(&error))),
        }
    }

    fn fault(&self, gpu: &Gpu, reason: String) -> Error {
        Error::Pipeline { shader: self.name.clone(), adapter: gpu.name().to_owned(), reason }
    }
}

/// The pipelines of one device, by the expanded text of their shaders.
#[derive(Debug, Default)]
pub(crate) struct PipelineCache {
    built: Mutex<HashMap<Arc<str>, Arc<Pipeline>>>,
}

impl PipelineCache {
    /// An empty cache. It must serve one device only.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many pipelines have been built.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    /// The pipeline of one shader, built unless it was before.
    ///
    /// # Errors
    /// [`Error::Shader`] for a fault in the text, [`Error::Pipeline`] for what this device cannot build.
    pub(crate) fn get(&self, gpu: &Gpu, shader: &Shader) -> Result<Arc<Pipeline>> {
        if let Some(found) = self.lock().get(shader.text()) {
            return Ok(Arc::clone(found));
        }
        // Not under the lock: others may want what is built already.
        let built = Arc::new(build(gpu, shader)?);
        Ok(Arc::clone(self.lock().entry(Arc::clone(shader.text())).or_insert(built)))
    }

    /// The pipelines of many shaders in their order, the missing ones built on all processors.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first shader at fault.
    pub(crate) fn get_all(&self, gpu: &Gpu, shaders: &[Shader]) -> Result<Vec<Arc<Pipeline>>> {
        let mut texts = HashMap::new();
        let variants: Vec<_> =
            shaders.iter().filter(|shader| texts.insert(Arc::clone(shader.text()), ()).is_none()).collect();
        let faults: Vec<_> = variants.par_iter().map(|shader| self.get(gpu, shader).err()).collect();
        if let Some(fault) = faults.into_iter().flatten().next() {
            return Err(fault);
        }
        shaders.iter().map(|shader| self.get(gpu, shader)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Pipeline>>> {
        // A panic elsewhere leaves the map whole.
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(gpu: &Gpu, shader: &Shader) -> Result<Pipeline> {
    let fault = |reason| Error::Pipeline { shader: shader.name().to_owned(), adapter: gpu.name().to_owned(), reason };
    let reflection = shader.reflect()?;
    fits(gpu, &reflection).map_err(fault)?;

    let source = wgpu::ShaderSource::Wgsl(shader.text().as_ref().into());
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(shader.name()), source };
    let (module, error) = gpu.catching(|| {
        if gpu.checked {
            gpu.device.create_shader_module(descriptor)
        } else {
            // SAFETY: the texts are this program's own, never a user's. They index by shapes that the plan made the
            // buffers for and by ids that were checked when the data was encoded, their loops are bounded by those
            // shapes, and they divide by constants above zero. The tests run every shader with the checks on too.
            unsafe { gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        }
    });
    if let Some(error) = error {
        let messages = pollster::block_on(module.get_compilation_info()).messages;
        let reason = messages
            .into_iter()
            .next()
            .map_or_else(|| describe(&error), |message| shader.fault(&message.message, message.location).to_string());
        return Err(fault(reason));
    }

    let (built, error) = gpu.catching(|| {
        let last = reflection.bindings.iter().map(|binding| binding.group).max();
        let layouts: Vec<_> =
            (0..last.map_or(0, |last| last + 1)).map(|group| layout(gpu, shader.name(), &reflection, group)).collect();
        let references: Vec<_> = layouts.iter().map(Option::as_ref).collect();
        let all = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name()),
            bind_group_layouts: &references,
            immediate_size: 0,
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name()),
            layout: Some(&all),
            module: &module,
            entry_point: Some(ENTRY),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Our shaders write workgroup memory before they read it; zeros first would cost time and a barrier.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: gpu.stored(),
        });
        (pipeline, layouts)
    });
    if let Some(error) = error {
        return Err(fault(describe(&error)));
    }
    let (pipeline, layouts) = built;
    Ok(Pipeline { name: shader.name().to_owned(), pipeline, reflection, layouts })
}

/// Says in our words what wgpu would say in its own, and keeps to our two groups.
fn fits(gpu: &Gpu, reflection: &Reflection) -> Result<(), String> {
    let limits = gpu.limits();
    for binding in &reflection.bindings {
        let uniforms = binding.binding == 0 && binding.kind == BindingKind::Uniform;
        if binding.group > UNIFORMS || (binding.group == UNIFORMS && !uniforms) {
            return Err(format!(
                "`{}` is at @group({}) @binding({}): buffers belong in group {BUFFERS}, and group {UNIFORMS} holds the \
                 step's uniform struct at binding 0",
                binding.name, binding.group, binding.binding
            ));
        }
    }
    let storage = reflection.bindings.iter().filter(|binding| binding.kind != BindingKind::Uniform).count();
    let max = limits.max_storage_buffers_per_shader_stage;
    if storage > max as usize {
        return Err(format!("it binds {storage} storage buffers, and the limit is {max}"));
    }
    let threads: u64 = reflection.workgroup_size.iter().map(|&n| u64::from(n)).product();
    let max = limits.max_compute_invocations_per_workgroup;
    if threads > u64::from(max) {
        return Err(format!("its workgroups have {threads} threads, and the limit is {max}"));
    }
    let (bytes, max) = (reflection.workgroup_bytes, limits.max_compute_workgroup_storage_size);
    if bytes > max {
        return Err(format!("its workgroups share {bytes} bytes of memory, and the limit is {max}"));
    }
    Ok(())
}

fn layout(gpu: &Gpu, label: &str, reflection: &Reflection, group: u32) -> Option<wgpu::BindGroupLayout> {
    let entries: Vec<_> = reflection
        .group(group)
        .map(|binding| wgpu::BindGroupLayoutEntry {
            binding: binding.binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match binding.kind {
                    BindingKind::StorageRead => wgpu::BufferBindingType::Storage { read_only: true },
                    BindingKind::StorageReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                    BindingKind::Uniform => wgpu::BufferBindingType::Uniform,
                },
                has_dynamic_offset: group == UNIFORMS,
                // Said here, sizes are checked once per bind group and not at every dispatch.
                min_binding_size: NonZeroU64::new(binding.min_bytes.into()),
            },
            count: None,
        })
        .collect();
    (!entries.is_empty()).then(|| {
        gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{OpenOptions, ShaderSource, buffer, testing};

    const COMMON: &str = "struct StepUniforms { step: u32, rate: f32 }\n\
        @group(1) @binding(0) var<uniform> uniforms: StepUniforms;\n\
        fn scaled(x: f32) -> f32 { return x * uniforms.rate; }\n";
    const AFFINE: &str = "#import uniforms\n\
        @group(0) @binding(0) var<storage, read> input: array<f32>;\n\
        @group(0) @binding(1) var<storage, read_write> output: array<f32>;\n\
        const LENGTH: u32 = 1u;\n\
        const SHIFT: f32 = 0.0;\n\
        @compute @workgroup_size(64)\n\
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n\
          if id.x < LENGTH { output[id.x] = scaled(input[id.x]) + SHIFT; }\n\
        }\n";
    const NEGATE: &str = "@group(0) @binding(0) var<storage, read_write> values: array<f32>;\n\
        @compute @workgroup_size(64)\n\
        fn main(@builtin(global_invocation_id) id: vec3<u32>) { values[id.x] = -values[id.x]; }\n";

    fn common(name: &str) -> Option<&'static str> {
        (name == "uniforms").then_some(COMMON)
    }

    fn affine(length: u32, shift: f32) -> Shader {
        let source = ShaderSource::new("affine", AFFINE).with("LENGTH", length).with("SHIFT", shift);
        source.expand(common).unwrap()
    }

    fn plain(name: &str, text: &'static str) -> Shader {
        ShaderSource::new(name, text).expand(|_| None).unwrap()
    }

    /// Three dispatches in one pass: imports, constants, the uniforms of both steps, and a pipeline between them
    /// that has none.
    #[test]
    fn dispatches_compute_what_the_text_says() {
        for checked in [false, true] {
            let Some(gpu) = testing::software_with(OpenOptions { checked, ..OpenOptions::default() }) else {
                return;
            };
            let cache = PipelineCache::new();
            let built = cache.get_all(&gpu, &[affine(100, 0.5), plain("negate", NEGATE), affine(90, 1.0)]).unwrap();
            let [first, negate, second] = &built[..] else { panic!("three pipelines") };

            let input: Vec<f32> = (0..100).map(|n| n as f32).collect();
            let x = buffer::storage_of(&gpu, "x", &input).unwrap();
            // As long as the threads that touch it, which NEGATE does not check.
            let y = buffer::storage(&gpu, "y", 128 * 4).unwrap();
            let z = buffer::storage(&gpu, "z", 128 * 4).unwrap();
            let stride = gpu.uniform_stride(8);
            let uniforms = buffer::uniform(&gpu, "step uniforms", stride * 2).unwrap();
            for (step, rate) in [(0u32, 2.0f32), (1, 3.0)] {
                let place = u64::from(step) * stride;
                buffer::upload(&gpu, &uniforms, place, &[step, rate.to_bits()]).unwrap();
            }
            let whole = wgpu::Buffer::as_entire_buffer_binding;
            let x_to_y = first.bind(&gpu, &[whole(&x), whole(&y)]).unwrap();
            let in_y = negate.bind(&gpu, &[whole(&y)]).unwrap();
            let y_to_z = second.bind(&gpu, &[whole(&y), whole(&z)]).unwrap();
            let uniforms = first.bind_uniforms(&gpu, &uniforms).unwrap();
            assert!(second.has_uniforms() && !negate.has_uniforms());

            let mut encoder = gpu.encoder("test");
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_bind_group(UNIFORMS, &uniforms, &[0]);
            for (pipeline, group) in [(first, &x_to_y), (negate, &in_y)] {
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(BUFFERS, group, &[]);
                pass.dispatch_workgroups(2, 1, 1);
            }
            pass.set_bind_group(UNIFORMS, &uniforms, &[stride as u32]);
            pass.set_pipeline(&second.pipeline);
            pass.set_bind_group(BUFFERS, &y_to_z, &[]);
            pass.dispatch_workgroups(2, 1, 1);
            drop(pass);
            gpu.submit(encoder);

            let result: Vec<f32> = buffer::download_as(&gpu, &z, 0, 128).unwrap();
            for (n, &value) in result.iter().enumerate() {
                let wanted = if n < 90 { -(n as f32 * 2.0 + 0.5) * 3.0 + 1.0 } else { 0.0 };
                assert_eq!(value, wanted, "at {n}, checked: {checked}");
            }
        }
    }

    /// The uniforms' group outlives changes of pipeline within a pass, so that a step sets it once.
    #[test]
    fn the_uniforms_stay_set_while_pipelines_change() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let cache = PipelineCache::new();
        let (affine, negate) = (affine(64, 0.0), plain("negate", NEGATE));
        let (affine, negate) = (cache.get(&gpu, &affine).unwrap(), cache.get(&gpu, &negate).unwrap());
        let x = buffer::storage_of(&gpu, "x", &[1.0f32; 64]).unwrap();
        let y = buffer::storage(&gpu, "y", 256).unwrap();
        let uniforms = buffer::uniform(&gpu, "step uniforms", gpu.uniform_stride(8)).unwrap();
        buffer::upload(&gpu, &uniforms, 4, &[5.0f32]).unwrap();
        let whole = wgpu::Buffer::as_entire_buffer_binding;
        let groups = [
            (&negate, negate.bind(&gpu, &[whole(&x)]).unwrap()),
            (&affine, affine.bind(&gpu, &[whole(&x), whole(&y)]).unwrap()),
            (&negate, negate.bind(&gpu, &[whole(&y)]).unwrap()),
            (&affine, affine.bind(&gpu, &[whole(&y), whole(&x)]).unwrap()),
        ];
        let uniforms = affine.bind_uniforms(&gpu, &uniforms).unwrap();
        let mut encoder = gpu.encoder("test");
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_bind_group(UNIFORMS, &uniforms, &[0]);
        for (pipeline, group) in &groups {
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(BUFFERS, group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        drop(pass);
        gpu.submit(encoder);
        assert_eq!(buffer::download_as::<f32>(&gpu, &x, 0, 64).unwrap(), [25.0; 64]);
    }

    #[test]
    fn one_text_is_one_pipeline() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let cache = PipelineCache::new();
        assert!(cache.len() == 0);
        let built = cache.get_all(&gpu, &[affine(1, 0.0), affine(2, 0.0), affine(1, 0.0)]).unwrap();
        assert_eq!(cache.len(), 2);
        assert!(Arc::ptr_eq(&built[0], &built[2]));
        assert!(Arc::ptr_eq(&built[1], &cache.get(&gpu, &affine(2, 0.0)).unwrap()));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn what_cannot_be_built_is_said_by_name() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let cache = PipelineCache::new();
        let fault = |name: &str, text| cache.get(&gpu, &plain(name, text)).unwrap_err().to_string();

        let text = fault("misspelt", "@compute @workgroup_size(64)\nfn main() { let x = foo(); }\n");
        assert!(text.starts_with("shaders/misspelt.wgsl:2:"), "{text}");
        let text = fault("wide", "@compute @workgroup_size(64, 64)\nfn main() {}\n");
        assert!(text.contains("wide") && text.contains("4096 threads"), "{text}");
        let text = fault(
            "far",
            "@group(2) @binding(0) var<storage, read> x: array<f32>;\n\
             @compute @workgroup_size(1) fn main() { _ = x[0]; }\n",
        );
        assert!(text.contains("`x` is at @group(2)"), "{text}");
        let nine: String = (0..9)
            .map(|n| format!("@group(0) @binding({n}) var<storage, read> x{n}: array<f32>;\n"))
            .chain(["@compute @workgroup_size(1) fn main() {}\n".to_owned()])
            .collect();
        let text = fault("nine", nine.leak());
        assert!(text.contains("9 storage buffers, and the limit is 8"), "{text}");
        let memory = "var<workgroup> x: array<f32, 100000>;\n@compute @workgroup_size(1) fn main() { x[0] = 1.0; }\n";
        let text = fault("greedy", memory);
        assert!(text.contains("400000 bytes"), "{text}");

        // In a batch too, and the others do not suffer.
        let batch = [affine(1, 0.0), plain("wide", "@compute @workgroup_size(64, 64)\nfn main() {}\n")];
        assert!(cache.get_all(&gpu, &batch).unwrap_err().to_string().contains("wide"));
        gpu.check().unwrap();
    }

    /// A text that is valid as such, and needs what the device was not opened with.
    #[test]
    fn what_the_device_lacks_is_reported_at_its_line() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let text = "@compute @workgroup_size(1)\nfn main() {\n  var x = 1.0lf;\n  x = x * 2.0lf;\n}\n";
        let error = PipelineCache::new().get(&gpu, &plain("double", text)).unwrap_err();
        assert!(matches!(error, Error::Pipeline { .. }), "{error}");
        assert!(error.to_string().contains("shaders/double.wgsl"), "{error}");
        gpu.check().unwrap();
    }

    #[test]
    fn bind_groups_are_checked_against_the_shader() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let negate = PipelineCache::new().get(&gpu, &plain("negate", NEGATE)).unwrap();
        let text = negate.bind(&gpu, &[]).unwrap_err().to_string();
        assert!(text.contains("it binds 1 buffers (values), and 0 were given"), "{text}");
        let uniform = buffer::uniform(&gpu, "no storage", 16).unwrap();
        assert!(negate.bind(&gpu, &[uniform.as_entire_buffer_binding()]).is_err());
        assert!(negate.bind_uniforms(&gpu, &uniform).unwrap_err().to_string().contains("no uniform"));
        gpu.check().unwrap();
    }
}
