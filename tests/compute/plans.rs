//! What must hold of any plan, whatever runs it.

use std::collections::HashMap;

use crate::common::random_graphs::random_graph;
use crate::common::variants::{all_plans, inputs, models as all_models};
use polyscene::check::data::{Data, fault, named, random_state, training};
use polyscene::gpu::DeviceClass;
use polyscene::graph::{Graph, ParameterRole, RowExtent, TensorId, token_places};
use polyscene::layers::Decomposition;
use polyscene::models::{self, Dnn, MiDpg, MirInput, Model, ModelEntry, SequenceInput};
use polyscene::ops::{ModelState, Op, OptimizerOptions};
use polyscene::plan::{
    CpuExecutor, DispatchLimits, Executor, Listing, Place, Plan, TrainingOptions, Tuning, check_graph,
};
use serde_json::Value;

const LIMITS: DispatchLimits =
    DispatchLimits { binding_bytes: 1 << 30, tuning: Tuning::of_class(DeviceClass::Hardware) };
/// Bindings in which tables need shards and activations need several arenas.
const SMALL: DispatchLimits = DispatchLimits { binding_bytes: 1 << 14, ..LIMITS };

#[test]
fn tensors_lie_undisturbed_until_they_are_read() {
    for (name, plan) in all_plans() {
        for limits in [LIMITS, SMALL] {
            undisturbed(&name, &plan, &limits);
        }
    }
}

/// Goes through a step and keeps for every four values of the arenas which tensor lies there.
fn undisturbed(name: &str, plan: &Plan, limits: &DispatchLimits) {
    let memory = plan.memory(limits);
    let mut arenas: Vec<Vec<Option<TensorId>>> = memory.arenas.iter().map(|&values| vec![None; values / 4]).collect();
    let mut gradients = vec![None; plan.gradients.len()];
    // Where a tensor lies, in fours.
    let range = |tensor: TensorId, op: &Op| match memory.places[tensor.0] {
        Place::Activation { arena, offset } => {
            let shape = plan.graph.shape(tensor);
            assert_eq!(offset % 64, 0, "{name}");
            let rows = match shape.rows {
                RowExtent::Batch => plan.capacity,
                RowExtent::Tokens(longest) => token_places(plan.capacity, longest),
                RowExtent::Fixed(rows) => rows,
            };
            let fours = match op {
                Op::EmbedGrad(op) => op.rows() * op.width.div_ceil(4),
                _ => shape.cols.div_ceil(4),
            };
            Some((arena, offset / 4..offset / 4 + rows * fours))
        }
        _ => None,
    };
    let mut made: HashMap<TensorId, &Op> = HashMap::new();
    for node in &plan.graph.nodes {
        for input in &node.inputs {
            match (memory.places[input.0], made.get(input)) {
                (Place::Parameter(_), None) => {}
                (Place::Gradient(parameter), Some(_)) => assert_eq!(gradients[parameter], Some(*input), "{name}"),
                (Place::Activation { .. }, Some(op)) => {
                    let (arena, range) = range(*input, op).unwrap();
                    let whole = arenas[arena][range].iter().all(|&tensor| tensor == Some(*input));
                    assert!(whole, "{name}: an input of {}", node.name);
                }
                (place, _) => panic!("{name}: {} reads {place:?}", node.name),
            }
        }
        // Nothing is written where an input or another output lies.
        let mut taken: Vec<TensorId> = node.inputs.clone();
        for &output in &node.outputs {
            match memory.places[output.0] {
                Place::Gradient(parameter) => gradients[parameter] = Some(output),
                Place::Activation { .. } => {
                    let (arena, range) = range(output, &node.op).unwrap();
                    for place in &mut arenas[arena][range] {
                        let before = place.replace(output);
                        assert!(before.is_none_or(|tensor| !taken.contains(&tensor)), "{name}: {} in place", node.name);
                    }
                }
                // What is made of parameters lies among them.
                Place::Parameter(parameter) if plan.graph.parameters[parameter].role == ParameterRole::Derived => {
                    continue;
                }
                place => panic!("{name}: {} writes {place:?}", node.name),
            }
            made.insert(output, &node.op);
            taken.push(output);
        }
    }
    // Every gradient is there at the end.
    assert!(gradients == plan.gradients, "{name}");
}

