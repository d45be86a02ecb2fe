//! A report as people read it.

use super::abilities::proof;
use super::policy::Policy;
use super::report::Report;
use super::side::Role;
use crate::context::Context;
use crate::output::{Style, Table, printable};

/// Lags are wrong by the skew of the clocks: worth saying from here on, ms.
const NOTABLE_SKEW_MS: i64 = 2_000;

impl Report {
    /// Prints it for people.
    pub(super) fn tell(&self, context: &Context) {
        let output = &context.output;
        let role = match self.role {
            Role::Source => "source",
            Role::Destination => "destination",
        };
        output.line(format_args!(
            "{} {}",
            output.paint(Style::Bold, role),
            printable(&self.location, false)
        ));
        if let Some(who) = &self.identity {
            let temporary = if who.temporary { ", temporary" } else { "" };
            output.line(format_args!(
                "  identity     {}{temporary}, from {}",
                printable(&who.name, false),
                printable(&who.source, false)
            ));
        }
        if let Some(url) = &self.url {
            let region = self
                .region
                .as_ref()
                .map_or_else(String::new, |region| format!(", signed for {region}"));
            output.line(format_args!("  address      {url}{region}"));
        }
        if let Some(skew_ms) = self.clock_skew_ms {
            let text = format!("{:+.1} s from the store's", skew_ms as f64 / 1e3);
            let notable = skew_ms.abs() > NOTABLE_SKEW_MS;
            let remark = if notable {
                "; lags are wrong by as much: set this machine's clock (NTP)"
            } else {
                ""
            };
            let style = if notable { Style::Yellow } else { Style::Plain };
            output.line(format_args!(
                "  clock        {}",
                output.paint(style, format_args!("{text}{remark}"))
            ));
        }
        for check in &self.checks {
            let verdict = match check.works {
                true => output.paint(Style::Green, "ok"),
                false => output.paint(
                    Style::Red,
                    format_args!("FAILED: {}", printable(&check.detail, false)),
                ),
            };
            output.line(format_args!("  {:<12} {verdict}", check.what));
            for hint in &check.hints {
                tell_hint(context, hint);
            }
        }
        if let Some(capabilities) = &self.capabilities {
            output.line(format_args!(
                "  bytes proved {}",
                proof(capabilities.verification)
            ));
        }
        if let Some(unkept) = &self.unkept {
            let (style, text) = match unkept.is_empty() {
                true => (
                    Style::Plain,
                    "all that the source can hold is kept".to_owned(),
                ),
                false => (Style::Yellow, format!("cannot keep {}", unkept.join(", "))),
            };
            output.line(format_args!("  metadata     {}", output.paint(style, text)));
        }
        self.tell_abilities(context);
        if let Some(notifications) = &self.notifications {
            output.line(format_args!(
                "  changes      {}",
                printable(&notifications.told, false)
            ));
            for hint in &notifications.hints {
                tell_hint(context, hint);
            }
        }
        if let Some(policies) = &self.policy {
            tell_policy(context, "policy", &policies.run);
            if let Some(wire) = &policies.wire {
                tell_policy(
                    context,
                    "policy, only for `skyfresh wire` and `unwire`",
                    wire,
                );
            }
        }
        output.line("");
    }

    fn tell_abilities(&self, context: &Context) {
        if self.abilities.is_empty() {
            return;
        }
        let output = &context.output;
        let weaker: Vec<_> = self
            .abilities
            .iter()
            .filter(|ability| ability.is_weaker())
            .collect();
        let mut table = Table::new(&["ABILITY", "HERE"]);
        for ability in &self.abilities {
            let style = if ability.is_weaker() {
                Style::Yellow
            } else {
                Style::Plain
            };
            table.row(vec![
                (Style::Plain, ability.what.to_owned()),
                (style, ability.support.to_owned()),
            ]);
        }
        table
            .render(output, 2)
            .lines()
            .for_each(|line| output.line(line));
        for ability in &weaker {
            output.line(format_args!(
                "  {} without {}: {}",
                output.paint(Style::Yellow, "weaker:"),
                ability.what,
                ability.instead
            ));
        }
        if weaker.is_empty() {
            output.line("  guarantees   all of them hold here");
        }
    }
}

fn tell_hint(context: &Context, hint: &str) {
    let output = &context.output;
    output.line(format_args!(
        "  {:<12} {} {hint}",
        "",
        output.paint(Style::Yellow, "hint:")
    ));
}

fn tell_policy(context: &Context, title: &str, policy: &Policy) {
    let output = &context.output;
    for document in &policy.documents {
        output.line(format_args!("  {title}, {}:", document.file));
        let text = document.text();
        text.lines()
            .for_each(|line| output.line(format_args!("    {}", printable(line, false))));
    }
    if !policy.commands.is_empty() {
        output.line("  to put it in force:");
        for command in &policy.commands {
            output.line(format_args!("    {}", printable(command, false)));
        }
    }
}
