//! `polyscene devices`.

use clap::Args;

use super::exit::Done;
use super::print::{print_json, print_line};
use crate::gpu::adapters;
use crate::report::table::{TableStyle, draw};

#[derive(Args)]
pub(super) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DevicesArgs) -> anyhow::Result<Done> {
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
