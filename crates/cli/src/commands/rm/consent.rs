//! Whether somebody agrees that objects are deleted.

use crate::output::{Output, printable};
use anyhow::Context as _;
use std::io::IsTerminal as _;

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// Go on.
    Given,
    /// Do not.
    Withheld,
    /// More than one object, and no terminal to ask at.
    NobodyToAsk,
}

/// Asks at the terminal, unless `yes` was said already. Where there is none, one object that was named is no accident.
///
/// # Errors
/// The answer cannot be read.
pub(super) async fn ask(
    count: u64,
    yes: bool,
    what: &str,
    output: &Output,
) -> anyhow::Result<Consent> {
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    match (yes, asks) {
        (true, _) => return Ok(Consent::Given),
        (false, false) if count <= 1 => return Ok(Consent::Given),
        (false, false) => return Ok(Consent::NobodyToAsk),
        (false, true) => {}
    }
    output.ask(format_args!("{}? [y/N]", printable(what, false)));
    // A thread of its own, so that Ctrl-C is an answer, too.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await?.context("cannot read the answer")?;
    Ok(match is_yes(&answer) {
        true => Consent::Given,
        false => Consent::Withheld,
    })
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for answer in ["y\n", "Y\r\n", " yes\n", "YES"] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "yep\n", "no\n", "y y\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
