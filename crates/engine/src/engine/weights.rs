//! Weights of stale reads: set through any process, kept in the ledger, heard of by all.

use super::Engine;
use crate::Result;
use crate::weights::{Weight, Weights};
use skyfresh_ledger::Ledger;
use std::sync::Arc;

impl Engine {
    /// The weights of a rule, by prefix, as the ledger has them.
    ///
    /// # Errors
    /// No such rule, or the ledger failed.
    pub async fn weights(&self, rule: &str) -> Result<Vec<Weight>> {
        self.lanes(rule)?;
        let weights = stored(&*self.shared.ledger, rule).await?;
        Ok(Weights::clone(&weights).into_list())
    }

    /// Makes these the weights of a rule, in place of those it had; survives restarts. They count for what is begun from now on,
    /// in other processes within seconds.
    ///
    /// # Errors
    /// No such rule, a weight that cannot be used, or the ledger failed; nothing has changed then.
    pub async fn set_weights(&self, rule: &str, weights: Vec<Weight>) -> Result<Vec<Weight>> {
        let lanes = self.lanes(rule)?;
        let weights = Arc::new(Weights::new(weights)?);
        let list = Weights::clone(&weights).into_list();
        let value = serde_json::json!(list);
        let value = (!weights.is_empty()).then_some(value);
        self.shared.ledger.set_cursor(&name(rule), value).await?;
        for lane in lanes {
            lane.weights.set(&weights);
        }
        Ok(list)
    }
}

/// The weights that the ledger holds. What cannot be read, an older or newer version's, counts as none: order is all they decide.
pub(crate) async fn stored(ledger: &dyn Ledger, rule: &str) -> Result<Arc<Weights>> {
    let Some(value) = ledger.cursor(&name(rule)).await? else {
        return Ok(Arc::default());
    };
    Ok(match serde_json::from_value(value) {
        Ok(weights) => Arc::new(weights),
        Err(error) => {
            tracing::warn!(rule, %error, "cannot read the weights of stale reads; every key weighs 1");
            Arc::default()
        }
    })
}

/// The ledger's name of a rule's weights.
fn name(rule: &str) -> String {
    format!("weights/{rule}")
}
