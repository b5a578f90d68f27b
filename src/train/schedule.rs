//! How the learning rate changes over a run's steps.

use crate::config::{Schedule, TrainOptions};
use crate::graph::Optimizer;

/// By what the learning rates are multiplied at a step, the first being 0, of a run that is to take `steps` of them.
///
/// The warm-up of W steps rises linearly: (step + 1) / W. After it, with p = (step - W) / (steps - W) and e the end factor:
/// linear 1 - (1 - e) p, cosine e + (1 - e) (1 + cos πp) / 2 (Loshchilov and Hutter, 2017, without restarts), step
/// decay_factor^⌊(step - W) / decay_steps⌋.
pub fn rate_factor(options: &TrainOptions, step: u64, steps: u64) -> f64 {
    let warmup = options.warmup_steps;
    if step < warmup {
        return (step + 1) as f64 / warmup as f64;
    }
    let (after, length) = (step - warmup, steps.saturating_sub(warmup).max(1));
    // A run that is resumed with fewer epochs than it has had steps.
    let part = (after as f64 / length as f64).min(1.0);
    let end = options.end_factor;
    match options.schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => 1.0 - (1.0 - end) * part,
        Schedule::Cosine => end + (1.0 - end) * (1.0 + (std::f64::consts::PI * part).cos()) / 2.0,
        Schedule::Step => {
            let decays = after.checked_div(options.decay_steps).unwrap_or(0);
            options.decay_factor.powi(i32::try_from(decays).unwrap_or(i32::MAX))
        }
    }
}

/// The learning rates of dense parameters and of embedding rows at a step, the first being 0, of all that the moments have
/// seen: times `factor`, and for Adam its bias correction, √(1 − β₂ᵗ) / (1 − β₁ᵗ).
pub fn step_rates(options: &TrainOptions, factor: f64, step: u64) -> [f64; 2] {
    // Beyond this many steps the bias corrections are 1 in any precision.
    let t = (step + 1).min(1 << 30) as i32;
    let bias = (1.0 - options.beta2.powi(t)).sqrt() / (1.0 - options.beta1.powi(t));
    let pairs = [(options.optimizer, options.learning_rate), (options.embedding_optimizer(), options.embedding_rate())];
    pairs.map(|(optimizer, rate)| match optimizer {
        Optimizer::Adam => rate * factor * bias,
        Optimizer::Adagrad | Optimizer::RowwiseAdagrad | Optimizer::Sgd => rate * factor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_adam_corrects_for_a_bias() {
        let options = TrainOptions {
            optimizer: Optimizer::Sgd,
            embedding_optimizer: Some(Optimizer::Adam),
            embedding_learning_rate: Some(0.01),
            ..TrainOptions::default()
        };
        let [dense, rows] = step_rates(&options, 0.5, 0);
        // √0.001 / 0.1.
        let bias = 0.316_227_766_016_837_94;
        assert!(dense == 0.5 * 1e-3 && (rows - 0.5 * 0.01 * bias).abs() < 1e-12, "{dense} {rows}");
        let swapped = TrainOptions {
            optimizer: Optimizer::Adam,
            embedding_optimizer: Some(Optimizer::RowwiseAdagrad),
            ..options
        };
        let [dense, rows] = step_rates(&swapped, 1.0, 0);
        assert!(rows == 0.01 && (dense - 1e-3 * bias).abs() < 1e-12, "{dense} {rows}");
        assert_eq!(step_rates(&swapped, 1.0, 1 << 40), [1e-3, 0.01]);
    }

    /// As PyTorch's LinearLR, CosineAnnealingLR and StepLR give them, by the closed forms in their documentation.
    #[test]
    fn factors_are_pytorchs() {
        let options = |schedule, warmup_steps| TrainOptions {
            schedule,
            warmup_steps,
            end_factor: 0.1,
            decay_steps: 3,
            decay_factor: 0.5,
            ..TrainOptions::default()
        };
        let cases = [
            (Schedule::Constant, 0, [1.0; 10]),
            (Schedule::Linear, 0, [1.0, 0.91, 0.82, 0.73, 0.64, 0.55, 0.46, 0.37, 0.28, 0.19]),
            (
                Schedule::Cosine,
                0,
                [
                    1.0,
                    0.977_975_432_332_819_1,
                    0.914_057_647_468_726_3,
                    0.814_503_363_531_612_9,
                    0.689_057_647_468_726_3,
                    0.55,
                    0.410_942_352_531_273_76,
                    0.285_496_636_468_387_2,
                    0.185_942_352_531_273_72,
                    0.122_024_567_667_180_92,
                ],
            ),
            (Schedule::Step, 0, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
            (Schedule::Linear, 4, [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.7, 0.55, 0.4, 0.25]),
            (
                Schedule::Cosine,
                4,
                [0.25, 0.5, 0.75, 1.0, 1.0, 0.939_711_431_702_997_4, 0.775, 0.55, 0.325, 0.160_288_568_297_002_58],
            ),
        ];
        for (schedule, warmup, expected) in cases {
            for (step, expected) in (0..).zip(expected) {
                let found = rate_factor(&options(schedule, warmup), step, 10);
                assert!((found - expected).abs() < 1e-12, "{schedule:?}, step {step}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn more_steps_than_were_planned_keep_the_end_factor() {
        let options = TrainOptions { schedule: Schedule::Linear, end_factor: 0.25, ..TrainOptions::default() };
        assert_eq!(rate_factor(&options, 15, 10), 0.25);
        assert_eq!(rate_factor(&TrainOptions { warmup_steps: 20, ..options }, 9, 10), 0.5);
    }
}
