//! Models over their options, and the plans of these and of the small graphs.

use polyscene::graph::{Cross, Graph, Optimizer, Precision};
use polyscene::layers::{Decomposition, Field, RowAxis};
use polyscene::models::{
    AdaSparse, Apg, Bst, Condition, Dcn, DcnV2, DeepFm, Din, Dnn, Hmoe, Inputs, MiDpg, MirInput, MirReduce, Mmoe,
    Model, OptMsm, PepNet, Ple, Saml, SequenceInput, SharedBottom, Specific, Star, Transfer, WideDeep, Without,
};
use polyscene::ops::{Alpha, Repeat};
use polyscene::plan::{Plan, TrainingOptions};

use polyscene::check::data::training;
use polyscene::check::graphs::all_small_graphs;

/// Fields of these many values, `aware` of them scenario-aware; every third is numeric if `numeric`.
pub fn inputs(rows: &[usize], aware: usize, numeric: bool) -> Inputs {
    let fields = rows
        .iter()
        .enumerate()
        .map(|(source, &rows)| Field {
            name: format!("field{source}"),
            source,
            rows,
            cross: Cross::None,
            value: (numeric && source % 3 == 1).then_some(source / 3),
            tags: None,
        })
        .collect();
    Inputs { fields, aware, scenarios: 3, has_scenarios: true, scenario: Some(0), sequences: Vec::new() }
}

/// All models over their options: name and graph.
pub fn models() -> Vec<(String, Graph)> {
    let mut models = Vec::new();
    for numeric in [false, true] {
        let inputs = inputs(&[40, 2, 9, 300, 2], 2, numeric);
        for dropout in [0.0, 0.2] {
            let dnn = Dnn { width: 4, hidden: vec![12, 8], dropout };
            models.push((format!("{dnn:?}"), dnn.build(&inputs).unwrap()));
            for decomposition in [Decomposition::R, Decomposition::Rc, Decomposition::C, Decomposition::Non] {
                for repeat in [Repeat::Interleave, Repeat::Tile] {
                    for row_axis in [RowAxis::Output, RowAxis::Input] {
                        // What is independent of these goes along with one of them.
                        let plain = dropout == 0.0;
                        let options = MiDpg {
                            width: 4,
                            hidden: vec![24, 8],
                            dropout,
                            decomposition,
                            repeat,
                            row_axis,
                            d_k: if plain { 1 } else { 3 },
                            weight_scale: if plain { 1.0 } else { 2.0 },
                            weight_last: plain,
                            mir: numeric || plain,
                            mir_input: if numeric { MirInput::Scenario } else { MirInput::Aware },
                            mir_stop: numeric,
                            mir_warmup: if numeric { 100 } else { 0 },
                            mir_reduce: if numeric { MirReduce::Last } else { MirReduce::Mean },
                            auxiliary_hidden: 6,
                            discriminator_hidden: 5,
                            ..MiDpg::default()
                        };
                        models.push((format!("{options:?}"), options.build(&inputs).unwrap()));
                    }
                }
            }
        }
    }
    models.extend(models_of_scenarios());
    models.extend(baselines());
    models
}

/// The graph of a model, and the one for its predictions.
fn add<M: Model + std::fmt::Debug>(models: &mut Vec<(String, Graph)>, inputs: &Inputs, options: &M) {
    models.push((format!("{options:?}"), options.build(inputs).unwrap()));
    models.push((format!("{PREDICTION}{options:?}"), options.build_prediction(inputs).unwrap()));
}

/// Before the names of graphs that are made for predictions.
const PREDICTION: &str = "prediction of ";

/// Baselines on plain fields without dropout, and with numeric ones and dropout on sizes that are no multiples of four.
fn baselines() -> Vec<(String, Graph)> {
    let mut models = Vec::new();
    for odd in [false, true] {
        let sequences = vec![SequenceInput { field: 3, longest: 7 }];
        let inputs = Inputs { sequences, ..inputs(&[40, 2, 9, 300, 2], 2, odd) };
        let (width, hidden, dropout) = if odd { (3, vec![7, 5], 0.2) } else { (4, vec![12, 8], 0.0) };
        macro_rules! with {
            ($model:ident $(, $option:ident: $value:expr)*) => {{
                let hidden = hidden.clone();
                #[allow(clippy::needless_update, reason = "some models have no further options")]
                let options = $model { width, hidden, dropout, $($option: $value,)* ..$model::default() };
                add(&mut models, &inputs, &options);
            }};
        }
        with!(SharedBottom);
        with!(Mmoe, tower_hidden: vec![5]);
        with!(Hmoe, tower_hidden: vec![5]);
        with!(Ple, tower_hidden: vec![5], shared_experts: if odd { 1 } else { 2 });
        with!(Star, auxiliary_hidden: 5);
        with!(PepNet, gate_hidden: 6);
        with!(AdaSparse, lambda: if odd { 0.0 } else { 0.1 });
        for condition in [Condition::Group, Condition::Own, Condition::Mix] {
            with!(Apg, condition: condition, rank_div: if odd { 2 } else { 4 }, auxiliary_hidden: 6);
        }
        with!(WideDeep);
        with!(DeepFm);
        with!(Dcn, cross_layers: 2);
        with!(DcnV2, cross_layers: 2);
        with!(Din, attention_hidden: 5);
        with!(Bst, heads: if odd { 3 } else { 2 });
    }
    models
}

