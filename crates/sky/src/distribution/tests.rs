use super::*;
use crate::Rng;
use proptest::prelude::*;

#[derive(Serialize, Deserialize)]
struct File {
    delay: Distribution,
}

fn toml(text: &str) -> Result<Distribution, String> {
    toml::from_str::<File>(text)
        .map(|file| file.delay)
        .map_err(|error| error.to_string())
}

fn empirical(points: &[(f64, f64)]) -> Distribution {
    Distribution::Empirical(Quantiles::new(points.to_vec()).unwrap())
}

fn part(weight: f64, of: Distribution) -> Weighted {
    Weighted { weight, of }
}

/// Distributions without steps, whose `cdf` and `quantile` are inverse functions.
fn smooth() -> impl Strategy<Value = Distribution> {
    let leaf = prop_oneof![
        (-1e3..1e3, 1e-3..1e3).prop_map(|(low, width)| Distribution::Uniform {
            low,
            high: low + width
        }),
        (1e-3..1e6, 0.01..3.0)
            .prop_map(|(median, sigma)| Distribution::Lognormal { median, sigma }),
        (-1e3..1e3, 1e-2..1e3).prop_map(|(mean, sd)| Distribution::Normal { mean, sd }),
        (-1e3..1e3, 1e-2..1e3)
            .prop_map(|(location, scale)| Distribution::Gumbel { location, scale }),
        prop::collection::vec(1e-2..10.0, 2..20).prop_map(|steps| {
            let count = steps.len() as f64 - 1.0;
            let mut value = 0.0;
            let points = steps.iter().enumerate().map(|(i, step)| {
                value += step;
                (i as f64 / count, value)
            });
            empirical(&points.collect::<Vec<_>>())
        }),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop::collection::vec((0.01..10.0, inner), 1..4).prop_map(|parts| {
            let parts = parts.into_iter();
            Distribution::Mixture(parts.map(|(weight, of)| part(weight, of)).collect())
        })
    })
}

proptest! {
    #[test]
    fn cdf_undoes_quantile(distribution in smooth(), p in 1e-4..0.9999) {
        prop_assert!(distribution.check().is_ok());
        let x = distribution.quantile(p);
        let back = distribution.cdf(x);
        // Never less than asked for; more only where a mixture has a gap, over which nothing smaller is enough.
        prop_assert!(back >= p - 1e-9, "cdf({x}) = {back} < {p}");
        let less = distribution.cdf(x - x.abs().max(1e-3) * 1e-9);
        prop_assert!(less <= p + 1e-6, "cdf just below {x} is {less} > {p}");
        if !matches!(distribution, Distribution::Mixture(_)) {
            prop_assert!((back - p).abs() < 1e-9, "cdf({x}) = {back}, not {p}");
        }
    }

    #[test]
    fn both_are_monotone(distribution in smooth(), p in 0.001..0.999, step in 0.0..0.5) {
        let more = f64::min(p + step, 0.9999);
        let (x, y) = (distribution.quantile(p), distribution.quantile(more));
        prop_assert!(x <= y + y.abs() * 1e-12);
        prop_assert!(distribution.cdf(x) <= distribution.cdf(y) + 1e-12);
    }

    #[test]
    fn draws_have_the_quantiles_and_the_mean(distribution in smooth(), seed in 0u64..1000) {
        let rng = Rng::seeded(seed);
        let mut draws: Vec<f64> = (0..4000).map(|_| distribution.sample(&rng)).collect();
        prop_assert!(draws.iter().all(|x| x.is_finite()));
        draws.sort_by(f64::total_cmp);
        for p in [0.1, 0.5, 0.9] {
            // Five standard errors of the empirical distribution function.
            let margin = 5.0 * f64::sqrt(p * (1.0 - p) / 4000.0);
            let share = draws.partition_point(|x| *x <= distribution.quantile(p)) as f64 / 4000.0;
            prop_assert!(share >= p - margin, "{share} of the draws are below the {p} quantile");
            let below = distribution.quantile(p - 0.001);
            let share = draws.partition_point(|x| *x < below) as f64 / 4000.0;
            prop_assert!(share <= p + margin, "{share} of the draws are below the {p} quantile");
        }
    }

    #[test]
    fn what_is_written_is_read_back(distribution in smooth()) {
        let file = File { delay: distribution.clone() };
        prop_assert_eq!(toml(&toml::to_string(&file).unwrap()).unwrap(), distribution);
    }
}

