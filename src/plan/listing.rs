//! A plan as a table of dispatches, for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Dispatch, DispatchLimits, Plan, Resource, Tuning, parameter_places};
use crate::graph::{EmbeddingTable, Precision};
use crate::ops::{Location, TableArg};

/// One dispatch of a step.
#[derive(Clone, Debug, Serialize)]
pub struct DispatchListing {
    /// The part of the model it computes.
    pub name: String,
    /// Where it computes several parts, all of them, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// The operation.
    pub operation: String,
    /// The shader file.
    pub shader: String,
    /// Shape of its result; `B` is the batch.
    pub shape: String,
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Bytes moved when every tensor is touched once.
    pub bytes: u64,
    /// Invocations.
    pub threads: usize,
    /// The buffers it binds, each once, in binding order.
    pub buffers: Vec<String>,
}

/// Device memory, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryListing {
    /// Dense parameters, their gradients and moments.
    pub parameters: u64,
    /// Embedding tables and their moments.
    pub tables: u64,
    /// Activations and gradients of activations.
    pub activations: u64,
    /// Integers of one step: rows, shuffle, sorted keys.
    #[serde(rename = "schedule")]
    pub batch_bytes: u64,
    /// All of it.
    pub total: u64,
}

/// A whole plan.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// Samples of a step.
    pub batch_size: usize,
    /// The choice of kernels.
    pub tuning: Tuning,
    /// The dispatches of a step, in order.
    pub dispatches: Vec<DispatchListing>,
    /// Sum of the dispatches' operations.
    pub flops: u64,
    /// Sum of the dispatches' bytes.
    pub bytes: u64,
    /// Bytes of each arena of activations.
    pub buffers: BTreeMap<String, u64>,
    /// Memory the plan needs on the device.
    pub memory: MemoryListing,
}

impl Plan {
    /// The plan as it is dispatched on a device with these limits.
    pub fn listing(&self, limits: &DispatchLimits) -> Listing {
        let dispatches: Vec<DispatchListing> =
            self.dispatches(limits).iter().map(|dispatch| self.list(dispatch)).collect();
        let parameters = parameter_places(&self.graph).total;
        // Values, gradients and both moments; of a table the rows that a step read have gradients, among the activations.
        let (copies, moments) = match self.gradient_copies(limits) {
            0 => (1, 0),
            gradients => (3 + gradients, 2),
        };
        let table_bytes = |table: &EmbeddingTable| {
            table.rows()
                * Location::stride_of(table.width)
                * (table.precision.bytes() + moments * Precision::F32.bytes())
        };
        let memory = self.memory(limits);
        let arenas = memory.bytes().enumerate().filter(|(_, bytes)| *bytes > 0);
        let buffers: BTreeMap<String, u64> = arenas.map(|(arena, bytes)| (arena_name(arena), bytes)).collect();
        let mut memory = MemoryListing {
            parameters: 4 * (copies * parameters) as u64,
            tables: self.graph.tables.iter().map(table_bytes).sum::<usize>() as u64,
            activations: buffers.values().sum(),
            batch_bytes: 4 * self.batch_layout.stride as u64,
            total: 0,
        };
        memory.total = memory.parameters + memory.tables + memory.activations + memory.batch_bytes;
        Listing {
            batch_size: self.capacity,
            tuning: limits.tuning,
            flops: dispatches.iter().map(|dispatch| dispatch.flops).sum(),
            bytes: dispatches.iter().map(|dispatch| dispatch.bytes).sum(),
            dispatches,
            buffers,
            memory,
        }
    }

    fn list(&self, dispatch: &Dispatch) -> DispatchListing {
        let name = |resource: &Resource| match *resource {
            Resource::Parameters => "parameters".to_owned(),
            Resource::Gradients => "gradients".to_owned(),
            Resource::FirstMoments => "first moments".to_owned(),
            Resource::SecondMoments => "second moments".to_owned(),
            Resource::Arena(arena) => arena_name(arena),
            Resource::Descriptors { .. } => "descriptors".to_owned(),
            Resource::Table { table, shard, what } => {
                let what = match what {
                    TableArg::Weights => "rows",
                    TableArg::First => "first moments",
                    TableArg::Second => "second moments",
                };
                format!("{} {what} (shard {shard})", self.graph.tables[table].name)
            }
            Resource::Batches => "batches".to_owned(),
            Resource::Ids => "data ids".to_owned(),
            Resource::Values => "data values".to_owned(),
            Resource::Labels => "data labels".to_owned(),
            Resource::Losses => "loss log".to_owned(),
            Resource::Results => "predictions".to_owned(),
        };
        let mut buffers: Vec<String> = Vec::new();
        for buffer in dispatch.resources.iter().map(name) {
            if !buffers.contains(&buffer) {
                buffers.push(buffer);
            }
        }
        DispatchListing {
            name: dispatch.name(),
            parts: if dispatch.names.len() > 1 { dispatch.names.clone() } else { Vec::new() },
            operation: dispatch.operation.to_owned(),
            shader: format!("{}.wgsl", dispatch.shader),
            // An update's result is as many values as it has invocations.
            shape: dispatch.shape.map_or_else(|| format!("1×{}", dispatch.threads), |shape| shape.to_string()),
            flops: dispatch.cost.flops,
            bytes: dispatch.cost.bytes,
            threads: dispatch.threads,
            buffers,
        }
    }
}

fn arena_name(arena: usize) -> String {
    format!("arena {arena}")
}
