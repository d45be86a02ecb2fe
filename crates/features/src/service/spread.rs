//! Rows, queries and feedback for keys of several processes: each goes to the process that has its key's shard.
//!
//! **In:** requests for any keys, from clients; requests for own keys, from peers (`/shards/…`). **Out:** the same answers as one process
//! with all shards would give. **Never:** passes on what a peer sent: a request is forwarded once, and one that is not for this process
//! is refused, so that processes that disagree on who has what notice.

use super::cache::Ticket;
use super::encode::Cells;
use super::id::FeatureId;
use super::sharding::Owner;
use super::table::FeedbackBody;
use super::view::View;
use super::views::{Service, Taken};
use crate::function::Event;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skyfresh_sky::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Where peers send rows.
pub(super) const EVENTS_PATH: &str = "/shards/events";
/// Where peers ask for rows.
pub(super) const ROWS_PATH: &str = "/shards/rows";
/// Where peers send feedback.
pub(super) const FEEDBACK_PATH: &str = "/shards/feedback";

/// Rows for a view, all of keys that the receiver has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EventsOf {
    view: String,
    events: Vec<(String, Event)>,
}

/// Keys whose features are asked for, all of which the receiver has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RowsAsked {
    view: String,
    /// The view's features as the asking process knows them.
    features: Vec<String>,
    keys: Vec<String>,
}

/// A row as a peer tells it: values are in the order of the view's features.
#[derive(Debug, Deserialize)]
struct RowTold {
    event_ms: i64,
    version: u32,
    values: Vec<Value>,
}

/// A key that memory has no row of.
pub(super) struct Absent {
    /// Its place among the keys asked for.
    pub(super) place: usize,
    pub(super) key: String,
    pub(super) ticket: Ticket,
}

/// Rows that were found, with their places among the keys asked for.
pub(super) type Found = Vec<(usize, Arc<Cells>)>;

