//! Lowers a plan to the dispatches of a GPU: which shader with which constants, over which buffers.

use std::ops::Range;

use super::buffers::{self, Memory};
use super::segment::{self, Segment, SegmentPart};
use super::{Place, Plan, Tuning};
use crate::gpu::{DeviceClass, Result, Shader, ShaderSource};
use crate::graph::{Graph, Node, Parameter, Shape, TensorId};
use crate::ops::{
    Arg, BLOCK_INVOCATIONS, Cost, Form, Kernel, LOSS_LANES, Location, Operation, TableArg, Target, import_text,
    shader_text,
};

/// What lowering must know of a device.
#[derive(Clone, Copy, Debug)]
pub struct DispatchLimits {
    /// Bytes that one binding may span.
    pub binding_bytes: u64,
    /// Which kernels it gets.
    pub tuning: Tuning,
}

/// A buffer, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The parameters' buffer.
    Parameters,
    /// The gradients' buffer: copies that are laid out like the parameters'.
    Gradients,
    /// The parameters' first moments.
    FirstMoments,
    /// The parameters' second moments.
    SecondMoments,
    /// An arena of activations.
    Arena(usize),
    /// A part of the dispatches' tables of numbers.
    Descriptors {
        /// First word, a multiple of 64.
        first: usize,
        /// Words.
        count: usize,
    },
    /// One shard of an embedding table.
    Table {
        /// Number of the table.
        table: usize,
        /// Number of the shard.
        shard: usize,
        /// Which buffer.
        what: TableArg,
    },
    /// The batches of the steps in flight.
    Batches,
    /// Table rows of the data.
    Ids,
    /// Values of the data.
    Values,
    /// Labels of the data.
    Labels,
    /// The loss log.
    Losses,
    /// Predictions.
    Results,
}

/// What a dispatch's shader is made of.
#[derive(Clone, Debug)]
pub enum DispatchSource {
    /// One file.
    File(ShaderSource),
    /// The kernels of a segment.
    Segment(Segment),
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The nodes it computes, such as `backbone.0`.
    pub names: Vec<String>,
    /// The operation; of several, `segment`.
    pub operation: &'static str,
    /// Shape of what it writes last, or of the one tensor it reads when it writes none.
    pub shape: Option<Shape>,
    /// What it costs.
    pub cost: Cost,
    /// File stem of the shader; of several, `segment`.
    pub shader: &'static str,
    /// The shader with its constants.
    pub source: DispatchSource,
    /// Buffers in the order of the shader's bindings.
    pub resources: Vec<Resource>,
    /// Invocations.
    pub threads: usize,
    /// Invocations of a workgroup.
    pub workgroup: u32,
    /// The numbers it reads from [`Resource::Descriptors`].
    pub descriptors: Vec<u32>,
}

impl Dispatch {
    /// Workgroups.
    pub fn workgroups(&self) -> usize {
        self.threads.div_ceil(self.workgroup as usize)
    }

    /// What it computes, for people: a name, or the first and the last of several.
    pub fn name(&self) -> String {
        match self.names.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [first, .., last] => format!("{first} to {last}"),
        }
    }

    /// The whole text of its shader.
    ///
    /// # Errors
    /// Where a shader does not declare what the host gives it, or a constant is not finite.
    pub fn expand(&self) -> Result<Shader> {
        match &self.source {
            DispatchSource::File(source) => source.expand(import_text),
            DispatchSource::Segment(segment) => segment.expand(),
        }
    }
}

/// How a plan is cut into dispatches, and where its tensors then lie.
pub(super) struct Arrangement {
    /// Nodes that share a dispatch.
    pub(super) segments: Vec<Range<usize>>,
    pub(super) memory: Memory,
}

/// The tensor whose shape a listing shows for a node.
pub(super) fn shape_of(node: &Node) -> Option<TensorId> {
    match (node.outputs.as_slice(), node.inputs.as_slice()) {
        ([first, ..], _) | ([], [first]) => Some(*first),
        _ => None,
    }
}

/// Values a parameter's place in the common buffer is a multiple of: 256 bytes, whole lines of any cache.
const GRAIN: usize = 64;

/// At most this many copies of the gradients (split-K): a batch is summed in parts where a GPU would else be idle.
const MAX_PARTS: usize = 8;
/// Samples that a part holds at least.
const PART: usize = 64;

