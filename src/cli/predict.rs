//! `polyscene predict`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use clap::Args;
use parquet::arrow::ArrowWriter;

use super::exit::Done;
use super::prepare::{find_inputs, reopen, report_skipped};
use super::progress::counted;
use super::{Device, Sets};
use crate::data::{self, EncodedChunk, Schema};
use crate::train::Error;
use crate::train::folder::write_whole;
use crate::train::model::source;

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
    let mut scan = data::scan(encoder, &inputs, false, ROWS).map_err(Error::from)?.on_bad_row(schema.on_bad_row);
    let bar = counted(scan.bytes().1, "predicting");
    let mut failure = None;
    let written = write_whole(path, |_, file| {
        let mut writer = Writer::new(*kind, file.try_clone()?);
        let mut step = || -> anyhow::Result<bool> {
            let Some(chunk) = scan.next() else { return Ok(false) };
            let chunk = chunk.map_err(Error::from)?;
            let logits = trained.executor.predict(&source(&chunk.rows, encoder)).map_err(Error::from)?;
            writer.write(&with_predictions(&chunk, &logits)?)?;
            bar.set_position(scan.bytes().0);
            Ok(true)
        };
        // What is wrong with the data must not be told as a fault of the output.
        loop {
            match step() {
                Ok(true) => {}
                Ok(false) => break writer.end(),
                Err(error) => {
                    failure = Some(error);
                    break Err(std::io::Error::other("not finished"));
                }
            }
        }
    });
    bar.finish_and_clear();
    match failure {
        Some(error) => return Err(error),
        None => written?,
    }
    report_skipped(scan.skipped());
    Ok(Done::All)
}

/// The chunk's rows as they were read, with their predictions; none where a bad row was skipped.
fn with_predictions(chunk: &EncodedChunk, logits: &[f32]) -> anyhow::Result<RecordBatch> {
    let mut predictions = vec![None; chunk.batch.num_rows()];
    for (&row, &logit) in chunk.kept.iter().zip(logits) {
        predictions[row as usize] = Some(crate::cpu::sigmoid(f64::from(logit)) as f32);
    }
    let schema = chunk.batch.schema();
    if schema.column_with_name(COLUMN).is_some() {
        bail!("the data has a column called {COLUMN} already; rename that column");
    }
    let added = Arc::new(Field::new(COLUMN, DataType::Float32, true));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([added]).collect();
    let column: ArrayRef = Arc::new(Float32Array::from(predictions));
    let columns = chunk.batch.columns().iter().cloned().chain([column]).collect();
    Ok(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns)?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Csv,
    Parquet,
}

/// Where predictions go, and how they are written.
#[derive(Clone, Debug)]
struct Out {
    path: PathBuf,
    kind: Kind,
}

fn parse_out(text: &str) -> Result<Out, String> {
    let path = PathBuf::from(text);
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Kind::Csv,
        Some("parquet") => Kind::Parquet,
        _ => return Err("its name must end in .csv or .parquet".to_owned()),
    };
    Ok(Out { path, kind })
}

/// Writes batches of one schema; the first decides it.
struct Writer {
    kind: Kind,
    file: Option<File>,
    csv: Option<arrow::csv::Writer<BufWriter<File>>>,
    parquet: Option<ArrowWriter<File>>,
}

impl Writer {
    fn new(kind: Kind, file: File) -> Self {
        Self { kind, file: Some(file), csv: None, parquet: None }
    }

    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        if let Some(file) = self.file.take() {
            match self.kind {
                Kind::Csv => self.csv = Some(arrow::csv::Writer::new(BufWriter::new(file))),
                Kind::Parquet => {
                    self.parquet =
                        Some(ArrowWriter::try_new(file, batch.schema(), None).context("writing predictions")?);
                }
            }
        }
        if let Some(csv) = &mut self.csv {
            csv.write(&flat(batch)?).context("writing predictions")?;
        }
        if let Some(parquet) = &mut self.parquet {
            parquet.write(batch).context("writing predictions")?;
        }
        Ok(())
    }

    fn end(self) -> std::io::Result<()> {
        if let Some(csv) = self.csv {
            csv.into_inner().flush()?;
        }
        if let Some(parquet) = self.parquet {
            parquet.close().map_err(std::io::Error::other)?;
        }
        Ok(())
    }
}

/// The batch without lists and structs, which CSV cannot hold.
fn flat(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let fields = batch.schema();
    let kept: Vec<usize> = (0..batch.num_columns()).filter(|&i| !fields.field(i).data_type().is_nested()).collect();
    Ok(batch.project(&kept)?)
}
