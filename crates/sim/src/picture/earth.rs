//! The map that plans are drawn on: land, where a place is on it, and names beside places.

use super::INK;
use super::svg::{Align, Place, Svg};
use skyfresh_sky::catalog::Coordinates;

const COASTLINES: &str = include_str!("coastlines.txt");
pub(super) const WIDTH: f64 = 1180.0;
pub(super) const MAP_TOP: f64 = 78.0;
pub(super) const MAP_HEIGHT: f64 = 560.0;
/// What is shown of the Earth: all longitudes, cut in the Pacific; latitudes without the poles.
const WEST: f64 = -170.0;
const NORTH: f64 = 78.0;
const SOUTH: f64 = -56.0;
const LAND: &str = "#eceae4";
/// Places that have no part in what is shown.
pub(super) const ELSEWHERE: &str = "#c9c6bd";

/// Draws the land.
pub(super) fn land(svg: &mut Svg) {
    for line in COASTLINES.lines().filter(|line| !line.starts_with('#')) {
        let ring: Vec<Place> = line.split(' ').filter_map(corner).collect();
        if ring.len() > 2 {
            svg.shape(&ring, LAND);
        }
    }
}

fn corner(pair: &str) -> Option<Place> {
    let (longitude, latitude) = pair.split_once(',')?;
    let place = Coordinates {
        longitude: longitude.parse().ok()?,
        latitude: latitude.parse().ok()?,
    };
    let mut at = place_of(place);
    // Coastlines end at the antimeridian of their own; they are not carried over the map's edge.
    at.0 = at.0.clamp(12.0, WIDTH - 12.0);
    Some(at)
}

/// Equirectangular; Kamchatka and the Aleutians are where the map ends.
fn place_of(place: Coordinates) -> Place {
    let x = 12.0 + (place.longitude - WEST) / 360.0 * (WIDTH - 24.0);
    let latitude = place.latitude.clamp(SOUTH, NORTH);
    let y = MAP_TOP + (NORTH - latitude) / (NORTH - SOUTH) * MAP_HEIGHT;
    (x, y)
}

/// Where a place is in the picture.
pub(super) fn project(place: Coordinates) -> Place {
    let mut place = place;
    if place.longitude < WEST {
        place.longitude += 360.0;
    }
    place_of(place)
}

/// Left, top, right and bottom.
type Box4 = (f64, f64, f64, f64);

/// Names beside places, each where no other is yet.
#[derive(Default)]
pub(super) struct Labels {
    taken: Vec<Box4>,
}

impl Labels {
    /// Writes a name beside a place, clear of what is drawn there: `radius` in pixels, 6.5 or more.
    pub(super) fn name(&mut self, svg: &mut Svg, (x, y): Place, radius: f64, text: &str) {
        let right = radius + 2.5;
        let long = text.chars().count() as f64 * 6.0;
        let spots = [
            (right, 4.0),
            (-right, 4.0),
            (right, 18.0),
            (-right, 18.0),
            (right, -10.0),
            (-right, -10.0),
            (right, 32.0),
            (-right, -24.0),
        ];
        let boxed = |(dx, dy): (f64, f64)| {
            let left = if dx > 0.0 { x + dx } else { x + dx - long };
            (left, y + dy - 11.0, left + long, y + dy + 2.0)
        };
        let free = |spot: &&(f64, f64)| {
            let (a, b, c, d) = boxed(**spot);
            let inside = a > 4.0 && c < WIDTH - 4.0;
            inside
                && self
                    .taken
                    .iter()
                    .all(|(e, f, g, h)| c < *e || *g < a || d < *f || *h < b)
        };
        let spot = *spots.iter().find(free).unwrap_or(&spots[0]);
        self.taken.push(boxed(spot));
        let align = if spot.0 > 0.0 {
            Align::Start
        } else {
            Align::End
        };
        svg.text((x + spot.0, y + spot.1), align, 11, INK, text);
    }
}
