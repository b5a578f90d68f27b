//! How what belongs together is marked: a colour, a shape, a dash.

use std::fmt::Write;

use maud::{Markup, html};

use super::pixels;

/// Okabe and Ito's colours, which people see apart who do not see all colours; black and yellow are left out, the one
/// being the text's, the other too light on white.
const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];
/// Shapes and colours have no common divisor: it takes 42 marks until one comes again.
const SHAPES: usize = 6;

/// The mark of the number-th thing of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The number-th of several.
    Of(usize),
    /// What is left over, in grey.
    Other,
}

impl Mark {
    /// Its colour.
    pub fn color(self) -> &'static str {
        match self {
            Self::Of(number) => COLORS[number % COLORS.len()],
            Self::Other => "#b8b8b8",
        }
    }

    /// How its line is dashed.
    pub(super) fn dash(self) -> &'static str {
        match self {
            Self::Of(number) => DASHES[number / COLORS.len() % DASHES.len()],
            Self::Other => DASHES[0],
        }
    }

    /// Appends its shape around a point to the data of an SVG path.
    pub(super) fn shape(self, x: f64, y: f64, size: f64, out: &mut String) {
        let number = match self {
            Self::Of(number) => number % SHAPES,
            Self::Other => 0,
        };
        let r = size;
        let outline = |out: &mut String, corners: &[(f64, f64)]| {
            for (place, (dx, dy)) in corners.iter().enumerate() {
                let letter = if place == 0 { 'M' } else { 'L' };
                let _ = write!(out, "{letter}{},{}", pixels(x + dx * r), pixels(y + dy * r));
            }
            out.push('z');
        };
        match number {
            0 => {
                let (r, d) = (pixels(r), pixels(2.0 * r));
                let _ = write!(out, "M{},{}a{r},{r} 0 1 0 {d},0a{r},{r} 0 1 0 -{d},0", pixels(x - size), pixels(y));
            }
            1 => outline(out, &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            2 => outline(out, &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]),
            3 => outline(out, &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
            4 => outline(out, &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]),
            _ => {
                let (a, b) = (0.35, 1.2);
                let plus = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a)];
                outline(out, &[&plus[..], &[(-b, -a), (-a, -a)]].concat());
            }
        }
    }
}

/// How a legend shows what a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A line with its points.
    Line(Mark),
    /// A point.
    Dot(Mark),
    /// An area.
    Block(Mark),
    /// An upright stroke.
    Stroke(Mark),
}

impl Key {
    /// Drawn into 26 by 12 pixels.
    pub(super) fn draw(self) -> Markup {
        let shape = |mark: Mark| {
            let mut shape = String::new();
            mark.shape(13.0, 6.0, 4.0, &mut shape);
            shape
        };
        html! {
            @match self {
                Self::Line(mark) => {
                    path d="M0,6h26" stroke=(mark.color()) stroke-width="2" stroke-dasharray=(mark.dash()) {}
                    path d=(shape(mark)) fill=(mark.color()) {}
                }
                Self::Dot(mark) => path d=(shape(mark)) fill=(mark.color()) {},
                Self::Block(mark) => path d="M4,1h18v10h-18z" fill=(mark.color()) {},
                Self::Stroke(mark) => path d="M13,0v12" stroke=(mark.color()) stroke-width="2.5" {},
            }
        }
    }
}
