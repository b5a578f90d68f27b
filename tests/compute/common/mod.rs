//! What several test files share: golden cases, and models on either device.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]

pub mod interpreted;
pub mod random_graphs;
pub mod variants;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

use polyscene::data::Sequence;
use polyscene::gpu::Gpu;
use polyscene::graph::{BatchLayout, Cross, Graph, Init, ParameterRole, Tags};
use polyscene::layers::Field;
use polyscene::models::{self, Inputs, SequenceInput};
use polyscene::ops::{ModelState, OptimizerOptions, StepUniforms, TableValues};
use polyscene::plan::{BatchPacker, Executor, Plan, RowSource, Step, StepChunk, TrainingOptions};
use safetensors::SafeTensors;
use serde_json::Value;

/// Cases that have every shader between them, those with the most first; all where `POLYSCENE_TEST_EVERY_CASE` is 1. A renderer
/// compiles a shader for each set of constants, which is what its tests spend their time on.
pub fn covering<T>(cases: Vec<T>, shaders: impl Fn(&T) -> HashSet<String>) -> Vec<T> {
    if every_case() {
        return cases;
    }
    let mut cases: Vec<_> = cases.into_iter().map(|case| (shaders(&case), case)).collect();
    cases.sort_by_key(|(shaders, _)| Reverse(shaders.len()));
    let mut seen = HashSet::new();
    let mut has_new = |shaders: HashSet<String>| {
        let before = seen.len();
        seen.extend(shaders);
        seen.len() > before
    };
    cases.into_iter().filter_map(|(shaders, case)| has_new(shaders).then_some(case)).collect()
}

pub fn every_case() -> bool {
    std::env::var("POLYSCENE_TEST_EVERY_CASE").as_deref() == Ok("1")
}

/// What `check` finds in each case, on several devices side by side: a renderer compiles shaders where it runs them, one after
/// another.
pub fn on_each<T: Send, R: Send>(gpus: &[Gpu], cases: Vec<T>, check: impl Fn(&Gpu, T) -> R + Sync) -> Vec<R> {
    let left = Mutex::new(cases.into_iter().enumerate());
    let checked = |gpu: &Gpu| {
        let mut found = Vec::new();
        loop {
            let next = left.lock().unwrap().next();
            let Some((number, case)) = next else { return found };
            found.push((number, check(gpu, case)));
        }
    };
    let mut found: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = gpus.iter().map(|gpu| scope.spawn(|| checked(gpu))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<_>>| match thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().flat_map(join).collect()
    });
    found.sort_by_key(|&(number, _)| number);
    found.into_iter().map(|(_, found)| found).collect()
}