/// Where the parameters lie in their common buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterPlaces {
    /// For each parameter; rows are padded to multiples of 4 values.
    pub places: Vec<Location>,
    /// Values of those that are trained; they come first.
    pub trained: usize,
    /// Values that the buffer holds.
    pub total: usize,
}

/// Where each parameter lies in the common buffer.
pub fn parameter_places(graph: &Graph) -> ParameterPlaces {
    let mut next = 0;
    let mut places = vec![Location { first: 0, stride: 0 }; graph.parameters.len()];
    let mut place = |trained: bool| {
        let role = |parameter: &Parameter| parameter.is_trained() == trained;
        for (parameter, place) in graph.parameters.iter().zip(&mut places).filter(|(p, _)| role(p)) {
            let stride = Location::stride_of(parameter.cols);
            *place = Location { first: next as u32, stride: stride as u32 };
            next += (parameter.rows * stride).next_multiple_of(GRAIN);
        }
        next
    };
    let (trained, all) = (place(true), place(false));
    // Shaders read four values from any place of a parameter on, and four rows, so a little beyond the last.
    let beyond = 4 * places.iter().map(|place| place.stride as usize).max().unwrap_or(0);
    ParameterPlaces { places, trained, total: (all + beyond + 4).next_multiple_of(GRAIN) }
}

impl DispatchLimits {
    /// Rows of a table `width` values wide that one binding sees. However the values are stored, their moments are as many
    /// in f32, and all three are cut alike.
    pub fn shard_rows(&self, width: usize) -> usize {
        (self.binding_bytes as usize / (4 * Location::stride_of(width))).max(1)
    }
}

impl Plan {
    /// Where the plan's tensors lie on a device with these limits.
    pub fn memory(&self, limits: &DispatchLimits) -> Memory {
        self.arrange(limits).memory
    }

    /// Cuts the plan into dispatches and gives its tensors places.
    ///
    /// What a segment touches has a place for as long as the segment runs, since its blocks do not wait for each other.
    /// Where there is no room for that, segments are shorter, and at last each node is a dispatch of its own.
    pub(super) fn arrange(&self, limits: &DispatchLimits) -> Arrangement {
        let assign = |segments: &[Range<usize>]| buffers::assign(self, segments, limits.binding_bytes);
        let each: Vec<Range<usize>> = (0..self.graph.nodes.len()).map(|node| node..node + 1).collect();
        let plain = Arrangement { memory: assign(&each), segments: each };
        if limits.tuning.kernels == DeviceClass::Software || !limits.tuning.segments {
            return plain;
        }
        // What kernels bind does not depend on where tensors lie.
        let target = self.target_of(limits, &plain.memory);
        let nodes: Vec<_> = self.graph.nodes.iter().map(|node| (node, self.kernels(node, &target))).collect();
        for most in [usize::MAX, 16, 8, 4, 2] {
            // Each arena is a buffer more to bind, and so perhaps an end to a segment.
            for layout in plain.memory.layout.and_more() {
                let segments = segment::segments(&nodes, most, layout);
                let memory = assign(&segments);
                let fits = |(arena, &values): (usize, &usize)| {
                    values <= buffers::most_values(self, arena, limits.binding_bytes)
                };
                if memory.layout <= layout && memory.arenas.iter().enumerate().all(fits) {
                    return Arrangement { segments, memory };
                }
            }
        }
        plain
    }

    /// Copies of the gradients on a device with these limits, 0 where nothing is trained.
    pub fn gradient_copies(&self, limits: &DispatchLimits) -> usize {
        let parameters = parameter_places(&self.graph).total;
        let fits = (limits.binding_bytes as usize / (4 * parameters)).max(1);
        match limits.tuning.kernels {
            _ if self.gradients.is_empty() => 0,
            DeviceClass::Software => 1,
            DeviceClass::Hardware if limits.tuning.sum_workgroups == 1 => 1,
            DeviceClass::Hardware => (self.capacity / PART).clamp(1, MAX_PARTS.min(fits)),
        }
    }

    /// Samples that a workgroup takes through a segment on a device with these limits.
    pub fn block(&self, limits: &DispatchLimits) -> usize {
        match limits.tuning.kernels {
            DeviceClass::Software => 1,
            // What a training step is fastest with says nothing of predictions.
            DeviceClass::Hardware if self.gradients.is_empty() => {
                Tuning { block: None, ..limits.tuning }.block_of(self.capacity)
            }
            DeviceClass::Hardware => limits.tuning.block_of(self.capacity),
        }
    }

