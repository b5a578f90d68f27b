//! A trained model's predictions, written beside the rows of a file.

use std::sync::Arc;

use arrow_array::{Float32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use serde::Serialize;

use super::run::{scan, score};
use super::table_file::write_rows;
use super::unknown::check_unknown;
use super::{NewData, Observer, OutFile, Run, open};
use crate::data::{self, Skipped, UnknownValues};
use crate::graph::Graph;
use crate::train::Error;
use crate::train::evaluation::predict::Predictions;

/// What is to be predicted, and where to.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The file, glob or folder.
    pub data: String,
    /// Where its rows go, with a `prediction` column; entire-space models add `prediction_ctr` and `prediction_cvr`.
    pub out: OutFile,
    /// The largest share of a column's values that may be unknown to the model; nothing is written where it is exceeded.
    pub max_unknown: Option<f64>,
}

/// What came of predicting.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// Rows with a prediction.
    pub rows: u64,
    /// Bad rows without one.
    pub skipped: Skipped,
    /// What is missing or unknown to the model, by column.
    pub values: Vec<UnknownValues>,
}

/// The added column.
const COLUMN: &str = "prediction";

impl Run {
    /// Writes the rows of a file with what the model predicts of each.
    ///
    /// # Errors
    /// When the file cannot be read or the other not written; when the device fails.
    pub fn predict(&mut self, prediction: &Prediction, observer: &mut Observer<'_>) -> Result<Predicted, Error> {
        let Prediction { data, out, max_unknown } = prediction;
        let Self { schema, encoder, model, executor, .. } = self;
        let inputs = NewData::Path(data.clone()).inputs(schema)?;
        let mut scan = scan(encoder, schema, &inputs, false, observer)?.like_first();
        let mut rows = 0;
        write_rows(out.path(), out.kind(), |writer| {
            let mut is_empty = true;
            score(executor.as_mut(), model, &mut scan, "predicting", observer, |chunk, predictions| {
                is_empty = false;
                rows += predictions.logits.len() as u64;
                writer.write(&with_predictions(chunk.batch, &chunk.kept, predictions, &model.prediction)?)
            })?;
            check_unknown(encoder, &scan.unknown_values(), *max_unknown)?;
            // Files without rows give a file without rows, which has its columns all the same.
            if is_empty {
                let heads = vec![Vec::new(); model.prediction.heads.len()];
                let none = Predictions { logits: Vec::new(), heads };
                writer.write(&with_predictions(scan.no_rows(), &[], &none, &model.prediction)?)?;
            }
            Ok(())
        })?;
        open::tell_skipped(scan.skipped(), observer);
        let predicted = Predicted { rows, skipped: scan.skipped().clone(), values: scan.unknown_values() };
        self.tell_unknown(&predicted.values, observer);
        Ok(predicted)
    }

    /// The probabilities that [`Run::predict`] would write, one for each row and in the rows' order; that of a bad row that is
    /// skipped is missing. `max_unknown` is that of [`Prediction`].
    ///
    /// # Errors
    /// When the rows cannot be read, or more values are unknown than may be; when the device fails.
    pub fn probabilities(
        &mut self,
        data: &NewData,
        max_unknown: Option<f64>,
        observer: &mut Observer<'_>,
    ) -> Result<(Float32Array, Predicted), Error> {
        let Self { schema, encoder, model, executor, .. } = self;
        let mut predictions = Vec::new();
        let mut scan = scan(encoder, schema, &data.inputs(schema)?, false, observer)?;
        let mut rows = 0;
        score(executor.as_mut(), model, &mut scan, "predicting", observer, |chunk, found| {
            rows += found.logits.len() as u64;
            predictions.extend(probabilities(chunk.batch.num_rows(), &chunk.kept, &found.logits));
            Ok(())
        })?;
        let values = scan.unknown_values();
        check_unknown(encoder, &values, max_unknown)?;
        open::tell_skipped(scan.skipped(), observer);
        let predicted = Predicted { rows, skipped: scan.skipped().clone(), values };
        self.tell_unknown(&predicted.values, observer);
        Ok((predictions.into(), predicted))
    }
}

/// For each of `rows` rows its probability; none where a bad row was skipped.
fn probabilities(rows: usize, kept: &[u32], logits: &[f32]) -> Vec<Option<f32>> {
    let mut predictions = vec![None; rows];
    for (&row, &logit) in kept.iter().zip(logits) {
        predictions[row as usize] = Some(crate::cpu::sigmoid(f64::from(logit)) as f32);
    }
    predictions
}

/// Rows as they were read, with the predictions of those that were kept, and what each head of the model says of them.
fn with_predictions(
    batch: RecordBatch,
    kept: &[u32],
    predictions: &Predictions,
    model: &Graph,
) -> Result<RecordBatch, Error> {
    let names = model.heads.iter().map(|(name, _)| format!("{COLUMN}_{name}"));
    let logits = std::iter::once(&predictions.logits).chain(&predictions.heads);
    let schema = batch.schema();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (name, logits) in std::iter::once(COLUMN.to_owned()).chain(names).zip(logits) {
        if schema.column_with_name(&name).is_some() {
            let reason = format!("the data has a column called \"{name}\" already; rename it");
            return Err(data::Error::Schema(reason).into());
        }
        fields.push(Arc::new(Field::new(name, DataType::Float32, true)));
        columns.push(Arc::new(Float32Array::from(probabilities(batch.num_rows(), kept, logits))));
    }
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns);
    Ok(batch.map_err(|error| data::Error::Shape(error.to_string()))?)
}
