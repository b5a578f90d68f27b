//! Replays plans on the CPU, in f32 for users and in f64 for gradient checks.

mod profile;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rayon::prelude::*;

use crate::cpu::{Arena, LANES, Real, vector_length, zeros};
use crate::graph::{BatchLayout, Graph, Node, RowExtent, Shape, TensorId};
use crate::ops::{
    Batch, Block, CpuScalar, DenseState, ModelState, Operation, SourceView, StepUniforms, StepView, TableState, Value,
    converted,
};
use crate::plan::chunk::{in_row_order, predict_in_chunks};
use crate::plan::cpu_layout::{Layout, Slot};
use crate::plan::executor::mean_losses;
use crate::plan::{BatchPacker, Error, Executor, Plan, RowSource, StepChunk, StepLosses};

/// A plan with memory for everything it computes.
struct Program<T> {
    plan: Plan,
    layout: Layout,
    /// Tensors of the whole batch.
    shared: Arena<T>,
    /// Tensors of all tokens.
    tokens: Arena<T>,
    /// For each thread memory for the block it works on.
    local: Vec<Arena<T>>,
    gradients: Vec<Vec<T>>,
    /// Gradients of the embedding rows that the batch read.
    rows: Vec<Vec<T>>,
    log: Arena<T>,
    shapes: Vec<Vec<Shape>>,
    /// For each node whether it runs token by token.
    by_tokens: Vec<bool>,
}

/// What is done between two waits of the threads for each other.
enum Stage {
    /// These nodes, block by block of samples.
    Samples(Range<usize>),
    /// This node, which sums over samples.
    Sum(usize),
}

/// The data and the batch of one step.
struct StepInput<'a> {
    uniforms: &'a StepUniforms,
    words: &'a [u32],
    source: SourceView<'a>,
}

impl<T: CpuScalar> Program<T> {
    fn new(plan: Plan) -> Self {
        let layout = Layout::new(&plan);
        let blocks = plan.capacity.div_ceil(LANES);
        let shapes_of = |node: &Node| node.inputs.iter().map(|&tensor| plan.graph.shape(tensor)).collect();
        let token_blocks = plan.batch_layout.token_capacity() / LANES;
        Self {
            shared: Arena::new(blocks, layout.shared_columns),
            tokens: Arena::new(token_blocks, layout.token_columns),
            local: Vec::new(),
            gradients: plan
                .gradients
                .iter()
                .map(|gradient| zeros(gradient.map_or(0, |t| plan.graph.shape(t).len(0))))
                .collect(),
            rows: layout.row_tensors.iter().map(|&t| zeros(plan.graph.shape(t).len(plan.capacity))).collect(),
            log: Arena::new(blocks, plan.graph.loss_columns),
            shapes: plan.graph.nodes.iter().map(shapes_of).collect(),
            by_tokens: plan.graph.nodes.iter().map(|node| runs_by_tokens(node, &plan.graph)).collect(),
            layout,
            plan,
        }
    }

    fn run(&mut self, state: &mut ModelState<T>, input: &StepInput<'_>) {
        self.run_nodes(0..self.plan.graph.nodes.len(), state, input, None);
    }

