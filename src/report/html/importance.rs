//! Which columns a model relies on.

use maud::{Markup, html};

use super::super::chart::{Axis, Figure, Key, Mark, Row, RowChart, Shown};
use super::super::importance::{change_text, role};
use super::page::figures;
use crate::train::evaluation::importance::{Change, ColumnImportance, Importance, Loss};

/// Columns that a chart shows, at most.
const COLUMNS: usize = 30;

/// The section; nothing where no importance was computed.
pub(super) fn importance_section(found: Option<&Importance>) -> Markup {
    html! {
        @if let Some(found) = found {
            h2 { "What the model relies on" }
            (figures(&pictures(found), "No column was permuted."))
        }
    }
}

fn pictures(found: &Importance) -> Vec<Figure> {
    let some = if found.columns.len() > COLUMNS {
        format!(" The {COLUMNS} most important of {} columns.", found.columns.len())
    } else {
        String::new()
    };
    let times = if found.repeats == 1 { "once".to_owned() } else { format!("{} times", found.repeats) };
    let how = format!(
        "Each column's values were dealt out anew among the {} rows {times}, all else stayed. A dot is the mean, its bar one \
         standard deviation over the permutations to each side. Of columns that tell the same, each may look \
         unimportant.{some}",
        found.split
    );
    let auc = picture(
        found,
        "AUC lost without a column",
        |own| own.auc_drop,
        format!("How much of the AUC is lost when the model cannot use a column. {how}"),
    );
    let caption =
        "How much the LogLoss rises in the same permutations: also what a column does for the level of predictions.";
    let logloss = picture(found, "LogLoss gained without a column", |own| own.logloss_rise, caption.to_owned());
    auc.into_iter().chain(logloss).collect()
}

/// Kinds of columns have marks of their own.
fn mark(own: &ColumnImportance) -> Mark {
    match own.aware {
        Some(true) => Mark::Of(1),
        Some(false) => Mark::Of(0),
        None => Mark::Of(3),
    }
}

fn picture(found: &Importance, title: &str, pick: fn(&Loss) -> Option<Change>, caption: String) -> Option<Figure> {
    let shown: Vec<(&ColumnImportance, Change)> = found
        .columns
        .iter()
        .filter_map(|own| Some((own, pick(&own.all)?)))
        .filter(|(_, change)| change.mean.is_finite() && change.deviation.is_none_or(f64::is_finite))
        .take(COLUMNS)
        .collect();
    if shown.is_empty() {
        return None;
    }
    let row = |(own, change): &(&ColumnImportance, Change)| {
        let Change { mean, deviation } = *change;
        let about = format!("{}, {}", role(own), Row::about(title, mean, deviation));
        let dot = (mark(own), Shown::Dot { value: mean, spread: deviation }, about);
        let name = match own.aware {
            Some(_) => own.column.clone(),
            None => format!("{} ({})", own.column, role(own)),
        };
        Row { name, note: change_text(Some(*change)), shown: vec![dot] }
    };
    let rows: Vec<Row> = shown.iter().map(row).collect();
    let ends = shown.iter().flat_map(|(_, change)| {
        let spread = change.deviation.unwrap_or(0.0);
        [change.mean - spread, change.mean + spread]
    });
    let axis = Axis::around(title, ends.chain([0.0]));
    let picture = RowChart { about: title.to_owned(), axis, rows, wide: false, apart: false }.draw();
    let kinds = [(Some(true), "aware"), (Some(false), "agnostic"), (None, "no feature of one column")];
    let legend: Vec<(Key, String)> = kinds
        .into_iter()
        .filter_map(|(aware, name)| {
            let (own, _) = shown.iter().find(|(own, _)| own.aware == aware)?;
            Some((Key::Dot(mark(own)), name.to_owned()))
        })
        .collect();
    Some(Figure { title: title.to_owned(), picture, legend, caption, wide: false })
}
