//! Requests at a fixed rate, whatever the server does: a request that has to wait for the one before it counts from when it was due.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What was seen.
pub(super) struct Seen {
    /// Answered in all.
    pub(super) answered: usize,
    /// From when each was due (or sent, where only this program was late) until its last byte came, µs, sorted.
    latencies_us: Vec<u32>,
    /// From the first that was due to the last answer.
    pub(super) seconds: f64,
}

impl Seen {
    /// Milliseconds.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let place = (self.latencies_us.len().saturating_sub(1)) as f64 * share;
        let found = self.latencies_us.get(place.round() as usize);
        found.map_or(f64::NAN, |us| f64::from(*us) / 1e3)
    }
}

/// Sends the bodies in turn, `rate` a second over so many connections.
pub(super) fn at_rate(
    address: &str,
    bodies: &[String],
    rate: f64,
    seconds: f64,
    connections: usize,
) -> Result<Seen> {
    let each = (rate * seconds / connections as f64) as usize;
    let begun = Instant::now() + Duration::from_millis(50);
    let ran: Vec<Result<Vec<u32>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..connections)
            .map(|connection| {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).context("cannot connect")?;
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                    let mut buffer = vec![0; 1 << 16];
                    let mut latencies = Vec::with_capacity(each);
                    for turn in 0..each {
                        let number = turn * connections + connection;
                        let due = begun + Duration::from_secs_f64(number as f64 / rate);
                        let before = Instant::now();
                        if let Some(wait) = due.checked_duration_since(before) {
                            std::thread::sleep(wait);
                        }
                        // Late by the one before: from when it was due. Late by this program's timer: from now.
                        let from = if before > due { due } else { Instant::now() };
                        let body = &bodies[number % bodies.len()];
                        stream.write_all(request(address, body).as_bytes())?;
                        answer(&mut stream, &mut buffer)?;
                        latencies.push(from.elapsed().as_micros().min(u128::from(u32::MAX)) as u32);
                    }
                    Ok(latencies)
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut latencies_us = Vec::new();
    for latencies in ran {
        latencies_us.extend(latencies?);
    }
    latencies_us.sort_unstable();
    Ok(Seen {
        answered: latencies_us.len(),
        latencies_us,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// A request as it goes over the wire.
fn request(address: &str, body: &str) -> String {
    format!(
        "POST /get-online-features HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one answer to its end.
fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    let (mut filled, mut expected) = (0, None);
    while expected.is_none_or(|expected| filled < expected) {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let read = stream
            .read(&mut buffer[filled..])
            .context("no answer came")?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        if expected.is_none() {
            expected = whole(&buffer[..filled])?;
        }
    }
    Ok(())
}

/// How long the answer is in all; `None` while its head is not whole.
fn whole(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes
        .windows(4)
        .take(8_192)
        .position(|four| four == b"\r\n\r\n")
    else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 200") {
        bail!(
            "the server answered {}",
            head.lines().next().unwrap_or_default()
        );
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(Some(end + 4 + length.context("the answer has no length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer_is_found() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
        assert_eq!(whole(&answer[..20]).unwrap(), None);
        assert_eq!(whole(answer).unwrap(), Some(answer.len() + 2));
        assert!(whole(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn a_slow_server_is_seen_as_slow_although_requests_wait_for_each_other() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4_096];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                std::thread::sleep(Duration::from_millis(20));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        });
        // One every 10 ms, 20 ms each: the last of 20 waits for 190 ms.
        let seen = at_rate(&address, &["{}".to_owned()], 100.0, 0.2, 1).unwrap();
        assert_eq!(seen.answered, 20);
        assert!(seen.quantile_ms(1.0) >= 190.0, "{}", seen.quantile_ms(1.0));
        assert!(seen.quantile_ms(0.0) >= 19.0);
    }
}
