//! Every shader against the CPU code of its operation: whole training steps of small graphs on both devices, and what
//! must hold on one device to the bit.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::common::interpreted::Interpreted;
use crate::common::variants::without_numbers;
use crate::common::{covering, every_case, on_each};
use polyscene::check::data::{ADAM, Data, bits, fault, half_spacing, is_of_halves, named, random_state, training};
use polyscene::check::graphs::{SmallGraph, all_small_graphs, embedding, finish, small_graphs};
use polyscene::gpu::{DeviceClass, Gpu, OpenOptions, testing};
use polyscene::graph::{Cross, Graph, Init, ParameterRole, Precision};
use polyscene::layers::{Field, Linear, hidden_epilogue};
use polyscene::models::{Dnn, Inputs, MiDpg, Model, OptMsm, Saml, SequenceInput, Transfer};
use polyscene::ops::{Activation, Affine, Alpha, Blocks, ModelState, OptimizerOptions, Repeat, WeightedLinear};
use polyscene::plan::{
    CpuExecutor, DispatchLimits, Executor, GpuExecutor, GpuOptions, Plan, StepChunk, StepLosses, TrainingOptions,
    Tuning, initial_state,
};

/// Part of 1 + the expected value that rounding may take: sums of some hundred values, summed in another order.
const TOLERANCE: f64 = 1e-5;

fn software() -> Option<Gpu> {
    static GPU: LazyLock<Option<Gpu>> = LazyLock::new(another_software);
    GPU.clone()
}

/// Shaders with bounds checks: a stray read gives zero instead of a neighbour's value.
fn another_software() -> Option<Gpu> {
    testing::software_with(OpenOptions { checked: true, ..OpenOptions::default() })
}

fn on_gpu_of(
    class: DeviceClass,
    gpu: Gpu,
    graph: &Graph,
    options: &TrainingOptions,
    state: &ModelState<f32>,
) -> GpuExecutor {
    let (train, predict) = (Plan::training(graph, options), Plan::inference(graph, options.capacity));
    let options =
        GpuOptions { steps_per_chunk: Some(10), tuning: Some(Tuning::of_class(class)), ..GpuOptions::default() };
    GpuExecutor::new(gpu, train, predict, state, options).unwrap()
}

/// Kernels for GPUs, by the interpreter.
fn on_host(
    graph: &Graph,
    options: &TrainingOptions,
    state: &ModelState<f32>,
    binding_bytes: Option<u64>,
) -> Interpreted {
    let (train, predict) = (Plan::training(graph, options), Plan::inference(graph, options.capacity));
    Interpreted::new(train, predict, state, binding_bytes, Tuning::of_class(DeviceClass::Hardware))
}

fn on_gpu(gpu: Gpu, graph: &Graph, options: &TrainingOptions, state: &ModelState<f32>) -> GpuExecutor {
    on_gpu_of(DeviceClass::Software, gpu, graph, options, state)
}

fn on_cpu(graph: &Graph, options: &TrainingOptions, state: &ModelState<f32>) -> CpuExecutor<f32> {
    CpuExecutor::new(Plan::training(graph, options), Plan::inference(graph, options.capacity), state.clone())
}

/// The state and losses after a chunk.
fn run(executor: &mut dyn Executor, chunk: &StepChunk) -> (ModelState<f32>, Vec<StepLosses>) {
    executor.train(chunk).unwrap();
    let losses = executor.losses(true).unwrap();
    (executor.state().unwrap(), losses)
}

