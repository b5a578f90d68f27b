//! Every shader that a plan can ask for, with every set of constants: valid, within the limits that all devices have,
//! and expressible for Vulkan, Metal and Direct3D.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::mem::offset_of;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use polyscene::bench::workload::Workload;
use polyscene::check::data::training;
use polyscene::gpu::{BindingKind, DeviceClass, Reflection, Shader, ShaderSource};
use polyscene::models;
use polyscene::ops::{SHADERS, StepUniforms, import_text};
use polyscene::plan::{DispatchLimits, Plan, Resource, TrainingOptions, Tuning};
use rayon::prelude::*;

use crate::common::variants::{all_plans, without_numbers};
use crate::common::{covering, every_case};

const STAGE: naga::ShaderStage = naga::ShaderStage::Compute;

struct Variant {
    shader: Shader,
    /// What dispatches bind to it.
    bound: HashSet<Vec<Resource>>,
}

/// The variants of all plans, by their texts: for both classes of devices, with tables and activations in one buffer and
/// in several.
fn variants() -> BTreeMap<String, Variant> {
    // A GPU's segments differ from plan to plan, and take long to judge.
    let sizes: [(DeviceClass, &[u64]); 2] =
        [(DeviceClass::Software, &[1 << 10, 1 << 15, 1 << 27]), (DeviceClass::Hardware, &[1 << 10, 1 << 27])];
    let limits =
        |(class, sizes): (DeviceClass, &'static [u64])| sizes.iter().map(move |&b| DispatchLimits::new(b, class));
    let limits: Vec<DispatchLimits> = sizes.into_iter().flat_map(limits).collect();
    let mut plans: Vec<(Plan, DispatchLimits)> = all_plans()
        .into_iter()
        .flat_map(|(_, plan)| limits.iter().map(|&limits| (plan.clone(), limits)).collect::<Vec<_>>())
        .collect();
    // What else may be chosen for a device, and mixed precision, change the same few lines in all.
    for model in models::SYSTEMS {
        let graph = Workload::new(model, 67, 200).graph().unwrap();
        let portable = |tuning| DispatchLimits { binding_bytes: 1 << 27, tuning };
        let [hardware, software] = [DeviceClass::Hardware, DeviceClass::Software].map(Tuning::of_class);
        let other = Tuning { block: Some(16), grad_tile: 32, ..hardware };
        let [few, many] = [4, 8].map(|least| Tuning { subgroup: Some(least), ..hardware });
        let plan = Plan::training(&graph, &training(67));
        plans.extend([other, few, many].map(|tuning| (plan.clone(), portable(tuning))));
        let mixed = Plan::training(&graph, &TrainingOptions { mixed_precision: true, ..training(67) });
        let small = DispatchLimits { binding_bytes: 1 << 15, tuning: software };
        plans.extend([portable(hardware), portable(software), small].map(|limits| (mixed.clone(), limits)));
    }
    let shaders = |(plan, limits): &(Plan, DispatchLimits)| {
        let dispatches = plan.dispatches(limits).into_iter();
        dispatches.map(|dispatch| (dispatch.expand().unwrap(), dispatch.resources)).collect::<Vec<_>>()
    };
    let mut variants = BTreeMap::new();
    for (shader, resources) in plans.par_iter().flat_map_iter(shaders).collect::<Vec<_>>() {
        let text = shader.text().to_string();
        let variant = variants.entry(text).or_insert_with(|| Variant { shader, bound: HashSet::new() });
        variant.bound.insert(resources);
    }
    variants
}

/// What a shader declares, without numbers, and those that tell names of parts apart.
fn declarations(text: &str) -> HashSet<String> {
    let is_first = |line: &str| ["fn ", "const ", "struct ", "@", "var<"].iter().any(|word| line.starts_with(word));
    let mut declarations: Vec<String> = vec![String::new()];
    for line in text.lines() {
        if is_first(line) {
            declarations.push(String::new());
        }
        let last = declarations.last_mut().expect("there is one");
        last.extend(line.chars().filter(|letter| !letter.is_ascii_digit() && *letter != '_'));
        last.push('\n');
    }
    declarations.into_iter().collect()
}

/// Whether each buffer of a dispatch is bound in one way: wgpu lets none be read through one binding and written through
/// another, even in different parts.
fn check_bindings(reflection: &Reflection, resources: &[Resource]) -> Result<(), String> {
    let bindings: Vec<_> = reflection.group(0).collect();
    if bindings.len() != resources.len() {
        return Err(format!("{} bindings for {resources:?}", bindings.len()));
    }
    let mut seen: HashMap<Resource, BindingKind> = HashMap::new();
    for (binding, &resource) in bindings.iter().zip(resources) {
        // All dispatches' descriptors lie in one buffer.
        let buffer = match resource {
            Resource::Descriptors { .. } => Resource::Descriptors { first: 0, count: 0 },
            other => other,
        };
        if *seen.entry(buffer).or_insert(binding.kind) != binding.kind {
            return Err(format!("{resource:?} is bound in two ways, the second is `{}`", binding.name));
        }
    }
    Ok(())
}

/// Checks one expanded shader, and reads off what it binds; it counts on no feature that a device may lack, but on subgroups
/// where it uses them. Every backend can take halves apart.
fn check(shader: &Shader) -> Result<Reflection, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let module = naga::front::wgsl::parse_str(shader.text()).map_err(|error| text(&error))?;
    let subgroups = shader.text().contains("subgroup");
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(Capabilities::SUBGROUP, subgroups);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(shader.text()))?;

    let reflection = shader.check().map_err(|error| text(&error))?;
    let invocations: u32 = reflection.workgroup_size.iter().product();
    let storage = reflection.bindings.iter().filter(|binding| binding.kind != BindingKind::Uniform).count();
    if invocations > 256 || storage > 8 || reflection.workgroup_bytes > 16 << 10 {
        let bytes = reflection.workgroup_bytes;
        return Err(format!("{invocations} invocations, {storage} storage buffers, {bytes} bytes of workgroup memory"));
    }

    let point = spv::PipelineOptions { shader_stage: STAGE, entry_point: "main".to_owned() };
    // What has subgroups: Vulkan 1.1, Metal 2.1 and the shaders that DXC compiles.
    let options = spv::Options::default();
    let options = if subgroups { spv::Options { lang_version: (1, 3), ..options } } else { options };
    spv::write_vec(&module, &info, &options, Some(&point)).map_err(|error| format!("SPIR-V: {error}"))?;
    let entry_point = Some((STAGE, "main".to_owned()));
    let point = msl::PipelineOptions { entry_point: entry_point.clone(), ..Default::default() };
    msl::write_string(&module, &info, &msl::Options::default(), &point).map_err(|error| format!("MSL: {error}"))?;
    let options = hlsl::Options::default();
    let model = if subgroups { hlsl::ShaderModel::V6_0 } else { options.shader_model };
    let (options, point) = (hlsl::Options { shader_model: model, ..options }, hlsl::PipelineOptions { entry_point });
    let mut out = String::new();
    hlsl::Writer::new(&mut out, &options, &point)
        .write(&module, &info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    Ok(reflection)
}

