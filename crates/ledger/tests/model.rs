//! Random operations against a model so plain that it is plainly right, and the backends against each other.

mod support;

use proptest::prelude::*;
use skyfresh_ledger::shared::{MemoryDocuments, Settings, SharedLedger};
use skyfresh_ledger::{EmbeddedLedger, Ledger, MemoryLedger};
use skyfresh_sky::Rng;
use std::sync::Arc;
use support::model::Model;
use support::operation::{Operation, observe, perform, perform_numbered};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every answer equals the model's, and the kept counters equal a recount after every step.
    #[test]
    fn the_memory_ledger_equals_the_model(operations in proptest::collection::vec(Operation::any(), 1..120)) {
        runtime().block_on(async {
            let (ledger, mut model) = (MemoryLedger::new(), Model::default());
            for (step, operation) in operations.iter().enumerate() {
                let now = step as u64 * 10;
                let tokens = model.tokens_given();
                let answer = perform(&ledger, operation, now, tokens).await;
                assert_eq!(answer, model.perform(operation, now), "step {step}: {operation:?}");
                for destination in support::DESTINATIONS {
                    let counted = ledger.recount(support::RULE, destination).await.unwrap();
                    assert_eq!(counted, model.backlog(destination), "step {step}: {operation:?}");
                    let due = ledger.next_due(support::RULE, destination).await.unwrap();
                    assert_eq!(due, model.next_due(destination), "step {step}: {operation:?}");
                }
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Both backends give the same answers and end in the same state, also after closing and opening.
    #[test]
    fn the_embedded_ledger_equals_the_memory_ledger(
        operations in proptest::collection::vec(Operation::any(), 1..80),
        reopen_at in 0..80_usize,
    ) {
        runtime().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("ledger");
            let memory = MemoryLedger::new();
            let mut embedded = EmbeddedLedger::open(&path, support::OWNER).await.unwrap();
            let mut tokens = 0;
            for (step, operation) in operations.iter().enumerate() {
                let now = step as u64 * 10;
                if step == reopen_at {
                    embedded.close().await;
                    embedded = EmbeddedLedger::open(&path, support::OWNER).await.unwrap();
                }
                let answer = perform(&memory, operation, now, tokens).await;
                assert_eq!(perform(&embedded, operation, now, tokens).await, answer, "step {step}: {operation:?}");
                tokens = tokens.max(answer.newest_token());
            }
            for destination in support::DESTINATIONS {
                let counted = embedded.recount(support::RULE, destination).await.unwrap();
                assert_eq!(counted, memory.recount(support::RULE, destination).await.unwrap());
            }
            assert_eq!(observe(&embedded).await, observe(&memory).await);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every answer of the shared ledger equals the model's, its tokens numbered as they were given, and it ends in the state of
    /// the memory ledger. Another process that looks at every step sees the same backlog and schedule.
    #[test]
    fn the_shared_ledger_equals_the_model(operations in proptest::collection::vec(Operation::any(), 1..80)) {
        runtime().block_on(async {
            let documents = Arc::new(MemoryDocuments::new());
            let open = |seed| SharedLedger::open(documents.clone(), Settings::default(), Rng::seeded(seed));
            let (shared, other) = (open(1).await.unwrap(), open(2).await.unwrap());
            let (memory, mut model, mut tokens) = (MemoryLedger::new(), Model::default(), Vec::new());
            for (step, operation) in operations.iter().enumerate() {
                let now = step as u64 * 10;
                perform(&memory, operation, now, tokens.len() as u64).await;
                let answer = perform_numbered(&shared, operation, now, &mut tokens).await;
                assert_eq!(answer, model.perform(operation, now), "step {step}: {operation:?}");
                for destination in support::DESTINATIONS {
                    for ledger in [&shared, &other] {
                        let backlog = ledger.backlog(support::RULE, destination).await.unwrap();
                        assert_eq!(backlog, model.backlog(destination), "step {step}: {operation:?}");
                        let due = ledger.next_due(support::RULE, destination).await.unwrap();
                        assert_eq!(due, model.next_due(destination), "step {step}: {operation:?}");
                    }
                }
            }
            let mut seen = observe(&other).await;
            for seen in &mut seen {
                for (number, token) in tokens.iter().enumerate() {
                    *seen = seen.replace(&format!("token: {token},"), &format!("token: {},", number + 1));
                }
            }
            assert_eq!(seen, observe(&memory).await);
        });
    }
}
