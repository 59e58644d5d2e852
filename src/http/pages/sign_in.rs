//! `/sign-in` and `/sign-out`.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::show;
use crate::http::State;
use crate::http::gate::{COOKIE_NAME, Gate, LASTS, SignIn, Source};
use crate::http::parameters::Parameters;

/// In bytes: a password and a path.
const LARGEST: usize = 16 * 1024;

pub(super) fn router(gate: Arc<Gate>) -> Router<Arc<State>> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(gate)
}

pub(super) fn out_router(gate: Arc<Gate>) -> Router<Arc<State>> {
    Router::new()
        .route("/sign-out", post(sign_out))
        .with_state(gate)
}

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/http/pages/askama.toml")]
struct Ask {
    to: String,
    wrong: Option<&'static str>,
}

async fn ask(
    Shared(gate): Shared<Arc<Gate>>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Response {
    let to = destination(&parameters);
    if !gate.asks() || gate.has_session(&headers) {
        return go_on(to, None);
    }
    show(&Ask { to, wrong: None })
}

async fn sign_in(
    Shared(gate): Shared<Arc<Gate>>,
    source: Option<Extension<Source>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let form = Parameters::parse(&form);
    let to = destination(&form);
    if !gate.asks() {
        return go_on(to, None);
    }
    let source = source.map(|Extension(source)| source).unwrap_or_default();
    let token = form.get("token").unwrap_or_default();
    let (status, wrong) = match gate.sign_in(token, source).await {
        SignIn::Begun(id) => {
            let cookie = cookie(&id, LASTS.as_secs(), is_behind_tls(&headers));
            return go_on(to, Some(cookie));
        }
        SignIn::Wrong => (StatusCode::FORBIDDEN, "This is not the admin token."),
        SignIn::Crowded => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many try to sign in. Try again in a few seconds.",
        ),
    };
    let wrong = Some(wrong);
    (status, show(&Ask { to, wrong })).into_response()
}

async fn sign_out(Shared(gate): Shared<Arc<Gate>>, headers: HeaderMap) -> Response {
    gate.sign_out(&headers);
    let cookie = cookie("", 0, is_behind_tls(&headers));
    go_on("/sign-in".to_owned(), Some(cookie))
}

/// After the form: elsewhere, with or without a cookie.
fn go_on(to: String, cookie: Option<String>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response();
    if let Some(Ok(cookie)) = cookie.map(|cookie| cookie.parse()) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn cookie(id: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// The proxy in front says so. Who lies only loses the cookie on plain http.
fn is_behind_tls(headers: &HeaderMap) -> bool {
    let proto = headers.get("x-forwarded-proto");
    proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// A path of this listener, never another host: `//host` and `/\host` are others.
fn destination(parameters: &Parameters) -> String {
    let to = parameters.get("to").unwrap_or("/");
    let is_ours = to.starts_with('/')
        && !to[1..].starts_with(['/', '\\'])
        && to.bytes().all(|byte| byte.is_ascii_graphic());
    if is_ours { to } else { "/" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_page_of_ours_and_nowhere_else() {
        for (to, leads_to) in [
            ("/dead-letters?account=a", "/dead-letters?account=a"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nset-cookie: b", "/"),
            ("/\t/evil.example", "/"),
        ] {
            let path = Parameters::path("", &[("to", Some(to))]);
            let parameters = Parameters::parse(path.trim_start_matches('?').as_bytes());
            assert_eq!(destination(&parameters), leads_to, "{to:?}");
        }
    }
}
