//! The calls to Gladly's REST API v1 (developer.gladly.com/rest).
//!
//! Every call spends a [`Permit`], which waits for the organization's pace and
//! for the credentials to be accepted; every write also a [`Clearance`], the
//! proof that the conversation is still the bot's. Nothing here is tried twice:
//! a reply has no idempotency key, so whoever calls decides what to do next.

mod events;
mod setup;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::GladlyError;
use super::lockout::{Entry, Lockout};
use super::model::{Conversation, Item};
use super::pace::{Admission, Ask, Engaged, Member, Pace, Permit, Precedence};
use crate::clock::Clock;
use crate::config::GladlyConfig;
use crate::conversation::{Clearance, Stale};
use crate::id::{AccountName, ConversationId, InboxId, ItemId, TopicId};
use crate::telemetry::{Metrics, Upstream};
use crate::text::{Channel, Part};
use crate::upstream::{Cut, date_of, innermost};

pub use setup::{Deed, NoAnswer};

/// For one call, from connecting to the last byte.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// For what goes before the move to the humans, which must not wait for it.
const NOTE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes: a thousand long items.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit-second");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining-second");
const LIMITED_DATA: HeaderName = HeaderName::from_static("gladly-limited-data");

/// What to send as a reply.
#[derive(Debug, Clone, Copy)]
pub struct ReplyContent<'a> {
    /// The channel of the item that is replied to.
    pub channel: Channel,
    /// The words.
    pub part: &'a Part,
}

/// A conversation's items, oldest first.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The items that could be read.
    pub items: Vec<Item>,
    /// False if Gladly held some back (it lists 1,000 at most).
    pub complete: bool,
}

