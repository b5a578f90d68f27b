//! Training steps of polyscene beside those of PyTorch and Burn: same shapes, same data, same optimiser, one machine, in
//! turns. `README.md` beside this file says what is compared and how to read it.
//!
//! `cargo bench --bench peers -- [--device cpu,software] [--batches 512,2048] [--rows 100k,10M] [--peers torch,burn]`

mod burn;
mod child;
mod epoch;
mod options;
mod ours;
mod report;
mod rounds;
mod torch;
mod variants;
mod workload;

use anyhow::Context;
use clap::Parser;

use options::{Options, Peer};
use report::Report;
use variants::Programs;
use workload::Data;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.serve {
        return ours::serve();
    }
    println!("{}", report::machine());
    if let Some(name) = &options.epoch {
        return epoch::run(name, &options);
    }
    let folder = tempfile::tempdir().context("no folder for the data that all programs read")?;
    let programs = Programs {
        ours: std::env::current_exe().context("this program has no path to start itself by")?,
        torch: options.peers.contains(&Peer::Torch).then(torch::python),
        burn: options.peers.contains(&Peer::Burn).then(|| burn::build(&options.device)),
        work: folder.path().to_owned(),
    };
    let mut report = Report::default();
    for &rows in &options.rows {
        let data = Data::write(folder.path(), rows.0)?;
        for device in &options.device {
            for model in &options.models {
                for &batch in &options.batches {
                    let task = data.task(model, batch, device);
                    report.add(rounds::compare(&task, &options, &programs)?);
                }
            }
        }
    }
    println!("{}", report::load());
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    Ok(())
}
