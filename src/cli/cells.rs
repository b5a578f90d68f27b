//! What `compare` and `sweep` have in common: cells trained one after another, and the tables of those that are done.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{HumanDuration, ProgressBar};

use super::exit::Done;
use super::opened::{absolute, bases, build_on, generate_missing, load_vocabularies, open, print_line};
use super::progress::working;
use super::shell::quote;
use super::signals::on_interrupt;
use super::{Device, Sets};
use crate::data::{Dataset, Schema};
use crate::report::comparison::{text, write_files};
use crate::report::html::{CELLS, write_report};
use crate::report::table::{TableStyle, draw_marked};
use crate::train::comparison::{
    Cell, Comparison, Ending, Interrupt, Invalid, Kind, State, Summaries, Variant, train_cell,
};
use crate::train::config::{ConfigError, nearest};
use crate::train::folder::{RunFolder, write_text};
use crate::train::statistics::mean;
use crate::train::{Error, check_validation};

#[derive(Args)]
pub(super) struct CellsArgs {
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

impl CellsArgs {
    /// The folder asked for; that of the resolved configuration, where this is one; else one named after the file.
    fn root(&self, kind: Kind) -> PathBuf {
        let beside = self.config.parent().unwrap_or(Path::new(""));
        if self.out.is_none()
            && self.config.file_name().is_some_and(|name| name == kind.file())
            && is_ours(kind, beside)
        {
            return if beside == Path::new("") { PathBuf::from(".") } else { beside.to_owned() };
        }
        let stem = self.config.file_stem().map_or_else(|| "comparison".into(), |stem| stem.to_string_lossy());
        self.out.clone().unwrap_or_else(|| Path::new("runs").join(stem.as_ref()))
    }

    fn wants(&self, cell: &Cell<'_>) -> bool {
        self.only.is_empty() || self.only.contains(&cell.variant.label)
    }
}

/// Trains what is not finished yet, and prints the table.
pub(super) fn run_cells(kind: Kind, args: &CellsArgs) -> anyhow::Result<Done> {
    let bases = bases(&args.config);
    let mut comparison = Comparison::load(kind, &args.config, &args.sets.sets, &|path| absolute(path, &bases))?;
    check_only(&comparison, &args.only)?;
    let root = args.root(kind);
    check_root(kind, &root)?;
    if args.dry_run {
        return list(&comparison, args, &root);
    }
    comparison.settle(Vec::new())?;
    let states = states(&comparison, &root)?;
    let unfinished =
        |variant: &Variant| states.iter().any(|(label, _, state)| *label == variant.label && *state != State::Finished);
    let invalid = check_variants(&comparison, &bases, &root, &unfinished)?;
    comparison.settle(invalid)?;
    std::fs::create_dir_all(&root).map_err(Error::file(&root, "making the folder"))?;
    write_text(&root.join(kind.file()), &format!("{RESOLVED}\n\n{}", comparison.to_toml()?))?;
    announce(&comparison, &root);

    let interrupt = interrupt_on_signals()?;
    let mut training = Training { args, root: &root, interrupt: &interrupt, failed: Vec::new() };
    let interrupted = training.run(&comparison)?;
    let failed = training.failed;
    let summaries = conclude(&comparison, &root)?;
    if summaries.standings.iter().any(|standing| standing.seeds[0] > 0) {
        print_line(&text(&summaries, TableStyle::for_stdout()))?;
    }
    if let Some(best) = summaries.best() {
        print_line(&format!("\nbest by validation: {}\n  {}", best.label, set_words(&best.sets).join(" ")))?;
    }
    note!("tables and runs are in {}", root.display());
    if let Some(position) = interrupted {
        note!("stopped in {position}; finished runs are kept. Go on with:");
        note!("  {}", command(kind, args));
        return Ok(Done::Interrupted);
    }
    if failed.is_empty() {
        return Ok(Done::All);
    }
    let (count, runs) = (failed.len(), if failed.len() == 1 { "run" } else { "runs" });
    anyhow::bail!("{count} {runs} failed:\n{}\nto try them again: {}", failed.join("\n"), command(kind, args));
}

/// What is left behind in the end: tables, and the page of pictures where a cell is finished.
fn conclude(comparison: &Comparison, root: &Path) -> Result<Summaries, Error> {
    let summaries = write_files(comparison, root)?;
    if summaries.standings.iter().any(|standing| standing.seeds[0] > 0)
        && let Err(error) = write_report(root)
    {
        // The comparison is whole without it, and `report` makes it again.
        note!("warning: no report: {error}");
    }
    Ok(summaries)
}

/// Trains cells one after another.
struct Training<'a> {
    args: &'a CellsArgs,
    root: &'a Path,
    interrupt: &'a Interrupt,
    /// What became of those that have no result.
    failed: Vec<String>,
}