#[test]
fn means_are_the_integral_of_the_quantiles() {
    let measured = empirical(&[(0.01, 74.8), (0.5, 99.8), (0.99, 99.9)]);
    let mixture = Distribution::Mixture(vec![
        part(3.0, Distribution::from_p50_p99(0.2, 1.3)),
        part(1.0, measured.clone()),
        part(0.0, Distribution::Constant(1e9)),
    ]);
    let gumbel = Distribution::Gumbel {
        location: 3.0,
        scale: 0.5,
    };
    let normal = Distribution::Normal { mean: 4.0, sd: 2.0 };
    let uniform = Distribution::Uniform {
        low: 1.0,
        high: 4.0,
    };
    let lognormal = Distribution::from_p50_p99(1.345, 2.216);
    for distribution in [measured, mixture, gumbel, normal, uniform, lognormal] {
        let count = 20_000;
        let middles = (0..count).map(|i| (f64::from(i) + 0.5) / f64::from(count));
        let sum: f64 = middles.map(|p| distribution.quantile(p)).sum();
        let (numeric, mean) = (sum / f64::from(count), distribution.mean());
        assert!(
            (numeric / mean - 1.0).abs() < 1e-3,
            "{distribution:?}: {mean}, {numeric}"
        );
    }
}

#[test]
fn quantiles_of_known_distributions() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    let lognormal = Distribution::from_p50_p99(1.345, 2.216);
    near(lognormal.quantile(0.5), 1.345);
    near(lognormal.quantile(0.99), 2.216);
    near(lognormal.cdf(2.216), 0.99);
    assert_eq!(lognormal.cdf(0.0), 0.0);
    assert_eq!(lognormal.quantile(0.0), 0.0);
    assert_eq!(lognormal.quantile(1.0), f64::INFINITY);
    let gumbel = Distribution::Gumbel {
        location: 2.0,
        scale: 3.0,
    };
    // At the mode the cdf is 1/e.
    near(gumbel.cdf(2.0), 0.367_879_441_171_442_33);
    near(gumbel.quantile(0.5), 2.0 + 3.0 * 0.366_512_920_581_664_3);
    let measured = empirical(&[(0.1, 10.0), (0.5, 20.0), (0.9, 20.0)]);
    for (p, value) in [
        (0.0, 10.0),
        (0.1, 10.0),
        (0.3, 15.0),
        (0.7, 20.0),
        (1.0, 20.0),
    ] {
        near(measured.quantile(p), value);
    }
    // Steps: a tenth of the draws is exactly 10, half is exactly 20.
    for (x, p) in [
        (9.9, 0.0),
        (10.0, 0.1),
        (15.0, 0.3),
        (19.99, 0.4996),
        (20.0, 1.0),
    ] {
        near(measured.cdf(x), p);
    }
    // A gap: nothing between 1 and 5.
    let two = Distribution::Mixture(vec![
        part(1.0, Distribution::Constant(1.0)),
        part(3.0, Distribution::Constant(5.0)),
    ]);
    assert_eq!((two.quantile(0.25), two.quantile(0.26)), (1.0, 5.0));
    assert_eq!((two.cdf(4.9), two.cdf(5.0), two.mean()), (0.25, 1.0, 4.0));
    // No spread: neither end is 0 × ∞.
    for flat in [
        Distribution::Normal { mean: 2.0, sd: 0.0 },
        Distribution::from_p50_p99(2.0, 2.0),
        Distribution::Gumbel {
            location: 2.0,
            scale: 0.0,
        },
    ] {
        assert_eq!((flat.quantile(0.0), flat.quantile(1.0)), (2.0, 2.0));
        assert_eq!((flat.cdf(1.9), flat.cdf(2.0)), (0.0, 1.0));
    }
}

