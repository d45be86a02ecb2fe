use super::*;
use crate::check::check_choice;
use crate::predict::{Residuals, Shape, Warm};
use proptest::prelude::{Strategy, prop, proptest};
use proptest::test_runner::Config;
use skyfresh_sky::Usd;
use skyfresh_sky::catalog::{Catalog, request_prices};
use std::cell::RefCell;
use std::fmt::Write as _;

pub(super) const MB: u64 = 1_000_000;
pub(super) const GB: u64 = 1_000 * MB;
pub(super) const HOME: &str = "aws:us-east-1";

pub(super) fn region(name: &str) -> Region {
    name.parse().unwrap()
}

pub(super) fn ask(destination: &str, size_bytes: u64, slo: &str) -> Ask {
    Ask::new(
        region(HOME),
        region(destination),
        size_bytes,
        slo.parse().unwrap(),
    )
}

pub(super) fn planner() -> Planner {
    with_draws(None)
}

/// Of few draws where predictions need not be good: selection, prices and checks are the same.
pub(super) fn rough() -> Planner {
    with_draws(Some(100))
}

fn with_draws(draws: Option<usize>) -> Planner {
    let settings = Settings {
        state: Some("dynamodb".into()),
        draws,
        ..Settings::default()
    };
    Planner::new(Catalog::embedded(), settings).unwrap()
}

/// Chooses, and lets the checker look at it.
pub(super) fn choose(planner: &mut Planner, ask: &Ask) -> Choice {
    let choice = planner.choose(ask).unwrap();
    let wrong = check_choice(ask, planner.catalog(), &choice);
    assert!(wrong.is_empty(), "{ask:?}\n{}", wrong.join("\n"));
    choice
}

/// The decisions, pinned. A change of the catalogue or of the model shows here as what it changes.
#[test]
fn decisions() {
    let mut planner = planner();
    let mut table = String::new();
    for destination in ["aws:us-west-2", "azure:westeurope", "gcp:asia-northeast1"] {
        for (size, slo) in [
            (10_000, "5s@p99"),
            (MB, "1s@p99"),
            (MB, "5s@p99"),
            (128 * MB, "10s@p99"),
            (128 * MB, "60s@p99"),
            (GB, "10s@p99"),
            (GB, "5m@p99"),
            (100 * GB, "2m@p99"),
        ] {
            // One large one will do: it takes a second.
            if size > GB && destination != "gcp:asia-northeast1" {
                continue;
            }
            let ask = ask(destination, size, slo);
            let choice = choose(&mut planner, &ask);
            let winner = choice.winner().unwrap();
            let _ = writeln!(
                table,
                "{destination:20} {size:>12} B {slo:8} {:?}: {}, {:.1} s at the SLO's percentile, {}",
                choice.verdict,
                winner.way,
                winner.at_slo_s,
                winner.cost.total()
            );
        }
    }
    insta::assert_snapshot!(table);
}

fn asks() -> impl Strategy<Value = Ask> {
    let regions = [
        "aws:us-east-1",
        "aws:us-west-2",
        "gcp:us-central1",
        "azure:westeurope",
    ];
    let sizes = [0, 1, 300_000, 6 << 20, 40 * MB, 700 * MB, 3 * GB];
    let slos = ["500ms@p50", "3s@p99", "20s@p90", "2m@p99", "1h@p99"];
    let place = move || prop::sample::select(regions.to_vec());
    let tail = (
        0u64..4,
        0u64..2_000,
        prop::bool::ANY,
        prop::bool::ANY,
        prop::bool::ANY,
    );
    let strategy = (
        place(),
        place(),
        place(),
        prop::sample::select(sizes.to_vec()),
        prop::sample::select(slos.to_vec()),
        tail,
    );
    strategy.prop_map(
        |(from, to, third, size, slo, (spent_s, busy, server_copy, cheapest, unchanged))| {
            let mut ask = Ask::new(region(from), region(to), size, slo.parse().unwrap());
            ask.sites.extend(Site::functions(region(third)));
            ask.sites.push(Site::process(region(from)));
            ask.sites.push(Site::process(Region::local()));
            ask.sites.sort();
            ask.sites.dedup();
            ask.fresh = vec![region(third)];
            ask.elapsed = Duration::from_secs(spent_s);
            ask.in_flight = ask.sites.iter().map(|site| (site.clone(), busy)).collect();
            ask.process_workers = 1 + (busy % 20) as u32;
            ask.inline_on_functions = busy % 2 == 0;
            ask.server_copy = server_copy.then_some(match size > GB {
                true => StoreCopy::Parts(size.div_ceil(GB)),
                false => StoreCopy::Whole,
            });
            ask.cheapest = cheapest;
            ask.unchanged_bytes = if unchanged { size / 3 } else { 0 };
            // From never to four a second.
            ask.changes_per_s = (busy % 3) as f64 * 2.0;
            ask
        },
    )
}