impl Training<'_> {
    /// Trains all cells that are not finished; says in which one it was interrupted, if it was.
    fn run(&mut self, comparison: &Comparison) -> anyhow::Result<Option<String>> {
        let program = std::env::current_exe().context("finding this program, to train each run by it")?;
        let device = ["--device".to_owned(), self.args.device.device.to_string()];
        let cells = comparison.cells();
        let wanted: Vec<&Cell<'_>> = cells.iter().filter(|cell| self.args.wants(cell)).collect();
        let mut clock = Clock::new(comparison, self.root)?;
        for (number, cell) in wanted.iter().enumerate() {
            let state = cell.state(self.root)?;
            if state == State::Finished {
                continue;
            }
            let position =
                format!("run {} of {}: {}, seed {}", number + 1, wanted.len(), cell.variant.label, cell.seed);
            if self.interrupt.is_set() {
                return Ok(Some(position));
            }
            let left: Vec<&str> = wanted[number..]
                .iter()
                .filter(|cell| !cell.run(self.root).result().is_file())
                .map(|cell| cell.variant.label.as_str())
                .collect();
            clock.begin(&left);
            let bar = working(&position);
            say(
                &bar,
                &format!("{position}{}", clock.left().map_or_else(String::new, |left| format!(" ({left} left)"))),
            );
            let mut show = |line: &str| {
                let is_epoch = line.starts_with("epoch ");
                let is_news =
                    is_epoch || ["resuming ", "stopped ", "finishing "].iter().any(|word| line.starts_with(word));
                if is_news {
                    say(&bar, &format!("  {line}"));
                }
                let newest = if is_epoch { line.split("  ").collect::<Vec<_>>().join(" ") } else { String::new() };
                let left = clock.left().map_or_else(String::new, |left| format!("; {left} left"));
                bar.set_message(format!("{position}{left}; {newest}"));
            };
            let ending = train_cell(cell, state, &program, self.root, &device, self.interrupt, &mut show);
            bar.finish_and_clear();
            match ending? {
                Ending::Finished => {
                    clock.end(&cell.variant.label);
                    write_files(comparison, self.root)?;
                }
                Ending::Interrupted => return Ok(Some(position)),
                Ending::Failed(reason) => {
                    let log = cell.log_file(self.root);
                    note!("  failed: {reason}");
                    let (label, seed) = (&cell.variant.label, cell.seed);
                    self.failed.push(format!("  {label}, seed {seed}: {reason} (all that it said: {})", log.display()));
                }
            }
        }
        Ok(None)
    }
}

/// A line above the bar, or in the file that standard error goes to.
fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| note!("{line}"));
}

/// Foretells how long the rest takes, from how long the same model's other runs took.
struct Clock {
    taken: HashMap<String, Vec<f64>>,
    started: Instant,
    /// Seconds foretold for the present cell and those after it.
    foretold: Option<f64>,
}

impl Clock {
    /// Knows of the cells that are finished.
    fn new(comparison: &Comparison, root: &Path) -> Result<Self, Error> {
        let mut clock = Self { taken: HashMap::new(), started: Instant::now(), foretold: None };
        for outcome in comparison.outcomes(root)? {
            if let Some(seconds) = outcome.result.train_seconds {
                clock.taken.entry(outcome.label).or_default().push(seconds);
            }
        }
        Ok(clock)
    }

    fn begin(&mut self, labels: &[&str]) {
        self.started = Instant::now();
        let all: Vec<f64> = self.taken.values().flatten().copied().collect();
        let own = |label: &str| self.taken.get(label).and_then(|own| mean(own));
        self.foretold = mean(&all).map(|any| labels.iter().map(|label| own(label).unwrap_or(any)).sum());
    }

