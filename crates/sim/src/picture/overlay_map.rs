//! A plan of an overlay on the map: regions where they are, links as wide as what goes over them and coloured by their price, and
//! beneath them the same in figures.

use super::earth::{self, ELSEWHERE, Labels, MAP_HEIGHT, MAP_TOP, WIDTH, project};
use super::svg::{Align, Svg};
use super::{BLUE, GREY, INK, QUIET, VERMILION, cut};
use skyfresh_plan::overlay::{EdgeVolume, OverlayPlan};
use skyfresh_sky::catalog::Coordinates;
use skyfresh_sky::{Provider, Region};
use std::collections::BTreeMap;

/// From cheap to dear (Okabe and Ito's colours, with what lies between).
const PRICES: [(f64, &str, &str); 4] = [
    (0.021, "#009E73", "up to $0.02 a GB"),
    (0.0801, "#0072B2", "to $0.08"),
    (0.1201, "#E69F00", "to $0.12"),
    (f64::INFINITY, "#D55E00", "more"),
];
/// Radius of the source's mark, in pixels.
const LARGEST_MARK: f64 = 6.5;
const ROW: f64 = 19.0;
const MOST_ROWS: usize = 24;

/// Draws a plan: one SVG document, the same text for the same plan. `places` says where regions are; one that is not in it is
/// left out of the map and stands in the table.
pub fn overlay_map(plan: &OverlayPlan, places: &BTreeMap<Region, Coordinates>) -> String {
    let rows = plan.edges.len().min(MOST_ROWS);
    let table_top = MAP_TOP + MAP_HEIGHT + 46.0;
    let columns = if rows > 8 { 2 } else { 1 };
    let lines = rows.div_ceil(columns);
    let height = table_top + ROW * (lines as f64 + 1.0) + 16.0;
    let mut svg = Svg::new(WIDTH, height, "An overlay plan on the map");
    title(&mut svg, plan);
    earth::land(&mut svg);
    for (region, place) in places {
        if !plan.vms.contains_key(region) && !plan.destinations.contains(region) {
            svg.disc(project(*place), 1.8, ELSEWHERE, ELSEWHERE);
        }
    }
    let most = plan.edges.iter().map(|edge| edge.gb).fold(0.0, f64::max);
    for edge in &plan.edges {
        if let (Some(from), Some(to)) = (places.get(&edge.src), places.get(&edge.dst)) {
            let (from, to) = (project(*from), project(*to));
            let length = libm::hypot(to.0 - from.0, to.1 - from.1);
            let width = 1.4 + 4.6 * edge.gb / most.max(f64::MIN_POSITIVE);
            svg.arrow(from, to, length * 0.09, colour(edge.usd_per_gb), width);
        }
    }
    names(&mut svg, plan, places);
    legend(&mut svg, MAP_TOP + MAP_HEIGHT + 18.0);
    table(&mut svg, plan, table_top, columns, lines);
    svg.finish()
}

fn title(svg: &mut Svg, plan: &OverlayPlan) {
    let to = match &plan.destinations[..] {
        [one] => one.to_string(),
        several => format!("{} regions", several.len()),
    };
    let title = format!("{:.4} GB from {} to {to}", plan.volume_gb, plan.source);
    let title = title.replace(".0000 GB", " GB");
    svg.text((24.0, 34.0), Align::Start, 20, INK, &cut(&title, 80));
    let machines: u32 = plan.vms.values().sum();
    let requests = match plan.requests_usd > 0.0 {
        true => format!(", requests ${:.2}", plan.requests_usd),
        false => String::new(),
    };
    let mut told = format!(
        "engine {}: {:.1} s at {:.2} Gbit/s, ${:.2} (egress ${:.2}, {machines} machines ${:.2}{requests})",
        plan.engine, plan.time_s, plan.throughput_gbps, plan.cost_usd, plan.egress_usd, plan.vm_usd
    );
    if let Some(bound) = plan.lower_bound_usd {
        told.push_str(&format!("; no plan costs less than ${bound:.2}"));
    }
    svg.text((24.0, 58.0), Align::Start, 13, QUIET, &cut(&told, 150));
}

