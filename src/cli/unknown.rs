//! Telling of values that a run's model does not know, before anybody trusts what it predicts of them.

use clap::Args;

use crate::data::{self, Encoder, UnknownValues};
use crate::train::Error;
use crate::train::folder::RunFolder;
use crate::train::result::RunResult;

#[derive(Args)]
pub(super) struct MaxUnknown {
    /// Fail, before anything is written, where a larger share of a column's values is unknown to the model (0 to 1)
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "data")]
    max_unknown: Option<f64>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1, such as 0.05".to_owned())
}

impl MaxUnknown {
    /// # Errors
    /// Names the column with the largest share of unknown values, if that is more than was allowed.
    pub(super) fn check(&self, encoder: &Encoder, found: &[UnknownValues]) -> Result<(), Error> {
        let Some(most) = self.max_unknown else { return Ok(()) };
        let above = found.iter().filter(|column| column.share() > most);
        match above.max_by(|a, b| a.share().total_cmp(&b.share())) {
            Some(worst) => {
                let told = format!("{}, more than --max-unknown {most} allows", line(encoder, worst, None));
                Err(data::Error::TooManyUnknown(told).into())
            }
            None => Ok(()),
        }
    }
}

/// What the run's own validation rows had; nothing where the run is older or not finished.
pub(super) fn of_validation(folder: &RunFolder) -> Vec<UnknownValues> {
    RunResult::load(&folder.result()).map(|result| result.valid_values).unwrap_or_default()
}

/// Says of which columns a larger share is unknown or missing than in the run's validation rows.
pub(super) fn report(encoder: &Encoder, found: &[UnknownValues], before: &[UnknownValues]) {
    for column in found {
        let own = before.iter().find(|own| own.column == column.column);
        if column.is_less_known_than(own) {
            note!("warning: {}", line(encoder, column, own));
        }
        if column.is_more_missing_than(own) {
            let (name, missing) = (&column.column, percent(column.missing_share()));
            let own =
                own.map_or_else(String::new, |own| format!("; {} in validation rows", percent(own.missing_share())));
            note!("warning: column \"{name}\": {missing} of the values are missing{own}");
        }
    }
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
