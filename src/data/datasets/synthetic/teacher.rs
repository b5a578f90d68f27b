//! The planted truth: the probability that a row converts.
//!
//! With u, v the hidden vectors (rank 4) of the user's and of the item's side, and w the weights of the row's
//! scenario-aware fields,
//!
//! ```text
//! signal = Σ_fields effect(field, id) + κ Σ_k w_k (u_k v_k + q_k u_k + p_k v_k)
//! w_k    = 2 σ(a (0.9 g_scenario,k + 0.25 (g_channel,k + g_age,k + g_daypart,k)))   in (0, 2)
//! P(y=1) = σ(intercept_scenario + scale_scenario · signal)
//! ```
//!
//! The offsets p and q give the weighted part main effects: a model gains from the scenarios' weights before it has
//! found the products. With four scenarios and 160,000 rows to learn from, test AUC is about 0.74 for a logistic
//! regression, 0.75 for a factorisation machine, 0.755 with a weight per scenario on its components, and 0.80 for the
//! truth; from 800,000 rows the two machines reach 0.765 and 0.773.
//!
//! Where rows are impressions, of which some are clicked, P(y=1) above is the probability of a conversion after a click, and
//!
//! ```text
//! P(click) = σ(0.2 + 0.8 (intercept_scenario + scale_scenario · signal) + Σ_fields effect'(field, id))
//! ```
//!
//! so that clicked rows are those that convert more often anyway, and rare where conversions are. A row's label is then 1 where
//! it was clicked and converted.
//!
//! Intercept and scale of a scenario are solved, on a sample, for the conversion rate and the best reachable AUC that
//! it was given.

use rayon::prelude::*;

use crate::data::datasets::synthetic::SyntheticOptions;
use crate::data::datasets::synthetic::fields::Field;
use crate::data::datasets::synthetic::population::{Features, Population, Purpose, hash, unit};

/// Components of a hidden vector.
const RANK: usize = 4;
// `hidden` takes each component from 16 bits of one hash.
const _: () = assert!(RANK * 16 <= 64);
type Hidden = [f32; RANK];

/// Range of the scenarios' best reachable AUCs; over all scenarios it comes out a little above the middle.
const BEST_AUC: (f64, f64) = (0.76, 0.82);
/// Range of the scenarios' conversion rates.
const RATE: (f64, f64) = (0.05, 0.2);
/// κ: the weighted part has about seven times the variance of the plain effects.
const INTERACTION: f32 = 0.40;
/// a: how far apart the scenarios' weights are.
const CONTRAST: f32 = 2.5;

/// The user's side: how much of u each field makes up; the squares add up to about 1. What many users share weighs most,
/// for it can be learned from few rows.
const USER_SIDE: [(Field, f32); 5] = [
    (Field::UserId, 0.20),
    (Field::Interest, 0.75),
    (Field::Occupation, 0.45),
    (Field::AgeGroup, 0.35),
    (Field::City, 0.22),
];
/// The item's side, in the order of [`Population::describe_item`] after the item itself.
const ITEM_SIDE: [(Field, f32); 5] = [
    (Field::ItemId, 0.30),
    (Field::Category, 0.75),
    (Field::Brand, 0.35),
    (Field::Shop, 0.20),
    (Field::PriceBucket, 0.43),
];
/// How much of u the history makes up, where there is one.
const HISTORY: f32 = 0.6;
/// Plain effects: the standard deviation of each.
const EFFECTS: [(Field, f32); 11] = [
    (Field::UserId, 0.10),
    (Field::City, 0.10),
    (Field::Interest, 0.20),
    (Field::ItemId, 0.20),
    (Field::Category, 0.30),
    (Field::Brand, 0.15),
    (Field::Shop, 0.10),
    (Field::PriceBucket, 0.15),
    (Field::Device, 0.15),
    (Field::Position, 0.40),
    (Field::Weekday, 0.10),
];

/// Effects on clicks alone: the standard deviation of each.
const CLICK_EFFECTS: [(Field, f32); 3] = [(Field::Position, 0.6), (Field::Device, 0.3), (Field::Category, 0.3)];
/// Intercept of the clicks' logit, and how much of the conversion's it has.
const CLICK: (f64, f64) = (0.2, 0.8);

/// How far vectors and effects turn towards others each day, in radians: after a week half of them is what it was.
const DRIFT: f32 = 0.15;

/// One row with its truth and its label.
pub(crate) struct Row {
    pub(crate) features: Features,
    /// An item's price, which is not used by the truth beyond its bucket.
    pub(crate) price: f32,
    /// The probability of the label.
    pub(crate) probability: f32,
    pub(crate) label: bool,
    /// Where rows are impressions.
    pub(crate) click: Option<Click>,
}