    /// Sums of each column of the loss log on a device with these limits, and how many of them a step of `rows` samples
    /// makes.
    pub fn loss_lanes(&self, limits: &DispatchLimits, rows: usize) -> [usize; 2] {
        match limits.tuning.kernels {
            DeviceClass::Software => [LOSS_LANES; 2],
            DeviceClass::Hardware => [self.capacity, rows].map(|rows| rows.div_ceil(self.block(limits))),
        }
    }

    fn kernels(&self, node: &Node, target: &Target) -> Vec<Kernel> {
        node.op.kernels(node, &self.graph, target)
    }

    /// What the plan's operations are lowered for.
    fn target_of(&self, limits: &DispatchLimits, memory: &Memory) -> Target {
        let Memory { places, layout, .. } = memory;
        let ParameterPlaces { places: parameters, trained, total } = parameter_places(&self.graph);
        let location = |(tensor, place): (usize, Place)| match place {
            Place::Parameter(number) | Place::Gradient(number) => Some(parameters[number]),
            Place::Activation { arena, offset } => {
                let stride = Location::stride_of(self.graph.width(TensorId(tensor))) as u32;
                Some(Location { first: (arena << 30) as u32 | offset as u32, stride })
            }
            Place::Unused => None,
        };
        Target {
            capacity: self.capacity,
            tokens: self.batch_layout.token_capacity(),
            batch_layout: self.batch_layout.clone(),
            shard_rows: self.graph.tables.iter().map(|table| limits.shard_rows(table.width)).collect(),
            workgroup: limits.tuning.workgroup,
            class: limits.tuning.kernels,
            fields: self.lookups(),
            value_count: self.value_count(),
            locations: places.iter().copied().enumerate().map(location).collect(),
            arenas: *layout,
            mixed_precision: self.mixed_precision,
            parameters: total,
            trained,
            parts: self.gradient_copies(limits),
            sum_workgroups: limits.tuning.sum_workgroups as usize,
            grad_tile: limits.tuning.grad_tile as usize,
            block: self.block(limits),
            subgroup: limits.tuning.subgroup,
            lanes: self.loss_lanes(limits, self.capacity)[0],
        }
    }

    /// The dispatches of one step.
    pub fn dispatches(&self, limits: &DispatchLimits) -> Vec<Dispatch> {
        let Arrangement { segments, memory } = self.arrange(limits);
        let target = self.target_of(limits, &memory);
        let mut dispatches = Vec::new();
        let mut words = 0;
        for segment in segments {
            let nodes = &self.graph.nodes[segment];
            let kernels: Vec<(&Node, Kernel)> = nodes
                .iter()
                .flat_map(|node| self.kernels(node, &target).into_iter().map(move |kernel| (node, kernel)))
                .collect();
            let composed = kernels.iter().all(|(_, kernel)| kernel.form != Form::Dispatch);
            let made: Vec<Dispatch> = if limits.tuning.kernels == DeviceClass::Hardware && composed {
                let groups = segment::groups(&kernels, target.arenas);
                groups.iter().map(|kernels| self.segment(kernels, &target, &mut words)).collect()
            } else {
                kernels.iter().map(|(node, kernel)| self.single(node, kernel, &target, &mut words)).collect()
            };
            let parts = made.len() as u64;
            for mut dispatch in made {
                let Cost { flops, bytes } = dispatch.cost;
                dispatch.cost = Cost { flops: flops / parts, bytes: bytes / parts };
                dispatches.push(dispatch);
            }
        }
        dispatches
    }

    /// What a node costs on a device, where some tensors are halves.
    fn cost(&self, node: &Node) -> Cost {
        let Cost { flops, bytes } = node.op.cost(node, &self.graph, self.capacity);
        let halves = node.inputs.iter().chain(&node.outputs).filter(|tensor| self.is_half(**tensor));
        let saved: usize = halves.map(|&tensor| 2 * self.graph.shape(tensor).len(self.capacity)).sum();
        Cost { flops, bytes: bytes.saturating_sub(saved as u64) }
    }

    /// A kernel that is a dispatch of its own.
    fn single(&self, node: &Node, kernel: &Kernel, target: &Target, words: &mut usize) -> Dispatch {
        let mut descriptors = kernel.descriptors.clone();
        descriptors.resize(descriptors.len().next_multiple_of(GRAIN), 0);
        let range = take(words, descriptors.len());
        let workgroup = kernel.workgroup.unwrap_or(target.workgroup);
        Dispatch {
            names: vec![node.name.clone()],
            operation: node.op.name(),
            shape: shape_of(node).map(|id| self.graph.shape(id)),
            cost: self.cost(node),
            shader: kernel.shader,
            source: DispatchSource::File(source(kernel, workgroup)),
            resources: kernel.args.iter().map(|&arg| resource(arg.within(target.arenas), &range)).collect(),
            threads: kernel.threads,
            workgroup,
            descriptors,
        }
    }

