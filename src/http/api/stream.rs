//! `GET /api/stream`: server-sent events, `turn` when a turn begins or ends, `account` when
//! an account's state changes. A reader who is too slow loses events and gets `reload`
//! instead. It ends when the relay stops, and after a while by itself: whoever still may
//! read begins another.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::State;
use crate::http::accounts::{AccountView, accounts};
use crate::http::problem::Problem;
use crate::id::AccountName;
use crate::relay::News;

/// Well under the listener's connections: a page can always be had.
const MOST: usize = 32;
/// How long before it ends by itself.
const LASTS: Duration = Duration::from_mins(15);
/// Shorter than the minute for which proxies wait for a byte.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

pub(super) fn router() -> Router<Arc<State>> {
    let places = Arc::new(Semaphore::new(MOST));
    Router::new()
        .route("/api/stream", get(stream))
        .layer(Extension(places))
}

/// One reader.
struct Reader {
    news: Receiver<News>,
    state: Arc<State>,
    ends_at: tokio::time::Instant,
    is_new: bool,
    _place: OwnedSemaphorePermit,
}

async fn stream(
    Shared(state): Shared<Arc<State>>,
    Extension(places): Extension<Arc<Semaphore>>,
) -> Result<Response, Problem> {
    let Ok(place) = places.try_acquire_owned() else {
        return Err(Problem::unavailable("too many read the stream already"));
    };
    let reader = Reader {
        news: state.relay.news(),
        state,
        ends_at: tokio::time::Instant::now() + LASTS,
        is_new: true,
        _place: place,
    };
    let events = unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    // A proxy must not keep them until there are many (nginx, `X-Accel-Buffering`).
    let headers = [("x-accel-buffering", "no")];
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    Ok((headers, Sse::new(events).keep_alive(alive)).into_response())
}

impl Reader {
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_new) {
            // Tells the reader that nothing is missed from here on.
            let begun = Event::default().comment("begun");
            return Some(begun.retry(Duration::from_secs(2)));
        }
        let news = tokio::select! {
            () = self.state.stopping.cancelled() => return None,
            () = tokio::time::sleep_until(self.ends_at) => return None,
            news = self.news.recv() => news,
        };
        match news {
            Ok(News::Turn(turn)) => Some(event("turn", &turn)),
            Ok(News::Account(name)) => Some(self.account(&name).await),
            Err(RecvError::Lagged(_)) => Some(reload()),
            Err(RecvError::Closed) => None,
        }
    }

    async fn account(&self, name: &AccountName) -> Event {
        let Ok(view) = accounts(&self.state).await else {
            return reload();
        };
        let found = view
            .accounts
            .iter()
            .find(|account| account.state.name == *name);
        found.map_or_else(reload, |found: &AccountView| {
            event("account", &found.to_json())
        })
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let named = Event::default().event(name);
    named.json_data(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event of the stream could not be written");
        reload()
    })
}

/// Something is not told: look again.
fn reload() -> Event {
    Event::default().event("reload").data("{}")
}
