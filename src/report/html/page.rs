//! What all pages have: the frame, key numbers, figures, tables.

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::chart::Figure;
use crate::train::evaluation::metrics::Metrics;

/// A page of its own.
pub(super) fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (content)
                footer {
                    "Made by polyscene " (env!("CARGO_PKG_VERSION")) " from the files of this folder; "
                    code { "polyscene report" } " makes it anew. Point at a mark for its numbers."
                }
            }
        }
    }
}

/// The last part of a folder's path.
pub(super) fn name_of(folder: &Path) -> String {
    let whole = || std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = folder.file_name().map(std::borrow::ToOwned::to_owned);
    name.or_else(|| whole().file_name().map(std::borrow::ToOwned::to_owned))
        .map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Key numbers; those that there are not are left out.
pub(super) fn numbers(list: &[(&str, Option<String>)]) -> Markup {
    html! {
        dl.numbers {
            @for (what, value) in list {
                @if let Some(value) = value {
                    @let long = (value.len() > 20).then_some("long");
                    div { dt { (what) } dd class=[long] { (value) } }
                }
            }
        }
    }
}

/// Figures side by side, or what is said instead of none.
pub(super) fn figures(list: &[Figure], without: &str) -> Markup {
    html! {
        @if list.is_empty() {
            p.missing { (without) }
        } @else {
            div.figures { @for figure in list { (figure.html()) } }
        }
    }
}

/// A table; the last line stands apart from those above with `last_apart`.
pub(super) fn table(heads: &[&str], lines: &[Vec<String>], last_apart: bool) -> Markup {
    html! {
        div.table {
            table {
                thead { tr { @for head in heads { th { (head) } } } }
                tbody {
                    @for (place, line) in lines.iter().enumerate() {
                        tr.all[last_apart && place + 1 == lines.len()] { @for cell in line { td { (cell) } } }
                    }
                }
            }
        }
    }
}

/// A number to four decimals.
pub(super) fn decimal(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| "n/a".to_owned(), |value| format!("{value:.4}"))
}

/// Scenarios by rows, the largest first: where there is room for few, these are shown.
pub(super) fn largest(metrics: &Metrics, max: usize) -> Vec<String> {
    let mut names: Vec<(&String, u64)> =
        metrics.scenarios.iter().map(|(name, own)| (name, own.rows)).filter(|(_, rows)| *rows > 0).collect();
    // Equal ones stay in their order.
    names.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    names.truncate(max);
    names.into_iter().map(|(name, _)| name.clone()).collect()
}
