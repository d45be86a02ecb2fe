//! What a schedule, or a scenario, does to the system.

use crate::fault::{Action, Condition};
use crate::world::{Process, Sim};
use std::sync::Arc;
use std::time::Duration;

/// Does it, now. What users do is theirs: puts and deletes are left alone here.
pub(crate) async fn apply(sim: &Sim, processes: &[Arc<Process>], rule: &str, action: &Action) {
    let process = |number: u8| processes.get(usize::from(number));
    match action {
        Action::Put { .. } | Action::Delete { .. } | Action::Copy { .. } => {}
        Action::Sweep => {
            for process in processes {
                let rule = rule.to_owned();
                process
                    .ask(|engine| async move { engine.sweep(&rule).is_ok() })
                    .await;
            }
        }
        Action::Kill {
            process: number,
            operations,
            after_effect,
            restart_ms,
        } => {
            let restart_after = Duration::from_millis((*restart_ms).into());
            if let Some(process) = process(*number) {
                process.kill(*operations, *after_effect, restart_after);
            }
        }
        Action::Freeze {
            process: number,
            for_ms,
        } => {
            if let Some(process) = process(*number) {
                process.freeze(Duration::from_millis((*for_ms).into()));
            }
        }
        Action::Skew {
            process: number,
            ms,
        } => {
            if let Some(process) = process(*number) {
                process.set_skew_ms((*ms).into());
            }
        }
        Action::KillWorker { skip, polls } => sim.injector.arm_worker(*skip, *polls),
        Action::Store {
            on,
            request,
            skip,
            trouble,
        } => sim
            .injector
            .arm_store(*on, *request, *skip, trouble.clone()),
        Action::State { skip, trouble } => sim.injector.arm_state(*skip, *trouble),
        Action::Outage { on, for_ms } => sim.injector.set(Condition::Outage(*on), *for_ms),
        Action::BucketGone { on, for_ms } => {
            sim.injector.set(Condition::BucketGone(*on), *for_ms);
        }
        Action::Partition {
            on,
            for_ms,
            one_way,
        } => {
            let condition = Condition::Partition {
                on: *on,
                one_way: *one_way,
            };
            sim.injector.set(condition, *for_ms);
        }
        Action::Throttle {
            on,
            for_ms,
            percent,
        } => {
            let condition = Condition::Throttle {
                on: *on,
                percent: *percent,
            };
            sim.injector.set(condition, *for_ms);
        }
        Action::StateOutage { for_ms } => sim.injector.set(Condition::StateOutage, *for_ms),
    }
}
