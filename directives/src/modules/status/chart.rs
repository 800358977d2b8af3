//! Charts as SVG in the page: no scripts, no colours of their own. They are stretched to
//! the width that there is, so that words stand beside them and not in them.

use super::number::{count, html, wait};
use super::report::WAITS;

/// The width of every chart, in units of its own.
const WIDTH: f64 = 600.0;
/// The height of a chart over time.
const HEIGHT: f64 = 96.0;

/// A rate over time, the latest at the right edge; there is room for `slots` values.
pub fn area(rates: &[f64], slots: usize, label: &str) -> String {
    // A line has two ends.
    let rates = match rates {
        [only] => &[*only, *only],
        all => all,
    };
    let top = rates.iter().copied().fold(0.0, f64::max);
    let step = WIDTH / (slots.max(2) - 1) as f64;
    let first = WIDTH - step * (rates.len().max(1) - 1) as f64;
    // Two units are left above the highest point, for the width of the line.
    let y =
        |rate: f64| if top > 0.0 { HEIGHT - rate / top * (HEIGHT - 2.0) } else { HEIGHT };
    let points: String = rates
        .iter()
        .enumerate()
        .map(|(i, rate)| format!(" {:.1},{:.1}", first + step * i as f64, y(*rate)))
        .collect();
    let line = if rates.len() > 1 {
        format!(
            "<polygon class=\"fill\" points=\"{first:.1},{HEIGHT}{points} {WIDTH},{HEIGHT}\"/>\
             <polyline class=\"line\" points=\"{}\"/>",
            points.trim_start()
        )
    } else {
        String::new()
    };
    let quarters: String = [0.25, 0.5, 0.75]
        .map(|part| {
            let y = HEIGHT * part;
            format!(
                "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>"
            )
        })
        .concat();
    format!(
        "<svg class=\"area\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"{}\">{quarters}{line}</svg>\n",
        html(label)
    )
}

/// How many requests waited how long: a bar for each class, which says its number when it
/// is pointed at.
pub fn waits(waits: &[u64]) -> String {
    let most = waits.iter().copied().max().unwrap_or(0).max(1);
    let width = WIDTH / waits.len() as f64;
    let height = HEIGHT / 2.0;
    let mut bars = String::new();
    for (i, &n) in waits.iter().enumerate() {
        // What is there is seen, however little it is beside the rest.
        let least = if n > 0 { 2.0 } else { 0.5 };
        let tall = (n as f64 / most as f64 * height).max(least);
        let class = if n > 0 { "bar" } else { "none" };
        bars += &format!(
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\">\
             <title>{}: {}</title></rect>",
            width * i as f64 + 2.0,
            height - tall,
            width - 4.0,
            within(i),
            count(n)
        );
    }
    let ends: String = WAITS.iter().map(|end| format!("<i>{}</i>", unit(*end))).collect();
    format!(
        "<svg class=\"bars\" viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"Waiting times\">{bars}</svg>\n\
         <div class=\"ends\">{ends}<i>more</i></div>\n"
    )
}

/// A class of waiting times in words.
fn within(class: usize) -> String {
    match WAITS.get(class) {
        Some(end) => format!("within {}", wait(*end)),
        None => format!("more than {}", wait(WAITS[WAITS.len() - 1])),
    }
}

/// The end of a class, as short as it can be said: the first of a unit names it.
fn unit(micros: u64) -> String {
    match micros / 1000 {
        1 => "1 ms".to_owned(),
        1000 => "1 s".to_owned(),
        millis @ 0..1000 => millis.to_string(),
        millis => (millis / 1000).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_ends_at_the_right_edge_and_fills_the_height() {
        let chart = area(&[1.0, 4.0, 2.0], 5, "a < b");
        assert!(chart.contains("points=\"300.0,72.5 450.0,2.0 600.0,49.0\""), "{chart}");
        assert!(chart.contains("aria-label=\"a &lt; b\""), "{chart}");
        // Neither nothing nor zeros are a reason to divide by zero.
        assert!(!area(&[], 5, "").contains("polyline"));
        assert!(area(&[3.0], 5, "").contains("\"450.0,2.0 600.0,2.0\""));
        assert!(area(&[0.0, 0.0], 5, "").contains("450.0,96.0 600.0,96.0"));
    }

    #[test]
    fn every_class_of_waiting_times_has_a_bar() {
        let chart = waits(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 1000]);
        assert_eq!(chart.matches("<rect class=\"none\"").count(), 8);
        assert!(chart.contains("height=\"2.0\"><title>within 1.0 ms: 1<"), "{chart}");
        assert!(chart.contains("<title>more than 30.0 s: 1\u{202f}000<"), "{chart}");
    }
}
