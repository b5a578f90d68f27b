//! Every shader that a plan can ask for, with every set of constants: valid, within the limits that all devices have,
//! and expressible for Vulkan, Metal and Direct3D.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use polyscene::bench::workload::Workload;
use polyscene::check::data::training;
use polyscene::gpu::{BindingKind, DeviceClass, Shader, ShaderSource};
use polyscene::models;
use polyscene::ops::{SHADERS, StepUniforms, import_text};
use polyscene::plan::{DispatchLimits, Plan, TrainingOptions, Tuning};
use rayon::prelude::*;

const STAGE: naga::ShaderStage = naga::ShaderStage::Compute;

/// The variants of all plans, by their texts: for both classes of devices, with tables and activations in one buffer and
/// in several.
fn variants() -> BTreeMap<String, Shader> {
    // A GPU's segments differ from plan to plan, and take long to judge.
    let sizes: [(DeviceClass, &[u64]); 2] =
        [(DeviceClass::Software, &[1 << 10, 1 << 15, 1 << 27]), (DeviceClass::Hardware, &[1 << 10, 1 << 27])];
    let limits =
        |(class, sizes): (DeviceClass, &'static [u64])| sizes.iter().map(move |&b| DispatchLimits::new(b, class));
    let limits: Vec<DispatchLimits> = sizes.into_iter().flat_map(limits).collect();
    let mut plans: Vec<(Plan, DispatchLimits)> = crate::common::variants::all_plans()
        .into_iter()
        .flat_map(|(_, plan)| limits.iter().map(|&limits| (plan.clone(), limits)).collect::<Vec<_>>())
        .collect();
    // What else may be chosen for a device, and mixed precision, change the same few lines in all.
    for model in models::SYSTEMS {
        let graph = Workload::new(model, 67, 200).graph().unwrap();
        let portable = |tuning| DispatchLimits { binding_bytes: 1 << 27, tuning };
        let [hardware, software] = [DeviceClass::Hardware, DeviceClass::Software].map(Tuning::of_class);
        let other = Tuning { block: Some(16), grad_tile: 32, ..hardware };
        plans.push((Plan::training(&graph, &training(67)), portable(other)));
        let mixed = Plan::training(&graph, &TrainingOptions { mixed_precision: true, ..training(67) });
        let small = DispatchLimits { binding_bytes: 1 << 15, tuning: software };
        plans.extend([portable(hardware), portable(software), small].map(|limits| (mixed.clone(), limits)));
    }
    let shaders = |(plan, limits): &(Plan, DispatchLimits)| {
        let shaders = plan.dispatches(limits).into_iter().map(|dispatch| dispatch.expand().unwrap());
        shaders.map(|shader| (shader.text().to_string(), shader)).collect::<Vec<_>>()
    };
    plans.par_iter().flat_map_iter(shaders).collect()
}

/// Checks one expanded shader; it counts on no feature that a device may lack. Every backend can take halves apart.
fn check(shader: &Shader) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let module = naga::front::wgsl::parse_str(shader.text()).map_err(|error| text(&error))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32);
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(shader.text()))?;
    shader.check_barriers().map_err(|error| text(&error))?;

    let reflection = shader.reflect().map_err(|error| text(&error))?;
    let invocations: u32 = reflection.workgroup_size.iter().product();
    let storage = reflection.bindings.iter().filter(|binding| binding.kind != BindingKind::Uniform).count();
    if invocations > 256 || storage > 8 || reflection.workgroup_bytes > 16 << 10 {
        let bytes = reflection.workgroup_bytes;
        return Err(format!("{invocations} invocations, {storage} storage buffers, {bytes} bytes of workgroup memory"));
    }

    let point = spv::PipelineOptions { shader_stage: STAGE, entry_point: "main".to_owned() };
    spv::write_vec(&module, &info, &spv::Options::default(), Some(&point))
        .map_err(|error| format!("SPIR-V: {error}"))?;
    let entry_point = Some((STAGE, "main".to_owned()));
    let point = msl::PipelineOptions { entry_point: entry_point.clone(), ..Default::default() };
    msl::write_string(&module, &info, &msl::Options::default(), &point).map_err(|error| format!("MSL: {error}"))?;
    let (options, point) = (hlsl::Options::default(), hlsl::PipelineOptions { entry_point });
    let mut out = String::new();
    hlsl::Writer::new(&mut out, &options, &point)
        .write(&module, &info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    Ok(())
}

#[test]
fn every_variant_is_valid_everywhere() {
    let variants = variants();
    println!("{} variants", variants.len());
    // For other compilers to read (tests/tint.mjs).
    if let Ok(folder) = std::env::var("POLYSCENE_WRITE_SHADERS") {
        std::fs::create_dir_all(&folder).unwrap();
        for (number, (text, shader)) in variants.iter().enumerate() {
            std::fs::write(format!("{folder}/{number:05}-{}.wgsl", shader.name()), text).unwrap();
        }
    }
    let used: BTreeSet<&str> = variants.values().flat_map(Shader::files).map(String::as_str).collect();
    for (path, _) in SHADERS {
        assert!(used.contains(format!("shaders/{path}.wgsl").as_str()), "no plan uses {path}");
    }
    // On all processors: this is the last of the long tests.
    let faults: Vec<String> = variants
        .par_iter()
        .filter_map(|(text, shader)| Some(format!("{}: {}\n{text}", shader.name(), check(shader).err()?)))
        .collect();
    assert!(faults.is_empty(), "{} faults, the first:\n{}", faults.len(), faults[0]);
}

#[test]
fn every_file_is_valid_as_it_stands() {
    for &(path, text) in SHADERS {
        let shader = ShaderSource::new(path, text).expand(import_text).unwrap();
        if let Err(fault) = check(&shader) {
            panic!("{path}: {fault}");
        }
    }
}

#[test]
fn the_shaders_that_measure_ceilings_are_valid_everywhere() {
    for workgroup in [64, 128] {
        for shader in polyscene::bench::shader_variants(workgroup).unwrap() {
            if let Err(fault) = check(&shader) {
                panic!("{}: {fault}", shader.name());
            }
        }
    }
}

#[test]
fn the_step_uniforms_are_laid_out_as_shaders_see_them() {
    let (path, text) = SHADERS[0];
    let layout = ShaderSource::new(path, text).expand(import_text).unwrap().struct_layout("StepUniforms").unwrap();
    let members = [
        ("rows", offset_of!(StepUniforms, rows)),
        ("batch_offset", offset_of!(StepUniforms, batch_offset)),
        ("batch_index", offset_of!(StepUniforms, batch_index)),
        ("first_result", offset_of!(StepUniforms, first_result)),
        ("seed", offset_of!(StepUniforms, seed)),
        ("step", offset_of!(StepUniforms, step)),
        ("learning_rate", offset_of!(StepUniforms, learning_rate)),
        ("inverse_rows", offset_of!(StepUniforms, inverse_rows)),
        ("tokens", offset_of!(StepUniforms, tokens)),
    ];
    assert_eq!(layout.members, members.map(|(name, offset)| (name.to_owned(), offset as u32)));
    assert_eq!(layout.size as usize, size_of::<StepUniforms>());
}
