//! A process, as far as a thread can be one: an engine on a runtime of its own that can be made to stand still, timers,
//! sockets and all, as under SIGSTOP.

use crate::scene::{Scene, start};
use skyfresh_engine::{Engine, EngineConfig};
use skyfresh_ledger::Ledger;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Ends with its handle.
pub(crate) struct Process {
    pub(crate) owner: String,
    pub(crate) engine: Arc<Engine>,
    freezes: mpsc::UnboundedSender<Freeze>,
}

struct Freeze {
    begun: oneshot::Sender<()>,
    ends: std::sync::mpsc::Receiver<()>,
}

/// The process stands still until this is dropped.
pub(crate) struct Frozen(#[expect(dead_code, reason = "held")] std::sync::mpsc::Sender<()>);

impl Process {
    pub(crate) async fn start(scene: &Scene, ledger: Arc<dyn Ledger>, owner: &str) -> Process {
        let (freezes, mut freezing) = mpsc::unbounded_channel::<Freeze>();
        let (born, engine) = oneshot::channel();
        let rule = scene.rule.clone();
        let config = EngineConfig {
            owner: owner.into(),
            ..scene.config.clone()
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async move {
                born.send(start(config, rule, ledger).await).unwrap();
                while let Some(freeze) = freezing.recv().await {
                    freeze.begun.send(()).unwrap();
                    // Blocks the only thread, which is the point. Ends with an error when the other side is dropped.
                    let _thawed = freeze.ends.recv();
                }
            });
        });
        Process {
            owner: owner.into(),
            engine: engine.await.unwrap(),
            freezes,
        }
    }

    pub(crate) async fn freeze(&self) -> Frozen {
        let (begun, begins) = oneshot::channel();
        let (end, ends) = std::sync::mpsc::channel();
        self.freezes.send(Freeze { begun, ends }).unwrap();
        begins.await.unwrap();
        Frozen(end)
    }
}