/// Where the two devices differ after the same steps. Values that are stored as halves are rounded by the same random bits,
/// but where what is rounded differs in its last bits one may go up and the other down. So some may be off by the distance
/// of two halves, and few: two values ε apart part with the probability of ε over that distance.
fn differences(
    graph: &Graph,
    gpu: &(ModelState<f32>, Vec<StepLosses>),
    cpu: &(ModelState<f32>, Vec<StepLosses>),
    tolerance: f64,
) -> Vec<String> {
    let mut faults = Vec::new();
    for ((name, found), (_, expected)) in named(graph, &gpu.0).into_iter().zip(named(graph, &cpu.0)) {
        if !is_of_halves(graph, &name) {
            faults.extend(fault(&found, &expected, tolerance).map(|fault| format!("{name}{fault}")));
            continue;
        }
        let parted = |(found, expected): &(&f32, &f32)| found.to_bits() != expected.to_bits();
        let far = found.iter().zip(&*expected).filter(parted).find(|(found, expected)| {
            // Written so that NaN is a fault.
            let near = (**found - **expected).abs() <= half_spacing(found.abs().max(expected.abs()));
            !near
        });
        faults.extend(far.map(|(found, expected)| format!("{name}: {found:?}, expected {expected:?}")));
        let count = found.iter().zip(&*expected).filter(parted).count();
        if count > 1 + found.len() / 100 {
            faults.push(format!("{name}: {count} of {} are rounded differently", found.len()));
        }
    }
    let totals = |losses: &[StepLosses]| losses.iter().map(|losses| losses.total).collect::<Vec<_>>();
    faults.extend(fault(&totals(&gpu.1), &totals(&cpu.1), tolerance).map(|fault| format!("loss{fault}")));
    faults
}

/// A device whose kernels are compared with the CPU executor.
pub(crate) trait Subject {
    fn run_from(&mut self, state: &ModelState<f32>, chunk: &StepChunk) -> (ModelState<f32>, Vec<StepLosses>);
    fn gradients_of_parameters(&self) -> Vec<Vec<f32>>;
    fn predictions(&mut self, data: &Data) -> Vec<f32>;
    /// What went wrong beside the numbers.
    fn races(&self) -> &[String] {
        &[]
    }
}

impl Subject for GpuExecutor {
    fn run_from(&mut self, state: &ModelState<f32>, chunk: &StepChunk) -> (ModelState<f32>, Vec<StepLosses>) {
        self.set_state(state).unwrap();
        run(self, chunk)
    }

    fn gradients_of_parameters(&self) -> Vec<Vec<f32>> {
        self.gradients().unwrap()
    }

    fn predictions(&mut self, data: &Data) -> Vec<f32> {
        self.predict(&data.source()).unwrap()
    }
}

impl Subject for Interpreted {
    fn run_from(&mut self, state: &ModelState<f32>, chunk: &StepChunk) -> (ModelState<f32>, Vec<StepLosses>) {
        self.set_state(state);
        let losses = self.train(chunk);
        (self.state(), losses)
    }

    fn gradients_of_parameters(&self) -> Vec<Vec<f32>> {
        self.gradients()
    }

    fn predictions(&mut self, data: &Data) -> Vec<f32> {
        self.predict(&data.source())
    }

    fn races(&self) -> &[String] {
        &self.races
    }
}

#[test]
fn shaders_agree_with_the_cpu_on_odd_batches() {
    let [Some(first), Some(second)] = [software(), another_software()] else { return };
    let graphs = odd_graphs(&DispatchLimits::of(&first));
    let found = on_each(&[first, second], graphs, |gpu, small| {
        odd_batches(small, &[CAPACITY, 19, 3, 1], |graph, options, state| on_gpu(gpu.clone(), graph, options, state))
    });
    assert_agree(found);
}

#[test]
fn kernels_for_gpus_agree_with_the_cpu_on_odd_batches() {
    // An interpreter is slow: whole blocks with a ragged one, and one sample.
    let on_host = |graph: &Graph, options: &TrainingOptions, state: &_| on_host(graph, options, state, None);
    // Kernels of a segment are those that stand alone.
    let limits = DispatchLimits::portable();
    let single = DispatchLimits { tuning: Tuning { segments: false, ..limits.tuning }, ..limits };
    assert_agree(odd_graphs(&single).into_iter().map(|small| odd_batches(small, &[CAPACITY, 1], on_host)).collect());
}

/// Sums over a batch of as many are in two parts on hardware.
const CAPACITY: usize = 131;

/// Small graphs that have every kind of kernel between them.
fn odd_graphs(limits: &DispatchLimits) -> Vec<SmallGraph> {
    covering(all_small_graphs().collect(), |small| {
        let plans = [Plan::training(&small.graph, &small.training(CAPACITY)), Plan::inference(&small.graph, CAPACITY)];
        let dispatches = plans.iter().flat_map(|plan| plan.dispatches(limits));
        dispatches.map(|dispatch| without_numbers(dispatch.expand().unwrap().text())).collect()
    })
}