proptest! {
    #![proptest_config(Config { cases: 192, ..Config::default() })]
    #[test]
    fn every_choice_passes_the_checker(ask in asks()) {
        thread_local!(static PLANNER: RefCell<Planner> = RefCell::new(rough()));
        PLANNER.with_borrow_mut(|planner| choose(planner, &ask));
    }
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let mut planner = rough();
    let ask = ask("gcp:us-central1", 128 * MB, "10s@p99");
    let right = choose(&mut planner, &ask);
    assert_eq!(right.verdict, Verdict::InTime);
    let chosen = right.chosen.unwrap();
    assert!(chosen > 0, "some cheaper one is late");
    type Spoil<'a> = &'a dyn Fn(&mut Choice);
    let wrongs: [(&str, Spoil<'_>); 8] = [
        ("not often enough", &|it| it.chosen = Some(0)),
        ("cheaper candidate", &|it| {
            it.chosen = it.candidates.iter().rposition(|c| c.in_time >= 0.99)
        }),
        ("although one is in time", &|it| it.verdict = Verdict::Late),
        ("egress", &|it| {
            it.candidates[chosen].cost.egress = Usd::ZERO
        }),
        ("order of their prices", &|it| it.candidates.reverse()),
        ("listed twice", &|it| {
            it.candidates
                .push(it.candidates[it.candidates.len() - 1].clone())
        }),
        ("refused", &|it| {
            it.candidates[chosen].refused = Some("no".into())
        }),
        ("at the percentile, but", &|it| {
            it.candidates[chosen].at_slo_s *= 9.0
        }),
    ];
    let fewer = Ask {
        inline_on_functions: false,
        ..ask.clone()
    };
    let found = check_choice(&fewer, planner.catalog(), &right).join("\n");
    assert!(found.contains("in one piece"), "{found}");
    for (says, spoil) in wrongs {
        let mut wrong = right.clone();
        spoil(&mut wrong);
        let found = check_choice(&ask, planner.catalog(), &wrong).join("\n");
        assert!(found.contains(says), "{says}: {found}");
    }
}

/// Everything computed anew, by plain arithmetic, over every number of workers and not only powers of two.
#[test]
fn brute_force_agrees() {
    let catalog = Catalog::embedded();
    for (destination, size, slo) in [
        ("aws:us-west-2", 40 * MB, "4s@p99"),
        ("azure:westeurope", 100 * MB, "12s@p99"),
        ("gcp:us-central1", 128 * MB, "6s@p90"),
        ("gcp:us-central1", MB, "3s@p99"),
        ("azure:eastus", 64 * MB, "1s@p99"),
    ] {
        let ask = Ask {
            premium: 0.0,
            ..ask(destination, size, slo)
        };
        let mut planner = Planner::new(catalog.clone(), Settings::default()).unwrap();
        let choice = choose(&mut planner, &ask);
        let mut cheapest: Option<(f64, Shape)> = None;
        let mut every: Option<f64> = None;
        for site in &ask.sites {
            let route = crate::predict::Route::of(
                &catalog,
                &ask.source,
                &ask.destination,
                site,
                None,
                0.05,
            )
            .unwrap();
            let mut warm = Warm::new(route, 2, ask.share(), 1);
            let parts = |workers, part_bytes| Shape::Parts {
                workers,
                part_bytes,
            };
            let most = size.div_ceil(8 << 20) as u32;
            let mut tried = vec![Shape::Inline];
            for workers in (1..=most).filter(|_| size > 5 << 20) {
                tried.extend([8, 16, 24, 32].map(|mib| parts(workers, mib << 20)));
            }
            let offered = shapes(size, ask.limits);
            tried.extend(&offered);
            for shape in tried {
                let predicted = warm.predict(shape, size);
                let in_time =
                    predicted.learned_cdf(&Residuals::default(), ask.left_s()) >= ask.share();
                let count = size.div_ceil(if let Shape::Parts { part_bytes, .. } = shape {
                    part_bytes
                } else {
                    size
                });
                let (reads, writes) = (
                    1 + count,
                    count + if shape == Shape::Inline { 0 } else { 2 },
                );
                let (from, to) = (
                    request_prices(ask.source.provider),
                    request_prices(ask.destination.provider),
                );
                let requests =
                    from.read.usd() * reads as f64 + to.read.usd() + to.write.usd() * writes as f64;
                let (platform, memory_mb) = site.billed().unwrap();
                let each = Duration::from_secs_f64(predicted.busy_s() / f64::from(shape.workers()));
                let functions = platform
                    .price(memory_mb, each, u64::from(shape.workers()))
                    .usd();
                let egress = catalog
                    .egress_usd_per_gb(&ask.source, &ask.destination)
                    .unwrap()
                    .usd()
                    * size as f64
                    / 1e9;
                let usd = egress + requests + functions;
                if in_time {
                    every = Some(every.map_or(usd, |least| least.min(usd)));
                    if offered.contains(&shape) && cheapest.is_none_or(|(least, _)| usd < least) {
                        cheapest = Some((usd, shape));
                    }
                }
            }
        }
        let winner = choice.winner().unwrap();
        match (cheapest, every) {
            (Some((usd, shape)), Some(least)) => {
                assert_eq!(
                    choice.verdict,
                    Verdict::InTime,
                    "{destination} {slo}: {shape:?} is"
                );
                let stated = winner.cost.total().usd();
                assert!(
                    (stated / usd - 1.0).abs() < 1e-6,
                    "{destination}: {stated} by {}, {usd} by {shape:?}",
                    winner.way
                );
                // What the coarser choice of workers costs.
                assert!(
                    stated <= least * 1.02,
                    "{destination}: {stated}, {least} with any number of workers"
                );
            }
            _ => assert_eq!(choice.verdict, Verdict::Late, "{destination} {slo}"),
        }
    }
}

#[test]
fn what_is_under_way_counts() {
    let mut planner = rough();
    let mut ask = ask("gcp:us-central1", 10 * GB, "20s@p99");
    let workers = |choice: &Choice| match choice.winner().map(|it| &it.way) {
        Some(Way::Workers { shape, .. }) => shape.workers(),
        other => panic!("{other:?}"),
    };
    let free = choose(&mut planner, &ask);
    assert!(workers(&free) > 32, "{}", free.why);
    ask.in_flight = ask.sites.iter().map(|site| (site.clone(), 990)).collect();
    let busy = choose(&mut planner, &ask);
    assert!(workers(&busy) <= 10);
    assert_eq!(busy.verdict, Verdict::Late);
    ask.in_flight = ask.sites.iter().map(|site| (site.clone(), 1_000)).collect();
    let full = choose(&mut planner, &ask);
    assert_eq!((full.verdict, full.chosen), (Verdict::Nothing, None));
    assert!(
        full.why.contains("1000 under way exceed the 1000"),
        "{}",
        full.why
    );
}

#[test]
fn receipts_change_the_plan_and_a_spent_budget_the_goal() {
    let mut planner = rough();
    let mut ask = ask("aws:us-west-2", 128 * MB, "12s@p99");
    ask.premium = 0.0;
    let before = choose(&mut planner, &ask);
    let way = before.winner().unwrap().way.clone();
    // Everything of this lane takes three times as long as the catalogue says.
    for site in ask.sites.clone() {
        for shape in shapes(ask.size_bytes, ask.limits) {
            let slow = Way::Workers {
                site: site.clone(),
                shape,
                via: None,
            };
            for _ in 0..20 {
                let listed = before.candidates.iter().find(|it| it.way == slow).unwrap();
                planner.learn(&ask, &slow, listed.p50_s * 3.0).unwrap();
            }
        }
    }
    let after = choose(&mut planner, &ask);
    let winner = after.winner().unwrap();
    assert_ne!(winner.way, way, "{}", after.why);
    assert!(winner.cost.total() > before.price().unwrap());
    ask.cheapest = true;
    let degraded = choose(&mut planner, &ask);
    assert_eq!(
        (degraded.verdict, degraded.chosen),
        (Verdict::Cheapest, Some(0))
    );
}

/// What a review found: each broke one of the promises of this module.
#[test]
fn odd_asks_are_answered() {
    let mut planner = rough();
    let mut small = ask("gcp:us-central1", 300_000, "20s@p99");
    small.unchanged_bytes = 100_000;
    assert_eq!(
        choose(&mut planner, &small).verdict,
        Verdict::InTime,
        "a small object goes whole"
    );
    let mut large = ask("gcp:us-central1", 20 * GB, "1h@p99");
    large.server_copy = Some(StoreCopy::Parts(20));
    let choice = choose(&mut planner, &large);
    let prices = request_prices(large.destination.provider);
    let in_parts = choice
        .candidates
        .iter()
        .find(|it| it.way == Way::ServerCopy);
    let heads = request_prices(large.source.provider).read + prices.read;
    assert_eq!(
        in_parts.unwrap().cost.requests,
        heads + prices.write.times(22),
        "an upload is created, filled with 20 parts and completed, and nothing is read by workers"
    );
    let mut mostly = ask("gcp:us-central1", GB, "1h@p99");
    (mostly.server_copy, mostly.unchanged_bytes) = (Some(StoreCopy::Whole), GB - MB);
    let choice = choose(&mut planner, &mostly);
    let whole = |it: &&Candidate| it.way == Way::ServerCopy;
    let copied = choice.candidates.iter().find(whole).unwrap();
    assert_eq!(
        copied.cost.egress,
        Usd::from_usd(0.09),
        "a store's own copy moves everything"
    );
    assert!(choice.price().unwrap() < copied.cost.total());
    let limits = PartLimits {
        min_part_bytes: 1,
        max_part_bytes: 4 << 20,
        max_parts: 50_000,
        max_put_bytes: 4 << 20,
    };
    assert!(
        !shapes(100 * MB, limits).is_empty(),
        "parts smaller than the usual ones"
    );
    let none = PartLimits {
        max_parts: 0,
        ..limits
    };
    assert!(shapes(u64::MAX, none).is_empty());
    for cold in [f64::NAN, 5.0, -1.0] {
        let settings = Settings {
            cold,
            ..Settings::default()
        };
        assert!(
            Planner::new(Catalog::embedded(), settings).is_err(),
            "{cold}"
        );
    }
}

#[test]
fn a_premium_buys_speed() {
    let mut planner = rough();
    let frugal = Ask {
        premium: 0.0,
        ..ask("gcp:us-central1", GB, "30s@p99")
    };
    let usual = Ask {
        premium: PREMIUM,
        ..frugal.clone()
    };
    let (cheapest, faster) = (choose(&mut planner, &frugal), choose(&mut planner, &usual));
    let (cheapest, faster) = (cheapest.winner().unwrap(), faster.winner().unwrap());
    assert!(
        faster.at_slo_s < cheapest.at_slo_s / 3.0,
        "{} {}",
        faster.at_slo_s,
        cheapest.at_slo_s
    );
    assert!(faster.cost.total().usd() <= cheapest.cost.total().usd() * 1.01);
}
