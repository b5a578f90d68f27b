//! From a configuration and the data's fields to a model on a device.

use glob::Pattern;

use super::Error;
use super::memory::main_memory_bytes;
use crate::config::{Config, ConfigError, EmbeddingAdam, EntireSpace, TrainOptions, TrainPrecision};
use crate::data::{Encoder, FieldRole, Rows, nearest, suggestion};
use crate::gpu::{AdapterSummary, DeviceChoice, Gpu, OpenOptions, Selection, select};
use crate::graph::{Cross, Graph, ParameterRole, Tags};
use crate::layers::Field;
use crate::models::{self, Inputs, MirNegatives, ModelEntry, SequenceInput, entire_space};
use crate::ops::{ModelState, OptimizerOptions};
use crate::plan::{CpuExecutor, Executor, GpuExecutor, GpuOptions, Plan, RowSource, TrainingOptions, check_graph};
use crate::tune::Tuned;

/// A model as the configuration asks for it.
#[derive(Clone, Debug)]
pub struct BuiltModel {
    /// Forward pass and losses.
    pub graph: Graph,
    /// What predictions need, with the same parameters.
    pub prediction: Graph,
    /// How π is drawn, where the model needs it.
    pub negatives: Option<MirNegatives>,
    /// Options of the file's model that were left out, because `--set model.name` asks for a model without them.
    pub left_out: Vec<String>,
}

/// Another model than the file's need not know the options of the file's.
fn leave_out_foreign(config: &mut Config) -> Vec<String> {
    let Some(before) = config.replaced_model().and_then(models::find) else { return Vec::new() };
    let now = models::find(config.model_name());
    let has = |key: &str| now.is_some_and(|model| model.has_option(key));
    config.drop_model_options(|key| before.has_option(key) && !has(key))
}

/// Builds the configuration's model for the fields of `encoder`, and writes the defaults of `[model]` out in `config`.
///
/// # Errors
/// When the model or an option is unknown, options do not fit, or this machine has not the memory for the model
/// ([`MainMemory`](crate::plan::Error::MainMemory)).
pub fn build(config: &mut Config, encoder: &Encoder) -> Result<BuiltModel, Error> {
    let entry = known_model(config)?;
    let left_out = leave_out_foreign(config);
    let (model, inputs) = (entry.configured(config)?, inputs(encoder));
    let (mut graph, mut prediction) = (model.build(&inputs)?, model.build_prediction(&inputs)?);
    check_clicks(config, encoder)?;
    if config.train.entire_space == Some(EntireSpace::Esmm) {
        (graph, prediction) = (entire_space(&graph), entire_space(&prediction));
    }
    for graph in [&mut graph, &mut prediction] {
        graph.set_embedding_precision(config.train.embedding_precision);
        graph.set_optimizers(config.train.optimizer, config.train.embedding_optimizer());
    }
    if graph.scenarios > 0 && !inputs.has_scenarios {
        return Err(models::Error(format!(
            "{} has parts for each scenario, but the data has none; name the column of scenarios in data.scenario",
            entry.name
        ))
        .into());
    }
    let available = main_memory();
    check_graph(&graph, available).and_then(|()| check_graph(&prediction, available))?;
    model.write_options(config)?;
    freeze(&mut graph, config)?;
    Ok(BuiltModel { graph, prediction, negatives: model.negatives(), left_out })
}

/// That clicks are known where they are learnt from, and learnt from where they are known.
fn check_clicks(config: &Config, encoder: &Encoder) -> Result<(), ConfigError> {
    match (config.train.entire_space, &encoder.schema().click) {
        (Some(EntireSpace::Esmm), None) => {
            let expected = "data.click beside it, the column of clicks that come before the label's conversions";
            Err(ConfigError::value(config.file(), "train.entire_space", expected, "\"esmm\" alone"))
        }
        (None, Some(column)) => {
            let expected = "train.entire_space = \"esmm\" beside it; without it no model reads clicks";
            Err(ConfigError::value(config.file(), "data.click", expected, &format!("\"{column}\" alone")))
        }
        _ => Ok(()),
    }
}

