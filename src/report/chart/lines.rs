//! Lines over a common axis.

use maud::{Markup, html};

use super::axis::{Axis, Frame, number};
use super::{HALF, Mark, pixels, svg};

/// A point of a line, in the axes' values.
#[derive(Clone, Debug)]
pub struct Point {
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// Half the length of an error bar.
    pub spread: Option<f64>,
    /// What the point's tooltip says.
    pub about: String,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name, for tooltips.
    pub name: String,
    /// Its mark.
    pub mark: Mark,
    /// Its points from left to right; one that is not finite cuts the line.
    pub points: Vec<Point>,
}

/// A chart of lines.
pub struct LineChart {
    /// What it shows, for whom it cannot be seen by.
    pub about: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The lines, the last on top.
    pub lines: Vec<Line>,
    /// A place on the horizontal axis that is marked, and by what words.
    pub marked: Option<(f64, String)>,
    /// Whether the line of equal values is drawn.
    pub diagonal: bool,
}

impl LineChart {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let height = if self.diagonal { 370.0 } else { 300.0 };
        let frame = Frame::new(&self.x, &self.y, HALF, height);
        let content = html! {
            (frame.draw())
            @if self.diagonal { (diagonal(&frame)) }
            @if let Some((value, words)) = &self.marked { (marked(&frame, *value, words)) }
            @for line in &self.lines { (draw_line(&frame, line)) }
        };
        svg(HALF, height, &self.about, &content)
    }
}

fn diagonal(frame: &Frame<'_>) -> Markup {
    let ((left, right), (low, high)) = (frame.x.ends(), frame.y.ends());
    let (from, to) = (left.max(low), right.min(high));
    let path = [from, to].map(|value| format!("{},{}", pixels(frame.across(value)), pixels(frame.down(value))));
    html! { path.reference d=(format!("M{}L{}", path[0], path[1])) {} }
}

fn marked(frame: &Frame<'_>, value: f64, words: &str) -> Markup {
    let [left, top, right, bottom] = frame.area();
    let x = frame.across(value);
    // The words reach to the side where there is more room.
    let anchor = if x - left > right - x { "end" } else { "start" };
    html! {
        path.reference d=(format!("M{},{}V{}", pixels(x), pixels(top), pixels(bottom))) {}
        text x=(pixels(x)) y=(pixels(top - 7.0)) text-anchor=(anchor) { (words) }
    }
}

fn draw_line(frame: &Frame<'_>, line: &Line) -> Markup {
    let color = line.mark.color();
    let sound = |point: &&Point| point.x.is_finite() && point.y.is_finite();
    let mut path = String::new();
    let mut pen_down = false;
    for point in &line.points {
        let drawn = sound(&point);
        if drawn {
            let letter = if pen_down { 'L' } else { 'M' };
            path += &format!("{letter}{},{}", pixels(frame.across(point.x)), pixels(frame.down(point.y)));
        }
        pen_down = drawn;
    }
    let bar = |point: &Point, spread: f64| {
        let x = frame.across(point.x);
        let (low, high) = (frame.down(point.y - spread), frame.down(point.y + spread));
        let left = pixels(x - 3.0);
        let (x, low, high) = (pixels(x), pixels(low), pixels(high));
        format!("M{x},{low}V{high}M{left},{low}h6M{left},{high}h6")
    };
    let shape = |point: &Point| {
        let mut shape = String::new();
        line.mark.shape(frame.across(point.x), frame.down(point.y), 3.4, &mut shape);
        shape
    };
    html! {
        path d=(path) fill="none" stroke=(color) stroke-width="2" stroke-dasharray=(line.mark.dash()) {}
        @for point in line.points.iter().filter(sound) {
            g {
                title { (line.name) ": " (point.about) }
                @if let Some(spread) = point.spread.filter(|spread| spread.is_finite() && *spread > 0.0) {
                    path d=(bar(point, spread)) fill="none" stroke=(color) stroke-width="1" {}
                }
                path d=(shape(point)) fill=(color) {}
            }
        }
    }
}

impl Point {
    /// A point without a spread; `x` says what the horizontal axis counts there.
    pub fn plain(x: f64, y: f64, what: &str) -> Self {
        Self { x, y, spread: None, about: format!("{what} {}: {}", number(x), number(y)) }
    }
}
