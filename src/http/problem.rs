//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error as the caller sees it. The cause is logged where it is known.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: &'static str,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self {
            status,
            detail,
            header: None,
        }
    }

    /// One answer whatever is wrong, so that nobody learns which part was right.
    pub(super) const fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            detail: "X-Account-Identifier or the credentials are missing or wrong",
            header: Some((WWW_AUTHENTICATE, "Basic realm=\"gladly-relay\"")),
        }
    }

    /// A browser asks for the password by this.
    pub(super) const fn no_password() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            detail: "the admin token is missing or wrong; see RELAY_ADMIN_TOKEN",
            header: Some((WWW_AUTHENTICATE, "Basic realm=\"gladly-relay admin\"")),
        }
    }

    /// The admin listener, asked by somebody else's name.
    pub(super) const fn not_by_this_name() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ask by a loopback name or address, or set RELAY_ADMIN_TOKEN and give it",
        )
    }

    /// A script of a page whose session is over. A browser asks nobody for a password
    /// by this.
    pub(super) const fn signed_out() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            detail: "the session is over; sign in again",
            header: Some((WWW_AUTHENTICATE, "Bearer realm=\"gladly-relay admin\"")),
        }
    }

    /// Another site may have made a browser ask.
    pub(super) const fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "only the relay's own pages may ask for this without the admin token: Sec-Fetch-Site must be same-origin, or Origin the Host",
        )
    }

    /// Too many try passwords at the same time.
    pub(super) const fn crowded() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            detail: "too many wrong admin tokens come from this address; try again in a few seconds",
            header: Some((RETRY_AFTER, "5")),
        }
    }

    /// No such dead letter.
    pub(super) const fn no_such_letter() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such dead letter")
    }

    /// A dead letter that can't be retried.
    pub(super) const fn conflict(detail: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(super) const fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "the body is not a JSON object with a \"type\"",
        )
    }

    pub(super) const fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 256 KiB",
        )
    }

    pub(super) const fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )
    }

    /// Gladly delivers again by its own schedule; others by this header.
    pub(super) const fn unavailable(detail: &'static str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            detail,
            header: Some((RETRY_AFTER, "30")),
        }
    }

    pub(super) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// A parameter that can't be used.
    pub(super) const fn bad_parameter(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The router adds `Allow`.
    pub(super) const fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this method is not allowed here; see Allow",
        )
    }

    pub(super) const fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the relay failed; see its log",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
