//! What a GPU's compiler makes of every dispatch of a training step: registers, occupancy, spills, workgroup memory; and how
//! its lanes work and read, by an interpreter. Needs no GPU, but Linux and Mesa's AMD driver, RADV, which compiles for cards
//! that are not there.
//!
//! `cargo bench --bench isa -- [--model mi-dpg,dnn] [--batch 512,8192] [--family navi21] [--class hardware]
//! [--block 16] [--grad-tile 32] [--mixed] [--optimizer adagrad] [--embedding-optimizer rowwise-adagrad]
//! [--max-gradient-norm 1] [--json]`

#[cfg(target_os = "linux")]
mod compiler;
#[cfg(target_os = "linux")]
#[path = "../../tests/compute/common/interpreted.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests use what this does not")]
mod interpreted;
#[cfg(target_os = "linux")]
#[path = "../../tests/compute/simt/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests use what this does not")]
mod simt;
#[cfg(target_os = "linux")]
mod table;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this benchmark asks Mesa's AMD driver, which is there on Linux");
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::run()
}

#[cfg(target_os = "linux")]
mod linux {
    use clap::Parser;
    use polyscene::gpu::DeviceClass;
    use polyscene::graph::Optimizer;
    use polyscene::plan::Tuning;
    use polyscene::report::table::{TableStyle, draw};

    use super::compiler::{self, Compiler};
    use super::table::{self, Row};

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
        /// The family of kernels: hardware or software
        #[arg(long, default_value = "hardware")]
        class: DeviceClass,
        /// Samples of a block: 8 or 16
        #[arg(long)]
        block: Option<u32>,
        /// Sums within subgroups of at least so many invocations: 4 to 64
        #[arg(long)]
        subgroup: Option<u32>,
        /// Rows and columns of a gradient's tile: 32 or 64
        #[arg(long, default_value_t = 64)]
        grad_tile: u32,
        /// Activations as halves: mixed precision
        #[arg(long)]
        mixed: bool,
        /// What moves the dense parameters: adam, adagrad or sgd
        #[arg(long, default_value = "adam", value_parser = optimizer)]
        optimizer: Optimizer,
        /// What moves embedding rows: one of these, or rowwise-adagrad
        #[arg(long, default_value = "adam", value_parser = optimizer)]
        embedding_optimizer: Optimizer,
        /// The largest norm of the gradients, where they are to be clipped
        #[arg(long)]
        max_gradient_norm: Option<f64>,
        /// Print JSON: a list of objects, one for each dispatch
        #[arg(long)]
        json: bool,
        /// What cargo gives every benchmark
        #[arg(long, hide = true)]
        bench: bool,
    }

    fn optimizer(text: &str) -> Result<Optimizer, String> {
        Optimizer::named(text).ok_or_else(|| "expected adam, adagrad, rowwise-adagrad or sgd".to_owned())
    }

    pub(super) fn run() -> anyhow::Result<()> {
        let options = Options::parse();
        compiler::choose(&options.family)?;
        let compiler = Compiler::open()?;
        let (block, subgroup, grad_tile) = (options.block, options.subgroup, options.grad_tile);
        let tuning = Tuning { block, subgroup, grad_tile, ..Tuning::of_class(options.class) };
        tuning.check().map_err(anyhow::Error::msg)?;
        let mut rows = Vec::new();
        for model in &options.model {
            for &batch in &options.batch {
                let asked = table::Asked {
                    mixed: options.mixed,
                    optimizers: [options.optimizer, options.embedding_optimizer],
                    max_gradient_norm: options.max_gradient_norm,
                    ..table::Asked::new(batch, tuning)
                };
                rows.extend(table::rows(&compiler, model, &asked)?);
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
            "busy",
            "loads",
            "VGPRs",
            "SGPRs",
            "LDS",
            "waves",
            "spilled",
            "scratch",
            "instructions",
            "latency",
        ];
        let line = |row: &Row| {
            let told = &row.statistics;
            let percent = |part: f64| format!("{:.0} %", 100.0 * part);
            let mut line = vec![row.model.clone(), row.batch.to_string(), row.dispatch.clone(), row.shader.clone()];
            line.extend([row.workgroups.to_string(), row.workgroup.to_string(), percent(row.busy), percent(row.loads)]);
            let registers = [told.vgprs, told.sgprs, told.lds, told.subgroups_per_simd, told.spilled, told.scratch];
            line.extend(registers.iter().chain(&[told.instructions, told.latency]).map(u64::to_string));
            line
        };
        draw(&heads, &rows.iter().map(line).collect::<Vec<_>>(), TableStyle::for_stdout())
    }
}
