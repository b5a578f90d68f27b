//! A model's state in GPU memory: dense parameters in one buffer, tables in shards.

use super::{DispatchLimits, Error, parameter_places};
use crate::gpu::{Gpu, buffer};
use crate::graph::Graph;
use crate::ops::{DenseState, ModelState, TableArg, TableState};

/// One shard of a table.
struct Shard {
    weights: wgpu::Buffer,
    first: wgpu::Buffer,
    second: wgpu::Buffer,
    /// Values before it, and in it.
    start: usize,
    count: usize,
}

/// Everything that training changes.
pub(super) struct GpuMemory {
    /// Where each parameter begins in the common buffers.
    places: Vec<usize>,
    /// How many values each has.
    sizes: Vec<usize>,
    total: usize,
    pub(super) weights: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    pub(super) first: wgpu::Buffer,
    pub(super) second: wgpu::Buffer,
    tables: Vec<Vec<Shard>>,
}

impl GpuMemory {
    pub(super) fn new(gpu: &Gpu, graph: &Graph, limits: &DispatchLimits) -> Result<Self, Error> {
        let (places, total) = parameter_places(graph);
        let bytes = 4 * total as u64;
        if bytes > limits.binding_bytes {
            return Err(Error::TooLarge {
                what: "the dense parameters".to_owned(),
                needed: bytes,
                allowed: limits.binding_bytes,
                device: gpu.name().to_owned(),
                fix: "use smaller layers, or another device".to_owned(),
            });
        }
        let dense = |what: &str| buffer::storage(gpu, what, bytes);
        let tables = graph
            .tables
            .iter()
            .map(|table| {
                let rows = (limits.binding_bytes as usize / (4 * table.width)).max(1);
                let size = rows * table.width;
                (0..table.len().div_ceil(size))
                    .map(|shard| {
                        let (start, count) = (shard * size, size.min(table.len() - shard * size));
                        let storage = |what: &str| {
                            buffer::storage(gpu, &format!("table {} ({what})", table.name), 4 * count as u64)
                        };
                        Ok(Shard {
                            weights: storage("rows")?,
                            first: storage("first moments")?,
                            second: storage("second moments")?,
                            start,
                            count,
                        })
                    })
                    .collect()
            })
            .collect::<Result<_, crate::gpu::Error>>()?;
        Ok(Self {
            places,
            total,
            sizes: graph.parameters.iter().map(|parameter| parameter.rows * parameter.cols).collect(),
            weights: dense("parameters")?,
            gradients: dense("gradients")?,
            first: dense("first moments")?,
            second: dense("second moments")?,
            tables,
        })
    }

    pub(super) fn table(&self, table: usize, shard: usize, what: TableArg) -> &wgpu::Buffer {
        let shard = &self.tables[table][shard];
        match what {
            TableArg::Weights => &shard.weights,
            TableArg::First => &shard.first,
            TableArg::Second => &shard.second,
        }
    }

    pub(super) fn write(&self, gpu: &Gpu, state: &ModelState<f32>) -> Result<(), Error> {
        let dense = &state.dense;
        for (buffer, values) in
            [(&self.weights, &dense.weights), (&self.first, &dense.first), (&self.second, &dense.second)]
        {
            for (&place, values) in self.places.iter().zip(values) {
                buffer::upload(gpu, buffer, 4 * place as u64, values)?;
            }
        }
        for (shards, table) in self.tables.iter().zip(&state.tables) {
            for shard in shards {
                let range = shard.start..shard.start + shard.count;
                buffer::upload(gpu, &shard.weights, 0, &table.weights[range.clone()])?;
                buffer::upload(gpu, &shard.first, 0, &table.first[range.clone()])?;
                buffer::upload(gpu, &shard.second, 0, &table.second[range])?;
            }
        }
        Ok(())
    }

    /// The parameters' values in one of the common buffers.
    pub(super) fn read_dense(&self, gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<Vec<Vec<f32>>, Error> {
        if self.places.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<f32> = buffer::download_as(gpu, buffer, 0, self.total)?;
        Ok(self.places.iter().zip(&self.sizes).map(|(&place, &size)| all[place..place + size].to_vec()).collect())
    }

    pub(super) fn read(&self, gpu: &Gpu) -> Result<ModelState<f32>, Error> {
        let dense = DenseState {
            weights: self.read_dense(gpu, &self.weights)?,
            first: self.read_dense(gpu, &self.first)?,
            second: self.read_dense(gpu, &self.second)?,
        };
        let read = |shards: &[Shard], pick: fn(&Shard) -> &wgpu::Buffer| {
            let mut values: Vec<f32> = Vec::new();
            for shard in shards {
                values.extend(buffer::download_as::<f32>(gpu, pick(shard), 0, shard.count)?);
            }
            Ok::<_, Error>(values)
        };
        let tables = self
            .tables
            .iter()
            .map(|shards| {
                Ok(TableState {
                    weights: read(shards, |shard| &shard.weights)?,
                    first: read(shards, |shard| &shard.first)?,
                    second: read(shards, |shard| &shard.second)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(ModelState { dense, tables })
    }
}
