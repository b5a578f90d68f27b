//! The planted truth: the probability that a row converts.
//!
//! With u, v the hidden vectors (rank 8) of the user's and of the item's side, and w the weights of the row's
//! scenario-aware fields,
//!
//! ```text
//! signal = Σ_fields effect(field, id) + κ Σ_k w_k (u_k + p_k) (v_k + q_k)
//! w_k    = 2 σ(a (0.9 g_scenario,k + 0.25 (g_channel,k + g_age,k + g_daypart,k)))   in (0, 2)
//! P(y=1) = σ(intercept_scenario + scale · signal)
//! ```
//!
//! The offsets p and q give the weighted part main effects, so a model gains from the scenarios' weights before it has
//! found the interaction. The intercepts are solved for the scenarios' conversion rates on a sample, the scale for
//! the spread of the logits, and with it the best reachable AUC.

use rayon::prelude::*;

use super::SyntheticOptions;
use super::fields::Field;
use super::population::{Features, Population, Purpose, hash, unit};

/// Components of a hidden vector.
const RANK: usize = 8;
type Hidden = [f32; RANK];

/// Standard deviation of the logits within a scenario, on average.
const LOGIT_SPREAD: f64 = 1.4;
/// κ: the weighted part has about twice the variance of the plain effects.
const INTERACTION: f32 = 0.36;
/// a: how far apart the scenarios' weights are.
const CONTRAST: f32 = 2.5;

/// The user's side: how much of u each field makes up; the squares add up to 1. What many users share weighs most,
/// for it can be learned from few rows.
const USER_SIDE: [(Field, f32); 5] = [
    (Field::UserId, 0.35),
    (Field::Interest, 0.70),
    (Field::Occupation, 0.45),
    (Field::AgeGroup, 0.35),
    (Field::City, 0.25),
];
/// The item's side, in the order of [`Population::describe_item`] after the item itself.
const ITEM_SIDE: [(Field, f32); 5] = [
    (Field::ItemId, 0.40),
    (Field::Category, 0.70),
    (Field::Brand, 0.35),
    (Field::Shop, 0.20),
    (Field::PriceBucket, 0.43),
];
/// How much of u the history makes up, where there is one.
const HISTORY: f32 = 0.6;
/// Plain effects: the standard deviation of each.
const EFFECTS: [(Field, f32); 11] = [
    (Field::UserId, 0.15),
    (Field::City, 0.10),
    (Field::Interest, 0.20),
    (Field::ItemId, 0.25),
    (Field::Category, 0.30),
    (Field::Brand, 0.15),
    (Field::Shop, 0.10),
    (Field::PriceBucket, 0.15),
    (Field::Device, 0.15),
    (Field::Position, 0.40),
    (Field::Weekday, 0.10),
];

/// One row with its truth and its label.
pub(super) struct Row {
    pub(super) features: Features,
    /// An item's price, which is not used by the truth beyond its bucket.
    pub(super) price: f32,
    pub(super) probability: f32,
    pub(super) label: bool,
}

impl Row {
    pub(super) fn scenario(&self) -> u32 {
        self.features.of(Field::Scenario) as u32
    }
}

/// Knows the truth.
pub(super) struct Teacher {
    seed: u64,
    user_offset: Hidden,
    item_offset: Hidden,
    scale: f64,
    rates: Vec<f64>,
    intercepts: Vec<f64>,
}

impl Teacher {
    /// Makes a truth and fits its scale and intercepts on a sample of the population.
    pub(super) fn new(population: &Population, options: &SyntheticOptions) -> Teacher {
        let seed = options.seed;
        let mut teacher = Teacher {
            seed,
            user_offset: offset(seed, 0),
            item_offset: offset(seed, 1),
            scale: 1.0,
            rates: rates(options),
            intercepts: Vec::new(),
        };
        // Enough rows for a rate to a fraction of a percent, and not too many for thousands of scenarios.
        let sample = ((1u64 << 18) / u64::from(options.scenarios)).clamp(512, 8192);
        let signals: Vec<Vec<f64>> = (0..options.scenarios)
            .into_par_iter()
            .map(|scenario| {
                let signal =
                    |row| f64::from(teacher.signal(population, &population.pilot(scenario, row)));
                (0..sample).map(signal).collect()
            })
            .collect();
        let variance: f64 = signals
            .iter()
            .zip(0..)
            .map(|(signals, scenario)| population.share(scenario) * variance(signals))
            .sum();
        teacher.scale = LOGIT_SPREAD / variance.sqrt().max(1e-6);
        let scale = teacher.scale;
        teacher.intercepts = signals
            .par_iter()
            .zip(&teacher.rates)
            .map(|(signals, &rate)| intercept(signals, scale, rate))
            .collect();
        teacher
    }

    /// The conversion rate a scenario was given.
    pub(super) fn rate(&self, scenario: u32) -> f64 {
        self.rates[scenario as usize]
    }

    /// Decides whether a row converts.
    pub(super) fn label(&self, population: &Population, features: Features) -> Row {
        let signal = f64::from(self.signal(population, &features));
        let intercept = self.intercepts[features.of(Field::Scenario) as usize];
        let probability = sigmoid(intercept + self.scale * signal) as f32;
        Row {
            price: population.price(features.of(Field::ItemId)),
            label: features.chance < f64::from(probability),
            features,
            probability,
        }
    }

