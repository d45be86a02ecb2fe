use super::*;
use crate::explain::Item;
use crate::logs::{Access, Clients, Folding, Grouping, Operation, Origin, Tally};
use crate::model::{Latency, Prices, Requirements};

const MONTH_S: u64 = 730 * 3600;

fn prices() -> Prices {
    Prices::parse(
        include_str!("../../tables/storage_pricing.csv"),
        include_str!("../../tables/network_cost_v2.csv"),
    )
    .expect("tables")
}

fn asked() -> Requirements {
    Requirements {
        regions: "aws-eu".into(),
        stores: "General Purpose".into(),
        ..Requirements::default()
    }
}

/// A month of accesses: operation, key, bytes, region, how often.
fn groups(scenario: &Scenario, accesses: &[(Operation, &str, u64, &str, u64)]) -> Vec<Group> {
    let clients = Clients::everywhere(scenario, 0, 0);
    let mut tally = Tally::new(clients, Folding::default());
    for (operation, key, bytes, region, times) in accesses {
        for _ in 0..*times {
            tally.add(&Access {
                time_ms: 0,
                operation: *operation,
                bucket: "b".into(),
                key: (*key).into(),
                bytes: *bytes,
                object_bytes: Some(*bytes),
                origin: Origin::Region(region),
            });
        }
    }
    tally.groups(scenario, Grouping::Object, MONTH_S).unwrap()
}

const IRELAND: &str = "aws-eu-west-1-s3-General Purpose";
const STOCKHOLM: &str = "aws-eu-north-1-s3-General Purpose";

fn today<'a>(scenario: &'a Scenario, name: &str) -> Today<'a> {
    Today::new(scenario, &[name.to_owned()]).unwrap()
}

#[test]
fn what_is_read_from_elsewhere_moves_there_and_the_rest_stays() {
    let scenario = Scenario::new(&prices(), &asked()).unwrap();
    let gb = 1_000_000_000;
    let found = groups(
        &scenario,
        &[
            (Operation::Get, "far", 10 * gb, "aws-eu-north-1", 50),
            (Operation::Get, "near", gb, "aws-eu-west-1", 50),
        ],
    );
    // Stockholm's storage and Ireland's cost the same: what is used in Ireland has no reason to move.
    let today = today(&scenario, IRELAND);
    let advised = today.advise(&found, Limits::default(), 1);
    let far = advised[0].as_ref().unwrap();
    let names = |stores: &[u32]| -> Vec<&str> {
        let name = |store: &u32| scenario.stores[*store as usize].name.as_str();
        stores.iter().map(name).collect()
    };
    assert_eq!(names(&far.stores), [STOCKHOLM]);
    assert_eq!(far.moves.len(), 1);
    // Fifty reads of 10 GB at 2 cents a GB between regions of AWS are no longer paid for.
    let saved = far.saving();
    assert!(!saved.negative);
    assert!((saved.usd() - 10.0).abs() < 0.5, "{saved}");
    // 10 GB at 2 cents, a get and a put.
    assert_eq!(far.moving.to_string(), "0.2000054");
    let months = far.payback_months().unwrap();
    assert!((months - far.moving.usd() / saved.usd()).abs() < 1e-12);
    let near = advised[1].as_ref().unwrap();
    assert_eq!(near.stores, today.stores());
    assert_eq!(near.saving().to_string(), "0");
    assert_eq!((near.payback_months(), near.moves.len()), (None, 0));
    let (before, _) = cost_of(&scenario, &found[1].workload, today.stores()).unwrap();
    assert_eq!(near.today.to_string(), before.to_string());

    let mut sums = Sums::new(&scenario, found[0].workload.denominator);
    for (group, advised) in found.iter().zip(&advised) {
        sums.add(&scenario, today.stores(), group, advised.as_ref().unwrap());
    }
    assert_eq!((sums.groups, sums.objects, sums.staying), (2, 2, 1));
    assert_eq!(sums.bytes, 11 * u128::from(gb));
    for (total, of) in [
        (sums.today, (|item| item.today) as fn(&ItemSum) -> Cost),
        (sums.best, |item| item.best),
    ] {
        let items = sums.items.iter().map(|item| of(item).numerator);
        assert_eq!(items.fold(Wide::ZERO, Wide::plus), total.numerator);
    }
    let egress = sums.items.iter().find(|sum| sum.item == Item::Egress);
    assert_eq!(egress.unwrap().best.to_string(), "0");
    let north = sums.regions[scenario.region("aws-eu-north-1").unwrap()];
    assert_eq!((north.stored_today_gb, north.stored_best_gb), (0.0, 10.0));
    assert_eq!((north.gets, north.read_gb), (50.0, 500.0));
}

#[test]
fn requirements_may_cost_more_than_today() {
    let two = Requirements {
        min_replicas: 2,
        ..asked()
    };
    let scenario = Scenario::new(&prices(), &two).unwrap();
    let found = groups(
        &scenario,
        &[(Operation::Get, "one", 1_000_000_000, "aws-eu-west-1", 1)],
    );
    let today = today(&scenario, IRELAND);
    assert!(!today.may_stay(&found[0]));
    let advised = today
        .advise(&found, Limits::default(), 1)
        .remove(0)
        .unwrap();
    assert_eq!(advised.stores.len(), 2);
    assert!(advised.saving().negative && advised.payback_months().is_none());
    assert!(advised.saving().to_string().starts_with('-'));
}

#[test]
fn stores_that_are_too_slow_today_are_priced_all_the_same() {
    let table = "src_vendor,src_region,dest_vendor,dest_region,latency\n\
        aws,eu-west-1,aws,eu-north-1,3\naws,eu-north-1,aws,eu-north-1,0.1\n";
    let in_time = Requirements {
        latency: Some((Latency::parse("latency.csv", table).unwrap(), 1.0)),
        ..asked()
    };
    let scenario = Scenario::new(&prices(), &in_time).unwrap();
    let found = groups(
        &scenario,
        &[(Operation::Get, "one", 1000, "aws-eu-north-1", 1)],
    );
    let today = today(&scenario, IRELAND);
    assert!(!today.may_stay(&found[0]));
    let advised = today
        .advise(&found, Limits::default(), 2)
        .remove(0)
        .unwrap();
    assert_eq!(scenario.stores[advised.stores[0] as usize].name, STOCKHOLM);
    assert!(advised.today.usd() > 0.0);
    assert_eq!(today.stay(&advised).saving().to_string(), "0");
    assert!(Today::new(&scenario, &["mars".into()]).is_err());
    assert!(Today::new(&scenario, &[]).is_err());
}
