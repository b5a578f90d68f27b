//! A model's state in GPU memory: dense parameters in one buffer, tables in shards. Rows are padded to multiples of 4
//! values, and the padding is 0. A table stored as half floats has two of them in a word.

use std::borrow::Cow;

use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::vec::HalfBitsVecExt;

use super::{DispatchLimits, Error, ParameterPlaces, parameter_places};
use crate::gpu::{Gpu, buffer};
use crate::graph::{Graph, Precision};
use crate::ops::{DenseState, Location, ModelState, TableArg, TableState, TableValues};

/// One shard of a table.
struct Shard {
    weights: wgpu::Buffer,
    first: wgpu::Buffer,
    second: wgpu::Buffer,
    /// Rows before it, and in it.
    start: usize,
    rows: usize,
}

/// Everything that training changes.
pub(super) struct GpuMemory {
    /// Where each parameter lies in the common buffers.
    places: Vec<Location>,
    /// Rows and columns of each.
    sizes: Vec<[usize; 2]>,
    total: usize,
    /// Width of each table, and how its values are stored.
    rows: Vec<(usize, Precision)>,
    pub(super) weights: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    pub(super) first: wgpu::Buffer,
    pub(super) second: wgpu::Buffer,
    tables: Vec<Vec<Shard>>,
}

impl GpuMemory {
    /// Memory for a graph's state, and for `copies` of its gradients.
    pub(super) fn new(gpu: &Gpu, graph: &Graph, limits: &DispatchLimits, copies: usize) -> Result<Self, Error> {
        let ParameterPlaces { places, total, .. } = parameter_places(graph);
        let bytes = 4 * total as u64;
        let dense = |what: &str, copies: usize| buffer::storage(gpu, what, bytes * copies as u64);
        let tables = graph
            .tables
            .iter()
            .map(|table| {
                let size = limits.shard_rows(table.width);
                (0..table.rows().div_ceil(size))
                    .map(|shard| {
                        let (start, rows) = (shard * size, size.min(table.rows() - shard * size));
                        let values = rows * Location::stride_of(table.width);
                        let storage = |what: &str, precision: Precision| {
                            let bytes = (precision.bytes() * values) as u64;
                            buffer::storage(gpu, &format!("table {} ({what})", table.name), bytes)
                        };
                        let moments = |what: &str| storage(what, Precision::F32);
                        let [weights, first, second] =
                            [storage("rows", table.precision)?, moments("first moments")?, moments("second moments")?];
                        Ok(Shard { weights, first, second, start, rows })
                    })
                    .collect()
            })
            .collect::<Result<_, crate::gpu::Error>>()?;
        Ok(Self {
            places,
            total,
            sizes: graph.parameters.iter().map(|parameter| [parameter.rows, parameter.cols]).collect(),
            rows: graph.tables.iter().map(|table| (table.width, table.precision)).collect(),
            weights: dense("parameters", 1)?,
            gradients: dense("gradients", copies.max(1))?,
            first: dense("first moments", 1)?,
            second: dense("second moments", 1)?,
            tables,
        })
    }

    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        let dense = [&self.weights, &self.gradients, &self.first, &self.second].map(wgpu::Buffer::size);
        let shards = self.tables.iter().flatten().flat_map(|shard| [&shard.weights, &shard.first, &shard.second]);
        dense.into_iter().chain(shards.map(wgpu::Buffer::size)).sum()
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
            for ((place, [_, cols]), values) in self.places.iter().zip(&self.sizes).zip(values) {
                buffer::upload(gpu, buffer, 4 * u64::from(place.first), &padded(values, *cols))?;
            }
        }
        for ((shards, table), &(width, precision)) in self.tables.iter().zip(&state.tables).zip(&self.rows) {
            assert_eq!(table.weights.precision(), precision, "a state as its graph stores it");
            for shard in shards {
                match &table.weights {
                    TableValues::Full(values) => shard.write(gpu, &shard.weights, values, width)?,
                    TableValues::Half(values) => shard.write(gpu, &shard.weights, values.reinterpret_cast(), width)?,
                }
                shard.write(gpu, &shard.first, &table.first, width)?;
                shard.write(gpu, &shard.second, &table.second, width)?;
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
        let values = |(place, &[rows, cols]): (&Location, &[usize; 2])| {
            let (first, stride) = (place.first as usize, place.stride as usize);
            stripped(&all[first..first + rows * stride], cols).collect()
        };
        Ok(self.places.iter().zip(&self.sizes).map(values).collect())
    }

    pub(super) fn read(&self, gpu: &Gpu) -> Result<ModelState<f32>, Error> {
        let dense = DenseState {
            weights: self.read_dense(gpu, &self.weights)?,
            first: self.read_dense(gpu, &self.first)?,
            second: self.read_dense(gpu, &self.second)?,
        };
        let tables = self
            .tables
            .iter()
            .zip(&self.rows)
            .map(|(shards, &(width, precision))| {
                let weights = match precision {
                    Precision::F32 => TableValues::Full(read(gpu, shards, width, |shard| &shard.weights)?),
                    Precision::F16 => {
                        let bits: Vec<u16> = read(gpu, shards, width, |shard| &shard.weights)?;
                        TableValues::Half(bits.reinterpret_into())
                    }
                };
                let first = read(gpu, shards, width, |shard| &shard.first)?;
                Ok(TableState { weights, first, second: read(gpu, shards, width, |shard| &shard.second)? })
            })
            .collect::<Result<_, Error>>()?;
        Ok(ModelState { dense, tables })
    }
}

