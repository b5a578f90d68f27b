//! `polyscene tune`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::exit::Done;
use super::observer::Observer;
use super::print::{print_json, print_line};
use super::{Device, Sets};
use crate::app::{open_config, open_options, tuned};
use crate::config::Config;
use crate::gpu::{Gpu, Selection, select};
use crate::report::table::{TableStyle, draw};
use crate::train::Error;
use crate::train::model::training_options;
use crate::train::run::folder::write_json;
use crate::tune::{Tuned, TuningEffort, tune};

#[derive(Args)]
pub(super) struct TuneArgs {
    /// The configuration
    config: PathBuf,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
    /// How long it may take; what is being tried then is finished
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(SECONDS))]
    seconds: u32,
    /// Also write the choice to a file, for `train --tuning`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const SECONDS: RangeInclusive<i64> = 1..=86_400;

pub(super) fn run(args: &TuneArgs) -> anyhow::Result<Done> {
    let config = Config::load(&args.config, &args.sets.sets).map_err(Error::from)?;
    let Selection::Adapter(adapter, summary) = select(&args.device.device).map_err(Error::from)? else {
        anyhow::bail!("there is no GPU to tune for: the CPU has but one choice of kernels; see `polyscene devices`");
    };
    let mut observer = Observer::default();
    let opened = open_config(config, &mut |event| observer.tell(event))?;
    let gpu = Gpu::open(&adapter, *summary, open_options()).map_err(Error::from)?;
    let effort = TuningEffort::thorough(Duration::from_secs(args.seconds.into()));
    let sign = super::progress::working("trying kernels");
    let options = training_options(&opened.config.train);
    let found = tune(&gpu, &opened.model.graph, &options, &effort, &mut |tried| {
        sign.set_message(format!("trying kernels, last {}", tried.tuning));
    });
    sign.finish_and_clear();
    let found = found?;
    tuned::remember(&found);
    gpu.keep_pipelines();
    if let Some(out) = &args.out {
        write_json(out, &found)?;
    }
    if args.json {
        print_json(&found)?;
    } else {
        print_line(&text(&found))?;
    }
    Ok(Done::All)
}

fn text(found: &Tuned) -> String {
    let lines: Vec<Vec<String>> = found
        .tried
        .iter()
        .map(|tried| {
            let time = tried.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.3}", seconds * 1e3));
            let part = tried.of_best.map_or_else(String::new, |part| format!("{part:.2}"));
            let chosen = if tried.tuning == found.tuning { "chosen" } else { "" };
            let verdict = tried.fault.as_ref().map_or_else(|| chosen.to_owned(), |fault| format!("left out: {fault}"));
            vec![tried.tuning.to_string(), time, part, verdict]
        })
        .collect();
    let rest = if found.complete { "" } else { "\ntime was up before all was tried: give more --seconds" };
    format!(
        "{}\n{}{rest}",
        draw(&["kernels", "ms a step", "of the best so far", ""], &lines, TableStyle::for_stdout()),
        found.device
    )
}
