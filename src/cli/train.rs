//! `polyscene train`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::exit::Done;
use super::observer::Observer;
use super::shell::quote;
use super::signals::on_interrupt;
use super::{Device, Sets, Tuning};
use crate::app::{Event, Trainer};
use crate::config::{Config, set_argument};
use crate::train::pruning::Pruning;
use crate::train::run::folder::RunFolder;
use crate::train::{Ending, Error};
use crate::{gpu, plan};

#[derive(Args)]
pub(super) struct TrainArgs {
    /// The configuration
    config: PathBuf,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    tuning: Tuning,
    /// The run's folder [default: runs/CONFIG-MODEL, with a number where that is taken]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Train on the rows of this scenario alone (data.only_scenarios); may be given several times
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Go on from the folder's checkpoint
    #[arg(long)]
    resume: bool,
    /// Begin with what another run has learned: weights, moments, vocabularies and scenarios; new values and scenarios get rows
    /// of their own (train.from)
    #[arg(long, value_name = "RUN")]
    from: Option<PathBuf>,
    /// With --from: begin with new moments (train.fresh_moments)
    #[arg(long)]
    fresh_moments: bool,
    /// What a search judges its run by; it writes the file itself
    #[arg(long, value_name = "FILE", hide = true)]
    prune: Option<PathBuf>,
}

pub(super) fn run(args: &TrainArgs) -> anyhow::Result<Done> {
    let mut sets = args.sets.sets.clone();
    if let Some(from) = &args.from {
        let path = std::path::absolute(from).unwrap_or_else(|_| from.clone());
        sets.push(set_argument("train.from", &path.to_string_lossy().into_owned().into()));
    }
    if !args.scenario.is_empty() {
        sets.push(set_argument("data.only_scenarios", &args.scenario.clone().into()));
    }
    if args.fresh_moments {
        sets.push("train.fresh_moments=true".to_owned());
    }
    let config = Config::load(&args.config, &sets).map_err(Error::from)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut observer = Observer::default();
    let mut started = None;
    let mut signals = Ok(());
    let trainer = Trainer::new(config)
        .device(args.device.device.clone())
        .tuning(args.tuning.tuning.clone())
        .resume(args.resume)
        .pruning(args.prune.as_deref().map(Pruning::load).transpose()?)
        .stop(&stop);
    let trainer = match &args.out {
        Some(out) => trainer.folder(out),
        None => trainer,
    };
    let trained = trainer
        .observer(|event| {
            if let Event::Starting { folder, .. } = &event {
                started = Some((*folder).clone());
                // Until then there is nothing to write down, and Ctrl-C ends the program.
                signals = stop_on_signals(Arc::clone(&stop));
            }
            observer.tell(event);
        })
        .train();
    if let (Err(Error::Plan(plan::Error::Gpu(gpu::Error::DeviceLost { .. }))), Some(folder)) = (&trained, &started) {
        note!("the device was lost; go on from the last checkpoint with:");
        note!("  {}", resume_command(args, folder));
    }
    let trained = trained?;
    signals?;
    if let Some(error) = observer.printed {
        return Err(error);
    }
    if trained.ending == Ending::Interrupted {
        let (epoch, step) = (trained.position.epoch + 1, trained.position.step);
        note!("stopped in epoch {epoch} after step {step}; a checkpoint was written. Go on with:");
        note!("  {}", resume_command(args, &trained.folder));
        return Ok(Done::Interrupted);
    }
    Ok(Done::All)
}

/// The first Ctrl-C sets `stop`; a second one ends the program at once.
fn stop_on_signals(stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    on_interrupt(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        note!("\nfinishing the step and writing a checkpoint (Ctrl-C again to stop at once)");
    })
}

fn resume_command(args: &TrainArgs, folder: &RunFolder) -> String {
    let mut words = vec!["polyscene train".to_owned(), quote(&args.config.to_string_lossy())];
    words.extend(args.sets.sets.iter().map(|set| format!("--set {}", quote(set))));
    words.extend(args.device.words());
    words.extend(args.tuning.words());
    words.extend(args.scenario.iter().map(|name| format!("--scenario {}", quote(name))));
    words.extend(args.from.iter().map(|from| format!("--from {}", quote(&from.to_string_lossy()))));
    words.extend(args.fresh_moments.then(|| "--fresh-moments".to_owned()));
    words.push(format!("--out {} --resume", quote(&folder.root().to_string_lossy())));
    words.join(" ")
}