impl Shard {
    /// Writes the shard's rows of a table's `values` to one of its buffers.
    fn write<V: Pod>(&self, gpu: &Gpu, buffer: &wgpu::Buffer, values: &[V], width: usize) -> Result<(), Error> {
        // In pieces: a padded copy of a whole table would be as large as the table.
        for first in (0..self.rows).step_by(ROWS) {
            let rows = ROWS.min(self.rows - first);
            let values = &values[(self.start + first) * width..][..rows * width];
            let at = (size_of::<V>() * first * Location::stride_of(width)) as u64;
            buffer::upload(gpu, buffer, at, &padded(values, width))?;
        }
        Ok(())
    }
}

/// A table's values in one of its shards' buffers.
fn read<V: Pod>(gpu: &Gpu, shards: &[Shard], width: usize, pick: fn(&Shard) -> &wgpu::Buffer) -> Result<Vec<V>, Error> {
    let stride = Location::stride_of(width);
    let mut values = Vec::new();
    for shard in shards {
        for first in (0..shard.rows).step_by(ROWS) {
            let count = ROWS.min(shard.rows - first) * stride;
            let at = (size_of::<V>() * first * stride) as u64;
            let read: Vec<V> = buffer::download_as(gpu, pick(shard), at, count)?;
            values.extend(stripped(&read, width));
        }
    }
    Ok(values)
}

/// Rows of a table transferred at a time.
const ROWS: usize = 1 << 18;

/// Rows of `cols` values with zeros behind each up to a multiple of 4.
fn padded<V: Pod>(values: &[V], cols: usize) -> Cow<'_, [V]> {
    let stride = Location::stride_of(cols);
    if cols == stride {
        return Cow::Borrowed(values);
    }
    let mut rows = vec![V::zeroed(); values.len() / cols * stride];
    for (row, values) in rows.chunks_exact_mut(stride).zip(values.chunks_exact(cols)) {
        row[..cols].copy_from_slice(values);
    }
    Cow::Owned(rows)
}

/// The values of padded rows.
fn stripped<V: Copy>(rows: &[V], cols: usize) -> impl Iterator<Item = V> {
    rows.chunks_exact(Location::stride_of(cols)).flat_map(move |row| row[..cols].iter().copied())
}
