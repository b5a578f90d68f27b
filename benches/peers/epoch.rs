//! One epoch end to end, as a user waits for it: polyscene's command line against a PyTorch script, in turns.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use crate::options::Options;
use crate::report::median;
use crate::torch;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CONFIG: &str = "examples/movielens-1m.toml";

/// Trains one epoch of each model with both programs, `repeats` times in turns, and prints the wall clock.
pub(crate) fn run(name: &str, options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(name == "ml-1m", "--epoch {name}: there is only ml-1m");
    let data = options.data.as_deref().with_context(|| {
        format!("--epoch needs --data FILE, the table that {CONFIG} describes; it says where to get it")
    })?;
    let data = data.canonicalize().with_context(|| format!("--data {} is not there", data.display()))?;
    let python = torch::python().map_err(anyhow::Error::msg)?;
    let folder = tempfile::tempdir().context("no folder for the runs")?;
    println!("one epoch of {}, seconds from start to exit", data.display());
    for model in &options.models {
        for device in &options.device {
            let mut times = [Vec::new(), Vec::new()];
            let mut said = [String::new(), String::new()];
            for number in 0..options.repeats {
                let out = folder.path().join(format!("{model}-{device}-{number}"));
                let programs = [ours(model, device, &data, &out), theirs(&python, model, device, &data)];
                for ((mut command, times), said) in programs.into_iter().zip(&mut times).zip(&mut said) {
                    let started = Instant::now();
                    *said = last_line(&mut command)?;
                    times.push(started.elapsed().as_secs_f64());
                }
            }
            for ((name, times), said) in ["polyscene", "torch"].into_iter().zip(&times).zip(&said) {
                let all: Vec<String> = times.iter().map(|seconds| format!("{seconds:.2}")).collect();
                println!(
                    "{model:<8} {device:<9} {name:<10} {:>8.2}  ({})  {said}",
                    median(times.clone()),
                    all.join(", ")
                );
            }
            let [ours, theirs] = times.map(median);
            println!("{model:<8} {device:<9} torch takes {:.2} of polyscene's time", theirs / ours);
        }
    }
    Ok(())
}

/// The command line, reading the file anew each time as the script does.
fn ours(model: &str, device: &str, data: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyscene"));
    command.arg("train").arg(Path::new(ROOT).join(CONFIG)).args(["--device", device]).arg("--out").arg(out);
    let path = format!("data.path={}", toml::Value::String(data.display().to_string()));
    for set in [path.as_str(), &format!("model.name={model}"), "train.epochs=1", "data.cache=false"] {
        command.args(["--set", set]);
    }
    command
}

fn theirs(python: &Path, model: &str, device: &str, data: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(ROOT).join("benches/peers/torch/epoch.py")).arg(data).args(["--model", model]);
    command.args(["--device", if device == "cpu" { "cpu" } else { "cuda" }]);
    torch::environment(&mut command, std::thread::available_parallelism().map_or(1, usize::from));
    command
}

/// Runs the command to its end; the last line that it says with a metric in it.
fn last_line(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("{program} does not start"))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{program} failed ({}):\n{text}", output.status);
    let line = text.lines().rev().find(|line| line.contains("epoch 1 "));
    Ok(line.unwrap_or_default().trim().to_owned())
}
