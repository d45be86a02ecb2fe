//! A schedule: everything that a run does to the system, as a value that can be stored, shrunk and run again.

use serde::{Deserialize, Serialize};

/// What a run is made of. The seed decides only what the steps do not say: latencies, jitter, the engine's own draws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Of everything drawn while it runs.
    pub seed: u64,
    /// What the run starts with.
    pub setup: Setup,
    /// In order of time.
    pub steps: Vec<Step>,
}

/// What a run starts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Destinations, 1 to 3.
    pub destinations: u8,
    /// Processes on the ledger. More than one only on a shared ledger.
    pub processes: u8,
    /// Whether the ledger is one over documents, that several processes share.
    pub shared_ledger: bool,
    /// Whether the rule deletes.
    pub delete: bool,
    /// The rule's cap on deletes an hour.
    pub max_deletes: u64,
    /// Whether the source states checksums.
    pub source_states_checksums: bool,
    /// Whether destinations state checksums.
    pub target_states_checksums: bool,
    /// Whether the source keeps versions.
    pub versioned_source: bool,
    /// Most of what a request takes there and back, in ms.
    pub latency_ms: u32,
    /// Whether it is looked for what destinations have already: the objects of other runs are too small for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changelog: bool,
    /// Whether destinations' entity tags say nothing of content although they state checksums, as on S3 with keys of a service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opaque_tags: bool,
    /// Whether destinations' stores take objects from the source's store by themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_copy: bool,
}

/// Something that happens to the system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, from the start of the run.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What can happen. `skip` counts matching operations from the step on: 0 is the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A user writes an object. `tell_ms`: when notifications of it arrive; none is a lost one, two a repeated one.
    Put {
        /// Which key.
        key: u8,
        /// How many bytes.
        bytes: u32,
        /// Delays of its notifications.
        tell_ms: Vec<u32>,
    },
    /// A user deletes an object.
    Delete {
        /// Which key.
        key: u8,
        /// Delays of its notifications.
        tell_ms: Vec<u32>,
    },
    /// A user copies an object, if it is there and the other key never had that content.
    Copy {
        /// Which key.
        key: u8,
        /// Of which key.
        from: u8,
        /// The changelog is told of it, too.
        told: bool,
        /// Delays of its notifications.
        tell_ms: Vec<u32>,
    },
    /// Somebody asks for a sweep.
    Sweep,
    /// A process dies at its `operations`-th operation from now on, and another takes its place.
    Kill {
        /// Which process.
        process: u8,
        /// Operations it still begins.
        operations: u32,
        /// It dies after that operation had its effect, not before.
        after_effect: bool,
        /// How long its place is empty.
        restart_ms: u32,
    },
    /// A process stands still, and goes on as if nothing had happened.
    Freeze {
        /// Which process.
        process: u8,
        /// For how long.
        for_ms: u32,
    },
    /// A process's clock is set ahead (or, negative, behind).
    Skew {
        /// Which process.
        process: u8,
        /// By how much.
        ms: i32,
    },
    /// A worker dies at one of its await points. It says so, or is never heard of again.
    KillWorker {
        /// Workers that start and live, before.
        skip: u8,
        /// How often it is woken before it dies.
        polls: u16,
    },
    /// One request to a store goes wrong.
    Store {
        /// Which store.
        on: Side,
        /// Which request.
        request: Request,
        /// Requests that match and go well, before.
        skip: u8,
        /// How.
        trouble: Trouble,
    },
    /// One call of the ledger (of its service, where it is shared) goes wrong.
    State {
        /// Calls that go well, before.
        skip: u16,
        /// How.
        trouble: StateTrouble,
    },
    /// A store answers nothing but 503.
    Outage {
        /// Which store.
        on: Side,
        /// For how long.
        for_ms: u32,
    },
    /// A bucket is gone, and comes back as it was.
    BucketGone {
        /// Which store.
        on: Side,
        /// For how long.
        for_ms: u32,
    },
    /// Requests to a store get no answer. They may have taken effect.
    Partition {
        /// Which store.
        on: Side,
        /// For how long.
        for_ms: u32,
        /// Requests arrive; only answers are lost.
        one_way: bool,
    },
    /// A store refuses a share of all requests because there are too many.
    Throttle {
        /// Which store.
        on: Side,
        /// For how long.
        for_ms: u32,
        /// Of 100.
        percent: u8,
    },
    /// The ledger's service answers nothing.
    StateOutage {
        /// For how long.
        for_ms: u32,
    },
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where users write.
    Source,
    /// The destination of this number, from 1.
    Destination(u8),
}

impl Side {
    /// Its bucket.
    pub fn bucket(self) -> String {
        match self {
            Side::Source => "source".to_owned(),
            Side::Destination(number) => format!("d{number}"),
        }
    }
}

/// Kinds of requests that faults are aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Heads.
    Head,
    /// Reads.
    Get,
    /// Writes in one request.
    Put,
    /// Beginnings of uploads.
    CreateUpload,
    /// Parts.
    UploadPart,
    /// Completions.
    CompleteUpload,
    /// Aborts.
    AbortUpload,
    /// Listings.
    List,
    /// Deletes.
    Delete,
}

/// How a request to a store goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It is refused for now, and changes nothing.
    Refused,
    /// It is not permitted, and changes nothing.
    Denied,
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// It takes this long.
    Slow {
        /// How long.
        ms: u32,
    },
    /// Its body breaks off.
    BodyFails {
        /// After so many bytes.
        at: u32,
    },
    /// A bit of its body flips on the way.
    BodyCorrupt {
        /// Where.
        at: u32,
    },
    /// Its body stands still.
    BodyStalls {
        /// After so many bytes.
        at: u32,
        /// How long.
        ms: u32,
    },
    /// A user overwrites the object while it is read.
    Overwritten {
        /// After so many bytes.
        at: u32,
        /// With so many bytes.
        bytes: u32,
    },
}

/// How a call of the ledger goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateTrouble {
    /// It takes effect, and its answer is lost: what a conditional write that timed out may be.
    AnswerLost,
    /// It has no effect, and no answer comes.
    RequestLost,
    /// It takes this long.
    Slow {
        /// How long.
        ms: u32,
    },
}
