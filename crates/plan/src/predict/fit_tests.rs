use super::*;
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use skyfresh_sky::{Rng, Weighted};

fn draws(of: &Distribution, seed: u64, count: usize) -> Vec<f64> {
    let rng = Rng::seeded(seed);
    (0..count).map(|_| of.sample(&rng)).collect()
}

const NORMAL: Distribution = Distribution::Normal {
    mean: 100.0,
    sd: 20.0,
};
const GUMBEL: Distribution = Distribution::Gumbel {
    // Reaches below 0, as no lognormal does: with a location far above 0 the two can hardly be told apart.
    location: 4.0,
    scale: 3.0,
};
const LOGNORMAL: Distribution = Distribution::Lognormal {
    median: 2.0,
    sigma: 0.6,
};

/// 30% slow, around 20; 70% fast, around 90.
fn two_modes() -> Distribution {
    let part = |weight, median, sigma| Weighted {
        weight,
        of: Distribution::Lognormal { median, sigma },
    };
    Distribution::Mixture(vec![part(0.3, 20.0, 0.25), part(0.7, 90.0, 0.1)])
}

/// Within four standard errors: a right fit is beyond them in one of 16,000 cases.
fn near(got: f64, truth: f64, standard_error: f64) {
    assert!(
        (got - truth).abs() < 4.0 * standard_error,
        "{got}, not {truth}"
    );
}

#[test]
fn parameters_are_recovered() {
    const COUNT: usize = 2_000;
    let root = (COUNT as f64).sqrt();
    for seed in 0..20 {
        let fitted = |of: &Distribution, family| {
            let fits = fit(&draws(of, seed, COUNT));
            fits.of(family).unwrap().distribution.clone()
        };
        let Distribution::Normal { mean, sd } = fitted(&NORMAL, Family::Normal) else {
            panic!()
        };
        near(mean, 100.0, 20.0 / root);
        near(sd, 20.0, 20.0 / root / 2f64.sqrt());
        // Standard errors of the maximum likelihood: 1.05 and 0.78 scales, over √n (Johnson, Kotz, Balakrishnan, chapter 22).
        let Distribution::Gumbel { location, scale } = fitted(&GUMBEL, Family::Gumbel) else {
            panic!()
        };
        near(location, 4.0, 1.053 * 3.0 / root);
        near(scale, 3.0, 0.780 * 3.0 / root);
        let Distribution::Lognormal { median, sigma } = fitted(&LOGNORMAL, Family::Lognormal)
        else {
            panic!()
        };
        near(median.ln(), 2f64.ln(), 0.6 / root);
        near(sigma, 0.6, 0.6 / root / 2f64.sqrt());
        // The parts hardly overlap, so that each is known as well as from its own draws.
        let Distribution::Mixture(parts) = fitted(&two_modes(), Family::LognormalMixture) else {
            panic!()
        };
        near(parts[0].weight, 0.3, (0.3f64 * 0.7).sqrt() / root);
        near(
            parts[0].of.quantile(0.5).ln(),
            20f64.ln(),
            0.25 / root / 0.3f64.sqrt(),
        );
        near(
            parts[1].of.quantile(0.5).ln(),
            90f64.ln(),
            0.1 / root / 0.7f64.sqrt(),
        );
    }
}

#[test]
fn the_family_that_was_drawn_from_is_chosen() {
    let cases = [
        (NORMAL, Family::Normal),
        (GUMBEL, Family::Gumbel),
        (LOGNORMAL, Family::Lognormal),
        (two_modes(), Family::LognormalMixture),
    ];
    for (of, family) in cases {
        let best = |seed| fit(&draws(&of, seed, 2_000)).best().unwrap().family;
        let right = (0..100).filter(|seed| best(*seed) == family).count();
        assert!(right >= 95, "{family}: {right} of 100");
    }
    // Too narrow to be told apart: whichever has two parameters.
    let narrow = Distribution::Lognormal {
        median: 50.0,
        sigma: 0.02,
    };
    let simple = |seed: &u64| fit(&draws(&narrow, *seed, 500)).best().unwrap().parameters == 2;
    assert!((0..100).filter(simple).count() >= 97);
    let neither = Distribution::Uniform {
        low: 1.0,
        high: 9.0,
    };
    let best = |seed| fit(&draws(&neither, seed, 2_000)).best().unwrap().family;
    assert_eq!((best(1), best(2)), (Family::Empirical, Family::Empirical));
}

