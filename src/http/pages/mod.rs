//! The operator's pages: plain HTML that works without script, live with it. Nothing comes
//! from other hosts, and nothing on them is anybody's words or a secret.

mod chart;
mod concerns;
mod conversation;
mod dead_letters;
mod history;
mod overview;
mod report;
mod settle;
mod sign_in;
mod turns;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::State;
use super::gate::{Entered, Gate};
use super::problem::Problem;

/// What a browser may do with an answer: show it, with our own style, script and pictures.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The pages of whoever is let in.
pub(super) fn router(gate: Arc<Gate>) -> Router<Arc<State>> {
    Router::new()
        .merge(overview::router())
        .merge(turns::router())
        .merge(conversation::router())
        .merge(dead_letters::router())
        .merge(settle::router())
        .merge(report::router())
        .merge(sign_in::out_router(gate))
        .route(
            "/live.js",
            asset("text/javascript; charset=utf-8", include_str!("live.js")),
        )
}

/// What whoever is not signed in may see.
pub(super) fn open_router(gate: Arc<Gate>) -> Router<Arc<State>> {
    sign_in::router(gate)
        .route(
            "/style.css",
            asset("text/css; charset=utf-8", include_str!("style.css")),
        )
        .route(
            "/icon.svg",
            asset("image/svg+xml", include_str!("icon.svg")),
        )
}

fn asset(
    content_type: &'static str,
    text: &'static str,
) -> axum::routing::MethodRouter<Arc<State>> {
    get(async move || ([(CONTENT_TYPE, content_type)], text))
}

/// Tells the browser how narrow the limits of an answer are, and to keep none of it.
pub(super) async fn confine(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-store"),
        // `no-referrer` would take `Origin` from our own forms (Fetch, "append a request
        // `Origin` header"), by which they are told from others' on plain http.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What surrounds each page.
struct Shell {
    /// Of the page that is shown.
    path: &'static str,
    can_sign_out: bool,
    relay: String,
}

impl Shell {
    fn new(path: &'static str, Extension(entered): Extension<Entered>, state: &State) -> Self {
        Self {
            path,
            can_sign_out: entered == Entered::Session,
            relay: state.relay.name().to_owned(),
        }
    }

    #[expect(clippy::unused_self, reason = "templates reach it through the shell")]
    const fn pages(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("/", "Overview"),
            ("/turns", "Turns"),
            ("/dead-letters", "Dead letters"),
            ("/report", "Report"),
        ]
    }

    #[expect(clippy::unused_self, reason = "templates reach it through the shell")]
    const fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

fn show(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            Problem::internal().into_response()
        }
    }
}
