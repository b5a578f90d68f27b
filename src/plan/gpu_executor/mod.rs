//! Replays plans on a GPU: every pipeline and bind group is made beforehand; a chunk of steps is one submit, or several
//! where that would take long.

mod profile;

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::gpu::{DeviceClass, Gpu, Piece, Pipeline, Readback, Upload, buffer};
use crate::graph::Graph;
use crate::ops::{ModelState, StepUniforms};
use crate::plan::chunk::{in_row_order, predict_in_chunks};
use crate::plan::executor::mean_losses;
use crate::plan::gpu_memory::GpuMemory;
use crate::plan::pacing::{Pacer, SUBMIT_LIMIT, Submit};
use crate::plan::{
    BatchPacker, DispatchLimits, Error, Executor, Plan, Resource, RowSource, StepChunk, StepLosses, Tuning,
};

/// How a model is run on a GPU.
#[derive(Clone, Copy, Debug)]
pub struct GpuOptions {
    /// Bytes of training data kept on the device; larger data is streamed.
    pub resident_bytes: u64,
    /// Steps that are sent to the device together; `None` lets the kind of device decide.
    pub steps_per_chunk: Option<usize>,
    /// What a submit should take at most. A chunk of steps that would take longer is cut into several, between any two
    /// dispatches; results do not depend on it.
    pub submit_limit: Duration,
    /// Which kernels are used; `None` takes the guess for the kind of device.
    pub tuning: Option<Tuning>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { resident_bytes: 1 << 30, steps_per_chunk: None, submit_limit: SUBMIT_LIMIT, tuning: None }
    }
}

impl GpuOptions {
    /// What a model that is run with these options has to fit.
    pub fn limits(&self, gpu: &Gpu) -> DispatchLimits {
        let tuning = self.tuning.unwrap_or_else(|| Tuning::guess(gpu.summary.vendor));
        DispatchLimits { binding_bytes: gpu.max_binding_bytes(), tuning }
    }
}

/// Predictions read back at a time.
const RESULT_ROWS: usize = 1 << 20;
/// Bytes of a chunk's integers, at most: what one submit uploads.
const CHUNK_BYTES: usize = 32 << 20;
/// Uploads under way at once.
const UPLOADS: usize = 3;

impl DispatchLimits {
    /// What any device allows.
    pub fn portable() -> Self {
        Self::new(128 << 20, DeviceClass::Hardware)
    }

    /// Limits of an opened device, of which nothing has been measured.
    pub fn of(gpu: &Gpu) -> Self {
        GpuOptions::default().limits(gpu)
    }

    /// Limits of a device of some class.
    pub fn new(binding_bytes: u64, class: DeviceClass) -> Self {
        Self { binding_bytes, tuning: Tuning::of_class(class) }
    }
}

/// The data a program reads.
struct GpuSource {
    ids: wgpu::Buffer,
    values: wgpu::Buffer,
    labels: wgpu::Buffer,
    resident: bool,
}

/// A plan with everything made that its dispatches need.
struct Program {
    plan: Plan,
    steps: usize,
    pipelines: Vec<(Arc<Pipeline>, [u32; 3], Vec<Resource>)>,
    groups: Vec<wgpu::BindGroup>,
    uniforms_group: wgpu::BindGroup,
    arenas: Vec<wgpu::Buffer>,
    descriptors: wgpu::Buffer,
    batches: wgpu::Buffer,
    uniforms: wgpu::Buffer,
    uniforms_stride: usize,
    log: wgpu::Buffer,
    source: GpuSource,
    upload: Upload,
    pacer: Pacer,
}

