//! Random operations against a model so plain that it is plainly right, and the two backends against each other.

mod support;

use proptest::prelude::*;
use skyfresh_ledger::{EmbeddedLedger, Ledger, MemoryLedger};
use support::model::Model;
use support::operation::{Operation, observe, perform};

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
