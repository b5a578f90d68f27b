//! What the engine tells, passed on to Python; and Ctrl-C, passed on to the engine.

use std::any::Any;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use polyscene::Event;
use polyscene::data::Progress;
use polyscene::train::LoopEvent;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{errors, from_json, to_json};

/// How often Python is asked whether to stop, and told how far the work is.
const INTERVAL: Duration = Duration::from_millis(100);

/// Unwinds a call that is to end and has nothing to write down. Nobody but [`observe`] catches it.
struct Abandoned;

/// Passes events on.
pub(crate) struct Teller<'a> {
    /// Called with each event that is worth it.
    callback: Option<&'a Py<PyAny>>,
    /// Set to end training at its next step, with a checkpoint.
    stop: &'a AtomicBool,
    /// Whether training has begun, and so has something to write down.
    training: bool,
    last: Option<Instant>,
    /// Steps of the epoch, for progress.
    steps: u64,
    what: String,
    /// What Ctrl-C, another signal or the callback has raised.
    raised: Option<PyErr>,
    /// What is to be known although there is no callback.
    warnings: Vec<String>,
}

/// Calls `work` without the interpreter's lock, with somebody to tell events to. Errors of the engine become exceptions, and so does
/// a signal: while a model is trained once `work` has ended, at any other time at once.
pub(crate) fn observe<T: Send>(
    py: Python<'_>,
    callback: Option<&Py<PyAny>>,
    work: impl FnOnce(&mut Teller<'_>) -> Result<T, polyscene::Error> + Send,
) -> PyResult<(T, Option<PyErr>)> {
    let stop = AtomicBool::new(false);
    let (outcome, raised, warnings) = py.detach(|| {
        let mut teller = Teller {
            callback,
            stop: &stop,
            training: false,
            last: None,
            steps: 0,
            what: String::new(),
            raised: None,
            warnings: Vec::new(),
        };
        // Nothing that was unwound is used again: neither the teller, but for what it holds, nor what `work` had made.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut teller)));
        (outcome, teller.raised, teller.warnings)
    });
    let category = py.get_type::<PyUserWarning>();
    for warning in warnings {
        PyErr::warn(py, &category, &CString::new(warning.replace('\0', "?"))?, 2)?;
    }
    match (outcome, raised) {
        (Ok(Ok(value)), raised) => Ok((value, raised)),
        (Ok(Err(error)), None) => Err(errors::exception(py, error)),
        // Whoever wants to stop is not told of what went wrong because of that.
        (Ok(Err(_)), Some(raised)) => Err(raised),
        (Err(panic), raised) => Err(unwound(panic, raised)),
    }
}

/// The exception for which a call was abandoned; a panic of the engine's goes on.
fn unwound(panic: Box<dyn Any + Send>, raised: Option<PyErr>) -> PyErr {
    match (panic.downcast::<Abandoned>(), raised) {
        (Ok(_), Some(raised)) => raised,
        (Ok(panic), None) => resume_unwind(panic),
        (Err(panic), _) => resume_unwind(panic),
    }
}

impl<'a> Teller<'a> {
    /// What ends training when set.
    pub(crate) fn stop(&self) -> &'a AtomicBool {
        self.stop
    }

    /// Passes an event on.
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        match &event {
            Event::Starting { .. } => self.training = true,
            Event::Training(LoopEvent::EpochStart { epoch, epochs, steps, .. }) => {
                (self.steps, self.what) = (*steps, format!("epoch {epoch}/{epochs}"));
            }
            Event::Counting { what, .. } => self.what = (*what).to_owned(),
            Event::Warning(text) if self.callback.is_none() => self.warnings.push(text.clone()),
            Event::Skipped(_) | Event::SmallerBatches { .. } if self.callback.is_none() => {
                self.warnings.push(event.to_string());
            }
            _ => {}
        }
        let is_frequent =
            matches!(event, Event::Opening(_) | Event::Counted { .. } | Event::Training(LoopEvent::Steps { .. }));
        let is_due = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if self.raised.is_some() || (is_frequent && !is_due) {
            return;
        }
        if is_frequent {
            self.last = Some(Instant::now());
        }
        let told = Python::attach(|py| {
            py.check_signals()?;
            match (self.callback, self.describe(py, &event)?) {
                (Some(callback), Some(described)) => callback.call1(py, (described,)).map(|_| ()),
                _ => Ok(()),
            }
        });
        if let Err(error) = told {
            self.raised = Some(error);
            self.stop.store(true, Ordering::Relaxed);
            if !self.training {
                resume_unwind(Box::new(Abandoned));
            }
        }
    }

    /// An event as Python gets it; `Event` of `polyscene/_progress.py` says what there is.
    fn describe<'py>(&self, py: Python<'py>, event: &Event<'_>) -> PyResult<Option<Bound<'py, PyDict>>> {
        if self.callback.is_none() {
            return Ok(None);
        }
        let dict = PyDict::new(py);
        let progress = |what: &str, done: u64, total: u64, unit: &str| -> PyResult<()> {
            dict.set_item("kind", "progress")?;
            dict.set_item("what", what)?;
            dict.set_item("done", done)?;
            dict.set_item("total", total)?;
            dict.set_item("unit", unit)
        };
        match event {
            Event::Opening(Progress { phase, done, total, .. }) => {
                progress(phase.name(), *done, *total, if phase.is_in_bytes() { "bytes" } else { "rows" })?;
            }
            Event::Counting { total, .. } => progress(&self.what, 0, *total, self.unit())?,
            Event::Counted { done, total } => progress(&self.what, *done, *total, self.unit())?,
            Event::Training(LoopEvent::EpochStart { steps, done, .. }) => progress(&self.what, *done, *steps, "steps")?,
            Event::Training(LoopEvent::Steps { done, loss }) => {
                progress(&self.what, *done, self.steps, "steps")?;
                dict.set_item("logloss", loss)?;
            }
            Event::CountingEnded | Event::TrainingEnded => dict.set_item("kind", "progress_end")?,
            Event::Training(LoopEvent::EpochEnd(record) | LoopEvent::Evaluated(record)) => {
                dict.set_item("kind", "epoch")?;
                dict.set_item("text", event.to_string())?;
                dict.set_item("record", from_json(py, &to_json(record))?)?;
            }
            Event::Tested(result) => {
                dict.set_item("kind", "result")?;
                dict.set_item("result", from_json(py, &to_json(result))?)?;
            }
            Event::Warning(_) | Event::Skipped(_) | Event::SmallerBatches { .. } => {
                dict.set_item("kind", "warning")?;
                dict.set_item("text", event.to_string())?;
            }
            other => {
                let text = other.to_string();
                if text.is_empty() {
                    return Ok(None);
                }
                dict.set_item("kind", "message")?;
                dict.set_item("text", text)?;
            }
        }
        Ok(Some(dict))
    }

    /// What counted work counts.
    fn unit(&self) -> &'static str {
        match self.what.as_str() {
            "evaluating" | "predicting" => "bytes",
            "generating" => "rows",
            _ => "",
        }
    }
}
