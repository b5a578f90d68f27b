//! Fields of tags: what they pool to, by sums written out here; and that one value each is a category.

use crate::common::interpreted::Interpreted;
use polyscene::check::data::{Data, bits, fault, named, random_state, training};
use polyscene::data::Sequence;
use polyscene::gpu::DeviceClass;
use polyscene::graph::{Cross, Graph, Pooling, Tags};
use polyscene::layers::{EmbeddingSet, Field, Linear, cross_entropy};
use polyscene::ops::{Activation, StepUniforms};
use polyscene::plan::{BatchPacker, CpuExecutor, Executor, Plan, RowSource, Step, StepChunk, TrainingOptions, Tuning};

const ROWS: usize = 7;
const WIDTH: usize = 3;

fn field(name: &str, source: usize, rows: usize, tags: Option<Tags>) -> Field {
    Field { name: name.to_owned(), source, rows, cross: Cross::None, value: None, tags }
}

/// A category of 5 rows, and three fields of tags: with rows of their own, with the same, and with the category's.
fn graph(poolings: [Pooling; 3]) -> Graph {
    let mut graph = Graph::new();
    let tags = |list: usize, rows_of| Some(Tags { rows_of, list, longest: 4, pooling: poolings[list] });
    let fields = [
        field("own", 0, 6, tags(0, 0)),
        field("category", 1, 5, None),
        field("same", 2, 0, tags(1, 0)),
        field("other", 3, 0, tags(2, 1)),
    ];
    let all = EmbeddingSet::new(&mut graph, "embedding", &fields, WIDTH, 0.5).all;
    let logits = Linear::new(1, Activation::None).add(&mut graph, "after", all);
    graph.logits = Some(logits);
    cross_entropy(&mut graph, "bce", logits);
    graph
}

fn source<'a>(ids: &'a [u32], labels: &'a [f32], lists: &'a [Sequence]) -> RowSource<'a> {
    RowSource {
        rows: ROWS,
        ids,
        fields: ids.len() / ROWS,
        values: &[],
        value_count: 0,
        labels,
        clicks: &[],
        weights: &[],
        scenarios: &[0; ROWS],
        sequences: lists,
        first_in_sequences: 0,
    }
}

const LABELS: [f32; ROWS] = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0];

/// Lists of rows, more than four of which are in the first.
fn lists() -> [Vec<Vec<u32>>; 3] {
    [
        vec![vec![1, 2, 5, 0, 3, 4], vec![], vec![2, 2], vec![3], vec![1, 4, 2], vec![], vec![5, 5, 5, 5]],
        vec![vec![], vec![1, 2], vec![0], vec![4, 4, 1], vec![], vec![3, 5], vec![2]],
        vec![vec![4, 0], vec![1], vec![], vec![2, 3, 4], vec![0], vec![1, 1], vec![3, 0, 2, 1]],
    ]
}

fn sequence(lists: &[Vec<u32>]) -> Sequence {
    let ends = lists.iter().scan(0, |end, list| {
        *end += list.len() as u64;
        Some(*end)
    });
    Sequence::new([0].into_iter().chain(ends).collect::<Vec<u64>>(), lists.concat())
}

#[test]
fn tags_pool_to_what_sums_and_maxima_say() {
    let ids: Vec<u32> = (0..ROWS as u32).flat_map(|row| [0, row % 5, 0, 0]).collect();
    let lists = lists();
    let weights: Vec<f32> = lists[1].concat().iter().enumerate().map(|(i, _)| [0.5, 2.0, 0.0][i % 3]).collect();
    let sequences = [sequence(&lists[0]), sequence(&lists[1]).weighted(weights.clone()), sequence(&lists[2])];
    for poolings in [
        [Pooling::Mean, Pooling::Mean, Pooling::Max],
        [Pooling::Sum, Pooling::Sum, Pooling::Mean],
        [Pooling::Max, Pooling::Mean, Pooling::Sum],
    ] {
        let graph = graph(poolings);
        let state = random_state::<f64>(&graph, 3);
        let (train, predict) = (Plan::training(&graph, &training(ROWS)), Plan::inference(&graph, ROWS));
        let mut executor = CpuExecutor::new(train, predict, state.clone());
        let found = executor.predict(&source(&ids, &LABELS, &sequences)).unwrap();
        let table = state.tables[0].weights.to_vec();
        let row = |offset: usize, id: u32| table[(offset + id as usize) * WIDTH..][..WIDTH].to_vec();
        let mut place = 0;
        for (number, &found) in found.iter().enumerate() {
            let mut x = Vec::new();
            for (list, offset) in [(0, 0), (1, 0), (2, 6)] {
                // The category stands between the first and the second.
                if list == 1 {
                    x.extend(row(6, ids[4 * number + 1]));
                }
                let items = &lists[list][number];
                let own = items.iter().take(4).enumerate().map(|(i, &id)| {
                    let weight = if list == 1 { f64::from(weights[place + i]) } else { 1.0 };
                    (weight, row(offset, id))
                });
                let own: Vec<(f64, Vec<f64>)> = own.collect();
                let total: f64 = own.iter().map(|(weight, _)| weight).sum();
                x.extend((0..WIDTH).map(|column| {
                    let sum: f64 = own.iter().map(|(weight, e)| weight * e[column]).sum();
                    match poolings[list] {
                        Pooling::Sum => sum,
                        Pooling::Mean if total > 0.0 => sum / total,
                        Pooling::Mean => 0.0,
                        Pooling::Max => own.iter().map(|(_, e)| e[column]).reduce(f64::max).unwrap_or(0.0),
                    }
                }));
            }
            place += lists[1][number].len();
            let (w, b) = (&state.dense.weights[0], &state.dense.weights[1]);
            let expected = b[0] + x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
            assert!((f64::from(found) - expected).abs() < 1e-6, "{poolings:?}, row {number}: {found} for {expected}");
        }
    }
}

