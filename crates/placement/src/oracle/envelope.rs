//! The read choices of one write choice, exactly.
//!
//! Where all reads are of one size, reading once in region r from store o costs get_o + size·egress_{r,o}: a line in the
//! size. As the size grows from 0, the cheapest store of the region goes along the lower envelope of these lines, from the
//! cheapest request to the cheapest transfer. One read choice belongs to each interval between the sizes at which any region
//! switches. SkyPIE's Listing 4 (section 4.2) passes over some of these intervals; this goes through all of them.

use crate::model::Scenario;

/// At this size and above, a region reads from another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    /// The size in GB is `numerator / denominator`.
    numerator: i64,
    denominator: i64,
    pub(super) region: u32,
    /// The place in the write choice of the store read from then.
    pub(super) to: u8,
}

impl Switch {
    fn order(&self, other: &Switch) -> std::cmp::Ordering {
        let product = |one: i64, other: i64| i128::from(one) * i128::from(other);
        product(self.numerator, other.denominator).cmp(&product(other.numerator, self.denominator))
    }

    /// The size in GB, as a fraction.
    pub(super) fn size(&self) -> (i64, i64) {
        (self.numerator, self.denominator)
    }

    /// Whether both happen at the same size.
    pub(super) fn is_with(&self, other: &Switch) -> bool {
        self.order(other).is_eq()
    }
}

/// The read choices of one write choice; reused for the next.
#[derive(Default)]
pub(super) struct Envelope {
    /// By region: the place in the write choice of the store read from at size 0; the number of stores where none is admissible.
    pub(super) first: Vec<u8>,
    /// In the order of sizes.
    pub(super) switches: Vec<Switch>,
}

impl Envelope {
    /// Of the write choice `set`, of at most 254 stores.
    pub(super) fn fill(&mut self, scenario: &Scenario, set: &[u16]) {
        self.first.clear();
        self.switches.clear();
        let get = |place: usize| scenario.stores[set[place] as usize].get;
        for region in 0..scenario.regions.len() {
            let row = &scenario.egress[region * scenario.stride..][..scenario.stride];
            let egress = |place: usize| row[set[place] as usize];
            let admissible = |place: &usize| scenario.is_admissible(region, set[*place] as usize);
            let all = || (0..set.len()).filter(admissible);
            let Some(mut from) = all().min_by_key(|place| (get(*place), egress(*place))) else {
                self.first.push(set.len() as u8);
                continue;
            };
            self.first.push(from as u8);
            loop {
                // The switch at the smallest size, of those at one size the one that goes furthest down.
                let mut next: Option<(Switch, i64)> = None;
                for place in all().filter(|place| egress(*place) < egress(from)) {
                    let switch = Switch {
                        numerator: get(place) - get(from),
                        denominator: egress(from) - egress(place),
                        region: region as u32,
                        to: place as u8,
                    };
                    let better = next.is_none_or(|(best, lowest)| {
                        switch.order(&best).then(egress(place).cmp(&lowest)).is_lt()
                    });
                    if better {
                        next = Some((switch, egress(place)));
                    }
                }
                let Some((switch, _)) = next else { break };
                self.switches.push(switch);
                from = switch.to as usize;
            }
        }
        self.switches.sort_by(Switch::order);
    }
}
