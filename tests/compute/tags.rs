//! Fields of tags: what they pool to, by sums written out here; and that one value each is a category.

use std::ops::Range;

use crate::common::interpreted::Interpreted;
use polyscene::check::data::{Data, bits, fault, named, random_state, training};
use polyscene::data::Sequence;
use polyscene::gpu::DeviceClass;
use polyscene::graph::{BatchLayout, Cross, Graph, Pooling, Tags};
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

/// A category of 10 rows, then a field of tags for each of these, with rows of its own.
fn packed_graph(pooled: &[Pooling], longest: usize) -> Graph {
    let mut graph = Graph::new();
    let mut fields = vec![field("plain", 0, 10, None)];
    for (list, &pooling) in pooled.iter().enumerate() {
        fields.push(field("tags", 1 + list, 5, Some(Tags { rows_of: 1 + list, list, longest, pooling })));
    }
    EmbeddingSet::new(&mut graph, "e", &fields, WIDTH, 1.0);
    graph
}

/// Two batches of the lists' three rows, the last of them first.
fn packed(graph: &Graph, lists: &[Sequence], is_training: bool) -> (BatchLayout, StepChunk) {
    let layout = if is_training { BatchLayout::training(graph, 4) } else { BatchLayout::inference(graph, 4) };
    let fields = graph.tables[0].fields.len();
    let ids = vec![1; ROWS * fields];
    let step = Step { rows: &[2, 0, 1], shuffle: &[], uniforms: StepUniforms::default() };
    let mut chunk = StepChunk::default();
    BatchPacker::new(graph, &layout, false).fill(&source(&ids, &LABELS, lists), &[step, step], &mut chunk);
    (layout, chunk)
}

#[test]
fn batches_say_what_each_value_counts_and_whose_it_is() {
    let graph = packed_graph(&[Pooling::Mean, Pooling::Mean, Pooling::Sum], 2);
    let lists = Sequence::new(vec![0, 2, 2, 5], vec![1, 2, 3, 4, 3]);
    let weighted = Sequence::new(vec![0, 2, 2, 4], vec![1, 2, 3, 4]).weighted(vec![1.0, 3.0, 0.0, 0.0]);
    let (layout, chunk) = packed(&graph, &[lists, weighted.clone(), weighted], true);
    let tags = &layout.tags[0];
    let starts = |k: usize| chunk.words[tags.starts[k]..][..4].to_vec();
    // Of sample 0, row 2, the first two of three values count.
    assert_eq!([starts(0), starts(1), starts(2)], [[0, 2, 4, 4], [4, 6, 8, 8], [8, 10, 12, 12]]);
    let floats = |first: usize| chunk.words[first..][..12].iter().map(|&w| f32::from_bits(w)).collect::<Vec<_>>();
    assert_eq!(chunk.words[tags.rows..][..4], [10 + 3, 10 + 4, 10 + 1, 10 + 2]);
    assert_eq!(floats(tags.factors), [0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.25, 0.75, 0.0, 0.0, 1.0, 3.0]);
    assert_eq!(chunk.words[tags.owners..][..12], [1, 1, 5, 5, 2, 2, 6, 6, 3, 3, 7, 7]);
    // A plain lookup for each sample, and one for each value; none for what the data has of fields of tags as ids.
    let keys = layout.keys[0];
    let count = chunk.words[keys.count] as usize;
    assert_eq!(chunk.words[keys.starts + count], 3 + 12);
    assert_eq!(chunk.ids[..4], [1, u32::MAX, u32::MAX, u32::MAX]);
}

#[test]
fn only_words_in_use_are_sent() {
    let longest = 20_000;
    let graph = packed_graph(&[Pooling::Mean], longest);
    let lists = [Sequence::new(vec![0, 2, 2, 5], vec![1, 2, 3, 4, 3])];
    for is_training in [true, false] {
        let (layout, chunk) = packed(&graph, &lists, is_training);
        assert!(layout.stride > 4 * 2 * longest);
        let sent: usize = chunk.used.iter().map(Range::len).sum();
        assert!(sent < 10_000, "{sent} of {}", chunk.words.len());
        assert!(chunk.used.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", chunk.used);
        // All that is not 0 is in use.
        let is_unused = |at: &usize| !chunk.used.iter().any(|range| range.contains(at));
        assert!((0..chunk.words.len()).filter(is_unused).all(|at| chunk.words[at] == 0));
    }
    let (_, chunk) = packed(&packed_graph(&[], 1), &[], true);
    assert!(chunk.used.len() == 1 && chunk.used[0].len() == chunk.words.len());
}
