//! A model's state in GPU memory: dense parameters in one buffer, tables in shards. Rows are padded to multiples of 4
//! values, and the padding is 0. A table stored as half floats has two of them in a word.

use std::borrow::Cow;

use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::vec::HalfBitsVecExt;

use super::{DispatchLimits, Error, ParameterPlaces, parameter_places};
use crate::gpu::{Gpu, buffer};
use crate::graph::{EmbeddingTable, Graph, Optimizer, Precision};
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

/// How rows lie in a buffer.
#[derive(Clone, Copy)]
struct Rows {
    /// Values of each.
    cols: usize,
    /// Values from one to the next.
    stride: usize,
}

impl Rows {
    /// As shaders read them four values at a time; with no values there are no rows.
    fn padded(cols: usize) -> Self {
        Self { cols, stride: Location::stride_of(cols) }
    }

    /// Those of what is kept of a table's rows: first moments, and second moments or sums of squares.
    fn kept(table: &EmbeddingTable) -> [Self; 2] {
        table.optimizer.kept(table.width).map(|cols| match table.optimizer {
            Optimizer::RowwiseAdagrad => Self { cols, stride: cols },
            _ => Self::padded(cols),
        })
    }
}

/// How a table's rows are stored, and what is kept of them.
#[derive(Clone, Copy)]
struct TableFormat {
    precision: Precision,
    weights: Rows,
    kept: [Rows; 2],
}

impl TableFormat {
    fn of(table: &EmbeddingTable) -> Self {
        Self { precision: table.precision, weights: Rows::padded(table.width), kept: Rows::kept(table) }
    }
}

/// Everything that training changes.
pub(super) struct GpuMemory {
    /// Where each parameter lies in the common buffers.
    places: Vec<Location>,
    /// Rows and columns of each.
    sizes: Vec<[usize; 2]>,
    total: usize,
    /// Those of each table.
    formats: Vec<TableFormat>,
    /// Whether there are first moments of them, and second moments or sums of squares.
    kept: [bool; 2],
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
        let kept = graph.optimizer.kept(1);
        let tables = graph
            .tables
            .iter()
            .map(|table| {
                let size = limits.shard_rows(table.width);
                (0..table.rows().div_ceil(size))
                    .map(|shard| {
                        let (start, rows) = (shard * size, size.min(table.rows() - shard * size));
                        let storage = |what: &str, precision: Precision, format: Rows| {
                            let bytes = (precision.bytes() * rows * format.stride) as u64;
                            buffer::storage(gpu, &format!("table {} ({what})", table.name), bytes)
                        };
                        let TableFormat { precision, weights, kept } = TableFormat::of(table);
                        let [weights, first, second] = [
                            storage("rows", precision, weights)?,
                            storage("first moments", Precision::F32, kept[0])?,
                            storage("second moments", Precision::F32, kept[1])?,
                        ];
                        Ok(Shard { weights, first, second, start, rows })
                    })
                    .collect()
            })
            .collect::<Result<_, crate::gpu::Error>>()?;
        Ok(Self {
            places,
            total,
            sizes: graph.parameters.iter().map(|parameter| [parameter.rows, parameter.cols]).collect(),
            formats: graph.tables.iter().map(TableFormat::of).collect(),
            kept: kept.map(|kept| kept > 0),
            weights: dense("parameters", 1)?,
            gradients: dense("gradients", copies.max(1))?,
            first: dense("first moments", kept[0])?,
            second: dense("second moments", kept[1])?,
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
                // Empty where the optimiser does not keep it.
                if !values.is_empty() {
                    let values = padded(values, Rows::padded(*cols));
                    buffer::upload(gpu, buffer, 4 * u64::from(place.first), &values)?;
                }
            }
        }
        for ((shards, table), format) in self.tables.iter().zip(&state.tables).zip(&self.formats) {
            assert_eq!(table.weights.precision(), format.precision, "a state as its graph stores it");
            for shard in shards {
                match &table.weights {
                    TableValues::Full(values) => shard.write(gpu, &shard.weights, values, format.weights)?,
                    TableValues::Half(values) => {
                        shard.write(gpu, &shard.weights, values.reinterpret_cast(), format.weights)?;
                    }
                }
                shard.write(gpu, &shard.first, &table.first, format.kept[0])?;
                shard.write(gpu, &shard.second, &table.second, format.kept[1])?;
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
            stripped(&all[first..first + rows * stride], Rows { cols, stride }).collect()
        };
        Ok(self.places.iter().zip(&self.sizes).map(values).collect())
    }

