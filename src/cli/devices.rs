//! `polyscene devices`.

use clap::Args;

use super::exit::Done;
use super::print::{print_json, print_line};
use crate::app::checked;
use crate::check::{Check, CheckReport, check};
use crate::gpu::{DeviceChoice, DeviceClass, Error, Gpu, OpenOptions, Selection, adapters, select};
use crate::report::table::{TableStyle, draw};
use crate::train;

#[derive(Args)]
pub(super) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Check a device instead: compare its results with the CPU's, operation by operation and for ten steps of each system
    #[arg(long, value_name = "auto|software|N|NAME", num_args = 0..=1, default_missing_value = "auto")]
    check: Option<DeviceChoice>,
    /// With --check, the family of kernels instead of the one for the kind of device: hardware or software
    #[arg(long, value_name = "hardware|software", requires = "check")]
    class: Option<DeviceClass>,
}

pub(super) fn run(args: &DevicesArgs) -> anyhow::Result<Done> {
    if let Some(choice) = &args.check {
        return prove(choice, args);
    }
    let adapters = adapters::list();
    if args.json {
        print_json(&adapters)?;
        return Ok(Done::All);
    }
    let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let mut lines = vec![cpu_line()];
    lines.extend(adapters.iter().map(|adapter| {
        vec![
            adapter.index.to_string(),
            adapter.name.clone(),
            adapter.kind.to_string(),
            adapter.backend.clone(),
            format!("{} {}", adapter.driver, adapter.driver_info),
            mib(adapter.limits.max_storage_buffer_binding_size),
            mib(adapter.limits.max_buffer_size),
            yes(adapter.f16),
            adapter.subgroup_sizes.map_or_else(
                || "-".to_owned(),
                |(low, high)| {
                    if low == high { low.to_string() } else { format!("{low}-{high}") }
                },
            ),
        ]
    }));
    let heads = ["device", "name", "type", "backend", "driver", "binding", "buffer", "f16", "subgroup"];
    print_line(&draw(&heads, &lines, TableStyle::for_stdout()))?;
    if adapters.is_empty() {
        note!("no Vulkan, Metal or DX12 adapter was found: `--device auto` uses the CPU");
    }
    Ok(Done::All)
}

fn cpu_line() -> Vec<String> {
    let threads = rayon::current_num_threads();
    let mut line = vec!["cpu".to_owned(), format!("CPU executor, {threads} threads"), "cpu".to_owned()];
    line.extend(std::iter::repeat_n("-".to_owned(), 6));
    line
}

/// `--check`.
fn prove(choice: &DeviceChoice, args: &DevicesArgs) -> anyhow::Result<Done> {
    let Selection::Adapter(adapter, summary) = select(choice).map_err(train::Error::from)? else {
        anyhow::bail!("there is no GPU to check: the CPU is what devices are compared with; see `polyscene devices`");
    };
    let gpu = Gpu::open(&adapter, (*summary).clone(), OpenOptions::default()).map_err(train::Error::from)?;
    let mut done = 0;
    let bar = super::progress::counted(0, "checking");
    let report = check(&gpu, args.class, &mut |check, count| {
        done += 1;
        bar.set_length(count as u64);
        bar.set_position(done);
        bar.set_message(check.name.clone());
    })?;
    bar.finish_and_clear();
    let failed: Vec<&str> = report.failed().map(|check| check.name.as_str()).collect();
    // Another family of kernels says nothing of those that training uses.
    if args.class.is_none_or(|class| class == gpu.class()) {
        checked::remember(&summary, failed.is_empty());
    }
    if args.json {
        print_json(&report)?;
    } else {
        print_line(&text(&report))?;
    }
    match failed.as_slice() {
        [] => Ok(Done::All),
        failed => {
            Err(train::Error::from(Error::Wrong { device: gpu.name().to_owned(), what: failed.join(", ") }).into())
        }
    }
}

fn text(report: &CheckReport) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
    let line = |check: &Check| {
        let verdict = check.fault.as_ref().map_or_else(|| "ok".to_owned(), |fault| format!("WRONG: {fault}"));
        vec![check.name.clone(), number(check.error), number(check.tolerance), verdict]
    };
    let lines: Vec<Vec<String>> = report.checks.iter().map(line).collect();
    let failed = report.failed().count();
    let verdict = match failed {
        0 => format!("all {} checks passed", report.checks.len()),
        failed => format!("{failed} of {} checks FAILED", report.checks.len()),
    };
    format!(
        "{}\n{} ({}, {}), driver {}, {} kernels, polyscene {}\ncopies {:.1} GB/s; {:.1} us from dispatch to dispatch{}\n{verdict}",
        draw(&["check", "largest error", "may be", "verdict"], &lines, TableStyle::for_stdout()),
        report.device.name,
        report.device.kind,
        report.device.backend,
        report.device.driver,
        report.class,
        report.version,
        report.bytes_per_second / 1e9,
        report.dispatch_seconds * 1e6,
        report
            .submit_seconds
            .map_or_else(String::new, |seconds| format!(", {:.0} us from submit to answer", seconds * 1e6)),
    )
}