#[test]
fn every_variant_is_valid_everywhere() {
    let variants = variants();
    println!("{} variants", variants.len());
    // For other compilers to read (tests/tint.mjs).
    if let Ok(folder) = std::env::var("POLYSCENE_WRITE_SHADERS") {
        std::fs::create_dir_all(&folder).unwrap();
        for (number, (text, variant)) in variants.iter().enumerate() {
            std::fs::write(format!("{folder}/{number:05}-{}.wgsl", variant.shader.name()), text).unwrap();
        }
    }
    let used: BTreeSet<&str> =
        variants.values().flat_map(|variant| variant.shader.files()).map(String::as_str).collect();
    for (path, _) in SHADERS {
        assert!(used.contains(format!("shaders/{path}.wgsl").as_str()), "no plan uses {path}");
    }
    // Sizes and places, the only numbers in a text, change neither its grammar nor its types. Of the shaders that differ
    // in these alone, some are judged.
    let mut alike: BTreeMap<String, Vec<(&String, &Variant)>> = BTreeMap::new();
    for (text, variant) in &variants {
        alike.entry(without_numbers(text)).or_default().push((text, variant));
    }
    let most_judged = if every_case() { 2 } else { 1 };
    let judge = |kind: &Vec<(&String, &Variant)>| {
        let mut faults = Vec::new();
        let mut fault = |(text, variant): &(&String, &Variant), fault: String| {
            faults.push(format!("{}: {fault}\n{text}", variant.shader.name()));
        };
        let mut reflection = None;
        for judged in kind.iter().step_by(kind.len().div_ceil(most_judged)) {
            match check(&judged.1.shader) {
                Ok(read) => reflection = Some(read),
                Err(found) => fault(judged, found),
            }
        }
        if let Some(reflection) = reflection {
            for judged in kind {
                for bound in &judged.1.bound {
                    if let Err(found) = check_bindings(&reflection, bound) {
                        fault(judged, found);
                    }
                }
            }
        }
        faults
    };
    // On all processors: this is the last of the long tests.
    let (segments, mut kinds): (Vec<_>, Vec<_>) =
        alike.into_values().partition(|kind| kind[0].1.shader.name() == "segment");
    println!("of {} kinds, and {} of segments", kinds.len(), segments.len());
    // A segment's declarations are those of kernels; what of it is its own is how it calls them.
    kinds.extend(covering(segments, |kind| declarations(kind[0].0)));
    println!("{} are judged", kinds.len());
    let faults: Vec<String> = kinds.par_iter().flat_map_iter(judge).collect();
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
        ("embedding_rate", offset_of!(StepUniforms, embedding_rate)),
        ("logit_offset", offset_of!(StepUniforms, logit_offset)),
    ];
    assert_eq!(layout.members, members.map(|(name, offset)| (name.to_owned(), offset as u32)));
    assert_eq!(layout.size as usize, size_of::<StepUniforms>());
}
