//! The tables as HTML: a fragment that stands alone in a browser, and inside another page.

use std::fmt::Write;

use super::{notes, parts};
use crate::report::table::{Mark, Marked};
use crate::train::comparison::Summaries;

/// All tables and notes in one `<section class="comparison">`. All characters are ASCII, so that it reads the same
/// whatever encoding the page around it has.
pub fn html(summaries: &Summaries) -> String {
    let mut page = String::from(
        "<section class=\"comparison\">\n<style>\n.comparison table { border-collapse: collapse; margin: 0 0 1.5em; \
         font-variant-numeric: tabular-nums; }\n.comparison caption { text-align: left; font-weight: bold; padding: \
         0.3em 0; }\n.comparison th, .comparison td { padding: 0.2em 0.7em; text-align: right; white-space: nowrap; \
         }\n.comparison thead th { border-top: 2px solid; border-bottom: 1px solid; }\n.comparison tbody tr:last-child \
         > * { border-bottom: 2px solid; }\n.comparison tbody th, .comparison thead th:first-child { text-align: left; \
         font-weight: normal; }\n.comparison .notes { max-width: 60em; }\n</style>\n",
    );
    for part in parts(summaries, usize::MAX) {
        let heads: String = part.heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escaped(head))).collect();
        let title = escaped(&part.title);
        let _ = writeln!(page, "<table>\n<caption>{title}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>");
        for line in &part.lines {
            page.push_str("<tr>");
            for (column, Marked { text, mark }) in line.iter().enumerate() {
                let text = match mark {
                    Mark::Best => format!("<b>{}</b>", escaped(text)),
                    Mark::Second => format!("<u>{}</u>", escaped(text)),
                    Mark::None | Mark::Total => escaped(text),
                };
                let _ = match column {
                    0 => write!(page, "<th scope=\"row\">{text}</th>"),
                    _ => write!(page, "<td>{text}</td>"),
                };
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody>\n</table>\n");
    }
    page.push_str("<div class=\"notes\">\n");
    for note in notes(summaries, true) {
        let _ = writeln!(page, "<p>{}</p>", escaped(&note));
    }
    page.push_str("</div>\n</section>\n");
    page
}

/// A text without characters that HTML or an encoding would take for something else.
fn escaped(text: &str) -> String {
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
    escaped
}
