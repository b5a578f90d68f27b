//! A run's numbers as an event file that TensorBoard reads.
//!
//! The file follows `metrics.jsonl`: one event per epoch, at the number of optimiser steps taken, and when the run is over
//! one with the outcome on the test rows, at the step of the best epoch. What a resumed run takes back there is taken
//! back here, so that a run has the same events however often it was stopped; only their wall times are their own.

mod event;
mod record;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use event::{Event, Summary, Value, What};
use prost::Message;

use crate::train::Error;
use crate::train::evaluation::metrics::Metrics;
use crate::train::run::epoch::EpochRecord;
use crate::train::run::folder::write_whole;

/// Makes the file hold the events of `records` and no others: nothing is written where it does already.
///
/// An epoch that the file knows keeps its wall time.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(path: &Path, records: &[EpochRecord]) -> Result<(), Error> {
    let before = fs::read(path).unwrap_or_default();
    let known: Vec<Event> = record::read(&before).filter_map(|content| Event::decode(content).ok()).collect();
    let wall_time = |step: i64, of_file: bool| {
        let is_version = |event: &Event| matches!(event.what, Some(What::FileVersion(_)));
        let found = known.iter().find(|event| event.step == step && is_version(event) == of_file);
        found.map_or_else(now, |event| event.wall_time)
    };
    let version = What::FileVersion("brain.Event:2".to_owned());
    let mut bytes = encoded(Event { wall_time: wall_time(0, true), step: 0, what: Some(version) });
    for (record, best) in records.iter().zip(best_epochs(records)) {
        bytes.extend(encoded(epoch_event(record, best, wall_time(record.steps as i64, false))));
    }
    if bytes == before { Ok(()) } else { write_whole(path, |file| file.write_all(&bytes)) }
}

/// Adds the event of an epoch; `best` is the best one so far, from 1.
///
/// # Errors
/// When the file cannot be written.
pub fn append_epoch(path: &Path, record: &EpochRecord, best: u32) -> Result<(), Error> {
    append(path, epoch_event(record, best, now()))
}

/// Adds the outcome of a run: metrics of its best weights, which were those after `steps` optimiser steps.
///
/// # Errors
/// When the file cannot be written.
pub fn append_outcome(path: &Path, steps: u64, test: &Metrics, rows_per_second: f64) -> Result<(), Error> {
    let mut values = metrics_values("test", test);
    values.extend(value("speed/test rows per second".to_owned(), Some(rows_per_second)));
    append(path, summary(now(), steps, values))
}

/// For each epoch the best one up to it.
fn best_epochs(records: &[EpochRecord]) -> impl Iterator<Item = u32> {
    records.iter().scan(0, |best, record| {
        if record.best {
            *best = record.epoch;
        }
        Some(*best)
    })
}

fn epoch_event(record: &EpochRecord, best: u32, wall_time: f64) -> Event {
    let mut values = Vec::new();
    for (term, number) in &record.train {
        values.extend(value(format!("train/{term}"), number.as_f64()));
    }
    values.extend(value("train/learning rate".to_owned(), Some(record.learning_rate)));
    if let Some(valid) = &record.valid {
        values.extend(metrics_values("valid", valid));
    }
    values.extend(value("epoch/number".to_owned(), Some(f64::from(record.epoch))));
    values.extend(value("epoch/best so far".to_owned(), Some(f64::from(best))));
    values.extend(value("speed/train seconds".to_owned(), Some(record.train_seconds)));
    values.extend(value("speed/train rows per second".to_owned(), Some(record.train_rows_per_second)));
    values.extend(value("speed/valid rows per second".to_owned(), record.valid_rows_per_second));
    summary(wall_time, record.steps, values)
}

/// `SPLIT/METRIC`, and the AUC of each scenario as `SPLIT AUC by scenario/NAME`; of entire-space models also those of
/// `SPLIT CTR` and `SPLIT CVR`.
fn metrics_values(split: &str, metrics: &Metrics) -> Vec<Value> {
    let numbers = [
        ("AUC", metrics.auc),
        ("LogLoss", metrics.logloss),
        ("PR-AUC", metrics.pr_auc),
        ("normalised entropy", metrics.normalized_entropy),
        ("GAUC", metrics.gauc),
        ("calibration", metrics.calibration),
    ];
    let overall = numbers.into_iter().filter_map(|(name, number)| value(format!("{split}/{name}"), number));
    let scenarios = metrics.scenarios.iter();
    let scenarios = scenarios.filter_map(|(name, own)| value(format!("{split} AUC by scenario/{name}"), own.auc));
    let towers = [("CTR", &metrics.ctr), ("CVR", &metrics.cvr)].into_iter();
    let towers = towers.filter_map(|(name, tower)| Some(metrics_values(&format!("{split} {name}"), tower.as_deref()?)));
    overall.chain(scenarios).chain(towers.flatten()).collect()
}

/// A number that there is.
fn value(tag: String, number: Option<f64>) -> Option<Value> {
    number.map(|number| Value { tag, simple_value: Some(number as f32) })
}

fn summary(wall_time: f64, steps: u64, value: Vec<Value>) -> Event {
    Event { wall_time, step: steps as i64, what: Some(What::Summary(Summary { value })) }
}

fn encoded(event: Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::write(&event.encode_to_vec(), &mut bytes);
    bytes
}

fn append(path: &Path, event: Event) -> Result<(), Error> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    // One write for a whole record: a reader does not see half of it.
    file.and_then(|mut file| file.write_all(&encoded(event))).map_err(Error::file(path, "writing"))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests;