impl Program {
    fn new(
        gpu: &Gpu,
        plan: Plan,
        limits: &DispatchLimits,
        memory: &GpuMemory,
        results: &wgpu::Buffer,
        (wanted_steps, submit_limit): (usize, Duration),
    ) -> Result<Self, Error> {
        let step_bytes = 4
            * (plan.batch_layout.stride + plan.capacity * (plan.lookups() + plan.value_count() + plan.graph.labels()));
        let max = CHUNK_BYTES.min(limits.binding_bytes as usize);
        let steps = wanted_steps.min(max / step_bytes).max(1);
        let arenas = plan
            .memory(limits)
            .bytes()
            .enumerate()
            // One that is not needed is not bound either.
            .map(|(i, bytes)| buffer::storage(gpu, &format!("arena {i}"), bytes))
            .collect::<Result<Vec<_>, crate::gpu::Error>>()?;
        let dispatches = plan.dispatches(limits);
        let tables: Vec<u32> = dispatches.iter().flat_map(|dispatch| dispatch.descriptors.iter().copied()).collect();
        let descriptors = buffer::storage_of(gpu, "descriptors", &tables)?;
        let shaders =
            dispatches.iter().map(crate::plan::Dispatch::expand).collect::<Result<Vec<_>, crate::gpu::Error>>()?;
        let built = gpu.pipelines().get_all(gpu, &shaders)?;
        let pipelines = dispatches
            .into_iter()
            .zip(built)
            .map(|(dispatch, pipeline)| {
                let workgroups = dispatch.workgroups() as u64;
                let folded = gpu.fold(workgroups).ok_or_else(|| Error::TooLarge {
                    what: format!("dispatch {} needs", dispatch.name()),
                    needed: format!("{workgroups} workgroups"),
                    allowed: u32::MAX.to_string(),
                    device: gpu.name().to_owned(),
                    fix: "lower train.batch_size".to_owned(),
                })?;
                Ok((pipeline, folded, dispatch.resources))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let uniforms_stride = gpu.uniform_stride(size_of::<StepUniforms>() as u64) as usize;
        let uniforms = buffer::uniform(gpu, "step uniforms", (steps * uniforms_stride) as u64)?;
        let with_uniforms = pipelines.iter().find(|(pipeline, ..)| pipeline.has_uniforms());
        let uniforms_group = with_uniforms.expect("a step reads its uniforms").0.bind_uniforms(gpu, &uniforms)?;
        let log_bytes = 4 * steps * plan.loss_lanes(limits, 0)[0] * plan.graph.loss_columns.max(1);
        let rows = steps * plan.capacity;
        let storage = |what: &str, words: usize| buffer::storage(gpu, what, 4 * words as u64);
        let source = GpuSource {
            ids: storage("data ids", rows * plan.lookups())?,
            values: storage("data values", rows * plan.value_count())?,
            labels: storage("data labels", rows * plan.graph.labels())?,
            resident: false,
        };
        let upload_bytes = steps * (step_bytes + uniforms_stride) + 256;
        let mut program = Self {
            batches: storage("batches", steps * plan.batch_layout.stride)?,
            log: buffer::storage(gpu, "loss log", log_bytes as u64)?,
            upload: Upload::new(gpu, "step uploads", upload_bytes as u64, UPLOADS)?,
            pacer: Pacer::new(pipelines.len(), submit_limit),
            plan,
            steps,
            pipelines,
            groups: Vec::new(),
            uniforms_group,
            arenas,
            descriptors,
            uniforms,
            uniforms_stride,
            source,
        };
        program.bind(gpu, memory, results)?;
        Ok(program)
    }

    /// Bytes of its own buffers on the device.
    fn bytes(&self) -> u64 {
        let GpuSource { ids, values, labels, .. } = &self.source;
        let own = [&self.descriptors, &self.batches, &self.uniforms, &self.log, ids, values, labels];
        own.into_iter().chain(&self.arenas).map(wgpu::Buffer::size).sum()
    }

    /// Makes the bind group of every dispatch.
    fn bind(&mut self, gpu: &Gpu, memory: &GpuMemory, results: &wgpu::Buffer) -> Result<(), Error> {
        let part = |buffer, first: usize, count: usize| wgpu::BufferBinding {
            buffer,
            offset: 4 * first as u64,
            size: NonZeroU64::new(4 * count as u64),
        };
        let whole = |buffer| wgpu::BufferBinding { buffer, offset: 0, size: None };
        self.groups = self
            .pipelines
            .iter()
            .map(|(pipeline, _, resources)| {
                let buffers: Vec<_> = resources
                    .iter()
                    .map(|resource| match *resource {
                        Resource::Parameters => whole(&memory.weights),
                        Resource::Gradients => whole(&memory.gradients),
                        Resource::FirstMoments => whole(&memory.first),
                        Resource::SecondMoments => whole(&memory.second),
                        Resource::Arena(arena) => whole(&self.arenas[arena]),
                        Resource::Descriptors { first, count } => part(&self.descriptors, first, count),
                        Resource::Table { table, shard, what } => whole(memory.table(table, shard, what)),
                        Resource::Batches => whole(&self.batches),
                        Resource::Ids => whole(&self.source.ids),
                        Resource::Values => whole(&self.source.values),
                        Resource::Labels => whole(&self.source.labels),
                        Resource::Losses => whole(&self.log),
                        Resource::Results => whole(results),
                    })
                    .collect();
                pipeline.bind(gpu, &buffers)
            })
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Records the upload of a chunk.
    fn stage(&mut self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, chunk: &StepChunk) -> Result<(), Error> {
        let mut uniforms = vec![0u8; chunk.uniforms.len() * self.uniforms_stride];
        for (bytes, uniforms) in uniforms.chunks_exact_mut(self.uniforms_stride).zip(&chunk.uniforms) {
            bytes[..size_of::<StepUniforms>()].copy_from_slice(bytemuck::bytes_of(uniforms));
        }
        let piece = |bytes, target| Piece { bytes, target, offset: 0 };
        let words = chunk.used.iter().map(|range| Piece {
            bytes: bytemuck::cast_slice(&chunk.words[range.clone()]),
            target: &self.batches,
            offset: 4 * range.start as u64,
        });
        let mut pieces: Vec<Piece<'_>> = words.chain([piece(uniforms.as_slice(), &self.uniforms)]).collect();
        if !self.source.resident {
            pieces.extend([
                piece(bytemuck::cast_slice(&chunk.ids), &self.source.ids),
                piece(bytemuck::cast_slice(&chunk.values), &self.source.values),
                piece(bytemuck::cast_slice(&chunk.labels), &self.source.labels),
            ]);
        }
        self.upload.stage(gpu, encoder, &pieces)?;
        Ok(())
    }

    /// Sends a chunk to the device and has its steps run, in as many submits as that should take. What `finish` records
    /// comes last.
    fn run(
        &mut self,
        gpu: &Gpu,
        chunk: &StepChunk,
        mut finish: impl FnMut(&mut wgpu::CommandEncoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let parts = self.pipelines.len();
        let total = chunk.uniforms.len() * parts;
        let mut first = 0;
        while first < total {
            let Submit { count, timed } = self.pacer.next(first, total - first);
            let mut encoder = gpu.encoder("steps");
            if first == 0 {
                self.stage(gpu, &mut encoder, chunk)?;
            }
            self.record(&mut encoder, first..first + count);
            if first + count == total {
                finish(&mut encoder)?;
            }
            if timed {
                // What was submitted before is not this one's time.
                gpu.wait()?;
            }
            let started = Instant::now();
            let submission = gpu.submit(encoder);
            if first == 0 {
                self.upload.submitted(&submission);
            }
            if timed {
                gpu.wait()?;
                self.pacer.record(first, count, started.elapsed());
            }
            first += count;
        }
        Ok(())
    }

    /// Records some dispatches of a chunk, numbered from its first step on.
    fn record(&self, encoder: &mut wgpu::CommandEncoder, numbers: Range<usize>) {
        let parts = self.pipelines.len();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for number in numbers.clone() {
            if number == numbers.start || number % parts == 0 {
                self.set_step(&mut pass, number / parts);
            }
            self.dispatch(&mut pass, number % parts);
        }
    }

    /// Makes the dispatches that follow those of a step, counted from the chunk's first.
    fn set_step(&self, pass: &mut wgpu::ComputePass<'_>, index: usize) {
        pass.set_bind_group(1, &self.uniforms_group, &[(index * self.uniforms_stride) as u32]);
    }

    /// Records one dispatch of a step.
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, part: usize) {
        let (pipeline, workgroups, _) = &self.pipelines[part];
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &self.groups[part], &[]);
        pass.dispatch_workgroups(workgroups[0], workgroups[1], workgroups[2]);
    }
}

/// Runs a model on a GPU.
pub struct GpuExecutor {
    gpu: Gpu,
    options: GpuOptions,
    memory: GpuMemory,
    train: Program,
    predict: Program,
    results: wgpu::Buffer,
    readback: Readback,
    /// Step uniforms of the chunks whose losses are on their way.
    pending: VecDeque<Vec<StepUniforms>>,
    chunks: u64,
}

impl GpuExecutor {
    /// An executor of a training plan and a prediction plan of one model, from `state` on.
    ///
    /// # Errors
    /// When the model does not fit the device, or the device fails.
    pub fn new(
        gpu: Gpu,
        train: Plan,
        predict: Plan,
        state: &ModelState<f32>,
        options: GpuOptions,
    ) -> Result<Self, Error> {
        let limits = options.limits(&gpu);
        gpu.check_subgroup(limits.tuning.subgroup)?;
        train.check_on_device(&limits, gpu.name())?;
        predict.check_on_device(&limits, gpu.name())?;
        let steps = options.steps_per_chunk.unwrap_or(match gpu.class() {
            // A renderer on the CPU computes for milliseconds per step: Ctrl-C should not have to wait for many.
            DeviceClass::Software => 4,
            DeviceClass::Hardware => 16,
        });
        let memory = GpuMemory::new(&gpu, &train.graph, &limits, train.gradient_copies(&limits))?;
        memory.write(&gpu, state)?;
        let results = buffer::storage(&gpu, "predictions", 4 * (RESULT_ROWS * predict.graph.predicted()) as u64)?;
        let pace = (steps, options.submit_limit);
        let train = Program::new(&gpu, train, &limits, &memory, &results, pace)?;
        let predict = Program::new(&gpu, predict, &limits, &memory, &results, pace)?;
        let readback = Readback::new(&gpu, "losses", train.log.size(), UPLOADS)?;
        Ok(Self { gpu, options, memory, train, predict, results, readback, pending: VecDeque::new(), chunks: 0 })
    }

    /// The dense parameters' gradients of the last step, in the graph's order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gradients(&self) -> Result<Vec<Vec<f32>>, Error> {
        self.memory.read_dense(&self.gpu, &self.memory.gradients)
    }

    fn graph(&self) -> &Graph {
        &self.train.plan.graph
    }

    /// Sums of each column of the loss log, and how many of them a step of `rows` samples makes.
    fn loss_lanes(&self, rows: usize) -> [usize; 2] {
        self.train.plan.loss_lanes(&self.options.limits(&self.gpu), rows)
    }
}

impl Executor for GpuExecutor {
    fn device(&self) -> String {
        let summary = &self.gpu.summary;
        format!("{} ({}, {})", summary.name, summary.kind, summary.backend)
    }

