//! What models with parts for each scenario promise: a sample trains its own scenario's parts and no others, and neither
//! the order of a batch nor the company of longer sequences changes what comes of a sample.

use std::sync::LazyLock;

use crate::common::Golden;
use polyscene::cpu::LANES;
use polyscene::gpu::{Gpu, OpenOptions, testing};
use polyscene::graph::{BatchLayout, Cross, Graph, ParameterRole};
use polyscene::layers::Field;
use polyscene::models::{Inputs, Model, OptMsm, Saml, SequenceInput, Transfer};
use polyscene::ops::{ModelState, OptimizerOptions, StepUniforms};
use polyscene::plan::{
    BatchPacker, CpuExecutor, Executor, GpuExecutor, GpuOptions, Plan, RowSource, Step, StepChunk, TrainingOptions,
    convert, initial_state,
};

const SCENARIOS: usize = 3;
const ROWS: [usize; 4] = [3, 7, 11, 5];

fn inputs(longest: usize) -> Inputs {
    let field = |(source, &rows): (usize, &usize)| Field {
        name: format!("f{source}"),
        source,
        rows,
        cross: Cross::None,
        value: None,
        tags: None,
    };
    Inputs {
        fields: ROWS.iter().enumerate().map(field).collect(),
        aware: 1,
        scenarios: SCENARIOS,
        has_scenarios: true,
        scenario: Some(0),
        sequences: vec![SequenceInput { field: 2, longest }],
    }
}

fn models() -> Vec<(String, Graph, Graph)> {
    let mut models = Vec::new();
    for transfer in [Transfer::Fcn, Transfer::Moe, Transfer::Cgc] {
        // Without the constraint, which is about all scenarios, a sample concerns its own alone.
        let options = OptMsm {
            width: 4,
            hidden: vec![9, 6],
            tower_hidden: vec![5],
            transfer,
            orthogonality: false,
            ..OptMsm::default()
        };
        models.push((
            format!("{transfer:?}"),
            options.build(&inputs(6)).unwrap(),
            options.build_prediction(&inputs(6)).unwrap(),
        ));
    }
    let saml = Saml { width: 8, hidden: vec![9, 6], ..Saml::default() };
    models.push(("saml".to_owned(), saml.build(&inputs(6)).unwrap(), saml.build_prediction(&inputs(6)).unwrap()));
    models
}

/// Rows whose sequences have every length up to the longest; scenario by `scenario`.
struct Data {
    ids: Vec<u32>,
    labels: Vec<f32>,
    scenarios: Vec<u32>,
    sequences: Vec<polyscene::data::Sequence>,
}

impl Data {
    fn new(rows: usize, scenario: impl Fn(usize) -> u32) -> Self {
        let ids = (0..rows).flat_map(|row| ROWS.iter().enumerate().map(move |(f, &n)| ((row * 5 + f * 3) % n) as u32));
        let mut offsets = vec![0];
        for row in 0..rows {
            offsets.push(offsets[row] + row as u64 % 7);
        }
        let items = (0..offsets[rows]).map(|item| (item * 7 % ROWS[2] as u64) as u32).collect::<Vec<_>>();
        Self {
            ids: ids.collect(),
            labels: (0..rows).map(|row| f32::from(u8::from(row % 3 == 0))).collect(),
            scenarios: (0..rows).map(scenario).collect(),
            sequences: vec![polyscene::data::Sequence::new(offsets, items)],
        }
    }

    fn source(&self) -> RowSource<'_> {
        RowSource {
            rows: self.labels.len(),
            ids: &self.ids,
            fields: ROWS.len(),
            values: &[],
            value_count: 0,
            labels: &self.labels,
            clicks: &[],
            weights: &[],
            scenarios: &self.scenarios,
            sequences: &self.sequences,
            first_in_sequences: 0,
        }
    }

    fn chunk(&self, graph: &Graph, batch_layout: &BatchLayout, rows: &[u32]) -> StepChunk {
        let uniforms = StepUniforms { learning_rate: 0.01, embedding_rate: 0.01, ..StepUniforms::default() };
        let mut chunk = StepChunk::default();
        let step = Step { rows, shuffle: &[], uniforms };
        BatchPacker::new(graph, batch_layout, false).fill(&self.source(), &[step], &mut chunk);
        chunk
    }
}

const BATCH: usize = 37;