    /// The kernels of a segment.
    fn segment(&self, kernels: &[(&Node, Kernel)], target: &Target, words: &mut usize) -> Dispatch {
        let mut buffers: Vec<Arg> = Vec::new();
        let mut descriptors: Vec<u32> = Vec::new();
        let mut parts = Vec::new();
        for (node, kernel) in kernels {
            let bound = kernel.args.iter().map(|&arg| {
                let arg = arg.within(target.arenas);
                buffers.iter().position(|&known| known == arg).unwrap_or_else(|| {
                    buffers.push(arg);
                    buffers.len() - 1
                })
            });
            parts.push(SegmentPart {
                buffers: bound.collect(),
                source: source(kernel, BLOCK_INVOCATIONS as u32),
                form: kernel.form,
                across: kernel.threads / self.capacity,
                groups: kernel.threads.div_ceil(BLOCK_INVOCATIONS),
                descriptors: descriptors.len() / 4,
                // A comment has one line, whatever a model calls its parts.
                name: node.name.split_whitespace().collect::<Vec<_>>().join(" "),
            });
            descriptors.extend(&kernel.descriptors);
        }
        descriptors.resize(descriptors.len().next_multiple_of(GRAIN), 0);
        let range = take(words, descriptors.len());
        let mut nodes: Vec<&Node> = kernels.iter().map(|(node, _)| *node).collect();
        nodes.dedup_by(|a, b| std::ptr::eq(*a, *b));
        let [first, last] = [nodes[0], nodes[nodes.len() - 1]];
        let one = nodes.len() == 1;
        let groups: usize = match kernels[0].1.form {
            Form::Items | Form::Tiles => parts.iter().map(|part| part.groups).sum(),
            _ => self.capacity.div_ceil(target.block),
        };
        let costs = nodes.iter().map(|node| self.cost(node));
        Dispatch {
            names: nodes.iter().map(|node| node.name.clone()).collect(),
            operation: if one { first.op.name() } else { "segment" },
            shape: shape_of(last).map(|id| self.graph.shape(id)),
            cost: costs.fold(Cost::default(), |sum, cost| Cost {
                flops: sum.flops + cost.flops,
                bytes: sum.bytes + cost.bytes,
            }),
            shader: if one { kernels[0].1.shader } else { "segment" },
            source: DispatchSource::Segment(Segment { parts, block: target.block }),
            resources: buffers.into_iter().map(|arg| resource(arg, &range)).collect(),
            threads: groups * BLOCK_INVOCATIONS,
            workgroup: BLOCK_INVOCATIONS as u32,
            descriptors,
        }
    }
}

/// The next `count` words.
fn take(words: &mut usize, count: usize) -> Range<usize> {
    let first = *words;
    *words += count;
    first..*words
}

fn source(kernel: &Kernel, workgroup: u32) -> ShaderSource {
    let (path, text) = shader_text(kernel.shader).expect("every kernel's shader is a file");
    let constants = kernel.constants.iter().copied().chain([("WORKGROUP", workgroup.into())]);
    let source = constants.fold(ShaderSource::new(path, text), |source, (name, value)| source.with(name, value));
    kernel.imports.iter().fold(source, |source, (name, replacement)| source.with_import(name, replacement))
}

/// What an argument stands for in a dispatch whose descriptors are those words of all.
fn resource(arg: Arg, descriptors: &Range<usize>) -> Resource {
    match arg {
        Arg::Arena(arena) => Resource::Arena(arena),
        Arg::Descriptors => Resource::Descriptors { first: descriptors.start, count: descriptors.len() },
        Arg::Table { table, shard, what } => Resource::Table { table, shard, what },
        Arg::Parameters => Resource::Parameters,
        Arg::Gradients => Resource::Gradients,
        Arg::FirstMoments => Resource::FirstMoments,
        Arg::SecondMoments => Resource::SecondMoments,
        Arg::Batches => Resource::Batches,
        Arg::Ids => Resource::Ids,
        Arg::Values => Resource::Values,
        Arg::Labels => Resource::Labels,
        Arg::Losses => Resource::Losses,
        Arg::Results => Resource::Results,
    }
}
