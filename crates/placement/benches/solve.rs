//! How long a placement takes, by criterion: `cargo bench -p skyfresh-placement`. Each iteration places the next of 2,000 objects, so that
//! the figure is the mean over objects; tails are in `cargo xtask eval placement --part speed`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use objects::{Kind, usage};
use skyfresh_placement::{Limits, Prices, Requirements, Scenario, Workload, solve};
use skyfresh_sky::Rng;

#[path = "../examples/evaluate/objects.rs"]
mod objects;

const OBJECTS: usize = 2000;

fn scenario(regions: &str, replicas: usize) -> Scenario {
    let tables = concat!(env!("CARGO_MANIFEST_DIR"), "/tables");
    let asked = Requirements {
        regions: regions.into(),
        min_replicas: replicas,
        max_replicas: Some(replicas),
        ..Requirements::default()
    };
    let prices = Prices::read(tables.as_ref()).expect("price tables");
    Scenario::new(&prices, &asked).expect("a scenario of the paper's")
}

fn placements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("solve");
    for (name, regions, replicas, kind) in [
        ("C3 f=3 uniform", "aws", 3, Kind::Uniform),
        ("C5 f=3 uniform", "azure|aws", 3, Kind::Uniform),
        ("C5 f=3 sparse", "azure|aws", 3, Kind::Sparse),
        ("C5 f=3 dense", "azure|aws", 3, Kind::Dense),
        ("C5 f=5 uniform", "azure|aws", 5, Kind::Uniform),
    ] {
        let scenario = scenario(regions, replicas);
        let rng = Rng::named(1, name);
        let one = |_| {
            let usage = usage(&rng, scenario.regions(), kind);
            usage.resolve(&scenario).expect("known regions")
        };
        let objects: Vec<Workload> = (0..OBJECTS).map(one).collect();
        let mut next = objects.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let object = next.next().expect("a cycle");
                solve(&scenario, object, Limits::default()).expect("feasible")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, placements);
criterion_main!(benches);
