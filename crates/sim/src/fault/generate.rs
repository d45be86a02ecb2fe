//! From a seed, a schedule: a user's writes, and everything of the table that may go wrong meanwhile.

use super::schedule::{Action, Request, Schedule, Setup, Side, StateTrouble, Step, Trouble};
use skyfresh_sky::Rng;

/// Keys that users write: few, so that changes meet each other.
pub(crate) const KEYS: u64 = 5;
/// Parts of this size: objects of a few of them go in parts.
pub(crate) const PART_BYTES: u64 = 1_000;

/// The schedule of a seed: the same for ever, as long as the generator is not changed.
pub fn generate(seed: u64) -> Schedule {
    let mut setup = setup(&Rng::named(seed, "schedule.setup"));
    // Drawn apart from the others, whose schedules stay as they were.
    setup.opaque_tags = Rng::named(seed, "schedule.opaque_tags").chance(0.25);
    setup.server_copy = Rng::named(seed, "schedule.server_copy").chance(0.25);
    let mut steps = writes(&Rng::named(seed, "schedule.writes"));
    let end_ms = steps.last().map_or(0, |step| step.at_ms);
    steps.extend(faults(
        &Rng::named(seed, "schedule.faults"),
        setup.clone(),
        end_ms,
    ));
    let draws = Rng::named(seed, "schedule.ambush");
    if draws.chance(0.2) {
        ambush(&draws, &setup, &mut steps);
    }
    steps.sort_by_key(|step| step.at_ms);
    Schedule { seed, setup, steps }
}

/// The schedule of a seed in which users also copy objects, so that destinations have already what is new under another key.
pub fn generate_copies(seed: u64) -> Schedule {
    let mut schedule = generate(seed);
    schedule.setup.changelog = true;
    let draws = Rng::named(seed, "schedule.copies");
    let end_ms = schedule.steps.last().map_or(0, |step| step.at_ms) + 1_000;
    for _ in 0..4 + draws.below(8) {
        let action = Action::Copy {
            key: draws.below(KEYS) as u8,
            from: draws.below(KEYS) as u8,
            told: draws.chance(0.5),
            tell_ms: tellings(&draws),
        };
        let at_ms = draws.below(end_ms);
        schedule.steps.push(Step { at_ms, action });
    }
    schedule.steps.sort_by_key(|step| step.at_ms);
    schedule
}

fn setup(rng: &Rng) -> Setup {
    let shared_ledger = rng.chance(0.3);
    Setup {
        destinations: 1 + rng.below(2) as u8,
        processes: if shared_ledger {
            1 + rng.below(2) as u8
        } else {
            1
        },
        shared_ledger,
        delete: rng.chance(0.6),
        max_deletes: if rng.chance(0.25) { 1 } else { 1_000 },
        source_states_checksums: rng.chance(0.6),
        target_states_checksums: rng.chance(0.7),
        versioned_source: rng.chance(0.3),
        latency_ms: [2, 20, 200][rng.below(3) as usize],
        changelog: false,
        opaque_tags: false,
        server_copy: false,
    }
}

/// Mostly soon; now and then late, twice, or never.
fn tellings(rng: &Rng) -> Vec<u32> {
    let delay = || match rng.below(8) {
        0 => rng.below(20_000) as u32,
        _ => rng.below(400) as u32,
    };
    match rng.below(10) {
        0 | 1 => Vec::new(),
        2 => vec![delay(), delay(), delay()],
        _ => vec![delay()],
    }
}

fn writes(rng: &Rng) -> Vec<Step> {
    let mut at_ms = 500;
    let mut steps = Vec::new();
    for _ in 0..8 + rng.below(17) {
        let key = rng.below(KEYS) as u8;
        let action = if rng.chance(0.25) {
            // Half of them untold: a delete leaves nothing behind that a later look at the destination could stumble on.
            let told = rng.chance(0.5);
            Action::Delete {
                key,
                tell_ms: if told { tellings(rng) } else { Vec::new() },
            }
        } else {
            // Sizes recur, so that size alone proves nothing.
            let bytes = match rng.below(5) {
                0 => 0,
                1 => 600,
                2 => 2_500,
                3 => 5_000,
                _ => rng.below(9_000) as u32,
            };
            Action::Put {
                key,
                bytes,
                tell_ms: tellings(rng),
            }
        };
        steps.push(Step { at_ms, action });
        // Some close together, some apart.
        at_ms += match rng.below(4) {
            0 => rng.below(50),
            1 => rng.below(8_000),
            _ => rng.below(2_000),
        };
    }
    steps
}

fn faults(rng: &Rng, setup: Setup, end_ms: u64) -> Vec<Step> {
    // Some runs are stormy, some have a single fault, which is easier to understand.
    let count = [1, 4, 10, 25][rng.below(4) as usize];
    (0..count)
        .map(|_| Step {
            at_ms: rng.below(end_ms.max(1)),
            action: fault(rng, &setup),
        })
        .collect()
}