/// One account's access to Gladly.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    account: AccountName,
    pace: Arc<Pace>,
    member: Member,
    lockout: Lockout,
    clock: Arc<dyn Clock>,
    /// How far Gladly's clock is ahead of the relay's, by the last answer that told.
    ahead: Mutex<Option<SignedDuration>>,
    metrics: Arc<Metrics>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    /// # Errors
    /// Fails if the TLS library can't be set up or the credentials can't stand
    /// in a header.
    pub fn new(
        account: &AccountName,
        config: &GladlyConfig,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let pair = format!("{}:{}", config.username, config.api_token.expose_secret());
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair)))?;
        authorization.set_sensitive(true);
        let http = crate::upstream::http_client(&config.url)
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .timeout(CALL_TIMEOUT)
            .build()?;
        let base = config.url.join("/api/v1/")?;
        Ok(Self {
            http,
            base,
            account: account.clone(),
            member: pace.join(),
            pace,
            lockout: Lockout::default(),
            clock,
            ahead: Mutex::default(),
            metrics,
        })
    }

    /// Waits until the calls that are asked for may be made. May be dropped while
    /// it waits.
    ///
    /// # Errors
    /// [`GladlyError::Unauthorised`] at once while the credentials are refused.
    pub async fn permits(&self, ask: Ask) -> Result<Admission, GladlyError> {
        let refused = |after| GladlyError::Unauthorised {
            operation: "permit",
            after,
        };
        // Before the wait, so that those who may not call don't use up the rate.
        if let Some(after) = self.lockout.closed_after_probe().await {
            return Err(refused(after));
        }
        let mut permits = match self.pace.wait(self.member, ask).await {
            Admission::Granted(permits) => permits,
            Admission::TooLate => return Ok(Admission::TooLate),
        };
        match self.lockout.enter(Instant::now()) {
            Entry::Open => Ok(Admission::Granted(permits)),
            Entry::Closed(_) => match self.lockout.closed_after_probe().await {
                None => Ok(Admission::Granted(permits)),
                Some(after) => Err(refused(after)),
            },
            Entry::Probe => {
                // Only a call that is nobody's in particular shows whether the user
                // is accepted again.
                let probing = self.lockout.probe().await;
                let permit = permits.take().unwrap_or_else(|| self.pace.free());
                drop(permits);
                // Seldom, so it shall not make every turn's future larger.
                Box::pin(self.ask_whose_organization(permit)).await?;
                drop(probing);
                Ok(self.pace.wait(self.member, ask).await)
            }
        }
    }

    /// Whether calls are kept back because the credentials are refused.
    pub fn is_locked_out(&self) -> bool {
        self.lockout.is_closed(Instant::now())
    }

    /// Counts what one more turn needs, until it is dropped.
    pub fn engage(&self) -> Engaged {
        self.pace.engage(self.member)
    }

    /// How long it takes until all calls that the account's turns need have been
    /// made.
    pub fn takes(&self) -> Duration {
        self.pace.takes(self.member)
    }

    /// Another relay may have called until now: what the organization allows is found
    /// out anew.
    pub fn begin_anew(&self) {
        self.pace.begin_anew();
    }

    /// The share of the organization's limit that the relay's own calls took lately.
    pub fn used_ratio(&self) -> f64 {
        self.pace.used_ratio()
    }

    /// `GET /organization`: a neutral call, which any accepted user may make.
    async fn ask_whose_organization(&self, permit: Permit) -> Result<(), GladlyError> {
        let request = self.request(Method::GET, &["organization"]);
        let answer = self.send(permit, "get_organization", request).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self.lock_out("get_organization", answer.status))
            }
            status if status.is_success() => {
                self.accept("get_organization");
                Ok(())
            }
            status => Err(GladlyError::of_answer(
                "get_organization",
                status,
                &answer.headers,
                &answer.body,
            )),
        }
    }

    /// `GET /conversation-items/{id}`.
    pub async fn item(&self, permit: Permit, id: &ItemId) -> Result<Item, GladlyError> {
        let operation = "get_item";
        let request = self.request(Method::GET, &["conversation-items", id.as_str()]);
        let answer = self.call(permit, operation, request).await?;
        Item::read(&json_of(operation, &answer)?).ok_or_else(|| GladlyError::garbage(operation))
    }

    /// `GET /conversations/{id}`.
    pub async fn conversation(
        &self,
        permit: Permit,
        id: &ConversationId,
    ) -> Result<Conversation, GladlyError> {
        let operation = "get_conversation";
        let request = self.request(Method::GET, &["conversations", id.as_str()]);
        let answer = self.call(permit, operation, request).await?;
        Conversation::read(&json_of(operation, &answer)?)
            .ok_or_else(|| GladlyError::garbage(operation))
    }

    /// `GET /conversations/{id}/items`.
    pub async fn items(&self, permit: Permit, id: &ConversationId) -> Result<Listed, GladlyError> {
        let operation = "list_items";
        let request = self.request(Method::GET, &["conversations", id.as_str(), "items"]);
        let answer = self.call(permit, operation, request).await?;
        let value = json_of(operation, &answer)?;
        let values = value
            .as_array()
            .ok_or_else(|| GladlyError::garbage(operation))?;
        let complete = !answer.headers.contains_key(LIMITED_DATA);
        Ok(Listed {
            items: values.iter().filter_map(Item::read).collect(),
            complete,
        })
    }

    /// `POST /conversation-items/{id}/reply`. The new item's id, if Gladly names it.
    pub async fn reply(
        &self,
        permit: Permit,
        clearance: Clearance,
        to: &ItemId,
        reply: ReplyContent<'_>,
    ) -> Result<Option<ItemId>, GladlyError> {
        self.reply_within(CALL_TIMEOUT, permit, clearance, to, reply)
            .await
    }

    /// As [`Client::reply`], for a message that the move to the humans must not
    /// wait for.
    pub async fn message(
        &self,
        permit: Permit,
        clearance: Clearance,
        to: &ItemId,
        message: ReplyContent<'_>,
    ) -> Result<Option<ItemId>, GladlyError> {
        self.reply_within(NOTE_TIMEOUT, permit, clearance, to, message)
            .await
    }

    async fn reply_within(
        &self,
        timeout: Duration,
        permit: Permit,
        clearance: Clearance,
        to: &ItemId,
        reply: ReplyContent<'_>,
    ) -> Result<Option<ItemId>, GladlyError> {
        self.spend(clearance, "reply")?;
        let body = json!({ "content": content_of(reply) });
        let request = self.request(Method::POST, &["conversation-items", to.as_str(), "reply"]);
        let request = request.json(&body).timeout(timeout);
        let answer = self
            .write(permit, "reply", request, StatusCode::CREATED)
            .await?;
        Ok(created_id(&answer))
    }

    /// `POST /conversations/{id}/notes`. The new item's id, if Gladly names it.
    pub async fn note(
        &self,
        permit: Permit,
        clearance: Clearance,
        html: &str,
    ) -> Result<Option<ItemId>, GladlyError> {
        let conversation = self.spend(clearance, "note")?;
        let body = json!({ "content": { "body": html } });
        let request = self.request(
            Method::POST,
            &["conversations", conversation.as_str(), "notes"],
        );
        let request = request.json(&body).timeout(NOTE_TIMEOUT);
        let answer = self
            .write(permit, "note", request, StatusCode::CREATED)
            .await?;
        Ok(created_id(&answer))
    }

    /// `POST /conversations/{id}/topics`. Adding a topic twice adds it once.
    pub async fn add_topic(
        &self,
        permit: Permit,
        clearance: Clearance,
        topic: &TopicId,
    ) -> Result<(), GladlyError> {
        let conversation = self.spend(clearance, "add_topic")?;
        let body = json!({ "topicIds": [topic.as_str()] });
        let request = self.request(
            Method::POST,
            &["conversations", conversation.as_str(), "topics"],
        );
        let request = request.json(&body).timeout(NOTE_TIMEOUT);
        self.write(permit, "add_topic", request, StatusCode::NO_CONTENT)
            .await
            .map(drop)
    }

    /// `PATCH /conversations/{id}`: opens it in an inbox, assigned to nobody.
    /// `name_no_agent` says so with `"agentId": null`; Gladly's samples differ
    /// on whether it may be left out.
    pub async fn assign(
        &self,
        permit: Permit,
        clearance: Clearance,
        inbox: &InboxId,
        name_no_agent: bool,
    ) -> Result<(), GladlyError> {
        let conversation = self.spend(clearance, "assign")?;
        let mut assignee = json!({ "inboxId": inbox.as_str() });
        if name_no_agent {
            assignee["agentId"] = Value::Null;
        }
        let body = json!({ "assignee": assignee, "status": { "value": "OPEN" } });
        let request = self.request(Method::PATCH, &["conversations", conversation.as_str()]);
        let request = request.json(&body);
        self.write(permit, "assign", request, StatusCode::NO_CONTENT)
            .await
            .map(drop)
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.http.request(method, self.address(path))
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // It fails only for URLs without a path, and the base has one.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// The conversation that a clearance is for.
    fn spend(
        &self,
        clearance: Clearance,
        operation: &'static str,
    ) -> Result<ConversationId, GladlyError> {
        let spent = clearance.spend(self.clock.now());
        spent.map_err(|Stale| GladlyError::Stale { operation })
    }

    /// A call that changes something, which Gladly confirms with one status
    /// alone. Any other 2xx came from something in between: nobody can tell
    /// whether the call arrived.
    async fn write(
        &self,
        permit: Permit,
        operation: &'static str,
        request: RequestBuilder,
        confirmed_by: StatusCode,
    ) -> Result<Answer, GladlyError> {
        let answer = self.call(permit, operation, request).await?;
        if answer.status == confirmed_by {
            Ok(answer)
        } else {
            Err(GladlyError::garbage(operation))
        }
    }

    async fn call(
        &self,
        permit: Permit,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, GladlyError> {
        let answer = self.send(permit, operation, request).await?;
        match answer.status {
            status if status.is_success() => {
                self.accept(operation);
                return Ok(answer);
            }
            StatusCode::UNAUTHORIZED => return Err(self.lock_out(operation, answer.status)),
            // About this call alone, unless the user may not even ask whose
            // organization this is.
            StatusCode::FORBIDDEN if self.lockout.is_in_doubt(Instant::now()) => {
                let ask = Ask::one(Precedence::Settle, Instant::now());
                let admission = self.pace.wait(self.member, ask).await;
                if let Admission::Granted(mut permits) = admission
                    && let Some(permit) = permits.take()
                    && let Err(refused @ GladlyError::Unauthorised { .. }) =
                        Box::pin(self.ask_whose_organization(permit)).await
                {
                    return Err(refused);
                }
            }
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => self.accept(operation),
            _ => {}
        }
        Err(GladlyError::of_answer(
            operation,
            answer.status,
            &answer.headers,
            &answer.body,
        ))
    }

    /// Sends a request, whatever the answer.
    async fn send(
        &self,
        permit: Permit,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, GladlyError> {
        let started = permit.spend();
        let count = |status: String| {
            self.metrics.request(
                &self.account,
                Upstream::Gladly,
                operation,
                status,
                started.elapsed(),
            );
        };
        let cut = |error: &reqwest::Error| {
            count(Cut::of(error).as_str().to_owned());
            GladlyError::cut(operation, Cut::of(error), innermost(error))
        };
        let mut response = request.send().await.map_err(|error| cut(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.learn(status, &headers, started);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| cut(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                count("too_large".to_owned());
                return Err(GladlyError::garbage(operation));
            }
        }
        count(status.as_u16().to_string());
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// What Gladly's clock shows, to the second; none until an answer has told.
    pub fn gladly_now(&self) -> Option<Timestamp> {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.now().at.checked_add(ahead?).ok()
    }

    /// Adjusts the pace, and what is known of Gladly's clock, to what the answer's
    /// head says.
    fn learn(&self, status: StatusCode, headers: &HeaderMap, sent_at: Instant) {
        if let Some(date) = date_of(headers) {
            let ahead = date.duration_since(self.clock.now().at);
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.pace
                .throttle(crate::upstream::retry_after(headers), sent_at);
        } else {
            self.pace.observe(
                number(headers, &RATE_LIMIT),
                number(headers, &RATE_REMAINING),
                sent_at,
            );
        }
    }

    /// The API user is refused altogether.
    fn lock_out(&self, operation: &'static str, status: StatusCode) -> GladlyError {
        if self.lockout.refused(Instant::now()) {
            tracing::error!(
                account = %self.account, operation, status = status.as_u16(),
                "Gladly refuses the API user: everything is kept and one call a minute tries again; \
                 check GLADLY_USERNAME, GLADLY_API_TOKEN and the user's roles"
            );
        }
        let after = self.lockout.wait(Instant::now());
        GladlyError::Unauthorised { operation, after }
    }

    /// An answer came from behind Gladly's authentication.
    fn accept(&self, operation: &'static str) {
        if self.lockout.accepted(Instant::now()) {
            tracing::info!(account = %self.account, operation, "Gladly accepts the API user again");
        }
    }
}

/// A reply's `content` (Gladly API description, "Reply to conversation item").
fn content_of(reply: ReplyContent<'_>) -> Value {
    let mut content = json!({ "type": reply.channel.as_str(), "body": reply.part.body });
    if reply.channel == Channel::Chat {
        content["messageType"] = json!("TEXT");
    }
    if let Some(plain) = &reply.part.body_plain {
        content["bodyPlain"] = json!(plain);
    }
    content
}

fn json_of(operation: &'static str, answer: &Answer) -> Result<Value, GladlyError> {
    serde_json::from_slice(&answer.body).map_err(|_| GladlyError::garbage(operation))
}

/// The id at the end of `Location: /api/v1/conversation-items/{id}`.
fn created_id(answer: &Answer) -> Option<ItemId> {
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    ItemId::parse(location.trim_end_matches('/').rsplit('/').next()?).ok()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
