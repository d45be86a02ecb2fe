//! wrk (<https://github.com/wg/wrk>), as Debian has it: as many requests as a server answers.

use crate::{debian, workspace};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Sends the lines of a file as bodies, in turn.
const SCRIPT: &str = r#"
local requests, turn = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", "/get-online-features", {["content-type"] = "application/json"}, line)
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"#;

/// The program, unpacked.
pub(super) struct Wrk {
    directory: PathBuf,
}

/// What it saw.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) requests_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Wrk {
    /// Unpacks it where it is not yet there; why it cannot be had, otherwise.
    pub(super) fn ensure() -> Result<Result<Wrk, String>> {
        let directory = workspace::target().join("bench-tools/wrk");
        let wrk = Wrk { directory };
        if wrk.command().output().is_ok() {
            return Ok(Ok(wrk));
        }
        let packages = ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"];
        Ok(match debian::unpack(&wrk.directory, &packages)? {
            None => Ok(wrk),
            Some(why) => Err(why),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.directory.join("usr/bin/wrk"));
        let libraries = self.directory.join("usr/lib/x86_64-linux-gnu");
        command.env("LD_LIBRARY_PATH", libraries);
        command
    }

    /// One thread, so many connections, each with one request at a time.
    pub(super) fn run(
        &self,
        address: &str,
        bodies: &[String],
        connections: usize,
        seconds: usize,
    ) -> Result<Seen> {
        let folder = tempfile::tempdir().context("cannot make a directory")?;
        let (script, lines) = (folder.path().join("post.lua"), folder.path().join("bodies"));
        fs::write(&script, SCRIPT)?;
        fs::write(&lines, bodies.join("\n"))?;
        let output = self
            .command()
            .args(["--threads", "1", "--latency", "--timeout", "30s"])
            .args([
                "--connections",
                &connections.to_string(),
                "--duration",
                &format!("{seconds}s"),
            ])
            .arg("--script")
            .arg(&script)
            .arg(format!("http://{address}"))
            .arg("--")
            .arg(&lines)
            .output()
            .context("cannot run wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || text.contains("Non-2xx") {
            bail!(
                "wrk failed: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        seen(&text).with_context(|| format!("wrk said {text}"))
    }
}

fn seen(text: &str) -> Option<Seen> {
    let after = |start: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(start))?;
        Some(line.trim().to_owned())
    };
    Some(Seen {
        requests_per_s: after("Requests/sec:")?.parse().ok()?,
        p50_ms: milliseconds(&after("50%")?)?,
        p99_ms: milliseconds(&after("99%")?)?,
    })
}

/// `1.23ms`, `45.00us`, `1.20s`, `1.50m`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_is_read() {
        let text = "  Latency Distribution\n     50%  512.00us\n     75%    1.20ms\n     90%    2.00ms\n     99%    1.05s \n  100 requests in 10.00s, 1.00MB read\nRequests/sec:  30123.45\nTransfer/sec:      1.00MB\n";
        let expected = Seen {
            requests_per_s: 30_123.45,
            p50_ms: 0.512,
            p99_ms: 1_050.0,
        };
        assert_eq!(seen(text), Some(expected));
        assert_eq!(seen("none"), None);
    }
}
