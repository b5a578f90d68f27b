//! Runs a plan's dispatches on the host, by the interpreter of shaders: kernels for GPUs compute what the CPU executor
//! computes, no workgroup and no invocation meets another's data without a barrier, and nothing is read beyond its end.

use std::collections::HashMap;

use half::f16;
use polyscene::gpu::Shader;
use polyscene::graph::{EmbeddingTable, Graph, Optimizer, Precision};
use polyscene::ops::{DenseState, Location, ModelState, StepUniforms, TableArg, TableState, TableValues};
use polyscene::plan::{
    BatchPacker, Dispatch, DispatchLimits, ParameterPlaces, Plan, Resource, RowSource, Step, StepChunk, StepLosses,
    Tuning, parameter_places,
};

use crate::simt::{Buffers, Machine, Options, Trace};

/// What a device without 64-bit addresses allows, and enough for any test.
const BINDING_BYTES: u64 = 128 << 20;
/// Words of the unused end of a bind group's uniforms.
const UNIFORMS: usize = 16;

struct Prepared {
    dispatch: Dispatch,
    shader: Shader,
    machine: Machine,
    /// The numbers of its bindings of group 0, in order.
    bindings: Vec<u32>,
}

impl Prepared {
    fn of(plan: &Plan, limits: &DispatchLimits) -> Vec<Self> {
        let prepare = |dispatch: Dispatch| {
            let shader = dispatch.expand().unwrap();
            let module = naga::front::wgsl::parse_str(shader.text()).unwrap();
            let machine = Machine::new(&module).unwrap_or_else(|fault| panic!("{}: {fault}", dispatch.name()));
            let declared = module.global_variables.iter().filter_map(|(_, variable)| variable.binding.as_ref());
            let mut bindings: Vec<u32> = declared.filter(|at| at.group == 0).map(|at| at.binding).collect();
            bindings.sort_unstable();
            Self { dispatch, shader, machine, bindings }
        };
        plan.dispatches(limits).into_iter().map(prepare).collect()
    }

    /// Runs workgroups of the dispatch over these buffers: all, and where two invocations race; or some spread over them,
    /// and what they move.
    fn run(
        &self,
        buffers: &mut HashMap<Resource, Vec<u32>>,
        uniforms: &StepUniforms,
        subgroup: usize,
        all: bool,
    ) -> (Trace, Vec<String>) {
        let mut bound = Buffers::new();
        let mut first_of: HashMap<Resource, u32> = HashMap::new();
        assert_eq!(self.bindings.len(), self.dispatch.resources.len());
        for (&binding, &resource) in self.bindings.iter().zip(&self.dispatch.resources) {
            match first_of.get(&resource) {
                Some(&first) => assert!(bound.alias(0, binding, (0, first))),
                None => {
                    first_of.insert(resource, binding);
                    let words = match resource {
                        Resource::Descriptors { .. } => self.dispatch.descriptors.clone(),
                        _ => buffers.remove(&resource).unwrap_or_else(|| panic!("{resource:?} is no buffer here")),
                    };
                    bound.set(0, binding, words);
                }
            }
        }
        let mut words: Vec<u32> = bytemuck::cast_slice(&[*uniforms]).to_vec();
        words.resize(UNIFORMS, 0);
        bound.set(1, 0, words);
        let count = self.dispatch.workgroups() as u32;
        // Enough to see all kernels that a dispatch computes side by side.
        let taken = if all { count } else { count.min((count / 32).clamp(2, 32)) };
        let number = |i: u32| (u64::from(i) * u64::from(count) / u64::from(taken)) as u32;
        let groups: Vec<[u32; 3]> = (0..taken).map(|i| [number(i), 0, 0]).collect();
        let options = Options { races: all, traffic: !all, subgroup, ..Options::default() };
        let trace = self.machine.run(&mut bound, &groups, [count, 1, 1], &options);
        let place = |span: naga::Span| {
            let line = span.location(self.shader.text()).line_number as usize;
            self.shader.origin(line).map_or(String::new(), |(file, line)| format!("{file}:{line}"))
        };
        let trace = trace.unwrap_or_else(|fault| panic!("{}: {fault} ({})", self.dispatch.name(), place(fault.span)));
        let race = |race: &crate::simt::Race| {
            let (first, second) = (place(race.first.span), place(race.second.span));
            format!("{}: {first} and {second} race: {race:?}", self.dispatch.name())
        };
        let races = trace.races.iter().map(race).collect();
        for (resource, binding) in first_of {
            if !matches!(resource, Resource::Descriptors { .. }) {
                buffers.insert(resource, bound.take(0, binding));
            }
        }
        (trace, races)
    }
}

