//! Matrices as coloured squares.

use maud::{Markup, html};

use super::axis::{extent, number};
use super::{CHARACTER, HALF, WHOLE, pixels, shortened, svg};

/// The lightest colour and the darkest, in red, green and blue.
const COLORS: [[f64; 3]; 2] = [[247.0, 251.0, 255.0], [8.0, 48.0, 107.0]];
/// Sides of a matrix whose numbers are written into its squares, at most.
const WRITTEN: usize = 10;
/// Characters of a name, at most.
const NAME: usize = 18;

/// Draws a matrix row by row: the darker, the larger. The diagonal, which says nothing here, does not count for the range
/// of colours and is left grey with `without_diagonal`. A value that there is not is left white.
pub fn heat(about: &str, names: &[String], values: &[Vec<f64>], without_diagonal: bool) -> Markup {
    let count = names.len().max(1);
    let width = if count > 24 { WHOLE } else { HALF };
    let longest = names.iter().map(|name| name.chars().count().min(NAME)).max().unwrap_or(0) as f64 * CHARACTER;
    // Names of columns stand upright where they are wider than the squares.
    let left = longest + 12.0;
    let side = ((width - left - 70.0) / count as f64).min(64.0);
    let upright = longest > side;
    let top = if upright { longest + 12.0 } else { 20.0 };
    let others = || {
        let cells = values.iter().enumerate().flat_map(|(i, row)| row.iter().enumerate().map(move |(j, x)| (i, j, *x)));
        cells.filter(|(i, j, _)| i != j).map(|(_, _, value)| value)
    };
    let (low, high) = extent(others()).unwrap_or((0.0, 1.0));
    let span = (high - low).max(1e-9);
    // As many decimals as tell the values apart, as far as there is room.
    let decimals = if span < 0.02 { 4 } else { 2 };
    let share = |value: f64| ((value - low) / span).clamp(0.0, 1.0);
    let bottom = top + side * count as f64;
    let bar = left + side * count as f64 + 16.0;
    let content = html! {
        @for (place, name) in names.iter().enumerate() {
            @let middle = side * (place as f64 + 0.5);
            text x=(pixels(left - 6.0)) y=(pixels(top + middle)) dy="4" text-anchor="end" {
                title { (name) } (shortened(name, NAME))
            }
            @if upright {
                text transform=(format!("translate({},{}) rotate(-90)", pixels(left + middle + 4.0), pixels(top - 6.0))) {
                    title { (name) } (shortened(name, NAME))
                }
            } @else {
                text x=(pixels(left + middle)) y=(pixels(top - 6.0)) text-anchor="middle" { (shortened(name, NAME)) }
            }
        }
        @for (i, row) in values.iter().enumerate() {
            @for (j, &value) in row.iter().enumerate().filter(|(j, value)| value.is_finite() || i == *j) {
                @let (x, y) = (left + side * j as f64, top + side * i as f64);
                @let hidden = without_diagonal && i == j;
                @let fill = if hidden { "#ddd".to_owned() } else { color(share(value)) };
                rect x=(pixels(x)) y=(pixels(y)) width=(pixels(side)) height=(pixels(side)) fill=(fill) stroke="#fff" {
                    @if !hidden { title { (names[i]) ", " (names[j]) ": " (number(value)) } }
                }
                @if count <= WRITTEN && !hidden {
                    text.light[share(value) > 0.5] x=(pixels(x + side / 2.0)) y=(pixels(y + side / 2.0)) dy="4"
                        text-anchor="middle" { (format!("{value:.decimals$}")) }
                }
            }
        }
        @for step in 0..20 {
            @let height = (bottom - top) / 20.0;
            rect x=(pixels(bar)) y=(pixels(bottom - height * f64::from(step + 1))) width="12"
                height=(pixels(height + 0.3)) fill=(color(f64::from(step) / 19.0)) {}
        }
        text x=(pixels(bar + 16.0)) y=(pixels(top + 10.0)) { (number(high)) }
        text x=(pixels(bar + 16.0)) y=(pixels(bottom)) { (number(low)) }
    };
    svg(width, bottom + 8.0, about, &content)
}

fn color(share: f64) -> String {
    let [r, g, b] = [0, 1, 2].map(|c| COLORS[0][c] + (COLORS[1][c] - COLORS[0][c]) * share);
    format!("#{:02x}{:02x}{:02x}", r as u8, g as u8, b as u8)
}
