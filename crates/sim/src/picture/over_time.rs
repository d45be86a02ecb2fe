//! The upper panel: median, 99th percentile and greatest delay over time, and beneath them how many changes wait.

use super::axis::{Axis, delay_text, three_digits, time_steps};
use super::svg::{Align, Place, Stroke, Svg};
use super::{
    BLUE, Bucket, DelaySeries, GREY, GRID, INK, LEFT, QUIET, RIGHT, SKY, VERMILION, drawable,
};

const TOP: f64 = 104.0;
const BOTTOM: f64 = 302.0;
const BACKLOG_TOP: f64 = 320.0;
const BACKLOG_BOTTOM: f64 = 388.0;
/// A point a pixel.
const MAX_POINTS: usize = 900;

type Value = fn(&Bucket) -> f64;

/// What is drawn, the last on top.
const LINES: [(&str, Value, Stroke); 3] = [
    ("max", |bucket| bucket.max_s, Stroke(GREY, 1.0, "")),
    ("p99", |bucket| bucket.p99_s, Stroke(VERMILION, 1.8, "")),
    ("p50", |bucket| bucket.p50_s, Stroke(BLUE, 2.2, "")),
];
pub(super) const SLO: Stroke = Stroke(INK, 1.4, "6 4");

pub(super) fn draw(svg: &mut Svg, series: &DelaySeries) {
    let buckets = merged(&series.buckets);
    let has = |bucket: &&Bucket| bucket.count > 0;
    let delays: Vec<f64> = buckets
        .iter()
        .filter(has)
        .flat_map(|bucket| LINES.map(|(_, value, _)| value(bucket)))
        .filter_map(drawable)
        .collect();
    let slo = series.slo_s.and_then(drawable);
    let y = Axis::delays(delays.iter().copied().chain(slo), BOTTOM, TOP);
    // The last bucket is as long as the one before.
    let length_s = match &buckets[..] {
        [.., before, last] => 2.0 * last.at_s - before.at_s,
        [only] => only.at_s.max(1.0),
        [] => 0.0,
    };
    let x = Axis::span(length_s, LEFT, RIGHT);

    let scale = if y.logarithmic { ", log scale" } else { "" };
    svg.text((LEFT, TOP - 14.0), Align::Start, 15, INK, "Delay over time");
    for tick in y.ticks() {
        svg.line(
            (LEFT, y.at(tick)),
            (RIGHT, y.at(tick)),
            Stroke(GRID, 1.0, ""),
        );
        svg.text(
            (LEFT - 8.0, y.at(tick) + 4.0),
            Align::End,
            12,
            QUIET,
            &delay_text(tick),
        );
    }
    svg.text_upwards(
        (22.0, f64::midpoint(TOP, BOTTOM)),
        12,
        QUIET,
        &format!("delay{scale}"),
    );
    for (_, value, stroke) in LINES {
        svg.runs(
            &runs(
                &buckets,
                |bucket| (x.at(bucket.at_s), y.at(value(bucket))),
                value,
            ),
            stroke,
        );
    }
    if let Some(slo_s) = slo {
        svg.line((LEFT, y.at(slo_s)), (RIGHT, y.at(slo_s)), SLO);
    }
    if delays.is_empty() {
        let middle = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        svg.text(middle, Align::Middle, 14, QUIET, "no changes");
    }
    legend(svg, slo);
    backlog(svg, &buckets, &x);
    time_axis(svg, &x, length_s);
}

fn legend(svg: &mut Svg, slo: Option<f64>) {
    let mut entries: Vec<(String, Stroke)> = LINES
        .iter()
        .rev()
        .map(|(name, _, stroke)| ((*name).to_owned(), *stroke))
        .collect();
    entries.extend(slo.map(|slo_s| (format!("SLO {}", delay_text(slo_s)), SLO)));
    // From the right: text of about 7 pixels a character, then its line.
    let mut right = RIGHT;
    for (name, stroke) in entries.iter().rev() {
        let start = right - 7.0 * name.chars().count() as f64;
        svg.text((start, TOP - 14.0), Align::Start, 12, INK, name);
        svg.line(
            (start - 32.0, TOP - 18.0),
            (start - 8.0, TOP - 18.0),
            *stroke,
        );
        right = start - 48.0;
    }
}

