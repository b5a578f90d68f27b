//! What the papers look into: weighting matrices (MI-DPG, figure 2), representations (OptMSM, figure 5) and what
//! branches learn from each other (SAML, figure 3), by scenario. And how often what a model predicts comes true.

mod separation;

use std::path::{Path, PathBuf};

use crate::config::TrainOptions;
use crate::data::{Encoder, Rows};
use crate::graph::{Probe, Probed};
use crate::ops::ModelState;
use crate::plan::probe;
use crate::train::Error;
use crate::train::evaluation::metrics::{Bin, Reliability};
use crate::train::model::{BuiltModel, source};
use crate::train::run::folder::write_whole;
use separation::separation;

/// Samples of each scenario that are written one by one, at most, and their values.
const SAMPLES: usize = 500;
const SAMPLE_VALUES: usize = 1 << 18;
/// Rows that are looked into, at most: enough for means, few enough to be quick. And values of all of them, which lie in
/// memory: a weighting matrix may have thousands for each row.
const MAX_ROWS: usize = 50_000;
const MAX_VALUES: usize = 1 << 25;

/// A table: its name, its head, and a line for each row that begins with text.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisTable {
    /// File stem.
    pub name: String,
    /// Heads of the columns.
    pub heads: Vec<String>,
    /// What each line begins with, and its numbers.
    pub lines: Vec<(Vec<String>, Vec<f64>)>,
    /// Whether it sums up, rather than listing samples.
    pub summary: bool,
}

/// Tables of a model's probes, on rows evenly spaced among `rows`.
///
/// Of a vector: each scenario's mean, the cosines between these, how far scenarios lie apart, and samples. Of what branches
/// learn: means, deviations and quantiles of g and of each α by scenario, and samples.
///
/// # Errors
/// When it cannot be computed.
pub fn analyze(
    model: &BuiltModel,
    state: ModelState<f32>,
    options: &TrainOptions,
    rows: &Rows,
    encoder: &Encoder,
) -> Result<Vec<AnalysisTable>, Error> {
    let probes = &model.prediction.probes;
    if probes.is_empty() || rows.is_empty() {
        return Ok(Vec::new());
    }
    let widths: usize = probes.iter().map(|probe| model.prediction.width(probe.tensor)).sum();
    let max = MAX_ROWS.min(MAX_VALUES / widths).max(1);
    // What a model does of a scenario that it was not trained on belongs to none of its parts.
    let known = (0..rows.len() as u32).filter(|row| rows.scenarios()[*row as usize] != encoder.new_scenario());
    let known: Vec<u32> = known.collect();
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let chosen: Vec<u32> = known.iter().copied().step_by(known.len().div_ceil(max)).collect();
    let capacity = chosen.len().min(options.eval_batch_size as usize);
    let source = source(rows, encoder);
    let (rows, found) = probe(&model.prediction, capacity, state, &source, chosen)?;
    let groups = Groups::new(&rows, source.scenarios, encoder.scenarios());
    Ok(probes.iter().zip(&found).flat_map(|(probe, values)| tables(probe, values, &groups)).collect())
}

/// Which of the values' rows belong to which scenario.
struct Groups<'a> {
    names: &'a [String],
    /// The values' rows in the data.
    numbers: &'a [u32],
    rows: Vec<Vec<usize>>,
}

impl<'a> Groups<'a> {
    fn new(numbers: &'a [u32], scenarios: &[u32], names: &'a [String]) -> Self {
        let mut rows = vec![Vec::new(); names.len()];
        for (row, &number) in numbers.iter().enumerate() {
            rows[scenarios[number as usize] as usize].push(row);
        }
        Self { names, numbers, rows }
    }

    /// Scenarios with rows: number, name, rows.
    fn present(&self) -> impl Iterator<Item = (usize, &'a String, &Vec<usize>)> {
        let all = self.names.iter().zip(&self.rows).enumerate();
        all.filter(|(_, (_, rows))| !rows.is_empty()).map(|(number, (name, rows))| (number, name, rows))
    }
}

fn tables(probe: &Probe, values: &[f32], groups: &Groups<'_>) -> Vec<AnalysisTable> {
    let width = values.len() / groups.numbers.len();
    let value = |row: usize, column: usize| f64::from(values[row * width + column]);
    let mut samples = AnalysisTable {
        name: format!("{}-samples", probe.name),
        heads: ["scenario".to_owned(), "row".to_owned()].into_iter().chain(heads(probe, width, groups)).collect(),
        lines: Vec::new(),
        summary: false,
    };
    for (_, name, rows) in groups.present() {
        let every = rows.len().div_ceil(SAMPLES.min(SAMPLE_VALUES / width).max(1));
        for &row in rows.iter().step_by(every) {
            let numbers = (0..width).map(|column| value(row, column)).collect();
            samples.lines.push((vec![name.clone(), groups.numbers[row].to_string()], numbers));
        }
    }
    let mut tables = match probe.what {
        Probed::Vector => {
            let mut tables = vectors(probe, width, value, groups);
            tables.extend(apart(probe, &samples));
            tables
        }
        Probed::Learning => vec![learning(probe, width, value, groups)],
    };
    tables.push(samples);
    tables
}

