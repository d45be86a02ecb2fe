//! Pictures of a run, as SVG text: delays over time with the backlog beneath, and the distribution of delays with its tail
//! drawn as wide as its body.
//!
//! Pure functions from values to text. No plotting crate: two panels need less code than its API, and the text stays small
//! enough to be checked in beside a report. Colours are those of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), told apart
//! by the colour-blind as well; lines differ in stroke too.

mod axis;
mod earth;
mod frontier;
mod over_time;
mod overlay_map;
mod placement_map;
mod svg;
mod tail;

pub use frontier::frontier_picture;
pub use overlay_map::overlay_map;
pub use placement_map::{Site, placement_map};

use svg::{Align, Svg};

/// What a picture shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelaySeries {
    /// What was run. Cut to one line.
    pub title: String,
    /// How: trace, seed, rule, machine. Cut to one line.
    pub subtitle: String,
    /// The delay that was promised, in seconds.
    pub slo_s: Option<f64>,
    /// Time in order. Of more than 900 several share a point, which shows the greatest of each of their values.
    pub buckets: Vec<Bucket>,
    /// Points `(quantile, delay in seconds)` of the distribution of all delays, both ascending. A quantile of 1 is the
    /// greatest delay. The picture reads p50, p90, p99, p99.9 and p99.99 between them.
    pub cdf: Vec<(f64, f64)>,
}

/// The delays of the changes of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Its beginning, in seconds since the run's.
    pub at_s: f64,
    /// Changes in it. Where there are none, lines have a gap.
    pub count: u64,
    /// Median delay in seconds.
    pub p50_s: f64,
    /// 99th percentile in seconds.
    pub p99_s: f64,
    /// Greatest delay in seconds.
    pub max_s: f64,
    /// Changes that wait at its end.
    pub backlog: u64,
}

/// Width of the picture, in pixels.
const WIDTH: f64 = 1000.0;
/// Height of the picture, in pixels.
const HEIGHT: f64 = 720.0;
/// Left edge of the panels; their labels are left of it.
const LEFT: f64 = 84.0;
/// Right edge of the panels.
const RIGHT: f64 = 972.0;
/// What a line of the title's and of the subtitle's font holds.
const TITLE_CHARS: usize = 80;
const SUBTITLE_CHARS: usize = 140;

const INK: &str = "#222222";
const QUIET: &str = "#555555";
const GRID: &str = "#e3e3e3";
const BLUE: &str = "#0072B2";
const VERMILION: &str = "#D55E00";
const GREY: &str = "#767676";
const SKY: &str = "#56B4E9";

/// Draws the picture: one SVG document of 1000 × 720 pixels, the same text for the same values.
pub fn delay_picture(series: &DelaySeries) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT, &series.title);
    svg.text(
        (24.0, 36.0),
        Align::Start,
        20,
        INK,
        &cut(&series.title, TITLE_CHARS),
    );
    svg.text(
        (24.0, 58.0),
        Align::Start,
        13,
        QUIET,
        &cut(&series.subtitle, SUBTITLE_CHARS),
    );
    over_time::draw(&mut svg, series);
    tail::draw(&mut svg, series);
    svg.finish()
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.into();
    }
    let kept: String = text.chars().take(chars - 1).collect();
    format!("{}…", kept.trim_end())
}

/// A number that can be drawn: finite, and 0 or more.
fn drawable(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests;
