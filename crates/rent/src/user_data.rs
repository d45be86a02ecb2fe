//! What a machine does when it begins. Pure.

use crate::give_back::give_back;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Kind, Provider};
use std::time::Duration;

/// Where the program comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// `https://…`: a build of `skyfresh` for the machine.
    url: String,
    /// Its SHA-256, in hexadecimal digits.
    sha256: String,
}

impl Program {
    /// A program that is fetched and must have this sum.
    ///
    /// # Errors
    /// `Invalid`: no address that a shell takes as it is, or no SHA-256.
    pub fn new(url: &str, sha256: &str) -> Result<Self> {
        let wrong = |why: &str| Err(Error::new(Kind::Invalid, "read program", why.to_owned()));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?&=%+,@".contains(c);
        if !(url.starts_with("https://") || url.starts_with("http://"))
            || !url.chars().all(plain)
            || url.len() > 2_048
        {
            return wrong(
                "its address must begin with https:// and hold no other signs than an address does",
            );
        }
        if sha256.len() != 64 || !sha256.chars().all(|c| c.is_ascii_hexdigit()) {
            return wrong("its sha256 must be 64 hexadecimal digits (sha256sum skyfresh)");
        }
        Ok(Program {
            url: url.to_owned(),
            sha256: sha256.to_ascii_lowercase(),
        })
    }
}

/// The script that a new machine runs as root. First of all it sets the machine's end, should nobody ever log in; then how it gives itself
/// back, where its `provider` would keep it; then it fetches the program. It starts nothing: the job's owner does, over `ssh`, and puts
/// the end off. Without a `program` the image has one.
///
/// Images that read such scripts are those with cloud-init (<https://cloudinit.readthedocs.io/en/latest/explanation/format.html>), and at
/// Google those with its guest environment, which all of its own have.
pub fn user_data(provider: Provider, first_end: Duration, program: Option<&Program>) -> String {
    let minutes = first_end.as_secs().div_ceil(60).max(1);
    let mut script = format!("#!/bin/sh\nset -eu\nshutdown -h +{minutes}\n");
    script += &give_back(provider).unwrap_or_default();
    if let Some(Program { url, sha256 }) = program {
        // Where a login's PATH finds it, and never half of it.
        script += &format!(
            "to=/usr/local/bin/skyfresh\n\
             curl --fail --silent --show-error --location --retry 5 --output \"$to.new\" '{url}'\n\
             echo '{sha256}  '\"$to.new\" | sha256sum --check --quiet\n\
             chmod 755 \"$to.new\"\n\
             mv \"$to.new\" \"$to\"\n"
        );
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const SUM: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn the_end_is_set_before_anything_that_can_fail() {
        let program = Program::new("https://h.example/skyfresh?v=1", SUM).unwrap();
        for provider in [Provider::Aws, Provider::Gcp, Provider::Azure] {
            let script = user_data(provider, Duration::from_secs(3_601), Some(&program));
            let lines: Vec<&str> = script.lines().collect();
            assert_eq!(lines[..3], ["#!/bin/sh", "set -eu", "shutdown -h +61"]);
            assert!(script.contains("'https://h.example/skyfresh?v=1'"));
            let checked = Command::new("sh").args(["-n", "-c", &script]).status();
            assert!(checked.unwrap().success(), "{script}");
        }
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_refused() {
        for url in [
            "ftp://h/x",
            "https://h/'; reboot; '",
            "https://h/$(id)",
            "https://h/a b",
            "",
        ] {
            assert!(Program::new(url, SUM).is_err(), "{url}");
        }
        assert!(Program::new("https://h/x", "abc").is_err());
    }

    /// The fetching part, run by a real shell: a program with another sum is not put in place.
    #[test]
    fn a_program_with_another_sum_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("skyfresh");
        let given = folder.path().join("given");
        std::fs::write(&given, "test").unwrap();
        let run = |sum: &str| {
            let program = Program::new("https://h.example/x", sum).unwrap();
            let script = user_data(Provider::Aws, Duration::from_secs(60), Some(&program))
                .replace("shutdown -h +1", ":")
                .replace("/usr/local/bin/skyfresh", to.to_str().unwrap());
            // Nothing is fetched in a test: what would be lies there.
            let fetch = format!("curl() {{ cp '{}' \"$to.new\"; }}\n", given.display());
            let all = fetch + &script;
            Command::new("sh").args(["-c", &all]).output().unwrap()
        };
        assert!(!run(&"0".repeat(64)).status.success());
        assert!(!to.exists());
        assert!(run(SUM).status.success());
        assert_eq!(std::fs::read(&to).unwrap(), b"test");
    }
}