/// A small graph in batches that fill its plan, and in smaller ones: the faults, and whether a batch had a hot row.
fn odd_batches<S: Subject>(
    small: SmallGraph,
    sizes: &[usize],
    open: impl Fn(&Graph, &TrainingOptions, &ModelState<f32>) -> S,
) -> (Vec<String>, bool) {
    let (graph, options) = (&small.graph, small.training(CAPACITY));
    let state = random_state::<f32>(graph, 5);
    let data = Data::random(graph, 197, 3);
    let plan = Plan::training(graph, &options);
    let mut gpu = open(graph, &options, &state);
    let mut cpu = on_cpu(graph, &options, &state);
    let (mut all, mut hot) = (Vec::new(), false);
    for (step, &size) in (0..).zip(sizes) {
        cpu.set_state(&state).unwrap();
        let chunk = data.chunk(&plan, step, &[size], 0.05, false);
        hot |= plan.batch_layout.keys.iter().any(|keys| chunk.words[keys.hot_count] > 0);
        let (found, expected) = (gpu.run_from(&state, &chunk), run(&mut cpu, &chunk));
        let mut faults = differences(graph, &found, &expected, TOLERANCE);
        // With β₁ = 0 the first moments are the gradients and L2's; the gradients' own buffers, too, are right.
        let gradients = graph.parameters.iter().zip(gpu.gradients_of_parameters()).zip(cpu.gradients());
        for ((parameter, found), expected) in
            gradients.filter(|((parameter, _), _)| parameter.role == ParameterRole::Trained)
        {
            faults
                .extend(fault(&found, expected, TOLERANCE).map(|fault| format!("{} gradient{fault}", parameter.name)));
        }
        all.extend(faults.into_iter().map(|fault| format!("{}, {size} samples: {fault}", small.name)));
    }
    // A batch and a ragged second.
    let (found, expected) = (gpu.predictions(&data), cpu.predict(&data.source()).unwrap());
    all.extend(fault(&found, &expected, TOLERANCE).map(|fault| format!("{}: prediction{fault}", small.name)));
    all.extend(gpu.races().iter().map(|race| format!("{}: {race}", small.name)));
    (all, hot)
}

fn assert_agree(found: Vec<(Vec<String>, bool)>) {
    let (faults, hot): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let faults = faults.concat();
    assert!(faults.is_empty(), "{} values differ:\n{}", faults.len(), faults.join("\n"));
    assert!(hot.contains(&true), "no batch has a hot row");
}

#[test]
fn dispatches_fold_where_one_dimension_is_too_short() {
    let Some(gpu) = software() else { return };
    // More than 65535 workgroups of 128 invocations, one for four values of the table: as many as a binding holds.
    let (rows, width) = (4_194_400, 8);
    assert!(rows * width / 4 > 65_535 * 128);
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[rows], width, false);
    finish(&mut graph, x);
    let options =
        TrainingOptions { dense_embedding_adam: true, embeddings: OptimizerOptions { l2: 0.1, ..ADAM }, ..training(3) };
    let state = random_state::<f32>(&graph, 5);
    let chunk = Data::random(&graph, 3, 3).chunk(&Plan::training(&graph, &options), 0, &[3], 0.05, false);
    let (found, _) = run(&mut on_gpu(gpu, &graph, &options, &state), &chunk);
    let (expected, _) = run(&mut on_cpu(&graph, &options, &state), &chunk);
    // The list is long: not for printing.
    assert_eq!(fault(&found.tables[0].weights.to_vec(), &expected.tables[0].weights.to_vec(), TOLERANCE), None);
    // All rows move, beyond the first dimension of the dispatch as well.
    let moved = expected.tables[0].weights.iter().zip(state.tables[0].weights.iter()).filter(|(a, b)| a != b).count();
    assert!(moved > rows * width / 100 * 99, "{moved}");
}

