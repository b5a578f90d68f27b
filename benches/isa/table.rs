//! Every dispatch of a training step as the compiler sees it.

use anyhow::Context;
use polyscene::bench::workload::Workload;
use polyscene::check::data::Data;
use polyscene::gpu::DeviceClass;
use polyscene::graph::Optimizer;
use polyscene::ops::OptimizerOptions;
use polyscene::plan::{DispatchLimits, Plan, TrainingOptions, Tuning};
use serde::Serialize;

use super::compiler::{Compiler, Statistics};
use crate::interpreted::Interpreted;
use crate::simt::{Space, Trace, Traffic};

/// One dispatch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The model.
    pub(crate) model: String,
    /// Samples of the step.
    pub(crate) batch: usize,
    /// The part of the model.
    pub(crate) dispatch: String,
    /// The shader.
    pub(crate) shader: String,
    /// Invocations of a workgroup.
    pub(crate) workgroup: u32,
    /// Workgroups of the dispatch.
    pub(crate) workgroups: usize,
    /// Of the bytes in the 128-byte lines that subgroups of 32 load, the part that they use.
    pub(crate) loads: f64,
    /// Of the lanes of subgroups that execute something, those that are active.
    pub(crate) busy: f64,
    /// What the compiler tells.
    #[serde(flatten)]
    pub(crate) statistics: Statistics,
}

/// How a model is to be trained.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// Samples of the step.
    pub(crate) batch: usize,
    /// The kernels.
    pub(crate) tuning: Tuning,
    /// Whether activations are halves.
    pub(crate) mixed: bool,
    /// Of dense parameters, and of tables.
    pub(crate) optimizers: [Optimizer; 2],
    /// The largest norm of all gradients.
    pub(crate) max_gradient_norm: Option<f64>,
}

impl Asked {
    /// By Adam, in single precision.
    pub(crate) fn new(batch: usize, tuning: Tuning) -> Self {
        Self { batch, tuning, mixed: false, optimizers: [Optimizer::Adam; 2], max_gradient_norm: None }
    }
}

/// The dispatches of a model's training step at the papers' sizes.
pub(crate) fn rows(compiler: &Compiler, model: &str, asked: &Asked) -> anyhow::Result<Vec<Row>> {
    let &Asked { batch, tuning, mixed, optimizers: [dense, embeddings], max_gradient_norm } = asked;
    let name = polyscene::models::find(model).with_context(|| format!("there is no model {model}"))?.name;
    let mut graph = Workload::new(name, batch, 100_000).graph()?;
    anyhow::ensure!(dense != Optimizer::RowwiseAdagrad, "row-wise Adagrad is for embedding rows");
    graph.set_optimizers(dense, embeddings);
    let constants = OptimizerOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
    let options = TrainingOptions {
        capacity: batch,
        dense: constants,
        embeddings: constants,
        max_gradient_norm,
        dense_embedding_adam: false,
        mixed_precision: mixed,
    };
    let plan = Plan::training(&graph, &options);
    let dispatches = plan.dispatches(&DispatchLimits { tuning, ..DispatchLimits::portable() });
    // Some workgroups of a step with made-up rows show how they all read.
    let chunk = Data::random(&graph, batch, 3).chunk(&plan, 0, &[batch], 0.01, false);
    let state = polyscene::plan::initial_state(&graph, 1);
    let inference = Plan::inference(&graph, batch);
    let traces = match tuning.kernels {
        DeviceClass::Hardware => Interpreted::new(plan.clone(), inference, &state, None, tuning).traces(&chunk),
        // An interpreter is for kernels whose invocations work together.
        DeviceClass::Software => vec![Trace::default(); dispatches.len()],
    };
    let row = |(dispatch, trace): (polyscene::plan::Dispatch, Trace)| {
        // Where all lanes read one place, it is fetched once for all.
        let shared = |traffic: &Traffic| traffic.asked >= 16 * traffic.used;
        let loads = trace
            .accesses
            .iter()
            .filter(|access| access.space == Space::Storage && !access.write && !shared(&access.traffic));
        let loads = loads.fold(Traffic::default(), |mut sum, access| {
            sum.add(&access.traffic);
            sum
        });
        let shader = dispatch.expand()?;
        let statistics = compiler.compile(&shader)?;
        Ok(Row {
            model: model.to_owned(),
            batch,
            workgroups: dispatch.workgroups(),
            dispatch: dispatch.name(),
            loads: loads.efficiency(),
            busy: trace.utilisation(),
            shader: shader.name().to_owned(),
            workgroup: dispatch.workgroup,
            statistics,
        })
    };
    dispatches.into_iter().zip(traces).map(row).collect()
}
