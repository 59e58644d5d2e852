//! The two listeners: webhooks and health in public; metrics, an API and pages for
//! operators.

mod accounts;
mod admin;
mod api;
mod gate;
mod health;
mod host;
mod pages;
mod parameters;
mod password;
mod problem;
mod server;
mod unread;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::account::Accounts;
use crate::clock::Clock;
use crate::relay::Relay;
use crate::store::{History, Operations, Store, StoreError};
use crate::telemetry::Metrics;
use gate::Gate;
pub use health::from_here;
use problem::Problem;
pub use server::{Limits, serve};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is believed.
const LONGEST_REQUEST_ID: usize = 64;

/// What the handlers need.
pub struct State {
    /// Whose webhook is it.
    pub accounts: Accounts,
    /// Where it goes.
    pub relay: Relay,
    /// Asked whether it can be written to.
    pub store: Arc<dyn Store>,
    /// What operators ask of it.
    pub operations: Arc<dyn Operations>,
    /// What it remembers.
    pub history: Arc<dyn History>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Shown on the admin listener.
    pub metrics: Arc<Metrics>,
    /// Set once the relay stops: it is not ready any more.
    pub stopping: CancellationToken,
}

impl State {
    fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }
}

/// What the internet may reach.
pub fn public_router(state: Arc<State>) -> Router {
    let router = Router::new()
        .merge(webhook::router())
        .merge(health::router());
    finish(refusing(router)).with_state(state)
}

/// What only operators may reach: with the password, or if there is none, by a
/// loopback name or address. Whoever asks for the password may be asked by anybody.
pub fn admin_router(state: Arc<State>, password: Option<&SecretString>) -> Router {
    let gate = Arc::new(Gate::new(password, state.clock.clone()));
    let kept = admin::router()
        .merge(api::router())
        .merge(pages::router(gate.clone()));
    let require = middleware::from_fn_with_state(gate.clone(), gate::require);
    let kept = refusing(kept).layer(require);
    let greet = middleware::from_fn_with_state(gate.clone(), gate::greet);
    let open = pages::open_router(gate)
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(greet);
    let router = kept.merge(open).layer(middleware::from_fn(pages::confine));
    finish(router).with_state(state)
}

/// The store can't be read now.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn unreadable(error: StoreError) -> Problem {
    tracing::error!(%error, "what an operator asked for could not be read");
    Problem::unavailable("the store cannot be read")
}

/// What is not there is refused like what is there, for whoever may not ask.
fn refusing(router: Router<Arc<State>>) -> Router<Arc<State>> {
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
}

fn finish(router: Router<Arc<State>>) -> Router<Arc<State>> {
    let panicked = |_| Problem::internal().into_response();
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(unread::read_unread))
        .layer(middleware::from_fn(trace))
}

/// Names each request, logs its end and returns its name: the caller's
/// `X-Request-Id` if it is sane, else a new one.
async fn trace(request: Request, next: Next) -> Response {
    let request_id = request
        .headers()
        .get(&REQUEST_ID)
        .filter(|id| is_sane(id))
        .cloned();
    let request_id = request_id.unwrap_or_else(new_request_id);
    let method = request.method().clone();
    // The template, not the path: a path is whatever a stranger sends.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str)
        .to_owned();
    let started = std::time::Instant::now();
    let mut response = next.run(request).await;
    let (status, took_ms) = (response.status().as_u16(), started.elapsed().as_millis());
    let request_id_text = request_id.to_str().unwrap_or_default();
    tracing::debug!(%method, route, status, took_ms, request_id = request_id_text, "request answered");
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

fn is_sane(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=LONGEST_REQUEST_ID).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn new_request_id() -> HeaderValue {
    let id = format!("{:032x}", fastrand::u128(..));
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("-"))
}
