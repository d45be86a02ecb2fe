use super::*;

const NETWORK: &str =
    "src_vendor,src_region,dest_vendor,dest_region,cost\na,x,b,y,0.02\nb,y,a,x,0.09\n";
const STORES: &str = "Vendor,Region,Name,Group,Tier,PricePerUnit\n\
    a,x,s,storage,hot,0.02\na,x,s,storage,hot,0.025\na,x,s,storage,hot,0.021\na,x,s,put request,hot,5e-06\na,x,s,get request,hot,4.0000000000000003e-07\n\
    b,y,s,storage,cold,0.01\nb,y,s,put request,cold,1e-05\nb,y,s,get request,cold,1e-06\nb,y,s,get transfer,cold,0.01\n\
    c,z,s,storage,cold,0.001\n";

fn scenario(change: impl FnOnce(&mut Requirements)) -> Result<Scenario, String> {
    let mut asked = Requirements::default();
    change(&mut asked);
    let prices = Prices::parse(STORES, NETWORK).expect("the tables");
    Scenario::new(&prices, &asked).map_err(|error| error.to_string())
}

#[test]
fn tables_hold_prices_as_listed() {
    let found = scenario(|_| {}).expect("a scenario");
    assert_eq!(found.regions(), ["a-x", "b-y"]);
    let names: Vec<&str> = found
        .stores()
        .iter()
        .map(|store| store.name.as_str())
        .collect();
    // The store of c is in no region that the network reaches.
    assert_eq!(names, ["a-x-s-hot", "b-y-s-cold"]);
    let hot = &found.stores()[0];
    assert_eq!(
        (hot.storage, hot.put, hot.get),
        (250_000_000, 50_000, 4_000)
    );
    let row = |table: &[i64], region: usize| table[region * found.stride..][..2].to_vec();
    // From a and to a: the network within a region is free, reads of the cold store pay its transfer as well.
    assert_eq!(row(&found.ingress, 0), [0, 200_000_000]);
    assert_eq!(row(&found.egress, 0), [0, 1_000_000_000]);
    assert_eq!(row(&found.egress, 1), [200_000_000, 100_000_000]);
    assert_eq!(found.stride % 8, 0);
}

#[test]
fn a_table_that_cannot_be_read_is_told_by_file_and_line() {
    let stores = |rows: &str| {
        Prices::parse(
            &format!("Vendor,Region,Name,Group,Tier,PricePerUnit\n{rows}"),
            NETWORK,
        )
    };
    for (rows, wanted) in [
        (
            "a,x,s,storage,hot,cheap",
            "storage_pricing.csv, line 2: no number",
        ),
        (
            "\na,x,s,storage,hot,-1",
            "storage_pricing.csv, line 3: a price is between",
        ),
        ("a,x,s,storage,hot,nan", "line 2: a price is between"),
        (
            "a,x,s,storage,hot,0.00000000001",
            "line 2: finer than 1e-10",
        ),
        ("a,x,s,storing,hot,1", "line 2: groups are"),
        ("a,x,s,storage,1", "line 2: 5 fields where the head has 6"),
        ("a,x,,storage,hot,1", "line 2: an empty field"),
    ] {
        let told = stores(rows).map(|_| ()).expect_err(rows).to_string();
        assert!(told.contains(wanted), "{rows}: {told}");
    }
    // Two regions, each with a store of the same name.
    let told = stores("a,x,s,storage,hot,1\na,x-s,hot,storage,u,1\na,x,s-hot,storage,u,1");
    let told = told.map(|_| ()).expect_err("one name").to_string();
    assert!(told.contains("line 4: a store of the same name"), "{told}");
    let told = Prices::parse("Vendor\n", NETWORK)
        .map(|_| ())
        .expect_err("no columns")
        .to_string();
    assert!(told.contains("line 1: no column Region"), "{told}");
    let told = Prices::read("/nonexistent".as_ref())
        .map(|_| ())
        .expect_err("no directory")
        .to_string();
    assert!(told.contains("storage_pricing.csv"), "{told}");
}

#[test]
fn what_cannot_be_met_is_told_before_any_object_is_asked() {
    let told =
        |change: fn(&mut Requirements)| scenario(change).map(|_| ()).expect_err("cannot be met");
    for (told, wanted) in [
        (
            told(|asked| asked.regions = "(".into()),
            "no regular expression",
        ),
        (
            told(|asked| asked.regions = "mars".into()),
            "matches no region",
        ),
        (
            told(|asked| asked.stores = "tape".into()),
            "matches no store",
        ),
        (told(|asked| asked.min_replicas = 0), "at least one replica"),
        (told(|asked| asked.min_replicas = 3), "only 2 stores"),
        (
            told(|asked| (asked.min_replicas, asked.max_replicas) = (2, Some(1))),
            "replicas",
        ),
        (
            told(|asked| asked.required_regions = vec!["c-z".into()]),
            "not among the regions",
        ),
        (
            told(|asked| {
                (asked.stores, asked.required_regions) = ("cold".into(), vec!["a-x".into()])
            }),
            "required region",
        ),
        (
            told(|asked| asked.forbidden_providers = vec!["z".into()]),
            "not among the vendors",
        ),
        (
            told(|asked| (asked.forbidden_providers, asked.min_providers) = (vec!["a".into()], 2)),
            "2 providers at least",
        ),
        (
            told(|asked| (asked.max_replicas, asked.min_providers) = (Some(1), 2)),
            "need 2 stores",
        ),
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let missing = NETWORK.replace("a,x,b,y", "a,x,c,y") + "c,y,a,x,1\nc,y,b,y,1\n";
    let prices = Prices::parse(STORES, &missing).expect("tables");
    let told = Scenario::new(&prices, &Requirements::default())
        .map(|_| ())
        .map_err(|error| error.to_string());
    assert!(
        told.is_err_and(|told| told.contains("network price") && told.contains("no such pair"))
    );
}

#[test]
fn missing_stores_are_counted_once_for_region_and_provider() {
    let groups = Groups {
        regions: vec![(0, 0), (1, 0)],
        providers: vec![0, 1],
        min_providers: 3,
        provider_count: 3,
    };
    let missing = |chosen: &[(usize, usize)]| groups.missing(chosen.iter().copied());
    assert_eq!(missing(&[]), 4);
    assert_eq!(missing(&[(0, 0)]), 3);
    assert_eq!(missing(&[(0, 0), (1, 0), (5, 2)]), 1);
    assert_eq!(missing(&[(0, 0), (1, 0), (5, 2), (6, 1)]), 0);
}
