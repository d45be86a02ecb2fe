//! Where data is and where it would cost least, on the map: discs as large as what is stored.

use super::earth::{self, Labels, MAP_HEIGHT, MAP_TOP, WIDTH, project};
use super::svg::{Align, Svg};
use super::{BLUE, GREY, INK, QUIET, VERMILION, cut};
use skyfresh_sky::catalog::Coordinates;

/// Radius of the region that stores most, and of the one that reads most, in pixels.
const LARGEST: f64 = 26.0;
/// What is there is seen.
const SMALLEST: f64 = 3.0;

/// One region of a placement.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub at: Coordinates,
    /// GB stored today.
    pub today_gb: f64,
    /// GB stored where it costs least.
    pub best_gb: f64,
    /// GB that are read from here in a month.
    pub read_gb: f64,
}

/// Draws regions: a grey disc is what is stored today, a blue ring what is stored where it costs least, and a red ring what
/// is read from there; areas are as large as what they stand for. One SVG document, the same text for the same regions.
pub fn placement_map(title: &str, subtitle: &str, sites: &[Site]) -> String {
    let mut svg = Svg::new(WIDTH, MAP_TOP + MAP_HEIGHT + 40.0, title);
    svg.text((24.0, 34.0), Align::Start, 20, INK, &cut(title, 80));
    svg.text((24.0, 58.0), Align::Start, 13, QUIET, &cut(subtitle, 150));
    earth::land(&mut svg);
    let most = |of: fn(&Site) -> f64| sites.iter().map(of).fold(0.0, f64::max);
    let stored = most(|site| site.today_gb.max(site.best_gb));
    let read = most(|site| site.read_gb);
    let radius = |gb: f64, most: f64| {
        let share = (gb / most.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        // A tenth of a pixel.
        ((LARGEST * share.sqrt()).max(SMALLEST) * 10.0).round() / 10.0
    };
    for site in sites.iter().filter(|site| site.today_gb > 0.0) {
        svg.disc(project(site.at), radius(site.today_gb, stored), GREY, GREY);
    }
    for site in sites {
        let place = project(site.at);
        if site.best_gb > 0.0 {
            // Apart from the disc where both are as large.
            svg.ring(place, radius(site.best_gb, stored) + 2.5, BLUE, 3.0);
        }
        if site.read_gb > 0.0 {
            svg.ring(place, radius(site.read_gb, read), VERMILION, 1.5);
        }
    }
    let mut labels = Labels::default();
    for site in sites {
        let mut widest: f64 = 6.5;
        for (gb, most) in [
            (site.today_gb, stored),
            (site.best_gb, stored),
            (site.read_gb, read),
        ] {
            if gb > 0.0 {
                widest = widest.max(radius(gb, most) + 3.0);
            }
        }
        labels.name(&mut svg, project(site.at), widest, &site.name);
    }
    legend(&mut svg, MAP_TOP + MAP_HEIGHT + 22.0);
    svg.finish()
}

fn legend(svg: &mut Svg, y: f64) {
    let mut x = 30.0;
    let entries = [
        (true, GREY, 1.0, "stored today"),
        (false, BLUE, 3.0, "stored where it costs least"),
        (false, VERMILION, 1.5, "read from here"),
    ];
    for (filled, colour, width, text) in entries {
        match filled {
            true => svg.disc((x, y - 4.0), 6.0, colour, colour),
            false => svg.ring((x, y - 4.0), 6.0, colour, width),
        }
        svg.text((x + 13.0, y), Align::Start, 12, QUIET, text);
        x += 44.0 + 6.6 * text.len() as f64;
    }
    let told = "areas: GB stored, GB read a month";
    svg.text((x, y), Align::Start, 12, QUIET, told);
}
