//! `polyscene compare` and `polyscene sweep`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{HumanDuration, ProgressBar};

use super::exit::Done;
use super::observer::Observer;
use super::print::print_line;
use super::progress::working;
use super::shell::quote;
use super::signals::on_interrupt;
use super::{Device, Sets};
use crate::app::compare::{
    CompareEvent, Compared, Experiment, ExperimentKind, ExperimentOptions, Interrupt, Invalid, Listed, Runner,
};
use crate::report::comparison::text;
use crate::report::table::{TableStyle, draw_marked};
use crate::train::comparison::{Comparison, State};

#[derive(Args)]
pub(super) struct CompareArgs {
    /// The configuration
    config: PathBuf,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
    /// The folder of all runs and tables [default: runs/CONFIG]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Train only this label's runs; may be given several times
    #[arg(long, value_name = "LABEL")]
    only: Vec<String>,
    /// List the runs, and which of them are done, without training any
    #[arg(long)]
    dry_run: bool,
}

/// Trains what is not finished yet, and prints the table.
pub(super) fn run(kind: ExperimentKind, args: &CompareArgs) -> anyhow::Result<Done> {
    let (sets, out, only) = (args.sets.sets.clone(), args.out.clone(), args.only.clone());
    let mut show = Show::default();
    let options = ExperimentOptions { sets, out, only };
    let mut experiment = Experiment::open(kind, &args.config, options, &mut |event| show.tell(event))?;
    if args.dry_run {
        return list(&experiment);
    }
    let runner = Runner {
        program: std::env::current_exe().context("finding this program, to train each run by it")?,
        device: args.device.device.clone(),
        interrupt: Interrupt::default(),
    };
    show.on_start = Some(runner.interrupt.clone());
    let compared = experiment.run(&runner, &mut |event| show.tell(event));
    show.signals?;
    let Compared { summaries, interrupted, failed } = compared?;
    if summaries.standings.iter().any(|standing| standing.seeds[0] > 0) {
        print_line(&text(&summaries, TableStyle::for_stdout()))?;
    }
    if let Some(best) = summaries.best() {
        print_line(&format!("\nbest by validation: {}\n  {}", best.label, set_words(&best.sets).join(" ")))?;
    }
    note!("tables and runs are in {}", experiment.root().display());
    if let Some(position) = interrupted {
        note!("stopped in {position}; finished runs are kept. Go on with:");
        note!("  {}", command(kind, args));
        return Ok(Done::Interrupted);
    }
    if failed.is_empty() {
        return Ok(Done::All);
    }
    let (count, runs) = (failed.len(), if failed.len() == 1 { "run" } else { "runs" });
    anyhow::bail!("{count} {runs} failed:\n  {}\nto try them again: {}", failed.join("\n  "), command(kind, args));
}

/// `--dry-run`.
fn list(experiment: &Experiment) -> anyhow::Result<Done> {
    let mut lines = Vec::new();
    let mut finished = 0;
    for Listed { label, seed, folder, state } in experiment.list() {
        let word = match &state {
            Ok(state) => state.word(),
            Err(error) => {
                note!("{error}");
                "changed"
            }
        };
        finished += usize::from(state == Ok(State::Finished));
        lines.push([label, seed.to_string(), word.to_owned(), folder].map(Into::into).to_vec());
    }
    let heads = ["label", "seed", "state", "folder"];
    print_line(&draw_marked(&heads, &lines, TableStyle::for_stdout()))?;
    let root = experiment.root().display();
    print_line(&match &experiment.comparison().search {
        Some(search) => {
            let (drawn, all) = (lines.len(), search.trials.max(lines.len()));
            format!("{drawn} of {all} trials are drawn and {finished} finished, in {root}")
        }
        None => format!("{finished} of {} runs are finished, in {root}", lines.len()),
    })?;
    for Invalid { label, reason } in &experiment.comparison().invalid {
        note!("cannot be trained: {label}: {reason}");
    }
    Ok(Done::All)
}

/// Shows how far an experiment is: a line for what is news, and a bar with the rest.
struct Show {
    observer: Observer,
    bar: Option<ProgressBar>,
    /// What Ctrl-C sets once runs begin.
    on_start: Option<Interrupt>,
    /// Whether Ctrl-C could be caught.
    signals: anyhow::Result<()>,
}

