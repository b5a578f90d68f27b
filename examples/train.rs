//! Trains a model from Rust, as `polyscene train` does:
//!
//!     cargo run --release --example train -- examples/synthetic.toml train.epochs=2

use polyscene::train::LoopEvent;
use polyscene::{Config, DeviceChoice, Event, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: train CONFIG [KEY=VALUE ...]")?;
    let config = Config::load(&path, &arguments.collect::<Vec<_>>())?;

    let trained = Trainer::new(config)
        .device(DeviceChoice::Auto)
        .observer(|event| match event {
            Event::Starting { .. } | Event::Training(LoopEvent::EpochEnd(_)) | Event::Warning(_) => println!("{event}"),
            // Among others what moves a progress bar, which this program does not have.
            _ => {}
        })
        .train()?;

    let result = trained.result.ok_or("interrupted")?;
    println!("{} in {}", result.model, trained.folder.root().display());
    for (scenario, metrics) in &result.test.scenarios {
        println!("  {scenario:<12} AUC {:.4}", metrics.auc.unwrap_or(f64::NAN));
    }
    println!("  {:<12} AUC {:.4}", "all", result.test.auc.unwrap_or(f64::NAN));
    Ok(())
}
