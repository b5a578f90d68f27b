//! Results as tables: for terminals, as plain text, and as Markdown.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::data::shortened;
use crate::train::evaluation::bootstrap::{Interval, Intervals};
use crate::train::evaluation::metrics::Metrics;

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableStyle {
    /// Box-drawing characters, bold and dim text.
    Terminal,
    /// ASCII only, no escape sequences: for files and pipes.
    Plain,
    /// GitHub's Markdown.
    Markdown,
}

impl TableStyle {
    /// [`Terminal`](TableStyle::Terminal) when standard output is one and `NO_COLOR` is unset or empty, else
    /// [`Plain`](TableStyle::Plain).
    pub fn for_stdout() -> TableStyle {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match std::io::stdout().is_terminal() && !no_color {
            true => TableStyle::Terminal,
            false => TableStyle::Plain,
        }
    }
}

/// One line per scenario and a last line "all": AUC, LogLoss, GAUC, calibration, rows and positives; "n/a" for a
/// number that a group does not have. With `best`, the metrics of the true probabilities, each scenario's best
/// reachable AUC and LogLoss stand beside its own. Of entire-space models those of clicks and of conversions after them follow, in
/// tables of their own. No newline at the end.
pub fn scenario_table(metrics: &Metrics, best: Option<&Metrics>, style: TableStyle) -> String {
    let scenarios = metrics.scenarios.iter();
    let groups: Vec<_> =
        scenarios.map(|(name, own)| (name.as_str(), own, best.and_then(|best| best.scenario(name)))).collect();
    let mut tables = vec![group_table("scenario", &groups, (metrics, best), style)];
    for (title, tower) in towers(metrics) {
        tables.push(format!("{title}:\n{}", scenario_table(tower, None, style)));
    }
    tables.join("\n")
}

/// The towers of an entire-space model, each with what its metrics are of.
pub fn towers(metrics: &Metrics) -> impl Iterator<Item = (&'static str, &Metrics)> {
    let titles = ["clicks (CTR), all rows", "after a click (CVR), clicked rows"];
    let towers = [metrics.ctr.as_deref(), metrics.cvr.as_deref()];
    titles.into_iter().zip(towers).filter_map(|(title, tower)| Some((title, tower?)))
}

/// As [`scenario_table`], of any groups of rows under a head of one's own: each group's name, its metrics, and those of the true
/// probabilities where there are some; then those of all rows. The sum of weights has a column where rows have weights.
pub fn group_table(
    head: &str,
    groups: &[(&str, &Metrics, Option<&Metrics>)],
    all: (&Metrics, Option<&Metrics>),
    style: TableStyle,
) -> String {
    let (has_best, has_weights) = (all.1.is_some(), all.0.weight.is_some());
    let mut heads = vec![head, "AUC"];
    heads.extend(has_best.then_some("best AUC"));
    heads.push("LogLoss");
    heads.extend(has_best.then_some("best LogLoss"));
    heads.extend(["GAUC", "calibration", "rows", "positives"]);
    heads.extend(has_weights.then_some("weight"));

    let lines: Vec<Vec<String>> = groups
        .iter()
        .copied()
        .chain([("all", all.0, all.1)])
        .map(|(name, own, best)| line(name, own, has_best.then_some(best), has_weights))
        .collect();
    draw(&heads, &lines, style)
}

/// Intervals of each group's metrics, and last those of all rows.
pub fn interval_table(head: &str, groups: &[(&str, &Intervals)], style: TableStyle) -> String {
    type Pick = fn(&Intervals) -> Option<Interval>;
    let mut columns: Vec<(&str, Pick)> = vec![
        ("AUC", |own| own.auc),
        ("PR-AUC", |own| own.pr_auc),
        ("LogLoss", |own| own.logloss),
        ("normalised entropy", |own| own.normalized_entropy),
    ];
    if groups.iter().any(|(_, own)| own.gauc.is_some()) {
        columns.push(("GAUC", |own| own.gauc));
    }
    columns.push(("calibration", |own| own.calibration));
    let heads: Vec<&str> = std::iter::once(head).chain(columns.iter().map(|(name, _)| *name)).collect();
    let line = |(name, own): &(&str, &Intervals)| {
        let numbers = columns.iter().map(|(_, pick)| pick(own).map_or_else(|| MISSING.to_owned(), interval_text));
        std::iter::once(shortened(name)).chain(numbers).collect()
    };
    draw(&heads, &groups.iter().map(line).collect::<Vec<Vec<String>>>(), style)
}

