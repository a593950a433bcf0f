//! Plots as SVG: small enough to stand inside a page, and readable on light and dark ones, since they take the colour of
//! the text around them. What a pointer shows is in them: titles of bars and fields of a table, and `data-plot` with the
//! ranges of axes, from which a page's script reads values off the lines.

mod bars;
mod lines;
mod table;

use std::fmt::Write;

pub use bars::{Bars, bar_plot};
pub use lines::{Series, curve_plot, line_plot};
pub use table::table_plot;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 58.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 190.0;
const BOTTOM: f64 = 48.0;

/// The area of a plot between its axes.
const AREA: (f64, f64) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);

/// Most entries of a legend.
const ENTRIES: usize = 18;

/// Opens an image with a title, which is also what those hear who do not see it; `attributes` are written as they are.
fn opened((width, height): (f64, f64), middle: f64, title: &str, attributes: &str) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="sans-serif" style="max-width:100%;height:auto" role="img" aria-label="{}"{attributes}>"#,
        escaped(title)
    );
    text(&mut svg, (middle, 20.0), "middle", 15, title);
    svg
}

/// Names of the axes, around the area of a plot.
fn name_axes(svg: &mut String, [x, y]: [&str; 2]) {
    text(svg, (LEFT + AREA.0 / 2.0, HEIGHT - 12.0), "middle", 13, x);
    let _ = write!(svg, r#"<g transform="translate(15 {:.1}) rotate(-90)">"#, TOP + AREA.1 / 2.0);
    text(svg, (0.0, 0.0), "middle", 13, y);
    *svg += "</g>";
}

/// Colours and their names, beside the area.
fn legend<'a>(svg: &mut String, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    for (n, (name, colour)) in entries.take(ENTRIES).enumerate() {
        let (x, y) = (LEFT + AREA.0 + 12.0, TOP + 10.0 + 19.0 * n as f64);
        let _ = write!(svg, r#"<path d="M{x:.1} {y:.1}h16" stroke="{colour}" stroke-width="3"/>"#);
        text(svg, (x + 21.0, y + 4.0), "start", 12, name);
    }
}

/// A tick of an axis in five parts, with the digits that tell it from its neighbours.
fn tick_text(value: f64, (low, high): (f64, f64)) -> String {
    let step = (high - low) / 5.0;
    let is_whole = |digits: &i32| {
        let scaled = step * 10f64.powi(*digits);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let digits = (0..=3).find(is_whole).unwrap_or_else(|| (1 - step.log10().floor() as i32).clamp(0, 4));
    format!("{value:.*}", digits as usize)
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, size: u32, text: &str) {
    let text = escaped(text);
    let _ = write!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="currentColor">{text}</text>"#
    );
}

/// Text as XML and HTML write it.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_ticks_look_the_same() {
        for (high, expected) in [
            (1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (5.0, ["0", "1", "2", "3", "4", "5"]),
            (3.0, ["0.0", "0.6", "1.2", "1.8", "2.4", "3.0"]),
            (100.0, ["0", "20", "40", "60", "80", "100"]),
            (3.0123, ["0.00", "0.60", "1.20", "1.81", "2.41", "3.01"]),
        ] {
            let ticks = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|n| tick_text(n * high / 5.0, (0.0, high)));
            assert_eq!(ticks, expected);
        }
    }
}
