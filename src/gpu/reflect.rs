//! What a shader binds and how its structs are laid out, read from the shader itself so that the host repeats nothing.

use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};

use super::shader::Shader;
use super::{Error, Result, barriers};

/// The entry point of every shader.
pub const ENTRY: &str = "main";

/// How a shader sees a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// `var<storage, read>`: dispatches that share it need not wait for each other.
    StorageRead,
    /// `var<storage, read_write>`.
    StorageReadWrite,
    /// `var<uniform>`.
    Uniform,
}

/// One `@group(G) @binding(B) var` of a shader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// The group's number.
    pub group: u32,
    /// The number within the group.
    pub binding: u32,
    /// How the buffer is seen.
    pub kind: BindingKind,
    /// Fewest bytes the bound range must have: the variable's size, with one element for an array of unknown length.
    pub min_bytes: u32,
    /// Whether `main` makes any use of it. One that is not used must be bound all the same.
    pub used: bool,
}

/// What the host must know of a shader to dispatch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflection {
    /// Threads of a workgroup along x, y, z.
    pub workgroup_size: [u32; 3],
    /// Bytes of workgroup memory that `main` uses.
    pub workgroup_bytes: u32,
    /// All bindings that the text declares, by group and number.
    pub bindings: Vec<Binding>,
}

impl Reflection {
    /// The bindings of one group, in order.
    pub fn group(&self, group: u32) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| binding.group == group)
    }
}

/// Where a struct's members lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructLayout {
    /// The members' names and offsets in bytes, in order.
    pub members: Vec<(String, u32)>,
    /// Bytes of the whole struct, with the padding at its end.
    pub size: u32,
}

/// Parses and validates a shader, and reads off what it binds.
pub(super) fn reflect(shader: &Shader) -> Result<Reflection> {
    of_module(shader, &parse(shader)?)
}

/// As [`reflect`], and looks for a barrier that only some threads of a workgroup may reach.
pub(super) fn check(shader: &Shader) -> Result<Reflection> {
    let module = parse(shader)?;
    let reflection = of_module(shader, &module)?;
    match barriers::misplaced(&module) {
        None => Ok(reflection),
        Some(span) => {
            let message = "a barrier or subgroup operation that some threads of a workgroup may not reach";
            Err(shader.fault(message, Some(span.location(shader.text()).into())))
        }
    }
}

fn of_module(shader: &Shader, module: &naga::Module) -> Result<Reflection> {
    // Which of these a device has is for the device to say; here the text is judged.
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(module).map_err(|error| {
        let mut message = error.as_inner().to_string();
        let mut cause: &dyn std::error::Error = error.as_inner();
        while let Some(next) = cause.source() {
            message.push_str(": ");
            message.push_str(&next.to_string());
            cause = next;
        }
        shader.fault(&message, error.location(shader.text()).map(Into::into))
    })?;

    let compute = |entry: &naga::EntryPoint| entry.stage == naga::ShaderStage::Compute && entry.name == ENTRY;
    let Some(place) = module.entry_points.iter().position(compute) else {
        return Err(shader.fault(&format!("there is no `@compute` function `{ENTRY}`"), None));
    };
    let uses = info.get_entry_point(place);
    let size = |ty: naga::Handle<naga::Type>| module.types[ty].inner.size(module.to_ctx());

    let mut workgroup_bytes = 0;
    let mut bindings = Vec::new();
    for (handle, variable) in module.global_variables.iter() {
        let used = uses[handle] != GlobalUse::empty();
        let kind = match variable.space {
            naga::AddressSpace::WorkGroup if used => {
                workgroup_bytes += size(variable.ty).next_multiple_of(16);
                continue;
            }
            naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => {
                BindingKind::StorageReadWrite
            }
            naga::AddressSpace::Storage { .. } => BindingKind::StorageRead,
            naga::AddressSpace::Uniform => BindingKind::Uniform,
            _ => continue,
        };
        let Some(at) = &variable.binding else {
            continue;
        };
        let name = variable.name.clone().unwrap_or_default();
        let min_bytes = size(variable.ty);
        bindings.push(Binding { name, group: at.group, binding: at.binding, kind, min_bytes, used });
    }
    bindings.sort_by_key(|binding| (binding.group, binding.binding));
    for pair in bindings.windows(2) {
        if (pair[0].group, pair[0].binding) == (pair[1].group, pair[1].binding) {
            let Binding { name, group, binding, .. } = &pair[0];
            let other = &pair[1].name;
            let message = format!("`{name}` and `{other}` share @group({group}) @binding({binding})");
            return Err(shader.fault(&message, None));
        }
    }
    Ok(Reflection { workgroup_size: module.entry_points[place].workgroup_size, workgroup_bytes, bindings })
}

/// Parses a shader, and reads off one struct.
pub(super) fn struct_layout(shader: &Shader, name: &str) -> Result<StructLayout> {
    let module = parse(shader)?;
    let found = module.types.iter().find_map(|(_, ty)| match &ty.inner {
        naga::TypeInner::Struct { members, span } if ty.name.as_deref() == Some(name) => Some((members, *span)),
        _ => None,
    });
    let (members, size) = found.ok_or_else(|| shader.fault(&format!("there is no struct `{name}`"), None))?;
    let members = members.iter().map(|member| (member.name.clone().unwrap_or_default(), member.offset)).collect();
    Ok(StructLayout { members, size })
}