/// A model on the interpreter.
pub struct Interpreted {
    train: Plan,
    predict: Plan,
    limits: DispatchLimits,
    prepared: [Vec<Prepared>; 2],
    buffers: HashMap<Resource, Vec<u32>>,
    places: ParameterPlaces,
    /// Invocations of a subgroup.
    pub subgroup: usize,
    /// Where two invocations raced so far.
    pub races: Vec<String>,
}

impl Interpreted {
    pub fn new(
        train: Plan,
        predict: Plan,
        state: &ModelState<f32>,
        binding_bytes: Option<u64>,
        tuning: Tuning,
    ) -> Self {
        let limits = DispatchLimits { binding_bytes: binding_bytes.unwrap_or(BINDING_BYTES), tuning };
        let prepared = [Prepared::of(&train, &limits), Prepared::of(&predict, &limits)];
        let places = parameter_places(&train.graph);
        let (buffers, races) = (HashMap::new(), Vec::new());
        let mut made = Self { train, predict, limits, prepared, buffers, places, subgroup: 32, races };
        made.set_state(state);
        made
    }

    fn graph(&self) -> &Graph {
        &self.train.graph
    }

    fn shards(&self, table: usize) -> Vec<(usize, usize)> {
        let table = &self.graph().tables[table];
        let size = self.limits.shard_rows(table.width);
        (0..table.rows()).step_by(size).map(|first| (first, size.min(table.rows() - first))).collect()
    }

    pub fn set_state(&mut self, state: &ModelState<f32>) {
        let dense = &state.dense;
        let all = [
            (Resource::Parameters, &dense.weights),
            (Resource::FirstMoments, &dense.first),
            (Resource::SecondMoments, &dense.second),
        ];
        for (resource, lists) in all {
            let mut words = vec![0; self.places.total];
            let parameters = self.places.places.iter().zip(&self.train.graph.parameters).zip(lists);
            for ((place, parameter), values) in parameters.filter(|(_, values)| !values.is_empty()) {
                write(&mut words[place.first as usize..], values, by_fours(parameter.cols));
            }
            self.buffers.insert(resource, words);
        }
        let copies = self.train.gradient_copies(&self.limits).max(1);
        self.buffers.insert(Resource::Gradients, vec![0; copies * self.places.total]);
        for (table, values) in state.tables.iter().enumerate() {
            let (width, kept) = (self.graph().tables[table].width, kept(&self.graph().tables[table]));
            for (shard, (first, rows)) in self.shards(table).into_iter().enumerate() {
                let range = first * width..(first + rows) * width;
                let of = |values: &[f32], [cols, stride]: [usize; 2]| {
                    let mut words = vec![0; rows * stride];
                    if cols > 0 {
                        write(&mut words, &values[first * cols..][..rows * cols], [cols, stride]);
                    }
                    words
                };
                let weights = match &values.weights {
                    TableValues::Full(values) => of(values, by_fours(width)),
                    TableValues::Half(values) => paired(&values[range.clone()], width),
                };
                let mut insert = |what, words| self.buffers.insert(Resource::Table { table, shard, what }, words);
                insert(TableArg::Weights, weights);
                insert(TableArg::First, of(&values.first, kept[0]));
                insert(TableArg::Second, of(&values.second, kept[1]));
            }
        }
    }