impl Default for Show {
    fn default() -> Self {
        Self { observer: Observer::default(), bar: None, on_start: None, signals: Ok(()) }
    }
}

impl Show {
    fn tell(&mut self, event: CompareEvent<'_>) {
        match event {
            CompareEvent::App(event) => self.observer.tell(event),
            CompareEvent::Starting { comparison, root } => {
                announce(comparison, root);
                if let Some(interrupt) = self.on_start.take() {
                    self.signals = interrupt_on_signals(interrupt);
                }
            }
            CompareEvent::Skipped(skipped) => note_skipped(skipped),
            CompareEvent::RunStart { position, seconds_left } => {
                self.bar = Some(working(position));
                let left = seconds_left.map_or_else(String::new, |left| format!(" ({} left)", about(left)));
                self.say(&format!("{position}{left}"));
            }
            CompareEvent::RunSaid { position, line, seconds_left } => {
                let is_epoch = line.starts_with("epoch ");
                if is_epoch
                    || ["resuming ", "stopped ", "finishing ", "scenario ", "pruned "]
                        .iter()
                        .any(|word| line.starts_with(word))
                {
                    self.say(&format!("  {line}"));
                }
                let newest = if is_epoch { line.split("  ").collect::<Vec<_>>().join(" ") } else { String::new() };
                let left = seconds_left.map_or_else(String::new, |left| format!("; {} left", about(left)));
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("{position}{left}; {newest}"));
                }
            }
            CompareEvent::RunEnd => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            CompareEvent::Resampling(position) => note!("{position}"),
            CompareEvent::RunFailed(reason) => note!("  failed: {reason}"),
        }
    }

    /// A line above the bar, or in the file that standard error goes to.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note!("{line}")),
            None => note!("{line}"),
        }
    }
}

fn about(seconds: f64) -> String {
    format!("about {}", HumanDuration(Duration::from_secs_f64(seconds)))
}

fn announce(comparison: &Comparison, root: &Path) {
    let cells = comparison.cells();
    let what = match comparison.kind {
        ExperimentKind::Compare => "models",
        ExperimentKind::Sweep => "combinations",
    };
    match &comparison.search {
        Some(search) => {
            let drawn = match cells.len() {
                0 => String::new(),
                drawn => format!(" ({drawn} are drawn already)"),
            };
            note!(
                "{} trials, drawn by sweep.method = \"{}\"{drawn}, in {}",
                search.trials,
                search.method.name(),
                root.display()
            );
        }
        None => note!("{} {what}, {} runs, in {}", comparison.variants.len(), cells.len(), root.display()),
    }
    let grid = comparison.search.is_none();
    for variant in comparison.variants.iter().filter(|variant| grid && !variant.left_out.is_empty()) {
        note!("left out for {}, which has no such option: {}", variant.label, variant.left_out.join(", "));
    }
    // Those of a search were told when they were drawn.
    comparison.skipped.iter().filter(|_| grid).for_each(note_skipped);
}

fn note_skipped(Invalid { label, reason }: &Invalid) {
    note!("skipped, as it cannot be trained: {label}: {reason}");
}

/// Passes Ctrl-C on to the run that trains.
fn interrupt_on_signals(interrupt: Interrupt) -> anyhow::Result<()> {
    on_interrupt(move || {
        if interrupt.interrupt() {
            note!("\nstopping: the run that trains writes its checkpoint (Ctrl-C again to stop at once)");
        }
    })
}

/// The command that goes on.
fn command(kind: ExperimentKind, args: &CompareArgs) -> String {
    let mut words = vec![format!("polyscene {}", kind.section()), quote(&args.config.to_string_lossy())];
    words.extend(set_words(&args.sets.sets));
    words.extend(args.device.words());
    if let Some(out) = &args.out {
        words.push(format!("--out {}", quote(&out.to_string_lossy())));
    }
    words.extend(args.only.iter().map(|label| format!("--only {}", quote(label))));
    words.join(" ")
}

fn set_words(sets: &[String]) -> Vec<String> {
    sets.iter().map(|set| format!("--set {}", quote(set))).collect()
}
