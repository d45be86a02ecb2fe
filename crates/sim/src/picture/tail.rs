//! The lower panel: the distribution of delays. Upwards each step is one more nine, so that p99.99 is as far from p99.9 as p99 from p90.

use super::axis::{Axis, delay_text};
use super::over_time::SLO;
use super::svg::{Align, Place, Stroke, Svg};
use super::{BLUE, DelaySeries, GRID, INK, LEFT, QUIET, RIGHT, drawable};

const TOP: f64 = 474.0;
const BOTTOM: f64 = 664.0;
/// Nines at the upper edge: a little above p99.99.
const NINES: f64 = 4.4;
const QUANTILES: [(f64, &str); 5] = [
    (0.5, "p50"),
    (0.9, "p90"),
    (0.99, "p99"),
    (0.999, "p99.9"),
    (0.9999, "p99.99"),
];

pub(super) fn draw(svg: &mut Svg, series: &DelaySeries) {
    let points: Vec<(f64, f64)> = series
        .cdf
        .iter()
        .copied()
        .filter(|(q, delay_s)| (0.0..=1.0).contains(q) && drawable(*delay_s).is_some())
        .collect();
    let slo = series.slo_s.and_then(drawable);
    // The shortest delays say little, and would take half of a logarithmic scale.
    let shown = points
        .iter()
        .filter(|(q, _)| *q >= 0.01 || points.len() < 3);
    let x = Axis::delays(shown.map(|(_, delay_s)| *delay_s).chain(slo), LEFT, RIGHT);
    let height = |q: f64| {
        let nines = -libm::log10((1.0 - q).max(1e-12));
        BOTTOM - (BOTTOM - TOP) * (nines / NINES).min(1.0)
    };

    svg.text(
        (LEFT, TOP - 14.0),
        Align::Start,
        15,
        INK,
        "Delays up to each quantile",
    );
    for (q, name) in QUANTILES {
        svg.line((LEFT, height(q)), (RIGHT, height(q)), Stroke(GRID, 1.0, ""));
        svg.text((LEFT - 8.0, height(q) + 4.0), Align::End, 12, QUIET, name);
    }
    svg.text_upwards(
        (22.0, f64::midpoint(TOP, BOTTOM)),
        12,
        QUIET,
        "share of changes",
    );
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), Stroke(QUIET, 1.0, ""));
    for tick in x.ticks() {
        svg.line(
            (x.at(tick), TOP),
            (x.at(tick), BOTTOM + 5.0),
            Stroke(GRID, 1.0, ""),
        );
        svg.text(
            (x.at(tick), BOTTOM + 19.0),
            Align::Middle,
            12,
            QUIET,
            &delay_text(tick),
        );
    }
    let scale = if x.logarithmic { ", log scale" } else { "" };
    let middle = (f64::midpoint(LEFT, RIGHT), BOTTOM + 38.0);
    svg.text(middle, Align::Middle, 12, QUIET, &format!("delay{scale}"));

    if points.is_empty() {
        let middle = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        svg.text(middle, Align::Middle, 14, QUIET, "no changes");
        return;
    }
    if let Some(slo_s) = slo {
        svg.line((x.at(slo_s), TOP - 4.0), (x.at(slo_s), BOTTOM), SLO);
    }
    let marked: Vec<(f64, f64)> = QUANTILES
        .iter()
        .filter_map(|(q, _)| Some((*q, delay_at(&points, *q)?)))
        .collect();
    // Through the marked points as well: a straight line between few points, on these scales, would pass them by.
    let mut line: Vec<(f64, f64)> = points.iter().chain(&marked).copied().collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let line = line.iter().map(|(q, s)| (x.at(*s), height(*q)));
    svg.runs(&[thinned(line)], Stroke(BLUE, 2.2, ""));
    for (q, delay_s) in marked {
        let place = (x.at(delay_s), height(q));
        svg.dot(place, BLUE);
        // Above and to the left the line never is, as it rises; at the left edge there is no room.
        if place.0 > LEFT + 70.0 {
            svg.text(
                (place.0 - 8.0, place.1 - 7.0),
                Align::End,
                12,
                INK,
                &delay_text(delay_s),
            );
        } else {
            svg.text(
                (place.0 + 9.0, place.1 + 13.0),
                Align::Start,
                12,
                INK,
                &delay_text(delay_s),
            );
        }
    }
    if let Some((q, delay_s)) = points.last()
        && *q == 1.0
    {
        let place = (x.at(*delay_s), TOP);
        svg.dot(place, BLUE);
        let text = format!("max {}", delay_text(*delay_s));
        if place.0 < RIGHT - 80.0 {
            svg.text((place.0 + 9.0, place.1 + 4.0), Align::Start, 12, INK, &text);
        } else {
            svg.text((place.0, place.1 + 18.0), Align::End, 12, INK, &text);
        }
    }
    if let Some(slo_s) = slo {
        let within = share_text(share_within(&points, slo_s));
        let text = format!("{within} within the SLO of {}", delay_text(slo_s));
        svg.text((RIGHT, TOP - 14.0), Align::End, 12, INK, &text);
    }
}

/// Linear between the points; `None` outside of them.
fn delay_at(points: &[(f64, f64)], q: f64) -> Option<f64> {
    let after = points.partition_point(|point| point.0 < q);
    let (q1, s1) = *points.get(after)?;
    match after.checked_sub(1).and_then(|before| points.get(before)) {
        Some((q0, s0)) => Some(s0 + (s1 - s0) * (q - q0) / (q1 - q0)),
        None => (q1 == q).then_some(s1),
    }
}

/// The share of delays that are no longer, linear between the points.
fn share_within(points: &[(f64, f64)], delay_s: f64) -> f64 {
    let after = points.partition_point(|point| point.1 <= delay_s);
    match (
        after.checked_sub(1).map(|before| points[before]),
        points.get(after),
    ) {
        (None, _) => 0.0,
        (Some((q0, _)), None) => q0,
        (Some((q0, s0)), Some((q1, s1))) => q0 + (q1 - q0) * (delay_s - s0) / (s1 - s0),
    }
}

/// Cut off, not rounded: 99.9999% is not all.
fn share_text(share: f64) -> String {
    let percent = format!("{:.3}", (share * 1e5 + 1e-6).floor() / 1e3);
    format!("{}%", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// Without places that lie within half a pixel of the one before; the last stays.
fn thinned(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut kept: Vec<Place> = Vec::new();
    let mut skipped = None;
    for place in places {
        match kept.last() {
            Some(last) if (place.0 - last.0).hypot(place.1 - last.1) < 0.5 => skipped = Some(place),
            _ => {
                kept.push(place);
                skipped = None;
            }
        }
    }
    kept.extend(skipped);
    kept
}
