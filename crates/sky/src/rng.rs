//! The seam through which randomness is drawn.

use std::sync::{Arc, Mutex};

/// A seeded source of randomness, cheap to clone; clones share the stream.
#[derive(Clone, Debug)]
pub struct Rng(Arc<Mutex<fastrand::Rng>>);

impl Rng {
    /// The stream that `seed` decides.
    pub fn seeded(seed: u64) -> Self {
        Rng(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// The stream of one kind of draw under `seed`. Streams of different names are independent, so that a kind of draw that
    /// is added, or draws more often, moves no other.
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): stable over releases and machines, as a replayed seed must be.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The generator spreads what it is seeded with, so that near seeds do not give near streams.
        Self::seeded(hash ^ Self::seeded(seed).u64())
    }

    /// A stream nobody can predict: for production, created once by the binary.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where ambient randomness is drawn"
    )]
    pub fn from_entropy() -> Self {
        Self::seeded(fastrand::Rng::new().u64(..))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(
            &mut self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    /// Uniform over all 64-bit values.
    pub fn u64(&self) -> u64 {
        self.with(|rng| rng.u64(..))
    }

    /// Uniform in `0..bound`; 0 where `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.with(|rng| rng.u64(..bound))
        }
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&self) -> f64 {
        self.with(fastrand::Rng::f64)
    }

    /// True with this probability.
    pub fn chance(&self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// An independent stream decided by this one.
    pub fn fork(&self) -> Rng {
        Rng::seeded(self.u64())
    }

    /// 16 hexadecimal characters, for names that must not collide.
    pub fn token(&self) -> String {
        format!("{:016x}", self.u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_stream() {
        let (a, b) = (Rng::seeded(7), Rng::seeded(7));
        assert_eq!(
            (0..9).map(|_| a.u64()).collect::<Vec<_>>(),
            (0..9).map(|_| b.u64()).collect::<Vec<_>>()
        );
        assert_ne!(Rng::seeded(7).u64(), Rng::seeded(8).u64());
        assert!((0..1000).all(|_| a.below(3) < 3));
        let draw = |seed, name| Rng::named(seed, name).u64();
        assert_eq!(draw(1, "link"), draw(1, "link"));
        assert_ne!(draw(1, "link"), draw(1, "fault"));
        assert_ne!(draw(1, "link"), draw(2, "link"));
    }
}
