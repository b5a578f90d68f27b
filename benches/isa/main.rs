//! What a GPU's compiler makes of every dispatch of a training step: registers, occupancy, spills, workgroup memory. Needs no
//! GPU, but Linux and Mesa's AMD driver, RADV, which compiles for cards that are not there.
//!
//! `cargo bench --bench isa -- [--model mi-dpg,dnn] [--batch 512,8192] [--family navi21] [--class hardware] [--json]`

mod compiler;
mod table;

use clap::{Parser, ValueEnum};
use compiler::Compiler;
use polyscene::gpu::DeviceClass;
use table::Row;

#[derive(Clone, Copy, ValueEnum)]
enum Class {
    Hardware,
    Software,
}

#[derive(Parser)]
struct Options {
    /// Models at the papers' sizes
    #[arg(long, value_delimiter = ',', default_value = "dnn,mi-dpg,optmsm,saml")]
    model: Vec<String>,
    /// Samples of a step
    #[arg(long, value_delimiter = ',', default_value = "512")]
    batch: Vec<usize>,
    /// The GPU to compile for, by RADV's name (RADV_FORCE_FAMILY): navi21, navi33, vega10, polaris10, ...
    #[arg(long, default_value = "navi21")]
    family: String,
    /// The family of kernels
    #[arg(long, default_value = "hardware")]
    class: Class,
    /// Print JSON: a list of objects, one for each dispatch
    #[arg(long)]
    json: bool,
    /// What cargo gives every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    compiler::choose(&options.family)?;
    let compiler = Compiler::open()?;
    let class = match options.class {
        Class::Hardware => DeviceClass::Hardware,
        Class::Software => DeviceClass::Software,
    };
    let mut rows = Vec::new();
    for model in &options.model {
        for &batch in &options.batch {
            rows.extend(table::rows(&compiler, model, batch, class)?);
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        println!("{}\n{}", compiler.name, text(&rows));
    }
    Ok(())
}

fn text(rows: &[Row]) -> String {
    let heads = [
        "model",
        "batch",
        "dispatch",
        "shader",
        "groups",
        "lanes",
        "VGPRs",
        "SGPRs",
        "LDS",
        "waves",
        "spilled",
        "scratch",
        "instructions",
        "latency",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let Row { model, batch, dispatch, shader, workgroup, workgroups, statistics: told } = row;
            let mut line = vec![model.clone(), batch.to_string(), dispatch.clone(), shader.clone()];
            line.extend([workgroups.to_string(), workgroup.to_string()]);
            let numbers = [
                told.vgprs,
                told.sgprs,
                told.lds,
                told.subgroups_per_simd,
                told.spilled,
                told.scratch,
                told.instructions,
                told.latency,
            ];
            line.extend(numbers.map(|number| number.to_string()));
            line
        })
        .collect();
    polyscene::report::table::draw(&heads, &lines, polyscene::report::table::TableStyle::for_stdout())
}
