//! Tables of counts.

use std::fmt::Write;

use super::{escaped, opened, text};

/// Counts of rows (detected) by columns (labelled); shades are shares of a column, and each field tells its count.
///
/// # Panics
/// If the table is not square, or has not one name per row.
#[must_use]
pub fn table_plot(title: &str, names: &[String], counts: &[Vec<usize>]) -> String {
    assert!(counts.len() == names.len() && counts.iter().all(|row| row.len() == names.len()));
    let cell = (560.0 / names.len() as f64).clamp(9.0, 64.0);
    let margin = 120.0;
    let side = cell * names.len() as f64;
    let mut svg = opened((margin + side + 16.0, 40.0 + side + margin), margin + side / 2.0, title, "");
    let size = (cell * 0.42).clamp(6.0, 13.0) as u32;
    let columns: Vec<usize> = (0..names.len()).map(|column| counts.iter().map(|row| row[column]).sum()).collect();
    for (row, line) in counts.iter().enumerate() {
        let y = 40.0 + cell * row as f64;
        text(&mut svg, (margin - 6.0, y + cell / 2.0 + 4.0), "end", size.max(8), &shortened(&names[row]));
        for (column, count) in line.iter().enumerate() {
            let x = margin + cell * column as f64;
            let share = *count as f64 / columns[column].max(1) as f64;
            let _ = write!(
                svg,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{cell:.1}" height="{cell:.1}" fill="#0b66c3" fill-opacity="{share:.2}" stroke="currentColor" stroke-opacity=".12"><title>{count}: detected {}, labelled {}</title></rect>"##,
                escaped(&names[row]),
                escaped(&names[column])
            );
            if *count > 0 {
                let colour = if share > 0.5 { "#fff" } else { "currentColor" };
                let _ = write!(svg, r#"<g style="color:{colour}">"#);
                text(&mut svg, (x + cell / 2.0, y + cell / 2.0 + 4.0), "middle", size, &count.to_string());
                svg += "</g>";
            }
        }
    }
    for (column, name) in names.iter().enumerate() {
        let (x, y) = (margin + cell * (column as f64 + 0.5) + 4.0, 40.0 + side + 8.0);
        let _ = write!(svg, r#"<g transform="translate({x:.1} {y:.1}) rotate(-90)">"#);
        text(&mut svg, (0.0, 0.0), "end", size.max(8), &shortened(name));
        svg += "</g>";
    }
    svg + "</svg>"
}

/// As much of a name as there is room for; the fields tell all of it.
fn shortened(name: &str) -> String {
    const MOST: usize = 15;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_shade_by_column() {
        let names = ["a".to_owned(), "background".to_owned()];
        let svg = table_plot("t", &names, &[vec![3, 0], vec![1, 0]]);
        assert!(svg.contains(r#"fill-opacity="0.75""#) && svg.contains(">3</text>") && !svg.contains(">0</text>"));
        assert!(svg.contains("<title>1: detected background, labelled a</title>"), "{svg}");
    }
}
