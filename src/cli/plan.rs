//! `polyscene plan`.

use std::path::PathBuf;

use clap::Args;

use super::Sets;
use super::exit::Done;
use super::observer::Observer;
use super::print::{print_json, print_line};
use crate::app::open_config;
use crate::config::Config;
use crate::gpu::DeviceClass;
use crate::plan::{DispatchLimits, Listing, Plan};
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
    /// The family of kernels: those for GPUs or those for software renderers
    #[arg(long, value_name = "hardware|software", default_value = "hardware")]
    class: DeviceClass,
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
    let limits = DispatchLimits::new(DispatchLimits::portable().binding_bytes, args.class);
    let listing = plan.listing(&DispatchLimits { segments: !args.no_segments, ..limits });
    if args.json {
        print_json(&listing)?
    } else {
        print_line(&text(&listing))?
    }
    Ok(Done::All)
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
        "{}\n{} dispatches, {:.1} MFLOP, {} moved per step of {} rows\nmemory: {} in all: parameters {}, embedding tables \
         {}, activations {} in {} arenas, batches {} per step in flight",
        draw(&heads, &lines, TableStyle::for_stdout()),
        listing.dispatches.len(),
        listing.flops as f64 / 1e6,
        mib(listing.bytes),
        listing.batch_size,
        mib(memory.total),
        mib(memory.parameters),
        mib(memory.tables),
        mib(memory.activations),
        listing.buffers.len(),
        mib(memory.batch_bytes),
    )
}
