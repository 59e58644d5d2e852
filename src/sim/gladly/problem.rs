//! A refused call: its status and Gladly's list of errors.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a call was refused.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    location: Option<String>,
    error: Value,
}

impl Problem {
    /// 400 about one attribute.
    pub(crate) fn bad(attr: &str, code: &str, detail: impl Into<String>) -> Self {
        let error = json!({ "attr": attr, "code": code, "detail": detail.into() });
        Self {
            status: StatusCode::BAD_REQUEST,
            location: None,
            error,
        }
    }

    /// 400 about an attribute that is needed and missing or blank.
    pub(crate) fn blank(attr: &str) -> Self {
        Self::bad(attr, "blank", format!("{attr} can't be blank"))
    }

    /// 400 about the request as a whole.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        let error = json!({ "code": "invalid", "detail": detail.into() });
        Self {
            status: StatusCode::BAD_REQUEST,
            location: None,
            error,
        }
    }

    /// 401.
    pub(crate) fn unauthorized() -> Self {
        let error = json!({ "code": "invalid", "detail": "credentials are missing or wrong" });
        Self {
            status: StatusCode::UNAUTHORIZED,
            location: None,
            error,
        }
    }

    /// 403.
    pub(crate) fn forbidden() -> Self {
        let error = json!({ "code": "invalid", "detail": "the user's roles don't allow this" });
        Self {
            status: StatusCode::FORBIDDEN,
            location: None,
            error,
        }
    }

    /// 404.
    pub(crate) fn not_found(what: &str) -> Self {
        let error = json!({ "code": "not_exist", "detail": format!("{what} does not exist") });
        Self {
            status: StatusCode::NOT_FOUND,
            location: None,
            error,
        }
    }

    /// 301 to where the thing is now.
    pub(crate) fn moved(location: String) -> Self {
        let error = json!({ "code": "moved", "detail": "the customer was merged" });
        Self {
            status: StatusCode::MOVED_PERMANENTLY,
            location: Some(location),
            error,
        }
    }

    /// 429.
    pub(crate) fn too_many_requests() -> Self {
        let error = json!({ "code": "invalid_state", "detail": "rate limit exceeded" });
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            location: None,
            error,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "errors": [self.error] }))).into_response();
        if let Some(Ok(location)) = self.location.map(HeaderValue::try_from) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}