/// The critical distances are what they are said to be: one in 100 of samples that do follow the family is rejected.
#[test]
fn one_in_a_hundred_right_families_is_rejected() {
    for (of, family) in [
        (NORMAL, Family::Normal),
        (GUMBEL, Family::Gumbel),
        (LOGNORMAL, Family::Lognormal),
    ] {
        // Two parameters need no mixture beside them, which would take most of the time.
        let fitted = |sorted: &[f64]| match family {
            Family::Gumbel => gumbel(sorted),
            Family::Normal => normal(sorted),
            _ => normal(&sorted.iter().map(|x| x.ln()).collect::<Vec<_>>()),
        };
        for count in [10, 30, 300] {
            let rejected = |seed: &u64| {
                let mut sample = draws(&of, *seed, count);
                sample.sort_by(f64::total_cmp);
                let (fitted, _) = fitted(&sample).unwrap();
                if family == Family::Lognormal {
                    sample.iter_mut().for_each(|x| *x = x.ln());
                }
                distance(&fitted, &sample) > critical_distance(family, count)
            };
            let rejected = (0..4_000).filter(rejected).count();
            // 40, give or take 6.3.
            assert!(
                (18..=66).contains(&rejected),
                "{family}, {count}: {rejected}"
            );
        }
    }
    // Of the mixture it is known only that it is rejected too seldom.
    let rejected = |seed: &u64| {
        let fits = fit(&draws(&two_modes(), *seed, 300));
        fits.of(Family::LognormalMixture).unwrap().rejected()
    };
    assert!((0..400).filter(rejected).count() <= 4);
}

#[test]
fn what_cannot_be_fitted_is_not() {
    let families = |of: &[f64]| {
        fit(of)
            .all()
            .iter()
            .map(|fit| fit.family)
            .collect::<Vec<_>>()
    };
    assert_eq!(fit(&[]).best(), None);
    let odd = fit(&[f64::NAN, f64::INFINITY, 3.0, f64::NEG_INFINITY]);
    assert_eq!((odd.observations(), odd.left_out()), (1, 3));
    assert_eq!(odd.best().unwrap().distribution.quantile(0.3), 3.0);
    assert_eq!(families(&[1.0, 2.0, 3.0, 4.0]), [Family::Empirical]);
    let constant = fit(&[2.0; 100]);
    assert_eq!(constant.best().unwrap().family, Family::Empirical);
    assert_eq!(constant.best().unwrap().distance, 0.0);
    assert!(!families(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).contains(&Family::Lognormal));
    let positive = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert!(families(&positive).contains(&Family::Lognormal));
    assert!(!families(&positive).contains(&Family::LognormalMixture));
    // Overflows on the way: what remains can be asked for quantiles all the same.
    let vast: Vec<f64> = (0..30)
        .map(|i| f64::MAX * (f64::from(i) - 15.0) / 16.0)
        .collect();
    assert!(
        fit(&vast)
            .best()
            .unwrap()
            .distribution
            .quantile(0.5)
            .is_finite()
    );
    let close: Vec<f64> = (0..30)
        .map(|i| if i == 7 { 1f64.next_up() } else { 1.0 })
        .collect();
    assert_eq!(fit(&close).best().unwrap().family, Family::Empirical);
}

/// Distances with ties by hand: of 1, 1, 2, 3 the shares are 0.5, 0.75 and 1; uniform over 0 to 4 gives 0.25, 0.5, 0.75.
#[test]
fn distance_by_hand() {
    let uniform = Distribution::Uniform {
        low: 0.0,
        high: 4.0,
    };
    assert_eq!(distance(&uniform, &[1.0, 1.0, 2.0, 3.0]), 0.25);
    assert!((distance(&uniform, &[3.0]) - 0.75).abs() < 1e-12);
    assert_eq!(distance(&Distribution::Constant(2.0), &[2.0, 2.0]), 0.0);
}

