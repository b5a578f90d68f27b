//! Subcommands, one file each: parsing, progress and exit codes. What they do is in [`crate::app`].
//!
//! *Stability*: [`run`] stays.

/// `eprintln!` that does not panic when nobody reads standard error: training goes on without its audience.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod analyze;
mod bench;
mod compare;
mod devices;
mod embeddings;
mod eval;
mod exit;
mod export;
mod history;
mod importance;
mod models;
mod observer;
mod plan;
mod predict;
mod prepare;
mod print;
mod progress;
mod report;
mod shell;
mod signals;
mod synth;
mod train;
mod tune;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::shell::quote;
use crate::app::TuningChoice;
use crate::app::compare::ExperimentKind;
use crate::gpu::DeviceChoice;

/// Train multi-scenario click and conversion models on any GPU, or on none.
#[derive(Parser)]
#[command(version, about, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model
    Train(train::TrainArgs),
    /// Train several models with several seeds, and set them against each other
    Compare(compare::CompareArgs),
    /// Train one model with all combinations of some options, and choose the best
    Sweep(compare::CompareArgs),
    /// Score a trained model on its test rows, or on another file
    Eval(eval::EvalArgs),
    /// Write a trained model's predictions beside the rows of a file
    Predict(predict::PredictArgs),
    /// Write the embeddings of a trained model's field, with the values that they stand for
    Embeddings(embeddings::EmbeddingsArgs),
    /// Write a trained model as an ONNX file, which takes the data's columns and gives probabilities
    Export(export::ExportArgs),
    /// Generate data whose truth is known, and a configuration to train on it
    Synth(synth::SynthArgs),
    /// Look into a trained model as its paper does, scenario by scenario
    Analyze(analyze::AnalyzeArgs),
    /// Find out which columns a trained model relies on, by permuting each
    Importance(importance::ImportanceArgs),
    /// Make a public data set ready to train on, from the files that its owner publishes
    Prepare(prepare::PrepareArgs),
    /// Write the page of pictures of a run, or of a comparison of runs
    Report(report::ReportArgs),
    /// Add a column with what each row's user did before
    History(history::HistoryArgs),
    /// List the dispatches of one training step
    Plan(plan::PlanArgs),
    /// Find the kernels with which a device trains a model fastest, for all later runs on this machine
    Tune(tune::TuneArgs),
    /// Measure what a device can do, and how near training comes to it
    Bench(bench::BenchArgs),
    /// List the devices of this machine
    Devices(devices::DevicesArgs),
    /// List the models and their options
    Models,
}

/// `--set`.
#[derive(Args)]
struct Sets {
    /// Override a configuration key; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// `--device`.
#[derive(Args)]
struct Device {
    /// auto (the best GPU, else the CPU), cpu, software (a Vulkan renderer on the CPU), or an adapter's number or name
    #[arg(long, value_name = "auto|cpu|software|N|NAME", default_value = "auto")]
    device: DeviceChoice,
}

impl Device {
    /// The option as one types it, unless it is the default.
    fn words(&self) -> Option<String> {
        (self.device != DeviceChoice::Auto).then(|| format!("--device {}", quote(&self.device.to_string())))
    }
}

/// `--tuning`.
#[derive(Args)]
struct Tuning {
    /// A GPU's kernels: auto (the fastest, by a trial of some seconds where nothing is known of this model and device), off
    /// (the built-in guess), or a file that `train` or `tune` has written
    #[arg(long, value_name = "auto|off|FILE", default_value = "auto")]
    tuning: TuningChoice,
}

impl Tuning {
    /// The option as one types it, unless it is the default.
    fn words(&self) -> Option<String> {
        (self.tuning != TuningChoice::Auto).then(|| format!("--tuning {}", quote(&self.tuning.to_string())))
    }
}

/// `--max-unknown`.
#[derive(Args)]
struct MaxUnknown {
    /// Fail, before anything is written, where a larger share of a column's values is unknown to the model (0 to 1)
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "data")]
    max_unknown: Option<f64>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1, such as 0.05".to_owned())
}

/// Runs the command line and gives the program's exit code. A program that registers models of its own
/// ([`crate::models::register`]) before it calls this has them in every command.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Compare(args) => compare::run(ExperimentKind::Compare, &args),
        Command::Sweep(args) => compare::run(ExperimentKind::Sweep, &args),
        Command::Eval(args) => eval::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Embeddings(args) => embeddings::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Importance(args) => importance::run(&args),
        Command::Prepare(args) => prepare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::History(args) => history::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Models => models::run(),
    };
    exit::code(outcome)
}
