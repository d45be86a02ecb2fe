//! The frontier between price and throughput: what more speed costs.

use super::axis::Axis;
use super::svg::{Align, Stroke, Svg};
use super::{BLUE, GRID, INK, QUIET, VERMILION, cut};
use skyfresh_plan::transfer::FrontierPoint;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 870.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 462.0;

/// Draws the frontier of a transfer of `volume_gb`: plans as a line, where the relaxation bends as marks. One SVG document, the
/// same text for the same points.
pub fn frontier_picture(title: &str, volume_gb: f64, points: &[FrontierPoint]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    svg.text((24.0, 36.0), Align::Start, 20, INK, &cut(title, 70));
    let told = "dollars a GB, egress and machines; the line is of whole machines, the marks are where the relaxation's price bends";
    svg.text((24.0, 58.0), Align::Start, 13, QUIET, told);
    let fastest = points
        .iter()
        .map(|point| point.throughput_gbps)
        .fold(0.0, f64::max);
    let dearest = points
        .iter()
        .map(|point| point.cost_usd / volume_gb)
        .fold(0.0, f64::max);
    let across = Axis::linear(fastest, LEFT, RIGHT);
    let up = Axis::linear(dearest, BOTTOM, TOP);
    for tick in across.ticks() {
        let x = across.at(tick);
        svg.line((x, TOP), (x, BOTTOM), Stroke(GRID, 1.0, ""));
        svg.text((x, BOTTOM + 18.0), Align::Middle, 12, QUIET, &trimmed(tick));
    }
    for tick in up.ticks() {
        let y = up.at(tick);
        svg.line((LEFT, y), (RIGHT, y), Stroke(GRID, 1.0, ""));
        svg.text((LEFT - 8.0, y + 4.0), Align::End, 12, QUIET, &trimmed(tick));
    }
    svg.text(
        ((LEFT + RIGHT) / 2.0, BOTTOM + 40.0),
        Align::Middle,
        13,
        INK,
        "Gbit/s",
    );
    svg.text_upwards((26.0, (TOP + BOTTOM) / 2.0), 13, INK, "$ a GB");
    let at = |point: &FrontierPoint| {
        (
            across.at(point.throughput_gbps),
            up.at(point.cost_usd / volume_gb),
        )
    };
    let plans: Vec<_> = points
        .iter()
        .filter(|point| !point.breakpoint)
        .map(at)
        .collect();
    svg.runs(std::slice::from_ref(&plans), Stroke(BLUE, 2.0, ""));
    for place in &plans {
        svg.dot(*place, BLUE);
    }
    for point in points.iter().filter(|point| point.breakpoint) {
        svg.disc(at(point), 4.5, "#ffffff", VERMILION);
    }
    let legend = [
        (BLUE, "plans"),
        (VERMILION, "breakpoints of the relaxation"),
    ];
    let mut x = LEFT + 12.0;
    for (colour, text) in legend {
        svg.disc(
            (x, TOP + 14.0),
            4.5,
            if colour == BLUE { BLUE } else { "#ffffff" },
            colour,
        );
        svg.text((x + 10.0, TOP + 18.0), Align::Start, 12, QUIET, text);
        x += 34.0 + 6.4 * text.len() as f64;
    }
    svg.finish()
}

/// A tick without needless zeros.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
