//! Every dispatch of a training step as the compiler sees it.

use std::collections::HashMap;

use anyhow::Context;
use polyscene::bench::workload::Workload;
use polyscene::check::data::Data;
use polyscene::gpu::DeviceClass;
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

/// The dispatches of a model's training step at the papers' sizes.
pub(crate) fn rows(
    compiler: &Compiler,
    model: &str,
    batch: usize,
    tuning: Tuning,
    mixed: bool,
) -> anyhow::Result<Vec<Row>> {
    let name = polyscene::models::find(model).with_context(|| format!("there is no model {model}"))?.name;
    let graph = Workload::new(name, batch, 100_000).graph()?;
    let adam = OptimizerOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0 };
    let options = TrainingOptions {
        capacity: batch,
        dense: adam,
        embeddings: adam,
        max_gradient_norm: None,
        dense_embedding_adam: false,
        mixed_precision: mixed,
    };
    let mut known: HashMap<String, Statistics> = HashMap::new();
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
        let text = shader.text().to_string();
        let statistics = match known.get(&text) {
            Some(statistics) => statistics.clone(),
            None => known.entry(text).or_insert(compiler.compile(&shader)?).clone(),
        };
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
