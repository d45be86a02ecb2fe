//! How the network between two regions behaves: figures only, derived from the catalogue.

use crate::random::StragglerDistribution;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Region;
use skyfresh_sky::catalog::Catalog;
use std::time::Duration;

/// The catalogue's throughput was measured with this many connections (iperf3), so one of them has this share.
const MEASURED_CONNECTIONS: f64 = 64.0;

/// How shaped ports behave. Figures come from the catalogue: its round-trip times, and its throughput of one VM pair over
/// 64 connections, of which a single connection gets a 64th. Pairs the catalogue does not list, and a region with itself,
/// are not shaped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapingProfile {
    /// Off: every port is unshaped.
    pub enabled: bool,
    /// Multiplies round-trip times and jitter; 0.1 makes the sky ten times smaller.
    pub time_scale: f64,
    /// Multiplies bandwidths.
    pub bandwidth_scale: f64,
    /// Random extra delay per direction, uniform between zero and this share of the round-trip time.
    pub jitter_share: f64,
    /// The rate of each connection, drawn once when it is opened.
    pub stragglers: StragglerDistribution,
    /// Every way between two regions is like this one, instead of as the catalogue and the scales say.
    pub every_link: Option<LinkShape>,
}

impl Default for ShapingProfile {
    /// The catalogue's figures as they are, with 2% jitter.
    fn default() -> Self {
        ShapingProfile {
            enabled: true,
            time_scale: 1.0,
            bandwidth_scale: 1.0,
            jitter_share: 0.02,
            stragglers: StragglerDistribution::default(),
            every_link: None,
        }
    }
}

impl ShapingProfile {
    /// No shaping at all, on any port.
    pub fn unshaped() -> Self {
        ShapingProfile {
            enabled: false,
            ..Default::default()
        }
    }

    /// One way between all regions: the same delay and rates in both directions, no jitter, every connection alike.
    pub fn uniform(rtt: Duration, bandwidth: Bandwidth) -> Self {
        let shape = LinkShape {
            rtt,
            jitter: Duration::ZERO,
            upload: bandwidth,
            download: bandwidth,
        };
        ShapingProfile {
            stragglers: StragglerDistribution::NONE,
            every_link: Some(shape),
            ..Default::default()
        }
    }

    /// How the way between two regions behaves; `None` where it is not shaped. `from` is the client's region. Requests
    /// travel `from` → `to`, responses back, each at the rate of its own direction.
    pub fn link(&self, catalog: &Catalog, from: &Region, to: &Region) -> Option<LinkShape> {
        if !self.enabled || from == to {
            return None;
        }
        if self.every_link.is_some() {
            return self.every_link;
        }
        let (there, back) = (catalog.link(from, to)?, catalog.link(to, from)?);
        let bytes_per_s = |gbps: f64| gbps * 1e9 / 8.0 * self.bandwidth_scale;
        let rtt = Duration::from_secs_f64((there.rtt_ms / 1e3 * self.time_scale).max(0.0));
        Some(LinkShape {
            rtt,
            jitter: rtt.mul_f64(self.jitter_share.max(0.0)),
            upload: Bandwidth::shared_by_connections(bytes_per_s(there.throughput_gbps)),
            download: Bandwidth::shared_by_connections(bytes_per_s(back.throughput_gbps)),
        })
    }
}

/// One direction's bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// Of all the pair's connections together, in bytes per second.
    pub total_bytes_per_s: f64,
    /// The median of one connection, in bytes per second.
    pub connection_bytes_per_s: f64,
}

impl Bandwidth {
    fn shared_by_connections(total_bytes_per_s: f64) -> Self {
        // A rate of zero would wait for ever.
        let total_bytes_per_s = total_bytes_per_s.max(1.0);
        Bandwidth {
            total_bytes_per_s,
            connection_bytes_per_s: total_bytes_per_s / MEASURED_CONNECTIONS,
        }
    }
}

/// How the way between a client's region and a store's behaves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkShape {
    /// Round-trip time.
    pub rtt: Duration,
    /// Greatest random extra delay, per direction.
    pub jitter: Duration,
    /// From the client to the store.
    pub upload: Bandwidth,
    /// From the store to the client.
    pub download: Bandwidth,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_the_catalogue_and_the_scale() {
        let catalog = Catalog::embedded();
        let (from, to): (Region, Region) = (
            "aws:us-east-1".parse().unwrap(),
            "aws:eu-west-1".parse().unwrap(),
        );
        let listed = catalog.link(&from, &to).unwrap();
        let profile = ShapingProfile {
            time_scale: 0.5,
            bandwidth_scale: 2.0,
            ..Default::default()
        };
        let shape = profile.link(&catalog, &from, &to).unwrap();
        assert!((shape.rtt.as_secs_f64() * 1e3 - listed.rtt_ms / 2.0).abs() < 1e-6);
        let expected = listed.throughput_gbps * 1e9 / 8.0 * 2.0;
        assert!((shape.upload.total_bytes_per_s - expected).abs() < 1.0);
        assert!((shape.upload.connection_bytes_per_s * 64.0 - expected).abs() < 1.0);
        assert_eq!(profile.link(&catalog, &from, &from), None);
        assert_eq!(ShapingProfile::unshaped().link(&catalog, &from, &to), None);
        assert_eq!(profile.link(&catalog, &from, &Region::local()), None);
        let bandwidth = Bandwidth {
            total_bytes_per_s: 4e8,
            connection_bytes_per_s: 5e7,
        };
        let uniform = ShapingProfile::uniform(Duration::from_millis(80), bandwidth);
        let shape = uniform.link(&catalog, &from, &Region::local()).unwrap();
        assert_eq!((shape.upload, shape.download), (bandwidth, bandwidth));
        assert_eq!(shape.jitter, Duration::ZERO);
        assert_eq!(uniform.link(&catalog, &from, &from), None);
    }
}
