//! Clouds of points in the plane, in panels side by side.

use maud::{Markup, html};

use super::axis::extent;
use super::{HALF, Mark, WHOLE, pixels, svg};

/// Points that have one mark.
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// Their mark.
    pub mark: Mark,
    /// Where they are.
    pub points: Vec<[f64; 2]>,
}

/// A cloud.
pub struct Panel {
    /// What stands over it.
    pub title: String,
    /// The first lies lowest.
    pub groups: Vec<Group>,
}

const GAP: f64 = 14.0;
const HEAD: f64 = 24.0;

/// Draws panels, up to three in a row. A cloud fills its panel: places have no meaning, only nearness has, so there are
/// no axes.
pub fn panels(about: &str, panels: &[Panel]) -> Markup {
    let across = panels.len().clamp(1, 3);
    let width = if across == 1 { HALF } else { WHOLE };
    let side = if across == 1 { 360.0 } else { (width - GAP * (across as f64 - 1.0)) / across as f64 };
    let margin = if across == 1 { (width - side) / 2.0 } else { 0.0 };
    let height = (side + HEAD + GAP) * panels.len().div_ceil(across) as f64;
    let content = html! {
        @for (place, panel) in panels.iter().enumerate() {
            @let left = margin + (place % across) as f64 * (side + GAP);
            @let top = (place / across) as f64 * (side + HEAD + GAP) + HEAD;
            text.label x=(pixels(left + side / 2.0)) y=(pixels(top - 8.0)) text-anchor="middle" { (panel.title) }
            path.axis d=(format!("M{},{}h{side:.1}v{side:.1}h-{side:.1}z", pixels(left), pixels(top))) {}
            (cloud(panel, left, top, side))
        }
    };
    svg(width, height, about, &content)
}

fn cloud(panel: &Panel, left: f64, top: f64, side: f64) -> Markup {
    let all = || panel.groups.iter().flat_map(|group| &group.points);
    let ends = [0, 1].map(|axis| extent(all().map(|point| point[axis])).unwrap_or((0.0, 1.0)));
    // One scale for both directions: distances are what counts.
    let span = ends.iter().map(|(low, high)| high - low).fold(f64::MIN_POSITIVE, f64::max);
    let inside = side * 0.92;
    let place = |point: &[f64; 2], axis: usize| {
        side / 2.0 + (point[axis] - (ends[axis].0 + ends[axis].1) / 2.0) / span * inside
    };
    html! {
        @for group in &panel.groups {
            @let path = group.points.iter().filter(|point| point.iter().all(|x| x.is_finite())).fold(
                String::new(),
                |mut path, point| {
                    group.mark.shape(left + place(point, 0), top + place(point, 1), 2.6, &mut path);
                    path
                },
            );
            path d=(path) fill=(group.mark.color()) fill-opacity="0.7" {
                title { (group.name) }
            }
        }
    }
}
