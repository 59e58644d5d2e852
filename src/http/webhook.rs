//! `POST /webhooks/gladly`: authenticate, read, journal, answer, in this order.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, State as Shared};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::State;
use super::problem::Problem;
use crate::id::AccountName;
use crate::relay::{Receipt, ReceiveError};
use crate::telemetry::Seldom;

/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 256 * 1024;
/// A body that is too large is read on to here, for whoever is still sending does not
/// read the answer.
const LARGEST_DRAINED: usize = 8 * 1024 * 1024;
/// Gladly waits 15 s for the answer, so a slower body is of no use to anybody.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Less than what is left of Gladly's 15 s after an ordinary body.
const STORE_TIMEOUT: Duration = Duration::from_secs(12);

/// Strangers send as many as they like.
static REFUSED: Seldom = Seldom::new();

const ACCOUNT_IDENTIFIER: HeaderName = HeaderName::from_static("x-account-identifier");

pub(super) fn router() -> Router<Arc<State>> {
    Router::new().route("/webhooks/gladly", post(receive))
}

/// The account that an authentic delivery belongs to.
struct Authenticated(AccountName);

impl FromRequestParts<Arc<State>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let header = |name: &HeaderName| single(&parts.headers, name);
        let account = state
            .accounts
            .find(header(&ACCOUNT_IDENTIFIER), header(&AUTHORIZATION));
        account.map(|name| Self(name.clone())).ok_or_else(|| {
            REFUSED.happened(|times| {
                tracing::warn!(
                    times,
                    "webhooks with a missing or unknown identifier or wrong credentials were refused"
                );
            });
            state.metrics.unauthorized_webhook();
            Problem::unauthorized()
        })
    }
}

async fn receive(
    Shared(state): Shared<Arc<State>>,
    Authenticated(account): Authenticated,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = tokio::time::timeout(BODY_TIMEOUT, read(body))
        .await
        .map_err(|_| Problem::too_slow())??;
    let receiving = tokio::time::timeout(STORE_TIMEOUT, state.relay.receive(&account, &body));
    let received = receiving.await.map_err(|_| {
        tracing::error!(%account, "a webhook could not be stored in time; Gladly will deliver it again");
        Problem::unavailable("the event could not be stored in time; deliver it again")
    })?;
    let status = match received {
        Ok(Receipt::Accepted) => "accepted",
        Ok(Receipt::Duplicate) => "duplicate",
        Ok(Receipt::Ignored) => "ignored",
        Err(ReceiveError::Malformed(_)) => return Err(Problem::malformed()),
        Err(ReceiveError::Store(error)) => {
            tracing::error!(%account, %error, "a webhook could not be stored; Gladly will deliver it again");
            return Err(Problem::unavailable(
                "the event could not be stored; deliver it again",
            ));
        }
    };
    Ok((StatusCode::OK, Json(json!({ "status": status }))))
}

async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        // The caller has gone, so nobody reads this answer.
        let chunk = chunk.map_err(|_| Problem::malformed())?;
        length += chunk.len();
        if length > LARGEST_DRAINED {
            break;
        }
        if length <= LARGEST_BODY {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > LARGEST_BODY {
        return Err(Problem::too_large());
    }
    Ok(bytes)
}

/// The value of a header that stands there once. One given twice is as good as
/// none: a proxy and this server could each believe another.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}