fn colour(usd_per_gb: f64) -> &'static str {
    let within = PRICES.iter().find(|(most, ..)| usd_per_gb <= *most);
    within.map_or(GREY, |(_, colour, _)| colour)
}

/// The name of a region as a label has it.
fn label(plan: &OverlayPlan, region: &Region) -> String {
    let machines = plan.vms.get(region).copied().unwrap_or(0);
    let machines = if machines > 1 {
        format!(" ×{machines}")
    } else {
        String::new()
    };
    let cloud = match region.provider {
        Provider::Aws => "AWS",
        Provider::Gcp => "GCP",
        Provider::Azure => "Azure",
        Provider::Cloudflare => "R2",
        Provider::Local => "",
    };
    format!("{cloud} {}{machines}", region.name)
}

/// Marks and names; a name goes where no other name is yet.
fn names(svg: &mut Svg, plan: &OverlayPlan, places: &BTreeMap<Region, Coordinates>) {
    let mut regions: Vec<&Region> = plan
        .edges
        .iter()
        .flat_map(|edge| [&edge.src, &edge.dst])
        .collect();
    regions.sort();
    regions.dedup();
    let mut labels = Labels::default();
    for region in regions {
        let Some(place) = places.get(region) else {
            continue;
        };
        let (x, y) = project(*place);
        let (fill, edge, radius) = if *region == plan.source {
            (VERMILION, INK, LARGEST_MARK)
        } else if plan.destinations.contains(region) {
            (BLUE, INK, 5.5)
        } else {
            ("#ffffff", INK, 5.0)
        };
        svg.disc((x, y), radius, fill, edge);
        let text = label(plan, region);
        labels.name(svg, (x, y), LARGEST_MARK, &text);
    }
}

fn legend(svg: &mut Svg, y: f64) {
    let mut x = 24.0;
    for (fill, text) in [
        (VERMILION, "source"),
        (BLUE, "destination"),
        ("#ffffff", "relay"),
    ] {
        svg.disc((x + 6.0, y - 4.0), 5.5, fill, INK);
        svg.text((x + 17.0, y), Align::Start, 12, QUIET, text);
        x += 40.0 + 7.0 * text.len() as f64;
    }
    x += 20.0;
    for (_, colour, text) in PRICES {
        svg.arrow((x, y - 4.0), (x + 34.0, y - 4.0), 0.0, colour, 3.0);
        svg.text((x + 42.0, y), Align::Start, 12, QUIET, text);
        x += 66.0 + 6.4 * text.len() as f64;
    }
    svg.text(
        (x, y),
        Align::Start,
        12,
        QUIET,
        "the wider, the more goes over it",
    );
}

fn table(svg: &mut Svg, plan: &OverlayPlan, top: f64, columns: usize, lines: usize) {
    let mut edges: Vec<&EdgeVolume> = plan.edges.iter().collect();
    edges.sort_by(|a, b| {
        b.gb.total_cmp(&a.gb)
            .then_with(|| a.src.cmp(&b.src))
            .then_with(|| a.dst.cmp(&b.dst))
    });
    let wide = (WIDTH - 48.0) / columns as f64;
    for column in 0..columns {
        let x = 24.0 + wide * column as f64;
        for (text, right) in [
            ("GB", 330.0),
            ("Gbit/s", 400.0),
            ("$ a GB", 470.0),
            ("$", 540.0),
        ] {
            svg.text((x + right, top), Align::End, 12, QUIET, text);
        }
    }
    for (at, edge) in edges.iter().take(MOST_ROWS).enumerate() {
        let x = 24.0 + wide * (at / lines.max(1)) as f64;
        let y = top + ROW * ((at % lines.max(1)) as f64 + 1.0);
        let usd = edge.usd_per_gb;
        let way = format!("{} → {}", edge.src, edge.dst);
        svg.text((x, y), Align::Start, 12, INK, &cut(&way, 44));
        for (text, right) in [
            (format!("{:.1}", edge.gb), 330.0),
            (format!("{:.2}", edge.gbps), 400.0),
            (format!("{usd:.3}"), 470.0),
            (format!("{:.2}", usd * edge.gb), 540.0),
        ] {
            svg.text((x + right, y), Align::End, 12, INK, &text);
        }
    }
}
