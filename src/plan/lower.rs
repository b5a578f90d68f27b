//! Lowers a plan to the dispatches of a GPU: which shader with which constants, over which buffers.

use super::buffers::{self, Memory};
use super::{Place, Plan};
use crate::gpu::{DeviceClass, ShaderSource};
use crate::graph::{Graph, Node, Parameter, ParameterRole, Shape, TensorId};
use crate::ops::{Arg, Cost, Location, Operation, TableArg, Target, shader_text};

/// What lowering must know of a device.
#[derive(Clone, Copy, Debug)]
pub struct DispatchLimits {
    /// Bytes that one binding may span.
    pub binding_bytes: u64,
    /// Invocations of a workgroup, where a kernel does not ask for others.
    pub workgroup: u32,
    /// Which family of kernels suits it.
    pub class: DeviceClass,
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

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The node it computes, such as `backbone.0`.
    pub name: String,
    /// The operation.
    pub operation: &'static str,
    /// Shape of what it writes, or of the one tensor it reads when it writes none.
    pub shape: Option<Shape>,
    /// What it costs.
    pub cost: Cost,
    /// File stem of the shader.
    pub shader: &'static str,
    /// The shader with its constants.
    pub source: ShaderSource,
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
        let role = |parameter: &Parameter| (parameter.role == ParameterRole::Trained) == trained;
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
    /// Rows of a table `width` values wide that one binding sees.
    pub fn shard_rows(&self, width: usize) -> usize {
        (self.binding_bytes as usize / (4 * Location::stride_of(width))).max(1)
    }
}

impl Plan {
    /// Where the plan's tensors lie on a device with these limits.
    pub fn memory(&self, limits: &DispatchLimits) -> Memory {
        // An address among the activations has 30 bits for the place.
        let max = (limits.binding_bytes / 4).min(1 << 30) as usize;
        buffers::assign(&self.graph, self.capacity, &self.gradients, max)
    }

    /// Copies of the gradients on a device with these limits, 0 where nothing is trained.
    pub fn gradient_copies(&self, limits: &DispatchLimits) -> usize {
        let parameters = parameter_places(&self.graph).total;
        let fits = (limits.binding_bytes as usize / (4 * parameters)).max(1);
        match limits.class {
            _ if self.gradients.is_empty() => 0,
            DeviceClass::Software => 1,
            DeviceClass::Hardware => (self.capacity / PART).clamp(1, MAX_PARTS.min(fits)),
        }
    }

    /// What the plan's operations are lowered for.
    pub fn target(&self, limits: &DispatchLimits) -> Target {
        let Memory { places, arenas } = self.memory(limits);
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
            workgroup: limits.workgroup,
            class: limits.class,
            fields: self.lookups(),
            value_count: self.value_count(),
            locations: places.into_iter().enumerate().map(location).collect(),
            arenas: arenas.len(),
            parameters: total,
            trained,
            parts: self.gradient_copies(limits),
        }
    }

    /// The dispatches of one step.
    pub fn dispatches(&self, limits: &DispatchLimits) -> Vec<Dispatch> {
        let target = self.target(limits);
        let mut dispatches = Vec::new();
        let mut words = 0;
        for node in &self.graph.nodes {
            let kernels = node.op.kernels(node, &self.graph, &target);
            let cost = node.op.cost(node, &self.graph, self.capacity);
            let parts = kernels.len() as u64;
            for mut kernel in kernels {
                let (path, text) = shader_text(kernel.shader).expect("every kernel's shader is a file");
                let workgroup = kernel.workgroup.unwrap_or(target.workgroup);
                let constants = kernel.constants.iter().copied();
                let source = constants
                    .chain([("WORKGROUP", workgroup.into())])
                    .fold(ShaderSource::new(path, text), |source, (name, value)| source.with(name, value));
                let first = words;
                kernel.descriptors.resize(kernel.descriptors.len().next_multiple_of(GRAIN), 0);
                words += kernel.descriptors.len();
                let resource = |&arg: &Arg| match arg {
                    Arg::Arena(arena) => Resource::Arena(arena.min(target.arenas - 1)),
                    Arg::Descriptors => Resource::Descriptors { first, count: kernel.descriptors.len() },
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
                };
                dispatches.push(Dispatch {
                    name: node.name.clone(),
                    operation: node.op.name(),
                    shape: shape_of(node).map(|id| self.graph.shape(id)),
                    cost: Cost { flops: cost.flops / parts, bytes: cost.bytes / parts },
                    shader: kernel.shader,
                    source,
                    resources: kernel.args.iter().map(resource).collect(),
                    threads: kernel.threads,
                    workgroup,
                    descriptors: kernel.descriptors,
                });
            }
        }
        dispatches
    }
}
