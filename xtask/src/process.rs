//! Child processes that never outlive this one.
//!
//! Each child leads a process group of its own, so that stopping it also stops what it started (cargo's tests, a
//! server's workers). Groups are stopped when their [`Group`] is dropped and when this process is interrupted.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a shell reports of a process ended by Ctrl-C: 128 + SIGINT.
pub(crate) const INTERRUPTED_EXIT_CODE: u8 = 130;

/// How long a child may take to end when asked, before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The same when interrupted; longer than the 10 seconds nextest gives its tests.
const INTERRUPT_GRACE: Duration = Duration::from_secs(15);

/// How often a child that was asked to end is looked at.
const POLL: Duration = Duration::from_millis(20);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The leaders of the groups that run now.
fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether Ctrl-C, SIGTERM or SIGHUP arrived.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// From here on, Ctrl-C, SIGTERM and SIGHUP stop every child; the caller sees its children end, and ends.
pub(crate) fn stop_children_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        let leaders = {
            // Under the lock, so that a child being started now is either in the set or refused.
            let running = running();
            INTERRUPTED.store(true, Ordering::SeqCst);
            running.clone()
        };
        signal_groups(&leaders, Signal::TERM);
        let deadline = Instant::now() + INTERRUPT_GRACE;
        while Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        signal_groups(&running(), Signal::KILL);
        std::process::exit(INTERRUPTED_EXIT_CODE.into());
    })
    .context("cannot handle Ctrl-C")
}

fn signal_groups(leaders: &BTreeSet<i32>, signal: Signal) {
    for leader in leaders.iter().filter_map(|raw| Pid::from_raw(*raw)) {
        // A group that is gone already needs no signal.
        let _ = kill_process_group(leader, signal);
    }
}

/// A child and everything it started.
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    reaped: Option<ExitStatus>,
}

impl Group {
    /// Starts a child without standard input.
    pub(crate) fn spawn(command: &mut Command) -> Result<Group> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut running = running();
        if interrupted() {
            bail!("interrupted");
        }
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let leader = Pid::from_child(&child);
        running.insert(leader.as_raw_pid());
        Ok(Group {
            child,
            leader,
            reaped: None,
        })
    }

    /// The child's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if the child has ended, without waiting.
    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.reap(WaitIdOptions::NOHANG)
    }

    /// Waits until the child ends, then kills what it left behind.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.reap(WaitIdOptions::empty())? {
                return Ok(status);
            }
        }
    }

    /// Asks the group to end, and kills what has not ended in time.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        if self.try_wait()?.is_none() {
            let _ = kill_process_group(self.leader, Signal::TERM);
            let deadline = Instant::now() + STOP_GRACE;
            while self.try_wait()?.is_none() && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
            if self.reaped.is_none() {
                let _ = kill_process_group(self.leader, Signal::KILL);
            }
        }
        self.wait()
    }

    /// Kills the group at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) -> Result<ExitStatus> {
        if self.try_wait()?.is_none() {
            let _ = kill_process_group(self.leader, Signal::KILL);
        }
        self.wait()
    }

    /// The remaining group is killed *before* the leader is reaped: until then its number cannot be given to a stranger.
    fn reap(&mut self, options: WaitIdOptions) -> Result<Option<ExitStatus>> {
        if self.reaped.is_some() {
            return Ok(self.reaped);
        }
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | options;
        match waitid(WaitId::Pid(self.leader), look) {
            Ok(None) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(Some(_)) => {}
            Err(error) => return Err(error).context("cannot wait for a child"),
        }
        let _ = kill_process_group(self.leader, Signal::KILL);
        let mut running = running();
        self.reaped = Some(self.child.wait().context("cannot wait for a child")?);
        running.remove(&self.leader.as_raw_pid());
        Ok(self.reaped)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nothing can be done about a child that cannot even be waited for.
        let _ = self.stop();
    }
}

/// Whether a command runs and succeeds; nobody sees its output.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    run(command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap_or(false)
}

/// Runs a command to its end, its output going where ours goes; true where it succeeded.
pub(crate) fn run(command: &mut Command) -> Result<bool> {
    Ok(Group::spawn(command)?.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn alive(pid: i32) -> bool {
        // A zombie that nobody has reaped yet still has a directory in /proc; its state says so.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .trim_start()
                .starts_with('Z')
        })
    }

    #[test]
    fn dropping_a_group_ends_the_children_of_the_child() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped());
        let mut group = Group::spawn(&mut command).expect("sh starts");
        let stdout = group.child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let grandchild: i32 = line.trim().parse().expect("a process id");
        assert!(alive(grandchild));
        drop(group);
        // A killed process takes a moment to be gone.
        let deadline = Instant::now() + STOP_GRACE;
        while alive(grandchild) {
            assert!(
                Instant::now() < deadline,
                "process {grandchild} outlived its group"
            );
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn a_child_that_ignores_the_request_is_killed() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
            .stdout(Stdio::piped());
        let mut group = Group::spawn(&mut command).expect("sh starts");
        let mut line = String::new();
        BufReader::new(group.child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let status = group.stop().expect("it ends");
        assert!(!status.success());
    }

    #[test]
    fn exit_codes_come_through() {
        assert!(run(Command::new("true").arg("ignored")).expect("runs"));
        assert!(!run(&mut Command::new("false")).expect("runs"));
        assert!(run(&mut Command::new("/does/not/exist")).is_err());
    }
}
