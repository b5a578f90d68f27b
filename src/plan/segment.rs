//! Which dispatches of a plan become one on a GPU: a workgroup takes a block of samples through a whole *segment* of nodes;
//! and what does not go by samples, but by items or tiles, is computed side by side where it does not depend on each other.
//!
//! A GPU waits some microseconds for each dispatch, more than most nodes take. Nodes that compute a sample's rows from
//! that sample's rows need no wait for all samples, only a barrier within the workgroup that has the sample. A segment
//! ends before what reads rows of other samples, sums over samples, or would bind too many buffers.

use std::collections::HashSet;
use std::fmt::Write;
use std::ops::Range;

use crate::gpu::compose::{Part, compose};
use crate::gpu::{Result, Shader, ShaderSource};
use crate::graph::{Node, TensorId};
use crate::ops::{Arenas, BLOCK_INVOCATIONS, Form, Kernel, Operation, import_text};

/// Storage buffers that a shader may bind on every device.
const MAX_BUFFERS: usize = 8;

/// A kernel of a segment.
#[derive(Clone, Debug)]
pub(super) struct SegmentPart {
    pub(super) source: ShaderSource,
    pub(super) form: Form,
    /// Pieces of a sample.
    pub(super) across: usize,
    /// Workgroups, where several kernels are computed side by side.
    pub(super) groups: usize,
    /// Of the shader's bindings, which of the segment's.
    pub(super) buffers: Vec<usize>,
    /// The kernel's first quad of descriptors.
    pub(super) descriptors: usize,
    /// What it computes, for the composed text.
    pub(super) name: String,
}

/// The kernels of one dispatch: all of them for each block of samples, one after another, or side by side.
#[derive(Clone, Debug)]
pub struct Segment {
    pub(super) parts: Vec<SegmentPart>,
    /// Samples of a block.
    pub(super) block: usize,
}

impl Segment {
    /// The one shader of all kernels.
    pub(super) fn expand(&self) -> Result<Shader> {
        let shaders: Vec<Shader> =
            self.parts.iter().map(|part| part.source.expand(import_text)).collect::<Result<_>>()?;
        let parts: Vec<Part<'_>> = self
            .parts
            .iter()
            .zip(&shaders)
            .map(|(part, shader)| Part {
                shader,
                function: match part.form {
                    Form::Pieces | Form::Items => "piece",
                    Form::Tiles => "tiles",
                    Form::Block | Form::Dispatch => "block",
                },
                buffers: &part.buffers,
            })
            .collect();
        let name = match shaders.as_slice() {
            [one] => one.name().to_owned(),
            _ => "segment".to_owned(),
        };
        let by_blocks = self.parts.iter().all(|part| by_blocks(part.form));
        compose(&name, &parts, |functions| {
            let body = if by_blocks { self.one_after_another(functions) } else { self.side_by_side(functions) };
            format!(
                "@compute @workgroup_size({BLOCK_INVOCATIONS})\n\
                 fn main(\n    @builtin(workgroup_id) id: vec3<u32>,\n    @builtin(num_workgroups) groups: vec3<u32>,\n    \
                 @builtin(local_invocation_index) local: u32,\n) {{\n    let group = id.y * groups.x + id.x;\n{body}}}\n"
            )
        })
    }

    fn side_by_side(&self, functions: &[String]) -> String {
        let mut text = String::new();
        let mut begin = 0;
        for (part, function) in self.parts.iter().zip(functions) {
            let end = begin + part.groups;
            let own = if begin == 0 { "group".to_owned() } else { format!("group - {begin}u") };
            let call = match part.form {
                Form::Items => format!("{function}(({own}) * {BLOCK_INVOCATIONS}u + local)"),
                _ => format!("{function}({own}, local, {}u)", part.descriptors),
            };
            let otherwise = if begin == 0 { "    " } else { " else " };
            write!(text, "{otherwise}if (group < {end}u) {{\n        // {}\n        {call};\n    }}", part.name)
                .expect("a string takes it");
            begin = end;
        }
        text.push('\n');
        text
    }

    fn one_after_another(&self, functions: &[String]) -> String {
        let mut text = format!(
            "    let first = group * {}u;\n    if (first >= uniforms.rows) {{\n        return;\n    }}\n",
            self.block
        );
        for (number, (part, function)) in self.parts.iter().zip(functions).enumerate() {
            if number > 0 {
                // What follows reads what this workgroup has written, and uses its memory again.
                text.push_str("    storageBarrier();\n    workgroupBarrier();\n");
            }
            writeln!(text, "    // {}", part.name).expect("a string takes it");
            let call = match part.form {
                Form::Pieces => format!(
                    "    for (var at = first * {across}u + local; at < (first + {block}u) * {across}u; at += \
                     {BLOCK_INVOCATIONS}u) {{\n        {function}(at);\n    }}\n",
                    across = part.across,
                    block = self.block,
                ),
                _ => format!("    {function}(first, local, {}u);\n", part.descriptors),
            };
            text.push_str(&call);
        }
        text
    }
}

fn by_blocks(form: Form) -> bool {
    matches!(form, Form::Pieces | Form::Block)
}

/// Cuts a plan's nodes, each with its kernels, into those that share a dispatch, at most `most` of them, where activations
/// lie in `arenas`.
pub(super) fn segments(nodes: &[(&Node, Vec<Kernel>)], most: usize, arenas: Arenas) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    for (index, next) in nodes.iter().enumerate() {
        match segments.last_mut() {
            Some(segment) if segment.len() < most && joins(&nodes[segment.clone()], next, arenas) => {
                segment.end = index + 1
            }
            _ => segments.push(index..index + 1),
        }
    }
    segments
}

/// The fewest groups of kernels, in order, of which each binds no more buffers than devices allow: a table in many shards
/// may need many.
pub(super) fn groups<'a>(kernels: &[(&'a Node, Kernel)], arenas: Arenas) -> Vec<Vec<(&'a Node, Kernel)>> {
    let mut groups: Vec<Vec<(&Node, Kernel)>> = Vec::new();
    for next in kernels {
        match groups.last_mut() {
            Some(group) if buffers(group.iter().chain([next]).map(|(_, kernel)| kernel), arenas) <= MAX_BUFFERS => {
                group.push(next.clone());
            }
            _ => groups.push(vec![next.clone()]),
        }
    }
    groups
}

/// How many buffers kernels bind.
fn buffers<'a>(kernels: impl Iterator<Item = &'a Kernel>, arenas: Arenas) -> usize {
    kernels.flat_map(|kernel| &kernel.args).map(|&arg| arg.within(arenas)).collect::<HashSet<_>>().len()
}

/// Whether a node can join others of a segment without a wait for other workgroups.
fn joins(earlier: &[(&Node, Vec<Kernel>)], next: &(&Node, Vec<Kernel>), arenas: Arenas) -> bool {
    let node = next.0;
    let made = |tensor: &TensorId| earlier.iter().any(|(node, _)| node.outputs.contains(tensor));
    let kernels = || earlier.iter().chain([next]).flat_map(|(_, kernels)| kernels);
    let waits = if kernels().all(|kernel| by_blocks(kernel.form)) {
        node.op.shuffled_inputs().into_iter().any(|input| made(&node.inputs[input]))
    } else if kernels().all(|kernel| matches!(kernel.form, Form::Items | Form::Tiles)) {
        node.inputs.iter().any(made)
    } else {
        true
    };
    !waits && buffers(kernels(), arenas) <= MAX_BUFFERS
}
