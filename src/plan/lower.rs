//! Lowers a plan to the dispatches of a GPU: which shader with which constants, over which buffers.

use super::{Place, Plan};
use crate::gpu::Source;
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::{Arg, Cost, Operation, TableArg, Target, Threads, shader_text};

/// What lowering must know of a device.
#[derive(Clone, Copy, Debug)]
pub struct DispatchLimits {
    /// Bytes that one binding may span.
    pub binding_bytes: u64,
    /// Invocations of a workgroup.
    pub workgroup: u32,
}

/// A buffer, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Values `first..first + count` of the parameters' buffer.
    Parameter {
        /// First value.
        first: usize,
        /// Values.
        count: usize,
    },
    /// Values of the gradients' buffer, which is laid out like the parameters'.
    Gradient {
        /// First value.
        first: usize,
        /// Values.
        count: usize,
    },
    /// The parameters' first moments.
    FirstMoments,
    /// The parameters' second moments.
    SecondMoments,
    /// An activation buffer.
    Activation(usize),
    /// One shard of an embedding table.
    Table {
        /// Number of the table.
        table: usize,
        /// Number of the shard.
        shard: usize,
        /// Which buffer.
        what: TableArg,
    },
    /// The slots of the steps in flight.
    Schedule,
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
    pub source: Source,
    /// Buffers in the order of the shader's bindings.
    pub resources: Vec<Resource>,
    /// Invocations.
    pub threads: usize,
}

/// The tensor whose shape a listing shows for a node.
pub(super) fn shape_of(node: &Node) -> Option<TensorId> {
    match (node.outputs.as_slice(), node.inputs.as_slice()) {
        ([first, ..], _) | ([], [first]) => Some(*first),
        _ => None,
    }
}

/// Values a parameter's place in the common buffer is a multiple of: 256 bytes, the largest alignment a device asks for.
const ALIGNMENT: usize = 64;

/// Where each parameter begins in the common buffer, and how many values that holds.
pub fn parameter_places(graph: &Graph) -> (Vec<usize>, usize) {
    let mut next = 0;
    let places = graph
        .parameters
        .iter()
        .map(|parameter| {
            let at = next;
            next += (parameter.rows * parameter.cols).next_multiple_of(ALIGNMENT);
            at
        })
        .collect();
    (places, next)
}

impl Plan {
    /// What the plan's operations are lowered for.
    pub fn target(&self, limits: &DispatchLimits) -> Target {
        Target {
            capacity: self.capacity,
            schedule: self.schedule.clone(),
            shard_rows: self
                .graph
                .tables
                .iter()
                .map(|table| (limits.binding_bytes as usize / (4 * table.width)).max(1))
                .collect(),
            workgroup: limits.workgroup,
            fields: self.lookups(),
            value_count: self.value_count(),
        }
    }

    /// The dispatches of one step.
    pub fn dispatches(&self, limits: &DispatchLimits) -> Vec<Dispatch> {
        let target = self.target(limits);
        let (places, total) = parameter_places(&self.graph);
        let mut dispatches = Vec::new();
        for node in &self.graph.nodes {
            let tensor = |id: TensorId| {
                let count = self.graph.shape(id).len(self.capacity);
                match self.places[id.0] {
                    Place::Parameter(p) => Resource::Parameter { first: places[p], count },
                    Place::Gradient(p) => Resource::Gradient { first: places[p], count },
                    Place::Buffer(buffer) => Resource::Activation(buffer),
                    Place::Unused => unreachable!("a node's tensors have places"),
                }
            };
            let kernels = node.op.kernels(node, &self.graph, &target);
            let cost = node.op.cost(node, &self.graph, self.capacity);
            let parts = kernels.len() as u64;
            for kernel in kernels {
                let text = shader_text(kernel.shader).expect("every kernel's shader is in the list");
                let constants = kernel.constants.iter().copied();
                let source = constants
                    .chain([("WORKGROUP", target.workgroup.into())])
                    .fold(Source::new(kernel.shader, text), |source, (name, value)| source.with(name, value));
                let resources = kernel
                    .args
                    .iter()
                    .map(|&arg| match arg {
                        Arg::Input(i) => tensor(node.inputs[i]),
                        Arg::Output(i) => tensor(node.outputs[i]),
                        Arg::Table { table, shard, what } => Resource::Table { table, shard, what },
                        Arg::Parameters => Resource::Parameter { first: 0, count: total },
                        Arg::Gradients => Resource::Gradient { first: 0, count: total },
                        Arg::FirstMoments => Resource::FirstMoments,
                        Arg::SecondMoments => Resource::SecondMoments,
                        Arg::Schedule => Resource::Schedule,
                        Arg::Ids => Resource::Ids,
                        Arg::Values => Resource::Values,
                        Arg::Labels => Resource::Labels,
                        Arg::Losses => Resource::Losses,
                        Arg::Results => Resource::Results,
                    })
                    .collect();
                dispatches.push(Dispatch {
                    name: node.name.clone(),
                    operation: node.op.name(),
                    shape: shape_of(node).map(|id| self.graph.shape(id)),
                    cost: Cost { flops: cost.flops / parts, bytes: cost.bytes / parts },
                    shader: kernel.shader,
                    source,
                    resources,
                    threads: match kernel.threads {
                        Threads::Count(count) => count,
                        Threads::PerParameter => total,
                    },
                });
            }
        }
        dispatches
    }
}
