//! Curves.

use std::fmt::Write;

use super::{AREA, HEIGHT, LEFT, TOP, WIDTH, escaped, legend, name_axes, opened, text, tick_text};

/// A line of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it shows.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
    /// As CSS writes it.
    pub colour: String,
    /// Whether it is the one to look at, which stands first in the legend.
    pub strong: bool,
}

/// Lines in the unit square under a title, with names of the axes `x` and `y`.
#[must_use]
pub fn line_plot(title: &str, axes: [&str; 2], series: &[Series]) -> String {
    curve_plot(title, axes, series, [(0.0, 1.0); 2])
}

/// Lines under a title, with names of the axes `x` and `y` and the ranges that these show.
#[must_use]
pub fn curve_plot(title: &str, axes: [&str; 2], series: &[Series], ranges: [(f64, f64); 2]) -> String {
    let (width, height) = AREA;
    let [(left, right), (low, high)] = ranges;
    let data = format!(r#" data-plot="{LEFT} {TOP} {width} {height} {left} {right} {low} {high}""#);
    let mut svg = opened((WIDTH, HEIGHT), LEFT + width / 2.0, title, &data);
    let share = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(0.0, 1.0);
    let place = |(x, y): (f64, f64)| (LEFT + width * share(x, ranges[0]), TOP + height * (1.0 - share(y, ranges[1])));
    for tick in 0..=5 {
        let at = |(low, high): (f64, f64)| low + (high - low) * f64::from(tick) / 5.0;
        let [x, y] = ranges.map(at);
        let (across, down) = place((x, y));
        let _ = write!(
            svg,
            r#"<path d="M{across:.1} {TOP}V{:.1}M{LEFT} {down:.1}H{:.1}" stroke="currentColor" stroke-opacity=".15"/>"#,
            TOP + height,
            LEFT + width
        );
        let [x, y] = [(x, ranges[0]), (y, ranges[1])].map(|(value, range)| tick_text(value, range));
        text(&mut svg, (across, TOP + height + 16.0), "middle", 12, &x);
        text(&mut svg, (LEFT - 7.0, down + 4.0), "end", 12, &y);
    }
    name_axes(&mut svg, axes);
    for line in series {
        let mut path = String::new();
        for (n, point) in line.points.iter().enumerate() {
            let (x, y) = place(*point);
            let _ = write!(path, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
        }
        let (line_width, opacity) = if line.strong { (2.6, 1.0) } else { (1.2, 0.75) };
        let _ = write!(
            svg,
            r#"<path d="{path}" fill="none" stroke="{}" stroke-width="{line_width}" stroke-opacity="{opacity}" data-name="{}"/>"#,
            line.colour,
            escaped(&line.name)
        );
    }
    let (strong, others): (Vec<&Series>, Vec<&Series>) = series.iter().partition(|line| line.strong);
    legend(&mut svg, strong.into_iter().chain(others).map(|line| (line.name.as_str(), line.colour.as_str())));
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_names_are_in_the_plot() {
        let series =
            Series { name: "a<b".into(), points: vec![(0.0, 1.0), (1.0, 0.0)], colour: "red".into(), strong: true };
        let svg = line_plot("PR & more", ["recall", "precision"], &[series]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(svg.contains("M58.0 34.0L450.0 372.0") && svg.contains("a&lt;b") && svg.contains("PR &amp; more"));
        assert!(svg.contains(r#"data-plot="58 34 392 338 0 1 0 1""#), "{svg}");
    }
}
