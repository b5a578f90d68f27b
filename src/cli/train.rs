//! `polyscene train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use indicatif::ProgressBar;

use super::exit::Done;
use super::opened::{Opened, load_vocabularies, open_config, open_device, print_line, report_warnings};
use super::progress::counted;
use super::shell::quote;
use super::signals::on_interrupt;
use super::{Device, Sets};
use crate::data::{self, Dataset, Encoder};
use crate::gpu;
use crate::models::CROSS_ENTROPY;
use crate::plan::{self, Executor, initial_state};
use crate::report::html::write_report;
use crate::report::table::{TableStyle, scenario_table};
use crate::train::analysis::{analyze, calibration, write};
use crate::train::checkpoint::{Position, load_checkpoint, load_model};
use crate::train::config::Config;
use crate::train::folder::{RunFolder, write_json, write_text};
use crate::train::lock::FolderLock;
use crate::train::memory::peak_memory_bytes;
use crate::train::metrics::best_reachable;
use crate::train::predict::scenario_names;
use crate::train::result::{RunResult, TrainingTime};
use crate::train::{Ending, Error, Event, Trainer, check_validation, score, score_closely, tensorboard};

#[derive(Args)]
pub(super) struct TrainArgs {
    /// The configuration
    config: PathBuf,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
    /// The run's folder [default: runs/CONFIG-MODEL, with a number where that is taken]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the folder's checkpoint
    #[arg(long)]
    resume: bool,
}

pub(super) fn run(args: &TrainArgs) -> anyhow::Result<Done> {
    let opened = open_config(&args.config, &args.sets.sets)?;
    let Opened { config, data, model } = &opened;
    report_warnings(data);
    // What keeps a run from starting must not leave a folder in the next one's way.
    check_validation(&config.train, &data.valid)?;
    let folder = choose_folder(args, config)?;
    let name = config.model_name();
    let resumed = args.resume && folder.can_resume();
    let lock = resumed.then(|| FolderLock::take(folder.root())).transpose()?;
    if resumed {
        compare(&folder, config)?;
    }
    // A run that was stopped before its first checkpoint has nothing to go on from: it starts again.
    let resumed = resumed && folder.checkpoint().is_file();
    let (state, position) = if resumed {
        compare_data(&folder, data)?;
        let (state, position) = load_checkpoint(&folder.checkpoint(), &model.graph, name)?;
        note!("resuming after epoch {}, step {}", position.epoch, position.step);
        (Some(state), position)
    } else {
        (None, Position::default())
    };
    let first_state = || state.unwrap_or_else(|| initial_state(&model.graph, config.train.seed));
    let mut executor = open_device(&args.device.device, model, &config.train, first_state)?;
    let (folder, _lock) = make_folder(args, config, folder, lock)?;
    write_text(&folder.config(), &config.to_toml().map_err(Error::from)?)?;
    if !resumed {
        save_vocabularies(&folder, &data.encoder)?;
    }
    announce(&opened, &folder, executor.as_ref());

    let stop = interrupt_flag()?;
    let mut trainer =
        Trainer { options: &config.train, name, model, executor: executor.as_mut(), data, folder: &folder, position };
    let mut bars = TrainingBars::new(config.train.epochs);
    let ending = trainer.run(&stop, &mut |event| bars.show(event));
    bars.end();
    if let Err(Error::Plan(plan::Error::Gpu(gpu::Error::DeviceLost { .. }))) = &ending {
        note!("the device was lost; go on from the last checkpoint with:");
        note!("  {}", resume_command(args, &folder));
    }
    let ending = ending?;
    let position = trainer.position;
    if ending == Ending::Interrupted {
        let (epoch, step) = (position.epoch + 1, position.step);
        note!("stopped in epoch {epoch} after step {step}; a checkpoint was written. Go on with:");
        note!("  {}", resume_command(args, &folder));
        return Ok(Done::Interrupted);
    }
    finish(&opened, &folder, executor.as_mut(), &position)?;
    Ok(Done::All)
}

