use super::*;
use skyfresh_sky::catalog::NetworkTier;

fn catalog_network() -> Network {
    Network::from_catalog(&Catalog::embedded(), MachinePrices::OnDemand)
}

fn number(network: &Network, name: &str) -> usize {
    network.number(&name.parse().unwrap()).unwrap()
}

#[test]
fn only_links_out_of_google_have_a_tier() {
    let network = catalog_network();
    let standard = network.on_standard_tier(Some(0.5)).unwrap();
    let mut on_standard = 0;
    for from in 0..network.len() {
        for to in (0..network.len()).filter(|to| *to != from) {
            let provider = |at: usize| network.regions()[at].provider;
            let leaves = provider(from) == Provider::Gcp && provider(to) != Provider::Gcp;
            assert_eq!(network.tier(from, to).is_some(), leaves);
            let figures =
                |network: &Network| (network.usd_per_gb(from, to), network.gbps(from, to));
            if standard.tier(from, to) == Some(NetworkTier::Standard) {
                assert!(leaves && figures(&standard).0 <= figures(&network).0);
                on_standard += 1;
            } else {
                assert_eq!(
                    figures(&standard),
                    figures(&network),
                    "nothing else changes"
                );
            }
        }
    }
    // All 22 regions that have the tier, to all others but R2's `auto`, which is in no one place.
    assert_eq!(on_standard, 22 * 56);
}

#[test]
fn what_nobody_measured_stays_on_premium_unless_a_share_is_stated() {
    let network = catalog_network();
    let (from, measured, not) = (
        number(&network, "gcp:us-central1"),
        number(&network, "aws:eu-west-1"),
        number(&network, "cloudflare:weur"),
    );
    let bare = network.on_standard_tier(None).unwrap();
    assert_eq!(bare.tier(from, measured), Some(NetworkTier::Standard));
    assert_eq!(bare.tier(from, not), Some(NetworkTier::Premium));
    let shared = network.on_standard_tier(Some(0.5)).unwrap();
    assert_eq!(shared.tier(from, not), Some(NetworkTier::Standard));
    assert_eq!(shared.gbps(from, not), network.gbps(from, not) * 0.5);
    assert_eq!(shared.gbps(from, measured), bare.gbps(from, measured));
    assert!(network.on_standard_tier(Some(0.0)).is_err());
    assert!(network.on_standard_tier(Some(f64::NAN)).is_err());
    let papers = read_grid(include_str!("../../grids/2022-11.csv")).unwrap();
    assert!(papers.on_standard_tier(Some(0.5)).is_err(), "it has none");
    let from = number(&papers, "gcp:us-central1-a");
    let to = number(&papers, "aws:eu-west-1");
    assert_eq!(papers.tier(from, to), None, "the tables do not say");
}

#[test]
fn internal_addresses_lift_googles_limit_within_google_alone() {
    let public = catalog_network();
    let internal = public.clone().reached_by(Addresses::Internal);
    for at in 0..public.len() {
        let (one, other) = (public.machine(at), internal.machine(at));
        assert_eq!(one.egress_gbps, one.internet_egress_gbps, "one limit");
        assert_eq!(one.internet_egress_gbps, other.internet_egress_gbps);
        let google = public.regions()[at].provider == Provider::Gcp;
        assert_eq!(other.egress_gbps > one.egress_gbps, google);
    }
    assert_eq!(internal.reached_by(Addresses::Public), public);
}

#[test]
fn requests_have_their_regions_price_and_a_store_more_changes_no_others_tier() {
    let papers = read_grid(include_str!("../../grids/2022-11.csv")).unwrap();
    let at = number(&papers, "gcp:southamerica-east1-a");
    assert_eq!(papers.request_usd(at), None);
    let priced = papers.with_request_prices(&Catalog::embedded());
    let catalog = catalog_network();
    let named = number(&catalog, "gcp:southamerica-east1");
    assert!(priced.request_usd(at).is_some());
    assert_eq!(priced.request_usd(at), catalog.request_usd(named));

    let standard = catalog.on_standard_tier(None).unwrap();
    let more = standard.with_store("aws:a-new-one".parse().unwrap(), 0.0, 10.0);
    let (from, to) = ("gcp:us-central1", "aws:eu-west-1");
    assert_eq!(
        more.tier(number(&more, from), number(&more, to)),
        Some(NetworkTier::Standard)
    );
    assert_eq!(more.request_usd(number(&more, "aws:a-new-one")), None);
    assert_eq!(
        more.request_usd(number(&more, to)),
        catalog.request_usd(number(&catalog, to))
    );
}
