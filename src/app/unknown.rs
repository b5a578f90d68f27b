//! Telling of values that a run's model does not know, before anybody trusts what it predicts of them.

use crate::data::{self, Encoder, UnknownValues};
use crate::train::Error;
use crate::train::run::folder::RunFolder;
use crate::train::run::result::RunResult;

/// Fails where a larger share of a column's values than `max` is unknown to the model.
///
/// # Errors
/// Names the column with the largest share.
pub(super) fn check_unknown(encoder: &Encoder, found: &[UnknownValues], max: Option<f64>) -> Result<(), Error> {
    let Some(max) = max else { return Ok(()) };
    let above = found.iter().filter(|column| column.share() > max);
    match above.max_by(|a, b| a.share().total_cmp(&b.share())) {
        Some(worst) => {
            let message = format!("{}, more than --max-unknown {max} allows", line(encoder, worst, None));
            Err(data::Error::TooManyUnknown(message).into())
        }
        None => Ok(()),
    }
}

/// What the run's own validation rows had; nothing where the run is older or not finished.
pub(super) fn of_validation(folder: &RunFolder) -> Vec<UnknownValues> {
    RunResult::load(&folder.result()).map(|result| result.valid_values).unwrap_or_default()
}

/// Of which columns a larger share is unknown or missing than in the run's validation rows.
pub(super) fn warnings(encoder: &Encoder, found: &[UnknownValues], before: &[UnknownValues]) -> Vec<String> {
    let mut warnings = Vec::new();
    for column in found {
        let own = before.iter().find(|own| own.column == column.column);
        if column.is_less_known_than(own) {
            warnings.push(line(encoder, column, own));
        }
        if column.is_more_missing_than(own) {
            let (name, missing) = (&column.column, percent(column.missing_share()));
            let own =
                own.map_or_else(String::new, |own| format!("; {} in validation rows", percent(own.missing_share())));
            warnings.push(format!("column \"{name}\": {missing} of the values are missing{own}"));
        }
    }
    warnings
}

/// What there is of a column that the model does not know, and why that may be.
fn line(encoder: &Encoder, column: &UnknownValues, own: Option<&UnknownValues>) -> String {
    let mut line = format!(
        "column \"{}\": {} of {} values ({}) are unknown to the model",
        column.column,
        column.unknown,
        column.values,
        percent(column.share())
    );
    if let Some(own) = own {
        line += &format!("; {} in validation rows", percent(own.share()));
    }
    let values: Vec<String> =
        column.commonest.iter().map(|(text, count)| format!("{} ({count})", data::quoted(text))).collect();
    if !values.is_empty() {
        line += &format!("; the commonest: {}", values.join(", "));
    }
    let why = encoder.explain(column);
    if why.is_empty() { line } else { format!("{line}; {why}") }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.1 => "below 0.1 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}
