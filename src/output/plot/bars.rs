//! Histograms.

use std::fmt::Write;

use super::{AREA, HEIGHT, LEFT, TOP, WIDTH, escaped, legend, name_axes, opened, text};

/// A part of each bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What it counts.
    pub name: String,
    /// As CSS writes it.
    pub colour: String,
    /// One for each bin.
    pub counts: Vec<usize>,
}

/// Bars for `bins`, whose parts stand one on the other; each tells its count.
///
/// # Panics
/// If a part has not one count per bin.
#[must_use]
pub fn bar_plot(title: &str, axes: [&str; 2], bins: &[String], parts: &[Bars]) -> String {
    assert!(parts.iter().all(|part| part.counts.len() == bins.len()), "a count for each bin");
    let (width, height) = AREA;
    let mut svg = opened((WIDTH, HEIGHT), LEFT + width / 2.0, title, "");
    let total = |bin: usize| parts.iter().map(|part| part.counts[bin]).sum::<usize>();
    let step = tick_step((0..bins.len()).map(total).max().unwrap_or_default());
    let most = 5 * step;
    let length = |count: usize| height * count as f64 / most as f64;
    for tick in 0..=5 {
        let down = TOP + height - length(tick * step);
        let _ = write!(
            svg,
            r#"<path d="M{LEFT} {down:.1}H{:.1}" stroke="currentColor" stroke-opacity=".15"/>"#,
            LEFT + width
        );
        text(&mut svg, (LEFT - 7.0, down + 4.0), "end", 12, &(tick * step).to_string());
    }
    name_axes(&mut svg, axes);
    let bar = width / bins.len().max(1) as f64;
    // Only as many names as there is room for.
    let every = (30.0 / bar).ceil().max(1.0) as usize;
    for (bin, name) in bins.iter().enumerate() {
        let (x, mut foot) = (LEFT + bar * bin as f64, TOP + height);
        for part in parts.iter().filter(|part| part.counts[bin] > 0) {
            let (count, tall) = (part.counts[bin], length(part.counts[bin]));
            foot -= tall;
            let _ = write!(
                svg,
                r#"<rect x="{:.1}" y="{foot:.1}" width="{:.1}" height="{tall:.1}" fill="{}"><title>{}: {count} {}</title></rect>"#,
                x + 0.08 * bar,
                0.84 * bar,
                part.colour,
                escaped(name),
                escaped(&part.name)
            );
        }
        if bin % every == 0 {
            text(&mut svg, (x + bar / 2.0, TOP + height + 16.0), "middle", 11, name);
        }
    }
    legend(&mut svg, parts.iter().map(|part| (part.name.as_str(), part.colour.as_str())));
    svg + "</svg>"
}

/// A fifth of the axis: 1, 2 or 5 times a power of ten.
fn tick_step(most: usize) -> usize {
    let least = most.div_ceil(5).max(1);
    let power = 10usize.pow(least.ilog10());
    [1, 2, 5, 10].into_iter().map(|digit| digit * power).find(|step| *step >= least).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_bar_stand_one_on_the_other() {
        let part =
            |name: &str, counts: [usize; 2]| Bars { name: name.into(), colour: "red".into(), counts: counts.into() };
        let bins = ["0 to 16".to_owned(), "<16".to_owned()];
        let svg = bar_plot("sizes", ["pixels", "labels"], &bins, &[part("found", [10, 0]), part("missed", [15, 5])]);
        // 25 is the whole height of 338.
        assert!(svg.contains(r#"y="236.8" width="164.6" height="135.2" fill="red"><title>0 to 16: 10 found"#), "{svg}");
        assert!(svg.contains(r#"y="34.0" width="164.6" height="202.8""#) && svg.contains("&lt;16: 5 missed"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3);
    }

    #[test]
    fn ticks_are_round() {
        for (most, step) in [(0, 1), (5, 1), (6, 2), (25, 5), (26, 10), (1001, 500)] {
            assert_eq!(tick_step(most), step, "{most}");
        }
    }
}
