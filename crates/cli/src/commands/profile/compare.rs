//! What was measured, beside what the planner would take from the catalogue.

use super::is_link;
use super::measure::{Latency, Rate};
use serde::Serialize;
use skyfresh_plan::predict::{Leg, Route, Site};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Provider, Region};

/// A side that answers later than this is not taken for one beside us: half of its HEAD requests.
const NEAR_MS: f64 = 50.0;
/// Nor is one that does not answer so many times sooner than the other one.
const NEARER: f64 = 2.0;

/// Where this machine is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Here {
    pub(super) region: Region,
    /// Nobody said so: one side answers much sooner.
    pub(super) taken: bool,
}

impl Here {
    pub(super) fn said(region: Region) -> Self {
        Here {
            region,
            taken: false,
        }
    }

    /// Beside the side that answers much sooner, where one does; each is a region and its median delay in ms.
    pub(super) fn taken(one: (Region, f64), other: (Region, f64)) -> Option<Self> {
        let (near, far) = if one.1 <= other.1 {
            (one, other)
        } else {
            (other, one)
        };
        let is_near = near.1 <= NEAR_MS && near.1 * NEARER <= far.1;
        let usable = near.0.provider != Provider::Local && near.0 != far.0;
        (is_near && usable).then_some(Here {
            region: near.0,
            taken: true,
        })
    }
}

/// What is expected of one side.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expected {
    /// Half of HEAD requests take no longer.
    pub(super) head_ms: f64,
    /// One connection, 10⁶ bytes a second.
    pub(super) connection_mb_per_s: f64,
    /// It is an estimate: nobody measured it.
    pub(super) estimated: bool,
}

/// Of reading at `from`, by a machine here.
pub(super) fn read(catalog: &Catalog, from: &Region, here: &Region) -> Option<Expected> {
    let route = known(catalog, from, here).then(|| route(catalog, from, here, here))??;
    Some(expected(&route, &route.read))
}

/// Of writing to `to`, by a machine here.
pub(super) fn written(catalog: &Catalog, here: &Region, to: &Region) -> Option<Expected> {
    let route = known(catalog, here, to).then(|| route(catalog, here, to, here))??;
    Some(expected(&route, &route.write))
}

/// The planner has figures for unknown ways, too: that nothing is promised of them is no knowledge.
fn known(catalog: &Catalog, from: &Region, to: &Region) -> bool {
    if from == to {
        return from.provider != Provider::Local;
    }
    is_link(from, to) && catalog.link(from, to).is_some()
}

fn route(catalog: &Catalog, from: &Region, to: &Region, here: &Region) -> Option<Route> {
    Route::of(catalog, from, to, &Site::process(here.clone()), None, 0.0).ok()
}

fn expected(route: &Route, leg: &Leg) -> Expected {
    Expected {
        head_ms: leg.round_trip_ms + route.store_answer_ms.quantile(0.5),
        connection_mb_per_s: leg.connection_mb_per_s,
        estimated: leg.estimated,
    }
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) measure: String,
    /// The unit of both.
    pub(super) unit: &'static str,
    pub(super) measured: f64,
    pub(super) catalogue: Option<f64>,
    /// Measured ÷ catalogue.
    pub(super) factor: Option<f64>,
    /// The catalogue's figure is an estimate.
    pub(super) estimated: bool,
}

/// Every figure of a side.
pub(super) fn lines(head: &Latency, rates: &[Rate], expected: Option<&Expected>) -> Vec<Line> {
    let line = |measure: String, unit, measured: f64, catalogue: Option<f64>| Line {
        measure,
        unit,
        measured,
        catalogue,
        factor: catalogue.map(|catalogue| measured / catalogue),
        estimated: expected.is_some_and(|expected| expected.estimated),
    };
    let mut lines = vec![
        line("HEAD, least".into(), "ms", head.least_ms, None),
        line(
            "HEAD, p50".into(),
            "ms",
            head.p50_ms,
            expected.map(|it| it.head_ms),
        ),
        line("HEAD, p99".into(), "ms", head.p99_ms, None),
    ];
    for rate in rates {
        let name = match rate.streams {
            1 => "1 stream".to_owned(),
            streams => format!("{streams} streams"),
        };
        // Connections add up in the model; where they do not, the factor says it.
        let together = expected.map(|it| it.connection_mb_per_s * rate.streams as f64);
        lines.push(line(name, "MB/s", rate.mb_per_s, together));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    #[test]
    fn here_is_where_one_side_answers_much_sooner_and_else_nowhere() {
        let (aws, gcp) = (region("aws:us-east-1"), region("gcp:us-central1"));
        let taken = |one: (&Region, f64), other: (&Region, f64)| {
            let here = Here::taken((one.0.clone(), one.1), (other.0.clone(), other.1));
            here.map(|here| (here.region, here.taken))
        };
        assert_eq!(taken((&aws, 10.0), (&gcp, 40.0)), Some((aws.clone(), true)));
        assert_eq!(taken((&aws, 40.0), (&gcp, 10.0)), Some((gcp.clone(), true)));
        assert_eq!(taken((&aws, 30.0), (&gcp, 40.0)), None, "hardly sooner");
        assert_eq!(taken((&aws, 80.0), (&gcp, 300.0)), None, "both far away");
        assert_eq!(taken((&aws, 10.0), (&aws, 40.0)), None, "the same region");
        let local = Region::local();
        assert_eq!(taken((&local, 1.0), (&gcp, 40.0)), None);
    }

    #[test]
    fn figures_are_those_of_the_leg_between_the_store_and_here() {
        let catalog = Catalog::embedded();
        let (aws, gcp) = (region("aws:us-east-1"), region("gcp:us-central1"));
        let link = catalog.link(&aws, &gcp).unwrap();
        let far = written(&catalog, &aws, &gcp).unwrap();
        assert!((Leg::link_gbps(far.connection_mb_per_s) - link.throughput_gbps).abs() < 1e-9);
        assert!(far.head_ms > link.rtt_ms);
        let near = read(&catalog, &aws, &aws).unwrap();
        assert!(near.head_ms < far.head_ms && near.connection_mb_per_s > far.connection_mb_per_s);
        assert_eq!(read(&catalog, &Region::local(), &aws), None);
        assert_eq!(read(&catalog, &Region::local(), &Region::local()), None);
        assert_eq!(written(&catalog, &aws, &region("aws:nowhere-1")), None);
    }

    #[test]
    fn the_factor_is_measured_by_expected_and_streams_add_up() {
        let head = Latency {
            requests: 20,
            least_ms: 10.0,
            p50_ms: 20.0,
            p99_ms: 90.0,
        };
        let rate = |streams, mb_per_s| Rate {
            streams,
            bytes: 1,
            seconds: 1.0,
            mb_per_s,
        };
        let expected = Expected {
            head_ms: 40.0,
            connection_mb_per_s: 50.0,
            estimated: true,
        };
        let rates = [rate(1, 100.0), rate(4, 100.0)];
        let all = lines(&head, &rates, Some(&expected));
        let factors: Vec<Option<f64>> = all.iter().map(|line| line.factor).collect();
        assert_eq!(factors, [None, Some(0.5), None, Some(2.0), Some(0.5)]);
        assert!(
            lines(&head, &rates, None)
                .iter()
                .all(|line| line.factor.is_none())
        );
    }
}
