//! What a process has used, as Linux counts it (proc(5)).

use anyhow::{Context, Result};
use std::fs;

/// CPU and memory of one process, all its threads, without its children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// User and system time since it started, seconds, to a hundredth.
    pub(crate) cpu_s: f64,
    /// The most memory it ever had resident, bytes (`VmHWM`).
    pub(crate) peak_resident_bytes: u64,
}

impl Usage {
    /// Reads `/proc/<process_id>`.
    pub(crate) fn of(process_id: u32) -> Result<Usage> {
        let read = |name: &str| {
            let path = format!("/proc/{process_id}/{name}");
            fs::read_to_string(&path)
                .with_context(|| format!("cannot read {path}: has the process ended?"))
        };
        let ticks = cpu_ticks(&read("stat")?).context("/proc/…/stat has an unknown form")?;
        let peak_kib =
            peak_resident_kib(&read("status")?).context("/proc/…/status has no VmHWM")?;
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        Ok(Usage {
            cpu_s: ticks as f64 / ticks_per_second as f64,
            peak_resident_bytes: peak_kib * 1024,
        })
    }
}

/// `utime` + `stime`: fields 14 and 15. Counted after the name, which may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    // The first field after the name is field 3.
    let mut fields = after_name.split_ascii_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn peak_resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 700 33 5 6 20 0 1 0 5 1000 10 18446744073709551615";
        assert_eq!(cpu_ticks(stat), Some(733));
        assert_eq!(cpu_ticks("42"), None);
    }

    #[test]
    fn the_peak_is_read_in_kib() {
        assert_eq!(
            peak_resident_kib("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 12 kB\n"),
            Some(2048)
        );
        assert_eq!(peak_resident_kib("VmRSS:\t 12 kB\n"), None);
    }

    #[test]
    fn work_and_memory_of_this_process_show() {
        let before = Usage::of(std::process::id()).expect("this process has a /proc entry");
        let memory = vec![1_u8; 32 << 20];
        let mut sum = 0_u64;
        let mut after = before;
        for _ in 0..1_000 {
            sum = memory
                .iter()
                .fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
            after = Usage::of(std::process::id()).expect("this process has a /proc entry");
            if after.cpu_s > before.cpu_s {
                break;
            }
        }
        assert!(
            sum > 0 && after.cpu_s > before.cpu_s,
            "{before:?} {after:?}"
        );
        assert!(after.peak_resident_bytes >= 32 << 20, "{after:?}");
    }
}
