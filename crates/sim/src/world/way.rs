//! How long requests and bytes take from a process to a store.

use skyfresh_sky::{Clock, Distribution, Rng, VirtualClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Something that all bytes on it share: a link between regions, a machine's network card.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Bytes per second, over all flows.
    pub(crate) bytes_per_s: f64,
    flows: AtomicU32,
}

impl Pipe {
    pub(crate) fn new(bytes_per_s: f64) -> Arc<Self> {
        Arc::new(Pipe {
            bytes_per_s,
            flows: AtomicU32::new(0),
        })
    }

    /// What one of the flows on it gets now. Shares are even, and taken anew for every chunk.
    fn share(&self) -> f64 {
        self.bytes_per_s / f64::from(self.flows.load(Ordering::Relaxed).max(1))
    }
}

/// The rate of one instance: drawn once, and wavering while it runs.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Bytes per second.
    pub(crate) read_bytes_per_s: f64,
    pub(crate) write_bytes_per_s: f64,
    pub(crate) draws: Rng,
}

/// A rate wavers by this share around what was drawn, every chunk anew.
const WAVERING: f64 = 0.1;

impl Instance {
    fn waver(&self) -> f64 {
        1.0 + WAVERING * (2.0 * self.draws.unit() - 1.0)
    }
}

/// The way from one process, or one function's instance, to one store.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// There and back, ms, without what the store takes to answer.
    pub(crate) latency_ms: Distribution,
    /// What a single connection carries at most, bytes per second.
    pub(crate) connection_bytes_per_s: f64,
    /// What its bytes share with others.
    pub(crate) pipes: Vec<Arc<Pipe>>,
    /// The instance at this end, where it has a rate of its own.
    pub(crate) instance: Option<Arc<Instance>>,
    pub(crate) draws: Rng,
}

impl Way {
    /// What a request takes there and back, to a store that takes `service_ms` to answer.
    pub(crate) fn latency(&self, service_ms: &Distribution) -> Duration {
        let ms = self.latency_ms.sample(&self.draws) + service_ms.sample(&self.draws);
        Duration::from_secs_f64(ms.clamp(0.0, 3.6e6) / 1_000.0)
    }
}

/// Which way bytes flow, as the process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Reads,
    Writes,
}

/// A body on its way. While it lives it takes its share of every pipe.
#[derive(Debug)]
pub(crate) struct Flow {
    way: Way,
    direction: Direction,
    clock: VirtualClock,
    /// When the bytes so far will have passed, ns of the clock.
    passed_ns: u64,
}

/// Bytes are not waited for chunk by chunk but once so much time is owed: timers are what a simulation spends its time on.
const SHORTEST_WAIT_NS: u64 = 4_000_000;

impl Flow {
    pub(crate) fn new(way: &Way, direction: Direction, clock: VirtualClock) -> Self {
        for pipe in &way.pipes {
            pipe.flows.fetch_add(1, Ordering::Relaxed);
        }
        Flow {
            passed_ns: clock.monotonic_ns(),
            way: way.clone(),
            direction,
            clock,
        }
    }

    fn bytes_per_s(&self) -> f64 {
        let shared = self
            .way
            .pipes
            .iter()
            .map(|pipe| pipe.share())
            .fold(self.way.connection_bytes_per_s, f64::min);
        match &self.way.instance {
            Some(instance) => {
                let own = match self.direction {
                    Direction::Reads => instance.read_bytes_per_s,
                    Direction::Writes => instance.write_bytes_per_s,
                };
                shared.min(own * instance.waver())
            }
            None => shared,
        }
    }

    /// Takes up a chunk that begins to flow now at the earliest.
    pub(crate) fn add(&mut self, bytes: usize) {
        let rate = self.bytes_per_s();
        if rate.is_finite() && rate > 0.0 {
            let now_ns = self.clock.monotonic_ns();
            let takes_ns = (bytes as f64 / rate * 1e9) as u64;
            self.passed_ns = self.passed_ns.max(now_ns) + takes_ns;
        }
    }

    /// Waits until what was taken up has passed; small waits only `at_the_end`.
    pub(crate) async fn wait(&self, at_the_end: bool) {
        let owed_ns = self.passed_ns.saturating_sub(self.clock.monotonic_ns());
        if owed_ns >= SHORTEST_WAIT_NS || (at_the_end && owed_ns > 0) {
            self.clock.sleep(Duration::from_nanos(owed_ns)).await;
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        for pipe in &self.way.pipes {
            pipe.flows.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A budget of operations a second, refilled evenly; a second's worth may be saved up.
#[derive(Debug)]
pub(crate) struct Budget {
    per_s: f64,
    spent_until_ns: AtomicU64,
}

impl Budget {
    pub(crate) fn new(per_s: f64) -> Self {
        Budget {
            per_s,
            spent_until_ns: AtomicU64::new(0),
        }
    }

    /// Takes one operation, or says that there is none left.
    pub(crate) fn take(&self, now_ns: u64) -> bool {
        let cost_ns = (1e9 / self.per_s) as u64;
        let spent = self.spent_until_ns.load(Ordering::Relaxed);
        let from = spent.max(now_ns.saturating_sub(1_000_000_000));
        if from + cost_ns > now_ns + cost_ns / 2 {
            return false;
        }
        self.spent_until_ns.store(from + cost_ns, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_says() {
        let budget = Budget::new(10.0);
        let start_ns = 100_000_000_000;
        let taken = |from_ms: u64, to_ms: u64| {
            (from_ms..to_ms)
                .filter(|ms| budget.take(start_ns + ms * 1_000_000))
                .count()
        };
        let first = taken(0, 1_000);
        assert!(
            (19..=21).contains(&first),
            "a second's worth was saved: {first}"
        );
        let later = taken(1_000, 11_000);
        assert!((98..=102).contains(&later), "{later}");
    }

    #[tokio::test(start_paused = true)]
    async fn flows_share_a_pipe_and_each_keeps_to_its_connection() {
        let clock = VirtualClock::starting_at(skyfresh_sky::Timestamp::ZERO);
        let way = Way {
            latency_ms: Distribution::Constant(0.0),
            connection_bytes_per_s: 10e6,
            pipes: vec![Pipe::new(15e6)],
            instance: None,
            draws: Rng::seeded(1),
        };
        let send = |bytes: usize| {
            let (way, clock) = (way.clone(), clock.clone());
            async move {
                let mut flow = Flow::new(&way, Direction::Reads, clock);
                for _ in 0..100 {
                    flow.add(bytes / 100);
                    flow.wait(false).await;
                }
                flow.wait(true).await;
            }
        };
        send(10_000_000).await;
        let alone_ms = clock.monotonic_ns() / 1_000_000;
        assert!(
            (990..=1_110).contains(&alone_ms),
            "{alone_ms} ms at 10 MB/s"
        );
        futures::join!(send(7_500_000), send(7_500_000));
        let both_ms = clock.monotonic_ns() / 1_000_000 - alone_ms;
        assert!(
            (950..=1_150).contains(&both_ms),
            "{both_ms} ms at 7.5 MB/s each"
        );
    }
}