/// What comes before a conversion.
pub(crate) struct Click {
    pub(crate) clicked: bool,
    /// The probability of a conversion, once clicked.
    pub(crate) conversion: f32,
}

impl Row {
    pub(crate) fn scenario(&self) -> u32 {
        self.features.of(Field::Scenario) as u32
    }
}

/// Knows the truth.
pub(crate) struct Teacher {
    seed: u64,
    clicks: bool,
    /// Cosine and sine of how far the truth has turned since day 0.
    turned: [f32; 2],
    user_offset: Hidden,
    item_offset: Hidden,
    rates: Vec<f64>,
    scales: Vec<f64>,
    intercepts: Vec<f64>,
}

impl Teacher {
    /// Makes a truth and fits its scale and intercepts on a sample of the population.
    pub(crate) fn new(population: &Population, options: &SyntheticOptions) -> Teacher {
        let seed = options.seed;
        let mut teacher = Teacher {
            seed,
            clicks: options.clicks,
            turned: [(DRIFT * options.day as f32).cos(), (DRIFT * options.day as f32).sin()],
            user_offset: offset(seed, 0),
            item_offset: offset(seed, 1),
            rates: spread(RATE, options, Purpose::Rate),
            scales: Vec::new(),
            intercepts: Vec::new(),
        };
        // Enough rows for a rate to a fraction of a percent, and not too many for thousands of scenarios.
        let sample = ((1u64 << 18) / u64::from(options.scenarios)).clamp(512, 8192);
        let aucs = spread(BEST_AUC, options, Purpose::BestAuc);
        (teacher.scales, teacher.intercepts) = (0..options.scenarios)
            .into_par_iter()
            .map(|scenario| {
                let signal = |row| f64::from(teacher.signal(population, &population.pilot(scenario, row)));
                fit((0..sample).map(signal).collect(), teacher.rate(scenario), aucs[scenario as usize])
            })
            .unzip();
        teacher
    }

    /// The conversion rate a scenario was given.
    pub(crate) fn rate(&self, scenario: u32) -> f64 {
        self.rates[scenario as usize]
    }

    /// Decides whether a row converts.
    pub(crate) fn label(&self, population: &Population, features: Features) -> Row {
        let signal = f64::from(self.signal(population, &features));
        let scenario = features.of(Field::Scenario) as usize;
        let logit = self.intercepts[scenario] + self.scales[scenario] * signal;
        let conversion = sigmoid(logit) as f32;
        let converts = features.chance < f64::from(conversion);
        let price = population.price(features.of(Field::ItemId));
        if !self.clicks {
            return Row { price, label: converts, features, probability: conversion, click: None };
        }
        let click_probability = sigmoid(CLICK.0 + CLICK.1 * logit + f64::from(self.click_effects(&features)));
        let clicked = features.click_chance < click_probability;
        Row {
            price,
            label: clicked && converts,
            features,
            probability: (click_probability * f64::from(conversion)) as f32,
            click: Some(Click { clicked, conversion }),
        }
    }

    fn click_effects(&self, features: &Features) -> f32 {
        let effect =
            |field, id| (unit(hash(self.seed, Purpose::Click, [field as u64, id])) as f32 - 0.5) * UNIT_VARIANCE;
        CLICK_EFFECTS.iter().map(|&(field, size)| size * effect(field, features.of(field))).sum()
    }

    fn signal(&self, population: &Population, features: &Features) -> f32 {
        let effects: f32 = EFFECTS.iter().map(|&(field, size)| size * self.effect(field, features.of(field))).sum();
        let (mut user, item) = (self.side(&USER_SIDE, features), self.side(&ITEM_SIDE, features));
        if !features.history.is_empty() {
            let seen = self.seen(population, &features.history);
            let kept = (1.0 - HISTORY * HISTORY).sqrt();
            user = std::array::from_fn(|k| kept * user[k] + HISTORY * seen[k]);
        }
        let weights = self.weights(features);
        let (p, q) = (&self.user_offset, &self.item_offset);
        let weighted: f32 = (0..RANK).map(|k| weights[k] * (user[k] * item[k] + q[k] * user[k] + p[k] * item[k])).sum();
        effects + INTERACTION * weighted
    }

    /// The weights of the rank components in the scenario and its circumstances, each in (0, 2).
    pub(crate) fn weights(&self, features: &Features) -> Hidden {
        const AWARE: [(Field, f32); 4] =
            [(Field::Scenario, 0.9), (Field::Channel, 0.25), (Field::AgeGroup, 0.25), (Field::Daypart, 0.25)];
        // The vectors of age groups are also part of u: this is another purpose, hence other numbers.
        let mut sum = Hidden::default();
        for (field, part) in AWARE {
            add(&mut sum, part, &hidden(self.seed, Purpose::Weight, [field as u64, features.of(field)]));
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
            for ((field, part), id) in ITEM_SIDE.into_iter().zip([item, category, brand, shop, price]) {
                add(&mut sum, part, &self.vector(field, id));
            }
        }
        let size = (history.len() as f32).sqrt();
        sum.map(|x| x / size)
    }

