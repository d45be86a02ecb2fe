//! Oracles as bytes: a format of our own, with a version and a checksum.
//!
//! ```text
//! 8  "SKYORACL"
//! 4  version, then all numbers little-endian
//! 8  length of the head
//! …  head, JSON: tables of the scenario, shard, filter, replicas and candidates of each block
//! …  for each block: stores (2 bytes each), then the places read from (1 byte for each candidate and region)
//! 32 SHA-256 of all before
//! ```

use super::{Block, MAX_REPLICAS, Oracle, Shard};
use crate::model::{Scenario, Tables};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use skyfresh_sky::Invalid;
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"SKYORACL";
const VERSION: u32 = 1;
/// The tables of 10,000 stores and 1,000 regions are no larger.
const MAX_HEAD_BYTES: u64 = 1 << 30;
/// What is read or written at a time.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Head {
    tables: Tables,
    shard: (u32, u32),
    filtered: bool,
    /// Of version 1 too, and false where it is not there.
    #[serde(default)]
    reduced: bool,
    /// Replicas and candidates of each block.
    blocks: Vec<(usize, u64)>,
}

/// The tables of a scenario, as they are written.
pub(super) fn tables(scenario: &Scenario) -> Tables {
    Tables::of(scenario)
}

/// Writes, and hashes what it writes.
struct Hashed<'a, T: ?Sized>(&'a mut T, Sha256);

impl<T: Write + ?Sized> Hashed<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.update(bytes);
        self.0.write_all(bytes)
    }
}

impl<T: Read + ?Sized> Hashed<'_, T> {
    /// `length` bytes; memory grows only as they come.
    fn read(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.1.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u64> {
        let bytes = self.read(8)?;
        let mut number = [0; 8];
        number.copy_from_slice(&bytes);
        Ok(u64::from_le_bytes(number))
    }
}

fn invalid(why: impl Into<String>) -> Invalid {
    Invalid::new("oracle file", "", why)
}

fn cut(error: &io::Error) -> Invalid {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return invalid("it ends too early: build it again");
    }
    invalid(format!("cannot be read: {error}"))
}

impl Oracle {
    /// Writes it.
    ///
    /// # Errors
    /// Whatever `to` refuses.
    pub fn write_to(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut to = Hashed(to, Sha256::new());
        let head = Head {
            tables: tables(&self.scenario),
            shard: (self.shard.index, self.shard.of),
            filtered: self.filtered,
            reduced: self.reduced,
            blocks: self
                .blocks
                .iter()
                .map(|block| (block.replicas, block.len() as u64))
                .collect(),
        };
        let head = serde_json::to_vec(&head)?;
        to.write(MAGIC)?;
        to.write(&VERSION.to_le_bytes())?;
        to.write(&(head.len() as u64).to_le_bytes())?;
        to.write(&head)?;
        for block in &self.blocks {
            for stores in block.stores.chunks(BUFFER_BYTES / 2) {
                let bytes: Vec<u8> = stores
                    .iter()
                    .flat_map(|store| store.to_le_bytes())
                    .collect();
                to.write(&bytes)?;
            }
            to.write(&block.reads)?;
        }
        let Hashed(to, hash) = to;
        to.write_all(&hash.finalize())
    }

    /// Reads what [`Oracle::write_to`] wrote.
    ///
    /// # Errors
    /// It is no oracle, of another version, cut off or damaged.
    pub fn read_from(from: &mut dyn Read) -> Result<Oracle, Invalid> {
        let mut from = Hashed(from, Sha256::new());
        let start = from.read(12).map_err(|error| cut(&error))?;
        if start[..8] != *MAGIC {
            return Err(invalid(
                "it is no oracle: `skyfresh place oracle build` makes one",
            ));
        }
        if start[8..] != VERSION.to_le_bytes() {
            let why = format!("made by another version, this one reads {VERSION}: build it again");
            return Err(invalid(why));
        }
        let length = from.number().map_err(|error| cut(&error))?;
        if length > MAX_HEAD_BYTES {
            return Err(invalid("damaged: its head is too long. Build it again"));
        }
        let head = from.read(length).map_err(|error| cut(&error))?;
        let damaged = || invalid("damaged: build it again");
        let head: Head = serde_json::from_slice(&head).map_err(|_| damaged())?;
        let scenario = head.tables.scenario()?;
        let mut blocks = Vec::new();
        for (replicas, candidates) in head.blocks {
            if replicas == 0 || replicas > MAX_REPLICAS || replicas > scenario.stores.len() {
                return Err(damaged());
            }
            let bytes = |each: usize| candidates.checked_mul(each as u64).ok_or_else(damaged);
            let stores = from
                .read(bytes(2 * replicas)?)
                .map_err(|error| cut(&error))?;
            let reads = from
                .read(bytes(scenario.regions.len())?)
                .map_err(|error| cut(&error))?;
            let (pairs, _) = stores.as_chunks::<2>();
            blocks.push(Block {
                replicas,
                stores: pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect(),
                reads,
            });
        }
        let Hashed(from, hash) = from;
        let mut end = Vec::new();
        from.take(33)
            .read_to_end(&mut end)
            .map_err(|error| cut(&error))?;
        if end != hash.finalize().as_slice() {
            return Err(invalid("its checksum does not agree: build it again"));
        }
        let (index, of) = head.shard;
        let oracle = Oracle {
            scenario,
            shard: Shard { index, of },
            filtered: head.filtered,
            reduced: head.reduced,
            blocks,
        };
        oracle.check().ok_or_else(damaged)?;
        Ok(oracle)
    }

    /// That all numbers name what there is.
    fn check(&self) -> Option<()> {
        let stores = self.scenario.stores.len();
        let (least, most) = self.scenario.replicas;
        let fine = self.shard.index < self.shard.of
            && self.blocks.len() == most - least + 1
            && self.blocks.iter().zip(least..).all(|(block, replicas)| {
                block.replicas == replicas
                    && block
                        .stores
                        .chunks(replicas)
                        .all(|set| set.is_sorted_by(|one, other| one < other))
                    && block.stores.iter().all(|store| (*store as usize) < stores)
                    && block
                        .reads
                        .iter()
                        .all(|place| usize::from(*place) <= replicas)
            });
        fine.then_some(())
    }
}
