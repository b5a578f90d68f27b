//! Replays plans on the CPU, in f32 for users and in f64 for gradient checks.

mod profile;

use std::ops::Range;
use std::sync::Mutex;

use super::chunk::predict_in_chunks;
use super::executor::mean_losses;
use super::{Chunk, Error, Executor, Feeder, Place, Plan, Source, StepLosses};
use crate::cpu::Real;
use crate::graph::{Graph, Schedule, Shape, TensorId};
use crate::ops::{Clock, Cpu, DenseState, LOSS_LANES, ModelState, Op, Operation, SourceView, TableState};

/// A plan with memory for everything it computes.
struct Program<T> {
    plan: Plan,
    buffers: Vec<Vec<T>>,
    gradients: Vec<Vec<T>>,
    losses: Mutex<Vec<T>>,
    results: Mutex<Vec<f32>>,
}

/// The data and the slot of one step.
struct StepInput<'a> {
    clock: &'a Clock,
    words: &'a [u32],
    source: SourceView<'a>,
}

impl<T: Real> Program<T> {
    fn new(plan: Plan) -> Self {
        let zeros = |count: usize| vec![T::zero(); count];
        Self {
            buffers: plan.buffers.iter().map(|&size| zeros(size)).collect(),
            gradients: plan.gradients.iter().map(|&gradient| zeros(plan.graph.shape(gradient).len(0))).collect(),
            losses: Mutex::new(zeros(LOSS_LANES * plan.graph.loss_columns)),
            results: Mutex::new(Vec::new()),
            plan,
        }
    }

    fn run(&mut self, state: &mut ModelState<T>, input: &StepInput<'_>) {
        self.run_nodes(0..self.plan.graph.nodes.len(), state, input);
    }

    /// Runs some of the step's nodes, for which those before them have run.
    fn run_nodes(&mut self, nodes: Range<usize>, state: &mut ModelState<T>, input: &StepInput<'_>) {
        let Self { plan, buffers, gradients, losses, results } = self;
        let rows = input.clock.rows as usize;
        for node in &plan.graph.nodes[nodes] {
            let mut outputs: Vec<Vec<T>> = node
                .outputs
                .iter()
                .map(|output| match plan.places[output.0] {
                    Place::Buffer(buffer) => std::mem::take(&mut buffers[buffer]),
                    Place::Gradient(parameter) => std::mem::take(&mut gradients[parameter]),
                    Place::Parameter(_) | Place::Unused => unreachable!("outputs have places of their own"),
                })
                .collect();
            let shapes: Vec<Shape> = node.inputs.iter().map(|&tensor| plan.graph.shape(tensor)).collect();
            let updates = matches!(node.op, Op::DenseAdam(_) | Op::RowAdam(_) | Op::RowSweep(_));
            // While an update changes the state, the tensors it reads are gradients only.
            let mut updated = if updates { std::mem::take(state) } else { ModelState::default() };
            let inputs: Vec<&[T]> = node
                .inputs
                .iter()
                .zip(&shapes)
                .map(|(input, shape)| match plan.places[input.0] {
                    Place::Buffer(buffer) => &buffers[buffer][..shape.len(rows)],
                    Place::Gradient(parameter) => gradients[parameter].as_slice(),
                    Place::Parameter(parameter) => state.dense.weights[parameter].as_slice(),
                    Place::Unused => unreachable!("inputs have places"),
                })
                .collect();
            let cpu = Cpu {
                clock: input.clock,
                inputs: &inputs,
                shapes: &shapes,
                tables: &state.tables,
                layout: &plan.graph.tables,
                schedule: &plan.schedule,
                words: input.words,
                source: input.source,
                losses,
                results,
            };
            if updates {
                node.op.update(&cpu, &mut updated);
                *state = updated;
            } else {
                node.op.run(&cpu, &mut outputs);
            }
            for (output, values) in node.outputs.iter().zip(outputs) {
                match plan.places[output.0] {
                    Place::Buffer(buffer) => buffers[buffer] = values,
                    Place::Gradient(parameter) => gradients[parameter] = values,
                    Place::Parameter(_) | Place::Unused => {}
                }
            }
        }
    }
}

