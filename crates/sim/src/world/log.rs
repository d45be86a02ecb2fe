//! Everything that happens, as one number: two runs are the same run if and only if their logs have the same hash.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
struct State {
    hash: u64,
    events: u64,
    /// The lines themselves, where somebody wants to read them.
    lines: Option<Vec<String>>,
    line: String,
}

/// The log of one run.
#[derive(Debug)]
pub(crate) struct EventLog(Mutex<State>);

/// FNV-1a's parameters (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same on every machine and release.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

impl EventLog {
    pub(crate) fn new(keep_lines: bool) -> Self {
        EventLog(Mutex::new(State {
            hash: OFFSET,
            events: 0,
            lines: keep_lines.then(Vec::new),
            line: String::new(),
        }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one event.
    pub(crate) fn add(&self, at_ms: u64, what: std::fmt::Arguments<'_>) {
        let mut state = self.state();
        let state = &mut *state;
        state.line.clear();
        // Writing to a String cannot fail.
        let _ = write!(state.line, "{at_ms} {what}");
        for byte in state.line.bytes().chain([b'\n']) {
            state.hash = (state.hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        state.events += 1;
        if let Some(lines) = &mut state.lines {
            lines.push(state.line.clone());
        }
    }

    /// Hash and number of the events so far.
    pub(crate) fn digest(&self) -> (u64, u64) {
        let state = self.state();
        (state.hash, state.events)
    }

    /// The lines kept.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.state().lines.take().unwrap_or_default()
    }
}