#[test]
fn a_table_in_shards_gives_the_same_bits() {
    let Some(gpu) = software() else { return };
    // The least that the buffer of predictions allows; the table needs three shards of it.
    let limit = 4 << 20;
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[170_000, 3, 160_000, 20_000], 7, true);
    finish(&mut graph, x);
    // Rows are padded to eight values.
    assert_eq!(graph.tables[0].rows().div_ceil(limit / (4 * 8)), 3);
    let state = random_state::<f32>(&graph, 5);
    let data = Data::random(&graph, 97, 3);
    // With the sweep every row moves, those at the shards' ends as well.
    let options = TrainingOptions {
        dense_embedding_adam: true,
        embeddings: OptimizerOptions { l2: 0.1, ..ADAM },
        ..training(67)
    };
    let chunk = data.chunk(&Plan::training(&graph, &options), 0, &[67, 67, 12], 0.05, false);
    let options_of = |max_binding_bytes| OpenOptions { max_binding_bytes, ..OpenOptions::default() };
    let Some(small) = testing::software_with(options_of(Some(limit as u64))) else { return };
    let [sharded, whole] = [small, gpu].map(|gpu| {
        let mut executor = on_gpu(gpu, &graph, &options, &state);
        let predictions = executor.predict(&data.source()).unwrap();
        let (state, losses) = run(&mut executor, &chunk);
        (bits(&state), losses, predictions)
    });
    // The lists are long: not for printing.
    assert!(sharded == whole);
    let (expected, _) = run(&mut on_cpu(&graph, &options, &state), &chunk);
    let moved =
        expected.tables[0].weights.iter().zip(state.tables[0].weights.iter()).all(|(after, before)| after != before);
    assert!(moved);
    let found: Vec<f32> = whole.0.iter().map(|&bits| f32::from_bits(bits)).collect();
    let expected: Vec<f32> = bits(&expected).into_iter().map(f32::from_bits).collect();
    assert_eq!(fault(&found, &expected, TOLERANCE), None);
}

/// Two layers of 1024 with dropout, plain and weighted, whose values are all positive before it: a bias' gradient is 0
/// exactly where its value is dropped.
fn dropout_graph(p: f64) -> (Graph, ModelState<f32>) {
    const WIDTH: usize = 1024;
    let mut graph = Graph::new();
    let x = embedding(&mut graph, "embedding", &[3], 2, false);
    let h =
        Linear { epilogue: hidden_epilogue(p, 0), ..Linear::new(WIDTH, Activation::None) }.add(&mut graph, "first", x);
    let s = Linear::new(1, Activation::Sigmoid).add(&mut graph, "weighting", x);
    let narrow = Linear::new(1, Activation::None).add(&mut graph, "narrow", h);
    let weight = graph.parameter("second.weight", WIDTH, 1, Init::Zeros);
    let bias = graph.parameter("second.bias", 1, WIDTH, Init::Zeros);
    let blocks =
        Blocks { outputs: WIDTH, inputs: 1, row_groups: 1, col_groups: 1, repeat: Repeat::Tile, transposed: false };
    let op = WeightedLinear { blocks, scale: 1.0, epilogue: hidden_epilogue(p, 1) };
    let y = graph.add_one("second", op, &[narrow, s, weight, bias]);
    finish(&mut graph, y);
    let mut state = random_state::<f32>(&graph, 5);
    let small = |value: &mut f32| *value = value.abs() / 64.0 + 1e-3;
    state.dense.weights.iter_mut().flatten().for_each(small);
    state.tables.iter_mut().for_each(|table| table.weights.change(small));
    (graph, state)
}