/// Fusion, order and memory of random graphs: what is computed is what the unfused plan computes, and no tensor is written
/// over before it is read.
#[test]
fn random_graphs_compute_what_their_unfused_plans_compute() {
    let mut fewer = 0;
    for seed in 0..200 {
        let graph = random_graph(seed);
        let options = TrainingOptions { dense: OptimizerOptions { l2: 0.1, ..training(1).dense }, ..training(24) };
        let plans = [Plan::training(&graph, &options), Plan::unfused_training(&graph, &options)];
        let [fused, unfused] = &plans;
        fewer += usize::from(fused.graph.nodes.len() < unfused.graph.nodes.len());
        for plan in &plans {
            undisturbed(&format!("random graph {seed}"), plan, &SMALL);
        }
        let data = Data::random(&graph, 40, seed);
        let state: ModelState<f64> = random_state(&graph, seed);
        let [found, expected] = plans.map(|plan| {
            let chunk = data.chunk(&plan, 0, &[24, 17, 1], 0.01, false);
            let predict = Plan::inference(&graph, 24);
            let mut executor = CpuExecutor::new(plan, predict, state.clone());
            executor.train(&chunk).unwrap();
            (executor.losses(true).unwrap(), executor.predict(&data.source()).unwrap(), executor.model().clone())
        });
        for (found, expected) in found.0.iter().zip(&expected.0) {
            assert!((found.total - expected.total).abs() < 1e-9, "random graph {seed}: {found:?}, {expected:?}");
        }
        for ((name, found), (_, expected)) in named(&graph, &found.2).into_iter().zip(named(&graph, &expected.2)) {
            assert_eq!(fault(&found, &expected, 1e-7), None, "random graph {seed}: {name}");
        }
        assert_eq!(fault(&found.1, &expected.1, 1e-5), None, "random graph {seed}: predictions");
    }
    assert!(fewer > 150, "fusion had something to do in {fewer} of 200 graphs");
}

#[test]
fn arenas_keep_to_the_limit_while_there_are_others() {
    let plan = Plan::training(&paper(Decomposition::R, 1000), &options(512));
    let whole = plan.memory(&LIMITS);
    assert_eq!(whole.arenas.len(), 1);
    let bytes = 4 * whole.arenas[0] as u64;
    println!("MI-DPG, batch 512: {:.1} MiB of activations", bytes as f64 / f64::from(1 << 20));
    for parts in [2, 3] {
        let limits = DispatchLimits { binding_bytes: (bytes / parts + bytes / 5).next_multiple_of(256), ..LIMITS };
        let arenas = plan.memory(&limits).arenas;
        assert!(
            arenas.len() > 1 && arenas.iter().all(|&values| 4 * values as u64 <= limits.binding_bytes),
            "{arenas:?}"
        );
    }
}

fn options(capacity: usize) -> TrainingOptions {
    let adam = OptimizerOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
    TrainingOptions {
        capacity,
        dense: adam,
        embeddings: adam,
        max_gradient_norm: None,
        dense_embedding_adam: false,
        mixed_precision: false,
    }
}

/// The model on the paper's data: 4 aware and 12 agnostic fields.
fn paper(decomposition: Decomposition, rows: usize) -> Graph {
    let papers = MiDpg { weight_scale: 1.0, mir_input: MirInput::Aware, mir_warmup: 0, ..MiDpg::default() };
    let options = MiDpg { decomposition, ..papers };
    options.build(&inputs(&[rows; 16], 4, false)).unwrap()
}

#[test]
fn weights_of_each_sample_are_never_laid_out() {
    const BATCH: usize = 512;
    // Linear l maps sizes[l] to sizes[l + 1].
    let sizes = [256usize, 128, 64, 32, 1];
    let aware = 4 * 16;
    let divided = |size: usize| if size < 4 { 1 } else { size / 4 };
    // The widest of: the core d_r·d_c, the auxiliary nets' input [e_aw, h], both halves of T's hidden layer.
    let core = sizes.windows(2).map(|layer| divided(layer[1]) * divided(layer[0])).max().unwrap();
    let widest = core.max(aware + sizes[0]).max(2 * 32);
    for decomposition in [Decomposition::R, Decomposition::Rc, Decomposition::C] {
        let graph = paper(decomposition, 1000);
        for plan in [Plan::training(&graph, &options(BATCH)), Plan::inference(&graph, BATCH)] {
            let widths = plan.graph.nodes.iter().flat_map(|node| &node.outputs).map(|&tensor| plan.graph.shape(tensor));
            let largest = widths.filter(|shape| shape.rows == RowExtent::Batch).map(|shape| shape.cols).max().unwrap();
            assert!(largest <= widest, "{decomposition:?}: {largest} values per sample");
            assert!(largest < sizes[0] * sizes[1] / 8);
        }
    }
}

#[test]
fn a_step_of_the_papers_model_takes_half_a_gigaflop() {
    let plan = Plan::training(&paper(Decomposition::R, 1000), &options(512));
    let Listing { flops, bytes, dispatches, memory, .. } = plan.listing(&LIMITS);
    println!(
        "MI-DPG, batch 512: {} dispatches, {:.3} GFLOP, {:.1} MB moved, {:.1} MB of activations",
        dispatches.len(),
        flops as f64 / 1e9,
        bytes as f64 / 1e6,
        memory.activations as f64 / 1e6
    );
    assert!((0.3e9..0.8e9).contains(&(flops as f64)), "{flops}");
    assert!(dispatches.len() <= 40, "{} dispatches", dispatches.len());
    // A plain network of the same sizes: 6 operations per weight and sample, and little else.
    let dnn = Dnn::default().build(&inputs(&[1000; 16], 4, false)).unwrap();
    let weights: usize = dnn.parameters.iter().map(|parameter| parameter.rows * parameter.cols).sum();
    let listing = Plan::training(&dnn, &options(512)).listing(&LIMITS);
    assert!(listing.dispatches.len() <= 16, "{} dispatches", listing.dispatches.len());
    let flops = listing.flops as f64 / (6 * weights * 512) as f64;
    assert!((1.0..1.2).contains(&flops), "{flops}");
}