/// Scores the best weights on the test rows, writes `result.json` and prints the table.
fn finish(opened: &Opened, folder: &RunFolder, executor: &mut dyn Executor, position: &Position) -> anyhow::Result<()> {
    let Opened { config, data, model } = opened;
    let best = load_model(&folder.model(), &model.graph, config.model_name())?;
    executor.set_state(&best).map_err(Error::from)?;
    let started = std::time::Instant::now();
    let (test, reliability) = score_closely(executor, model, &data.test, &data.encoder)?;
    let seconds = started.elapsed().as_secs_f64();
    let valid = (!data.valid.is_empty()).then(|| score(executor, model, &data.valid, &data.encoder)).transpose()?;
    let reachable = data.test.probabilities().map(|probabilities| {
        let scenarios = data.test.scenarios();
        let names = scenario_names(&data.encoder, scenarios);
        best_reachable(probabilities, data.test.labels(), scenarios, &names, data.test.users())
    });
    let table = scenario_table(&test, reachable.as_ref(), TableStyle::for_stdout());
    let time = TrainingTime::of(folder)?;
    let result = RunResult {
        model: config.model_name().to_owned(),
        device: executor.device(),
        seed: config.train.seed,
        epochs: position.epoch,
        best_epoch: position.best_epoch,
        steps: position.total_steps,
        parameters: model.graph.trained_values(),
        embedding_rows: model.graph.tables.iter().map(|table| table.rows()).sum(),
        embedding_parameters: model.graph.tables.iter().map(|table| table.len()).sum(),
        train_seconds: time.seconds,
        train_rows_per_second: time.rows_per_second,
        peak_memory_bytes: peak_memory_bytes(),
        device_memory_bytes: executor.device_bytes(),
        test_rows_per_second: data.test.len() as f64 / seconds,
        test,
        valid,
        valid_values: data.valid_values.clone(),
        best_reachable: reachable,
    };
    write(folder.root(), &[calibration(&reliability)])?;
    // All epochs have as many steps.
    let best_steps = position.total_steps / u64::from(position.epoch.max(1)) * u64::from(position.best_epoch);
    tensorboard::append_outcome(&folder.events(), best_steps, &result.test, result.test_rows_per_second)?;
    let which = match position.best_epoch {
        0 => "the initial weights".to_owned(),
        epoch => format!("the best weights (epoch {epoch})"),
    };
    print_line(&format!("test rows, {which}:\n{table}"))?;
    let tables = analyze(model, best, &config.train, &data.test, &data.encoder)?;
    if !tables.is_empty() {
        write(&folder.analysis(), &tables)?;
    }
    // The last of what a run must have: with it, the run is finished.
    write_json(&folder.result(), &result)?;
    if let Err(error) = write_report(folder.root()) {
        // The run is whole without it, and `report` makes it again.
        note!("warning: no report: {error}");
    }
    note!("the run is in {}", folder.root().display());
    Ok(())
}

/// The folder asked for, or the next free one.
fn choose_folder(args: &TrainArgs, config: &Config) -> Result<RunFolder, Error> {
    if let Some(out) = &args.out {
        let folder = RunFolder::new(out);
        if folder.holds_run() && !args.resume {
            let reason = "already holds a run; go on with --resume, or give another --out".to_owned();
            return Err(Error::Folder { folder: out.clone(), reason });
        }
        if folder.is_begun() && !args.resume {
            let reason = "holds a run that was stopped before its first checkpoint; start it again with --resume, or give \
                          another --out";
            return Err(Error::Folder { folder: out.clone(), reason: reason.to_owned() });
        }
        if folder.is_taken() && !folder.can_resume() {
            let reason =
                "holds files that are not a run's (a config.toml without a model); give another --out".to_owned();
            return Err(Error::Folder { folder: out.clone(), reason });
        }
        if !folder.is_taken() && args.resume {
            let reason = "holds no run to resume; leave --resume out to start one".to_owned();
            return Err(Error::Folder { folder: out.clone(), reason });
        }
        return Ok(folder);
    }
    let mut numbered = numbered(args, config);
    if !args.resume {
        let free = numbered.find(|folder| !folder.is_taken());
        return Ok(free.unwrap_or_else(|| unreachable!("numbers do not end")));
    }
    let newest = numbered.take_while(RunFolder::is_taken).filter(RunFolder::can_resume).last();
    newest.ok_or_else(|| Error::Folder {
        folder: Path::new("runs").join(base_name(args, config)),
        reason: "holds no run to resume; name its folder with --out, or leave --resume out to start one".to_owned(),
    })
}

/// The names that runs of a configuration get by default, in order.
fn numbered(args: &TrainArgs, config: &Config) -> impl Iterator<Item = RunFolder> + use<> {
    let base = base_name(args, config);
    (1..).map(move |number| {
        let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        RunFolder::new(Path::new("runs").join(name))
    })
}

fn base_name(args: &TrainArgs, config: &Config) -> String {
    let stem = args.config.file_stem().map_or_else(|| "run".into(), |stem| stem.to_string_lossy());
    format!("{stem}-{}", config.model_name())
}

/// Makes the chosen folder and locks it, if it is not locked yet. Of several runs that begin together each takes a
/// default name of its own, and only one takes a name that was asked for.
fn make_folder(
    args: &TrainArgs,
    config: &Config,
    chosen: RunFolder,
    lock: Option<FolderLock>,
) -> Result<(RunFolder, FolderLock), Error> {
    if args.out.is_none() && !args.resume {
        for folder in numbered(args, config) {
            if folder.claim()? {
                let lock = FolderLock::take(folder.root())?;
                return Ok((folder, lock));
            }
        }
    }
    chosen.make()?;
    let lock = match lock {
        Some(lock) => lock,
        None => {
            let lock = FolderLock::take(chosen.root())?;
            // Another run may have begun and ended since the folder was chosen.
            choose_folder(args, config)?;
            lock
        }
    };
    chosen.clear();
    Ok((chosen, lock))
}

