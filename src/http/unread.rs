//! A body whose answer was ready before it was read.
//!
//! An answer that comes while the caller still sends ends the connection: what
//! follows can't be told from a next request. Proxies take that for a failure, and
//! keep no connections. So it is read first, unless it is long or late; then
//! the answer says that the connection ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, EXPECT};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::timeout;

/// As much as a webhook may have.
const MOST: u64 = 256 * 1024;
const WITHIN: Duration = Duration::from_secs(2);

/// Reads the body that the handler has not begun, before its answer is sent.
pub(super) async fn read_unread(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let expects = request.headers().contains_key(EXPECT);
    let mut unread = None;
    let request = request.map(|body| {
        let shared = Shared(Arc::new(Mutex::new(Lent {
            body,
            is_begun: false,
            is_ended: false,
        })));
        Body::new(unread.insert(shared).clone())
    });
    let mut response = next.run(request).await;
    let is_read = match unread {
        // Whoever has begun has waited for it long enough.
        Some(unread) if unread.lent().is_begun => unread.lent().is_ended,
        // The caller waits for leave to send it.
        Some(_) if expects => false,
        Some(unread) => unread.read().await,
        None => true,
    };
    if !is_read {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// A body that the handler may drop.
#[derive(Clone)]
struct Shared(Arc<Mutex<Lent>>);

struct Lent {
    body: Body,
    is_begun: bool,
    is_ended: bool,
}

impl Shared {
    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads it to its end; false if that is too far.
    async fn read(self) -> bool {
        if self.size_hint().lower() > MOST {
            return false;
        }
        let reading = async {
            let (mut stream, mut length) = (Body::new(self).into_data_stream(), 0);
            while let Some(chunk) = stream.next().await {
                let Ok(chunk) = chunk else { return false };
                length += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                if length > MOST {
                    return false;
                }
            }
            true
        };
        timeout(WITHIN, reading).await.unwrap_or(false)
    }
}

impl hyper::body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut lent = self.lent();
        lent.is_begun = true;
        let frame = Pin::new(&mut lent.body).poll_frame(cx);
        lent.is_ended = matches!(frame, Poll::Ready(None)) || lent.body.is_end_stream();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.lent().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lent().body.size_hint()
    }
}
