//! The space of a search: for each of its axes the values that may be drawn, as intervals of the real line.

use serde::Deserialize;
use toml::{Table, Value};

use crate::config::{ConfigError, describe, parse_table};
use crate::train::comparison::sections::{dotted, other, repeated, short_keys};
use crate::train::comparison::sweep::{Axis as Points, listed, together};

/// What is searched.
#[derive(Clone, Debug)]
pub(in crate::train::comparison) struct Space {
    pub(super) axes: Vec<Axis>,
    /// The keys in order, each with its name in tables.
    pub(super) keys: Vec<(String, String)>,
}

/// One direction of a space. A coordinate on it is a number from [`Axis::bounds`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Axis {
    /// Some points, with one value of each key at each; the coordinate of point i is in [i, i + 1).
    Choice(Vec<Vec<(String, Value)>>),
    /// Values of a key between two ends.
    Range { key: String, range: Range },
}

/// Numbers from `min` to `max`, both included.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    min: f64,
    max: f64,
    /// Whether values are whole numbers.
    whole: bool,
    scale: Scale,
}

#[derive(Clone, Debug, PartialEq)]
enum Scale {
    /// The coordinate is the value.
    Linear,
    /// It is the value's logarithm.
    Log,
    /// It is the number of steps from `min`.
    Steps { step: f64, count: usize },
}

/// A range as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeTable {
    min: Value,
    max: Value,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    step: Option<Value>,
}

const WANTED: &str =
    "a list of different values, such as [16, 32], or a range, such as { min = 1e-4, max = 1e-2, log = true }";

impl Space {
    /// Reads `[sweep.space]` and `[[sweep.together]]`.
    pub(in crate::train::comparison) fn read(
        space: &Table,
        moving_together: &[Table],
        file: &str,
    ) -> Result<Self, ConfigError> {
        let mut axes = Vec::new();
        for (key, value) in dotted(space, "sweep.space", file)? {
            let place = format!("sweep.space.{key}");
            axes.push(match value {
                Value::Array(_) => {
                    let values = listed(&value, &place, file)?;
                    Axis::Choice(values.into_iter().map(|value| vec![(key.clone(), value)]).collect())
                }
                Value::Table(table) => Axis::Range { range: Range::read(&table, &place, file)?, key },
                other => return Err(ConfigError::value(file, &place, WANTED, &describe(&other))),
            });
        }
        for (number, table) in moving_together.iter().enumerate() {
            let Points { points } = together(table, &format!("sweep.together[{number}]"), file)?;
            axes.push(Axis::Choice(points));
        }
        if axes.is_empty() {
            return Err(ConfigError::missing(file, "sweep", "space"));
        }
        let keys: Vec<&str> = axes.iter().flat_map(Axis::keys).collect();
        if let Some(key) = repeated(&keys) {
            return Err(other(file, "sweep", format!("`{key}` is in the space more than once")));
        }
        let keys = short_keys(&keys);
        Ok(Self { axes, keys })
    }

    /// How many points there are; `None` where a key may have any number of a range.
    pub(in crate::train::comparison) fn count(&self) -> Option<u64> {
        self.axes.iter().try_fold(1_u64, |count, axis| Some(count.saturating_mul(axis.count()?)))
    }

    /// The keys that are searched.
    pub(in crate::train::comparison) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(key, _)| key.as_str())
    }

    /// All values of a key that has a list of them.
    pub(in crate::train::comparison) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Value> {
        let points = self.axes.iter().filter_map(|axis| match axis {
            Axis::Choice(points) => Some(points),
            Axis::Range { .. } => None,
        });
        points.flatten().flatten().filter(move |(own, _)| own == key).map(|(_, value)| value)
    }

    /// The settings at a point.
    pub(super) fn settings(&self, point: &[f64]) -> Vec<(String, Value)> {
        self.axes.iter().zip(point).flat_map(|(axis, &coordinate)| axis.settings(coordinate)).collect()
    }

    /// The point of settings, if it is one of the space's.
    pub(super) fn point(&self, settings: &[(String, Value)]) -> Option<Vec<f64>> {
        let point: Vec<f64> = self.axes.iter().map(|axis| axis.coordinate(settings)).collect::<Option<_>>()?;
        (settings.len() == self.keys.len()).then_some(point)
    }

    /// `settings` with one axis at each of its ends or choices in turn.
    pub(super) fn edges(&self, settings: &[(String, Value)]) -> Vec<Vec<(String, Value)>> {
        let with = |own: Vec<(String, Value)>| -> Vec<(String, Value)> {
            let new = |key: &String| own.iter().find(|(changed, _)| changed == key).map(|(_, value)| value.clone());
            settings.iter().map(|(key, value)| (key.clone(), new(key).unwrap_or_else(|| value.clone()))).collect()
        };
        self.axes.iter().flat_map(Axis::edges).map(with).collect()
    }
}

impl Axis {
    fn keys(&self) -> Vec<&str> {
        match self {
            Axis::Choice(points) => points[0].iter().map(|(key, _)| key.as_str()).collect(),
            Axis::Range { key, .. } => vec![key],
        }
    }

    /// What it is called, for random numbers of its own.
    pub(super) fn name(&self) -> String {
        self.keys().join(" ")
    }

    fn count(&self) -> Option<u64> {
        match self {
            Axis::Choice(points) => Some(points.len() as u64),
            Axis::Range { range: Range { scale: Scale::Steps { count, .. }, .. }, .. } => Some(*count as u64),
            Axis::Range { range: Range { whole: true, min, max, .. }, .. } => Some((max - min) as u64 + 1),
            Axis::Range { .. } => None,
        }
    }

