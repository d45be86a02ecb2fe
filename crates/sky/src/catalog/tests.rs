use super::*;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn catalog() -> Catalog {
    Catalog::read_embedded().unwrap()
}

fn pairs(catalog: &Catalog) -> Vec<(&Place, &Place, Figures)> {
    let places = catalog.places();
    let ways = places
        .iter()
        .flat_map(|from| places.iter().map(move |to| (from, to)));
    ways.filter_map(|(from, to)| {
        let figures = catalog.figures(&from.region, &to.region)?;
        Some((from, to, figures))
    })
    .collect()
}

#[test]
fn every_pair_of_regions_that_have_a_place_is_a_link() {
    let catalog = catalog();
    let count = |provider| {
        let regions = catalog.regions();
        regions
            .iter()
            .filter(|region| region.provider == provider)
            .count()
    };
    // The union of both runs, and R2: without a place and with six hints.
    assert_eq!((count(Provider::Aws), count(Provider::Azure)), (25, 25));
    assert_eq!((count(Provider::Gcp), count(Provider::Cloudflare)), (28, 7));
    let auto = region("cloudflare:auto");
    let mut estimated = [0; 3];
    for (from, to, figures) in pairs(&catalog) {
        let (from, to) = (&from.region, &to.region);
        assert!(figures.egress_usd_per_gb.is_some(), "{from} -> {to}");
        if *from == auto || *to == auto {
            assert!(figures.rtt_ms.is_none() && figures.throughput_gbps.is_none());
            assert_eq!(catalog.link(from, to), None, "it is in no one place");
            continue;
        }
        let link = figures.link().unwrap_or_else(|| panic!("{from} -> {to}"));
        assert_eq!(catalog.link(from, to), Some(link));
        let Estimates {
            price,
            throughput,
            rtt,
        } = link.estimated;
        let of_r2 = [from, to]
            .iter()
            .any(|end| end.provider == Provider::Cloudflare);
        assert!(
            !of_r2 || (throughput && rtt),
            "nobody measured R2: {from} -> {to}"
        );
        if !of_r2 {
            for (count, is) in estimated.iter_mut().zip([price, throughput, rtt]) {
                *count += usize::from(is);
            }
        }
    }
    // 78 × 77 pairs; 5,796 have prices and throughput, 4,692 a round-trip time.
    assert_eq!(estimated, [6006 - 5796, 6006 - 5796, 6006 - 4692]);
}

#[test]
fn every_figure_is_within_what_is_possible() {
    // Light in vacuum, there and back: 6.67 ms for 1,000 km. Regions lie up to some 100 km from where the table says.
    const LEAST_MS_PER_KM: f64 = 2.0 / 299.792;
    for (from, to, figures) in pairs(&catalog()) {
        let name = format!("{} -> {}: {figures:?}", from.region, to.region);
        let price = figures.egress_usd_per_gb.unwrap();
        let free = from.region.provider == Provider::Cloudflare;
        assert_eq!(price.value == Usd::ZERO, free, "{name}");
        assert!(price.value <= Usd::from_usd(0.19), "{name}");
        let (Some(rtt), Some(gbps)) = (figures.rtt_ms, figures.throughput_gbps) else {
            continue;
        };
        let km = from.distance_km(to).unwrap();
        assert!((1.0..=450.0).contains(&rtt.value), "{name}");
        assert!(rtt.value >= (km - 200.0) * LEAST_MS_PER_KM, "{name}");
        assert!((0.05..=35.0).contains(&gbps.value), "{name}");
        assert!(
            gbps.origin != Origin::Estimated || gbps.value <= 16.0,
            "{name}"
        );
    }
}