fn parse(shader: &Shader) -> Result<naga::Module, Error> {
    naga::front::wgsl::parse_str(shader.text()).map_err(|error| {
        let mut message = error.message().to_owned();
        for note in error.notes() {
            message.push_str("; ");
            message.push_str(note);
        }
        shader.fault(&message, error.location(shader.text()).map(Into::into))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::ShaderSource;

    const UNIFORMS: &str = "struct StepUniforms {\n  step: u32,\n  rate: f32,\n  seed: vec2<u32>,\n  bounds: vec3<f32>,\n  last: f32,\n}\n\
                         @group(1) @binding(0) var<uniform> uniforms: StepUniforms;\n";
    const SCALE: &str = "#import uniforms\n\
        struct Pair { a: vec4<f32>, b: u32 }\n\
        @group(0) @binding(2) var<storage, read_write> out: array<f32>;\n\
        @group(0) @binding(0) var<storage, read> input: array<vec4<f32>>;\n\
        @group(0) @binding(1) var<storage, read> pairs: array<Pair>;\n\
        const GROUP: u32 = 64u;\n\
        var<workgroup> tile: array<f32, GROUP>;\n\
        var<workgroup> spare: array<f32, 7>;\n\
        @compute @workgroup_size(GROUP, 2)\n\
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n\
          tile[id.x % GROUP] = input[0].x;\n\
          out[id.x] = tile[0] * uniforms.rate;\n\
        }\n";

    fn expand(text: &'static str) -> Shader {
        ShaderSource::new("scale", text).expand(|name| (name == "uniforms").then_some(UNIFORMS)).unwrap()
    }

    #[test]
    fn bindings_are_read_from_the_text() {
        let reflection = expand(SCALE).reflect().unwrap();
        assert_eq!(reflection.workgroup_size, [64, 2, 1]);
        assert_eq!(reflection.workgroup_bytes, 256);
        let seen: Vec<_> = reflection
            .bindings
            .iter()
            .map(|b| (b.name.as_str(), b.group, b.binding, b.kind, b.min_bytes, b.used))
            .collect();
        assert_eq!(
            seen,
            [
                ("input", 0, 0, BindingKind::StorageRead, 16, true),
                ("pairs", 0, 1, BindingKind::StorageRead, 32, false),
                ("out", 0, 2, BindingKind::StorageReadWrite, 4, true),
                ("uniforms", 1, 0, BindingKind::Uniform, 32, true),
            ]
        );
        assert_eq!(reflection.group(0).count(), 3);
    }

    #[test]
    fn workgroup_size_follows_a_constant() {
        let shader = ShaderSource::new("scale", SCALE).with("GROUP", 128u32);
        let shader = shader.expand(|name| (name == "uniforms").then_some(UNIFORMS)).unwrap();
        assert_eq!(shader.reflect().unwrap().workgroup_size, [128, 2, 1]);
    }

    #[test]
    fn structs_are_laid_out_as_the_device_lays_them_out() {
        let layout = expand(SCALE).struct_layout("StepUniforms").unwrap();
        let members: Vec<_> = layout.members.iter().map(|(name, offset)| (name.as_str(), *offset)).collect();
        assert_eq!(members, [("step", 0), ("rate", 4), ("seed", 8), ("bounds", 16), ("last", 28)]);
        assert_eq!(layout.size, 32);
        let text = expand(SCALE).struct_layout("Watch").unwrap_err().to_string();
        assert!(text.contains("no struct `Watch`"), "{text}");
    }

    #[test]
    fn parse_errors_point_into_the_imported_file() {
        let broken = "// one\nfn f() -> f32 {\n  return missing;\n}\n";
        let source = ShaderSource::new("gate", "// top\n#import broken\n@compute @workgroup_size(1) fn main() {}\n");
        let shader = source.expand(|_| Some(broken)).unwrap();
        let text = shader.reflect().unwrap_err().to_string();
        assert!(text.starts_with("shaders/common/broken.wgsl:3:10: "), "{text}");
        assert!(text.contains("3 |   return missing;\n  |          ^^^^^^^"), "{text}");
    }

    #[test]
    fn validation_errors_point_at_the_line_and_give_the_cause() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                    @compute @workgroup_size(1)\nfn main() {\n  x[0] = 1.0;\n}\n";
        let text = expand(text).reflect().unwrap_err().to_string();
        assert!(text.starts_with("shaders/scale.wgsl:4:"), "{text}");
    }

    #[test]
    fn an_entry_point_main_is_required() {
        let text = expand("@compute @workgroup_size(1) fn other() {}\n").reflect().unwrap_err().to_string();
        assert!(text.contains("`main`"), "{text}");
    }

    #[test]
    fn bindings_may_not_share_a_number() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                    @group(0) @binding(0) var<storage, read> y: array<f32>;\n\
                    @compute @workgroup_size(1) fn main() { _ = x[0]; }\n";
        let text = expand(text).reflect().unwrap_err().to_string();
        assert!(text.contains("`x` and `y` share"), "{text}");
    }
}
