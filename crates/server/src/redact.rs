//! Takes credentials out of what is shown. `https://user:password@host` is a legal endpoint, and stores repeat the
//! endpoint in their errors.

use skyfresh_engine::{ChannelStatus, Explanation, Rule, RuleStatus};
use std::borrow::Cow;

const HIDDEN: &str = "***";

/// The text with the user information of every URL in it replaced by `***`.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://").map(|at| at + 3) {
        let ends_authority =
            |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>');
        let end = rest[start..]
            .find(ends_authority)
            .map_or(rest.len(), |length| start + length);
        match rest[start..end].rfind('@') {
            Some(at) => {
                shown.push_str(&rest[..start]);
                shown.push_str(HIDDEN);
                shown.push_str(&rest[start + at..end]);
            }
            None => shown.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

fn in_place(shown: &mut String) {
    if let Cow::Owned(redacted) = text(shown) {
        *shown = redacted;
    }
}

pub(crate) fn rule(mut rule: Rule) -> Rule {
    rule.source.options.values_mut().for_each(in_place);
    for destination in &mut rule.destinations {
        destination.location.options.values_mut().for_each(in_place);
    }
    rule
}

pub(crate) fn status(mut status: RuleStatus) -> RuleStatus {
    in_place(&mut status.source);
    status.channels = status.channels.into_iter().map(channel).collect();
    for destination in &mut status.destinations {
        in_place(&mut destination.location);
        destination
            .trouble
            .iter_mut()
            .chain(&mut destination.sweep_error)
            .for_each(in_place);
        destination
            .failing
            .iter_mut()
            .filter_map(|key| key.last.as_mut())
            .for_each(|last| in_place(&mut last.message));
    }
    status
}

pub(crate) fn channel(mut status: ChannelStatus) -> ChannelStatus {
    let last_failure = status.last_failure.as_mut().map(|(_, why)| why);
    std::iter::once(&mut status.address)
        .chain(&mut status.trouble)
        .chain(last_failure)
        .for_each(in_place);
    status
}

pub(crate) fn explanation(mut explanation: Explanation) -> Explanation {
    if let Some(failure) = explanation
        .pending
        .as_mut()
        .and_then(|pending| pending.last_failure.as_mut())
    {
        in_place(&mut failure.message);
    }
    explanation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_hidden_and_nothing_else() {
        for (given, shown) in [
            (
                "s3://b/p?endpoint=https://me:pa55@host:9000&region=x",
                "s3://b/p?endpoint=https://***@host:9000&region=x",
            ),
            (
                "get https://a:b@c/d@e failed; https://f@g",
                "get https://***@c/d@e failed; https://***@g",
            ),
            ("https://a:p@ss@host/", "https://***@host/"),
            (
                "s3://bucket/user@example.org",
                "s3://bucket/user@example.org",
            ),
            ("no URL, me@example.org", "no URL, me@example.org"),
            ("://@", "://***@"),
            ("ends in ://", "ends in ://"),
        ] {
            assert_eq!(text(given), shown);
        }
    }
}
