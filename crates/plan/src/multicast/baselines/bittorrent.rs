//! BitTorrent, simulated: pieces, rarest first, tit for tat.
//!
//! Rounds of fixed length. In each, every peer unchokes the [`UNCHOKED`] interested peers that sent it most in the last round (the
//! seed: that took most), and one more by turns. A sender's egress is shared evenly by whom it unchoked, each link capped at its
//! bandwidth, each receiver at its ingress. A receiver asks for the rarest piece it lacks, ties broken by the seed.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Edges, Instance, Work};
use skyfresh_sky::Rng;
use std::collections::BTreeMap;

pub(super) struct BitTorrent {
    pub(super) seed: u64,
}

const PIECES: u32 = 256;
/// Of the reference client: four by merit and one by chance.
const UNCHOKED: usize = 4;
/// A fiftieth of the time that the slowest direct transfer would take: enough rounds for choices to matter.
const ROUNDS_OF_DIRECT: f64 = 200.0;
const MOST_ROUNDS: usize = 100_000;

struct Swarm<'a> {
    instance: &'a Instance,
    /// Source first.
    peers: Vec<usize>,
    pieces: usize,
    /// By peer and piece.
    has: Vec<Vec<bool>>,
    /// By receiver and sender: the piece being received, and what of it is still to come, as a share of the volume.
    receiving: BTreeMap<(usize, usize), (usize, f64)>,
    /// By receiver and sender: what came in the last round.
    credit: BTreeMap<(usize, usize), f64>,
    /// By piece: who gave it to whom.
    ways: Vec<Edges>,
}

impl Baseline for BitTorrent {
    fn draft(&self, limits: &Limits, _work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let peers: Vec<usize> = [instance.source]
            .into_iter()
            .chain(instance.terminals.clone())
            .collect();
        let slowest = instance
            .terminals
            .iter()
            .map(|to| instance.rate(instance.source, *to))
            .fold(f64::INFINITY, f64::min);
        if slowest <= 0.0 {
            return None;
        }
        let pieces = PIECES.min(limits.stripes) as usize;
        let round = 1.0 / slowest / ROUNDS_OF_DIRECT;
        let mut swarm = Swarm {
            instance,
            pieces,
            has: (0..peers.len())
                .map(|peer| vec![peer == 0; pieces])
                .collect(),
            peers,
            receiving: BTreeMap::new(),
            credit: BTreeMap::new(),
            ways: vec![Edges::new(); pieces],
        };
        let mut rng = Rng::seeded(self.seed);
        let mut rounds = 0;
        while swarm.has.iter().any(|has| has.contains(&false)) {
            swarm.round(rounds, round, &mut rng);
            rounds += 1;
            if rounds >= MOST_ROUNDS {
                return None;
            }
        }
        let mut trees: BTreeMap<Edges, u32> = BTreeMap::new();
        for mut way in swarm.ways {
            way.sort_unstable();
            *trees.entry(way).or_default() += 1;
        }
        let shares: Vec<f64> = trees
            .values()
            .map(|count| f64::from(*count) / pieces as f64)
            .collect();
        let stripes = crate::transfer::apportion(&shares, limits.stripes);
        let trees = trees.into_keys().zip(stripes).collect();
        let mut draft = all_machines(limits, trees, Some(shares));
        draft.time = Some(rounds as f64 * round);
        Some(draft)
    }
}

impl Swarm<'_> {
    fn round(&mut self, number: usize, length: f64, rng: &mut Rng) {
        let count = self.peers.len();
        let mut served: Vec<(usize, usize)> = Vec::new();
        for sender in 0..count {
            let mut interested: Vec<usize> = (1..count)
                .filter(|peer| *peer != sender && self.wants(*peer, sender))
                .collect();
            let merit = |peer: &usize| self.credit.get(&(sender, *peer)).copied().unwrap_or(0.0);
            interested.sort_by(|a, b| merit(b).total_cmp(&merit(a)).then(a.cmp(b)));
            let chance = interested.split_off(interested.len().min(UNCHOKED));
            if !chance.is_empty() {
                interested.push(chance[number % chance.len()]);
            }
            served.extend(interested.into_iter().map(|peer| (sender, peer)));
        }
        let mut credit = BTreeMap::new();
        for (sender, receiver) in &served {
            let (from, to) = (self.peers[*sender], self.peers[*receiver]);
            let of = |all: &[(usize, usize)], sending: bool| {
                let same = |pair: &&(usize, usize)| {
                    if sending {
                        pair.0 == *sender
                    } else {
                        pair.1 == *receiver
                    }
                };
                all.iter().filter(same).count() as f64
            };
            let machines = f64::from(self.instance.limit[from]);
            let rate = (self.instance.egress_gbps[from] * machines / of(&served, true))
                .min(self.instance.rate(from, to) * machines)
                .min(self.instance.ingress_gbps[to] * machines / of(&served, false));
            let sent = self.send(*sender, *receiver, rate * length, rng);
            // What a sender has earned is what it is owed by the receiver.
            *credit.entry((*receiver, *sender)).or_default() += sent;
        }
        self.credit = credit;
    }

    fn wants(&self, peer: usize, sender: usize) -> bool {
        self.receiving.contains_key(&(peer, sender))
            || (0..self.pieces).any(|piece| self.may_ask(peer, sender, piece))
    }

    fn may_ask(&self, peer: usize, sender: usize, piece: usize) -> bool {
        let under_way = || {
            let mut all = self.receiving.iter();
            all.any(|((receiver, _), (coming, _))| *receiver == peer && *coming == piece)
        };
        self.has[sender][piece] && !self.has[peer][piece] && !under_way()
    }

    /// Sends `share` of the volume, piece after piece; returns what was sent.
    fn send(&mut self, sender: usize, receiver: usize, share: f64, rng: &mut Rng) -> f64 {
        let mut left = share;
        while left > 0.0 {
            let key = (receiver, sender);
            let (piece, missing) = match self.receiving.get(&key) {
                Some(coming) => *coming,
                None => match self.rarest(receiver, sender, rng) {
                    Some(piece) => (piece, 1.0 / self.pieces as f64),
                    None => break,
                },
            };
            if missing > left {
                self.receiving.insert(key, (piece, missing - left));
                left = 0.0;
            } else {
                left -= missing;
                self.receiving.remove(&key);
                self.has[receiver][piece] = true;
                self.ways[piece].push((self.peers[sender], self.peers[receiver]));
            }
        }
        share - left
    }

    fn rarest(&self, peer: usize, sender: usize, rng: &mut Rng) -> Option<usize> {
        let copies = |piece: usize| self.has.iter().filter(|has| has[piece]).count();
        let wanted: Vec<usize> = (0..self.pieces)
            .filter(|piece| self.may_ask(peer, sender, *piece))
            .collect();
        let least = wanted.iter().map(|piece| copies(*piece)).min()?;
        let rare: Vec<usize> = wanted
            .into_iter()
            .filter(|piece| copies(*piece) == least)
            .collect();
        Some(rare[rng.below(rare.len() as u64) as usize])
    }
}
