//! What was read and written, by object, in memory that is bounded.
//!
//! The first objects up to a limit are held each. The rest are folded: their requests and bytes are added to those of their prefix,
//! exactly; their sizes are held as `sample.rs` says, exactly too up to a second limit.

use super::clients::Clients;
use super::sample::Sample;
use super::{Access, Operation};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Objects whose sizes alone are held, for each that is held whole: 30 to 60 bytes each.
const SIZES_PER_OBJECT: usize = 4;
/// Prefixes that objects are folded into; beyond them, buckets, and beyond as many of these one for all.
const MAX_PREFIXES: usize = 10_000;

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// Objects that are held each: some 250 bytes for one of two regions.
    pub objects: usize,
    /// The prefixes that the rest are folded into have so many names behind the bucket's.
    pub depth: usize,
}

impl Default for Folding {
    /// A million objects, some 300 MB; one name.
    fn default() -> Self {
        Folding {
            objects: 1_000_000,
            depth: 1,
        }
    }
}

/// What one region did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) region: u16,
    pub(super) gets: u64,
    pub(super) puts: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

impl Use {
    fn add(&mut self, access: &Access<'_>) {
        match access.operation {
            Operation::Get => {
                self.gets += 1;
                self.read_bytes = self.read_bytes.saturating_add(access.bytes);
            }
            Operation::Put | Operation::Part | Operation::Complete => {
                self.puts += 1;
                self.written_bytes = self.written_bytes.saturating_add(access.bytes);
            }
            Operation::Delete => {}
        }
    }
}

fn add(uses: &mut Vec<Use>, region: u16, access: &Access<'_>) {
    if access.operation == Operation::Delete {
        return;
    }
    let found = match uses.iter_mut().find(|one| one.region == region) {
        Some(found) => found,
        None => {
            let one = Use {
                region,
                ..Use::default()
            };
            // Most objects are used by one region: no room for more is kept.
            uses.reserve_exact(1);
            uses.push(one);
            let last = uses.len() - 1;
            &mut uses[last]
        }
    };
    found.add(access);
}

/// One object.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    pub(super) bytes: u64,
    /// Bytes of parts that no object has been made of.
    pending: u64,
    /// By an inventory, which knows better than the log.
    inventoried: bool,
    pub(super) uses: Vec<Use>,
}

impl Object {
    /// Its size after an access.
    fn sized(&mut self, access: &Access<'_>) {
        match access.operation {
            Operation::Part => self.pending = self.pending.saturating_add(access.bytes),
            Operation::Complete => {
                let parts = std::mem::take(&mut self.pending);
                self.set(
                    access
                        .object_bytes
                        .filter(|bytes| *bytes > 0)
                        .unwrap_or(parts),
                );
            }
            Operation::Put => self.set(access.object_bytes.unwrap_or(access.bytes)),
            Operation::Delete => self.set(0),
            Operation::Get => {
                if let Some(bytes) = access.object_bytes {
                    self.set(bytes);
                }
            }
        }
    }

    fn set(&mut self, bytes: u64) {
        if !self.inventoried {
            self.bytes = bytes;
        }
    }
}

/// What one prefix has beyond the objects that are held.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    pub(super) name: Box<str>,
    pub(super) uses: Vec<Use>,
}

/// The sum of logs.
#[derive(Debug)]
pub struct Tally {
    clients: Clients,
    folding: Folding,
    pub(super) objects: HashMap<Box<str>, Object>,
    pub(super) folded: Vec<Folded>,
    folded_by_name: HashMap<Box<str>, u32>,
    pub(super) sizes: Sample,
    first_ms: u64,
    last_ms: u64,
    accesses: u64,
    unplaced: u64,
    folded_accesses: u64,
    /// The name at hand: `bucket/key`.
    name: String,
}

impl Tally {
    /// Of nothing yet.
    pub fn new(clients: Clients, folding: Folding) -> Self {
        Tally {
            clients,
            folding,
            objects: HashMap::new(),
            folded: Vec::new(),
            folded_by_name: HashMap::new(),
            sizes: Sample::new(folding.objects.saturating_mul(SIZES_PER_OBJECT)),
            first_ms: u64::MAX,
            last_ms: 0,
            accesses: 0,
            unplaced: 0,
            folded_accesses: 0,
            name: String::new(),
        }
    }