    /// Runs some of the step's nodes, for which those before them have run. Adds to `times` the nanoseconds that each
    /// node took, of all threads together.
    fn run_nodes(
        &mut self,
        nodes: Range<usize>,
        state: &mut ModelState<T>,
        input: &StepInput<'_>,
        times: Option<&[AtomicU64]>,
    ) {
        // Whichever thread takes a block: those of the pool, or the caller.
        let threads = rayon::current_num_threads() + 1;
        if self.local.len() < threads {
            self.local = (0..threads).map(|_| Arena::new(1, self.layout.local_columns)).collect();
        }
        let step = StepView {
            uniforms: input.uniforms,
            layout: &self.plan.graph.tables,
            batch_layout: &self.plan.batch_layout,
            words: input.words,
            source: input.source,
            mixed_precision: self.plan.mixed_precision,
        };
        let among = |range: &Range<usize>| range.start.max(nodes.start)..range.end.min(nodes.end);
        let timed = |index: usize, work: &mut dyn FnMut()| {
            let started = times.map(|_| Instant::now());
            work();
            if let (Some(times), Some(started)) = (times, started) {
                let nanoseconds = started.elapsed().as_nanos() as u64 * rayon::current_num_threads() as u64;
                times[index].fetch_add(nanoseconds, Ordering::Relaxed);
            }
        };
        for index in among(&self.layout.weights) {
            let node = &self.plan.graph.nodes[index];
            let Slot::Parameter(made) = self.layout.slots[node.outputs[0].0] else {
                unreachable!("weights are made in a parameter's place")
            };
            let mut outputs = [std::mem::take(&mut state.dense.weights[made])];
            let inputs: Vec<Value<'_, T>> = node.inputs.iter().map(|&tensor| self.value(tensor, state)).collect();
            timed(index, &mut || T::reduce(&node.op, &Batch { step, inputs: &inputs }, &mut outputs));
            [state.dense.weights[made]] = outputs;
        }
        let sums_midway = |index: usize| self.plan.graph.nodes[index].op.sums_midway();
        let stages: Vec<Stage> = self
            .layout
            .segments
            .iter()
            .map(among)
            .filter(|range| !range.is_empty())
            .map(|range| if sums_midway(range.start) { Stage::Sum(range.start) } else { Stage::Samples(range) })
            .chain(among(&self.layout.sums).map(Stage::Sum))
            .collect();
        for stage in stages {
            let index = match stage {
                Stage::Samples(segment) => {
                    self.run_samples(segment, state, &step, times);
                    continue;
                }
                Stage::Sum(index) => index,
            };
            let node = &self.plan.graph.nodes[index];
            let mut outputs: Vec<Vec<T>> = node
                .outputs
                .iter()
                .map(|output| match self.layout.slots[output.0] {
                    Slot::Gradient(parameter) => std::mem::take(&mut self.gradients[parameter]),
                    Slot::Rows(number) => std::mem::take(&mut self.rows[number]),
                    slot => unreachable!("a sum over samples in {slot:?}"),
                })
                .collect();
            let inputs: Vec<Value<'_, T>> = node.inputs.iter().map(|&tensor| self.value(tensor, state)).collect();
            timed(index, &mut || T::reduce(&node.op, &Batch { step, inputs: &inputs }, &mut outputs));
            for (output, values) in node.outputs.iter().zip(outputs) {
                match self.layout.slots[output.0] {
                    Slot::Gradient(parameter) => self.gradients[parameter] = values,
                    Slot::Rows(number) => self.rows[number] = values,
                    _ => {}
                }
            }
        }
        for index in among(&self.layout.updates) {
            let node = &self.plan.graph.nodes[index];
            let gradient = |tensor: &TensorId| match self.layout.slots[tensor.0] {
                Slot::Gradient(parameter) => self.gradients[parameter].as_slice(),
                Slot::Rows(number) => self.rows[number].as_slice(),
                slot => unreachable!("a sum over samples in {slot:?}"),
            };
            let gradients: Vec<&[T]> = node.inputs.iter().map(gradient).collect();
            timed(index, &mut || T::update(&node.op, &step, &gradients, state));
        }
    }