#[test]
fn directions_differ() {
    let catalog = catalog();
    let price = |from, to| {
        catalog
            .egress_usd_per_gb(&region(from), &region(to))
            .unwrap()
    };
    assert_eq!(
        price("aws:us-east-1", "aws:ap-northeast-1"),
        Usd::from_usd(0.02)
    );
    assert_eq!(
        price("aws:ap-northeast-1", "aws:us-east-1"),
        Usd::from_usd(0.09)
    );
    assert_eq!(price("aws:us-east-1", "aws:us-east-2"), Usd::from_usd(0.01));
    assert_eq!(price("aws:us-east-1", "azure:eastus"), Usd::from_usd(0.09));
    assert_eq!(price("cloudflare:weur", "aws:us-east-1"), Usd::ZERO);
    assert_eq!(
        price("aws:us-east-1", "cloudflare:auto"),
        Usd::from_usd(0.09)
    );
    // Estimated by rule: Azure within Europe, and out of it.
    assert_eq!(
        price("azure:francecentral", "azure:swedencentral"),
        Usd::from_usd(0.02)
    );
    assert_eq!(
        price("azure:francecentral", "azure:qatarcentral"),
        Usd::from_usd(0.05)
    );
    // Google Cloud charges more to Australia.
    assert_eq!(
        price("gcp:us-central1", "cloudflare:oc"),
        Usd::from_usd(0.19)
    );
    assert_eq!(
        price("gcp:us-central1", "cloudflare:auto"),
        Usd::from_usd(0.12)
    );
    let throughput = |from, to| {
        catalog
            .link(&region(from), &region(to))
            .unwrap()
            .throughput_gbps
    };
    assert!(throughput("azure:eastus", "aws:us-east-1") > 9.0);
    assert!(throughput("aws:us-east-1", "azure:eastus") < 5.0);
    assert_eq!(price("aws:us-east-1", "aws:us-east-1"), Usd::ZERO);
    assert_eq!(price("local:local", "aws:us-east-1"), Usd::ZERO);
    let unknown = catalog.egress_usd_per_gb(&region("aws:us-east-1"), &region("aws:mars-1"));
    assert_eq!(unknown, None);
}

/// Simulated runs are pinned by hashes, which rest on these figures.
#[test]
fn the_nine_regions_that_were_listed_first_have_kept_their_figures() {
    let catalog = catalog();
    let lines = include_str!("nine_regions.csv").lines();
    let lines: Vec<&str> = lines
        .filter(|line| line.contains(':') && !line.starts_with('#'))
        .collect();
    assert_eq!(lines.len(), 9 * 8);
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<f64>().unwrap();
        let link = catalog
            .link(&region(fields[0]), &region(fields[1]))
            .unwrap();
        let expected = Link {
            egress_usd_per_gb: Usd::from_usd(number(2)),
            throughput_gbps: number(3),
            rtt_ms: number(4),
            estimated: Estimates::default(),
        };
        assert_eq!(link, expected, "{line}");
    }
}

#[test]
fn doubted_figures_say_so() {
    let catalog = catalog();
    let figures = |from, to| catalog.figures(&region(from), &region(to)).unwrap();
    let price = |from, to| figures(from, to).egress_usd_per_gb.unwrap().origin;
    assert_eq!(
        price("gcp:asia-southeast1", "aws:us-east-1"),
        Origin::Doubted
    );
    assert_eq!(
        price("gcp:asia-southeast2", "azure:eastus"),
        Origin::Doubted
    );
    assert_eq!(price("gcp:asia-southeast1", "gcp:us-east1"), Origin::Listed);
    let throughput = |from, to| figures(from, to).throughput_gbps.unwrap().origin;
    assert_eq!(throughput("gcp:us-east1", "gcp:us-west1"), Origin::Doubted);
    assert_eq!(
        throughput("gcp:asia-northeast1", "gcp:us-west1"),
        Origin::Listed
    );
}

