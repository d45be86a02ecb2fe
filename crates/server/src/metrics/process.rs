//! What the operating system knows of this process, under the names every Prometheus client uses. Absent where there is no
//! `/proc`.

use super::text::{Exposition, Type};

/// Writes CPU time, memory and open files.
pub(super) fn write(page: &mut Exposition) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).ok();
    if let Some(ticks) = read("stat").as_deref().and_then(cpu_ticks) {
        page.family(
            "process_cpu_seconds_total",
            Type::Counter,
            "User and system CPU time.",
        )
        .sample(
            &[],
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        );
    }
    let status = read("status");
    if let Some(bytes) = status
        .as_deref()
        .and_then(|status| kilobytes(status, "VmRSS:"))
    {
        page.family(
            "process_resident_memory_bytes",
            Type::Gauge,
            "Resident memory.",
        )
        .sample(&[], bytes as f64 * 1024.0);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.family("process_open_fds", Type::Gauge, "Open file descriptors.")
            .sample(&[], open.count() as f64);
    }
}

/// User plus system time of `/proc/self/stat`, clock ticks: fields 14 and 15 (proc_pid_stat(5)). The second field is the
/// program's name in parentheses, which may have spaces and parentheses itself.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = after_name.next()?.parse().ok()?;
    let system: u64 = after_name.next()?.parse().ok()?;
    Some(user + system)
}

/// A field of `/proc/self/status` that is given in kB.
fn kilobytes(status: &str, field: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_as_their_manual_says() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 100";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("nonsense"), None);
        assert_eq!(
            kilobytes("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"),
            Some(1234)
        );
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), None);
    }
}