fn interval_text(Interval { low, high }: Interval) -> String {
    format!("{low:.4} to {high:.4}")
}

/// The cells of one group. The outer option says whether there are columns of best numbers, the inner one whether
/// this group has them.
fn line(name: &str, own: &Metrics, best: Option<Option<&Metrics>>, has_weights: bool) -> Vec<String> {
    let mut cells = vec![shortened(name), decimal(own.auc)];
    cells.extend(best.map(|best| decimal(best.and_then(|best| best.auc))));
    cells.push(decimal(own.logloss));
    cells.extend(best.map(|best| decimal(best.and_then(|best| best.logloss))));
    cells.extend([decimal(own.gauc), decimal(own.calibration), grouped(own.rows), grouped(own.positives)]);
    cells.extend(has_weights.then(|| own.weight.map_or_else(|| MISSING.to_owned(), |weight| format!("{weight:.1}"))));
    cells
}

/// How a cell stands out among its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// It does not.
    #[default]
    None,
    /// Bold on terminals.
    Total,
    /// Bold, wherever there is bold.
    Best,
    /// Underlined, wherever that can be.
    Second,
}

/// The text of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// The text.
    pub text: String,
    /// How it stands out.
    pub mark: Mark,
}

impl From<String> for Marked {
    fn from(text: String) -> Self {
        Self { text, mark: Mark::None }
    }
}

/// Draws any table: the first column to the left, the others to the right, the last line set off from those above.
pub fn draw(heads: &[&str], lines: &[Vec<String>], style: TableStyle) -> String {
    let marked = |(number, line): (usize, &Vec<String>)| {
        let mark = if number + 1 == lines.len() { Mark::Total } else { Mark::None };
        line.iter().map(|text| Marked { text: text.clone(), mark }).collect()
    };
    draw_marked(heads, &lines.iter().enumerate().map(marked).collect::<Vec<_>>(), style)
}

/// What Markdown would take for markup, or for the end of a cell, made plain. An underscore within a word is none.
pub(super) fn escaped_markdown(text: &str) -> String {
    let mut escaped = String::new();
    let mut rest = text.chars().peekable();
    let mut in_word = false;
    while let Some(character) = rest.next() {
        let within = in_word && rest.peek().is_some_and(|next| next.is_alphanumeric());
        if "\\`*<>[]#|".contains(character) || character == '_' && !within {
            escaped.push('\\');
        }
        escaped.push(character);
        in_word = character.is_alphanumeric();
    }
    escaped
}