/// The mean silhouettes of a vector's samples; none with one scenario.
fn apart(probe: &Probe, samples: &AnalysisTable) -> Option<AnalysisTable> {
    let rows: Vec<&[f64]> = samples.lines.iter().map(|(_, numbers)| numbers.as_slice()).collect();
    let mut names: Vec<&String> = samples.lines.iter().map(|(texts, _)| &texts[0]).collect();
    names.dedup();
    let of = |name: &String| (0..rows.len()).filter(|&row| samples.lines[row].0[0] == *name).collect();
    let (all, each) = separation(&rows, &names.iter().map(|name| of(name)).collect::<Vec<Vec<usize>>>())?;
    let line = |group: &str, name: &str, found: &separation::Separation| {
        (vec![group.to_owned(), name.to_owned()], vec![found.samples as f64, found.silhouette])
    };
    let scenarios = names.iter().zip(&each).map(|(name, own)| line(SCENARIO, name, own));
    Some(AnalysisTable {
        name: format!("{}-separation", probe.name),
        heads: ["group", "scenario", "samples", "silhouette"].map(str::to_owned).to_vec(),
        lines: scenarios.chain([line(ALL, "", &all)]).collect(),
        summary: true,
    })
}

/// What a line is about, in tables of both scenarios and all of them together: a scenario may have any name.
const SCENARIO: &str = "scenario";
const ALL: &str = "all";

/// The table of how often what a model predicted came true: bins of rows with neighbouring predictions, from the smallest
/// predictions up.
pub fn calibration(found: &Reliability) -> AnalysisTable {
    let line = |group: &str, name: &str, number: usize, bin: &Bin| {
        let texts = [group, name, &(number + 1).to_string(), &bin.rows.to_string(), &bin.positives.to_string()];
        let weight = bin.weight.iter().flat_map(|weight| [weight.sum, weight.effective_rows]);
        (texts.map(str::to_owned).to_vec(), [bin.predicted, bin.observed].into_iter().chain(weight).collect())
    };
    let all = found.all.iter().enumerate().map(|(number, bin)| line(ALL, "", number, bin));
    let scenarios = found
        .scenarios
        .iter()
        .flat_map(|(name, bins)| bins.iter().enumerate().map(move |(number, bin)| line(SCENARIO, name, number, bin)));
    let mut heads = vec!["group", "scenario", "bin", "rows", "positives", "predicted", "observed"];
    if found.all.iter().any(|bin| bin.weight.is_some()) {
        heads.extend(["weight", "effective_rows"]);
    }
    AnalysisTable {
        name: "calibration".to_owned(),
        heads: heads.into_iter().map(str::to_owned).collect(),
        lines: all.chain(scenarios).collect(),
        summary: false,
    }
}

fn heads(probe: &Probe, width: usize, groups: &Groups<'_>) -> Vec<String> {
    match probe.what {
        Probed::Vector => (0..width).map(|column| column.to_string()).collect(),
        Probed::Learning => groups.names.to_vec(),
    }
}

/// Each scenario's mean vector, and the cosines between them.
fn vectors(
    probe: &Probe,
    width: usize,
    value: impl Fn(usize, usize) -> f64,
    groups: &Groups<'_>,
) -> Vec<AnalysisTable> {
    let means: Vec<(String, Vec<f64>)> = groups
        .present()
        .map(|(_, name, rows)| {
            let mean = |column| rows.iter().map(|&row| value(row, column)).sum::<f64>() / rows.len() as f64;
            (name.clone(), (0..width).map(mean).collect())
        })
        .collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| {
        let lengths = (product(a, a) * product(b, b)).sqrt();
        if lengths > 0.0 { product(a, b) / lengths } else { 0.0 }
    };
    let scenario = || "scenario".to_owned();
    let similarity = AnalysisTable {
        name: format!("{}-similarity", probe.name),
        heads: [scenario()].into_iter().chain(means.iter().map(|(name, _)| name.clone())).collect(),
        lines: means
            .iter()
            .map(|(name, own)| (vec![name.clone()], means.iter().map(|(_, other)| cosine(own, other)).collect()))
            .collect(),
        summary: true,
    };
    let means = AnalysisTable {
        name: format!("{}-means", probe.name),
        heads: [scenario()].into_iter().chain(heads(probe, width, groups)).collect(),
        lines: means.into_iter().map(|(name, mean)| (vec![name], mean)).collect(),
        summary: false,
    };
    vec![similarity, means]
}

