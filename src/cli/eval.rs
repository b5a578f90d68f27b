//! `polyscene eval`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::Done;
use super::opened::{find_inputs, open, print_json, print_line, reopen, report_skipped};
use super::unknown::{self, MaxUnknown};
use super::{Device, Sets};
use crate::data::{self, Encoder, Rows, Schema, SplitName, UnknownValues};
use crate::report::table::{TableStyle, scenario_table};
use crate::train::Error;
use crate::train::config::ConfigError;
use crate::train::metrics::{Metrics, best_reachable, evaluate};
use crate::train::model::check_sequences;
use crate::train::predict::{predict, scenario_names};

#[derive(Args)]
pub(super) struct EvalArgs {
    /// The run's folder
    run: PathBuf,
    /// Another file, glob or folder with the same columns [default: the run's own data]
    #[arg(long, value_name = "FILE", conflicts_with = "split")]
    data: Option<String>,
    /// Which rows of the run's own data: train, valid or test
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = parse_split)]
    split: SplitName,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown: MaxUnknown,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    device: Device,
}

/// One split of the data that a run was trained on.
pub(super) fn split_rows(schema: &Schema, encoder: &Encoder, split: SplitName) -> anyhow::Result<Rows> {
    let opened = open(schema, &[])?;
    if !opened.encoder.same_codes(encoder) {
        return Err(Error::from(ConfigError::value(
            &schema.path,
            "data.path",
            "the data the run was trained on (its vocabularies have changed since); score the new file with --data",
            "other data",
        ))
        .into());
    }
    Ok(match split {
        SplitName::Train => opened.train,
        SplitName::Valid => opened.valid,
        SplitName::Test => opened.test,
    })
}

pub(super) fn parse_split(text: &str) -> Result<SplitName, String> {
    SplitName::ALL
        .into_iter()
        .find(|split| split.to_string() == text)
        .ok_or_else(|| "expected train, valid or test".to_owned())
}

#[derive(Serialize)]
struct Evaluation {
    #[serde(flatten)]
    metrics: Metrics,
    /// What of another file is missing or unknown to the model, by column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<UnknownValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    best_reachable: Option<Metrics>,
}

/// Rows one read of a file brings in.
const ROWS: usize = 65_536;

/// Everything scoring needs of rows, gathered chunk by chunk.
#[derive(Default)]
struct Gathered {
    logits: Vec<f32>,
    labels: Vec<f32>,
    scenarios: Vec<u32>,
    users: Vec<u64>,
    probabilities: Vec<f32>,
    values: Vec<UnknownValues>,
}

impl Gathered {
    fn add(&mut self, rows: &Rows, logits: &[f32]) {
        self.logits.extend_from_slice(logits);
        self.labels.extend_from_slice(rows.labels());
        self.scenarios.extend_from_slice(rows.scenarios());
        self.users.extend_from_slice(rows.users().unwrap_or_default());
        self.probabilities.extend_from_slice(rows.probabilities().unwrap_or_default());
    }

    fn evaluate(&self, names: &[String]) -> Evaluation {
        let every = self.labels.len();
        let users = (self.users.len() == every).then_some(self.users.as_slice());
        let reachable = (every > 0 && self.probabilities.len() == every)
            .then(|| best_reachable(&self.probabilities, &self.labels, &self.scenarios, names, users));
        let metrics = evaluate(&self.logits, &self.labels, &self.scenarios, names, users);
        Evaluation { metrics, values: self.values.clone(), best_reachable: reachable }
    }
}

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<Done> {
    let mut trained = reopen(&args.run, &args.sets.sets, &args.device.device)?;
    let encoder = &trained.encoder;
    let schema: Schema = trained.config.data().map_err(Error::from)?;
    let mut gathered = Gathered::default();
    if let Some(path) = &args.data {
        let inputs = find_inputs(path, &schema)?;
        let mut scan = data::scan(encoder, &inputs, true, ROWS)
            .map_err(Error::from)?
            .on_bad_row(schema.on_bad_row)
            .unknown_scenario(schema.unknown_scenario);
        for chunk in scan.by_ref() {
            let chunk = chunk.map_err(Error::from)?;
            check_sequences(&trained.model, &chunk.rows, encoder)?;
            let logits = predict(trained.executor.as_mut(), &trained.model, &chunk.rows, encoder)?;
            gathered.add(&chunk.rows, &logits);
        }
        report_skipped(scan.skipped());
        gathered.values = scan.unknown_values();
        args.unknown.check(encoder, &gathered.values)?;
        unknown::report(encoder, &gathered.values, &unknown::of_validation(&trained.folder));
    } else {
        let rows = split_rows(&schema, encoder, args.split)?;
        let logits = predict(trained.executor.as_mut(), &trained.model, &rows, encoder)?;
        gathered.add(&rows, &logits);
    }
    let evaluation = gathered.evaluate(&scenario_names(encoder, &gathered.scenarios));
    if args.json {
        print_json(&evaluation)?;
    } else {
        let best = evaluation.best_reachable.as_ref();
        print_line(&scenario_table(&evaluation.metrics, best, TableStyle::for_stdout()))?;
    }
    Ok(Done::All)
}
