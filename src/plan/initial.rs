//! First values of a model's state, from the seed.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal, Uniform};
use rand_pcg::Pcg64;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::graph::{EmbeddingTable, Graph, Init};
use crate::ops::{ModelState, TableValues};

/// Table rows drawn from one stream of random numbers.
const ROWS_PER_STREAM: usize = 4096;

/// First values of all parameters and tables, moments zero. They do not depend on how a table is stored but for rounding to
/// the nearest. Each parameter draws from a stream of its own, named after
/// it, so that adding one changes no other.
pub fn initial_state(graph: &Graph, seed: u64) -> ModelState<f32> {
    let weights: Vec<Vec<f32>> = graph
        .parameters
        .iter()
        .map(|parameter| {
            let mut random = stream(seed, &parameter.name, 0);
            let count = parameter.rows * parameter.cols;
            match parameter.init {
                Init::Zeros => vec![0.0; count],
                Init::GlorotUniform => glorot(&mut random, parameter.rows + parameter.cols, count),
                Init::GlorotUniformOf { inputs, outputs } => glorot(&mut random, inputs + outputs, count),
                Init::Normal(deviation) => normal(&mut random, deviation, count),
                Init::Constant(value) => vec![value as f32; count],
                Init::NormalAround(mean, deviation) => {
                    let mut values = normal(&mut random, deviation, count);
                    values.iter_mut().for_each(|value| *value += mean as f32);
                    values
                }
            }
        })
        .collect();
    let tables = graph.tables.iter().map(|table| initial_table(table, seed)).collect();
    ModelState::before_training(graph, weights, tables)
}

fn glorot(random: &mut Pcg64, sizes: usize, count: usize) -> Vec<f32> {
    let limit = (6.0 / sizes as f64).sqrt();
    let uniform = Uniform::new_inclusive(-limit, limit).expect("a finite range");
    (0..count).map(|_| uniform.sample(random) as f32).collect()
}

fn initial_table(table: &EmbeddingTable, seed: u64) -> TableValues<f32> {
    let mut weights = TableValues::zeros(table.len(), table.precision);
    for field in &table.fields {
        // A stream per field as well: a field keeps its first values whatever stands beside it.
        let name = format!("{}.{}", table.name, field.name);
        let first = field.offset * table.width;
        let count = ROWS_PER_STREAM * table.width;
        weights.fill(first..first + field.rows * table.width, count, |chunk, values| {
            let mut random = stream(seed, &name, chunk as u64);
            values.copy_from_slice(&normal(&mut random, table.deviation, values.len()));
        });
    }
    weights
}

fn stream(seed: u64, name: &str, part: u64) -> Pcg64 {
    Pcg64::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn normal(random: &mut Pcg64, deviation: f64, count: usize) -> Vec<f32> {
    let normal = Normal::new(0.0, deviation).expect("a finite deviation");
    random.sample_iter(normal).take(count).map(|value: f64| value as f32).collect()
}
