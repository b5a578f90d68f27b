//! What is compared, as the command line says it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// A program to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// PyTorch, from `POLYSCENE_PEERS_PYTHON` or from an environment made here.
    Torch,
    /// Burn, built here, or the program `POLYSCENE_PEERS_BURN`.
    Burn,
}

/// A number that may end in k, M or G: rows in thousands, bytes in powers of 1000.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) usize);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.char_indices().last() {
            Some((at, 'k')) => (&text[..at], 1_000),
            Some((at, 'M')) => (&text[..at], 1_000_000),
            Some((at, 'G')) => (&text[..at], 1_000_000_000),
            _ => (text, 1),
        };
        let number: usize = digits.parse().map_err(|_| format!("{text:?}: expected a number such as 100k or 10M"))?;
        Ok(Self(number * factor))
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&human(self.0))
    }
}

/// 100000 as `100k`.
pub(crate) fn human(count: usize) -> String {
    match count {
        0 => "0".to_owned(),
        _ if count.is_multiple_of(1_000_000) => format!("{}M", count / 1_000_000),
        _ if count.is_multiple_of(1_000) => format!("{}k", count / 1_000),
        _ => count.to_string(),
    }
}

/// Training steps of polyscene and of its peers, in turns.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Devices as `polyscene --device` names them: cpu, software, or a GPU
    #[arg(long, value_delimiter = ',', default_values_t = ["cpu".to_owned(), "software".to_owned()])]
    pub(crate) device: Vec<String>,
    /// Models
    #[arg(long, value_delimiter = ',', default_values_t = ["dnn".to_owned(), "mi-dpg".to_owned()])]
    pub(crate) models: Vec<String>,
    /// Batch sizes
    #[arg(long, value_delimiter = ',', default_values_t = [512, 2048, 8192])]
    pub(crate) batches: Vec<usize>,
    /// Embedding rows, such as 100k or 10M
    #[arg(long, value_delimiter = ',', default_values_t = [Count(100_000), Count(10_000_000)])]
    pub(crate) rows: Vec<Count>,
    /// Programs to compare with
    #[arg(long, value_delimiter = ',', default_values = ["torch", "burn"])]
    pub(crate) peers: Vec<Peer>,
    /// Only variants whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Rounds, in each of which everyone has a turn
    #[arg(long, default_value_t = 11)]
    pub(crate) rounds: usize,
    /// Seconds that a turn lasts, unless one step takes longer
    #[arg(long, default_value_t = 0.5)]
    turn: f64,
    /// Seconds that one step may take; who needs longer is left out, and reported
    #[arg(long, default_value_t = 20.0)]
    pub(crate) step_limit: f64,
    /// Seconds to start, compile and warm up
    #[arg(long, default_value_t = 900.0)]
    prepare_limit: f64,
    /// Bytes that all programs alive at once may take together [default: 0.7 of what is free]
    #[arg(long)]
    memory: Option<Count>,
    /// Write every number as JSON too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// A whole epoch, end to end, instead of steps: `ml-1m`
    #[arg(long, value_name = "NAME")]
    pub(crate) epoch: Option<String>,
    /// The data of --epoch: the table that examples/movielens-1m.toml describes, in Parquet
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Runs of each program with --epoch
    #[arg(long, default_value_t = 3)]
    pub(crate) repeats: usize,
    /// Be the polyscene that is measured: read requests, write replies
    #[arg(long, hide = true)]
    pub(crate) serve: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Whether a variant is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.turn)
    }

    pub(crate) fn prepare_limit(&self) -> Duration {
        Duration::from_secs_f64(self.prepare_limit)
    }

    /// Bytes that programs alive at once may take.
    pub(crate) fn memory(&self) -> u64 {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let free = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map(|kib| 1024 * kib);
        // Where nobody says what is free, 8 GB are a guess that most machines can bear.
        self.memory.map_or_else(|| free.map_or(8 << 30, |free| free / 10 * 7), |count| count.0 as u64)
    }
}
