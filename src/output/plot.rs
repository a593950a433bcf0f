//! Plots as SVG: small enough to stand inside a page, and readable on light and dark ones.

use std::fmt::Write;

/// A line of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// For the legend; nothing for a line without an entry.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
    /// As CSS writes it.
    pub colour: String,
    /// Whether it is the one to look at.
    pub strong: bool,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 58.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 190.0;
const BOTTOM: f64 = 48.0;

/// Most entries of a legend.
const ENTRIES: usize = 18;

/// Lines in the unit square under a title, with names of the axes `x` and `y`.
#[must_use]
pub fn line_plot(title: &str, axes: [&str; 2], series: &[Series]) -> String {
    curve_plot(title, axes, series, [(0.0, 1.0); 2])
}

/// Lines under a title, with names of the axes `x` and `y` and the ranges that these show.
#[must_use]
pub fn curve_plot(title: &str, [x, y]: [&str; 2], series: &[Series], ranges: [(f64, f64); 2]) -> String {
    let mut svg = opened(WIDTH, HEIGHT);
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let share = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(0.0, 1.0);
    let place = |(x, y): (f64, f64)| (LEFT + width * share(x, ranges[0]), TOP + height * (1.0 - share(y, ranges[1])));
    text(&mut svg, (LEFT + width / 2.0, 20.0), "middle", 15, title);
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
    text(&mut svg, (LEFT + width / 2.0, HEIGHT - 12.0), "middle", 13, x);
    let _ = write!(svg, r#"<g transform="translate(15 {:.1}) rotate(-90)">"#, TOP + height / 2.0);
    text(&mut svg, (0.0, 0.0), "middle", 13, y);
    svg += "</g>";
    for line in series {
        let mut path = String::new();
        for (n, point) in line.points.iter().enumerate() {
            let (x, y) = place(*point);
            let _ = write!(path, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
        }
        let (line_width, opacity) = if line.strong { (2.6, 1.0) } else { (1.2, 0.75) };
        let _ = write!(
            svg,
            r#"<path d="{path}" fill="none" stroke="{}" stroke-width="{line_width}" stroke-opacity="{opacity}"/>"#,
            line.colour
        );
    }
    for (n, line) in series.iter().filter(|line| !line.name.is_empty()).take(ENTRIES).enumerate() {
        let y = TOP + 10.0 + 19.0 * n as f64;
        let x = LEFT + width + 12.0;
        let _ = write!(svg, r#"<path d="M{x:.1} {y:.1}h16" stroke="{}" stroke-width="3"/>"#, line.colour);
        text(&mut svg, (x + 21.0, y + 4.0), "start", 12, &line.name);
    }
    svg + "</svg>"
}

/// With as many digits as the range needs.
fn tick_text(value: f64, (low, high): (f64, f64)) -> String {
    let digits = (1.0 - ((high - low) / 2.0).log10().ceil()).clamp(0.0, 4.0) as usize;
    format!("{value:.digits$}")
}

/// Counts of rows (detected) by columns (labelled); shades are shares of a column.
///
/// # Panics
/// If the table is not square, or has not one name per row.
#[must_use]
pub fn table_plot(title: &str, names: &[String], counts: &[Vec<usize>]) -> String {
    assert!(counts.len() == names.len() && counts.iter().all(|row| row.len() == names.len()));
    let cell = (560.0 / names.len() as f64).clamp(9.0, 64.0);
    let margin = 120.0;
    let side = cell * names.len() as f64;
    let mut svg = opened(margin + side + 16.0, 40.0 + side + margin);
    text(&mut svg, (margin + side / 2.0, 22.0), "middle", 15, title);
    let size = (cell * 0.42).clamp(6.0, 13.0) as u32;
    let columns: Vec<usize> = (0..names.len()).map(|column| counts.iter().map(|row| row[column]).sum()).collect();
    for (row, line) in counts.iter().enumerate() {
        let y = 40.0 + cell * row as f64;
        text(&mut svg, (margin - 6.0, y + cell / 2.0 + 4.0), "end", size.max(8), &names[row]);
        for (column, count) in line.iter().enumerate() {
            let x = margin + cell * column as f64;
            let share = *count as f64 / columns[column].max(1) as f64;
            let _ = write!(
                svg,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{cell:.1}" height="{cell:.1}" fill="#0b66c3" fill-opacity="{share:.2}" stroke="currentColor" stroke-opacity=".12"/>"##
            );
            if *count > 0 {
                text(&mut svg, (x + cell / 2.0, y + cell / 2.0 + 4.0), "middle", size, &count.to_string());
            }
        }
    }
    for (column, name) in names.iter().enumerate() {
        let (x, y) = (margin + cell * (column as f64 + 0.5) + 4.0, 40.0 + side + 8.0);
        let _ = write!(svg, r#"<g transform="translate({x:.1} {y:.1}) rotate(-90)">"#);
        text(&mut svg, (0.0, 0.0), "end", size.max(8), name);
        svg += "</g>";
    }
    svg + "</svg>"
}

fn opened(width: f64, height: f64) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="sans-serif" style="max-width:100%;height:auto">"#
    )
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
    fn lines_and_names_are_in_the_plot() {
        let series =
            Series { name: "a<b".into(), points: vec![(0.0, 1.0), (1.0, 0.0)], colour: "red".into(), strong: true };
        let svg = line_plot("PR & more", ["recall", "precision"], &[series]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(svg.contains("M58.0 34.0L450.0 372.0") && svg.contains("a&lt;b") && svg.contains("PR &amp; more"));
    }

    #[test]
    fn tables_shade_by_column() {
        let names = ["a".to_owned(), "background".to_owned()];
        let svg = table_plot("t", &names, &[vec![3, 0], vec![1, 0]]);
        assert!(svg.contains(r#"fill-opacity="0.75""#) && svg.contains(">3</text>") && !svg.contains(">0</text>"));
    }
}
