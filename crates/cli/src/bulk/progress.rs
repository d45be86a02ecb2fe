//! How a job stands: a table that is drawn again on a terminal, a line now and then elsewhere.

use crate::context::Context;
use crate::output::{Style, Table, printable};
use crate::render;
use skyfresh_engine::bulk::{BulkTally, TargetTally};
use skyfresh_sky::format_bytes;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const FRAME_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The weight of the newest rate in the one shown.
const NEWEST: f64 = 0.3;

pub(super) struct Progress<'a> {
    context: &'a Context,
    targets: Vec<String>,
    tally: Arc<BulkTally>,
    dry_run: bool,
    began_ns: u64,
    last_ns: u64,
    last_bytes: u64,
    rate: f64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(
        context: &'a Context,
        labels: &[String],
        tally: Arc<BulkTally>,
        dry_run: bool,
    ) -> Self {
        let now = context.clock.monotonic_ns();
        Progress {
            context,
            targets: labels.to_vec(),
            tally,
            dry_run,
            began_ns: now,
            last_ns: now,
            last_bytes: 0,
            rate: 0.0,
        }
    }

    /// Time since it began.
    pub(super) fn elapsed(&self) -> Duration {
        let now = self.context.clock.monotonic_ns();
        Duration::from_nanos(now.saturating_sub(self.began_ns))
    }

    pub(super) async fn show_until_dropped(&mut self) -> Infallible {
        let output = &self.context.output;
        loop {
            let live = output.is_live();
            let every = if live { FRAME_EVERY } else { LINE_EVERY };
            self.context.clock.sleep(every).await;
            self.measure();
            if live {
                output.frame(&self.table());
            } else if !output.json {
                output.note(self.line());
            }
        }
    }

    fn measure(&mut self) {
        let now_ns = self.context.clock.monotonic_ns();
        let bytes = self.tally.bytes_read.load(Ordering::Relaxed);
        let seconds = now_ns.saturating_sub(self.last_ns) as f64 / 1e9;
        let newest = bytes.saturating_sub(self.last_bytes) as f64 / seconds.max(1e-3);
        self.rate = match self.last_bytes {
            0 => newest,
            _ => self.rate * (1.0 - NEWEST) + newest * NEWEST,
        };
        (self.last_ns, self.last_bytes) = (now_ns, bytes);
    }

    /// Time left at the present rate, once it is known how much there is.
    fn left(&self) -> Option<Duration> {
        let known = self.tally.source_complete.load(Ordering::Relaxed);
        let left = |target: &TargetTally| {
            get(&target.planned_bytes).saturating_sub(get(&target.copied_bytes))
        };
        let most = self.tally.targets.iter().map(left).max()?;
        (known && self.rate > 1.0).then(|| Duration::from_secs_f64(most as f64 / self.rate))
    }

    fn tail(&self) -> String {
        let listed = get(&self.tally.source_listed);
        let listing = match self.tally.source_complete.load(Ordering::Relaxed) {
            true => String::new(),
            false => format!(", {} listed so far", render::objects(listed)),
        };
        let left = self.left().map_or_else(String::new, |left| {
            format!(", {} left", render::duration(left))
        });
        format!("{}/s{left}{listing}", format_bytes(self.rate as u64))
    }

    fn line(&self) -> String {
        let doing = if self.dry_run { "would copy" } else { "copied" };
        let target = |target: &TargetTally| {
            let count = match self.dry_run {
                true => get(&target.planned),
                false => get(&target.copied),
            };
            let bytes = match self.dry_run {
                true => get(&target.planned_bytes),
                false => get(&target.copied_bytes),
            };
            format!(
                "{doing} {count} of {} ({}), {} left alone, {} failed",
                get(&target.planned),
                format_bytes(bytes),
                get(&target.skipped),
                get(&target.failed)
            )
        };
        let targets: Vec<String> = self.tally.targets.iter().map(target).collect();
        format!("{}; {}", targets.join("; "), self.tail())
    }

    fn table(&self) -> String {
        let mut table = Table::new(&["TO", "COPIED", "BYTES", "SKIPPED", "FAILED"]);
        for (name, target) in self.targets.iter().zip(&self.tally.targets) {
            let failed = get(&target.failed);
            let style = if failed > 0 { Style::Red } else { Style::Plain };
            let of = |part: u64, whole: u64| format!("{part} of {whole}");
            let bytes = format!(
                "{} of {}",
                format_bytes(get(&target.copied_bytes)),
                format_bytes(get(&target.planned_bytes))
            );
            table.row(vec![
                (Style::Plain, printable(name, false)),
                (Style::Plain, of(get(&target.copied), get(&target.planned))),
                (Style::Plain, bytes),
                (Style::Plain, get(&target.skipped).to_string()),
                (style, failed.to_string()),
            ]);
        }
        format!("{}{}\n", table.render(&self.context.output, 0), self.tail())
    }
}

pub(super) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
