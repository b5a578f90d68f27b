//! What `compare` and `sweep` have in common: cells trained one after another, and the tables of those that are done.

mod checks;
mod folder;
mod training;

use std::path::{Path, PathBuf};

use clap::Args;

use self::checks::{check_only, check_variants};
use self::folder::{begin, check_root, is_ours};
use self::training::Training;
use super::exit::Done;
use super::opened::{absolute, bases, print_line, report_left_out};
use super::shell::quote;
use super::{Device, Sets};
use crate::report::comparison::{text, write_files};
use crate::report::html::write_report;
use crate::report::table::{TableStyle, draw_marked};
use crate::train::Error;
use crate::train::comparison::{Cell, Comparison, Invalid, Kind, State, Summaries, Variant};
use crate::train::lock::FolderLock;

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
    report_left_out(&comparison.left_out);
    check_only(&comparison, &args.only)?;
    let root = args.root(kind);
    check_root(kind, &root)?;
    if args.dry_run {
        return list(&comparison, args, &root);
    }
    comparison.settle(Vec::new())?;
    // A folder that is there may have another process in it; one that is not is made once it is known to be needed.
    let lock = root.is_dir().then(|| FolderLock::take(&root)).transpose()?;
    let states = states(&comparison, &root)?;
    let unfinished =
        |variant: &Variant| states.iter().any(|(label, _, state)| *label == variant.label && *state != State::Finished);
    let invalid = check_variants(&comparison, &bases, &root, &unfinished)?;
    comparison.settle(invalid)?;
    let _lock = begin(&comparison, &root, lock)?;
    announce(&comparison, &root);

    let mut training = Training::new(args, &root)?;
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

/// Label, seed and state of every cell.
fn states<'a>(comparison: &'a Comparison, root: &Path) -> Result<Vec<(&'a str, u64, State)>, Error> {
    let state = |cell: &Cell<'a>| Ok((cell.variant.label.as_str(), cell.seed, cell.state(root)?));
    comparison.cells().iter().map(state).collect()
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
        note!("left out for {}, which has no such option: {}", variant.label, variant.left_out.join(", "));
    }
    for Invalid { label, reason } in &comparison.skipped {
        note!("skipped, as it cannot be trained: {label}: {reason}");
    }
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