/// Draws a table some of whose cells stand out: the first column to the left, the others to the right.
pub fn draw_marked(heads: &[&str], lines: &[Vec<Marked>], style: TableStyle) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    match style {
        TableStyle::Terminal => table.load_style(presets::UTF8_FULL_CONDENSED).enforce_styling(),
        TableStyle::Plain => table.load_style(presets::NOTHING).force_no_tty(),
        TableStyle::Markdown => table.load_style(presets::ASCII_MARKDOWN).force_no_tty(),
    };
    let styled = style == TableStyle::Terminal;
    let cell = |text: &str, mark: Mark| match (styled, mark, text) {
        (true, Mark::Total | Mark::Best, _) => Cell::new(text).add_attribute(Attribute::Bold),
        (true, Mark::Second, _) => Cell::new(text).add_attribute(Attribute::Underlined),
        (true, Mark::None, MISSING) => Cell::new(text).add_attribute(Attribute::Dim),
        _ => Cell::new(text),
    };
    let text = |text: &str, mark: Mark| match (style, mark) {
        (TableStyle::Markdown, Mark::None | Mark::Total) => escaped_markdown(text),
        (TableStyle::Markdown, Mark::Best) => format!("**{}**", escaped_markdown(text)),
        (TableStyle::Markdown, Mark::Second) => format!("<ins>{}</ins>", escaped_markdown(text)),
        _ => text.to_owned(),
    };
    table.set_header(heads.iter().map(|head| cell(&text(head, Mark::None), Mark::Total)));
    for line in lines {
        table.add_row(line.iter().map(|Marked { text: own, mark }| cell(&text(own, *mark), *mark)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    match style {
        TableStyle::Markdown => right_aligned(&table.to_string(), heads.len()),
        _ => table.trim_fmt(),
    }
}

/// What stands for a number that there is not.
pub(super) const MISSING: &str = "n/a";

pub(super) fn decimal(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{value:.4}"),
        _ => MISSING.to_owned(),
    }
}

/// A count with a comma between thousands.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Marks all columns of a Markdown table but the first as right-aligned, in its second line: `|----|---:|`.
fn right_aligned(markdown: &str, columns: usize) -> String {
    let mut lines: Vec<String> = markdown.lines().map(str::to_owned).collect();
    if let Some(rule) = lines.get_mut(1) {
        let marks: Vec<usize> = rule.match_indices('|').map(|(place, _)| place).skip(2).take(columns - 1).collect();
        for mark in marks {
            rule.replace_range(mark - 1..mark, ":");
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(auc: Option<f64>, rows: u64) -> Metrics {
        Metrics { auc, logloss: Some(0.25), calibration: Some(1.012_34), rows, positives: 12, ..Metrics::default() }
    }

    fn two_scenarios() -> Metrics {
        let scenarios =
            vec![("news|feed".to_owned(), metrics(Some(0.75), 1_234_567)), ("mail".to_owned(), metrics(None, 999))];
        Metrics { scenarios, ..metrics(Some(0.8), 1_235_566) }
    }

    #[test]
    fn plain_tables_align_and_have_no_escapes() {
        let text = scenario_table(&two_scenarios(), None, TableStyle::Plain);
        assert_eq!(
            text,
            [
                " scenario      AUC  LogLoss  GAUC  calibration       rows  positives",
                " news|feed  0.7500   0.2500   n/a       1.0123  1,234,567         12",
                " mail          n/a   0.2500   n/a       1.0123        999         12",
                " all        0.8000   0.2500   n/a       1.0123  1,235,566         12",
            ]
            .join("\n")
        );
    }

    #[test]
    fn markdown_escapes_bars_and_aligns_numbers() {
        let best = Metrics { scenarios: vec![("mail".to_owned(), metrics(Some(0.9), 999))], ..metrics(Some(0.9), 1) };
        let text = scenario_table(&two_scenarios(), Some(&best), TableStyle::Markdown);
        let lines: Vec<&str> = text.lines().collect();
        let bare = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            bare(lines[0]),
            "| scenario | AUC | best AUC | LogLoss | best LogLoss | GAUC | calibration | rows | positives |"
        );
        let marks: Vec<bool> = lines[1].trim_matches('|').split('|').map(|rule| rule.ends_with("-:")).collect();
        assert_eq!(marks, [false, true, true, true, true, true, true, true, true]);
        assert!(lines[1].chars().all(|c| "|-:".contains(c)), "{}", lines[1]);
        // A scenario that the best metrics do not have.
        assert_eq!(bare(lines[2]), "| news\\|feed | 0.7500 | n/a | 0.2500 | n/a | n/a | 1.0123 | 1,234,567 | 12 |");
        assert_eq!(bare(lines[3]), "| mail | n/a | 0.9000 | 0.2500 | 0.2500 | n/a | 1.0123 | 999 | 12 |");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn terminals_get_boxes_and_bold() {
        let text = scenario_table(&two_scenarios(), None, TableStyle::Terminal);
        assert!(text.starts_with('┌') && text.contains("\u{1b}[1m"), "{text}");
    }

    #[test]
    fn no_scenarios_leave_the_last_line() {
        let text = scenario_table(&Metrics::default(), None, TableStyle::Plain);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("all"));
    }

    #[test]
    fn groups_have_weights_where_rows_have_and_intervals_both_ends() {
        let own = Metrics { weight: Some(30.25), ..metrics(Some(0.7), 7) };
        let all = Metrics { weight: Some(1000.0), ..metrics(Some(0.8), 999) };
        let text = group_table("hour", &[("7", &own, None)], (&all, None), TableStyle::Plain);
        let lines = [
            " hour     AUC  LogLoss  GAUC  calibration  rows  positives  weight",
            " 7     0.7000   0.2500   n/a       1.0123     7         12    30.2",
            " all   0.8000   0.2500   n/a       1.0123   999         12  1000.0",
        ];
        assert_eq!(text, lines.join("\n"));
        let own = Intervals { auc: Some(Interval { low: 0.71, high: 0.734_56 }), ..Intervals::default() };
        let text = interval_table("hour", &[("7", &own), ("all", &own)], TableStyle::Plain);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split("  ").filter(|cell| !cell.trim().is_empty()).collect()).collect();
        assert_eq!(lines[0], [" hour", " AUC", "PR-AUC", "LogLoss", "normalised entropy", "calibration"]);
        assert_eq!(lines[1][..2], [" 7", " 0.7100 to 0.7346"]);
    }

    #[test]
    fn numbers_are_written_for_readers() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(decimal(Some(f64::NAN)), "n/a");
        assert_eq!(decimal(Some(0.123_46)), "0.1235");
    }
}