#[test]
fn many_measurements_are_thinned_and_their_tail_is_kept() {
    let mut many = draws(&LOGNORMAL, 5, 100_000);
    many.push(1e6);
    let fits = fit(&many);
    let lognormal = fits.of(Family::Lognormal).unwrap();
    assert!(!lognormal.rejected(), "{}", lognormal.distance);
    assert_eq!(
        lognormal.critical,
        critical_distance(Family::Lognormal, MOST)
    );
    let kept = &fits.of(Family::Empirical).unwrap().distribution;
    assert_eq!((kept.quantile(1.0), fits.observations()), (1e6, 100_001));
    let exact = LOGNORMAL.quantile(0.999);
    assert!((kept.quantile(0.999) / exact - 1.0).abs() < 0.1);
}

proptest! {
    #[test]
    fn the_choice_stands_and_nothing_simpler_or_nearer_does(
        small in prop::collection::vec(0.001f64..1e3, 1..60), shift in -10.0f64..10.0, seed in 0u64..1_000,
    ) {
        let mixed: Vec<f64> = small.iter().map(|x| x + shift).chain(draws(&two_modes(), seed, 40)).collect();
        for values in [small, mixed] {
            let fits = fit(&values);
            let best = fits.best().unwrap();
            prop_assert!(!best.rejected());
            // A rejected one may be nearer: families have critical distances of their own.
            for other in fits.all().iter().filter(|other| !other.rejected()) {
                let (more, same) = (other.parameters > best.parameters, other.parameters == best.parameters);
                prop_assert!(more || (same && other.distance >= best.distance));
            }
            let reversed: Vec<f64> = values.iter().rev().copied().collect();
            prop_assert_eq!(&fits, &fit(&reversed));
            for fit in fits.all() {
                prop_assert!(fit.distribution.check().is_ok() && (0.0..=1.0).contains(&fit.distance));
            }
        }
    }
}

/// Rates in MB/s of each measured set.
fn measured() -> Vec<(String, Vec<f64>)> {
    let text = include_str!("../../measured/function_rates.csv");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut sets: Vec<(String, Vec<f64>)> = Vec::new();
    for line in lines.skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let name = format!("{} {}", cells[0], cells[1]);
        if sets.last().is_none_or(|(last, _)| *last != name) {
            sets.push((name, Vec::new()));
        }
        sets.last_mut().unwrap().1.push(cells[2].parse().unwrap());
    }
    sets
}

/// The plain test at 5%, without regard to estimated parameters: 1.358 / √n (N. Smirnov 1948).
fn plain_5_percent(count: usize) -> f64 {
    1.358 / (count as f64).sqrt()
}

/// As the research notes have it of the time per megabyte: both families are wrong for five of six sets even by the plain test,
/// and for all six by the test that counts the estimated parameters. Of rates, for five.
#[test]
fn measured_rates_are_neither_normal_nor_gumbel() {
    let sets = measured();
    assert_eq!(sets.len(), 6);
    let two = |values: &[f64]| {
        let fits = fit(values);
        [Family::Normal, Family::Gumbel].map(|family| fits.of(family).unwrap().clone())
    };
    let (mut of_times, mut of_rates, mut lenient) = (0, 0, 0);
    for (name, rates) in &sets {
        let mut times: Vec<f64> = rates.iter().map(|rate| 1.0 / rate).collect();
        times.sort_by(f64::total_cmp);
        let fits = two(&times);
        of_times += usize::from(fits.iter().all(Fit::rejected));
        of_rates += usize::from(two(rates).iter().all(Fit::rejected));
        let too_far = |fit: &Fit| fit.distance > plain_5_percent(rates.len());
        lenient += usize::from(fits.iter().all(too_far));
        if name == "aws-lambda write" {
            near(fits[0].distance, 0.299, 0.001);
            // The notes' 0.26 is of moments; likelihood comes nearer, and not near enough.
            let (mean, sd) = moments(&times);
            let scale = sd * 6f64.sqrt() / PI;
            let location = mean - scale * std::f64::consts::EULER_GAMMA;
            let by_moments = Distribution::Gumbel { location, scale };
            near(distance(&by_moments, &times), 0.261, 0.001);
            near(fits[1].distance, 0.142, 0.001);
        }
    }
    assert_eq!((lenient, of_times, of_rates), (5, 6, 5));
}
