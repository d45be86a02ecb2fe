//! Which shard a key is in, and which process has the shard.
//!
//! **In:** a key; the shards of this process and of its peers. **Out:** who has the key. **Never:** a key with two owners or none; another
//! answer after a restart, or on another machine.
//!
//! The hash is that of Kafka's Java producer, which is published and stable: in a topic of as many partitions as there are shards, whose
//! rows have their keys' text as the record's key, partition and shard are the same number.

use crate::{Error, Result};
use axum::http::Uri;
use axum::http::uri::Authority;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Shards in all at most.
const MAX_SHARDS: u32 = 4_096;
/// How long a peer may take to answer at most.
const MAX_TIMEOUT_S: f64 = 60.0;

/// How keys are divided, as a configuration says it. All processes have the same `shards`, and each knows where the others are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sharding {
    /// Shards of all processes together; each has a scheduler and a worker for each view, and an equal share of its budget.
    pub shards: u32,
    /// The shards of this process, by number from 0; all where it is left out.
    pub mine: Option<Vec<u32>>,
    /// The other processes' shards, by address, `http://host:port`.
    pub peers: BTreeMap<String, Vec<u32>>,
    /// How long a peer may take to answer, seconds.
    pub peer_timeout_s: f64,
}

impl Default for Sharding {
    fn default() -> Self {
        Sharding {
            shards: 1,
            mine: None,
            peers: BTreeMap::new(),
            peer_timeout_s: 2.0,
        }
    }
}

impl Sharding {
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// A shard has two owners or none, an address is none, or a number is out of range.
    pub(super) fn check(&self) -> Result<()> {
        let bad = |why: String| Err(Error::invalid("read configuration", "sharding", why));
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return bad(format!("shards must be from 1 to {MAX_SHARDS}"));
        }
        if !(self.peer_timeout_s > 0.0 && self.peer_timeout_s <= MAX_TIMEOUT_S) {
            return bad(format!(
                "peer_timeout_s must be above 0, and at most {MAX_TIMEOUT_S}"
            ));
        }
        let mine = self.mine();
        if mine.is_empty() {
            return bad("mine is empty: give this process a shard".into());
        }
        let mut owners = vec![0u32; self.shards as usize];
        for shard in mine.iter().chain(self.peers.values().flatten()) {
            match owners.get_mut(*shard as usize) {
                Some(count) => *count += 1,
                None => {
                    let last = self.shards - 1;
                    return bad(format!("there is no shard {shard}: they are 0 to {last}"));
                }
            }
        }
        if let Some(shard) = owners.iter().position(|count| *count == 0) {
            return bad(format!(
                "nobody has shard {shard}: name it in mine, or in peers"
            ));
        }
        if let Some(shard) = owners.iter().position(|count| *count > 1) {
            return bad(format!("shard {shard} is given twice"));
        }
        for address in self.peers.keys() {
            let uri = address.parse::<Uri>().ok();
            let fits = uri.is_some_and(|uri| {
                let host = uri.authority().map(Authority::as_str);
                uri.scheme_str() == Some("http")
                    && host.is_some_and(|host| !host.contains('@'))
                    && uri.path_and_query().is_none_or(|path| path == "/")
            });
            if !fits {
                return bad(format!("the peer {address:?} is no http://host:port"));
            }
        }
        Ok(())
    }

    /// The shards of this process, ascending, where others have some too.
    pub(super) fn part(&self) -> Option<Vec<u32>> {
        let mut mine = self.mine();
        mine.sort_unstable();
        (mine.len() < self.shards as usize).then_some(mine)
    }

    fn mine(&self) -> Vec<u32> {
        let all = || (0..self.shards).collect();
        self.mine.clone().unwrap_or_else(all)
    }
}

/// The shard of a key: Kafka's murmur2 of its text in UTF-8, the sign bit cleared, modulo the number of shards.
pub fn shard_of(key: &str, shards: u32) -> u32 {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) % shards.max(1)
}

/// MurmurHash2 (A. Appleby, public domain), 32 bits, with the seed that Kafka's `Utils.murmur2` has.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Who has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This process: the place of the shard among its own.
    Mine(usize),
    /// Another: its place among the peers.
    Peer(usize),
}

/// Who has which shard.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    owners: Vec<Owner>,
    mine: Vec<u32>,
    peers: Vec<String>,
    pub(super) timeout: Duration,
}