/// One for all tests here: pipelines are compiled once.
fn software() -> Option<Gpu> {
    static GPU: LazyLock<Option<Gpu>> =
        LazyLock::new(|| testing::software_with(OpenOptions { checked: true, ..OpenOptions::default() }));
    GPU.clone()
}

fn plans(graph: &Graph, prediction: &Graph) -> (Plan, Plan) {
    let adam = OptimizerOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
    let options = TrainingOptions {
        capacity: BATCH,
        dense: adam,
        embeddings: adam,
        max_gradient_norm: None,
        dense_embedding_adam: false,
        mixed_precision: false,
    };
    (Plan::training(graph, &options), Plan::inference(prediction, BATCH))
}

/// The parts of a parameter for each scenario, where it has such.
fn is_of_scenarios(name: &str) -> bool {
    let parts = ["branch.", "gate.", "tower.", "transfer.own.", "transfer.mixer."];
    let star = name.starts_with("transfer.") && name.contains(".specific.");
    star || parts.iter().any(|part| name.starts_with(part))
}

fn untouched(what: &str, graph: &Graph, own: usize, before: &ModelState<f32>, after: &ModelState<f32>) {
    let mut moved = 0;
    for (i, parameter) in graph
        .parameters
        .iter()
        .enumerate()
        .filter(|(_, p)| is_of_scenarios(&p.name) && p.role == ParameterRole::Trained)
    {
        let part = before.dense.weights[i].len() / SCENARIOS;
        let changed = |scenario: usize| {
            let range = scenario * part..(scenario + 1) * part;
            before.dense.weights[i][range.clone()] != after.dense.weights[i][range]
        };
        for scenario in (0..SCENARIOS).filter(|&scenario| scenario != own) {
            assert!(!changed(scenario), "{what}: {} of scenario {scenario} moved", parameter.name);
        }
        moved += usize::from(changed(own));
    }
    assert!(moved > 3, "{what}: parts of the own scenario move");
    let Some(table) = graph.tables.iter().position(|table| table.name == "specific") else { return };
    let width = graph.tables[table].width;
    let [before, after] = [before, after].map(|state| state.tables[table].weights.to_vec());
    for field in &graph.tables[table].fields {
        let Cross::Scenario { each } = field.cross else { panic!("rows for each scenario") };
        for row in (0..field.rows).filter(|row| row / each != own) {
            let range = (field.offset + row) * width..(field.offset + row + 1) * width;
            assert_eq!(before[range.clone()], after[range], "{what}");
        }
    }
}

#[test]
fn a_sample_leaves_other_scenarios_parts_untouched() {
    let gpu = software();
    for (name, graph, prediction) in models() {
        let state = initial_state(&graph, 3);
        let (train, predict) = plans(&graph, &prediction);
        let batch_layout = train.batch_layout.clone();
        let mut cpu = CpuExecutor::<f32>::new(train.clone(), predict.clone(), state.clone());
        let on_gpu = |gpu: &Gpu| GpuExecutor::new(gpu.clone(), train, predict, &state, GpuOptions::default()).unwrap();
        let mut gpu = gpu.as_ref().map(on_gpu);
        for own in 0..SCENARIOS {
            let data = Data::new(BATCH, |_| own as u32);
            let rows: Vec<u32> = (0..BATCH as u32).collect();
            let chunk = data.chunk(&graph, &batch_layout, &rows);
            cpu.set_state(&state).unwrap();
            cpu.train(&chunk).unwrap();
            untouched(&format!("{name} on the CPU"), &graph, own, &state, &cpu.state().unwrap());
            let Some(gpu) = &mut gpu else { continue };
            gpu.set_state(&state).unwrap();
            gpu.train(&chunk).unwrap();
            untouched(&format!("{name} on a GPU"), &graph, own, &state, &gpu.state().unwrap());
        }
    }
}

