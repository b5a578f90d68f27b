//! Numbers as a table and as JSON.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::child::{Failure, Memory, Ready};
use crate::options::human;
use crate::variants::Variant;
use crate::workload::Task;

/// Bytes of resident memory of this process: now (`VmRSS`), or at their most (`VmHWM`); 0 where nobody says.
pub(crate) fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found =
        status.lines().find_map(|text| text.strip_prefix(line)?.trim_start_matches(':').split_whitespace().next());
    1024 * found.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
}

/// The machine, for people.
pub(crate) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} × {cores}; {}", name.unwrap_or("processor"), load())
}

/// How busy the machine is: another program's work makes every number here worthless.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or("unknown");
    format!("load average {first} over the last minute, these programs included")
}

/// The median of some numbers.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What came of one variant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    name: String,
    /// What the program said it is and runs on.
    on: Option<String>,
    /// Milliseconds of a step.
    median: Option<f64>,
    least: Option<f64>,
    blocks: usize,
    /// Its median over polyscene's, measured in the same rounds.
    ratio: Option<f64>,
    /// Cross entropy, the median of the last steps of all blocks.
    loss: Option<f64>,
    peak_bytes: Option<u64>,
    peak_is: Option<String>,
    planned_bytes: Option<u64>,
    failure: Option<Failure>,
}

impl Entry {
    pub(crate) fn failed(variant: &Variant, why: Failure) -> Self {
        Self {
            name: variant.label(),
            on: None,
            median: None,
            least: None,
            blocks: 0,
            ratio: None,
            loss: None,
            peak_bytes: None,
            peak_is: None,
            planned_bytes: None,
            failure: Some(why),
        }
    }

    pub(crate) fn measured(
        variant: &Variant,
        times: Vec<f64>,
        losses: &[f64],
        ready: Ready,
        memory: Option<Memory>,
    ) -> Self {
        let loss = median(losses.to_vec());
        let mut entry = Self::failed(variant, String::new());
        // Labels are 1 in one of ten: a program that trains is between their entropy's neighbourhood and ln 2's. One
        // whose loss is elsewhere is not doing the same work.
        entry.failure = (!losses.iter().all(|loss| loss.is_finite()) || !(0.005..1.0).contains(&loss))
            .then(|| format!("its cross entropy is {loss}: it does not train"));
        entry.on = Some(ready.ready);
        entry.planned_bytes = ready.planned;
        entry.least = times.iter().copied().min_by(f64::total_cmp);
        entry.blocks = times.len();
        entry.median = Some(median(times));
        entry.loss = Some(loss);
        if let Some(Memory { bytes, what }) = memory {
            entry.peak_bytes = Some(bytes);
            entry.peak_is = Some(what);
        }
        entry
    }
}

/// One task, trained by everyone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    model: String,
    batch: usize,
    rows: usize,
    device: String,
    /// polyscene, once for each group of programs that were alive together.
    ours: Vec<Entry>,
    peers: Vec<Entry>,
}

impl Comparison {
    pub(crate) fn new(task: &Task) -> Self {
        Self {
            model: task.model.clone(),
            batch: task.batch,
            rows: task.rows,
            device: task.device.clone(),
            ours: Vec::new(),
            peers: Vec::new(),
        }
    }

    pub(crate) fn title(&self) -> String {
        let Self { model, batch, rows, device, .. } = self;
        format!("{model}, batch {batch}, {} rows, device {device}", human(*rows))
    }

    /// polyscene's numbers and those of the programs that were measured with it.
    pub(crate) fn add(&mut self, ours: Entry, peers: Vec<Entry>) {
        self.peers.extend(
            peers.into_iter().map(|entry| Entry {
                ratio: entry.median.zip(ours.median).map(|(theirs, ours)| theirs / ours),
                ..entry
            }),
        );
        self.ours.push(ours);
    }

    pub(crate) fn leave_out(&mut self, entries: impl Iterator<Item = Entry>) {
        self.peers.extend(entries);
    }

    /// The peer's variant that was quickest beside polyscene.
    fn best(&self) -> Option<&Entry> {
        let sound = self.peers.iter().filter(|entry| entry.failure.is_none());
        sound.min_by(|a, b| a.ratio.unwrap_or(f64::MAX).total_cmp(&b.ratio.unwrap_or(f64::MAX)))
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "  {:<34} {:>10} {:>10} {:>7} {:>11} {:>7}\n",
            "", "median, ms", "least, ms", "ratio", "peak memory", "loss"
        );
        let mib = |bytes: Option<u64>| bytes.map_or_else(String::new, |bytes| format!("{} MiB", bytes >> 20));
        for entry in self.ours.iter().chain(&self.peers) {
            if let Some(why) = &entry.failure {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  {:<34} {why}", entry.name);
                continue;
            }
            let number =
                |value: Option<f64>, places: usize| value.map_or_else(String::new, |v| format!("{v:.places$}"));
            let _ = writeln!(
                text,
                "  {:<34} {:>10} {:>10} {:>7} {:>11} {:>7}",
                entry.name,
                number(entry.median, 2),
                number(entry.least, 2),
                number(entry.ratio, 2),
                mib(entry.peak_bytes),
                number(entry.loss, 3)
            );
        }
        if let Some(ours) = self.ours.first() {
            let on = ours.on.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  polyscene on {on}; its plan needs {}", mib(ours.planned_bytes));
        }
        match self.best() {
            Some(best) => {
                let _ = writeln!(
                    text,
                    "  best peer: {} ({}), {:.2} of polyscene's time",
                    best.name,
                    best.on.as_deref().unwrap_or_default(),
                    best.ratio.unwrap_or(f64::NAN)
                );
            }
            None => text.push_str("  no peer gave a number\n"),
        }
        text
    }
}

/// All comparisons of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    machine: String,
    comparisons: Vec<Comparison>,
}

impl Report {
    pub(crate) fn add(&mut self, comparison: Comparison) {
        self.comparisons.push(comparison);
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let report = Self { machine: machine(), comparisons: self.comparisons.clone() };
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))
    }
}
