//! Charts as SVG inside a page: lines, bars, dots, points, heat maps and boxes.
//!
//! Every mark has its numbers as a tooltip (`<title>`, so no script is needed), every picture a text that says what it
//! shows, and what belongs together has both a colour and a shape. Texts of users (names of scenarios, of models) come out
//! escaped, by maud.
//!
//! Why not plotters, the chart crate that most use: its SVG has coordinates in whole pixels, places text by the fonts of the
//! machine it runs on (so that the same run would give other bytes elsewhere), and has no tooltips.

mod axis;
mod heat;
mod lines;
mod mark;
mod points;
mod rows;

pub use axis::{Axis, number};
pub use heat::heat;
pub use lines::{Line, LineChart, Point};
pub use mark::{Key, Mark};
pub use points::{Group, Panel, panels};
pub use rows::{Row, RowChart, Shown};

use maud::{Markup, html};

/// Width of a picture that has half of the page's, in pixels, and of one that has all of it.
pub const HALF: f64 = 480.0;
/// See [`HALF`].
pub const WHOLE: f64 = 990.0;

/// A picture with its title, its legend, and what it shows and how to read it.
pub struct Figure {
    /// Its title.
    pub title: String,
    /// The picture.
    pub picture: Markup,
    /// Keys and what they stand for; no legend is drawn for none.
    pub legend: Vec<(Key, String)>,
    /// What is shown and how to read it.
    pub caption: String,
    /// Whether it takes the whole width of the page.
    pub wide: bool,
}

impl Figure {
    /// The figure as HTML.
    pub fn html(&self) -> Markup {
        html! {
            figure class=[self.wide.then_some("wide")] {
                h3 { (self.title) }
                (self.picture)
                @if !self.legend.is_empty() {
                    ul.legend {
                        @for (key, name) in &self.legend {
                            li {
                                svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true" { (key.draw()) }
                                (name)
                            }
                        }
                    }
                }
                figcaption { (self.caption) }
            }
        }
    }
}

/// An SVG of this size in pixels, with alt text.
fn svg(width: f64, height: f64, about: &str, content: &Markup) -> Markup {
    let size = format!("0 0 {} {}", pixels(width), pixels(height));
    html! {
        svg viewBox=(size) style=(format!("max-width:{}px", pixels(width * 1.25))) role="img" aria-label=(about) {
            (content)
        }
    }
}

/// A coordinate, to a tenth of a pixel.
fn pixels(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A text of at most `max` characters, cut in its middle, where names that belong together are most alike.
fn shortened(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_owned();
    }
    let (head, tail) = ((max - 1).div_ceil(2), (max - 1) / 2);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

/// About how wide a character is, in pixels, at the size of a chart's texts.
const CHARACTER: f64 = 7.3;

#[cfg(test)]
mod tests;