    fn signal(&self, population: &Population, features: &Features) -> f32 {
        let effects: f32 = EFFECTS
            .iter()
            .map(|&(field, size)| size * self.effect(field, features.of(field)))
            .sum();
        let (mut user, item) = (
            self.side(&USER_SIDE, features),
            self.side(&ITEM_SIDE, features),
        );
        if !features.history.is_empty() {
            let seen = self.seen(population, &features.history);
            let kept = (1.0 - HISTORY * HISTORY).sqrt();
            user = std::array::from_fn(|k| kept * user[k] + HISTORY * seen[k]);
        }
        let weights = self.weights(features);
        let weighted: f32 = (0..RANK)
            .map(|k| weights[k] * (user[k] + self.user_offset[k]) * (item[k] + self.item_offset[k]))
            .sum();
        effects + INTERACTION * weighted
    }

    /// The weights of the rank components in the scenario and its circumstances, each in (0, 2).
    pub(super) fn weights(&self, features: &Features) -> Hidden {
        const AWARE: [(Field, f32); 4] = [
            (Field::Scenario, 0.9),
            (Field::Channel, 0.25),
            (Field::AgeGroup, 0.25),
            (Field::Daypart, 0.25),
        ];
        // The vectors of age groups are also part of u: this is another purpose, hence other numbers.
        let mut sum = Hidden::default();
        for (field, part) in AWARE {
            add(
                &mut sum,
                part,
                &hidden(
                    self.seed,
                    Purpose::Weight,
                    [field as u64, features.of(field)],
                ),
            );
        }
        sum.map(|g| 2.0 / (1.0 + (-CONTRAST * g).exp()))
    }

    /// The hidden vector of one side of a row.
    fn side(&self, fields: &[(Field, f32)], features: &Features) -> Hidden {
        let mut sum = Hidden::default();
        for &(field, part) in fields {
            add(&mut sum, part, &self.vector(field, features.of(field)));
        }
        sum
    }

    /// What a history says: the sum of its items' vectors, scaled to the size of one.
    fn seen(&self, population: &Population, history: &[u64]) -> Hidden {
        let mut sum = Hidden::default();
        for &item in history {
            let [category, brand, shop, price] = population.describe_item(item);
            for ((field, part), id) in ITEM_SIDE
                .into_iter()
                .zip([item, category, brand, shop, price])
            {
                add(&mut sum, part, &self.vector(field, id));
            }
        }
        let size = (history.len() as f32).sqrt();
        sum.map(|x| x / size)
    }

    fn vector(&self, field: Field, id: u64) -> Hidden {
        hidden(self.seed, Purpose::Hidden, [field as u64, id])
    }

    fn effect(&self, field: Field, id: u64) -> f32 {
        let bits = hash(self.seed, Purpose::Effect, [field as u64, id]);
        (unit(bits) as f32 - 0.5) * UNIT_VARIANCE
    }
}

/// A uniform number of width 1, times this, has variance 1.
const UNIT_VARIANCE: f32 = 3.464_101_6;

/// A vector whose components are uniform with mean 0 and variance 1: four 16-bit numbers from each of two hashes.
fn hidden<const N: usize>(seed: u64, purpose: Purpose, of: [u64; N]) -> Hidden {
    let first = hash(seed, purpose, of);
    let second = hash(first, purpose, []);
    std::array::from_fn(|k| {
        let word = if k < 4 { first } else { second };
        let lane = (word >> (16 * (k % 4))) as u16;
        (f32::from(lane) / 65535.0 - 0.5) * UNIT_VARIANCE
    })
}

/// p or q: ±0.8 in each component.
fn offset(seed: u64, side: u64) -> Hidden {
    let bits = hash(seed, Purpose::Offset, [side]);
    std::array::from_fn(|k| if bits >> k & 1 == 1 { 0.8 } else { -0.8 })
}

fn add(sum: &mut Hidden, part: f32, vector: &Hidden) {
    for (sum, x) in sum.iter_mut().zip(vector) {
        *sum += part * x;
    }
}

/// A conversion rate for each scenario, spread evenly over 5–20 % in random order.
fn rates(options: &SyntheticOptions) -> Vec<f64> {
    let count = options.scenarios as usize;
    let draw = |scenario: u64, which| hash(options.seed, Purpose::Rate, [which, scenario]);
    let mut order: Vec<u64> = (0..options.scenarios.into()).collect();
    order.sort_by_key(|&scenario| draw(scenario, 0));
    let mut rates = vec![0.0; count];
    for (place, &scenario) in order.iter().enumerate() {
        let within = unit(draw(scenario, 1));
        rates[scenario as usize] = 0.05 + 0.15 * (place as f64 + within) / count as f64;
    }
    rates
}

/// The intercept at which the mean probability is `rate`, by bisection: the mean grows with the intercept.
fn intercept(signals: &[f64], scale: f64, rate: f64) -> f64 {
    let mean = |intercept: f64| {
        signals
            .iter()
            .map(|signal| sigmoid(intercept + scale * signal))
            .sum::<f64>()
            / signals.len() as f64
    };
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        match mean(middle) < rate {
            true => low = middle,
            false => high = middle,
        }
    }
    (low + high) / 2.0
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / values.len() as f64
}

fn sigmoid(z: f64) -> f64 {
    let t = (-z.abs()).exp();
    if z >= 0.0 {
        1.0 / (1.0 + t)
    } else {
        t / (1.0 + t)
    }
}
