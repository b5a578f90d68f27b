//! Training steps of Burn models, timed on request: one line of JSON in, one out (`../README.md` has the protocol).

mod model;
mod rows;
mod trainer;

use std::io::{BufRead, Write};

use serde::Deserialize;
use serde_json::{Value, json};
use trainer::{Task, Trainer};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Prepare(Box<Task>),
    Run { blocks: usize, steps: usize },
    Memory(()),
}

/// Bytes of resident memory: now (`VmRSS`), or at their most (`VmHWM`).
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found =
        status.lines().find_map(|text| text.strip_prefix(line)?.trim_start_matches(':').split_whitespace().next());
    1024 * found.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
}

fn answer(trainer: &mut Option<Trainer>, request: Request, baseline: u64) -> Result<Value, String> {
    match request {
        Request::Prepare(task) => {
            let made = Trainer::new(*task)?;
            let ready = made.describe();
            *trainer = Some(made);
            Ok(json!({ "ready": ready }))
        }
        Request::Run { blocks, steps } => {
            let (ms, losses) = trainer.as_mut().ok_or("prepare comes first")?.run(blocks, steps)?;
            Ok(json!({ "ms": ms, "losses": losses }))
        }
        Request::Memory(()) => {
            let bytes = resident("VmHWM").saturating_sub(baseline);
            Ok(json!({ "bytes": bytes, "what": "growth of resident memory" }))
        }
    }
}

fn main() -> std::io::Result<()> {
    let baseline = resident("VmRSS");
    let mut trainer = None;
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?).map_err(|error| error.to_string());
        let reply = request.and_then(|request| answer(&mut trainer, request, baseline));
        let reply = reply.unwrap_or_else(|error| json!({ "error": error }));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{reply}")?;
        out.flush()?;
    }
    Ok(())
}
