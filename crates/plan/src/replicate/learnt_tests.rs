use super::tests::{MB, ask, choose, rough};
use super::*;

/// A planner that was told that everything takes three times as long as it believes.
fn taught() -> (Planner, Ask) {
    let mut planner = rough();
    let ask = ask("aws:us-west-2", 128 * MB, "60s@p99");
    for _ in 0..40 {
        let winner = choose(&mut planner, &ask).winner().unwrap().clone();
        planner
            .learn(&ask, &winner.way, 3.0 * winner.p50_s.min(20.0))
            .unwrap();
    }
    (planner, ask)
}

#[test]
fn another_planner_knows_what_one_has_learnt() {
    let (mut planner, asked) = taught();
    let learnt = planner.learnt(|_, to| *to == asked.destination);
    assert!(!learnt.is_empty());
    assert_eq!(learnt.iter().map(Learnt::receipts).sum::<u64>(), 40);
    assert!(learnt.is_sorted_by_key(|it| std::cmp::Reverse(it.receipts())));
    assert_eq!(planner.learnt(|from, _| *from == asked.destination), []);

    let text = serde_json::to_string(&learnt).unwrap();
    let learnt: Vec<Learnt> = serde_json::from_str(&text).unwrap();
    let (mut again, mut ignorant) = (rough(), rough());
    assert_eq!(again.take_up(&learnt).unwrap(), learnt.len());
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-3;
    let (kept, known) = (choose(&mut again, &asked), choose(&mut planner, &asked));
    for (kept, known) in kept.candidates.iter().zip(&known.candidates) {
        assert_eq!(kept.way, known.way);
        assert!(near(kept.p50_s, known.p50_s), "{kept:?}\n{known:?}");
        assert!(near(kept.at_slo_s, known.at_slo_s), "{kept:?}\n{known:?}");
    }
    let slower = |choice: &Choice| choice.candidates.iter().map(|it| it.p50_s).sum::<f64>();
    let unknown = choose(&mut ignorant, &asked);
    assert!(
        slower(&kept) > 1.2 * slower(&unknown),
        "else the test shows nothing"
    );

    // What a planner has seen itself is not overwritten.
    assert_eq!(again.take_up(&learnt).unwrap(), 0);
}

#[test]
fn what_no_planner_has_learnt_is_not_taken_up_in_part() {
    let (planner, asked) = taught();
    let mut learnt = planner.learnt(|_, _| true);
    let mut broken = learnt[0].clone();
    broken.from = asked.destination.clone();
    let kept = broken.inline.as_mut().or(broken.parts.as_mut()).unwrap();
    kept.weight = -1.0;
    learnt.push(broken);
    let mut again = rough();
    let told = again.take_up(&learnt).unwrap_err().to_string();
    assert!(told.contains("kept sketch"), "{told}");
    assert_eq!(again.learnt(|_, _| true), []);
}