    /// Runs the nodes of `segment`: each block of samples through all of them, blocks in parallel.
    fn run_samples(
        &self,
        segment: Range<usize>,
        state: &ModelState<T>,
        step: &StepView<'_>,
        times: Option<&[AtomicU64]>,
    ) {
        let nodes = &self.plan.graph.nodes[segment.clone()];
        let mut values = Vec::new();
        let mut ends = Vec::with_capacity(nodes.len());
        for node in nodes {
            values.extend(node.inputs.iter().chain(&node.outputs).map(|&tensor| self.value(tensor, state)));
            ends.push((values.len() - node.outputs.len(), values.len()));
        }
        // SAFETY: only `Block::log` uses these columns, of the block that its thread works on.
        let log = unsafe { self.log.tensor(0, self.plan.graph.loss_columns) };
        (0..step.rows().div_ceil(LANES)).into_par_iter().with_max_len(1).for_each(|index| {
            let local = &self.local[rayon::current_thread_index().map_or(0, |thread| thread + 1)];
            let mut first = 0;
            let mut started = times.map(|_| Instant::now());
            for (i, ((node, shapes), &(outputs, end))) in
                nodes.iter().zip(&self.shapes[segment.clone()]).zip(&ends).enumerate()
            {
                let mut block = Block {
                    step: *step,
                    uniforms: step.uniforms,
                    tables: &state.tables,
                    rows: step.rows(),
                    index,
                    local,
                    inputs: &values[first..outputs],
                    outputs: &values[outputs..end],
                    shapes,
                    log,
                };
                let by_tokens = self.by_tokens[segment.start + i];
                let run = |block: &mut Block<'_, T>| {
                    T::run(&node.op, block);
                    for (number, output) in node.outputs.iter().enumerate() {
                        if self.plan.is_half(*output) {
                            block.round_output(number, by_tokens);
                        }
                    }
                };
                if by_tokens {
                    block.rows = step.uniforms.tokens as usize;
                    for tokens in step.token_blocks(index) {
                        block.index = tokens;
                        run(&mut block);
                    }
                } else {
                    run(&mut block);
                }
                first = end;
                if let (Some(times), Some(started)) = (times, &mut started) {
                    let now = Instant::now();
                    let nanoseconds = (now - *started).as_nanos() as u64;
                    times[segment.start + i].fetch_add(nanoseconds, Ordering::Relaxed);
                    *started = now;
                }
            }
        });
    }

    fn value<'a>(&'a self, tensor: TensorId, state: &'a ModelState<T>) -> Value<'a, T> {
        match self.layout.slots[tensor.0] {
            // SAFETY: `Layout` gives every tensor columns of its own for as long as it is needed; within a segment a
            // block is written by the one thread that works on it, and rows of other blocks are read in later ones.
            Slot::Shared { first, width } => Value::Shared(unsafe { self.shared.tensor(first, width) }),
            // SAFETY: as above; a block of tokens is written by the thread that works on its samples.
            Slot::Tokens { first, width } => Value::Tokens(unsafe { self.tokens.tensor(first, width) }),
            Slot::Local { first, width } => Value::Local(first, width),
            Slot::Parameter(parameter) => Value::Matrix(&state.dense.weights[parameter]),
            Slot::Gradient(parameter) => Value::Matrix(&self.gradients[parameter]),
            Slot::Rows(number) => Value::Matrix(&self.rows[number]),
            Slot::Unused => unreachable!("a node's tensors have places"),
        }
    }

    /// The rows of a tensor, row-major; `None` if it is not kept for the whole batch.
    fn tensor(&self, tensor: TensorId, state: &ModelState<T>) -> Option<Vec<T>> {
        if self.layout.slots[tensor.0] == Slot::Unused {
            return None;
        }
        match self.value(tensor, state) {
            Value::Matrix(values) => Some(values.to_vec()),
            Value::Local(..) => None,
            Value::Tokens(_) => None,
            Value::Shared(columns) => Some(
                (0..self.plan.capacity)
                    .flat_map(|row| (0..columns.width()).map(move |column| columns.value(row, column)))
                    .collect(),
            ),
        }
    }

    /// The losses of the last step.
    fn losses(&self, uniforms: &StepUniforms) -> StepLosses {
        let graph = &self.plan.graph;
        // SAFETY: no step is running.
        let log = unsafe { self.log.tensor(0, graph.loss_columns) };
        let sum = |column: usize| (0..uniforms.rows as usize).map(|row| log.value(row, column).wide()).sum::<f64>();
        let sums: Vec<f64> = (0..graph.loss_columns).map(sum).collect();
        mean_losses(graph, &sums, uniforms)
    }
}

impl<T: CpuScalar> Program<T> {
    /// The kept tensors' values for `rows`, row by row, and the rows in the order of the values.
    fn kept(
        &mut self,
        state: &mut ModelState<T>,
        source: &RowSource<'_>,
        rows: Vec<u32>,
    ) -> Result<(Vec<u32>, Vec<Vec<f32>>), Error> {
        let mut packer = BatchPacker::new(&self.plan.graph, &self.plan.batch_layout, false);
        let capacity = self.plan.capacity;
        let mut found = vec![Vec::new(); self.plan.kept.len()];
        let order = predict_in_chunks(&mut packer, source, rows, capacity, 1, |chunk| {
            let uniforms = &chunk.uniforms[0];
            let words = batch_words(&chunk.words, &self.plan.batch_layout, uniforms);
            let input = StepInput { uniforms, words, source: view(chunk, &self.plan.graph) };
            self.run(state, &input);
            for (values, &tensor) in found.iter_mut().zip(&self.plan.kept) {
                let Value::Shared(columns) = self.value(tensor, state) else {
                    unreachable!("what is kept is kept for the whole batch")
                };
                let rows = 0..uniforms.rows as usize;
                let all = rows.flat_map(|row| (0..columns.width()).map(move |column| columns.value(row, column)));
                values.extend(all.map(|value| value.wide() as f32));
            }
            Ok::<_, Error>(())
        })?;
        Ok((order, found))
    }
}

/// The values of a graph's probes for `rows` of `source`, row by row, `capacity` rows at a time; and these rows in the
/// order of the values.
///
/// # Errors
/// Never so far: the CPU does not fail.
pub fn probe(
    graph: &Graph,
    capacity: usize,
    mut state: ModelState<f32>,
    source: &RowSource<'_>,
    rows: Vec<u32>,
) -> Result<(Vec<u32>, Vec<Vec<f32>>), Error> {
    Program::new(Plan::probing(graph, capacity)).kept(&mut state, source, rows)
}