/// Runs a model on the CPU.
pub struct CpuExecutor<T> {
    train: Program<T>,
    predict: Program<T>,
    state: ModelState<T>,
    finished: Vec<StepLosses>,
}

impl<T: Real> CpuExecutor<T> {
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

    /// A tensor of the last training step, as long as nothing has overwritten it.
    pub fn tensor(&self, tensor: TensorId) -> Option<&[T]> {
        match self.train.plan.places[tensor.0] {
            Place::Buffer(buffer) => Some(&self.train.buffers[buffer]),
            Place::Gradient(parameter) => Some(&self.train.gradients[parameter]),
            Place::Parameter(parameter) => Some(&self.state.dense.weights[parameter]),
            Place::Unused => None,
        }
    }

    fn graph(&self) -> &Graph {
        &self.train.plan.graph
    }
}

/// The view of a chunk's packed data.
fn view(chunk: &Chunk, fields: usize, value_count: usize) -> SourceView<'_> {
    SourceView { ids: &chunk.ids, fields, values: &chunk.values, value_count, labels: &chunk.labels }
}

fn slot<'a>(words: &'a [u32], schedule: &Schedule, clock: &Clock) -> &'a [u32] {
    &words[clock.base as usize..][..schedule.stride]
}

impl<T: Real> Executor for CpuExecutor<T> {
    fn device(&self) -> String {
        let threads = rayon::current_num_threads();
        format!("CPU ({threads} {})", if threads == 1 { "thread" } else { "threads" })
    }

    fn load(&mut self, _: &Source<'_>) -> Result<bool, Error> {
        // The host's memory is the device's: chunks carry their rows.
        Ok(false)
    }

    fn steps_per_chunk(&self) -> usize {
        1
    }

    fn train(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let fields: usize = self.graph().tables.iter().map(|table| table.fields.len()).sum();
        let value_count = chunk.values.len() / chunk.labels.len().max(1);
        for clock in &chunk.clocks {
            let words = slot(&chunk.words, &self.train.plan.schedule, clock);
            let input = StepInput { clock, words, source: view(chunk, fields, value_count) };
            self.train.run(&mut self.state, &input);
            let log = self.train.losses.get_mut().expect("no thread panics while it logs");
            let lanes: Vec<f64> = log.iter().map(|&value| value.wide()).collect();
            self.finished.push(mean_losses(&self.train.plan.graph, &lanes, clock));
        }
        Ok(())
    }

    fn losses(&mut self, _: bool) -> Result<Vec<StepLosses>, Error> {
        Ok(std::mem::take(&mut self.finished))
    }

    fn predict(&mut self, source: &Source<'_>) -> Result<Vec<f32>, Error> {
        let Program { plan, .. } = &self.predict;
        let mut feeder = Feeder::new(&plan.graph, &plan.schedule, false);
        let (fields, capacity) = (feeder.lookups(), plan.capacity);
        *self.predict.results.get_mut().expect("no thread panics while it stores") = vec![0.0; source.rows];
        predict_in_chunks(&mut feeder, source, capacity, 1, |chunk| {
            let clock = &chunk.clocks[0];
            let words = slot(&chunk.words, &self.predict.plan.schedule, clock);
            let input = StepInput { clock, words, source: view(chunk, fields, source.value_count) };
            self.predict.run(&mut self.state, &input);
            Ok::<_, Error>(())
        })?;
        Ok(std::mem::take(self.predict.results.get_mut().expect("no thread panics while it stores")))
    }

    fn state(&mut self) -> Result<ModelState<f32>, Error> {
        Ok(convert(&self.state))
    }

    fn set_state(&mut self, state: &ModelState<f32>) -> Result<(), Error> {
        self.state = convert(state);
        Ok(())
    }
}

/// The same state in another precision.
pub fn convert<A: Real, B: Real>(state: &ModelState<A>) -> ModelState<B> {
    let values = |values: &Vec<A>| values.iter().map(|&value| B::of(value.wide())).collect::<Vec<B>>();
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
                weights: values(&table.weights),
                first: values(&table.first),
                second: values(&table.second),
            })
            .collect(),
    }
}