/// Marks what `train.freeze` names.
fn freeze(graph: &mut Graph, config: &Config) -> Result<(), ConfigError> {
    let wrong = |expected: &str, found: &str| ConfigError::value(config.file(), "train.freeze", expected, found);
    let trained = graph.parameters.iter_mut().filter(|parameter| parameter.role == ParameterRole::Trained);
    let trained = trained.map(|parameter| (parameter.name.clone(), &mut parameter.frozen));
    let fields = graph.tables.iter_mut().flat_map(|table| {
        let table_name = &table.name;
        let stored = table.fields.iter_mut().filter(|field| field.rows > 0);
        stored.map(move |field| (format!("{table_name}.{}", field.name), &mut field.frozen))
    });
    let mut all: Vec<(String, &mut bool)> = trained.chain(fields).collect();
    for text in &config.train.freeze {
        let pattern = Pattern::new(text)
            .map_err(|error| wrong("names, with * for any text", &format!("\"{text}\" ({error})")))?;
        let mut matching = all.iter_mut().filter(|(name, _)| pattern.matches(name)).peekable();
        let none = matching.peek().is_none();
        matching.for_each(|(_, frozen)| **frozen = true);
        if none {
            let near = suggestion(nearest(text, all.iter().map(|(name, _)| name.as_str())));
            return Err(wrong(&format!("the model's parameters or fields{near}"), &format!("\"{text}\"")));
        }
    }
    let frozen = graph.tables.iter().flat_map(|table| &table.fields).any(|field| field.frozen);
    if frozen && config.train.embedding_adam == EmbeddingAdam::Dense {
        return Err(wrong(
            "no embeddings where train.embedding_adam is \"dense\", which moves all rows",
            &format!("{:?}", config.train.freeze),
        ));
    }
    Ok(())
}

/// The model that `model.name` asks for.
fn known_model(config: &Config) -> Result<ModelEntry, ConfigError> {
    let name = config.model_name();
    models::find(name).ok_or_else(|| {
        let names = models::names();
        let near = suggestion(nearest(name, names.iter().copied()));
        let expected = format!("one of {}{near}", names.join(", "));
        ConfigError::value(config.file(), "model.name", &expected, &format!("\"{name}\""))
    })
}

/// Writes the defaults of `[model]` out, without building it.
///
/// # Errors
/// When the model or an option is unknown, or an option has the wrong type.
pub fn write_defaults(config: &mut Config) -> Result<(), ConfigError> {
    known_model(config)?.configured(config)?.write_options(config)
}

/// The encoder's fields as models see them.
fn inputs(encoder: &Encoder) -> Inputs {
    let fields = encoder.fields();
    Inputs {
        aware: fields.iter().filter(|field| field.role == FieldRole::Aware).count(),
        scenarios: encoder.scenarios().len(),
        has_scenarios: encoder.schema().scenario.is_some(),
        scenario: fields.iter().position(|field| Some(&field.name) == encoder.schema().scenario.as_ref()),
        sequences: encoder
            .sequences()
            .iter()
            .map(|sequence| SequenceInput { field: sequence.field, longest: sequence.max_length })
            .collect(),
        fields: fields
            .iter()
            .enumerate()
            .map(|(source, field)| Field {
                name: field.name.clone(),
                source,
                rows: field.rows,
                cross: Cross::None,
                value: field.value_index,
                tags: field.tags.map(|tags| Tags {
                    rows_of: tags.rows_of,
                    list: tags.list,
                    longest: tags.max_length,
                    pooling: tags.pooling,
                }),
            })
            .collect(),
    }
}

/// That a row's sequences are features of the same items, if the model reads them: as many in each.
///
/// # Errors
/// Names the first row in which they are not.
pub fn check_sequences(model: &BuiltModel, rows: &Rows, encoder: &Encoder) -> Result<(), Error> {
    let (Some(first), true) = (rows.sequences().first(), model.graph.longest > 0) else { return Ok(()) };
    for (sequence, info) in rows.sequences().iter().zip(encoder.sequences()).skip(1) {
        let differs = |row: &usize| first.row(*row).len() != sequence.row(*row).len();
        if let Some(row) = (0..rows.len()).find(differs) {
            let found = format!(
                "{} in row {} and {} in \"{}\"",
                first.row(row).len(),
                row + 1,
                sequence.row(row).len(),
                info.name
            );
            let name = &encoder.sequences()[0].name;
            let expected = format!(
                "as many items in every sequence of a row as in \"{name}\" (the same max_length, and no missing items), or \
                 one sequence"
            );
            return Err(ConfigError::value("the data", "data.sequence", &expected, &found).into());
        }
    }
    Ok(())
}