#[test]
fn dropout_drops_the_same_on_both_devices() {
    let Some(gpu) = software() else { return };
    let p = 0.3;
    let (graph, state) = dropout_graph(p);
    let options = training(1);
    let plan = Plan::training(&graph, &options);
    let data = Data::random(&graph, 1, 3);
    let (mut gpu, mut cpu) = (on_gpu(gpu, &graph, &options, &state), on_cpu(&graph, &options, &state));
    let bias = |name: &str| graph.parameters.iter().position(|parameter| parameter.name == name).unwrap();
    let mut masks = Vec::new();
    for step in 0..3 {
        let chunk = data.chunk(&plan, step, &[1], 0.0, false);
        run(&mut gpu, &chunk);
        run(&mut cpu, &chunk);
        let found = gpu.gradients().unwrap();
        for name in ["first.bias", "second.bias"] {
            let mask = |gradient: &[f32]| gradient.iter().map(|&value| value != 0.0).collect::<Vec<bool>>();
            let (found, expected) = (mask(&found[bias(name)]), mask(&cpu.gradients()[bias(name)]));
            assert_eq!(found, expected, "{name}, step {step}");
            let kept = found.iter().filter(|&&kept| kept).count() as f64 / found.len() as f64;
            // Five standard deviations of 1024 draws.
            assert!((kept - (1.0 - p)).abs() < 5.0 * (p * (1.0 - p) / 1024.0).sqrt(), "{name}, step {step}: {kept}");
            masks.push(found);
        }
    }
    for (i, mask) in masks.iter().enumerate() {
        for other in &masks[..i] {
            // Independent masks agree in a fraction p² + (1 − p)² = 0.58 of the places.
            let same = mask.iter().zip(other).filter(|(a, b)| a == b).count() as f64 / mask.len() as f64;
            assert!((same - 0.58).abs() < 0.08, "two masks agree in {same} of the places");
        }
    }
    // Predictions drop nothing.
    let (without, _) = dropout_graph(0.0);
    let plain = on_cpu(&without, &options, &state).predict(&data.source()).unwrap();
    for executor in [&mut gpu as &mut dyn Executor, &mut cpu] {
        assert_eq!(fault(&executor.predict(&data.source()).unwrap(), &plain, TOLERANCE), None);
    }
}

/// Fields, every other numeric, and a sequence.
pub(crate) fn inputs() -> Inputs {
    let field = |(source, (name, rows, value)): (usize, (&str, usize, Option<usize>))| Field {
        name: name.to_owned(),
        source,
        rows,
        cross: Cross::None,
        value,
        tags: None,
    };
    let fields =
        [("scenario", 4, None), ("price", 2, Some(0)), ("user", 50, None), ("age", 2, Some(1)), ("item", 31, None)];
    let fields = fields.into_iter().enumerate().map(field).collect();
    let sequences = vec![SequenceInput { field: 4, longest: 6 }];
    Inputs { fields, aware: 2, scenarios: 3, has_scenarios: true, scenario: Some(0), sequences }
}

