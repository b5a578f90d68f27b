//! Subcommands, one file each: parsing, progress and exit codes, nothing else.

/// `eprintln!` that does not panic when nobody reads standard error: training goes on without its audience.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod analyze;
mod bench;
mod cells;
mod compare;
mod devices;
mod eval;
mod exit;
mod history;
mod models;
mod opened;
mod plan;
mod predict;
mod prepare;
mod progress;
mod report;
mod shell;
mod signals;
mod sweep;
mod synth;
mod table_file;
mod train;
mod unknown;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    Sweep(sweep::SweepArgs),
    /// Score a trained model on its test rows, or on another file
    Eval(eval::EvalArgs),
    /// Write a trained model's predictions beside the rows of a file
    Predict(predict::PredictArgs),
    /// Generate data whose truth is known, and a configuration to train on it
    Synth(synth::SynthArgs),
    /// Look into a trained model as its paper does, scenario by scenario
    Analyze(analyze::AnalyzeArgs),
    /// Make a public data set ready to train on, from the files that its owner publishes
    Prepare(prepare::PrepareArgs),
    /// Write the page of pictures of a run, or of a comparison of runs
    Report(report::ReportArgs),
    /// Add a column with what each row's user did before
    History(history::HistoryArgs),
    /// List the dispatches of one training step
    Plan(plan::PlanArgs),
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

/// Runs the command line and gives the program's exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Prepare(args) => prepare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::History(args) => history::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Models => models::run(),
    };
    exit::code(outcome)
}