    pub fn state(&self) -> ModelState<f32> {
        let tables = (0..self.graph().tables.len()).map(|table| {
            let width = self.graph().tables[table].width;
            let shards = 0..self.shards(table).len();
            let words = |what: TableArg| {
                shards.clone().map(move |shard| &self.buffers[&Resource::Table { table, shard, what }])
            };
            let kept = kept(&self.graph().tables[table]);
            let read = |what: TableArg, rows: [usize; 2]| words(what).flat_map(|words| read(words, rows)).collect();
            TableState {
                weights: match self.graph().tables[table].precision {
                    Precision::F32 => TableValues::Full(read(TableArg::Weights, by_fours(width))),
                    Precision::F16 => {
                        TableValues::Half(words(TableArg::Weights).flat_map(|words| unpaired(words, width)).collect())
                    }
                },
                first: read(TableArg::First, kept[0]),
                second: read(TableArg::Second, kept[1]),
            }
        });
        let kept = self.graph().optimizer.kept(1);
        let of_kept = |resource, kept: usize| match kept {
            0 => vec![Vec::new(); self.graph().parameters.len()],
            _ => self.dense(resource),
        };
        let dense = DenseState {
            weights: self.dense(Resource::Parameters),
            first: of_kept(Resource::FirstMoments, kept[0]),
            second: of_kept(Resource::SecondMoments, kept[1]),
        };
        ModelState { dense, tables: tables.collect() }
    }

    /// The gradients of the last step.
    pub fn gradients(&self) -> Vec<Vec<f32>> {
        self.dense(Resource::Gradients)
    }

    fn dense(&self, resource: Resource) -> Vec<Vec<f32>> {
        let words = &self.buffers[&resource];
        let values = |(place, parameter): (&Location, &polyscene::graph::Parameter)| {
            let rows = &words[place.first as usize..][..parameter.rows * place.stride as usize];
            read(rows, by_fours(parameter.cols))
        };
        self.places.places.iter().zip(&self.graph().parameters).map(values).collect()
    }

    /// Buffers that one plan alone uses, and the data.
    fn begin(&mut self, which: usize, words: &[u32], ids: &[u32], values: &[f32], labels: &[f32]) {
        let plan = if which == 0 { &self.train } else { &self.predict };
        let memory = plan.memory(&self.limits);
        for (arena, bytes) in memory.bytes().enumerate() {
            // What nothing has written is no number, so that nothing may come of it.
            let halves = u32::from(f16::NAN.to_bits()) * 0x1_0001;
            let nan = if memory.layout.is_of_halves(arena) { halves } else { f32::NAN.to_bits() };
            self.buffers.insert(Resource::Arena(arena), vec![nan; bytes as usize / 4]);
        }
        let log = plan.loss_lanes(&self.limits, 0)[0] * plan.graph.loss_columns.max(1);
        let mut set = |resource, words: Vec<u32>| self.buffers.insert(resource, padded(words));
        set(Resource::Losses, vec![0; log * 64]);
        set(Resource::Batches, words.to_vec());
        set(Resource::Ids, ids.to_vec());
        set(Resource::Values, bytemuck::cast_slice(values).to_vec());
        set(Resource::Labels, bytemuck::cast_slice(labels).to_vec());
    }

    pub fn train(&mut self, chunk: &StepChunk) -> Vec<StepLosses> {
        self.begin(0, &chunk.words, &chunk.ids, &chunk.values, &chunk.labels);
        for uniforms in &chunk.uniforms {
            for prepared in &self.prepared[0] {
                self.races.extend(prepared.run(&mut self.buffers, uniforms, self.subgroup, true).1);
            }
        }
        let columns = self.graph().loss_columns;
        let [lanes, _] = self.train.loss_lanes(&self.limits, 0);
        let log = &self.buffers[&Resource::Losses];
        let steps = chunk.uniforms.iter().enumerate().map(|(step, uniforms)| {
            let [_, made] = self.train.loss_lanes(&self.limits, uniforms.rows as usize);
            let own = &log[step * lanes * columns..][..made * columns];
            let sum =
                |column| own.iter().skip(column).step_by(columns).map(|&word| f64::from(f32::from_bits(word))).sum();
            let sums: Vec<f64> = (0..columns).map(sum).collect();
            polyscene::plan::mean_losses(self.graph(), &sums, uniforms)
        });
        steps.collect()
    }

