//! Where regions are.

use super::table::rows;
use crate::{Invalid, Region};
use serde::Serialize;

/// Where a region is, as `crates/sky/catalog/regions.csv` has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The region.
    pub region: Region,
    /// The city or area that the provider names; empty where only the user's table knows the region.
    pub place: String,
    /// The part of the world by which providers price egress, e.g. `europe`.
    pub zone: Option<String>,
    /// Degrees north and east. `None` where the region is in no one place.
    pub coordinates: Option<Coordinates>,
    /// What the coordinates are.
    pub source: PlaceSource,
}

/// A point on the Earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Coordinates {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// What a region's coordinates are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceSource {
    /// As Microsoft publishes them.
    Azure,
    /// The centre of the city that the provider names: approximate.
    City,
    /// A large city of the area that the provider names: assumed.
    Area,
    /// Of the user's own table, which knows no places.
    Override,
}

/// Mean radius of the Earth (IUGG), in km.
const EARTH_RADIUS_KM: f64 = 6371.0;

impl Coordinates {
    /// The great circle to another point, in km, by the haversine formula.
    pub fn distance_km(self, other: Coordinates) -> f64 {
        // libm, so that an estimate is the same on every machine.
        let half_sine_squared = |degrees: f64| {
            let sine = libm::sin(degrees.to_radians() / 2.0);
            sine * sine
        };
        let cosines =
            libm::cos(self.latitude.to_radians()) * libm::cos(other.latitude.to_radians());
        let h = half_sine_squared(other.latitude - self.latitude)
            + cosines * half_sine_squared(other.longitude - self.longitude);
        2.0 * EARTH_RADIUS_KM * libm::asin(libm::sqrt(h.min(1.0)))
    }
}

impl Place {
    /// A region that only the user's table knows.
    pub(super) fn unknown(region: Region) -> Self {
        Place {
            region,
            place: String::new(),
            zone: None,
            coordinates: None,
            source: PlaceSource::Override,
        }
    }

    /// The great circle to another region, in km, where both are in one place.
    pub fn distance_km(&self, other: &Place) -> Option<f64> {
        Some(self.coordinates?.distance_km(other.coordinates?))
    }
}

pub(super) fn parse(csv: &str) -> Result<Vec<Place>, Invalid> {
    let table = rows("region", csv)?;
    let place = |row: &super::table::Row<'_>| {
        let source = match row.text("source")? {
            "azure" => PlaceSource::Azure,
            "city" => PlaceSource::City,
            "area" => PlaceSource::Area,
            other => {
                return Err(Invalid::new(
                    "source",
                    other,
                    "expected azure, city or area",
                ));
            }
        };
        let degrees = |column: &str| {
            let text = row.text(column)?;
            let degrees = text
                .parse::<f64>()
                .ok()
                .filter(|degrees| degrees.abs() <= 180.0);
            degrees.ok_or_else(|| Invalid::new("coordinate", text, "expected degrees"))
        };
        let coordinates = match row.text("latitude")? {
            "" => None,
            _ => Some(Coordinates {
                latitude: degrees("latitude")?,
                longitude: degrees("longitude")?,
            }),
        };
        let zone = row.text("zone")?;
        Ok(Place {
            region: row.parse("region")?,
            place: row.text("place")?.to_owned(),
            zone: Some(zone.to_owned()).filter(|zone| !zone.is_empty()),
            coordinates,
            source,
        })
    };
    table.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let at = |latitude, longitude| Coordinates {
            latitude,
            longitude,
        };
        // A quarter of the equator, half a meridian, and Paris to New York by the handbooks.
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_KM;
        assert!((at(0.0, 0.0).distance_km(at(0.0, 90.0)) - quarter).abs() < 1e-6);
        assert!((at(90.0, 0.0).distance_km(at(-90.0, 0.0)) - 2.0 * quarter).abs() < 1e-6);
        let paris = at(48.86, 2.35);
        assert!((paris.distance_km(at(40.71, -74.01)) - 5837.0).abs() < 10.0);
        assert_eq!(paris.distance_km(paris), 0.0);
    }
}
