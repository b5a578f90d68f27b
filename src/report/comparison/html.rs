//! The tables as HTML: a fragment that stands alone in a browser, and inside another page.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::{Part, notes, parts};
use crate::report::table::{Mark, Marked};
use crate::train::comparison::Summaries;

const STYLE: &str = "\n.comparison table { border-collapse: collapse; margin: 0 0 1.5em; font-variant-numeric: \
                     tabular-nums; }\n.comparison caption { text-align: left; font-weight: bold; padding: 0.3em 0; \
                     }\n.comparison th, .comparison td { padding: 0.2em 0.7em; text-align: right; white-space: nowrap; \
                     }\n.comparison thead th { border-top: 2px solid; border-bottom: 1px solid; }\n.comparison tbody \
                     tr:last-child > * { border-bottom: 2px solid; }\n.comparison tbody th, .comparison thead \
                     th:first-child { text-align: left; font-weight: normal; }\n.comparison .notes { max-width: 60em; \
                     }\n";

/// All tables and notes in one `<section class="comparison">`. All characters are ASCII, so that it reads the same
/// whatever encoding the page around it has.
pub fn html(summaries: &Summaries) -> String {
    let page = html! {
        section.comparison {
            "\n" style { (PreEscaped(STYLE)) } "\n"
            @for part in parts(summaries, usize::MAX) { (table(&part)) "\n" }
            div.notes { "\n" @for note in notes(summaries, true) { p { (ascii(&note)) } "\n" } } "\n"
        }
        "\n"
    };
    page.into_string()
}

fn table(part: &Part) -> Markup {
    html! {
        table {
            "\n" caption { (ascii(&part.title)) } "\n"
            thead { tr { @for head in &part.heads { th scope="col" { (ascii(head)) } } } } "\n"
            tbody { "\n" @for line in &part.lines { (row(line)) "\n" } } "\n"
        }
    }
}

fn row(line: &[Marked]) -> Markup {
    let text = |Marked { text, mark }: &Marked| match mark {
        Mark::Best => html! { b { (ascii(text)) } },
        Mark::Second => html! { u { (ascii(text)) } },
        Mark::None | Mark::Total => ascii(text),
    };
    html! {
        tr {
            @for (column, cell) in line.iter().enumerate() {
                @if column == 0 { th scope="row" { (text(cell)) } } @else { td { (text(cell)) } }
            }
        }
    }
}

/// A text without characters that HTML or an encoding would take for something else.
fn ascii(text: &str) -> Markup {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            plain if plain.is_ascii() => escaped.push(plain),
            other => {
                let _ = write!(escaped, "&#{};", u32::from(other));
            }
        }
    }
    PreEscaped(escaped)
}