    /// One more access.
    pub fn add(&mut self, access: &Access<'_>) {
        self.accesses += 1;
        self.first_ms = self.first_ms.min(access.time_ms);
        self.last_ms = self.last_ms.max(access.time_ms);
        let (region, known) = self.clients.region(&access.origin);
        self.unplaced += u64::from(!known);
        // At most 1,000 regions.
        let region = region as u16;
        self.call(&access.bucket, &access.key);
        if let Some(object) = self.objects.get_mut(self.name.as_str()) {
            object.sized(access);
            add(&mut object.uses, region, access);
        } else if self.objects.len() < self.folding.objects {
            let mut object = Object::default();
            object.sized(access);
            add(&mut object.uses, region, access);
            self.objects.insert(self.name.as_str().into(), object);
        } else {
            self.folded_accesses += 1;
            let prefix = self.prefix();
            add(&mut self.folded[prefix as usize].uses, region, access);
            let bytes = match access.operation {
                // The sizes of its parts were not held.
                Operation::Part => return,
                Operation::Complete => access.object_bytes.filter(|bytes| *bytes > 0),
                Operation::Put => Some(access.object_bytes.unwrap_or(access.bytes)),
                Operation::Delete => Some(0),
                Operation::Get => access.object_bytes,
            };
            self.sizes.note(hash(&self.name), prefix, bytes);
        }
    }

    /// An object of an inventory: what is stored, whether it is used or not. To be told before the accesses, whose sizes it
    /// overrules.
    pub fn store(&mut self, bucket: &str, key: &str, bytes: u64) {
        self.call(bucket, key);
        if let Some(object) = self.objects.get_mut(self.name.as_str()) {
            (object.bytes, object.inventoried) = (bytes, true);
        } else if self.objects.len() < self.folding.objects {
            let object = Object {
                bytes,
                inventoried: true,
                ..Object::default()
            };
            self.objects.insert(self.name.as_str().into(), object);
        } else {
            let prefix = self.prefix();
            self.sizes.note(hash(&self.name), prefix, Some(bytes));
        }
    }

    /// The first and the last access, in milliseconds since the Unix epoch; `None` where there is none.
    pub fn span_ms(&self) -> Option<(u64, u64)> {
        (self.accesses > 0).then_some((self.first_ms, self.last_ms))
    }

    /// Accesses.
    pub fn accesses(&self) -> u64 {
        self.accesses
    }

    /// Accesses of clients whose region is not known, which count as those of the region for such clients.
    pub fn unplaced(&self) -> u64 {
        self.unplaced
    }

    /// Accesses of objects beyond the limit.
    pub fn folded_accesses(&self) -> u64 {
        self.folded_accesses
    }

    /// 1 where the sizes of all objects are known; otherwise those beyond the limits are estimated from one in so many.
    pub fn one_size_in(&self) -> u64 {
        1 << self.sizes.zeros()
    }

    fn call(&mut self, bucket: &str, key: &str) {
        self.name.clear();
        if !bucket.is_empty() {
            self.name.push_str(bucket);
            self.name.push('/');
        }
        self.name.push_str(key);
    }

    /// The number of the prefix that the name at hand is folded into.
    fn prefix(&mut self) -> u32 {
        let mut prefix = prefix_of(&self.name, self.folding.depth);
        for most in [MAX_PREFIXES, 2 * MAX_PREFIXES] {
            if let Some(number) = self.folded_by_name.get(prefix) {
                return *number;
            }
            if self.folded.len() < most {
                return self.new_prefix(prefix.into());
            }
            prefix = match most {
                MAX_PREFIXES => prefix_of(&self.name, 0),
                _ => "",
            };
        }
        match self.folded_by_name.get("") {
            Some(number) => *number,
            None => self.new_prefix("".into()),
        }
    }

    fn new_prefix(&mut self, name: Box<str>) -> u32 {
        let number = self.folded.len() as u32;
        self.folded_by_name.insert(name.clone(), number);
        self.folded.push(Folded {
            name,
            uses: Vec::new(),
        });
        number
    }
}

/// The beginning of a name with its bucket and `depth` names more, each with its `/`: `logs/2026/` of `logs/2026/11/a` where it is 1. The
/// last name is that of the object, and no part of it.
pub(super) fn prefix_of(name: &str, depth: usize) -> &str {
    let mut end = 0;
    for _ in 0..=depth {
        match memchr::memchr(b'/', &name.as_bytes()[end..]) {
            Some(length) => end += length + 1,
            None => break,
        }
    }
    &name[..end]
}

/// The same in every run, so that the same objects are in the sample.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