/// A case of `tests/golden/`, in the precision it was computed in.
pub struct Golden {
    bytes: Vec<u8>,
    pub case: Value,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let case = header.metadata().as_ref().expect("metadata")["case"].clone();
        Self { case: serde_json::from_str(&case).expect("the case's options"), bytes }
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a safetensors file")
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors().tensor(name).is_ok()
    }

    pub fn names(&self) -> Vec<String> {
        self.tensors().names().into_iter().map(str::to_owned).collect()
    }

    pub fn values(&self, name: &str) -> Vec<f64> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("{name} is in the golden file"));
        tensor.data().chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    pub fn integers(&self, name: &str) -> Vec<u32> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("{name} is in the golden file"));
        let size = tensor.data().len() / tensor.shape().iter().product::<usize>();
        tensor
            .data()
            .chunks_exact(size)
            .map(|bytes| {
                let mut wide = [0; 8];
                wide[..size].copy_from_slice(bytes);
                u32::try_from(u64::from_le_bytes(wide)).unwrap()
            })
            .collect()
    }

    pub fn number(&self, key: &str) -> f64 {
        self.case[key].as_f64().unwrap_or_else(|| panic!("{key} is a number"))
    }

    pub fn text(&self, key: &str) -> &str {
        self.case[key].as_str().unwrap_or_else(|| panic!("{key} is a string"))
    }

    pub fn batch(&self) -> usize {
        self.number("batch") as usize
    }

    pub fn inputs(&self) -> Inputs {
        let list = self.case["fields"].as_array().unwrap();
        let (mut numeric, mut lists) = (0, 0);
        let fields = list
            .iter()
            .enumerate()
            .map(|(source, field)| Field {
                name: field["name"].as_str().unwrap().to_owned(),
                source,
                rows: field["rows"].as_u64().unwrap() as usize,
                cross: Cross::None,
                value: (field["kind"] == "numeric").then(|| {
                    numeric += 1;
                    numeric - 1
                }),
                tags: (field["kind"] == "tags").then(|| {
                    let list = lists;
                    lists += 1;
                    let pooling = serde_json::from_value(field["pooling"].clone()).unwrap();
                    Tags { rows_of: source, list, longest: MOST_TAGS, pooling }
                }),
            })
            .collect();
        let aware = list.iter().filter(|field| field["group"] == "aware").count();
        let scenarios = self.case.get("scenarios").and_then(Value::as_u64).unwrap_or(1) as usize;
        let has_sequence = usize::from(self.has("input.sequence_ids"));
        let items = self.sequences().into_iter().take(has_sequence).map(|sequence| {
            let lengths = sequence.offsets().windows(2).map(|pair| (pair[1] - pair[0]) as usize);
            SequenceInput { field: SEQUENCE_FIELD, longest: lengths.max().unwrap_or(0) }
        });
        Inputs { fields, aware, scenarios, has_scenarios: true, scenario: Some(0), sequences: items.collect() }
    }

    /// The model's graph, and the one for predictions, with those keys of the case that are the model's options.
    pub fn graphs(&self) -> [Graph; 2] {
        let entry = models::find(self.text("model")).expect("a known model");
        let mut options = serde_json::Map::new();
        for (key, value) in self.case.as_object().unwrap() {
            let key = if key == "aux_hidden" { "auxiliary_hidden" } else { key };
            if entry.has_option(key) {
                options.insert(key.to_owned(), value.clone());
            }
        }
        let (model, inputs) = (entry.with_options(options.into()).unwrap(), self.inputs());
        [model.build(&inputs).unwrap(), model.build_prediction(&inputs).unwrap()]
    }

    pub fn training(&self) -> TrainingOptions {
        let adam = |l2: f64| OptimizerOptions {
            beta1: self.number("beta1"),
            beta2: self.number("beta2"),
            epsilon: self.number("epsilon"),
            l2,
        };
        TrainingOptions {
            capacity: self.batch(),
            dense: adam(self.number("weight_decay")),
            embeddings: adam(self.number("embedding_l2")),
            max_gradient_norm: None,
            dense_embedding_adam: self.text("embedding_adam") == "dense",
            mixed_precision: false,
        }
    }

    /// Parameters and state for predictions, and the logits that belong to them: those at the beginning, or where these
    /// are not what predictions give, those after ten steps.
    pub fn prediction(&self, graph: &Graph) -> (ModelState<f64>, Vec<f64>) {
        if self.has("adam.evaluation_logits") {
            return (self.state(graph, "adam.param"), self.values("adam.evaluation_logits"));
        }
        (self.state(graph, "param"), self.values("output.logits"))
    }

    /// State made of the tensors called `prefix.NAME`; moments zero. What training leaves beside parameters is as it
    /// begins, or after ten steps.
    pub fn state(&self, graph: &Graph, prefix: &str) -> ModelState<f64> {
        let weights: Vec<Vec<f64>> = graph
            .parameters
            .iter()
            .map(|p| match (p.role, p.init) {
                (ParameterRole::Trained, _) => self.values(&format!("{prefix}.{}", p.name)),
                (ParameterRole::State, _) if prefix == "adam.param" => self.values(&format!("adam.state.{}", p.name)),
                (_, Init::Constant(value)) => vec![value; p.rows * p.cols],
                _ => vec![0.0; p.rows * p.cols],
            })
            .collect();
        let tables = graph.tables.iter().map(|table| {
            let fields = table.fields.iter();
            let weights: Vec<f64> =
                fields.flat_map(|field| self.values(&format!("{prefix}.{}.{}", table.name, field.name))).collect();
            let mut values = TableValues::zeros(table.len(), table.precision);
            values.set(0, &weights);
            values
        });
        ModelState::before_training(graph, weights, tables.collect())
    }

    /// Logits of the first batch.
    pub fn predict(&self, executor: &mut dyn Executor) -> Vec<f32> {
        let (ids, values) = (self.integers("input.ids"), self.numeric());
        let rows = self.batch();
        let source = RowSource {
            rows,
            ids: &ids,
            fields: ids.len() / rows,
            value_count: values.len() / rows,
            values: &values,
            labels: &[],
            clicks: &[],
            weights: &[],
            scenarios: &self.scenarios(rows),
            sequences: &self.sequences(),
            first_in_sequences: 0,
        };
        executor.predict(&source).unwrap()
    }

    /// The sequences of items, if the case has any, or the lists of its fields of tags.
    fn sequences(&self) -> Vec<Sequence> {
        let list = |offsets: &str, ids: &str| {
            let offsets: Vec<u64> = self.integers(offsets).into_iter().map(u64::from).collect();
            Sequence::new(offsets, self.integers(ids))
        };
        if self.has("input.sequence_ids") {
            return vec![list("input.sequence_offsets", "input.sequence_ids")];
        }
        let fields = self.case["fields"].as_array().unwrap().iter().filter(|field| field["kind"] == "tags");
        let of_field = |field: &Value| {
            let of = |what: &str| format!("input.tags.{}.{what}", field["name"].as_str().unwrap());
            let weights: Vec<f32> = self.values(&of("weights")).into_iter().map(|weight| weight as f32).collect();
            let tags = list(&of("offsets"), &of("ids"));
            if field["pooling"] == "sum" { tags.weighted(weights) } else { tags }
        };
        fields.map(of_field).collect()
    }

    /// The scenario of each row; 0 where the case has none.
    fn scenarios(&self, rows: usize) -> Vec<u32> {
        if self.has("input.scenarios") { self.integers("input.scenarios") } else { vec![0; rows] }
    }

    fn numeric(&self) -> Vec<f32> {
        let name = "input.values";
        if self.has(name) { self.values(name).into_iter().map(|value| value as f32).collect() } else { Vec::new() }
    }

    /// One chunk of the ten steps.
    pub fn steps(&self, graph: &Graph, batch_layout: &BatchLayout) -> StepChunk {
        let batch = self.batch();
        let changing = self.text("batches") == "changing";
        let (ids, labels) = if changing {
            (self.integers("input.step_ids"), self.values("input.step_labels"))
        } else {
            (self.integers("input.ids"), self.values("input.labels"))
        };
        let labels: Vec<f32> = labels.into_iter().map(|label| label as f32).collect();
        let values = self.numeric();
        let source = RowSource {
            rows: labels.len(),
            ids: &ids,
            fields: ids.len() / labels.len(),
            value_count: values.len() / labels.len(),
            values: &values,
            labels: &labels,
            clicks: &[],
            weights: &[],
            scenarios: &self.scenarios(labels.len()),
            sequences: &self.sequences(),
            first_in_sequences: 0,
        };
        let shuffles = if self.has("input.shuffle") { self.integers("input.shuffle") } else { vec![0; 10 * batch] };
        let regularised = self.has("input.shuffle");
        let rows: Vec<Vec<u32>> = (0..10)
            .map(|step| {
                let first = if changing { step * batch } else { 0 };
                (first as u32..(first + batch) as u32).collect()
            })
            .collect();
        let steps: Vec<Step<'_>> = rows
            .iter()
            .enumerate()
            .map(|(step, rows)| Step {
                rows,
                shuffle: if regularised { &shuffles[step * batch..][..batch] } else { &[] },
                uniforms: uniforms(step as u32, self.number("lr"), self.number("beta1"), self.number("beta2")),
            })
            .collect();
        let mut chunk = StepChunk::default();
        BatchPacker::new(graph, batch_layout, false).fill(&source, &steps, &mut chunk);
        chunk
    }
}

