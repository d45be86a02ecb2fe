//! A control plane that expects requests one by one, and answers as a test says.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use skyfresh_channel::wiring::{ControlPlane, Journal, Record, Signing};
use skyfresh_store::Result;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// One expected request and its answer.
struct Exchange {
    line: String,
    body: Option<Value>,
    status: u16,
    answer: Value,
}

/// The script; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<VecDeque<Exchange>>>);

impl Script {
    /// Expects a request without a body.
    pub(crate) fn on(&self, line: &str, status: u16, answer: Value) -> &Self {
        self.push(line, None, status, answer)
    }

    /// Expects a request with this body.
    pub(crate) fn with(&self, line: &str, body: Value, status: u16, answer: Value) -> &Self {
        self.push(line, Some(body), status, answer)
    }

    fn push(&self, line: &str, body: Option<Value>, status: u16, answer: Value) -> &Self {
        self.0.lock().unwrap().push_back(Exchange {
            line: line.to_owned(),
            body,
            status,
            answer,
        });
        self
    }

    /// Everything expected has come.
    pub(crate) fn is_over(&self) {
        let left: Vec<String> = self
            .0
            .lock()
            .unwrap()
            .iter()
            .map(|one| one.line.clone())
            .collect();
        assert!(left.is_empty(), "never asked: {left:#?}");
    }
}

#[async_trait]
impl ControlPlane for Script {
    async fn send(
        &self,
        signing: &Signing,
        _operation: &'static str,
        _target: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>> {
        assert_eq!(*signing, Signing::Bearer);
        let line = format!("{} {}", request.method(), request.uri());
        let next = self.0.lock().unwrap().pop_front();
        let next = next.unwrap_or_else(|| panic!("not expected: {line}"));
        assert_eq!(line, next.line);
        let body = match request.body().is_empty() {
            true => None,
            false => Some(serde_json::from_slice(request.body()).expect("JSON")),
        };
        assert_eq!(body, next.body, "{line}");
        let answer = match &next.answer {
            Value::Null => Bytes::new(),
            answer => Bytes::from(answer.to_string()),
        };
        Ok(Response::builder()
            .status(next.status)
            .body(answer)
            .expect("a response"))
    }
}

/// A journal in memory.
#[derive(Default)]
pub(crate) struct Notebook(Mutex<Record>);

impl Notebook {
    pub(crate) fn record(&self) -> Record {
        self.0.lock().unwrap().clone()
    }
}

impl Journal for Notebook {
    fn save(&self, record: &Record) -> std::io::Result<()> {
        *self.0.lock().unwrap() = record.clone();
        Ok(())
    }
}