/// Quantiles that tell a distribution.
const QUANTILES: [(&str, f64); 5] = [("5 %", 0.05), ("25 %", 0.25), ("50 %", 0.5), ("75 %", 0.75), ("95 %", 0.95)];

/// The distributions of g and α in each scenario.
fn learning(probe: &Probe, width: usize, value: impl Fn(usize, usize) -> f64, groups: &Groups<'_>) -> AnalysisTable {
    let mut table = AnalysisTable {
        name: format!("{}-distribution", probe.name),
        heads: ["scenario", "coefficient", "mean", "deviation"].map(str::to_owned).to_vec(),
        lines: Vec::new(),
        summary: true,
    };
    table.heads.extend(QUANTILES.iter().map(|(name, _)| (*name).to_owned()));
    for (own, name, rows) in groups.present() {
        // g first.
        for other in std::iter::once(own).chain((0..width).filter(|&other| other != own)) {
            let what = if other == own { "g".to_owned() } else { format!("α of {}", groups.names[other]) };
            let mut values: Vec<f64> = rows.iter().map(|&row| value(row, other)).collect();
            values.sort_by(f64::total_cmp);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
            let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
            let numbers =
                [mean, variance.sqrt()].into_iter().chain(QUANTILES.iter().map(|&(_, share)| quantile(share)));
            table.lines.push((vec![name.clone(), what], numbers.collect()));
        }
    }
    table
}

/// Writes each table as `NAME.csv` into `folder`; returns the paths.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, tables: &[AnalysisTable]) -> Result<Vec<PathBuf>, Error> {
    std::fs::create_dir_all(folder).map_err(Error::file(folder, "making the folder"))?;
    let mut paths = Vec::new();
    for table in tables {
        let path = folder.join(format!("{}.csv", table.name));
        write_whole(&path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(&table.heads)?;
            for (texts, numbers) in &table.lines {
                writer.write_record(texts.iter().cloned().chain(numbers.iter().map(|x| (*x as f32).to_string())))?;
            }
            writer.flush()
        })?;
        paths.push(path);
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::TensorId;

    fn names() -> Vec<String> {
        ["news", "mail", "never"].map(str::to_owned).to_vec()
    }

    fn found(what: Probed, values: &[f32]) -> Vec<AnalysisTable> {
        let names = names();
        let groups = Groups::new(&[0, 1, 2, 3], &[0, 1, 0, 1], &names);
        tables(&Probe { name: "p".to_owned(), tensor: TensorId(0), what }, values, &groups)
    }

    #[test]
    fn vectors_have_means_and_cosines_by_scenario() {
        let tables = found(Probed::Vector, &[1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 4.0]);
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["p-similarity", "p-means", "p-separation", "p-samples"]);
        assert_eq!(tables[0].heads, ["scenario", "news", "mail"]);
        assert_eq!(tables[0].lines[0], (vec!["news".to_owned()], vec![1.0, 0.0]));
        assert_eq!(tables[1].lines[1], (vec!["mail".to_owned()], vec![0.0, 3.0]));
        assert_eq!(tables[3].lines[1], (vec!["news".to_owned(), "2".to_owned()], vec![3.0, 0.0]));
        // News: 2 apart, √5 and √17 or √13 and 5 to mail; mail likewise.
        let (texts, numbers) = &tables[2].lines[0];
        let b = [(5.0_f64.sqrt() + 17.0_f64.sqrt()) / 2.0, (13.0_f64.sqrt() + 5.0) / 2.0];
        let expected = b.map(|b| (b - 2.0) / b).iter().sum::<f64>() / 2.0;
        assert_eq!((texts.join(" "), numbers[0]), ("scenario news".to_owned(), 2.0));
        assert!((numbers[1] - expected).abs() < 1e-12);
        assert_eq!(tables[2].lines[2].0, ["all", ""]);
    }

    #[test]
    fn learning_tells_gates_and_similarities_apart() {
        let tables = found(Probed::Learning, &[0.5, 0.25, 0.75, 0.1, 0.9, 0.9, 0.7, 0.75, 0.25, 0.2, 0.8, 0.2]);
        let lines = &tables[0].lines;
        let heads: Vec<&str> = lines.iter().map(|(texts, _)| texts[1].as_str()).collect();
        assert_eq!(heads, ["g", "α of mail", "α of never", "g", "α of news", "α of never"]);
        assert!((lines[0].1[0] - 0.6).abs() < 1e-6 && (lines[0].1[1] - 0.1).abs() < 1e-6);
        assert!((lines[3].1[0] - 0.85).abs() < 1e-6);
    }
}