    /// How each dispatch of a step accesses memory, by some of its workgroups. What they compute is of no use, since the
    /// others do not run.
    pub fn traces(&mut self, chunk: &StepChunk) -> Vec<Trace> {
        self.begin(0, &chunk.words, &chunk.ids, &chunk.values, &chunk.labels);
        let uniforms = &chunk.uniforms[0];
        self.prepared[0]
            .iter()
            .map(|prepared| prepared.run(&mut self.buffers, uniforms, self.subgroup, false).0)
            .collect()
    }

    pub fn predict(&mut self, source: &RowSource<'_>) -> Vec<f32> {
        let mut order: Vec<u32> = (0..source.rows as u32).collect();
        let capacity = self.predict.capacity;
        if self.predict.batch_layout.scenarios.is_some() {
            order.chunks_mut(capacity).for_each(|rows| source.group_by_scenario(rows));
        }
        let width = self.predict.graph.predicted();
        let mut logits = vec![f32::NAN; source.rows * width];
        let mut packer = BatchPacker::new(&self.predict.graph, &self.predict.batch_layout, false);
        for rows in order.chunks(capacity) {
            let mut chunk = StepChunk::default();
            packer.fill(source, &[Step { rows, shuffle: &[], uniforms: StepUniforms::default() }], &mut chunk);
            self.begin(1, &chunk.words, &chunk.ids, &chunk.values, &chunk.labels);
            self.buffers.insert(Resource::Results, vec![f32::NAN.to_bits(); capacity * width]);
            for prepared in &self.prepared[1] {
                self.races.extend(prepared.run(&mut self.buffers, &chunk.uniforms[0], self.subgroup, true).1);
            }
            for (&row, words) in rows.iter().zip(self.buffers[&Resource::Results].chunks_exact(width)) {
                let own = &mut logits[row as usize * width..][..width];
                own.iter_mut().zip(words).for_each(|(logit, &word)| *logit = f32::from_bits(word));
            }
        }
        logits
    }
}

/// Buffers have at least sixteen bytes.
fn padded(mut words: Vec<u32>) -> Vec<u32> {
    let length = words.len().max(4).next_multiple_of(4);
    words.resize(length, 0);
    words
}

/// Rows of `cols` values, each to a row that begins at a multiple of four words.
/// Columns of rows that are read four values at a time, and the values from one to the next.
fn by_fours(cols: usize) -> [usize; 2] {
    [cols, Location::stride_of(cols)]
}

/// The same of what the optimiser keeps of a table's rows; no columns where it keeps nothing.
fn kept(table: &EmbeddingTable) -> [[usize; 2]; 2] {
    table.optimizer.kept(table.width).map(|cols| match table.optimizer {
        Optimizer::RowwiseAdagrad => [cols; 2],
        _ => by_fours(cols),
    })
}

fn write(words: &mut [u32], values: &[f32], [cols, stride]: [usize; 2]) {
    for (row, values) in words.chunks_mut(stride).zip(values.chunks_exact(cols)) {
        row.iter_mut().zip(values).for_each(|(word, value)| *word = value.to_bits());
    }
}

fn read(words: &[u32], [cols, stride]: [usize; 2]) -> Vec<f32> {
    let rows = words.chunks_exact(stride.max(1)).filter(|_| cols > 0);
    rows.flat_map(|row| row[..cols].iter().map(|&word| f32::from_bits(word))).collect()
}

/// Rows of `cols` halves, two in a word, each row to one that begins at a multiple of two words.
fn paired(values: &[f16], cols: usize) -> Vec<u32> {
    let row = |values: &[f16]| {
        let mut halves: Vec<u32> = values.iter().map(|half| u32::from(half.to_bits())).collect();
        halves.resize(Location::stride_of(cols), 0);
        halves.chunks_exact(2).map(|pair| pair[0] | pair[1] << 16).collect::<Vec<u32>>()
    };
    values.chunks_exact(cols).flat_map(row).collect()
}

fn unpaired(words: &[u32], cols: usize) -> Vec<f16> {
    let halves = |&word: &u32| [word as u16, (word >> 16) as u16].map(f16::from_bits);
    words
        .chunks_exact(Location::stride_of(cols) / 2)
        .flat_map(|row| row.iter().flat_map(halves).take(cols).collect::<Vec<_>>())
        .collect()
}
