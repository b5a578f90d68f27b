//! What must hold of any plan, whatever runs it.

mod common;

use std::collections::HashMap;

use common::variants::{all_plans, inputs, models};
use polyscene::gpu::BindingKind;
use polyscene::graph::{Graph, TensorId};
use polyscene::layers::Decomposition;
use polyscene::models::{Dnn, MiDpg, Model};
use polyscene::ops::{AdamOptions, TableArg, import_text};
use polyscene::plan::{DispatchLimits, Listing, Place, Plan, Resource, TrainingOptions};

const LIMITS: DispatchLimits = DispatchLimits { binding_bytes: 1 << 30, workgroup: 64 };

/// A buffer as wgpu tracks it: parts of one are the same to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Memory {
    Parameters,
    Gradients,
    Table(usize, usize, TableArg),
    Other(Resource),
}

fn memory(resource: Resource) -> Memory {
    match resource {
        Resource::Parameter { .. } => Memory::Parameters,
        Resource::Gradient { .. } => Memory::Gradients,
        Resource::Table { table, shard, what } => Memory::Table(table, shard, what),
        other => Memory::Other(other),
    }
}

#[test]
fn no_dispatch_reads_what_it_writes() {
    let mut reflections = HashMap::new();
    for (name, plan) in all_plans() {
        for dispatch in plan.dispatches(&DispatchLimits { binding_bytes: 1 << 10, ..LIMITS }) {
            // Constants change no binding.
            let reflection = reflections
                .entry(dispatch.shader)
                .or_insert_with(|| dispatch.source.expand(import_text).unwrap().reflect().unwrap());
            let bindings: Vec<_> = reflection.group(0).collect();
            let place = format!("{name}: {} {}", dispatch.name, dispatch.shader);
            assert_eq!(bindings.len(), dispatch.resources.len(), "{place}");
            let mut seen: HashMap<Memory, BindingKind> = HashMap::new();
            for (binding, &resource) in bindings.iter().zip(&dispatch.resources) {
                let before = *seen.entry(memory(resource)).or_insert(binding.kind);
                assert_eq!(before, binding.kind, "{place}: {resource:?} as `{}`", binding.name);
            }
        }
    }
}

#[test]
fn tensors_lie_undisturbed_until_they_are_read() {
    for (name, plan) in all_plans() {
        // Which tensor each buffer and each gradient holds.
        let (mut buffers, mut gradients) = (vec![None; plan.buffers.len()], vec![None; plan.gradients.len()]);
        for node in &plan.graph.nodes {
            let place = |tensor: TensorId| plan.places[tensor.0];
            for &input in &node.inputs {
                let found = match place(input) {
                    Place::Parameter(parameter) => Some(plan.graph.parameters[parameter].tensor),
                    Place::Buffer(buffer) => buffers[buffer],
                    Place::Gradient(parameter) => gradients[parameter],
                    Place::Unused => None,
                };
                assert_eq!(found, Some(input), "{name}: an input of {}", node.name);
            }
            for &output in &node.outputs {
                let at = place(output);
                assert!(!node.inputs.iter().any(|&input| place(input) == at), "{name}: {} in place", node.name);
                match at {
                    Place::Buffer(buffer) => {
                        let needed = plan.graph.shape(output).len(plan.capacity);
                        assert!(needed <= plan.buffers[buffer], "{name}: room for {}", node.name);
                        buffers[buffer] = Some(output);
                    }
                    Place::Gradient(parameter) => gradients[parameter] = Some(output),
                    Place::Parameter(_) | Place::Unused => panic!("{name}: {} writes {at:?}", node.name),
                }
            }
            let shared = node.outputs.windows(2).any(|pair| place(pair[0]) == place(pair[1]));
            assert!(!shared, "{name}: two outputs of {} in one place", node.name);
        }
        // Every gradient is there at the end.
        assert!(gradients.into_iter().eq(plan.gradients.iter().copied().map(Some)), "{name}");
    }
}

fn options(capacity: usize) -> TrainingOptions {
    let adam = AdamOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
    TrainingOptions { capacity, dense: adam, embeddings: adam, sweep_embeddings: false }
}

/// The model on the paper's data: 4 aware and 12 agnostic fields.
fn paper(decomposition: Decomposition, rows: usize) -> Graph {
    MiDpg { decomposition, ..MiDpg::default() }.build(&inputs(&[rows; 16], 4, false)).unwrap()
}

#[test]
fn weights_of_each_sample_are_never_laid_out() {
    const BATCH: usize = 512;
    // Layer l maps sizes[l] to sizes[l + 1].
    let sizes = [256usize, 128, 64, 32, 1];
    let aware = 4 * 16;
    let divided = |size: usize| if size < 4 { 1 } else { size / 4 };
    // The widest of: the core d_r·d_c, the auxiliary nets' input [e_aw, h], both halves of T's hidden layer.
    let core = sizes.windows(2).map(|layer| divided(layer[1]) * divided(layer[0])).max().unwrap();
    let widest = core.max(aware + sizes[0]).max(2 * 32);
    for decomposition in [Decomposition::R, Decomposition::Rc, Decomposition::C] {
        let graph = paper(decomposition, 1000);
        for plan in [Plan::training(&graph, &options(BATCH)), Plan::inference(&graph, BATCH)] {
            let largest = plan.buffers.iter().copied().max().unwrap();
            assert!(largest <= BATCH * widest, "{decomposition:?}: {} values per sample", largest / BATCH);
            assert!(largest < BATCH * sizes[0] * sizes[1] / 8);
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
    // A plain network of the same sizes: 6 operations per weight and sample, and little else.
    let dnn = Dnn::default().build(&inputs(&[1000; 16], 4, false)).unwrap();
    let weights: usize = dnn.parameters.iter().map(|parameter| parameter.rows * parameter.cols).sum();
    let flops = Plan::training(&dnn, &options(512)).listing(&LIMITS).flops as f64 / (6 * weights * 512) as f64;
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

    // In bindings of 128 MiB the large table takes five shards: a lookup and an update more for each, no more work.
    let sharded = listing(10_000_000, &DispatchLimits { binding_bytes: 128 << 20, ..LIMITS });
    assert_eq!(sharded.dispatches.len(), small.dispatches.len() + 2 * 4);
    let near = |a: u64, b: u64| a.abs_diff(b) < 16;
    assert!(near(sharded.flops, small.flops) && near(sharded.bytes, small.bytes));
}

#[test]
fn models_have_names_for_their_parameters() {
    for (name, graph) in models() {
        let mut names: Vec<&str> = graph.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{name}: two parameters of one name");
    }
}
