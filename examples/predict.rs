//! Reopens a run, scores it on its test rows, and writes its predictions for a file:
//!
//!     cargo run --release --example predict -- runs/synthetic-mi-dpg runs/synthetic-data/data.parquet out.csv

use polyscene::{Prediction, Run, SplitName};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, data, out] = arguments.as_slice() else {
        return Err("usage: predict RUN DATA OUT.csv|OUT.parquet".into());
    };
    let mut tell = |event: polyscene::Event<'_>| match event.to_string().as_str() {
        "" => {}
        line => println!("{line}"),
    };

    let mut run = Run::open(folder)?;
    let evaluation = run.evaluate(SplitName::Test, &mut tell)?;
    println!("test rows: LogLoss {:.4}", evaluation.metrics.logloss.unwrap_or(f64::NAN));

    // More than a tenth of unknown values in a column would mean that this is not the data the model was made for.
    let prediction = Prediction { data: data.clone(), out: out.parse()?, max_unknown: Some(0.1) };
    let predicted = run.predict(&prediction, &mut tell)?;
    println!("{} rows predicted, {} skipped, in {out}", predicted.rows, predicted.skipped.count);
    for column in predicted.values.iter().filter(|column| column.share() > 0.0) {
        println!("  {}: {:.2} % of the values are unknown", column.column, 100.0 * column.share());
    }
    Ok(())
}
