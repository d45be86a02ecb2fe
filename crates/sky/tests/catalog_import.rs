//! The tables that the catalogue was made from, imported again, give the catalogue's own figures.

use skyfresh_sky::catalog::import::{Format, Import};
use skyfresh_sky::catalog::{Catalog, Origin};
use std::path::PathBuf;

/// Rows of a few regions (`import/README.md`).
fn data(folder: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import")).join(folder)
}

fn imported(files: &[(Format, PathBuf)]) -> Import {
    let mut import = Import::default();
    for (format, path) in files {
        let text = std::fs::read_to_string(path).unwrap();
        import
            .add(*format, &path.display().to_string(), &text)
            .unwrap();
    }
    import
}

#[test]
fn skyplanes_tables_give_the_embedded_figures() {
    let data = data("skyplane");
    let import = imported(&[
        (
            Format::Throughput,
            data.join("2022-11/throughput_received.csv"),
        ),
        (Format::EgressPrice, data.join("2022-11/egress_price.csv")),
        (Format::Vms, data.join("2022-11/vm.csv")),
        (
            Format::Throughput,
            data.join("2022-01/throughput_received.csv"),
        ),
        (Format::EgressPrice, data.join("2022-01/egress_price.csv")),
        (Format::Rtt, data.join("rtt.csv")),
    ]);
    let (embedded, again) = (Catalog::embedded(), Catalog::default());
    let again = again.with_overrides(&import.to_csv()).unwrap();
    assert_eq!(again.regions().len(), 8);
    let mut compared = 0;
    for from in again.regions() {
        for to in again.regions().iter().filter(|to| **to != from) {
            let (theirs, ours) = (
                again.figures(&from, to).unwrap(),
                embedded.figures(&from, to).unwrap(),
            );
            let listed = |origin| matches!(origin, Origin::Listed | Origin::Doubted);
            let price = ours
                .egress_usd_per_gb
                .filter(|figure| listed(figure.origin));
            assert_eq!(
                theirs.egress_usd_per_gb.map(|figure| figure.value),
                price.map(|figure| figure.value)
            );
            for (theirs, ours) in [
                (theirs.throughput_gbps, ours.throughput_gbps),
                (theirs.rtt_ms, ours.rtt_ms),
            ] {
                let ours = ours.filter(|figure| listed(figure.origin));
                assert_eq!(
                    theirs.map(|figure| figure.value),
                    ours.map(|figure| figure.value),
                    "{from} -> {to}"
                );
                compared += usize::from(ours.is_some());
            }
        }
    }
    assert_eq!(compared, 54 + 42);
}

#[test]
fn skypies_tables_give_the_embedded_prices() {
    let data = data("skypie");
    let import = imported(&[
        (Format::StoragePricing, data.join("storage_pricing.csv")),
        (Format::NetworkCost, data.join("network_cost_v2.csv")),
    ]);
    assert_eq!(import.counts().0, 20);
    let (embedded, again) = (Catalog::embedded(), Catalog::default());
    let again = again.with_overrides(&import.to_csv()).unwrap();
    let mut compared = 0;
    for region in embedded.regions() {
        let (theirs, ours) = (
            again.region_prices(&region).unwrap(),
            embedded.region_prices(&region).unwrap(),
        );
        if again.place(&region).is_some() && theirs.scope != ours.scope {
            assert_eq!(theirs.usd_per_gb_month, ours.usd_per_gb_month, "{region}");
            assert_eq!(
                (theirs.usd_per_write, theirs.usd_per_read),
                (ours.usd_per_write, ours.usd_per_read)
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 5);
}