/// The clock of step number `step`, with Adam's bias correction.
pub fn uniforms(step: u32, rate: f64, beta1: f64, beta2: f64) -> StepUniforms {
    let t = f64::from(step) + 1.0;
    let learning_rate = rate * (1.0 - beta2.powf(t)).sqrt() / (1.0 - beta1.powf(t));
    let rate = learning_rate as f32;
    StepUniforms { step, seed: 7, learning_rate: rate, embedding_rate: rate, ..StepUniforms::default() }
}

/// A chunk with one of another's steps.
pub fn only_step(chunk: &StepChunk, step: usize) -> StepChunk {
    StepChunk { uniforms: vec![chunk.uniforms[step]], ..chunk.clone() }
}

/// Every golden case.
pub const CASES: &[&str] = &[
    "dnn",
    "dnn-l2",
    "dnn-numeric",
    "dnn-tags",
    "dnn-lazy-adam",
    "dnn-dense-adam",
    "dpg-r",
    "mi-dpg-r",
    "mi-dpg-rc",
    "mi-dpg-c",
    "mi-dpg-non",
    "mi-dpg-r-tile",
    "mi-dpg-r-input",
    "mi-dpg-r-options",
    "mi-dpg-rc-dk2",
    "mi-dpg-c-last",
    "mi-dpg-r-warmup",
    "mi-dpg-r-scenario",
    "mi-dpg-rc-stop",
    "mi-dpg-c-gate",
    "optmsm-fcn",
    "optmsm-fcn-abs",
    "optmsm-fcn-square",
    "optmsm-fcn-no-orth",
    "optmsm-fcn-no-priors",
    "optmsm-fcn-no-hyper",
    "optmsm-moe",
    "optmsm-moe-no-orth",
    "optmsm-cgc",
    "optmsm-cgc-no-orth",
    "saml",
    "saml-cosine",
    "saml-hashed",
    "saml-no-stop",
    "saml-no-gate",
    "saml-no-auxiliary",
    "saml-no-gate-and-mutual",
    "saml-one-scenario",
    "saml-sequence",
    "saml-sequence-no-auxiliary",
    "shared-bottom",
    "mmoe",
    "hmoe",
    "ple",
    "star",
    "star-single",
    "pepnet",
    "adasparse",
    "apg",
    "apg-self",
    "apg-mix",
    "wide-deep",
    "wide-deep-numeric",
    "deepfm",
    "dcn",
    "dcn-v2",
    "din",
    "bst",
];

/// The field whose vocabulary the golden cases' sequences share.
const SEQUENCE_FIELD: usize = 4;

/// The most values of their lists of tags.
const MOST_TAGS: usize = 4;

/// The training and prediction plans of a case.
pub fn plans(golden: &Golden) -> (Graph, Plan, Plan) {
    let [graph, prediction] = golden.graphs();
    let train = Plan::training(&graph, &golden.training());
    let predict = Plan::inference(&prediction, golden.batch());
    (graph, train, predict)
}

/// The largest difference between `found` and `expected`, as a fraction of the largest expected value.
pub fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-12_f64, |max, value| max.max(value.abs()));
    found.iter().zip(expected).fold(0.0_f64, |max, (a, b)| {
        let off = (a - b).abs() / scale;
        if off.is_nan() { f64::INFINITY } else { max.max(off) }
    })
}
