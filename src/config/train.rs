//! `[train]`: how a model is trained.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::graph::{Optimizer, Precision};

/// The most rows of one step: memory for a step's activations is taken before the first one.
const MAX_ROWS: u32 = 1 << 20;

/// `[train]`: how long, how fast and in what order a model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Passes over the training rows; 0 leaves the initial weights.
    pub epochs: u32,
    /// Rows per step, at most 2^20.
    pub batch_size: u32,
    /// Rows per step of an evaluation, at most 2^20: changes speed and memory, and results at most by rounding.
    pub eval_batch_size: u32,
    /// Decides initial weights, the order of rows and every other random choice of the run.
    pub seed: u64,
    /// What moves the dense parameters.
    pub optimizer: Optimizer,
    /// What moves the embedding rows, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_optimizer: Option<Optimizer>,
    /// The optimiser's step size, at its highest where it has a schedule.
    pub learning_rate: f64,
    /// That of embedding rows, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_learning_rate: Option<f64>,
    /// Steps over which the learning rates rise linearly at the beginning of a run.
    pub warmup_steps: u64,
    /// How the learning rates fall after the warm-up.
    pub schedule: Schedule,
    /// With the schedules `linear` and `cosine`: what part of a learning rate is left at the end of the last epoch.
    pub end_factor: f64,
    /// With the schedule `step`: after how many steps, each time, the learning rates fall.
    pub decay_steps: u64,
    /// With the schedule `step`: by what they are multiplied each time.
    pub decay_factor: f64,
    /// Adam's decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Adam's decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the denominator of Adam, outside the bias correction, and of Adagrad.
    pub epsilon: f64,
    /// L2 on dense parameters: this times the parameter is added to its gradient.
    pub weight_decay: f64,
    /// L2 on the embedding rows that a batch touches, in the same way.
    pub embedding_l2: f64,
    /// The largest norm of all gradients of a step together, without L2; larger ones are scaled down to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gradient_norm: Option<f64>,
    /// Whether a step moves the embedding rows of its batch or all rows.
    pub embedding_adam: EmbeddingAdam,
    /// How activations and their gradients are stored while training.
    pub precision: TrainPrecision,
    /// How the values of embedding rows are stored.
    pub embedding_precision: Precision,
    /// How the entire space of impressions is learnt from, where the label is a conversion and `data.click` the click before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entire_space: Option<EntireSpace>,
    /// The part of the negative rows that an epoch draws, others each time; logits are corrected for it while training.
    pub negative_rate: f64,
    /// Steps between evaluations on the validation rows, beside those at the end of each epoch; 0 for these alone.
    pub eval_steps: u64,
    /// Evaluations without a better validation metric before training stops; 0 never stops early.
    pub patience: u32,
    /// The validation metric that decides which evaluation is best.
    pub early_stop_metric: EarlyStopMetric,
    /// Steps between checkpoints; 0 writes one per epoch only.
    pub checkpoint_steps: u64,
    /// Megabytes of training data kept on the device; larger data is streamed to it.
    pub resident_mb: u64,
    /// The folder of a run that training goes on from: its weights, moments, vocabularies and scenarios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// With `from`: whether the optimiser begins anew, with moments of 0.
    #[serde(skip_serializing_if = "is_false")]
    pub fresh_moments: bool,
    /// With `from`: whether means, deviations and bucket edges of numbers are those of the new data.
    #[serde(skip_serializing_if = "is_false")]
    pub refit_numbers: bool,
    /// Parameters that training leaves as they are, and fields of embedding tables (`TABLE.FIELD`), by name; `*` stands for any
    /// text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How activations and their gradients are stored while training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainPrecision {
    /// In single precision.
    #[default]
    F32,
    /// As half floats where they have a row for each sample and enough columns. Sums, losses, moments and parameters stay
    /// f32, as does all arithmetic.
    Mixed,
}