    fn end(&mut self, label: &str) {
        self.taken.entry(label.to_owned()).or_default().push(self.started.elapsed().as_secs_f64());
    }

    /// In words, if there is anything to go by.
    fn left(&self) -> Option<String> {
        let seconds = (self.foretold? - self.started.elapsed().as_secs_f64()).max(0.0);
        Some(format!("about {}", HumanDuration(Duration::from_secs_f64(seconds))))
    }
}

/// Label, seed and state of every cell.
fn states<'a>(comparison: &'a Comparison, root: &Path) -> Result<Vec<(&'a str, u64, State)>, Error> {
    let state = |cell: &Cell<'a>| Ok((cell.variant.label.as_str(), cell.seed, cell.state(root)?));
    comparison.cells().iter().map(state).collect()
}

/// Opens the data of variants that are still to be trained, each once, and builds their models: what cannot be trained
/// is known before anything runs.
fn check_variants(
    comparison: &Comparison,
    bases: &[PathBuf],
    root: &Path,
    unfinished: &dyn Fn(&Variant) -> bool,
) -> Result<Vec<Invalid>, Error> {
    let mut invalid = Vec::new();
    let mut waiting: Vec<&Variant> = comparison.variants.iter().filter(|variant| unfinished(variant)).collect();
    while let Some(first) = waiting.first() {
        let table = first.config.data.clone();
        let schema: Schema = first.config.data()?;
        generate_missing(&first.config, &schema, bases)?;
        let of_table = |variant: &&Variant| variant.config.data == table;
        let refused =
            |variant: &Variant, error: &Error| Invalid { label: variant.label.clone(), reason: error.to_string() };
        let own = waiting.iter().copied().filter(of_table);
        match open(&schema, bases) {
            Ok(data) => {
                invalid.extend(own.filter_map(|variant| {
                    check_variant(comparison.kind, variant, &data).err().map(|error| refused(variant, &error))
                }));
                // Those that are finished as well: a new model must not stand beside old ones of other data.
                for variant in comparison.variants.iter().filter(of_table) {
                    check_same_data(comparison, variant, root, &data)?;
                }
            }
            // What is wrong for all is no fault of one.
            Err(error) if comparison.variants.iter().all(|variant| of_table(&variant)) => return Err(error),
            Err(error) => invalid.extend(own.map(|variant| refused(variant, &error))),
        }
        waiting.retain(|variant| !of_table(variant));
    }
    Ok(invalid)
}

/// That a variant can be trained on this data.
fn check_variant(kind: Kind, variant: &Variant, data: &Dataset) -> Result<(), Error> {
    let mut config = variant.config.clone();
    build_on(&mut config, data)?;
    check_validation(&config.train, &data.valid)?;
    if kind == Kind::Sweep && data.valid.is_empty() {
        let expected = "validation rows, by which a sweep chooses";
        return Err(ConfigError::value(config.file(), "data.split", expected, "none").into());
    }
    Ok(())
}

/// That a finished cell was trained on the data as it is now: one table must not be of two.
fn check_same_data(comparison: &Comparison, variant: &Variant, root: &Path, data: &Dataset) -> Result<(), Error> {
    for cell in comparison.cells().iter().filter(|cell| cell.variant.label == variant.label) {
        if cell.state(root)? != State::Finished {
            continue;
        }
        let run = cell.run(root);
        if !load_vocabularies(&run)?.same_codes(&data.encoder) {
            let reason = "was trained on other data (its vocabularies or statistics have changed since); give another \
                          --out, or remove the folder to train this cell anew";
            return Err(Error::Folder { folder: run.root().to_owned(), reason: reason.to_owned() });
        }
        // One of each variant will do: vocabularies may be large.
        return Ok(());
    }
    Ok(())
}

fn check_only(comparison: &Comparison, only: &[String]) -> Result<(), Error> {
    let labels: Vec<&str> = comparison.variants.iter().map(|variant| variant.label.as_str()).collect();
    for label in only {
        if labels.contains(&label.as_str()) {
            continue;
        }
        let near = nearest(label, &labels).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        let expected = format!("one of the labels {}{near}", labels.join(", "));
        return Err(ConfigError::value("the command line", "--only", &expected, &format!("\"{label}\"")).into());
    }
    Ok(())
}

