//! Weights of stale reads: kept in the ledger, refused with the reason.

mod common;

use common::{engine, memory_sky, models, start_with};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_server::ServerOptions;
use std::sync::Arc;

const PATH: &str = "/v1/rules/models/weights";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_are_kept_and_what_cannot_be_used_changes_nothing() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let options = ServerOptions {
        api_token: Some("t0ken".into()),
        ..ServerOptions::default()
    };
    let sky = memory_sky();
    let running = start_with(options, vec![models()], Arc::clone(&ledger), sky.clone()).await;
    let token = [("Authorization", "Bearer t0ken")];
    assert_eq!(running.send("PUT", PATH, &[], b"[]").await.status, 401);
    let good = br#"[{"prefix": "models/", "regret_per_s": 12.5}]"#;
    let kept = running.send("PUT", PATH, &token, good).await;
    assert_eq!(kept.status, 200, "{kept:?}");

    let too_large = vec![b' '; (512 << 10) + 1];
    let many: Vec<String> = (0..1_001)
        .map(|n| format!(r#"{{"prefix":"{n}","regret_per_s":1}}"#))
        .collect();
    let many = format!("[{}]", many.join(","));
    for (body, status, says) in [
        (&b"["[..], 400, "EOF"),
        (b"{}", 400, "expected a sequence"),
        (br#"[{"prefix": "a"}]"#, 400, "regret_per_s"),
        (
            br#"[{"prefix": "a", "regret_per_s": -1}]"#,
            400,
            "0 or more",
        ),
        (
            br#"[{"prefix": "a", "regret_per_s": 1e999}]"#,
            400,
            "number out of range",
        ),
        (
            br#"[{"prefix": "a", "regret_per_s": 1, "x": 2}]"#,
            400,
            "unknown field",
        ),
        (
            br#"[{"prefix": "a", "regret_per_s": 1}, {"prefix": "a", "regret_per_s": 2}]"#,
            400,
            "twice",
        ),
        (many.as_bytes(), 400, "1001 weights"),
        (&too_large, 413, "larger than"),
    ] {
        let refused = running.send("PUT", PATH, &token, body).await;
        assert_eq!(refused.status, status, "{refused:?}");
        let error = &refused.json()["error"];
        assert_eq!(error["kind"], "invalid");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    let nowhere = running
        .send("PUT", "/v1/rules/nosuch/weights", &token, b"[]")
        .await;
    assert_eq!(nowhere.status, 404);
    let shown = running.send("GET", PATH, &token, b"").await;
    assert_eq!(shown.json(), kept.json());
    running.finish().await;

    // The next process has them, too.
    let next = engine(&sky, ledger);
    next.apply(vec![models()]).await.unwrap();
    let weights = next.weights("models").await.unwrap();
    assert_eq!(serde_json::to_value(weights).unwrap(), kept.json());
    next.shutdown().await;
}
