//! `polyscene predict`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use clap::Args;
use serde::Serialize;

use super::exit::Done;
use super::opened::{find_inputs, print_json, reopen, report_skipped};
use super::progress::counted;
use super::table_file::{Out, Writer, parse_out};
use super::unknown::{self, MaxUnknown};
use super::{Device, Sets};
use crate::data::{self, Schema, Skipped, UnknownValues};
use crate::train::Error;
use crate::train::folder::write_whole;
use crate::train::model::check_sequences;
use crate::train::predict::predict;

#[derive(Args)]
pub(super) struct PredictArgs {
    /// The run's folder
    run: PathBuf,
    /// The file, glob or folder to predict
    #[arg(long, value_name = "FILE")]
    data: String,
    /// Where to write the rows with a `prediction` column: .csv (lists are left out) or .parquet
    #[arg(long, value_name = "FILE", value_parser = parse_out)]
    out: Out,
    /// Print as JSON how many rows there were, and what of them is missing or unknown to the model
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown: MaxUnknown,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
}

/// Rows one read of a file brings in.
const ROWS: usize = 65_536;
/// The added column.
const COLUMN: &str = "prediction";

pub(super) fn run(args: &PredictArgs) -> anyhow::Result<Done> {
    let Out { path, kind } = &args.out;
    let mut trained = reopen(&args.run, &args.sets.sets, &args.device.device)?;
    let encoder = &trained.encoder;
    let schema: Schema = trained.config.data().map_err(Error::from)?;
    let inputs = find_inputs(&args.data, &schema)?;
    let mut scan = data::scan(encoder, &inputs, false, ROWS)
        .map_err(Error::from)?
        .on_bad_row(schema.on_bad_row)
        .unknown_scenario(schema.unknown_scenario);
    let bar = counted(scan.bytes().1, "predicting");
    let mut failure = None;
    let mut rows = 0;
    let mut is_first = true;
    let written = write_whole(path, |file| {
        let mut writer = Writer::new(*kind, file.try_clone()?);
        let mut next = || -> Result<Option<RecordBatch>, Error> {
            let is_first = std::mem::take(&mut is_first);
            let Some(chunk) = scan.next().transpose()? else {
                args.unknown.check(encoder, &scan.unknown_values())?;
                // Files without rows give a file without rows, which has its columns all the same.
                return is_first.then(|| with_predictions(scan.no_rows(), &[], &[])).transpose();
            };
            check_sequences(&trained.model, &chunk.rows, encoder)?;
            let logits = predict(trained.executor.as_mut(), &trained.model, &chunk.rows, encoder)?;
            bar.set_position(scan.bytes().0);
            rows += logits.len() as u64;
            let batch = scan.like_first(&chunk.path, chunk.batch)?;
            with_predictions(batch, &chunk.kept, &logits).map(Some)
        };
        // What is wrong with the data must not be told as a fault of the output, nor the other way round.
        loop {
            match next() {
                Ok(Some(batch)) => writer.write(&batch)?,
                Ok(None) => break writer.end(),
                Err(error) => {
                    failure = Some(error);
                    break Err(io::Error::other("not finished"));
                }
            }
        }
    });
    bar.finish_and_clear();
    match failure {
        Some(error) => return Err(error.into()),
        None => written?,
    }
    report_skipped(scan.skipped());
    let values = scan.unknown_values();
    unknown::report(encoder, &values, &unknown::of_validation(&trained.folder));
    if args.json {
        print_json(&Predicted { rows, skipped: scan.skipped(), values: &values })?;
    }
    Ok(Done::All)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Predicted<'a> {
    /// Rows with a prediction.
    rows: u64,
    skipped: &'a Skipped,
    /// By column.
    values: &'a [UnknownValues],
}

/// Rows as they were read, with the predictions of those that were kept; none where a bad row was skipped.
fn with_predictions(batch: RecordBatch, kept: &[u32], logits: &[f32]) -> Result<RecordBatch, Error> {
    let mut predictions = vec![None; batch.num_rows()];
    for (&row, &logit) in kept.iter().zip(logits) {
        predictions[row as usize] = Some(crate::cpu::sigmoid(f64::from(logit)) as f32);
    }
    let schema = batch.schema();
    if schema.column_with_name(COLUMN).is_some() {
        let reason = format!("the data has a column called \"{COLUMN}\" already; rename it");
        return Err(data::Error::Schema(reason).into());
    }
    let added = Arc::new(Field::new(COLUMN, DataType::Float32, true));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([added]).collect();
    let column: ArrayRef = Arc::new(Float32Array::from(predictions));
    let columns = batch.columns().iter().cloned().chain([column]).collect();
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns);
    Ok(batch.map_err(|error| data::Error::Shape(error.to_string()))?)
}