#[test]
fn shared_experts_drop_the_same_for_every_scenario() {
    // The constraint computes all scenarios' representations; without it a sample's own is all there is.
    let own_loss = |transfer: Transfer, orthogonality: bool| {
        let options = OptMsm {
            width: 4,
            hidden: vec![9, 6],
            tower_hidden: vec![5],
            dropout: 0.4,
            transfer,
            orthogonality,
            ..OptMsm::default()
        };
        let graph = options.build(&inputs(6)).unwrap();
        let (train, predict) = plans(&graph, &options.build_prediction(&inputs(6)).unwrap());
        let data = Data::new(BATCH, |row| (row % SCENARIOS) as u32);
        let rows: Vec<u32> = (0..BATCH as u32).collect();
        let chunk = data.chunk(&graph, &train.batch_layout, &rows);
        let mut executor = CpuExecutor::<f64>::new(train, predict, convert(&initial_state(&graph, 3)));
        executor.train(&chunk).unwrap();
        executor.losses(true).unwrap()[0].terms[0]
    };
    assert_eq!(own_loss(Transfer::Moe, true), own_loss(Transfer::Moe, false));
    // Masks matter to this loss: networks of each scenario's own have others where all are computed.
    assert_ne!(own_loss(Transfer::Fcn, true), own_loss(Transfer::Fcn, false));
}

#[test]
fn a_grouped_batch_gives_what_a_mixed_one_gives() {
    for (name, graph, prediction) in models() {
        let data = Data::new(BATCH, |row| (row % SCENARIOS) as u32);
        let state: ModelState<f64> = convert(&initial_state(&graph, 3));
        let (train, predict) = plans(&graph, &prediction);
        let losses = |grouped: bool| {
            let mut rows: Vec<u32> = (0..BATCH as u32).collect();
            if grouped {
                data.source().group_by_scenario(&mut rows);
            }
            let mut executor = CpuExecutor::<f64>::new(train.clone(), predict.clone(), state.clone());
            executor.train(&data.chunk(&graph, &train.batch_layout, &rows)).unwrap();
            (executor.losses(true).unwrap()[0].total, executor.predict(&data.source()).unwrap())
        };
        let ((mixed, of_mixed), (grouped, of_grouped)) = (losses(false), losses(true));
        assert!((mixed - grouped).abs() < 1e-12, "{name}: {mixed} and {grouped}");
        let off = of_mixed.iter().zip(&of_grouped).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{name}: predictions differ by {off}");
    }
}

#[test]
fn predictions_come_in_the_order_of_the_rows_whoever_stands_beside_them() {
    let gpu = software();
    for (name, graph, prediction) in models() {
        // More than a batch, scenarios mixed, sequences of all lengths; and each row alone.
        let data = Data::new(BATCH + 20, |row| (row * 2 % SCENARIOS) as u32);
        let state = initial_state(&graph, 5);
        let (train, predict) = plans(&graph, &prediction);
        let mut cpu = CpuExecutor::<f32>::new(train.clone(), predict.clone(), state.clone());
        let all = cpu.predict(&data.source()).unwrap();
        for (row, &logit) in all.iter().enumerate().step_by(5) {
            let source = data.source();
            let one = RowSource {
                rows: 1,
                ids: &source.ids[row * ROWS.len()..(row + 1) * ROWS.len()],
                labels: &source.labels[row..=row],
                scenarios: &source.scenarios[row..=row],
                first_in_sequences: row,
                ..source
            };
            let alone = cpu.predict(&one).unwrap()[0];
            assert!((alone - logit).abs() < 1e-6, "{name}: row {row} alone gives {alone}, among others {logit}");
        }
        let Some(gpu) = &gpu else { continue };
        let mut gpu = GpuExecutor::new(gpu.clone(), train, predict, &state, GpuOptions::default()).unwrap();
        let found = gpu.predict(&data.source()).unwrap();
        let off = all.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{name}: the devices differ by {off}");
    }
}

#[test]
fn tokens_cost_what_is_there_and_not_the_longest() {
    let golden = Golden::open("saml-sequence");
    let [graph, _] = golden.graphs();
    let batch_layout = BatchLayout::training(&graph, golden.batch());
    let chunk = golden.steps(&graph, &batch_layout);
    let layout = batch_layout.tokens.as_ref().unwrap();
    let lengths = |slot: &[u32]| slot[layout.lengths..][..golden.batch()].iter().sum::<u32>();
    for uniforms in &chunk.uniforms {
        let slot = &chunk.words[uniforms.batch_offset as usize..][..batch_layout.stride];
        // Rounded up to whole blocks for each block of samples, and no further.
        assert!(uniforms.tokens >= lengths(slot) && uniforms.tokens < lengths(slot) + LANES as u32);
        assert!((uniforms.tokens as usize) < layout.capacity);
    }
}
