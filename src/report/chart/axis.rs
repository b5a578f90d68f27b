//! Axes: which values a direction of a chart shows, and where they lie.

use maud::{Markup, html};

use super::{CHARACTER, pixels};

/// An axis: its label with the unit, and its values.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What the values are, with their unit.
    pub label: String,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

/// Steps between ticks that an axis has, at least; at most two and a half times as many.
const STEPS: f64 = 3.5;

impl Axis {
    /// An axis that shows all of `values`, with a margin of a twentieth; what is not finite is passed over.
    pub fn around(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        // Equal values lie in the middle of something.
        let margin = if high > low { (high - low) / 20.0 } else { (low.abs() / 20.0).max(1e-3) };
        Self::between(label, low - margin, high + margin)
    }

    /// An axis from `low` to `high`, which is larger.
    pub fn between(label: &str, low: f64, high: f64) -> Self {
        let step = nice_step((high - low) / STEPS);
        let ticks = ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|count| count as f64 * step);
        let ticks = ticks.map(|tick| (tick, at_step(tick, step))).collect();
        Self { label: label.to_owned(), low, high, ticks }
    }

    /// An axis of whole numbers, such as epochs.
    pub fn counted(label: &str, low: u64, high: u64) -> Self {
        let step = nice_step((high - low) as f64 / STEPS).ceil().max(1.0) as u64;
        let numbers = (low..=high).filter(|number| number.is_multiple_of(step) || step == 1);
        let ticks: Vec<(f64, String)> = numbers.map(|number| (number as f64, number.to_string())).collect();
        let margin = ((high - low) as f64 / 40.0).max(0.25);
        Self { label: label.to_owned(), low: low as f64 - margin, high: high as f64 + margin, ticks }
    }

    /// An axis of a few values at even distances: value n lies at n.
    pub fn even(label: &str, values: &[f64]) -> Self {
        let ticks = values.iter().enumerate().map(|(place, value)| (place as f64, number(*value))).collect();
        Self { label: label.to_owned(), low: -0.5, high: values.len() as f64 - 0.5, ticks }
    }

    /// Where a value lies: 0 at the axis' begin, 1 at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The values it shows.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Values that are marked, with their texts, where the axis lies across and is so many pixels long; texts for which
    /// there is no room are empty.
    pub(super) fn ticks_across(&self, length: f64) -> impl Iterator<Item = (f64, &str)> {
        let apart = match self.ticks.as_slice() {
            [(first, _), (second, _), ..] => length * (self.at(*second) - self.at(*first)),
            _ => f64::INFINITY,
        };
        let every = ((self.ticks_width() + CHARACTER) / apart).ceil().max(1.0) as usize;
        let shown = move |place: usize| place.is_multiple_of(every);
        self.ticks.iter().enumerate().map(move |(place, (value, text))| (*value, if shown(place) { text } else { "" }))
    }

    /// Room that its ticks' texts take to their longest one's end.
    fn ticks_width(&self) -> f64 {
        let longest = self.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        longest as f64 * CHARACTER
    }
}

/// The smallest and the largest of those values that are finite.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |found, value| match found {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// The largest of 1, 2 and 5 times a power of ten that is not above `max`.
fn nice_step(max: f64) -> f64 {
    if !(max.is_finite() && max > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(max.log10().floor());
    let times = [5.0, 2.0, 1.0].into_iter().find(|times| times * power <= max * 1.001).unwrap_or(1.0);
    times * power
}

/// A tick's text, with as many decimals as tell it from the next.
fn at_step(value: f64, step: f64) -> String {
    if !(1e-5..1e6).contains(&step) {
        return format!("{value:.1e}");
    }
    let decimals = (-step.log10() + 0.001).ceil().max(0.0) as usize;
    // No minus zero.
    format!("{:.decimals$}", if value.abs() < step / 2.0 { 0.0 } else { value })
}

/// A number as people write it: up to four decimals, none that are 0.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    if value != 0.0 && !(1e-3..1e9).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Two axes and the area between them, in pixels.
pub(super) struct Frame<'a> {
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
    left: f64,
    width: f64,
    height: f64,
}

const TOP: f64 = 22.0;
const BOTTOM: f64 = 42.0;
const RIGHT: f64 = 14.0;

impl<'a> Frame<'a> {
    /// In a picture of a size.
    pub(super) fn new(x: &'a Axis, y: &'a Axis, width: f64, height: f64) -> Self {
        let left = 30.0 + y.ticks_width();
        Self { x, y, left, width: width - left - RIGHT, height: height - TOP - BOTTOM }
    }

    /// Pixels of a value of the horizontal axis.
    pub(super) fn across(&self, value: f64) -> f64 {
        self.left + self.width * self.x.at(value)
    }

    /// Pixels of a value of the vertical axis.
    pub(super) fn down(&self, value: f64) -> f64 {
        TOP + self.height * (1.0 - self.y.at(value))
    }

    /// The area's left, top, right and bottom.
    pub(super) fn area(&self) -> [f64; 4] {
        [self.left, TOP, self.left + self.width, TOP + self.height]
    }

    /// Grid, ticks and labels.
    pub(super) fn draw(&self) -> Markup {
        let [left, top, right, bottom] = self.area();
        let (middle, centre) = (pixels((left + right) / 2.0), pixels((top + bottom) / 2.0));
        html! {
            @for (value, text) in &self.y.ticks {
                @let y = pixels(self.down(*value));
                path.grid d=(format!("M{},{y}H{}", pixels(left), pixels(right))) {}
                text x=(pixels(left - 6.0)) y=(y) dy="4" text-anchor="end" { (text) }
            }
            @for (value, text) in self.x.ticks_across(self.width) {
                @let x = pixels(self.across(value));
                path.grid d=(format!("M{x},{}V{}", pixels(top), pixels(bottom))) {}
                @if !text.is_empty() { text x=(x) y=(pixels(bottom + 16.0)) text-anchor="middle" { (text) } }
            }
            path.axis d=(format!("M{},{}V{}H{}", pixels(left), pixels(top), pixels(bottom), pixels(right))) {}
            text.label x=(middle) y=(pixels(bottom + 36.0)) text-anchor="middle" { (self.x.label) }
            text.label transform=(format!("translate(12,{centre}) rotate(-90)")) text-anchor="middle" { (self.y.label) }
        }
    }
}