/// Models with numeric fields and dropout, sequences, and parts for each scenario: every operation is in their plans.
pub(crate) fn models() -> [(&'static str, Graph); 4] {
    let inputs = inputs();
    let dropout = 0.2;
    let mi_dpg = MiDpg {
        width: 4,
        hidden: vec![12, 8],
        dropout,
        d_k: 2,
        auxiliary_hidden: 7,
        mir_warmup: 0,
        ..MiDpg::default()
    };
    let optmsm = OptMsm { width: 4, hidden: vec![12, 8], tower_hidden: vec![6], dropout, ..OptMsm::default() };
    // Items that are neither whole nor begin at a multiple of four, and drop as others do.
    let shared = OptMsm { transfer: Transfer::Moe, hidden: vec![13, 7], ..optmsm.clone() };
    // The paper's α divides by sums of cosines that may be small, and would tell roundings apart.
    let saml = Saml { width: 8, hidden: vec![12, 8], alpha: Alpha::Cosine, ..Saml::default() };
    [
        ("mi-dpg", mi_dpg.build(&inputs).unwrap()),
        ("optmsm", optmsm.build(&inputs).unwrap()),
        ("optmsm with shared experts", shared.build(&inputs).unwrap()),
        ("saml", saml.build(&inputs).unwrap()),
    ]
}

fn dnn() -> Graph {
    Dnn { width: 5, hidden: vec![12, 8], dropout: 0.2 }.build(&inputs()).unwrap()
}

#[test]
fn ten_steps_agree_and_repeat_to_the_bit_from_either_memory() {
    let mut models = Vec::from(models().map(|(name, graph)| (name, graph, DeviceClass::Software)));
    // A renderer takes long to compile a GPU's segments and to run them; the interpreter runs those of all models.
    models.push(("dnn", dnn(), DeviceClass::Hardware));
    if !every_case() {
        // What these two have is in others, and in the test of subgroups.
        models.retain(|(name, ..)| ["mi-dpg", "saml"].contains(name));
    }
    let gpus = || Some([software()?, another_software()?]);
    let Some(gpus) = gpus() else { return };
    on_each(&gpus, models, |gpu, (name, graph, class)| ten_steps(name, &graph, gpu, class, 1e-4));
}

/// A value that is rounded to the other side is off by at most 2⁻¹⁰ of itself, and so is what is computed of it.
#[test]
fn ten_steps_with_tables_of_halves_agree_and_repeat_to_the_bit() {
    // What differs are the kernels of tables, whatever the model.
    let mut graph = dnn();
    graph.set_embedding_precision(Precision::F16);
    let Some(gpu) = software() else { return };
    ten_steps("dnn", &graph, &gpu, DeviceClass::Software, 1.0 / 1024.0);
}

/// Kernels for GPUs: in segments and each alone, which must come to the same bits; and with other blocks, tiles and parts of
/// sums.
#[test]
fn steps_of_kernels_for_gpus_agree_with_the_cpu() {
    let segments = Tuning::of_class(DeviceClass::Hardware);
    let single = Tuning { segments: false, ..segments };
    let other = Tuning { block: Some(16), grad_tile: 32, sum_workgroups: 1, workgroup: 256, ..segments };
    for (name, graph) in models() {
        let options = TrainingOptions { dense_embedding_adam: true, ..training(131) };
        let plan = Plan::training(&graph, &options);
        let state = random_state::<f32>(&graph, 5);
        // An interpreter is slow: as many steps as show a whole block, a ragged one and one sample.
        let sizes = [131, 17, 1];
        let chunk = Data::random(&graph, 300, 3).chunk(&plan, 0, &sizes, 0.01, false);
        let cpu = run(&mut on_cpu(&graph, &options, &state), &chunk);
        let predict = || Plan::inference(&graph, options.capacity);
        let [segments, single, _] = [segments, single, other].map(|tuning| {
            let mut host = Interpreted::new(plan.clone(), predict(), &state, None, tuning);
            let end = host.run_from(&state, &chunk);
            assert!(host.races.is_empty(), "{name}, {tuning}: {}", host.races.join("\n"));
            let faults = differences(&graph, &end, &cpu, 1e-4);
            assert!(faults.is_empty(), "{name}, {tuning}: {}", faults.join("\n"));
            end
        });
        assert_eq!((bits(&segments.0), &segments.1), (bits(&single.0), &single.1), "{name}: segments change no bit");
    }
}

/// Sums within subgroups, by the interpreter: kernels that count on few invocations or on many, where there are as many or
/// more, change no bit.
#[test]
fn sums_within_subgroups_change_no_bit() {
    let plain = Tuning { segments: false, ..Tuning::of_class(DeviceClass::Hardware) };
    let by_subgroups = |least| Tuning { subgroup: Some(least), ..plain };
    // Rows hot enough for a workgroup of their own, of one, four and five vectors; and all else, two blocks and a bit of it.
    let tables = [3, 16, 20].map(|width| {
        let mut graph = Graph::new();
        let x = embedding(&mut graph, "embedding", &[2], width, false);
        finish(&mut graph, x);
        (format!("rows of {width}"), graph, 80)
    });
    let small = small_graphs().into_iter().map(|small| (small.name, small.graph, 17));
    let mut seen = HashSet::new();
    for (name, graph, capacity) in tables.into_iter().chain(small) {
        let plan = Plan::training(&graph, &training(capacity));
        let limits = DispatchLimits { binding_bytes: 1 << 27, tuning: by_subgroups(8) };
        let texts = plan.dispatches(&limits).into_iter().map(|dispatch| dispatch.expand().unwrap().text().to_string());
        let exchanging: Vec<String> = texts.filter(|text| text.contains("subgroupShuffle")).collect();
        // Without the sums of rows, which nearly every graph has.
        let kinds = exchanging.iter().filter(|text| capacity > 17 || !text.contains("HOT_COUNT"));
        if kinds.filter(|text| seen.insert(without_numbers(text))).count() == 0 {
            continue;
        }
        let state = random_state::<f32>(&graph, 5);
        let chunk = Data::random(&graph, 97, 3).chunk(&plan, 0, &[capacity], 0.05, false);
        let end = |tuning: Tuning, subgroup: usize| {
            let mut host = Interpreted::new(plan.clone(), Plan::inference(&graph, 1), &state, None, tuning);
            host.subgroup = subgroup;
            let (state, losses) = host.run_from(&state, &chunk);
            assert!(host.races.is_empty(), "{name}, {tuning}: {}", host.races.join("\n"));
            (bits(&state), losses)
        };
        let expected = end(plain, 32);
        for (least, subgroup) in [(4, 4), (8, 8), (8, 32), (64, 64)] {
            assert!(end(by_subgroups(least), subgroup) == expected, "{name}: {least} of {subgroup} differ");
        }
    }
    // One for all widths of rows, and each operation that has such sums.
    assert!(seen.len() > 4, "{}", seen.len());
}

/// The same on a renderer, whose subgroups are real.
#[test]
fn a_renderers_subgroups_change_no_bit() {
    let Some(gpu) = software() else { return };
    let Some(least) = gpu.least_subgroup() else { return };
    // A renderer takes long to compile segments, whose kernels are these.
    let plain = Tuning { segments: false, ..Tuning::of_class(DeviceClass::Hardware) };
    // Two sums in one graph, and rows hot enough for a third.
    let small = small_graphs().into_iter().find(|small| small.name.starts_with("mutual")).unwrap();
    let (graph, options) = (&small.graph, training(131));
    let state = random_state::<f32>(graph, 5);
    let plan = Plan::training(graph, &options);
    let chunk = Data::random(graph, 197, 3).chunk(&plan, 0, &[131, 17], 0.05, false);
    let open = |subgroup| {
        let options = GpuOptions { tuning: Some(Tuning { subgroup, ..plain }), ..GpuOptions::default() };
        GpuExecutor::new(gpu.clone(), plan.clone(), Plan::inference(graph, 131), &state, options)
    };
    let [plain, exchanging] = [None, Some(least)].map(|subgroup| {
        let (state, losses) = run(&mut open(subgroup).unwrap(), &chunk);
        (bits(&state), losses)
    });
    assert!(plain == exchanging, "subgroups of {least} and more");
    // Where the device's are smaller, sums would be others.
    let refused = open(Some(2 * least)).err().unwrap();
    assert!(refused.to_string().contains(&format!("at least {}", 2 * least)), "{refused}");
}

fn ten_steps(name: &str, graph: &Graph, gpu: &Gpu, class: DeviceClass, tolerance: f64) {
    let on_gpu = |gpu: &Gpu, graph: &Graph, options: &TrainingOptions, state: &ModelState<f32>| {
        on_gpu_of(class, gpu.clone(), graph, options, state)
    };
    let options = TrainingOptions { dense_embedding_adam: true, ..training(131) };
    let plan = Plan::training(graph, &options);
    let state = random_state::<f32>(graph, 5);
    let data = Data::random(graph, 300, 3);
    let sizes = [131, 131, 31, 7, 131, 1, 131, 131, 130, 13];
    let streamed = data.chunk(&plan, 0, &sizes, 0.01, false);
    let cpu = run(&mut on_cpu(graph, &options, &state), &streamed);
    let first = run(&mut on_gpu(gpu, graph, &options, &state), &streamed);
    let faults = differences(graph, &first, &cpu, tolerance);
    assert!(faults.is_empty(), "{name}: {}", faults.join("\n"));

    let mut executor = on_gpu(gpu, graph, &options, &state);
    let again = run(&mut executor, &streamed);
    assert_eq!((bits(&again.0), &again.1), (bits(&first.0), &first.1), "{name}: a second run");

    executor.set_state(&state).unwrap();
    assert!(executor.load(&data.source()).unwrap());
    let resident = run(&mut executor, &data.chunk(&plan, 0, &sizes, 0.01, true));
    assert_eq!((bits(&resident.0), &resident.1), (bits(&first.0), &first.1), "{name}: resident data");

    // Steps sent one by one, as a short chunk at the end of an epoch is.
    let mut executor = on_gpu(gpu, graph, &options, &state);
    let mut losses = Vec::new();
    for (step, &size) in (0..).zip(&sizes) {
        executor.train(&data.chunk(&plan, step, &[size], 0.01, false)).unwrap();
        losses.extend(executor.losses(false).unwrap());
    }
    losses.extend(executor.losses(true).unwrap());
    assert_eq!((bits(&executor.state().unwrap()), &losses), (bits(&first.0), &first.1), "{name}: single steps");
}

/// Tiles that reach beyond a matrix, batches that no tile divides, sums in several parts; with all activations in one
/// buffer and in three, aligned and not.
#[test]
fn larger_layers_agree_in_several_arenas() {
    let gpus = || Some([software()?, testing::software_with(small_bindings())?]);
    let Some(gpus) = gpus() else { return };
    for (width, hidden) in [(29, 53), (32, 64)] {
        let mut graph = Graph::new();
        let x = embedding(&mut graph, "embedding", &[19, 23, 7], width, false);
        let h = Linear { bias: false, ..Linear::new(37, Activation::Relu) }.add(&mut graph, "first", x);
        let both = Affine::concat(&mut graph, "both", &[h, x]);
        let h = Linear::new(hidden, Activation::Relu).add(&mut graph, "second", both);
        let slice = Affine::slice(&mut graph, "slice", h, 3, 21);
        let h = Linear::new(hidden, Activation::Sigmoid).add(&mut graph, "third", slice);
        finish(&mut graph, h);
        // More values than one binding may hold.
        let options = training(2003);
        let plan = Plan::training(&graph, &options);
        assert!(plan.memory(&DispatchLimits::of(&gpus[1])).arenas.len() > 1);
        let state = random_state::<f32>(&graph, 5);
        let chunk = Data::random(&graph, 2003, 3).chunk(&plan, 0, &[1999], 0.05, false);
        let expected = run(&mut on_cpu(&graph, &options, &state), &chunk);
        let software = gpus.clone().map(|gpu| run(&mut on_gpu(gpu, &graph, &options, &state), &chunk));
        let mut classes = vec![("software", software)];
        // An interpreter is slow: the sizes that no vector divides.
        if every_case() || !width.is_multiple_of(4) {
            let on_host = |bytes: Option<u64>| {
                let mut host = on_host(&graph, &options, &state, bytes);
                let end = host.run_from(&state, &chunk);
                assert!(host.races.is_empty(), "{}", host.races.join("\n"));
                end
            };
            classes.push(("hardware", [None, small_bindings().max_binding_bytes].map(on_host)));
        }
        for (class, ends) in classes {
            let faults = differences(&graph, &ends[0], &expected, 5e-5);
            assert!(faults.is_empty(), "{class}: {}", faults.join("\n"));
            assert!(bits(&ends[0].0) == bits(&ends[1].0), "{class}: one arena and several");
        }
    }
}

/// The least that the buffer of predictions allows.
fn small_bindings() -> OpenOptions {
    OpenOptions { max_binding_bytes: Some(4 << 20), ..OpenOptions::default() }
}

/// The paper's sizes, where all reads are of four values, and column groups of other sizes.
#[test]
fn weighted_layers_agree_at_the_papers_sizes() {
    let Some(gpu) = software() else { return };
    let inputs = crate::common::variants::inputs(&[40, 2, 9, 300, 50, 7, 30, 11], 4, false);
    let options = MiDpg { hidden: vec![64, 32], mir_warmup: 0, ..MiDpg::default() };
    let divisions = if every_case() { &[(4, 4), (2, 8), (1, 1), (8, 2)][..] } else { &[(4, 4), (2, 8)] };
    for &(row_div, col_div) in divisions {
        let graph = MiDpg { row_div, col_div, ..options.clone() }.build(&inputs).unwrap();
        let training = training(259);
        let state = initial_state(&graph, 3);
        let chunk = Data::random(&graph, 259, 3).chunk(&Plan::training(&graph, &training), 0, &[259, 250], 0.01, false);
        let expected = run(&mut on_cpu(&graph, &training, &state), &chunk);
        let software = run(&mut on_gpu(gpu.clone(), &graph, &training, &state), &chunk);
        // An interpreter is slow: fewer samples.
        let training = TrainingOptions { capacity: 35, ..training };
        let small = Data::random(&graph, 35, 3).chunk(&Plan::training(&graph, &training), 0, &[35, 33], 0.01, false);
        let of_small = run(&mut on_cpu(&graph, &training, &state), &small);
        let mut host = on_host(&graph, &training, &state, None);
        let hardware = host.run_from(&state, &small);
        assert!(host.races.is_empty(), "{}", host.races.join("\n"));
        for (class, found, expected) in [("software", &software, &expected), ("hardware", &hardware, &of_small)] {
            let faults = differences(&graph, found, expected, 5e-5);
            assert!(faults.is_empty(), "{class}, {row_div}, {col_div}: {}", faults.join("\n"));
        }
    }
}
