//! SLO-bounded batching: how long a change may wait for the next one of its key, so that both travel as one.
//!
//! Source: λReplica, slides, "SLO-bounded Batching". No rule is published for *when* to wait; this one waits only where
//! another change is expected in time, since otherwise waiting makes data older and saves nothing.

use serde::{Deserialize, Serialize};
use skyfresh_sky::Usd;

/// Whether to wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Begin so many seconds from now. 0: at once.
    pub wait_s: f64,
    /// The probability that the key changes again within that time.
    pub again: f64,
    /// Dollars that are expected to be saved: a transfer less, if it does.
    pub saves: Usd,
}

/// Of the share of changes that may be late, holding uses up no more than this: the rest is for what predictions do not know.
const SHARE_FOR_HOLDING: f64 = 0.5;
/// A wait shorter than this coalesces next to nothing, in seconds.
const SHORTEST_WAIT_S: f64 = 0.05;
/// An expected saving below this probability is not worth older data.
const LEAST_AGAIN: f64 = 0.1;

/// How long a change may wait. `takes_s` is what its transfer takes, in seconds, as often as a share says, with the rounds
/// that are lost because the key changes meanwhile; `left_s` is what is left of the SLO's delay of the *oldest* change that the transfer would
/// cover; `share` its percentile, 0 to 1; `changes_per_s` how often the key changes (Poisson); `price` that of one transfer.
pub fn hold(
    takes_s: impl Fn(f64) -> f64,
    left_s: f64,
    share: f64,
    changes_per_s: f64,
    price: Usd,
) -> Hold {
    let at_once = Hold {
        wait_s: 0.0,
        again: 0.0,
        saves: Usd::ZERO,
    };
    let stricter = 1.0 - (1.0 - share) * SHARE_FOR_HOLDING;
    let wait_s = left_s - takes_s(stricter);
    if !wait_s.is_finite()
        || wait_s < SHORTEST_WAIT_S
        || changes_per_s.is_nan()
        || changes_per_s <= 0.0
    {
        return at_once;
    }
    let again = 1.0 - libm::exp(-changes_per_s * wait_s);
    if again < LEAST_AGAIN {
        return at_once;
    }
    Hold {
        wait_s,
        again,
        saves: Usd::from_usd(price.usd() * again),
    }
}