/// A resumed run must be the same run: only how long it goes on may change.
fn compare(folder: &RunFolder, config: &Config) -> Result<(), Error> {
    let mut before = Config::load(&folder.config(), &[])?;
    let mut now = config.clone();
    for config in [&mut before, &mut now] {
        config.synth = None;
        config.train.epochs = 0;
        config.train.patience = 0;
        config.train.checkpoint_steps = 0;
        config.train.eval_batch_size = 1;
        config.train.resident_mb = 0;
        config.data.remove("cache");
    }
    if before == now {
        return Ok(());
    }
    let sections =
        [("data", before.data != now.data), ("model", before.model != now.model), ("train", before.train != now.train)];
    let changed: Vec<&str> = sections.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect();
    Err(Error::Folder {
        folder: folder.root().to_owned(),
        reason: format!(
            "was trained with another [{}]; to go on, give the configuration of its config.toml (only train.epochs, \
             train.patience, train.checkpoint_steps, train.eval_batch_size and train.resident_mb may change)",
            changed.join("] and [")
        ),
    })
}

/// Weights belong to the vocabularies they were trained with.
fn compare_data(folder: &RunFolder, data: &Dataset) -> Result<(), Error> {
    if load_vocabularies(folder)?.same_codes(&data.encoder) {
        return Ok(());
    }
    let reason = "was trained on other data (its vocabularies or statistics have changed since); start a new run by \
                  another --out";
    Err(Error::Folder { folder: folder.root().to_owned(), reason: reason.to_owned() })
}

fn save_vocabularies(folder: &RunFolder, encoder: &Encoder) -> Result<(), Error> {
    encoder.save(&folder.vocabularies()).map_err(|error| match error {
        // A fault of the run's folder, not of the data.
        data::Error::Io { path, source } => Error::file(&path, "writing")(source),
        other => other.into(),
    })
}

fn announce(opened: &Opened, folder: &RunFolder, executor: &dyn Executor) {
    let Opened { config, data, model } = opened;
    let parameters = model.graph.trained_values();
    let embeddings: usize = model.graph.tables.iter().map(|table| table.len()).sum();
    note!("device   {}", executor.device());
    note!("model    {}: {parameters} dense parameters, {embeddings} in embeddings", config.model_name());
    note!(
        "data     {} train, {} valid, {} test rows, {} scenarios",
        data.train.len(),
        data.valid.len(),
        data.test.len(),
        data.encoder.scenarios().len()
    );
    note!("folder   {}", folder.root().display());
}

/// Set by the first Ctrl-C; a second one ends the program at once.
fn interrupt_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    on_interrupt(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        note!("\nfinishing the step and writing a checkpoint (Ctrl-C again to stop at once)");
    })?;
    Ok(flag)
}

fn resume_command(args: &TrainArgs, folder: &RunFolder) -> String {
    let mut words = vec!["polyscene train".to_owned(), quote(&args.config.to_string_lossy())];
    words.extend(args.sets.sets.iter().map(|set| format!("--set {}", quote(set))));
    if args.device.device != crate::gpu::DeviceChoice::Auto {
        words.push(format!("--device {}", quote(&args.device.device.to_string())));
    }
    words.push(format!("--out {} --resume", quote(&folder.root().to_string_lossy())));
    words.join(" ")
}

/// The means of an epoch's losses: the cross entropy, and beside it what else was minimised, as it is before its
/// coefficient, which may grow during training.
fn losses(means: &serde_json::Map<String, serde_json::Value>) -> String {
    let number = |value: &serde_json::Value| value.as_f64().map_or_else(|| "n/a".to_owned(), |x| format!("{x:.4}"));
    let terms = means.iter().filter(|(name, _)| *name != "loss");
    let words = terms.map(|(name, mean)| {
        let name = if name == CROSS_ENTROPY { "LogLoss" } else { name };
        format!("{name} {}", number(mean))
    });
    words.collect::<Vec<_>>().join("  ")
}

/// A bar per epoch, and a line for each that has ended.
struct TrainingBars {
    epochs: u32,
    bar: Option<ProgressBar>,
}

impl TrainingBars {
    fn new(epochs: u32) -> Self {
        Self { epochs, bar: None }
    }

    fn show(&mut self, event: Event<'_>) {
        match event {
            Event::EpochStart { epoch, steps, done } => {
                let bar = counted(steps, &format!("epoch {epoch}/{}", self.epochs));
                bar.set_position(done);
                bar.reset_eta();
                self.bar = Some(bar);
            }
            Event::Steps { done, loss } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(done);
                    bar.set_message(loss.map_or_else(String::new, |loss| format!("LogLoss {loss:.4}")));
                }
            }
            Event::EpochEnd(record) => {
                self.end();
                let number = |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.4}"));
                let mut line = format!("epoch {:<3} train {}", record.epoch, losses(&record.train));
                if let Some(valid) = &record.valid {
                    line += &format!("  valid AUC {}  LogLoss {}", number(valid.auc), number(valid.logloss));
                }
                line += &format!("  {:.0} rows/s", record.train_rows_per_second);
                if let Some(speed) = record.valid_rows_per_second {
                    line += &format!(" (evaluation {speed:.0})");
                }
                note!("{line}{}", if record.best { "  best" } else { "" });
            }
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
