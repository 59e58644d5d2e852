//! Who may ask the admin listener, and for what.
//!
//! With a password: who brings it (`Authorization`), or a session that was begun with
//! it. Without one: who asks by a loopback name or address. What changes something is
//! done only if no other site can have made a browser ask for it.

mod origin;
mod sessions;
mod tries;

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::header::{ACCEPT, AUTHORIZATION, COOKIE, LOCATION};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use secrecy::SecretString;

use super::host;
use super::parameters::Parameters;
use super::password::{Given, Password};
use super::problem::Problem;
use crate::clock::Clock;
use origin::Asker;
use sessions::Sessions;
use tries::Tries;

pub(super) use sessions::LASTS;
pub(super) use tries::Source;

/// The cookie that holds a session's id.
pub(super) const COOKIE_NAME: &str = "gladly_relay_session";

/// The one gate of an admin listener.
pub(super) struct Gate {
    password: Option<Password>,
    sessions: Sessions,
    tries: Tries,
    clock: Arc<dyn Clock>,
}

/// Whoever was let in, by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// A loopback name; no password is set.
    Name,
    /// The password.
    Password,
    /// A session, which can be ended.
    Session,
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    NotByThisName,
    NoPassword,
    Forged,
    Crowded,
}

/// What came of a try to sign in.
pub(super) enum SignIn {
    /// A session with this id.
    Begun(String),
    /// The password is wrong.
    Wrong,
    /// Too many try at the same time.
    Crowded,
}

impl Gate {
    pub(super) fn new(password: Option<&SecretString>, clock: Arc<dyn Clock>) -> Self {
        Self {
            password: password.map(Password::new),
            sessions: Sessions::default(),
            tries: Tries::default(),
            clock,
        }
    }

    /// Whether a password is set at all.
    pub(super) const fn asks(&self) -> bool {
        self.password.is_some()
    }

    /// Begins a session for whoever knows the password. Wrong ones are judged one after
    /// the other.
    pub(super) async fn sign_in(&self, given: &str, source: Source) -> SignIn {
        let Some(turn) = self.tries.wait(source).await else {
            return SignIn::Crowded;
        };
        let is_right = |password: &Password| password.is(given.as_bytes());
        if !self.password.as_ref().is_some_and(is_right) {
            turn.failed();
            return SignIn::Wrong;
        }
        match self.sessions.begin(self.clock.now().at) {
            Some(id) => SignIn::Begun(id),
            None => SignIn::Crowded,
        }
    }

    /// Ends the session that a request belongs to.
    pub(super) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(id) = session_id(headers) {
            self.sessions.end(id);
        }
    }

    /// Whether a request belongs to a session.
    pub(super) fn has_session(&self, headers: &HeaderMap) -> bool {
        let now = self.clock.now().at;
        session_id(headers).is_some_and(|id| self.sessions.holds(id, now))
    }

    /// From where somebody guesses, perhaps. Who has a session guesses nothing.
    fn guesses_from(&self, request: &Request) -> Option<Source> {
        let headers = request.headers();
        let guesses = self.asks() && headers.contains_key(AUTHORIZATION);
        (guesses && !self.has_session(headers))
            .then(|| request.extensions().get().copied().unwrap_or_default())
    }

    fn judge(&self, request: &Request) -> Result<Entered, Refused> {
        let headers = request.headers();
        let asker = Asker::of(headers);
        let changes = !matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        let Some(password) = &self.password else {
            return match host::is_asked_by_loopback(request) {
                false => Err(Refused::NotByThisName),
                true if changes && asker != Asker::Ourselves => Err(Refused::Forged),
                true => Ok(Entered::Name),
            };
        };
        let given = headers.get(AUTHORIZATION);
        match given.and_then(|given| password.given_in(given.as_bytes())) {
            // A browser that was once asked for it sends it along with every request.
            Some(Given::Basic) if changes && asker == Asker::Others => {
                return Err(Refused::Forged);
            }
            // None sends the other by itself.
            Some(Given::Basic | Given::Bearer) => return Ok(Entered::Password),
            None => {}
        }
        if !self.has_session(headers) {
            Err(Refused::NoPassword)
        } else if changes && asker != Asker::Ourselves {
            Err(Refused::Forged)
        } else {
            Ok(Entered::Session)
        }
    }

    /// For what anybody may see who may ask for the password.
    fn judge_guest(&self, request: &Request) -> Result<(), Refused> {
        let changes = *request.method() == Method::POST;
        if !self.asks() && !host::is_asked_by_loopback(request) {
            Err(Refused::NotByThisName)
        } else if changes && Asker::of(request.headers()) != Asker::Ourselves {
            Err(Refused::Forged)
        } else {
            Ok(())
        }
    }
}

/// Lets those pass who may.
pub(super) async fn require(
    Shared(gate): Shared<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Response {
    // Whoever brings a password is judged as whoever signs in with it.
    let turn = match gate.guesses_from(&request) {
        None => None,
        Some(source) => match gate.tries.wait(source).await {
            None => return Refused::Crowded.answer(&request),
            turn => turn,
        },
    };
    let judged = gate.judge(&request);
    if let Some(turn) = turn.filter(|_| judged == Err(Refused::NoPassword)) {
        turn.failed();
    }
    match judged {
        Ok(entered) => {
            request.extensions_mut().insert(entered);
            next.run(request).await
        }
        Err(refused) => refused.answer(&request),
    }
}

/// Lets those pass who may ask for the password.
pub(super) async fn greet(
    Shared(gate): Shared<Arc<Gate>>,
    request: Request,
    next: Next,
) -> Response {
    match gate.judge_guest(&request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.answer(&request),
    }
}

impl Refused {
    fn answer(self, request: &Request) -> Response {
        match self {
            Self::NotByThisName => Problem::not_by_this_name().into_response(),
            Self::Forged => Problem::forged().into_response(),
            Self::Crowded => Problem::crowded().into_response(),
            Self::NoPassword if is_visit(request) => to_sign_in(request),
            Self::NoPassword if is_of_a_page(request.headers()) => {
                Problem::signed_out().into_response()
            }
            Self::NoPassword => Problem::no_password().into_response(),
        }
    }
}

/// Whether somebody opens a page, rather than a program asking.
fn is_visit(request: &Request) -> bool {
    let headers = request.headers();
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let navigates = headers
        .get("sec-fetch-mode")
        .is_none_or(|mode| mode == "navigate");
    request.method() == Method::GET
        && navigates
        && accepts.is_some_and(|accept| accept.contains("text/html"))
}

/// Whether a script of a page asks: a browser must not ask for the password then.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-mode")
}

/// A browser leaves a `SameSite=Strict` cookie out when a link elsewhere leads here, even
/// of who is signed in. So a visit from elsewhere is first answered by a page that goes
/// on to the same place, from here.
fn to_sign_in(request: &Request) -> Response {
    let to = request.uri().path_and_query().map_or("/", |to| to.as_str());
    if Asker::of(request.headers()) == Asker::Others {
        let to = askama::filters::escape(to, askama::filters::Html);
        let Ok(to) = to;
        return Html(format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=\"0; url={to}\"><title>gladly-relay</title><p><a href=\"{to}\">Go on</a>"
        ))
        .into_response();
    }
    let to = (to != "/").then_some(to);
    let location = Parameters::path("/sign-in", &[("to", to)]);
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, id)| (name == COOKIE_NAME).then_some(id))
}
