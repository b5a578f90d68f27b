//! The batches of an epoch: which rows, in which order, with which numbers.

use std::sync::Arc;

use crate::config::TrainOptions;
use crate::data::Dataset;
use crate::graph::BatchLayout;
use crate::ops::StepUniforms;
use crate::plan::{BatchPacker, RowSource, Step, StepChunk};
use crate::train::model::{BuiltModel, source};
use crate::train::order::{batch_shuffle, epoch_order};
use crate::train::schedule::{rate_factor, step_rates};

/// Makes an epoch's batches.
pub(super) struct Batches<'a> {
    data: &'a Dataset,
    /// What each training row's loss is multiplied by; none where that is 1.
    weights: Arc<[f32]>,
    model: &'a BuiltModel,
    options: &'a TrainOptions,
    packer: BatchPacker,
    order: Vec<u32>,
    when: When,
}

/// When an epoch is.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// Its number, from 1.
    pub(super) epoch: u32,
    /// Steps of this run before it.
    pub(super) epoch_first: u64,
    /// Steps of the runs that this one goes on from.
    pub(super) steps_before: u64,
    /// Steps of the whole run, if it does not stop early.
    pub(super) run_steps: u64,
}

impl<'a> Batches<'a> {
    /// Those of the epoch `when`; `resident` as for [`BatchPacker::new`].
    pub(super) fn new(
        data: &'a Dataset,
        model: &'a BuiltModel,
        options: &'a TrainOptions,
        weights: Arc<[f32]>,
        when: When,
        resident: bool,
    ) -> Self {
        let batch_size = options.batch_size as usize;
        let batch_layout = BatchLayout::training(&model.graph, batch_size);
        let mut order = epoch_order(data.train.labels(), options.negative_rate, options.seed, when.epoch);
        if model.graph.scenarios > 0 {
            let source = source(&data.train, &data.encoder);
            order.chunks_mut(batch_size).for_each(|rows| source.group_by_scenario(rows));
        }
        Self {
            data,
            weights,
            model,
            options,
            packer: BatchPacker::new(&model.graph, &batch_layout, resident),
            order,
            when,
        }
    }

    /// Packs the epoch's steps of these numbers.
    pub(super) fn fill(&mut self, steps: std::ops::Range<u64>, chunk: &mut StepChunk) {
        let batch = self.options.batch_size as usize;
        let scenarios = self.data.train.scenarios();
        let rows = |step: u64| {
            let first = step as usize * batch;
            &self.order[first..self.order.len().min(first + batch)]
        };
        let shuffles: Vec<Vec<u32>> = steps
            .clone()
            .map(|step| match self.model.negatives {
                Some(negatives) => {
                    let scenarios: Vec<u32> = rows(step).iter().map(|&row| scenarios[row as usize]).collect();
                    batch_shuffle(&scenarios, negatives, self.options.seed, self.global_step(step))
                }
                None => Vec::new(),
            })
            .collect();
        let list: Vec<Step<'_>> = steps
            .zip(&shuffles)
            .map(|(step, shuffle)| Step { rows: rows(step), shuffle, uniforms: self.uniforms(step) })
            .collect();
        let source = RowSource { weights: &self.weights, ..source(&self.data.train, &self.data.encoder) };
        self.packer.fill(&source, &list, chunk);
    }

    /// How many steps there were before one of this epoch, those of runs that this one goes on from included.
    fn global_step(&self, step: u64) -> u64 {
        self.when.steps_before + self.when.epoch_first + step
    }

    fn uniforms(&self, step: u64) -> StepUniforms {
        let options = self.options;
        // A run that goes on from another begins a schedule of its own.
        let factor = rate_factor(options, self.when.epoch_first + step, self.when.run_steps);
        let step = self.global_step(step);
        let [learning_rate, embedding_rate] = step_rates(options, factor, step).map(|rate| rate as f32);
        StepUniforms {
            seed: (options.seed ^ (options.seed >> 32)) as u32,
            step: step as u32,
            learning_rate,
            embedding_rate,
            // The odds of those drawn are 1 / r of the odds of all.
            logit_offset: -options.negative_rate.ln() as f32,
            ..StepUniforms::default()
        }
    }
}