#[test]
fn a_step_costs_the_same_whatever_the_vocabulary() {
    let listing = |rows: usize, limits: &DispatchLimits| {
        let graph = paper(Decomposition::R, rows / 16);
        Plan::training(&graph, &options(512)).listing(limits)
    };
    let rows = |listing: &Listing| {
        let row =
            |d: &polyscene::plan::DispatchListing| (d.name.clone(), d.shader.clone(), d.threads, d.flops, d.bytes);
        listing.dispatches.iter().map(row).collect::<Vec<_>>()
    };
    let (small, large) = (listing(100_000, &LIMITS), listing(10_000_000, &LIMITS));
    assert_eq!(rows(&small), rows(&large));
    assert_eq!((small.flops, small.bytes), (large.flops, large.bytes));

    // In bindings of 128 MiB the large table takes five shards, whose buffers are bound in two dispatches of lookups, which
    // then join no others, and three of updates: no more work.
    let sharded = listing(10_000_000, &DispatchLimits { binding_bytes: 128 << 20, ..LIMITS });
    assert_eq!(sharded.dispatches.len(), small.dispatches.len() + 4);
    let near = |a: u64, b: u64| a.abs_diff(b) < 16;
    assert!(near(sharded.flops, small.flops) && near(sharded.bytes, small.bytes));
}

#[test]
fn models_have_names_for_their_parameters() {
    for (name, graph) in all_models() {
        let mut names: Vec<&str> = graph.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{name}: two parameters of one name");
    }
}

/// What makes nothing larger: how long something takes, into how many parts something is cut, or what does not apply to
/// the defaults.
const NO_SIZE: &[&str] = &["mir_warmup", "row_div", "col_div", "rank_div", "specific_rows"];

/// Asks for each whole number and each list of sizes among a model's options, one at a time, to be this large.
fn oversize(entry: &ModelEntry, size: u64) {
    const MEMORY: u64 = 16 << 30;
    let mut inputs = inputs(&[40, 2, 9, 300, 50], 2, false);
    inputs.sequences = vec![SequenceInput { field: 3, longest: 6 }];
    for (name, value) in entry.defaults().unwrap().as_object().unwrap() {
        let asked: Value = match value {
            Value::Number(number) if number.is_u64() => size.into(),
            Value::Array(_) => vec![size; 2].into(),
            _ => continue,
        };
        let options = serde_json::to_value(HashMap::from([(name, asked)])).unwrap();
        let Ok(model) = entry.with_options(options) else { continue };
        let fits = || {
            let graph = model.build(&inputs).map_err(|error| error.to_string())?;
            let prediction = model.build_prediction(&inputs).map_err(|error| error.to_string())?;
            check_graph(&graph, MEMORY).map_err(|error| error.to_string())?;
            check_graph(&prediction, MEMORY).map_err(|error| error.to_string())?;
            let plan = Plan::training(&graph, &training(512));
            plan.check_on_cpu(MEMORY).map_err(|error| error.to_string())?;
            plan.check_on_device(&DispatchLimits::portable(), "a device").map_err(|error| error.to_string())
        };
        let outcome = fits();
        let is_refused = outcome.is_err() || NO_SIZE.contains(&name.as_str());
        assert!(is_refused || size <= 1_000_000, "{}.{name} = {size} is not refused", entry.name);
    }
}

#[test]
fn sizes_that_no_memory_holds_are_refused_before_anything_is_made() {
    for size in [100, 1000, 1_000_000, 100_000_000, 1 << 27, (1 << 27) + 1, 1 << 31, 1 << 40, i64::MAX as u64, u64::MAX]
    {
        for entry in models::all() {
            oversize(&entry, size);
        }
    }
}

#[test]
fn predictions_get_smaller_batches_where_large_ones_do_not_fit() {
    let options = MiDpg { decomposition: Decomposition::Non, hidden: vec![64, 32], ..MiDpg::default() };
    let graph = options.build(&inputs(&[40, 2, 9, 300, 50], 2, false)).unwrap();
    let check = |limit: u64| {
        let limits = DispatchLimits { binding_bytes: limit, ..LIMITS };
        Plan::inference_that_fits(&graph, 4096, |plan| plan.check_on_device(&limits, "a device"))
    };
    assert_eq!(check(1 << 30).unwrap().capacity, 4096);
    let small = check(16 << 20).unwrap();
    assert!(small.capacity < 4096 && small.capacity.is_power_of_two(), "{}", small.capacity);
    let largest = small.memory(&DispatchLimits { binding_bytes: 16 << 20, ..LIMITS }).arenas.into_iter().max().unwrap();
    assert!(4 * largest <= 16 << 20 && 4 * largest > 4 << 20, "{largest}");
    let refused = check(1 << 12).unwrap_err().to_string();
    assert!(refused.contains("need") && refused.contains("a device allows 4 KiB"), "{refused}");
}
