//! One seed, one run: on every machine, in every build; and what once broke a guarantee does not any more.

use skyfresh_sim::fault::{Schedule, generate};
use skyfresh_sim::storm::run;
use std::path::Path;

/// Every schedule in a folder beside this crate's sources, by name.
fn schedules(folder: &str) -> Vec<(String, Schedule)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a file");
            let schedule = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().expect("a name").to_string_lossy();
            (name.into_owned(), schedule)
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..40 {
        let schedule = generate(seed);
        assert_eq!(schedule, generate(seed));
        let (first, second) = (run(&schedule, true), run(&schedule, true));
        let differs = first.log.iter().zip(&second.log).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert!(first.events > 100, "seed {seed}: hardly anything happened");
    }
}

/// The hashes of whole runs, as another machine had them. A change of the engine that changes what it asks of stores and
/// ledger changes them too: then run this test on two machines, or builds, and write the new ones down.
#[test]
fn a_run_is_the_same_on_every_machine() {
    let hashes: Vec<String> = [0, 1, 2]
        .map(|seed| format!("{:016x}", run(&generate(seed), false).hash))
        .into();
    assert_eq!(hashes, PINNED);
}

const PINNED: [&str; 3] = ["f4d39354c062254e", "a634f53e79d216db", "f73b06eabda4b20b"];

#[test]
fn what_broke_a_guarantee_once_does_not_any_more() {
    let kept = schedules("regressions");
    assert!(!kept.is_empty());
    for (name, schedule) in kept {
        let outcome = run(&schedule, false);
        assert_eq!(outcome.violations, [], "{name}");
    }
}

/// The test of the tests: each schedule is named for the mutant that it shows, and shows nothing without it.
#[cfg(feature = "mutants")]
#[test]
fn mutants_are_caught() {
    use skyfresh_sky::Mutant;
    let kept = schedules("mutants");
    let name = |mutant: &Mutant| format!("{mutant:?}");
    let caught: Vec<_> = kept.iter().map(|(name, _)| name.clone()).collect();
    let mut all: Vec<_> = Mutant::ALL.iter().map(name).collect();
    all.sort();
    assert_eq!(caught, all, "one schedule for each mutant");
    for mutant in Mutant::ALL {
        let (_, schedule) = kept
            .iter()
            .find(|(kept, _)| *kept == name(&mutant))
            .expect("compared above");
        let wrong = mutant.run(|| run(schedule, false));
        assert_ne!(wrong.violations, [], "{mutant:?} is not noticed");
        assert_eq!(run(schedule, false).violations, [], "without {mutant:?}");
    }
}