/// How conversions are learnt from all impressions, clicked or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntireSpace {
    /// By the product of a model of clicks and one of conversions after them (Ma et al. 2018).
    Esmm,
}

/// How the learning rates fall after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// By the same amount at each step, until the end of the last epoch.
    Linear,
    /// Along half a cosine, until the end of the last epoch.
    Cosine,
    /// By a factor every so many steps.
    Step,
}

/// How Adam treats embedding rows that are not in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingAdam {
    /// They and their moments stay as they are.
    #[default]
    Lazy,
    /// They move with a gradient of zero, as every other parameter does.
    Dense,
}

/// A validation metric to stop on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyStopMetric {
    /// Area under the ROC curve, over all scenarios: larger is better.
    #[default]
    Auc,
    /// Mean cross entropy, over all scenarios: smaller is better.
    Logloss,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            epochs: 10,
            batch_size: 512,
            eval_batch_size: 4096,
            seed: 0,
            optimizer: Optimizer::Adam,
            embedding_optimizer: None,
            learning_rate: 1e-3,
            embedding_learning_rate: None,
            warmup_steps: 0,
            schedule: Schedule::Constant,
            end_factor: 0.0,
            decay_steps: 0,
            decay_factor: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            embedding_l2: 0.0,
            max_gradient_norm: None,
            embedding_adam: EmbeddingAdam::Lazy,
            precision: TrainPrecision::F32,
            embedding_precision: Precision::F32,
            entire_space: None,
            negative_rate: 1.0,
            eval_steps: 0,
            patience: 2,
            early_stop_metric: EarlyStopMetric::Auc,
            checkpoint_steps: 0,
            resident_mb: 1024,
            from: None,
            fresh_moments: false,
            refit_numbers: false,
            freeze: Vec::new(),
        }
    }
}

impl TrainOptions {
    /// Checks what the types cannot, as the device will see it: in single precision.
    pub(super) fn check(&self, file: &str) -> Result<(), ConfigError> {
        let number = |key: &str, value: f64, right: fn(f32) -> bool, expected: &str| match right(value as f32) {
            true => Ok(()),
            false => Err(ConfigError::value(file, &format!("train.{key}"), expected, &value.to_string())),
        };
        let count = |key: &str, value: u32| match value {
            1..=MAX_ROWS => Ok(()),
            _ => {
                let expected = format!("a whole number from 1 to {MAX_ROWS}");
                Err(ConfigError::value(file, &format!("train.{key}"), &expected, &value.to_string()))
            }
        };
        let positive = |x: f32| x > 0.0 && x.is_finite();
        let not_negative = |x: f32| x >= 0.0 && x.is_finite();
        let below_one = |x: f32| (0.0..1.0).contains(&x);
        count("batch_size", self.batch_size)?;
        count("eval_batch_size", self.eval_batch_size)?;
        number("learning_rate", self.learning_rate, positive, "a number above 0")?;
        if let Some(rate) = self.embedding_learning_rate {
            number("embedding_learning_rate", rate, positive, "a number above 0")?;
        }
        self.check_schedule(file)?;
        self.check_optimizers(file)?;
        number("beta1", self.beta1, below_one, "a number from 0 to below 1")?;
        number("beta2", self.beta2, below_one, "a number from 0 to below 1")?;
        number("epsilon", self.epsilon, positive, "a number above 0 in single precision")?;
        number("weight_decay", self.weight_decay, not_negative, "a number of at least 0")?;
        number("embedding_l2", self.embedding_l2, not_negative, "a number of at least 0")?;
        number("negative_rate", self.negative_rate, |x| x > 0.0 && x <= 1.0, "a number above 0, at most 1")?;
        if self.entire_space.is_some() && self.negative_rate < 1.0 {
            let expected = "1 beside train.entire_space: rows without a conversion tell how likely a click is";
            return Err(ConfigError::value(file, "train.negative_rate", expected, &self.negative_rate.to_string()));
        }
        if let Some(norm) = self.max_gradient_norm {
            number("max_gradient_norm", norm, positive, "a number above 0")?;
        }
        for (key, set) in [("fresh_moments", self.fresh_moments), ("refit_numbers", self.refit_numbers)] {
            if set && self.from.is_none() {
                let expected = "false where train.from names no run to go on from (--from RUN)";
                return Err(ConfigError::value(file, &format!("train.{key}"), expected, "true"));
            }
        }
        Ok(())
    }
}