/// Whether a node's rows are tokens, and not samples that only read or write theirs.
fn runs_by_tokens(node: &Node, graph: &Graph) -> bool {
    let tokens = |tensor: &TensorId| matches!(graph.shape(*tensor).rows, RowExtent::Tokens(_));
    node.outputs.first().is_some_and(tokens) && !node.op.runs_by_samples()
}

/// Runs a model on the CPU.
pub struct CpuExecutor<T> {
    train: Program<T>,
    predict: Program<T>,
    state: ModelState<T>,
    finished: Vec<StepLosses>,
}

impl<T: CpuScalar> CpuExecutor<T> {
    /// An executor of a training plan and a prediction plan of one model, from `state` on.
    pub fn new(train: Plan, predict: Plan, state: ModelState<T>) -> Self {
        Self { train: Program::new(train), predict: Program::new(predict), state, finished: Vec::new() }
    }

    /// The model's state.
    pub fn model(&self) -> &ModelState<T> {
        &self.state
    }

    /// The model's state, to change.
    pub fn model_mut(&mut self) -> &mut ModelState<T> {
        &mut self.state
    }

    /// The dense parameters' gradients of the last step, in the graph's order.
    pub fn gradients(&self) -> &[Vec<T>] {
        &self.train.gradients
    }

    /// A tensor of the last training step, row-major; `None` if it was not kept.
    pub fn tensor(&self, tensor: TensorId) -> Option<Vec<T>> {
        self.train.tensor(tensor, &self.state)
    }

    fn graph(&self) -> &Graph {
        &self.train.plan.graph
    }
}

/// The view of the packed data of a chunk for `graph`.
fn view<'a>(chunk: &'a StepChunk, graph: &Graph) -> SourceView<'a> {
    let labels_per_row = graph.labels();
    SourceView {
        ids: &chunk.ids,
        fields: graph.tables.iter().map(|table| table.fields.len()).sum(),
        values: &chunk.values,
        value_count: chunk.values.len() / (chunk.labels.len() / labels_per_row).max(1),
        labels: &chunk.labels,
        labels_per_row,
    }
}

fn batch_words<'a>(words: &'a [u32], batch_layout: &BatchLayout, uniforms: &StepUniforms) -> &'a [u32] {
    &words[uniforms.batch_offset as usize..][..batch_layout.stride]
}

impl<T: CpuScalar> Executor for CpuExecutor<T> {
    fn device(&self) -> String {
        let threads = rayon::current_num_threads();
        format!("CPU ({threads} {})", if threads == 1 { "thread" } else { "threads" })
    }

    fn arithmetic(&self) -> String {
        format!("CPU, blocks of {LANES} samples, vectors of {} numbers", vector_length::<T>())
    }

    fn device_bytes(&self) -> Option<u64> {
        None
    }

    fn load(&mut self, _: &RowSource<'_>) -> Result<bool, Error> {
        // The host's memory is the device's: chunks carry their rows.
        Ok(false)
    }

    fn steps_per_chunk(&self) -> usize {
        1
    }

    fn train(&mut self, chunk: &StepChunk) -> Result<(), Error> {
        for uniforms in &chunk.uniforms {
            let words = batch_words(&chunk.words, &self.train.plan.batch_layout, uniforms);
            let input = StepInput { uniforms, words, source: view(chunk, self.graph()) };
            self.train.run(&mut self.state, &input);
            self.finished.push(self.train.losses(uniforms));
        }
        Ok(())
    }

    fn losses(&mut self, _: bool) -> Result<Vec<StepLosses>, Error> {
        Ok(std::mem::take(&mut self.finished))
    }

    fn predict(&mut self, source: &RowSource<'_>) -> Result<Vec<f32>, Error> {
        let (order, logits) = self.predict.kept(&mut self.state, source, (0..source.rows as u32).collect())?;
        Ok(in_row_order(&order, &logits[0]))
    }

    fn state(&mut self) -> Result<ModelState<f32>, Error> {
        Ok(convert(&self.state))
    }

    fn set_state(&mut self, state: &ModelState<f32>) -> Result<(), Error> {
        self.state = convert(state);
        Ok(())
    }
}

/// The same state in another precision of computation; how tables are stored stays.
pub fn convert<A: Real, B: Real>(state: &ModelState<A>) -> ModelState<B> {
    let values = |values: &Vec<A>| converted(values);
    let lists = |lists: &Vec<Vec<A>>| lists.iter().map(values).collect();
    ModelState {
        dense: DenseState {
            weights: lists(&state.dense.weights),
            first: lists(&state.dense.first),
            second: lists(&state.dense.second),
        },
        tables: state
            .tables
            .iter()
            .map(|table| TableState {
                weights: table.weights.convert(),
                first: values(&table.first),
                second: values(&table.second),
            })
            .collect(),
    }
}