/// OptMSM and SAML over their options.
fn models_of_scenarios() -> Vec<(String, Graph)> {
    let mut models = Vec::new();
    for numeric in [false, true] {
        let inputs = inputs(&[40, 2, 9, 300, 2], 2, numeric);
        let dropout = if numeric { 0.2 } else { 0.0 };
        for transfer in [Transfer::Fcn, Transfer::Moe, Transfer::Cgc] {
            for orthogonality in [false, true] {
                let options = OptMsm {
                    width: 4,
                    hidden: vec![12, 8],
                    tower_hidden: vec![6],
                    dropout,
                    transfer,
                    orthogonality,
                    priors: !numeric,
                    hypernetwork: orthogonality,
                    ..OptMsm::default()
                };
                add(&mut models, &inputs, &options);
            }
        }
        for without in [Without::None, Without::Gate, Without::Auxiliary, Without::GateAndMutual] {
            for sequence in [false, true] {
                let sequences = if sequence { vec![SequenceInput { field: 3, longest: 7 }] } else { Vec::new() };
                let inputs = Inputs { sequences, ..inputs.clone() };
                let options = Saml {
                    width: 8,
                    hidden: vec![12, 8],
                    dropout,
                    without,
                    alpha: if sequence { Alpha::Paper } else { Alpha::Cosine },
                    specific: if numeric { Specific::Hashed } else { Specific::PerScenario },
                    specific_rows: 100,
                    ..Saml::default()
                };
                models.push((format!("{options:?}, sequences {sequence}"), options.build(&inputs).unwrap()));
            }
        }
    }
    models
}

/// One of each kind of models, with tables stored as halves.
fn models_of_halves() -> Vec<(String, Graph)> {
    let mut kinds = std::collections::BTreeSet::new();
    let mut models = models();
    models.retain(|(name, _)| {
        kinds.insert(name.split(' ').find(|word| word.starts_with(char::is_uppercase)).unwrap().to_owned())
    });
    for (name, graph) in &mut models {
        graph.set_embedding_precision(Precision::F16);
        name.push_str(", as halves");
    }
    models
}

/// Training and prediction plans of all models and small graphs, for batches of 67.
pub fn all_plans() -> Vec<(String, Plan)> {
    const BATCH: usize = 67;
    let small = all_small_graphs().map(|small| (small.name, small.graph, small.max_gradient_norm));
    let models = models().into_iter().chain(models_of_halves()).map(|(name, graph)| (name, graph, None));
    let mut plans = Vec::new();
    for (i, (name, graph, max_gradient_norm)) in models.chain(small).enumerate() {
        // Only Adam can.
        let dense_embedding_adam = i % 2 == 1 && graph.tables.iter().all(|table| table.optimizer == Optimizer::Adam);
        let options = TrainingOptions { dense_embedding_adam, max_gradient_norm, ..training(BATCH) };
        // What is made for predictions need not have gradients.
        if !name.starts_with(PREDICTION) {
            plans.push((format!("training {name}"), Plan::training(&graph, &options)));
        }
        plans.push((format!("prediction {name}"), Plan::inference(&graph, BATCH)));
    }
    plans
}

/// A shader's text with every number as `0`: that of all shaders which differ in sizes and places alone.
pub fn without_numbers(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    // Digits of names (`vec4`, `u32`) are no numbers.
    let (mut in_name, mut in_number) = (false, false);
    for letter in text.chars() {
        let digit = letter.is_ascii_digit();
        if !digit || in_name {
            short.push(letter);
        } else if !in_number {
            short.push('0');
        }
        in_number = digit && !in_name;
        in_name = letter.is_alphabetic() || letter == '_' || in_name && digit;
    }
    short
}