impl Schedule {
    /// Whether it depends on how many epochs there are to be.
    pub fn ends_with_the_run(self) -> bool {
        matches!(self, Schedule::Linear | Schedule::Cosine)
    }
}

impl TrainOptions {
    /// The learning rate of embedding rows, before the schedule.
    pub fn embedding_rate(&self) -> f64 {
        self.embedding_learning_rate.unwrap_or(self.learning_rate)
    }

    /// What moves the embedding rows.
    pub fn embedding_optimizer(&self) -> Optimizer {
        self.embedding_optimizer.unwrap_or(self.optimizer)
    }

    /// Checks which optimisers there are, and that no constant is there in vain.
    fn check_optimizers(&self, file: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, expected: &str, found: String| {
            Err(ConfigError::value(file, &format!("train.{key}"), expected, &found))
        };
        let default = TrainOptions::default();
        let both = [self.optimizer, self.embedding_optimizer()];
        if self.optimizer == Optimizer::RowwiseAdagrad {
            let expected =
                "\"adam\", \"adagrad\" or \"sgd\"; row-wise Adagrad is for tables (train.embedding_optimizer)";
            return wrong("optimizer", expected, format!("\"{}\"", self.optimizer.name()));
        }
        let adam = both.contains(&Optimizer::Adam);
        for (key, value, default) in [("beta1", self.beta1, default.beta1), ("beta2", self.beta2, default.beta2)] {
            if value != default && !adam {
                let expected =
                    "train.optimizer or train.embedding_optimizer = \"adam\" beside it: no other has moments";
                return wrong(key, expected, value.to_string());
            }
        }
        if self.epsilon != default.epsilon && both == [Optimizer::Sgd; 2] {
            return wrong(
                "epsilon",
                "an optimiser beside it that divides by something, not \"sgd\"",
                self.epsilon.to_string(),
            );
        }
        if self.embedding_adam == EmbeddingAdam::Dense && both[1] != Optimizer::Adam {
            let expected = "\"lazy\", or Adam for embedding rows: other optimisers only move rows that have a gradient";
            return wrong("embedding_adam", expected, "\"dense\"".to_owned());
        }
        Ok(())
    }

    /// Checks the schedule's keys, which must not be there in vain.
    fn check_schedule(&self, file: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(ConfigError::value(file, &format!("train.{key}"), expected, &found.to_string()))
        };
        let default = TrainOptions::default();
        let factor = 0.0..=1.0;
        if !factor.contains(&self.end_factor) {
            return wrong("end_factor", "a number from 0 to 1", &self.end_factor);
        }
        if !factor.contains(&self.decay_factor) || self.decay_factor == 0.0 {
            return wrong("decay_factor", "a number above 0, at most 1", &self.decay_factor);
        }
        if self.end_factor != default.end_factor && !self.schedule.ends_with_the_run() {
            return wrong("end_factor", "train.schedule = \"linear\" or \"cosine\" beside it", &self.end_factor);
        }
        match (self.schedule, self.decay_steps) {
            (Schedule::Step, 0) => {
                wrong("decay_steps", "with train.schedule = \"step\" a whole number of at least 1", &0)
            }
            (Schedule::Step, _) => Ok(()),
            (_, 1..) => wrong("decay_steps", "train.schedule = \"step\" beside it", &self.decay_steps),
            _ if self.decay_factor != default.decay_factor => {
                wrong("decay_factor", "train.schedule = \"step\" beside it", &self.decay_factor)
            }
            _ => Ok(()),
        }
    }
}
