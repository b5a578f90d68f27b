//! `polyscene eval`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Done;
use super::observer::Observer;
use super::print::{print_json, print_line};
use super::{Device, MaxUnknown, Sets};
use crate::app::{BootstrapOptions, Detail, Evaluation, NewData, Run, RunOptions};
use crate::data::SplitName;
use crate::report::table::{TableStyle, group_table, grouped, interval_table, scenario_table};
use crate::train::evaluation::bootstrap::Unit;

#[derive(Args)]
pub(super) struct EvalArgs {
    /// The run's folder
    run: PathBuf,
    /// Another file, glob or folder with the same columns [default: the run's own data]
    #[arg(long, value_name = "FILE", conflicts_with = "split")]
    data: Option<String>,
    /// Which rows of the run's own data: train, valid or test
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = parse_split)]
    split: SplitName,
    /// Also the metrics by the values of this column, whether the model reads it or not; may be given several times
    #[arg(long, value_name = "COLUMN")]
    by: Vec<String>,
    /// How many values of a column have lines of their own: the commonest; the rest have one together. More numbers that are
    /// no categories come in ten buckets
    #[arg(long, value_name = "N", default_value_t = Detail::default().slices, requires = "by", value_parser = parse_count)]
    slices: usize,
    /// Also 95 % intervals of the metrics, from this many resamples of the rows (1000, say)
    #[arg(long, value_name = "RESAMPLES", value_parser = parse_count)]
    bootstrap: Option<usize>,
    /// What a resample draws [default: users, where the data has data.user; else rows]
    #[arg(long, value_name = "rows|users", requires = "bootstrap", value_parser = parse_unit)]
    bootstrap_by: Option<Unit>,
    /// What the draws are a function of [default: the run's seed]
    #[arg(long, value_name = "SEED", requires = "bootstrap")]
    bootstrap_seed: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown: MaxUnknown,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
}

pub(super) fn parse_split(text: &str) -> Result<SplitName, String> {
    SplitName::ALL
        .into_iter()
        .find(|split| split.to_string() == text)
        .ok_or_else(|| "expected train, valid or test".to_owned())
}

pub(super) fn parse_count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| format!("expected a number from 1 to {MOST}"))
}

/// The most resamples and slices, each of which is kept in memory.
const MOST: usize = 100_000;

fn parse_unit(text: &str) -> Result<Unit, String> {
    [Unit::Rows, Unit::Users]
        .into_iter()
        .find(|unit| unit.to_string() == text)
        .ok_or_else(|| "expected rows or users".to_owned())
}

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<Done> {
    let mut observer = Observer::default();
    let options = RunOptions { device: args.device.device.clone(), sets: args.sets.sets.clone() };
    let mut run = Run::open_with(&args.run, &options, &mut |event| observer.tell(event))?;
    let bootstrap = args.bootstrap.map(|resamples| BootstrapOptions {
        resamples,
        unit: args.bootstrap_by,
        seed: args.bootstrap_seed,
    });
    let detail = Detail { by: args.by.clone(), slices: args.slices, bootstrap };
    let mut tell = |event: crate::app::Event<'_>| observer.tell(event);
    let evaluation = match &args.data {
        Some(data) => {
            let data = NewData::Path(data.clone());
            run.evaluate_data_in_detail(&data, args.unknown.max_unknown, &detail, &mut tell)
        }
        None => run.evaluate_in_detail(args.split, &detail, &mut tell),
    }?;
    if args.json {
        print_json(&evaluation)?;
    } else {
        print_line(&text(&evaluation, TableStyle::for_stdout()))?;
    }
    Ok(Done::All)
}

/// All tables, one after another.
fn text(evaluation: &Evaluation, style: TableStyle) -> String {
    let Evaluation { metrics, best_reachable, bootstrap, slices, .. } = evaluation;
    let mut blocks = vec![scenario_table(metrics, best_reachable.as_ref(), style)];
    for sliced in slices {
        let groups = sliced.groups.iter();
        let groups: Vec<_> = groups.map(|own| (own.name.as_str(), &own.metrics, own.best_reachable.as_ref())).collect();
        blocks.push(group_table(&sliced.column, &groups, (metrics, best_reachable.as_ref()), style));
    }
    if let Some(found) = bootstrap {
        let drawn = format!(
            "95 % intervals, from {} resamples of the {} {} (seed {})",
            grouped(found.resamples as u64),
            grouped(found.units as u64),
            found.by,
            found.seed
        );
        let all = [("all", &found.all)];
        let scenarios = found.scenarios.iter().map(|(name, own)| (name.as_str(), own)).chain(all);
        blocks.push(format!("{drawn}:\n{}", interval_table("scenario", &scenarios.collect::<Vec<_>>(), style)));
        for sliced in slices {
            let groups = sliced.groups.iter();
            let groups = groups.filter_map(|own| Some((own.name.as_str(), own.intervals.as_ref()?))).chain(all);
            blocks.push(interval_table(&sliced.column, &groups.collect::<Vec<_>>(), style));
        }
    }
    blocks.join("\n\n")
}