#[test]
fn one_seed_gives_the_same_draws_on_every_machine() {
    let mixture = Distribution::Mixture(vec![
        part(0.6, Distribution::from_p50_p99(4096.0, 65536.0)),
        part(
            0.4,
            Distribution::Gumbel {
                location: 1.0,
                scale: 2.0,
            },
        ),
    ]);
    let rng = Rng::seeded(7);
    let draws: Vec<u64> = (0..4).map(|_| mixture.sample(&rng).to_bits()).collect();
    assert_eq!(draws, EXPECTED_DRAWS);
}

/// Bits of the first draws; another machine, or a dependency that computes differently, would change them.
const EXPECTED_DRAWS: [u64; 4] = [
    4595841222038333296,
    4609997062957462881,
    4653371158039780288,
    13828160323002869628,
];

#[test]
fn read_from_toml() {
    let read = |text: &str| toml(&format!("delay = {text}")).unwrap();
    assert_eq!(read("{ constant = 3 }"), Distribution::Constant(3.0));
    assert_eq!(
        read("{ lognormal = { median = 1.3, sigma = 0.2 } }"),
        Distribution::Lognormal {
            median: 1.3,
            sigma: 0.2
        }
    );
    assert_eq!(
        read("{ p50_p99 = [1.345, 2.216] }"),
        Distribution::from_p50_p99(1.345, 2.216)
    );
    assert_eq!(
        read("{ empirical = [[0.01, 74.8], [0.5, 99.8]] }"),
        empirical(&[(0.01, 74.8), (0.5, 99.8)])
    );
    assert_eq!(
        read("{ mixture = [{ weight = 0.6, of = { uniform = { low = 1, high = 2 } } }] }"),
        Distribution::Mixture(vec![part(
            0.6,
            Distribution::Uniform {
                low: 1.0,
                high: 2.0
            }
        )])
    );
}

#[test]
fn refusals_say_what_and_why() {
    for (text, says) in [
        ("{ constant = nan }", "finite"),
        ("{ uniform = { low = 2, high = 1 } }", "no less than low"),
        (
            "{ lognormal = { median = 0, sigma = 1 } }",
            "greater than 0",
        ),
        ("{ lognormal = { median = 1, sigma = 11 } }", "10 or less"),
        (
            "{ lognormal = { median = 1, sigma = 1, mean = 2 } }",
            "unexpected keys in table: mean",
        ),
        ("{ normal = { mean = 1, sd = -1 } }", "0 or more"),
        ("{ gumbel = { location = 1, scale = inf } }", "finite"),
        ("{ p50_p99 = [2, 1] }", "p99 no less than p50"),
        ("{ empirical = [] }", "between 1 and 10000"),
        ("{ empirical = [[0.5, 1], [0.4, 2]] }", "p must ascend"),
        ("{ empirical = [[0.5, 2], [0.6, 1]] }", "must not descend"),
        ("{ empirical = [[1.5, 2]] }", "between 0 and 1"),
        ("{ mixture = [] }", "sum greater than 0"),
        (
            "{ mixture = [{ weight = -1, of = { constant = 1 } }] }",
            "0 or more",
        ),
        (
            "{ mixture = [{ weight = 1, of = { normal = { mean = 1, sd = nan } } }] }",
            "finite",
        ),
        ("{ weibull = 3 }", "unknown variant"),
    ] {
        let error = toml(&format!("delay = {text}")).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(Distribution::from_p50_p99(-1.0, 2.0).check().is_err());
}