/// Two steps on the rows, in some order.
fn chunk(plan: &Plan, source: &RowSource<'_>) -> StepChunk {
    let uniforms = |step: u32| StepUniforms { step, learning_rate: 0.1, embedding_rate: 0.1, ..Default::default() };
    let steps = [
        Step { rows: &[3, 0, 6, 1, 2, 5, 4], shuffle: &[], uniforms: uniforms(0) },
        Step { rows: &[5, 5, 2, 0], shuffle: &[], uniforms: uniforms(1) },
    ];
    let mut chunk = StepChunk::default();
    BatchPacker::new(&plan.graph, &plan.batch_layout, false).fill(source, &steps, &mut chunk);
    chunk
}

#[test]
fn one_value_each_is_a_category_to_the_bit() {
    let ids: Vec<u32> = (0..ROWS as u32).flat_map(|row| [row % 4, row % 5, (row * row) % 6]).collect();
    let one_each = |column: usize| sequence(&ids.chunks(3).map(|ids| vec![ids[column]]).collect::<Vec<_>>());
    let lists = [one_each(0), one_each(2)];
    for pooling in [Pooling::Mean, Pooling::Sum, Pooling::Max] {
        let [plain, tagged] = [false, true].map(|is_tagged| {
            let mut graph = Graph::new();
            let tags = |rows_of, list| is_tagged.then_some(Tags { rows_of, list, longest: 3, pooling });
            let fields = [field("a", 0, 4, tags(0, 0)), field("b", 1, 5, None), field("c", 2, 6, tags(2, 1))];
            let all = EmbeddingSet::new(&mut graph, "embedding", &fields, WIDTH, 0.5).all;
            let h = Linear::new(5, Activation::Relu).add(&mut graph, "hidden", all);
            let logits = Linear::new(1, Activation::None).add(&mut graph, "after", h);
            graph.logits = Some(logits);
            cross_entropy(&mut graph, "bce", logits);
            let plan = Plan::training(&graph, &training(ROWS));
            let source = source(&ids, &LABELS, &lists);
            let chunk = chunk(&plan, &source);
            let mut executor = CpuExecutor::<f32>::new(plan, Plan::inference(&graph, ROWS), random_state(&graph, 3));
            executor.train(&chunk).unwrap();
            (bits(&executor.state().unwrap()), executor.losses(true).unwrap(), executor.predict(&source).unwrap())
        });
        assert!(plain == tagged, "{pooling:?}");
    }
}

/// A table cut into shards of a few rows, of which each goes on with what the one before has pooled; and activations stored as
/// halves, what is noted of maxima among them.
#[test]
fn kernels_pool_in_shards_and_in_halves_as_the_cpu_does() {
    // Of rows of four values, three in a shard.
    let shards = Some(3 * 4 * 4);
    for (poolings, mixed_precision, binding_bytes, tolerance) in [
        ([Pooling::Mean, Pooling::Sum, Pooling::Max], false, shards, 1e-5),
        ([Pooling::Max, Pooling::Max, Pooling::Mean], false, shards, 1e-5),
        ([Pooling::Max, Pooling::Max, Pooling::Mean], true, None, 4.0 / 2048.0),
    ] {
        let graph = graph(poolings);
        let options = TrainingOptions { mixed_precision, ..training(40) };
        let state = random_state::<f32>(&graph, 5);
        let data = Data::random(&graph, 60, 3);
        let plan = Plan::training(&graph, &options);
        let noted = plan.graph.nodes.iter().find_map(|node| node.outputs.get(1).copied());
        assert_eq!(noted.is_some_and(|noted| plan.is_half(noted)), mixed_precision);
        let chunk = data.chunk(&plan, 0, &[40, 37], 0.05, false);
        let mut cpu = CpuExecutor::new(plan.clone(), Plan::inference(&graph, 40), state.clone());
        cpu.train(&chunk).unwrap();
        let tuning = Tuning::of_class(DeviceClass::Hardware);
        let mut host = Interpreted::new(plan, Plan::inference(&graph, 40), &state, binding_bytes, tuning);
        host.train(&chunk);
        let (found, expected) = (host.state(), cpu.state().unwrap());
        for ((name, found), (_, expected)) in named(&graph, &found).into_iter().zip(named(&graph, &expected)) {
            assert_eq!(fault(&found, &expected, tolerance), None, "{name}, {poolings:?}");
        }
        let (found, expected) = (host.predict(&data.source()), cpu.predict(&data.source()).unwrap());
        assert_eq!(fault(&found, &expected, tolerance), None, "{poolings:?}");
        assert!(host.races.is_empty(), "{}", host.races.join("\n"));
    }
}
