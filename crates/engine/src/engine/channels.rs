//! Events from outside: notifications that were pushed, and channels that are pulled.

use super::{Accepted, Engine};
use crate::intake::notification::{self, BucketEvent};
use crate::intake::pump::{PulledChannel, Pump};
use crate::intake::pump_meter::{ChannelMeter, ChannelStatus};
use crate::intake::submissions;
use crate::lane::Lane;
use crate::{Error, ObjectEvent, Result};
use skyfresh_ledger::Ledger;
use skyfresh_sky::Kind;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Dead letters that the status of a rule shows.
const LETTERS_SHOWN: usize = 10;

/// The channels as they are pulled.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pumps: Vec<Arc<Pump>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Channels {
    fn pumps(&self) -> Vec<Arc<Pump>> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pumps.clone()
    }

    /// Ends all pulling; batches under way are finished first.
    pub(super) async fn stop(&self) {
        let state = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        super::stop(state.stop, state.tasks).await;
    }
}

impl Engine {
    /// The shared state.
    pub(crate) fn ledger(&self) -> &dyn Ledger {
        self.shared.ledger.as_ref()
    }

    /// Pulls these channels until [`Engine::shutdown`], instead of those pulled before.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: two channels have one name, or one has no receivers.
    pub async fn pull(self: &Arc<Self>, channels: Vec<PulledChannel>) -> Result<()> {
        let mut names = std::collections::BTreeSet::new();
        for channel in &channels {
            let bad = |why| Error::new(Kind::Invalid, "pull channels", &channel.name, why);
            if !names.insert(&channel.name) {
                return Err(bad("two channels have this name"));
            }
            if channel.receivers == 0 {
                return Err(bad("receivers: at least 1"));
            }
        }
        self.channels.stop().await;
        let mut next = State::default();
        for source in channels {
            let receivers = source.receivers;
            let pump = Arc::new(Pump {
                source,
                meter: ChannelMeter::default(),
                engine: Arc::downgrade(self),
                clock: Arc::clone(&self.shared.clock),
                rng: self.shared.rng.fork(),
            });
            for _ in 0..receivers {
                next.tasks.spawn(Arc::clone(&pump).run(next.stop.clone()));
            }
            next.pumps.push(pump);
        }
        *self
            .channels
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// How the channels stand.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn channels(&self) -> Result<Vec<ChannelStatus>> {
        let mut all = Vec::new();
        for pump in self.channels.pumps() {
            all.push(pump.status(self, usize::MAX).await?);
        }
        Ok(all)
    }

    /// How the channels of one rule stand, with the newest of their dead letters.
    pub(super) async fn channels_of(&self, rule: &str) -> Result<Vec<ChannelStatus>> {
        let mut all = Vec::new();
        for pump in self.channels.pumps() {
            let rules = &pump.source.rules;
            if rules.is_empty() || rules.iter().any(|name| name == rule) {
                all.push(pump.status(self, LETTERS_SHOWN).await?);
            }
        }
        Ok(all)
    }

    /// Takes in a notification of any format for every rule it concerns (or for `rule` alone). Durable when it returns.
    ///
    /// # Errors
    /// Malformed ([`Kind::Invalid`]), no such rule, or the ledger failed: the sender must keep it and send again.
    pub async fn notify(&self, rule: Option<&str>, body: &[u8]) -> Result<Accepted> {
        let events = notification::parse(body)?;
        match rule {
            Some(rule) => self.submit_to(&self.lanes(rule)?, &events).await,
            None => self.notify_events(&[], &events).await,
        }
    }

    /// Takes in events that were read already, for those of `rules` that run (empty: for all). Durable when it returns.
    ///
    /// # Errors
    /// The ledger failed: the sender must keep them and send again.
    pub async fn notify_events(
        &self,
        rules: &[String],
        events: &[BucketEvent],
    ) -> Result<Accepted> {
        let lanes: Vec<Arc<Lane>> = self
            .read()
            .iter()
            .filter(|(name, _)| rules.is_empty() || rules.contains(name))
            .flat_map(|(_, running)| running.lanes.clone())
            .collect();
        self.submit_to(&lanes, events).await
    }

    async fn submit_to(&self, lanes: &[Arc<Lane>], events: &[BucketEvent]) -> Result<Accepted> {
        let now = self.shared.clock.now();
        let mut all = Vec::new();
        for lane in lanes {
            let concerned: Vec<ObjectEvent> = events
                .iter()
                .filter_map(|event| notification::for_source(&lane.rule.source, event))
                .collect();
            all.extend(submissions(lane, &concerned, now));
        }
        let accepted = Accepted {
            records: events.len(),
            submissions: all.len(),
        };
        if !all.is_empty() {
            self.shared.ledger.submit(all).await?;
        }
        Ok(accepted)
    }
}
