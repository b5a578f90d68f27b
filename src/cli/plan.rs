//! `polyscene plan`.

use std::path::PathBuf;

use clap::Args;

use super::Sets;
use super::exit::Done;
use super::observer::Observer;
use super::print::{print_json, print_line};
use crate::app::{Opened, TuningChoice, open_config, tuned};
use crate::config::Config;
use crate::gpu::{DeviceChoice, DeviceClass, Gpu, OpenOptions, Selection, select};
use crate::plan::{DispatchLimits, GpuOptions, Listing, Plan};
use crate::report::table::{TableStyle, draw};
use crate::train::Error;
use crate::train::model::training_options;

#[derive(Args)]
pub(super) struct PlanArgs {
    /// The configuration
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the plan as it is before fusion, to see what that does
    #[arg(long)]
    unfused: bool,
    /// The family of kernels, where no device is named: those for GPUs or those for software renderers
    #[arg(long, value_name = "hardware|software", default_value = "hardware")]
    class: DeviceClass,
    /// List what a device of this machine gets, by what is known of it; no trial is made
    #[arg(long, value_name = "auto|software|N|NAME", conflicts_with = "class")]
    device: Option<DeviceChoice>,
    #[command(flatten)]
    tuning: super::Tuning,
    /// List each node as a dispatch of its own, to see what segments do
    #[arg(long)]
    no_segments: bool,
    #[command(flatten)]
    sets: Sets,
}

pub(super) fn run(args: &PlanArgs) -> anyhow::Result<Done> {
    let config = Config::load(&args.config, &args.sets.sets).map_err(Error::from)?;
    let mut observer = Observer::default();
    let opened = open_config(config, &mut |event| observer.tell(event))?;
    let make = if args.unfused { Plan::unfused_training } else { Plan::training };
    let plan = make(&opened.model.graph, &training_options(&opened.config.train));
    if let Err(error) = plan.check_on_device(&DispatchLimits::portable(), "the least of devices") {
        note!("warning: not every device can train this: {error}");
    }
    let mut limits = limits(args, &opened)?;
    limits.tuning.segments &= !args.no_segments;
    let listing = plan.listing(&limits);
    if args.json {
        print_json(&listing)?
    } else {
        print_line(&text(&listing))?
    }
    Ok(Done::All)
}

/// What the plan is lowered for.
fn limits(args: &PlanArgs, opened: &Opened) -> Result<DispatchLimits, Error> {
    let options = training_options(&opened.config.train);
    let portable = DispatchLimits::new(DispatchLimits::portable().binding_bytes, args.class);
    let limits = match (args.device.as_ref().map(select).transpose()?, &args.tuning.tuning) {
        (Some(Selection::Adapter(adapter, summary)), tuning) => {
            let gpu = Gpu::open(&adapter, *summary, OpenOptions::default())?;
            let tuned = tuned::known(tuning, &gpu, &opened.model.graph, &options)?;
            GpuOptions { tuning: Some(tuned.tuning), ..GpuOptions::default() }.limits(&gpu)
        }
        (_, TuningChoice::File(path)) => DispatchLimits { tuning: tuned::load(path)?.tuning, ..portable },
        _ => portable,
    };
    Ok(DispatchLimits { tuning: limits.tuning.resolved(options.capacity), ..limits })
}

fn text(listing: &Listing) -> String {
    let heads = ["#", "name", "operation", "shape", "MFLOP", "KiB", "threads", "buffers"];
    let lines: Vec<Vec<String>> = listing
        .dispatches
        .iter()
        .enumerate()
        .map(|(i, dispatch)| {
            vec![
                (i + 1).to_string(),
                dispatch.name.clone(),
                dispatch.operation.clone(),
                dispatch.shape.clone(),
                format!("{:.2}", dispatch.flops as f64 / 1e6),
                format!("{:.0}", dispatch.bytes as f64 / 1024.0),
                dispatch.threads.to_string(),
                dispatch.buffers.join(", "),
            ]
        })
        .collect();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64);
    let memory = &listing.memory;
    format!(
        "{}\n{} dispatches, {:.1} MFLOP, {} moved per step of {} rows\n{}\nmemory: {} in all: parameters {}, embedding tables \
         {}, activations {} in {} arenas, batches {} per step in flight",
        draw(&heads, &lines, TableStyle::for_stdout()),
        listing.dispatches.len(),
        listing.flops as f64 / 1e6,
        mib(listing.bytes),
        listing.batch_size,
        listing.tuning,
        mib(memory.total),
        mib(memory.parameters),
        mib(memory.tables),
        mib(memory.activations),
        listing.buffers.len(),
        mib(memory.batch_bytes),
    )
}