    /// The same of what the optimiser may not keep.
    fn read_kept(&self, gpu: &Gpu, buffer: &wgpu::Buffer, is_kept: bool) -> Result<Vec<Vec<f32>>, Error> {
        if is_kept { self.read_dense(gpu, buffer) } else { Ok(vec![Vec::new(); self.places.len()]) }
    }

    pub(super) fn read(&self, gpu: &Gpu) -> Result<ModelState<f32>, Error> {
        let dense = DenseState {
            weights: self.read_dense(gpu, &self.weights)?,
            first: self.read_kept(gpu, &self.first, self.kept[0])?,
            second: self.read_kept(gpu, &self.second, self.kept[1])?,
        };
        let tables = self
            .tables
            .iter()
            .zip(&self.formats)
            .map(|(shards, &TableFormat { precision, weights, kept })| {
                let weights = match precision {
                    Precision::F32 => TableValues::Full(read(gpu, shards, weights, |shard| &shard.weights)?),
                    Precision::F16 => {
                        let bits: Vec<u16> = read(gpu, shards, weights, |shard| &shard.weights)?;
                        TableValues::Half(bits.reinterpret_into())
                    }
                };
                let first = read(gpu, shards, kept[0], |shard| &shard.first)?;
                Ok(TableState { weights, first, second: read(gpu, shards, kept[1], |shard| &shard.second)? })
            })
            .collect::<Result<_, Error>>()?;
        Ok(ModelState { dense, tables })
    }
}

impl Shard {
    /// Writes the shard's rows of a table's `values` to one of its buffers.
    fn write<V: Pod>(&self, gpu: &Gpu, buffer: &wgpu::Buffer, values: &[V], format: Rows) -> Result<(), Error> {
        let Rows { cols, stride } = format;
        // In pieces: a padded copy of a whole table would be as large as the table.
        for first in (0..self.rows).step_by(ROWS) {
            let rows = ROWS.min(self.rows - first);
            let values = &values[(self.start + first) * cols..][..rows * cols];
            buffer::upload(gpu, buffer, (size_of::<V>() * first * stride) as u64, &padded(values, format))?;
        }
        Ok(())
    }
}

/// A table's values in one of its shards' buffers.
fn read<V: Pod>(gpu: &Gpu, shards: &[Shard], format: Rows, pick: fn(&Shard) -> &wgpu::Buffer) -> Result<Vec<V>, Error> {
    let mut values = Vec::new();
    for shard in shards.iter().filter(|_| format.cols > 0) {
        for first in (0..shard.rows).step_by(ROWS) {
            let count = ROWS.min(shard.rows - first) * format.stride;
            let at = (size_of::<V>() * first * format.stride) as u64;
            let read: Vec<V> = buffer::download_as(gpu, pick(shard), at, count)?;
            values.extend(stripped(&read, format));
        }
    }
    Ok(values)
}

/// Rows of a table transferred at a time.
const ROWS: usize = 1 << 18;

/// Rows with zeros behind each.
fn padded<V: Pod>(values: &[V], Rows { cols, stride }: Rows) -> Cow<'_, [V]> {
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
fn stripped<V: Copy>(rows: &[V], Rows { cols, stride }: Rows) -> impl Iterator<Item = V> {
    rows.chunks_exact(stride).flat_map(move |row| row[..cols].iter().copied())
}
