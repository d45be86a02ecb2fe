use super::*;
use crate::catalog::{EMBEDDED_FITS, EMBEDDED_LINKS, EMBEDDED_PRICES, EMBEDDED_REGIONS, Origin};
use std::fmt::Write;

fn quantile(errors: &mut [f64], p: f64) -> f64 {
    errors.sort_by(f64::total_cmp);
    errors[((errors.len() - 1) as f64 * p).round() as usize]
}

/// Every measured pair, estimated without the measurements of its source region, against what was measured.
#[test]
fn estimates_are_as_good_as_documented() {
    let listed = Tables::listed(EMBEDDED_REGIONS, EMBEDDED_LINKS, EMBEDDED_PRICES).unwrap();
    let fits = Fits::parse(EMBEDDED_FITS).unwrap();
    let estimator = Estimator::new(&listed, &fits);
    let providers = [Provider::Aws, Provider::Azure, Provider::Gcp];
    let mut ways: Vec<_> = providers
        .iter()
        .flat_map(|from| providers.map(|to| Some((*from, to))))
        .collect();
    ways.push(None);
    let mut table = String::new();
    for way in ways {
        let (mut rtts, mut lines, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        let (mut prices, mut exact) = (0, 0);
        for (from, source) in listed.places.iter().enumerate() {
            for (to, target) in listed.places.iter().enumerate() {
                let (one, other) = (source.region.provider, target.region.provider);
                let measured =
                    one != Provider::Cloudflare && other != Provider::Cloudflare && from != to;
                if !measured || way.is_some_and(|way| way != (one, other)) {
                    continue;
                }
                let figures = listed.cell(from, to);
                let estimate = estimator.rtt_ms(from, to, Some(from)).unwrap();
                let error = |estimate: f64, value: f64| (estimate / value - 1.0).abs();
                if let Some(rtt) = figures.rtt_ms {
                    rtts.push(error(estimate, rtt.value));
                    lines.push(error(
                        estimator.rtt_ms_by_distance(from, to).unwrap(),
                        rtt.value,
                    ));
                }
                let gbps = figures
                    .throughput_gbps
                    .filter(|gbps| gbps.origin == Origin::Listed);
                if let Some(gbps) = gbps {
                    rates.push(error(
                        estimator.throughput_gbps(from, to, estimate).unwrap(),
                        gbps.value,
                    ));
                }
                if let Some(price) = figures.egress_usd_per_gb {
                    prices += 1;
                    exact +=
                        usize::from(estimator.egress_usd_per_gb(from, to) == Some(price.value));
                }
            }
        }
        let name = way.map_or("all".to_owned(), |(one, other)| {
            format!("{} → {}", one.as_str(), other.as_str())
        });
        let percent = |errors: &mut [f64], p| format!("{:.0}%", quantile(errors, p) * 100.0);
        let _ = writeln!(
            table,
            "| {name} | {} | {}, {} | {}, {} | {} | {}, {} | {exact} of {prices} |",
            rtts.len(),
            percent(&mut rtts, 0.5),
            percent(&mut rtts, 0.9),
            percent(&mut lines, 0.5),
            percent(&mut lines, 0.9),
            rates.len(),
            percent(&mut rates, 0.5),
            percent(&mut rates, 0.9),
        );
        assert!(quantile(&mut rtts, 0.5) < 0.15, "{table}");
        assert!(quantile(&mut rates, 0.5) < 0.4, "{table}");
        assert!(exact * 100 >= prices * 95, "{table}");
    }
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/catalogue.md");
    let document = std::fs::read_to_string(document).unwrap();
    assert!(
        document.contains(&table),
        "docs/catalogue.md should say:\n{table}"
    );
}
