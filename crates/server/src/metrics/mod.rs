//! `GET /metrics`: the Prometheus text exposition format, version 0.0.4.
//!
//! Written by hand rather than with `prometheus-client`: almost every value is read from one [`RuleStatus`] snapshot at the
//! time of the scrape, so there are no metric objects to register or to keep in step, and that crate writes OpenMetrics,
//! which older scrapers do not ask for. What remains is the escaping and the grammar, in [`text`].

mod channels;
mod counters;
mod lanes;
mod process;
mod text;

pub(crate) use counters::Counters;

use crate::api::Api;
use crate::error::ApiError;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use std::sync::Arc;
use text::{Exposition, Type};

/// `GET /metrics`
pub(crate) async fn page(State(api): State<Arc<Api>>) -> Result<impl IntoResponse, ApiError> {
    let status = api.engine.status(None).await?;
    let mut page = Exposition::default();
    page.family(
        "skyfresh_build_info",
        Type::Gauge,
        "The running version; always 1.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.family(
        "skyfresh_uptime_seconds",
        Type::Gauge,
        "How long the server has run.",
    )
    .sample(&[], api.uptime().as_secs_f64());
    lanes::write(&mut page, &status);
    channels::write(&mut page, &api.engine.channels().await?);
    api.counters.write(&mut page);
    process::write(&mut page);
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        page.into_text(),
    ))
}