    /// The least coordinate, and what all are below.
    pub(super) fn bounds(&self) -> (f64, f64) {
        match self {
            Axis::Choice(points) => (0.0, points.len() as f64),
            Axis::Range { range: Range { min, max, whole, scale }, .. } => match (scale, whole) {
                (Scale::Linear, _) => (*min, max.next_up()),
                // A whole number has what is nearer to it than to others.
                (Scale::Log, true) => ((min - 0.5).ln(), (max + 0.5).ln()),
                (Scale::Log, false) => (min.ln(), max.ln().next_up()),
                (Scale::Steps { count, .. }, _) => (-0.5, *count as f64 - 0.5),
            },
        }
    }

    fn settings(&self, coordinate: f64) -> Vec<(String, Value)> {
        match self {
            Axis::Choice(points) => points[(coordinate as usize).min(points.len() - 1)].clone(),
            Axis::Range { key, range } => vec![(key.clone(), range.value(coordinate))],
        }
    }

    fn coordinate(&self, settings: &[(String, Value)]) -> Option<f64> {
        match self {
            Axis::Choice(points) => {
                let at = points.iter().position(|point| point.iter().all(|own| settings.contains(own)));
                at.map(|at| at as f64)
            }
            Axis::Range { key, range } => {
                let (_, value) = settings.iter().find(|(own, _)| own == key)?;
                range.coordinate(value).filter(|at| (self.bounds().0..self.bounds().1).contains(at))
            }
        }
    }

    fn edges(&self) -> Vec<Vec<(String, Value)>> {
        match self {
            Axis::Choice(points) => points.clone(),
            Axis::Range { key, range } => {
                [range.min, range.max].map(|end| vec![(key.clone(), range.written(end))]).to_vec()
            }
        }
    }
}

impl Range {
    fn read(table: &Table, place: &str, file: &str) -> Result<Self, ConfigError> {
        let RangeTable { min, max, log, step } = parse_table(table, place, file)?;
        let number = |value: &Value, key: &str| {
            let number = value.as_integer().map(|whole| whole as f64).or(value.as_float());
            let fault = || ConfigError::value(file, &format!("{place}.{key}"), "a number", &describe(value));
            number.filter(|number| number.is_finite()).ok_or_else(fault)
        };
        let (low, high) = (number(&min, "min")?, number(&max, "max")?);
        if low >= high {
            let expected = format!("a number above min, which is {min}");
            return Err(ConfigError::value(file, &format!("{place}.max"), &expected, &max.to_string()));
        }
        let whole = [Some(&min), Some(&max), step.as_ref()].into_iter().flatten().all(Value::is_integer);
        if log && step.is_some() {
            let message = "has no effect with log = true; leave one of them out, or give a list of values";
            return Err(other(file, &format!("{place}.step"), message.to_owned()));
        }
        if log && low <= 0.0 {
            let expected = "a number above 0, as log = true";
            return Err(ConfigError::value(file, &format!("{place}.min"), expected, &min.to_string()));
        }
        let scale = match &step {
            _ if log => Scale::Log,
            None if whole => Scale::Steps { step: 1.0, count: (high - low) as usize + 1 },
            None => Scale::Linear,
            Some(step) => {
                let size = number(step, "step")?;
                if size <= 0.0 {
                    let expected = "a number above 0";
                    return Err(ConfigError::value(file, &format!("{place}.step"), expected, &step.to_string()));
                }
                let steps = ((high - low) / size).round();
                if (low + steps * size - high).abs() > 1e-9 * (high - low) {
                    let below = low + ((high - low) / size).floor() * size;
                    let near = format!("min and a whole number of steps of {step}, such as {}", digits(below, 12));
                    return Err(ConfigError::value(file, &format!("{place}.max"), &near, &max.to_string()));
                }
                Scale::Steps { step: size, count: steps as usize + 1 }
            }
        };
        Ok(Self { min: low, max: high, whole, scale })
    }

    /// The value at a coordinate. What may be any number has no more digits than a table can show, so that a value
    /// that is copied is the value that was trained.
    fn value(&self, coordinate: f64) -> Value {
        let value = match self.scale {
            Scale::Linear => {
                let grain = 10_f64.powf((self.max - self.min).log10().floor() - 4.0);
                digits((coordinate / grain).round() * grain, 12)
            }
            Scale::Log if self.whole => coordinate.exp().round(),
            // Ends that are near each other need all digits.
            Scale::Log if self.max / self.min < 1.1 => coordinate.exp(),
            Scale::Log => digits(coordinate.exp(), 5),
            Scale::Steps { step, .. } => digits(self.min + coordinate.round() * step, 12),
        };
        self.written(value.clamp(self.min, self.max))
    }

    fn written(&self, value: f64) -> Value {
        if self.whole { Value::Integer(value as i64) } else { Value::Float(value) }
    }

    fn coordinate(&self, value: &Value) -> Option<f64> {
        let value = match (self.whole, value) {
            (true, Value::Integer(value)) => *value as f64,
            (false, Value::Float(value)) => *value,
            _ => return None,
        };
        Some(match self.scale {
            Scale::Linear => value,
            Scale::Log => value.ln(),
            Scale::Steps { step, .. } => {
                let steps = ((value - self.min) / step).round();
                (digits(self.min + steps * step, 12) == digits(value, 12)).then_some(steps)?
            }
        })
    }
}

/// A number with so many significant digits.
fn digits(number: f64, count: usize) -> f64 {
    format!("{number:.*e}", count - 1).parse().unwrap_or(number)
}

#[cfg(test)]
mod tests;
