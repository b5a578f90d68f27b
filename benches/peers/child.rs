//! A program that is measured, as a process of its own: a line of JSON goes in, one comes out.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::workload::Task;

/// Why a program gives no number.
pub(crate) type Failure = String;

/// Peak memory, and how it was taken.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Memory {
    pub(crate) bytes: u64,
    pub(crate) what: String,
}

/// What a prepared program says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: String,
    /// Steps that it takes at once, between two looks at the losses.
    pub(crate) steps: Option<usize>,
    /// Bytes that its plan says it needs.
    pub(crate) planned: Option<u64>,
}

/// Milliseconds of a step and the last cross entropy, of each block.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Timing {
    pub(crate) ms: Vec<f64>,
    pub(crate) losses: Vec<f64>,
}

/// A running program. Between requests it waits for its standard input and does nothing.
pub(crate) struct Child {
    process: Process,
    input: ChildStdin,
    replies: Receiver<String>,
    log: PathBuf,
}

impl Child {
    /// Starts `command`; what it says to stderr goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, Failure> {
        let errors = std::fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        let input = process.stdin.take().expect("it was asked for");
        let output = BufReader::new(process.stdout.take().expect("it was asked for"));
        let (give, replies) = channel();
        std::thread::spawn(move || {
            // Ends with the process, or when nobody listens any more.
            for line in output.lines().map_while(Result::ok) {
                if give.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, input, replies, log: log.to_owned() })
    }

    pub(crate) fn prepare(&mut self, task: &Task, limit: Duration) -> Result<Ready, Failure> {
        self.ask(&json!({ "prepare": task }), limit)
    }

    pub(crate) fn run(&mut self, blocks: usize, steps: usize, limit: Duration) -> Result<Timing, Failure> {
        self.ask(&json!({ "run": { "blocks": blocks, "steps": steps } }), limit)
    }

    pub(crate) fn memory(&mut self) -> Result<Memory, Failure> {
        self.ask(&json!({ "memory": null }), Duration::from_secs(60))
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: &Value, limit: Duration) -> Result<T, Failure> {
        let sent = writeln!(self.input, "{request}").and_then(|()| self.input.flush());
        let reply = match sent {
            Ok(()) => self.replies.recv_timeout(limit),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        let line = match reply {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Err(format!("no reply within {:.0} s", limit.as_secs_f64())),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("it ended: {}", self.last_words())),
        };
        let value: Value = serde_json::from_str(&line).map_err(|error| format!("reply {line:?}: {error}"))?;
        match value.get("error") {
            Some(error) => Err(error.as_str().unwrap_or("an error without words").to_owned()),
            None => serde_json::from_value(value).map_err(|error| format!("reply {line:?}: {error}")),
        }
    }

    /// What the process said before it ended: a panic's message, or else the last line.
    fn last_words(&mut self) -> String {
        let status = self.process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let panic = lines.iter().position(|line| line.contains("panicked at")).and_then(|at| lines.get(at + 1));
        let words = panic.or(lines.last()).copied().unwrap_or("nothing was said");
        format!("{status}; {}", words.chars().take(300).collect::<String>())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
