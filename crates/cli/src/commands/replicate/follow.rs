//! Until Ctrl-C: a live table on a terminal, a line now and then elsewhere.

use super::RULE;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::printable;
use crate::render;
use skyfresh_engine::{DestinationStatus, Engine, Rule, RuleStatus};
use skyfresh_sky::{Timestamp, format_bytes};
use std::time::Duration;

/// How often the table on a terminal is drawn.
const FRAME_EVERY: Duration = Duration::from_millis(500);
/// How often a line is written elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(rule: Rule, engine: &Engine, context: &Context) -> anyhow::Result<Exit> {
    engine.apply(vec![rule]).await?;
    let mut progress = Progress::new(context, false);
    while !context.stop.is_cancelled() {
        progress.show(engine).await?;
        tokio::select! {
            () = context.stop.cancelled() => {}
            () = context.clock.sleep(progress.period()) => {}
        }
    }
    context.output.end_frame();
    context
        .output
        .note("stopped; what is pending goes on when the same command runs again");
    Ok(Exit::Interrupted)
}

/// Shows how the rule stands.
pub(super) struct Progress<'a> {
    context: &'a Context,
    /// Lines are remarks on the way to a result, not results.
    remarks: bool,
    last_lines: Vec<String>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(context: &'a Context, remarks: bool) -> Self {
        Progress {
            context,
            remarks,
            last_lines: Vec::new(),
        }
    }

    /// How long to wait before it is shown again.
    pub(super) fn period(&self) -> Duration {
        if self.context.output.is_live() {
            FRAME_EVERY
        } else {
            LINE_EVERY
        }
    }

    /// Looks and shows.
    pub(super) async fn show(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let all = engine.status(Some(RULE)).await?;
        for status in &all {
            self.show_rule(status)?;
        }
        Ok(())
    }

    fn show_rule(&mut self, status: &RuleStatus) -> anyhow::Result<()> {
        let output = &self.context.output;
        let now = self.context.clock.now();
        if output.json {
            return output.json_line(status);
        }
        if output.is_live() {
            output.frame(&render::rule(output, status, now));
            return Ok(());
        }
        let lines: Vec<String> = status
            .destinations
            .iter()
            .map(|destination| line(destination, now))
            .collect();
        // The same again tells nothing.
        if lines != self.last_lines {
            for line in &lines {
                match self.remarks {
                    true => output.note(format_args!("{now} {line}")),
                    false => output.line(format_args!("{now} {line}")),
                }
            }
            self.last_lines = lines;
        }
        Ok(())
    }
}

fn line(status: &DestinationStatus, now: Timestamp) -> String {
    let trouble = match (&status.trouble, &status.sweep_error, status.failing.first()) {
        (Some(trouble), _, _) | (None, Some(trouble), _) => {
            format!(", {}", printable(trouble, false))
        }
        (None, None, Some(failing)) => {
            let why = failing
                .last
                .as_ref()
                .map_or("", |last| last.message.as_str());
            format!(
                ", failing {}: {}",
                printable(&failing.key, false),
                printable(why, false)
            )
        }
        _ => String::new(),
    };
    let equal = status.proven.map_or_else(
        || "not yet proved equal".to_owned(),
        |proven| format!("equal as of {}", render::ago(proven, now)),
    );
    format!(
        "{}: backlog {} ({}), verified {}, moved {}, {equal}{trouble}",
        status.destination,
        status.backlog.objects,
        format_bytes(status.backlog.bytes),
        render::verified(status),
        format_bytes(status.totals.bytes_moved),
    )
}