fn fault(rng: &Rng, setup: &Setup) -> Action {
    let process = rng.below(setup.processes.into()) as u8;
    let number = |bound: u64| rng.below(bound);
    let side = |rng: &Rng| match rng.chance(0.4) {
        true => Side::Source,
        false => Side::Destination(1 + rng.below(setup.destinations.into()) as u8),
    };
    match number(22) {
        0..=2 => Action::Kill {
            process,
            operations: number(60) as u32,
            after_effect: rng.chance(0.5),
            restart_ms: number(6_000) as u32,
        },
        3 => Action::Freeze {
            process,
            for_ms: number(30_000) as u32,
        },
        4 => Action::Skew {
            process,
            ms: number(4_000) as i32 - 2_000,
        },
        5 | 6 => Action::KillWorker {
            skip: number(3) as u8,
            polls: number(40) as u16,
        },
        7 | 21 => Action::Sweep,
        8 => match number(4) {
            0 => Action::Outage {
                on: side(rng),
                for_ms: long_ms(rng),
            },
            1 => Action::StateOutage {
                for_ms: number(20_000) as u32,
            },
            _ => Action::Partition {
                on: side(rng),
                for_ms: number(60_000) as u32,
                one_way: rng.chance(0.5),
            },
        },
        20 => Action::BucketGone {
            on: side(rng),
            for_ms: number(40_000) as u32,
        },
        9 => Action::Throttle {
            on: side(rng),
            for_ms: number(40_000) as u32,
            percent: 20 + number(80) as u8,
        },
        10..=12 => Action::State {
            skip: number(80) as u16,
            trouble: match number(3) {
                0 => StateTrouble::AnswerLost,
                1 => StateTrouble::RequestLost,
                _ => StateTrouble::Slow {
                    ms: number(8_000) as u32,
                },
            },
        },
        _ => {
            let on = side(rng);
            let request = request(rng, on);
            Action::Store {
                on,
                request,
                skip: number(6) as u8,
                trouble: trouble(rng, setup, on, request),
            }
        }
    }
}

/// Faults that are harmless alone and meet seldom: a publish that is slow on its way, and meanwhile its sender dies or stands
/// still while the object changes, or the object is deleted, untold, before a comparison.
fn ambush(rng: &Rng, setup: &Setup, steps: &mut Vec<Step>) {
    let puts = steps.iter().filter_map(|step| match step.action {
        Action::Put { key, .. } => Some((step.at_ms, key)),
        _ => None,
    });
    let puts: Vec<_> = puts.collect();
    let Some((at_ms, key)) = puts.get(rng.below(puts.len() as u64) as usize).copied() else {
        return;
    };
    let mut then = |after_ms: u64, action: Action| {
        steps.push(Step {
            at_ms: at_ms + after_ms,
            action,
        });
    };
    let slow = Trouble::Slow {
        ms: 7_000 + rng.below(13_000) as u32,
    };
    for request in [Request::Put, Request::CompleteUpload] {
        then(
            0,
            Action::Store {
                on: Side::Destination(1),
                request,
                skip: 0,
                trouble: slow.clone(),
            },
        );
    }
    let process = rng.below(setup.processes.into()) as u8;
    let changes = Action::Put {
        key,
        bytes: [600, 5_000][rng.below(2) as usize],
        tell_ms: vec![0],
    };
    match rng.below(3) {
        0 => {
            let kill = Action::Kill {
                process,
                operations: rng.below(4) as u32,
                after_effect: true,
                restart_ms: rng.below(2_000) as u32,
            };
            then(500 + rng.below(1_500), kill);
            then(2_000 + rng.below(2_000), changes);
        }
        1 => {
            let freeze = Action::Freeze {
                process,
                for_ms: 6_000 + rng.below(10_000) as u32,
            };
            then(500 + rng.below(1_500), freeze);
            then(2_000 + rng.below(2_000), changes);
        }
        _ => {
            let delete = Action::Delete {
                key,
                tell_ms: Vec::new(),
            };
            then(1_000 + rng.below(2_000), delete);
            then(3_500 + rng.below(2_000), Action::Sweep);
        }
    }
}

/// Seconds mostly, now and then an hour.
fn long_ms(rng: &Rng) -> u32 {
    match rng.below(6) {
        0 => 3_600_000,
        _ => rng.below(60_000) as u32,
    }
}

fn request(rng: &Rng, on: Side) -> Request {
    let at_source = [
        Request::Head,
        Request::Get,
        Request::Get,
        Request::List,
        Request::List,
    ];
    let at_target = [
        Request::Head,
        Request::Put,
        Request::Put,
        Request::CreateUpload,
        Request::UploadPart,
        Request::UploadPart,
        Request::CompleteUpload,
        Request::CompleteUpload,
        Request::AbortUpload,
        Request::List,
        Request::Delete,
    ];
    match on {
        Side::Source => at_source[rng.below(at_source.len() as u64) as usize],
        Side::Destination(_) => at_target[rng.below(at_target.len() as u64) as usize],
    }
}

fn trouble(rng: &Rng, setup: &Setup, on: Side, request: Request) -> Trouble {
    let at = rng.below(3_000) as u32;
    let has_body = matches!(request, Request::Get | Request::Put | Request::UploadPart);
    let writes = !matches!(request, Request::Head | Request::Get | Request::List);
    // Nothing but TLS guards bytes from a source that states no checksum.
    let guarded = on != Side::Source || setup.source_states_checksums;
    match rng.below(9) {
        0 | 1 if writes => Trouble::AnswerLost,
        2 if has_body => Trouble::BodyFails { at },
        3 if has_body && guarded => Trouble::BodyCorrupt { at },
        4 if has_body => Trouble::BodyStalls {
            at,
            ms: rng.below(30_000) as u32,
        },
        5 | 6 if request == Request::Get => Trouble::Overwritten {
            at,
            bytes: [600, 2_500, 5_000][rng.below(3) as usize],
        },
        7 => Trouble::Denied,
        // The one that most often meets something else on its way.
        8 | 6 | 5 | 4 => Trouble::Slow {
            ms: rng.below(20_000) as u32,
        },
        _ => Trouble::Refused,
    }
}