/// Encoded rows as executors take them.
pub fn source<'a>(rows: &'a Rows, encoder: &Encoder) -> RowSource<'a> {
    RowSource {
        rows: rows.len(),
        ids: rows.ids(),
        fields: encoder.fields().len(),
        values: rows.values(),
        value_count: encoder.value_count(),
        labels: rows.labels(),
        clicks: rows.clicks().unwrap_or_default(),
        weights: &[],
        scenarios: rows.scenarios(),
        sequences: rows.sequences(),
        first_in_sequences: 0,
    }
}

/// The training plan's options.
pub fn training_options(options: &TrainOptions) -> TrainingOptions {
    let &TrainOptions { beta1, beta2, epsilon, .. } = options;
    let constants = |l2: f64| OptimizerOptions { beta1, beta2, epsilon, l2 };
    TrainingOptions {
        capacity: options.batch_size as usize,
        dense: constants(options.weight_decay),
        embeddings: constants(options.embedding_l2),
        max_gradient_norm: options.max_gradient_norm,
        dense_embedding_adam: options.embedding_adam == EmbeddingAdam::Dense,
        mixed_precision: options.precision == TrainPrecision::Mixed,
    }
}

fn main_memory() -> u64 {
    main_memory_bytes().unwrap_or(u64::MAX)
}

/// A model on a device.
pub struct OpenedExecutor {
    /// The model there.
    pub executor: Box<dyn Executor>,
    /// Rows per step of an evaluation or prediction: `eval_batch_size`, or fewer where that many do not fit.
    pub eval_batch_size: usize,
    /// The adapter, where it is one.
    pub adapter: Option<AdapterSummary>,
    /// The kernels it got there.
    pub tuned: Option<Tuned>,
}

/// Opens the chosen device, as `open` says, and puts the model there. `tune` says which kernels an adapter gets; `state` is asked for once
/// the model is known to fit.
///
/// # Errors
/// When there is no such device, it fails, or the model does not fit it.
pub fn open_executor(
    choice: &DeviceChoice,
    model: &BuiltModel,
    options: &TrainOptions,
    open: OpenOptions,
    tune: impl FnOnce(&Gpu, &Graph, &TrainingOptions) -> Result<Tuned, Error>,
    state: impl FnOnce() -> ModelState<f32>,
) -> Result<OpenedExecutor, Error> {
    let plan_options = training_options(options);
    let train = Plan::training(&model.graph, &plan_options);
    let inference = |fits: &dyn Fn(&Plan) -> _| {
        Plan::inference_that_fits(&model.prediction, options.eval_batch_size as usize, fits)
    };
    Ok(match select(choice)? {
        Selection::Cpu => {
            let available = main_memory();
            train.check_on_cpu(available)?;
            let left = u64::try_from(u128::from(available) - train.cpu_bytes()).unwrap_or(0);
            let predict = inference(&|plan| plan.check_on_cpu(left))?;
            let eval_batch_size = predict.capacity;
            let executor = Box::new(CpuExecutor::<f32>::new(train, predict, state()));
            OpenedExecutor { executor, eval_batch_size, adapter: None, tuned: None }
        }
        Selection::Adapter(adapter, summary) => {
            let gpu = Gpu::open(&adapter, *summary.clone(), open)?;
            let resident_bytes = options.resident_mb.saturating_mul(1 << 20);
            let guess = GpuOptions { resident_bytes, ..GpuOptions::default() };
            // Before kernels are tried, at least the guess must find room.
            train.check_on_device(&guess.limits(&gpu), gpu.name())?;
            let tuned = tune(&gpu, &model.graph, &plan_options)?;
            let gpu_options = GpuOptions { tuning: Some(tuned.tuning), ..guess };
            let limits = gpu_options.limits(&gpu);
            train.check_on_device(&limits, gpu.name())?;
            let predict = inference(&|plan| plan.check_on_device(&limits, gpu.name()))?;
            let eval_batch_size = predict.capacity;
            let executor = Box::new(GpuExecutor::new(gpu.clone(), train, predict, &state(), gpu_options)?);
            gpu.keep_pipelines();
            OpenedExecutor { executor, eval_batch_size, adapter: Some(*summary), tuned: Some(tuned) }
        }
    })
}