impl Shards {
    /// Of a configuration that was checked.
    pub(super) fn of(sharding: &Sharding) -> Self {
        let mine = sharding.mine();
        let mut owners = vec![Owner::Mine(0); sharding.shards as usize];
        let mut own = |shard: u32, owner| {
            if let Some(place) = owners.get_mut(shard as usize) {
                *place = owner;
            }
        };
        for (place, shard) in mine.iter().enumerate() {
            own(*shard, Owner::Mine(place));
        }
        for (place, shards) in sharding.peers.values().enumerate() {
            shards
                .iter()
                .for_each(|shard| own(*shard, Owner::Peer(place)));
        }
        Shards {
            owners,
            mine,
            peers: sharding
                .peers
                .keys()
                .map(|address| address.trim_end_matches('/').to_owned())
                .collect(),
            timeout: Duration::from_secs_f64(sharding.peer_timeout_s),
        }
    }

    /// Who has a key.
    pub(super) fn owner(&self, key: &str) -> Owner {
        match self.owners[..] {
            [only] => only,
            _ => self.owners[shard_of(key, self.owners.len() as u32) as usize],
        }
    }

    /// The place of a key's shard among those of this process, if it is one of them.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        match self.owner(key) {
            Owner::Mine(place) => Some(place),
            Owner::Peer(_) => None,
        }
    }

    /// Whether this process has all shards.
    pub(super) fn alone(&self) -> bool {
        self.peers.is_empty()
    }

    /// The numbers of this process's shards.
    pub(super) fn mine(&self) -> &[u32] {
        &self.mine
    }

    /// The address of a peer.
    pub(super) fn peer(&self, place: usize) -> &str {
        &self.peers[place]
    }

    /// A shard's share of what is for all of them.
    pub(super) fn share(&self) -> f64 {
        1.0 / self.owners.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_kafka_puts_them() {
        // From the tests of Kafka's client (UtilsTest, testMurmur2).
        for (text, hash) in [
            ("21", -973_932_308i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
        assert_eq!(shard_of("abc", 8), 479_470_107 % 8);
        assert_eq!(shard_of("foobar", 1), 0);
    }

    #[test]
    fn keys_are_spread_evenly() {
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|key| counts[shard_of(&format!("user-{key}"), 7) as usize] += 1);
        let even = counts.iter().all(|count| (9_500..10_500).contains(count));
        assert!(even, "{counts:?}");
    }

    fn sharding(text: &str) -> Result<Shards> {
        let sharding: Sharding = toml::from_str(text).unwrap();
        sharding.check().map(|()| Shards::of(&sharding))
    }

    #[test]
    fn every_shard_has_one_owner() {
        let shards = sharding(
            "shards = 4\nmine = [3, 1]\npeers = { \"http://b:1\" = [0], \"http://c:1\" = [2] }",
        );
        let shards = shards.unwrap();
        for key in (0..100).map(|key| key.to_string()) {
            let expected = match shard_of(&key, 4) {
                0 => Owner::Peer(0),
                1 => Owner::Mine(1),
                2 => Owner::Peer(1),
                _ => Owner::Mine(0),
            };
            assert_eq!(shards.owner(&key), expected);
        }
        assert_eq!((shards.peer(1), shards.mine()), ("http://c:1", &[3, 1][..]));
        let all = sharding("shards = 3").unwrap();
        assert!(all.alone() && all.mine() == [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (text, why) in [
            ("shards = 0", "from 1"),
            ("shards = 5000", "to 4096"),
            ("shards = 2\nmine = []", "empty"),
            ("shards = 2\nmine = [0]", "nobody has shard 1"),
            ("shards = 2\nmine = [0, 2]", "no shard 2"),
            ("shards = 2\nmine = [0, 1, 1]", "shard 1 is given twice"),
            ("shards = 2\npeers = { \"http://b:1\" = [1] }", "twice"),
            (
                "shards = 2\nmine = [0]\npeers = { \"b:1\" = [1] }",
                "no http://",
            ),
            (
                "shards = 2\nmine = [0]\npeers = { \"http://u:p@b:1\" = [1] }",
                "no http://",
            ),
            (
                "shards = 2\nmine = [0]\npeers = { \"http://b:1/x\" = [1] }",
                "no http://",
            ),
            ("peer_timeout_s = 0.0", "peer_timeout_s"),
        ] {
            let error = sharding(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