    fn arithmetic(&self) -> String {
        self.gpu.summary.identity()
    }

    fn device_bytes(&self) -> Option<u64> {
        Some(self.memory.bytes() + self.train.bytes() + self.predict.bytes() + self.results.size())
    }

    fn load(&mut self, source: &RowSource<'_>) -> Result<bool, Error> {
        let packer = BatchPacker::new(self.graph(), &self.train.plan.batch_layout, true);
        let labels = self.graph().labels();
        let words = [packer.lookups(), source.value_count, labels].map(|per_row| source.rows * per_row);
        let largest = 4 * words.into_iter().max().unwrap_or(0) as u64;
        let total = 4 * words.into_iter().sum::<usize>() as u64;
        if largest > self.gpu.max_binding_bytes() || total > self.options.resident_bytes {
            return Ok(false);
        }
        let storage = |what: &str, words: usize| buffer::storage(&self.gpu, what, 4 * words as u64);
        let data = GpuSource {
            ids: storage("data ids", words[0])?,
            values: storage("data values", words[1])?,
            labels: storage("data labels", words[2])?,
            resident: true,
        };
        const ROWS: usize = 1 << 16;
        for first in (0..source.rows).step_by(ROWS) {
            let ids = packer.lookups_of(source, first, ROWS.min(source.rows - first));
            buffer::upload(&self.gpu, &data.ids, 4 * (first * packer.lookups()) as u64, &ids)?;
            let rows = first..source.rows.min(first + ROWS);
            let weights: Vec<f32> = rows.flat_map(|row| source.signed_weights(row, labels)).collect();
            buffer::upload(&self.gpu, &data.labels, 4 * (first * labels) as u64, &weights)?;
        }
        buffer::upload(&self.gpu, &data.values, 0, source.values)?;
        self.train.source = data;
        self.train.bind(&self.gpu, &self.memory, &self.results)?;
        Ok(true)
    }