fn backlog(svg: &mut Svg, buckets: &[Bucket], x: &Axis) {
    let most = buckets
        .iter()
        .map(|bucket| bucket.backlog)
        .max()
        .unwrap_or(0);
    let y = Axis::linear(most as f64, BACKLOG_BOTTOM, BACKLOG_TOP);
    let line: Vec<Place> = buckets
        .iter()
        .map(|bucket| (x.at(bucket.at_s), y.at(bucket.backlog as f64)))
        .collect();
    svg.line(
        (LEFT, BACKLOG_TOP),
        (RIGHT, BACKLOG_TOP),
        Stroke(GRID, 1.0, ""),
    );
    svg.area(&line, BACKLOG_BOTTOM, SKY);
    svg.runs(&[line], Stroke(BLUE, 1.0, ""));
    svg.line(
        (LEFT, BACKLOG_BOTTOM),
        (RIGHT, BACKLOG_BOTTOM),
        Stroke(QUIET, 1.0, ""),
    );
    // The upper end of the scale and 0; a middle one would crowd.
    let ticks = y.ticks();
    for tick in [ticks.first(), ticks.last()].into_iter().flatten() {
        svg.text(
            (LEFT - 8.0, y.at(*tick) + 4.0),
            Align::End,
            12,
            QUIET,
            &grouped(*tick),
        );
    }
    svg.text_upwards(
        (22.0, f64::midpoint(BACKLOG_TOP, BACKLOG_BOTTOM)),
        12,
        QUIET,
        "waiting",
    );
    let most = format!("at most {} changes waiting", grouped(most as f64));
    svg.text((RIGHT, BACKLOG_BOTTOM + 36.0), Align::End, 12, QUIET, &most);
}

/// 12000 as `12,000`; below 10 as it is.
fn grouped(value: f64) -> String {
    if value < 10.0 {
        return three_digits(value);
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time_axis(svg: &mut Svg, x: &Axis, length_s: f64) {
    if length_s <= 0.0 {
        return;
    }
    let (unit, unit_s, step_s) = time_steps(length_s);
    let labels = (length_s / step_s * 1.000_001).floor().min(100.0) as u32;
    for at_s in (0..=labels).map(|label| f64::from(label) * step_s) {
        let px = x.at(at_s);
        svg.line(
            (px, BACKLOG_BOTTOM),
            (px, BACKLOG_BOTTOM + 5.0),
            Stroke(QUIET, 1.0, ""),
        );
        svg.text(
            (px, BACKLOG_BOTTOM + 19.0),
            Align::Middle,
            12,
            QUIET,
            &three_digits(at_s / unit_s),
        );
    }
    let middle = (f64::midpoint(LEFT, RIGHT), BACKLOG_BOTTOM + 36.0);
    svg.text(
        middle,
        Align::Middle,
        12,
        QUIET,
        &format!("time since the start ({unit})"),
    );
}

/// Neighbours with changes form a run.
fn runs(buckets: &[Bucket], place: impl Fn(&Bucket) -> Place, value: Value) -> Vec<Vec<Place>> {
    buckets
        .split(|bucket| bucket.count == 0 || drawable(value(bucket)).is_none())
        .filter(|run| !run.is_empty())
        .map(|run| run.iter().map(&place).collect())
        .collect()
}

/// Few enough to be drawn: several become one that has the greatest of their values.
fn merged(buckets: &[Bucket]) -> Vec<Bucket> {
    let sound = buckets
        .iter()
        .filter(|bucket| drawable(bucket.at_s).is_some());
    let sound: Vec<Bucket> = sound.copied().collect();
    let together = sound.len().div_ceil(MAX_POINTS).max(1);
    sound
        .chunks(together)
        .filter_map(|chunk| {
            chunk.iter().copied().reduce(|all, next| Bucket {
                at_s: all.at_s,
                count: all.count.saturating_add(next.count),
                p50_s: all.p50_s.max(next.p50_s),
                p99_s: all.p99_s.max(next.p99_s),
                max_s: all.max_s.max(next.max_s),
                backlog: all.backlog.max(next.backlog),
            })
        })
        .collect()
}
