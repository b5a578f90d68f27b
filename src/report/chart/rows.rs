//! Charts with a name on each row: bars, dots with error bars, boxes.

use maud::{Markup, html};

use super::axis::{Axis, number};
use super::{CHARACTER, HALF, Mark, WHOLE, pixels, shortened, svg};

/// What a row shows.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A bar from a value to another.
    Bar {
        /// Where it begins.
        from: f64,
        /// Where it ends.
        to: f64,
    },
    /// A short line across the row.
    Tick(f64),
    /// A dot with an error bar of twice the spread.
    Dot {
        /// Its value.
        value: f64,
        /// Half the error bar, where there is one.
        spread: Option<f64>,
    },
    /// A box between quartiles with the median in it, and lines out to the two outer quantiles.
    Box([f64; 5]),
}

/// A row: its name, what stands at its end, and what it shows with marks and tooltips.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What stands at its end.
    pub note: String,
    /// What it shows.
    pub shown: Vec<(Mark, Shown, String)>,
}

/// A chart of rows.
pub struct RowChart {
    /// What it shows, for whom it cannot be seen by.
    pub about: String,
    /// The values.
    pub axis: Axis,
    /// From the top.
    pub rows: Vec<Row>,
    /// Whether it takes the whole width of a page.
    pub wide: bool,
    /// Whether what a row shows lies side by side, not over one another.
    pub apart: bool,
}

const TOP: f64 = 6.0;
const BOTTOM: f64 = 42.0;
/// Characters of a name, at most.
const NAME: usize = 34;

impl RowChart {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let width = if self.wide { WHOLE } else { HALF };
        let longest = |text: fn(&Row) -> &String, max: usize| {
            let longest = self.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
            longest.min(max) as f64 * CHARACTER
        };
        let left = longest(|row| &row.name, NAME) + 14.0;
        let right = width - longest(|row| &row.note, 40) - 14.0;
        let lane = if self.apart { 11.0 } else { 20.0 };
        let heights: Vec<f64> = self
            .rows
            .iter()
            .map(|row| if self.apart { lane * row.shown.len().max(1) as f64 + 8.0 } else { lane })
            .collect();
        let bottom = TOP + heights.iter().sum::<f64>();
        let tops = heights.iter().scan(TOP, |top, height| Some(std::mem::replace(top, *top + height)));
        let across = |value: f64| left + (right - left) * self.axis.at(value).clamp(-0.02, 1.02);
        let content = html! {
            @for (value, text) in self.axis.ticks_across(right - left) {
                @let x = pixels(across(value));
                path.grid d=(format!("M{x},{}V{}", pixels(TOP), pixels(bottom))) {}
                @if !text.is_empty() { text x=(x) y=(pixels(bottom + 16.0)) text-anchor="middle" { (text) } }
            }
            path.axis d=(format!("M{},{}V{}H{}", pixels(left), pixels(TOP), pixels(bottom), pixels(right))) {}
            text.label x=(pixels((left + right) / 2.0)) y=(pixels(bottom + 36.0)) text-anchor="middle" {
                (self.axis.label)
            }
            @for ((row, top), height) in self.rows.iter().zip(tops).zip(&heights) {
                @let middle = top + height / 2.0;
                text x=(pixels(left - 6.0)) y=(pixels(middle)) dy="4" text-anchor="end" {
                    title { (row.name) }
                    (shortened(&row.name, NAME))
                }
                text.note x=(pixels(right + 8.0)) y=(pixels(middle)) dy="4" { (shortened(&row.note, 40)) }
                @for (place, (mark, shown, about)) in row.shown.iter().enumerate() {
                    @let y = if self.apart { top + 4.0 + lane * (place as f64 + 0.5) } else { middle };
                    g {
                        title { (row.name) ": " (about) }
                        (draw_shown(shown, *mark, y, if self.apart { lane } else { lane * 0.7 }, &across))
                    }
                }
            }
        };
        svg(width, bottom + BOTTOM, &self.about, &content)
    }
}

fn draw_shown(shown: &Shown, mark: Mark, y: f64, height: f64, across: &impl Fn(f64) -> f64) -> Markup {
    let color = mark.color();
    let rectangle = |from: f64, to: f64, height: f64| {
        let (a, b) = (across(from).min(across(to)), across(from).max(across(to)));
        format!("M{},{}H{}v{}H{}z", pixels(a), pixels(y - height / 2.0), pixels(b), pixels(height), pixels(a))
    };
    let stroke =
        |value: f64, height: f64| format!("M{},{}v{}", pixels(across(value)), pixels(y - height / 2.0), pixels(height));
    match *shown {
        Shown::Bar { from, to } if from.is_finite() && to.is_finite() => {
            html! { path d=(rectangle(from, to, height)) fill=(color) {} }
        }
        Shown::Tick(value) if value.is_finite() => {
            html! { path d=(stroke(value, height * 1.3)) stroke=(color) stroke-width="2.5" {} }
        }
        Shown::Dot { value, spread } if value.is_finite() => {
            let mut shape = String::new();
            mark.shape(across(value), y, 4.0, &mut shape);
            let spread = spread.filter(|spread| spread.is_finite() && *spread > 0.0);
            let bar = |spread: f64| {
                let (low, high) = (value - spread, value + spread);
                let line = format!("M{},{}H{}", pixels(across(low)), pixels(y), pixels(across(high)));
                line + &stroke(low, 6.0) + &stroke(high, 6.0)
            };
            html! {
                @if let Some(spread) = spread { path d=(bar(spread)) fill="none" stroke=(color) stroke-width="1.5" {} }
                path d=(shape) fill=(color) {}
            }
        }
        Shown::Box([lowest, low, middle, high, highest]) if [lowest, highest].iter().all(|x| x.is_finite()) => {
            let line = format!("M{},{}H{}", pixels(across(lowest)), pixels(y), pixels(across(highest)));
            let whiskers = line + &stroke(lowest, height * 0.5) + &stroke(highest, height * 0.5);
            html! {
                path d=(whiskers) fill="none" stroke=(color) stroke-width="1.5" {}
                path d=(rectangle(low, high, height * 0.8)) fill=(color) fill-opacity="0.35" stroke=(color) {}
                path d=(stroke(middle, height * 0.8)) stroke="#111" stroke-width="2" {}
            }
        }
        _ => html! { text.note x=(pixels(across(f64::NEG_INFINITY) + 12.0)) y=(pixels(y)) dy="4" { "n/a" } },
    }
}

impl Row {
    /// The tooltip of a value with its spread over this many runs.
    pub fn about(what: &str, value: f64, spread: Option<f64>) -> String {
        let spread = spread.map_or_else(String::new, |spread| format!(" ± {}", number(spread)));
        format!("{what} {}{spread}", number(value))
    }
}