impl Service {
    /// Takes in rows of any keys: those of peers are on the peers' disks first, and this process's own on its disk once this returns.
    ///
    /// # Errors
    /// A peer did not take its rows, or the store cannot be written. What others took by then stays.
    pub(super) async fn deliver(self: &Arc<Self>, mut taken: Vec<Taken>) -> Result<()> {
        if !self.shards.alone() {
            let mut foreign: BTreeMap<usize, Vec<EventsOf>> = BTreeMap::new();
            for (view, events) in &mut taken {
                for (peer, events) in self.divide(events) {
                    let view = view.spec.name.clone();
                    foreign
                        .entry(peer)
                        .or_default()
                        .push(EventsOf { view, events });
                }
            }
            let mut sending = JoinSet::new();
            for (peer, rows) in foreign {
                let (service, body) = (Arc::clone(self), json(&rows));
                sending.spawn(async move { service.peers.post(peer, EVENTS_PATH, body).await });
            }
            // All are waited for, so that an error leaves nothing under way; this process's own come last, so that they are not
            // taken where a peer's were not.
            let mut failure = None;
            while let Some(sent) = sending.join_next().await {
                if let Err(error) = sent.map_err(ended).flatten() {
                    failure = Some(error);
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
        }
        let service = Arc::clone(self);
        let taking = tokio::task::spawn_blocking(move || service.take(taken, &[]));
        taking.await.map_err(ended)?
    }

    /// Takes peers' rows out of a list, and gives them by peer.
    fn divide(&self, events: &mut Vec<(String, Event)>) -> BTreeMap<usize, Vec<(String, Event)>> {
        let mut foreign: BTreeMap<usize, Vec<(String, Event)>> = BTreeMap::new();
        let all = std::mem::take(events);
        for row in all {
            match self.shards.owner(&row.0) {
                Owner::Mine(_) => events.push(row),
                Owner::Peer(peer) => foreign.entry(peer).or_default().push(row),
            }
        }
        foreign
    }

    /// Takes in rows that a peer sent.
    pub(super) async fn receive(self: &Arc<Self>, body: &[u8]) -> Result<()> {
        let rows: Vec<EventsOf> = read(body)?;
        let mut taken = Vec::with_capacity(rows.len());
        for EventsOf { view, events } in rows {
            self.all_mine(events.iter().map(|(key, _)| key.as_str()))?;
            taken.push((Arc::clone(self.view(&view)?), events));
        }
        let service = Arc::clone(self);
        let taking = tokio::task::spawn_blocking(move || service.take(taken, &[]));
        taking.await.map_err(ended)?
    }

    /// Rows that are not in memory: of the store, and of peers.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        view: &Arc<View>,
        absent: Vec<Absent>,
    ) -> Result<Found> {
        let (mut own, mut foreign) = (Vec::new(), BTreeMap::<usize, Vec<Absent>>::new());
        match self.shards.alone() {
            true => own = absent,
            false => {
                for absent in absent {
                    match self.shards.owner(&absent.key) {
                        Owner::Mine(_) => own.push(absent),
                        Owner::Peer(peer) => foreign.entry(peer).or_default().push(absent),
                    }
                }
            }
        }
        let mut fetching = JoinSet::new();
        for (peer, absent) in foreign {
            let (service, view) = (Arc::clone(self), Arc::clone(view));
            fetching.spawn(async move { service.ask_peer(peer, &view, absent).await });
        }
        if !own.is_empty() {
            let (service, view) = (Arc::clone(self), Arc::clone(view));
            fetching.spawn_blocking(move || service.read(&view, &own));
        }
        let (mut found, mut failure) = (Vec::new(), None);
        while let Some(fetched) = fetching.join_next().await {
            match fetched.map_err(ended).flatten() {
                Ok(rows) => found.extend(rows),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => Ok(found),
            Some(error) => Err(error),
        }
    }

    async fn ask_peer(&self, peer: usize, view: &View, absent: Vec<Absent>) -> Result<Found> {
        let asked = RowsAsked {
            view: view.spec.name.clone(),
            features: view.features.clone(),
            keys: absent.iter().map(|absent| absent.key.clone()).collect(),
        };
        let answer = self.peers.post(peer, ROWS_PATH, json(&asked)).await?;
        let rows: Vec<Option<RowTold>> = read(&answer)?;
        let wrong = rows.len() != absent.len()
            || rows
                .iter()
                .flatten()
                .any(|row| row.values.len() != view.features.len());
        if wrong {
            let why = "its answer has not as many rows or features as were asked for";
            return Err(Error::new(
                Kind::Internal,
                "ask the peer",
                self.shards.peer(peer),
                why,
            ));
        }
        // Not kept in memory: only the owner knows when they change.
        let found = absent.iter().zip(rows).filter_map(|(absent, row)| {
            let row = row?;
            let values = row.values.iter().map(Some);
            let cells = Cells::new(row.event_ms, row.version, values, None);
            Some((absent.place, Arc::new(cells)))
        });
        Ok(found.collect())
    }

    /// Answers a peer that asks for rows.
    pub(super) async fn tell_peer(self: &Arc<Self>, body: &[u8]) -> Result<Vec<u8>> {
        let asked: RowsAsked = read(body)?;
        let view = self.view(&asked.view)?;
        self.all_mine(asked.keys.iter().map(String::as_str))?;
        if asked.features != view.features {
            let why = "it has other features in this view";
            return Err(Error::new(Kind::Precondition, "answer", &asked.view, why));
        }
        let rows = self
            .query(std::slice::from_ref(view), &[asked.keys])
            .await?;
        let mut answer = vec![b'['];
        for (index, row) in rows.iter().flatten().enumerate() {
            if index > 0 {
                answer.push(b',');
            }
            match row {
                None => answer.extend_from_slice(b"null"),
                Some(cells) => {
                    let (event_ms, version) = (cells.event_ms, cells.version);
                    let head =
                        format!("{{\"event_ms\":{event_ms},\"version\":{version},\"values\":");
                    answer.extend_from_slice(head.as_bytes());
                    answer.extend_from_slice(&cells.list());
                    answer.push(b'}');
                }
            }
        }
        answer.push(b']');
        Ok(answer)
    }

    /// Takes feedback for any key; false where the query's error was reported before.
    pub(super) async fn report(
        self: &Arc<Self>,
        id: FeatureId,
        body: FeedbackBody,
    ) -> Result<bool> {
        if let Owner::Peer(peer) = self.shards.owner(&id.key) {
            let answer = self.peers.post(peer, FEEDBACK_PATH, json(&body)).await?;
            return read(&answer);
        }
        let service = Arc::clone(self);
        let reporting = tokio::task::spawn_blocking(move || {
            service.feedback(&body.query_id, &id, body.error, body.queried_ms)
        });
        reporting.await.map_err(ended)?
    }

    /// That keys are in shards of this process.
    pub(super) fn all_mine<'a>(&self, mut keys: impl Iterator<Item = &'a str>) -> Result<()> {
        match keys.find(|key| self.shards.place(key).is_none()) {
            None => Ok(()),
            Some(key) => Err(Error::new(
                Kind::Precondition,
                "find shard",
                key,
                "this process does not have the key's shard",
            )),
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Lists of plain values always become JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::invalid("read", "a peer's message", error.to_string()).with_source(error)
    })
}

/// A task that ended early: it panicked.
pub(super) fn ended(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Internal, "serve", "request", error.to_string())
}
