//! A model's predictions for encoded rows, those of scenarios that it was not trained on included.

use crate::data::{Encoder, Rows};
use crate::plan::{Executor, RowSource};
use crate::train::Error;
use crate::train::evaluation::metrics::{Scored, Towers};
use crate::train::model::{BuiltModel, source};

/// The name under which metrics have the rows of scenarios that the train split does not have.
const NEW_SCENARIOS: &str = "(new scenarios)";

/// What a model says of n rows, as logits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Of the label, `[n]`.
    pub logits: Vec<f32>,
    /// Of each of the model's [`heads`](crate::graph::Graph::heads), `[n]`.
    pub heads: Vec<Vec<f32>>,
}

impl Predictions {
    /// From `all`, the logits of each row side by side, `each` of a row.
    fn of(all: Vec<f32>, each: usize) -> Self {
        if each == 1 {
            return Self { logits: all, heads: Vec::new() };
        }
        let column = |number: usize| all.iter().skip(number).step_by(each).copied().collect();
        Self { logits: column(0), heads: (1..each).map(column).collect() }
    }

    fn columns(&self) -> impl Iterator<Item = &Vec<f32>> {
        std::iter::once(&self.logits).chain(&self.heads)
    }

    fn columns_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        std::iter::once(&mut self.logits).chain(&mut self.heads)
    }
}

/// What a model says of rows, in order.
///
/// A row of a scenario that the model was not trained on ([`Encoder::new_scenario`]) is predicted as a row of each trained
/// scenario in turn; its probability is the mean of these, and the logit is that probability's. A model without parts for
/// each scenario needs one prediction only.
///
/// # Errors
/// When the device fails.
pub fn predict(
    executor: &mut dyn Executor,
    model: &BuiltModel,
    rows: &Rows,
    encoder: &Encoder,
) -> Result<Predictions, Error> {
    let all = source(rows, encoder);
    let has_parts = model.prediction.scenarios > 0;
    let each = model.prediction.predicted();
    let mut predict = |source: &RowSource<'_>| executor.predict(source).map(|all| Predictions::of(all, each));
    let new: Vec<usize> = (0..rows.len()).filter(|row| rows.scenarios()[*row] == encoder.new_scenario()).collect();
    if !has_parts || new.is_empty() {
        return Ok(predict(&all)?);
    }
    let scenarios: Vec<u32> =
        rows.scenarios().iter().map(|number| if *number == encoder.new_scenario() { 0 } else { *number }).collect();
    let mut predictions = predict(&RowSource { scenarios: &scenarios, ..all })?;
    let chosen = rows.select(&new)?;
    let means_of = |column: &Vec<f32>| new.iter().map(|row| MeanProbability::of(column[*row])).collect();
    let mut means: Vec<Vec<MeanProbability>> = predictions.columns().map(means_of).collect();
    for scenario in 1..encoder.new_scenario() {
        let scenarios = vec![scenario; new.len()];
        let found = predict(&RowSource { scenarios: &scenarios, ..source(&chosen, encoder) })?;
        for (means, column) in means.iter_mut().zip(found.columns()) {
            means.iter_mut().zip(column).for_each(|(mean, logit)| mean.add(*logit));
        }
    }
    for (column, means) in predictions.columns_mut().zip(&means) {
        new.iter().zip(means).for_each(|(row, mean)| column[*row] = mean.logit());
    }
    Ok(predictions)
}

/// The mean of probabilities that are given as logits.
struct MeanProbability {
    yes: f64,
    no: f64,
}

impl MeanProbability {
    fn of(logit: f32) -> Self {
        let mut mean = Self { yes: 0.0, no: 0.0 };
        mean.add(logit);
        mean
    }

    fn add(&mut self, logit: f32) {
        // Beyond this a probability is 0 or 1 in double precision too.
        let logit = f64::from(logit).clamp(-700.0, 700.0);
        self.yes += (1.0 + (-logit).exp()).recip();
        self.no += (1.0 + logit.exp()).recip();
    }

    fn logit(&self) -> f32 {
        (self.yes.ln() - self.no.ln()) as f32
    }
}

/// Rows with what a model says of them, ready to be scored.
pub fn scored<'a>(rows: &'a Rows, predictions: &'a Predictions) -> Scored<'a> {
    let towers = match (&predictions.heads[..], rows.clicks()) {
        ([ctr, cvr], Some(clicks)) => Some(Towers { clicks, ctr, cvr }),
        _ => None,
    };
    Scored { towers, ..with_logits(rows, &predictions.logits) }
}

/// Rows with logits of their labels.
pub fn with_logits<'a>(rows: &'a Rows, logits: &'a [f32]) -> Scored<'a> {
    Scored {
        logits,
        labels: rows.labels(),
        scenarios: rows.scenarios(),
        users: rows.users(),
        weights: rows.weights(),
        towers: None,
    }
}

/// The scenarios by which metrics of these rows are told apart: the trained ones, and all others together where the rows
/// have some; none where the data has no scenarios.
pub fn scenario_names(encoder: &Encoder, scenarios: &[u32]) -> Vec<String> {
    if encoder.schema().scenario.is_none() {
        return Vec::new();
    }
    let new = scenarios.contains(&encoder.new_scenario()).then(|| NEW_SCENARIOS.to_owned());
    encoder.scenarios().iter().cloned().chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_probabilities_keeps_its_digits_at_both_ends() {
        let mean = |logits: &[f32]| {
            let mut mean = MeanProbability { yes: 0.0, no: 0.0 };
            logits.iter().for_each(|logit| mean.add(*logit));
            mean.logit()
        };
        assert!((mean(&[0.3]) - 0.3).abs() < 1e-6);
        assert!((mean(&[20.0, 20.0]) - 20.0).abs() < 1e-4 && (mean(&[-20.0, -20.0]) + 20.0).abs() < 1e-4);
        // (σ(0) + σ(ln 3)) / 2 = (0.5 + 0.75) / 2 = 0.625.
        assert!((mean(&[0.0, 3.0_f32.ln()]) - (0.625_f32 / 0.375).ln()).abs() < 1e-6);
        assert!(mean(&[f32::MAX, f32::MIN]).abs() < 1e-6 && mean(&[f32::NAN]).is_nan());
    }
}