    fn vector(&self, field: Field, id: u64) -> Hidden {
        let first = hidden(self.seed, Purpose::Hidden, [field as u64, id]);
        let other = hidden(self.seed, Purpose::Drift, [field as u64, id]);
        let [cos, sin] = self.turned;
        std::array::from_fn(|k| cos * first[k] + sin * other[k])
    }

    fn effect(&self, field: Field, id: u64) -> f32 {
        let [cos, sin] = self.turned;
        let effect = |purpose| unit(hash(self.seed, purpose, [field as u64, id])) as f32 - 0.5;
        (cos * effect(Purpose::Effect) + sin * effect(Purpose::Drift)) * UNIT_VARIANCE
    }
}

/// A uniform number of width 1, times this, has variance 1.
const UNIT_VARIANCE: f32 = 3.464_101_6;

/// A vector whose components are uniform with mean 0 and variance 1: the four 16-bit parts of one hash.
fn hidden(seed: u64, purpose: Purpose, of: [u64; 2]) -> Hidden {
    let bits = hash(seed, purpose, of);
    std::array::from_fn(|k| {
        let part = (bits >> (16 * k)) as u16;
        (f32::from(part) / 65535.0 - 0.5) * UNIT_VARIANCE
    })
}

/// p or q: ±1.1 in each component.
fn offset(seed: u64, side: u64) -> Hidden {
    let bits = hash(seed, Purpose::Offset, [side]);
    std::array::from_fn(|k| if bits >> k & 1 == 1 { 1.1 } else { -1.1 })
}

fn add(sum: &mut Hidden, part: f32, vector: &Hidden) {
    for (sum, x) in sum.iter_mut().zip(vector) {
        *sum += part * x;
    }
}

/// A number for each scenario, spread evenly over a range in random order.
fn spread((low, high): (f64, f64), options: &SyntheticOptions, purpose: Purpose) -> Vec<f64> {
    let draw = |scenario: u64, which| hash(options.seed, purpose, [which, scenario]);
    let mut order: Vec<u64> = (0..options.scenarios.into()).collect();
    order.sort_by_key(|&scenario| draw(scenario, 0));
    let mut numbers = vec![0.0; order.len()];
    for (place, &scenario) in order.iter().enumerate() {
        let within = (place as f64 + unit(draw(scenario, 1))) / order.len() as f64;
        numbers[scenario as usize] = low + (high - low) * within;
    }
    numbers
}

/// Scale and intercept at which a sample of signals has this conversion rate and this best reachable AUC: the mean
/// probability grows with the intercept, and the AUC with the scale.
fn fit(mut signals: Vec<f64>, rate: f64, auc: f64) -> (f64, f64) {
    signals.sort_by(f64::total_cmp);
    let count = signals.len() as f64;
    let mean = signals.iter().sum::<f64>() / count;
    let deviation = (signals.iter().map(|signal| (signal - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-6);
    let probability = |scale: f64, intercept: f64| move |&signal: &f64| sigmoid(intercept + scale * (signal - mean));
    let intercept = |scale| {
        let rate_at = |intercept| signals.iter().map(probability(scale, intercept)).sum::<f64>() / count;
        bisect(-40.0, 40.0, 24, |intercept| rate_at(intercept) < rate)
    };
    let auc_at = |scale| expected_auc(signals.iter().map(probability(scale, intercept(scale))));
    let scale = bisect(0.0, 8.0 / deviation, 12, |scale| auc_at(scale) < auc);
    (scale, intercept(scale) - scale * mean)
}

/// The AUC to expect of rows with these true probabilities, ascending: each row is positive with its own.
fn expected_auc(ascending: impl Iterator<Item = f64>) -> f64 {
    let (mut positives, mut negatives, mut won) = (0.0, 0.0, 0.0);
    for p in ascending {
        won += p * negatives;
        positives += p;
        negatives += 1.0 - p;
    }
    won / (positives * negatives)
}

/// The place between `low` and `high` up to which `below` holds, after so many halvings.
fn bisect(mut low: f64, mut high: f64, halvings: u32, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..halvings {
        let middle = (low + high) / 2.0;
        match below(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    (low + high) / 2.0
}

fn sigmoid(z: f64) -> f64 {
    let t = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + t) } else { t / (1.0 + t) }
}