    fn steps_per_chunk(&self) -> usize {
        self.train.steps
    }

    fn train(&mut self, chunk: &StepChunk) -> Result<(), Error> {
        let [lanes, _] = self.loss_lanes(0);
        let bytes = 4 * (chunk.uniforms.len() * lanes * self.graph().loss_columns) as u64;
        let Self { gpu, train, readback, chunks, .. } = self;
        let log = train.log.clone();
        train.run(gpu, chunk, |encoder| Ok(readback.record(gpu, encoder, *chunks, &[(&log, 0..bytes)])?))?;
        self.pending.push_back(chunk.uniforms.clone());
        self.chunks += 1;
        Ok(())
    }

    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, Error> {
        let readings = if wait { self.readback.wait(&self.gpu)? } else { self.readback.poll(&self.gpu)? };
        let mut losses = Vec::new();
        for reading in readings {
            let uniforms = self.pending.pop_front().unwrap_or_default();
            let values: Vec<f64> =
                bytemuck::pod_collect_to_vec::<u8, f32>(&reading.bytes).into_iter().map(f64::from).collect();
            let columns = self.graph().loss_columns;
            let [lanes, _] = self.loss_lanes(0);
            for (log, uniforms) in values.chunks_exact(lanes * columns).zip(&uniforms) {
                // The last batch of an epoch may be smaller, and leaves lanes as they were.
                let [_, made] = self.loss_lanes(uniforms.rows as usize);
                let sum = |column: usize| log[..made * columns].iter().skip(column).step_by(columns).sum::<f64>();
                let sums: Vec<f64> = (0..columns).map(sum).collect();
                losses.push(mean_losses(self.graph(), &sums, uniforms));
            }
        }
        Ok(losses)
    }

    fn predict(&mut self, source: &RowSource<'_>) -> Result<Vec<f32>, Error> {
        let predicted = self.predict.plan.graph.predicted();
        let mut logits = Vec::with_capacity(source.rows * predicted);
        let Self { gpu, predict, results, .. } = self;
        let mut packer = BatchPacker::new(&predict.plan.graph, &predict.plan.batch_layout, false);
        let (capacity, steps) = (predict.plan.capacity, predict.steps);
        for first in (0..source.rows).step_by(RESULT_ROWS) {
            let part = source.rows_from(first, RESULT_ROWS);
            let order =
                predict_in_chunks(&mut packer, &part, (0..part.rows as u32).collect(), capacity, steps, |chunk| {
                    predict.run(gpu, chunk, |_| Ok(()))
                })?;
            logits.extend(in_row_order(&order, &buffer::download_as::<f32>(gpu, results, 0, part.rows * predicted)?));
        }
        Ok(logits)
    }

    fn state(&mut self) -> Result<ModelState<f32>, Error> {
        self.memory.read(&self.gpu)
    }

    fn set_state(&mut self, state: &ModelState<f32>) -> Result<(), Error> {
        self.memory.write(&self.gpu, state)
    }
}