/// The first line of a resolved configuration, by which it is told from one that somebody wrote.
const RESOLVED: &str = "# Written by polyscene: the configuration of this folder's runs, as it was understood.";

/// Whether the folder's resolved configuration was written by this program, or, before it had a first line, stands beside
/// cells.
fn is_ours(kind: Kind, root: &Path) -> bool {
    std::fs::read_to_string(root.join(kind.file())).is_ok_and(|text| text.starts_with(RESOLVED))
        || root.join(kind.file()).is_file() && root.join(CELLS).is_file()
}

/// That the folder is not something else's.
fn check_root(kind: Kind, root: &Path) -> Result<(), Error> {
    let other =
        [Kind::Compare, Kind::Sweep].into_iter().find(|&other| other != kind && root.join(other.file()).is_file());
    let what = match other {
        Some(other) => format!("holds what `{}` made ({})", other.section(), other.file()),
        None if RunFolder::new(root).is_taken() => "holds a run".to_owned(),
        None if root.join(kind.file()).exists() && !is_ours(kind, root) => {
            format!("holds a {} of yours, which would be replaced", kind.file())
        }
        None => return Ok(()),
    };
    Err(Error::Folder { folder: root.to_owned(), reason: format!("{what}; give another --out") })
}

/// `--dry-run`.
fn list(comparison: &Comparison, args: &CellsArgs, root: &Path) -> anyhow::Result<Done> {
    let mut lines = Vec::new();
    let mut finished = 0;
    for cell in comparison.cells().iter().filter(|cell| args.wants(cell)) {
        let state = match cell.state(root) {
            Ok(state) => state.word(),
            Err(error) => {
                note!("{error}");
                "changed"
            }
        };
        finished += usize::from(state == State::Finished.word());
        let words = [cell.variant.label.clone(), cell.seed.to_string(), state.to_owned()];
        lines.push(words.into_iter().chain([cell.folder()]).map(Into::into).collect::<Vec<_>>());
    }
    let heads = ["label", "seed", "state", "folder"];
    print_line(&draw_marked(&heads, &lines, TableStyle::for_stdout()))?;
    print_line(&format!("{finished} of {} runs are finished, in {}", lines.len(), root.display()))?;
    for Invalid { label, reason } in &comparison.invalid {
        note!("cannot be trained: {label}: {reason}");
    }
    Ok(Done::All)
}

fn announce(comparison: &Comparison, root: &Path) {
    let cells = comparison.cells();
    let what = match comparison.kind {
        Kind::Compare => "models",
        Kind::Sweep => "combinations",
    };
    note!("{} {what}, {} runs, in {}", comparison.variants.len(), cells.len(), root.display());
    for variant in comparison.variants.iter().filter(|variant| !variant.left_out.is_empty()) {
        let options = variant.left_out.join(", model.");
        note!("left out for {}, as {} has no such option: model.{options}", variant.label, variant.config.model_name());
    }
    for Invalid { label, reason } in &comparison.skipped {
        note!("skipped, as it cannot be trained: {label}: {reason}");
    }
}

/// Passes Ctrl-C on to the run that trains.
fn interrupt_on_signals() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let handed = interrupt.clone();
    on_interrupt(move || {
        if handed.interrupt() {
            note!("\nstopping: the run that trains writes its checkpoint (Ctrl-C again to stop at once)");
        }
    })?;
    Ok(interrupt)
}

/// The command that goes on.
fn command(kind: Kind, args: &CellsArgs) -> String {
    let mut words = vec![format!("polyscene {}", kind.section()), quote(&args.config.to_string_lossy())];
    words.extend(set_words(&args.sets.sets));
    if args.device.device != crate::gpu::DeviceChoice::Auto {
        words.push(format!("--device {}", quote(&args.device.device.to_string())));
    }
    if let Some(out) = &args.out {
        words.push(format!("--out {}", quote(&out.to_string_lossy())));
    }
    words.extend(args.only.iter().map(|label| format!("--only {}", quote(label))));
    words.join(" ")
}

fn set_words(sets: &[String]) -> Vec<String> {
    sets.iter().map(|set| format!("--set {}", quote(set))).collect()
}