#[test]
fn the_users_own_figures_come_first_and_empty_ones_keep() {
    let text = "# negotiated\nsrc,dst,usd_per_gb,throughput_gbps,rtt_ms\n\
                aws:us-east-1,aws:eu-west-1,0.011,,\naws:us-east-1,aws:mars-1,0.5,1.5,900000e-1\naws:mars-1,aws:us-east-1,2,,\n\
                region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read\naws:us-east-1,210000000,40000,3000\n";
    let before = catalog();
    let catalog = before.with_overrides(text).unwrap();
    let (east, ireland, mars) = (
        region("aws:us-east-1"),
        region("aws:eu-west-1"),
        region("aws:mars-1"),
    );
    let (old, new) = (
        before.figures(&east, &ireland).unwrap(),
        catalog.figures(&east, &ireland).unwrap(),
    );
    let price = new.egress_usd_per_gb.unwrap();
    assert_eq!(
        (price.value, price.origin),
        (Usd::from_usd(0.011), Origin::Override)
    );
    assert_eq!(
        (new.throughput_gbps, new.rtt_ms),
        (old.throughput_gbps, old.rtt_ms)
    );
    assert_eq!(
        before.figures(&ireland, &east),
        catalog.figures(&ireland, &east)
    );
    // A region of the user's own: what the table says, and nothing else.
    assert_eq!(catalog.link(&east, &mars).unwrap().rtt_ms, 90_000.0);
    assert_eq!(catalog.link(&mars, &east), None);
    assert_eq!(
        catalog.egress_usd_per_gb(&mars, &east),
        Some(Usd::from_usd(2.0))
    );
    assert_eq!(catalog.egress_usd_per_gb(&mars, &ireland), None);
    assert_eq!(catalog.place(&mars).unwrap().source, PlaceSource::Override);
    let prices = catalog.region_prices(&east).unwrap();
    assert_eq!(
        (prices.usd_per_gb_month, prices.scope),
        (Usd::from_usd(0.021), PriceScope::Override)
    );
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let header = "src,dst,usd_per_gb,throughput_gbps,rtt_ms\n";
    let many: String = (0..600).map(|n| format!("aws:r{n},aws:x,1,,\n")).collect();
    for (text, says) in [
        (
            "aws:a,aws:b,1,2,3\n".to_owned(),
            "line 1: expected a header first",
        ),
        (
            format!("{header}aws:a,aws:b,1,2\n"),
            "line 2: expected src,dst",
        ),
        (
            format!("{header}aws:a,aws:b,1,2,3,4,5,6,7\n"),
            "line 2: expected src,dst",
        ),
        (
            format!("{header}\n# x\naws:a,aws:b,-1,2,3\n"),
            "line 4: usd_per_gb must be a number from 0 to 1000",
        ),
        (
            format!("{header}aws:a,aws:b,1,0,3\n"),
            "line 2: throughput_gbps must be",
        ),
        (
            format!("{header}aws:a,aws:b,1,1,inf\n"),
            "line 2: rtt_ms must be",
        ),
        (
            format!("{header}aws:a,mars:b,1,1,1\n"),
            "line 2: region \"mars:b\"",
        ),
        (
            format!("{header}aws:a,aws:a,1,1,1\n"),
            "line 2: from a region to itself",
        ),
        (
            format!("{header}{}\n", "a".repeat(2_000)),
            "line 2: too long",
        ),
        (format!("{header}{many}"), "more than 512 regions"),
        (
            "region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read\naws:a,0.5,1,1\n"
                .into(),
            "line 2: expected integers",
        ),
    ] {
        let error = Catalog::default().with_overrides(&text).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_region_without_prices_of_its_own_has_its_providers() {
    let catalog = catalog();
    let prices = |name| catalog.region_prices(&region(name)).unwrap();
    let sao_paulo = prices("azure:brazilsouth");
    assert_eq!(sao_paulo.scope, PriceScope::Region);
    assert_eq!(sao_paulo.usd_per_gb_month, Usd::from_usd(0.0326));
    assert_eq!(sao_paulo.usd_per_write, Usd::from_usd(7e-6));
    let r2 = prices("cloudflare:auto");
    assert_eq!(r2.scope, PriceScope::Provider);
    assert_eq!(
        (r2.usd_per_gb_month, r2.usd_per_read),
        (Usd::from_usd(0.015), Usd::from_usd(3.6e-7))
    );
    let regional = catalog.regions();
    let regional = regional
        .iter()
        .filter(|region| catalog.region_prices(region).unwrap().scope == PriceScope::Region);
    assert_eq!(regional.count(), 74);
}
