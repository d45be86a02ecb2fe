use super::*;

fn bucket(at_s: f64, count: u64, p50_s: f64, p99_s: f64, max_s: f64, backlog: u64) -> Bucket {
    Bucket {
        at_s,
        count,
        p50_s,
        p99_s,
        max_s,
        backlog,
    }
}

fn tiny() -> DelaySeries {
    DelaySeries {
        title: "Two buckets <& \"more\">".into(),
        subtitle: "seed 1".into(),
        slo_s: Some(10.0),
        buckets: vec![
            bucket(0.0, 3, 1.0, 2.0, 3.0, 0),
            bucket(60.0, 4, 1.5, 4.0, 30.0, 12),
            bucket(120.0, 0, 0.0, 0.0, 0.0, 40),
            bucket(180.0, 5, 2.0, 5.0, 8.0, 3),
        ],
        cdf: vec![
            (0.0, 0.5),
            (0.5, 1.2),
            (0.99, 5.0),
            (0.9999, 20.0),
            (1.0, 30.0),
        ],
    }
}

/// Many values, like those of a run.
fn like_a_run() -> DelaySeries {
    let rng = skyfresh_sky::Rng::seeded(4);
    let delay = skyfresh_sky::Distribution::from_p50_p99(1.4, 4.0);
    let mut waiting = 0.0f64;
    let buckets = (0..360).map(|i| {
        let burst = if (i + 7) % 61 < 3 { 10.0 } else { 0.8 };
        waiting = (waiting + 2750.0 * burst - 4000.0 * rng.unit() - 2000.0).max(0.0);
        let lag = 1.0 + waiting / 9000.0;
        let p50_s = 1.4 * lag * (0.95 + 0.1 * rng.unit());
        let p99_s = 3.6 * lag * (0.9 + 0.2 * rng.unit());
        bucket(
            f64::from(i) * 10.0,
            2750,
            p50_s,
            p99_s,
            p99_s * (1.2 + rng.unit()),
            waiting as u64,
        )
    });
    DelaySeries {
        title: "One hour, synthetic, IBM-like".into(),
        subtitle: "0.99 M PUT and DELETE, aws:us-east-1 to azure:eastus, seed 4".into(),
        slo_s: Some(10.0),
        buckets: buckets.collect(),
        cdf: (0..=4000)
            .map(|i| 1.0 - libm::pow(10.0, -f64::from(i) / 800.0))
            .map(|q| (q, delay.quantile(q)))
            .filter(|(_, delay_s)| delay_s.is_finite())
            .collect(),
    }
}

/// Every element is closed, quotes are in pairs, and no number is none.
fn assert_sound(svg: &str) {
    for (index, line) in svg.lines().enumerate() {
        assert_eq!(line.matches('"').count() % 2, 0, "line {index}: {line}");
        assert!(
            !line.contains("NaN") && !line.contains("inf"),
            "line {index}: {line}"
        );
    }
    let count = |text: &str| svg.matches(text).count();
    assert_eq!(count("<text "), count("</text>"));
    assert_eq!(
        count("<path ") + count("<rect ") + count("<circle "),
        count("/>")
    );
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

#[test]
fn a_tiny_picture() {
    insta::assert_snapshot!(delay_picture(&tiny()));
}

#[test]
fn it_says_what_it_shows() {
    let svg = delay_picture(&tiny());
    assert_sound(&svg);
    for text in [
        ">Two buckets &lt;&amp; &quot;more&quot;&gt;</text>",
        ">SLO 10 s</text>",
        // 0.99 + 0.0099 × (10 − 5) / (20 − 5)
        ">99.33% within the SLO of 10 s</text>",
        ">p99.99</text>",
        ">20 s</text>",
        ">time since the start (min)</text>",
        ">at most 40 changes waiting</text>",
        ">max 30 s</text>",
        ">delay, log scale</text>",
    ] {
        assert!(svg.contains(text), "{text} is missing from {svg}");
    }
    // Nobody changed anything in the third minute: the lines have a gap, which makes the last bucket a dash.
    let blue = svg
        .lines()
        .find(|line| line.contains("stroke-width=\"2.2\""))
        .unwrap();
    assert_eq!(blue.matches('M').count(), 2, "{blue}");
    let linear = DelaySeries {
        slo_s: None,
        buckets: vec![bucket(0.0, 1, 1.0, 2.0, 3.0, 0)],
        cdf: vec![(0.0, 1.0), (1.0, 3.0)],
        ..tiny()
    };
    let svg = delay_picture(&linear);
    assert!(!svg.contains("log scale") && !svg.contains("SLO"), "{svg}");
}

#[test]
fn odd_values_are_left_out() {
    let odd = bucket(f64::NAN, 1, f64::INFINITY, -1.0, f64::NAN, u64::MAX);
    for series in [
        DelaySeries::default(),
        DelaySeries {
            buckets: vec![odd, bucket(1.0, 1, f64::NAN, 0.0, 1e300, u64::MAX)],
            cdf: vec![(0.5, f64::NAN), (f64::NAN, 1.0), (2.0, 1.0), (0.5, 0.0)],
            slo_s: Some(f64::NAN),
            title: "x".repeat(500) + "\u{0}\u{1b}",
            ..DelaySeries::default()
        },
        DelaySeries {
            buckets: vec![bucket(0.0, 1, 0.0, 0.0, 0.0, 0); 3],
            cdf: vec![(0.0, 0.0), (1.0, 0.0)],
            slo_s: Some(0.0),
            ..DelaySeries::default()
        },
    ] {
        assert_sound(&delay_picture(&series));
    }
    assert!(delay_picture(&DelaySeries::default()).contains(">no changes</text>"));
}

#[test]
fn many_values_make_no_large_picture() {
    let series = like_a_run();
    let svg = delay_picture(&series);
    assert_sound(&svg);
    let week = DelaySeries {
        buckets: (0..604_800)
            .map(|i| Bucket {
                at_s: f64::from(i),
                ..series.buckets[i as usize % 360]
            })
            .collect(),
        ..series
    };
    let svg = delay_picture(&week);
    assert_sound(&svg);
    assert!(svg.len() < 120_000, "{} bytes", svg.len());
    assert!(svg.contains("time since the start (days)"));
}

#[test]
fn a_placement_shows_what_is_where_and_no_markup_of_names() {
    let site = |name: &str, longitude: f64, today_gb: f64, best_gb: f64, read_gb: f64| Site {
        name: name.into(),
        at: skyfresh_sky::catalog::Coordinates {
            latitude: 50.0,
            longitude,
        },
        today_gb,
        best_gb,
        read_gb,
    };
    let sites = [
        site("aws-<here>", 0.0, 4.0, 1.0, 0.0),
        site("there", 90.0, 0.0, 4.0, 9.0),
        site("reads", 140.0, 0.0, 0.0, 1.0),
    ];
    let svg = placement_map("A <title>", "told", &sites);
    assert_eq!(svg, placement_map("A <title>", "told", &sites));
    assert!(svg.contains("aws-&lt;here&gt;") && !svg.contains("<here>"));
    // Areas are as what they stand for: a quarter has half the radius (and rings are 2.5 wider).
    for radius in ["26", "15.5", "28.5", "26.0", "8.7"] {
        assert!(svg.contains(&format!("r=\"{radius}\"")), "{radius}: {svg}");
    }
    assert!(placement_map("", "", &[]).contains("stored today"));
}
